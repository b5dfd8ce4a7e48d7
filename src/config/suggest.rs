//! The nearest valid word for a mistyped one.

/// The candidate that is few edits away, if there is one.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_ascii_lowercase();
    // Longer words have room for more mistakes; a third of them is still recognisable.
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= allowed || related(&word, candidate))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// `size` for `size_max`, or the words of it in another order.
fn related(word: &str, candidate: &str) -> bool {
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(['_', '-']).map(str::to_owned).collect();
        parts.sort_unstable();
        parts
    };
    (word.len() >= 3 && candidate.starts_with(word)) || parts(word) == parts(candidate)
}

/// Edits from one word to the other, two swapped neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    // Keys are short; a word longer than this is nobody's typing mistake.
    const CHARS_MAX: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > CHARS_MAX || b.len() > CHARS_MAX {
        return usize::MAX;
    }
    let width = b.len() + 1;
    let mut table: Vec<usize> = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let at = i * width + j;
            if i == 0 || j == 0 {
                table[at] = i + j;
                continue;
            }
            let replaced = table[at - width - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(table[at - width] + 1).min(table[at - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(table[at - 2 * width - 2] + 1);
            }
            table[at] = best;
        }
    }
    table[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_are_understood() {
        const KEYS: [&str; 5] = ["path", "size_max", "retain", "evtx", "replay"];
        for (typed, meant) in [
            ("pth", "path"),
            ("sizemax", "size_max"),
            ("max_size", "size_max"),
            ("evxt", "evtx"),
            ("Retian", "retain"),
            ("size", "size_max"),
        ] {
            assert_eq!(nearest(typed, KEYS), Some(meant), "{typed}");
        }
        assert_eq!(nearest("elephant", KEYS), None);
        assert_eq!(nearest(&"x".repeat(1000), KEYS), None);
    }
}
