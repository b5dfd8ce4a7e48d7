//! The channels that come with Windows or its usual programs and are worth forwarding. A host skips a
//! channel that it does not have without a word, so a slip in a name would never be found.
//!
//! The list is no limit: any channel may be asked for.

/// What is doubtful about a name, if anything is.
pub(super) fn doubt(channel: &str) -> Option<String> {
    if known().any(|known| known.eq_ignore_ascii_case(channel)) {
        return None;
    }
    let distance = |known: &str| distance(&known.to_lowercase(), &channel.to_lowercase());
    let nearest = known().map(|known| (distance(known), known)).min();
    Some(match nearest.filter(|(distance, known)| *distance <= (known.len().min(channel.len()) / 4).min(2)) {
        Some((_, known)) => format!(
            "`{channel}` is no channel that Windows has, and hosts skip it without a word; did you mean `{known}`? \
             if not, list it in `own_channels`"
        ),
        None => format!(
            "`{channel}` is not among the channels that are known here, and hosts that do not have it skip it \
             without a word; see that it is right, then list it in `own_channels`"
        ),
    })
}

fn known() -> impl Iterator<Item = &'static str> {
    CHANNELS.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Changes of one character that make one of the other, two neighbours swapped counting as two.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (nth, &b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[nth + 1];
            row[nth + 1] = changed.min(diagonal + 1).min(row[nth] + 1);
        }
    }
    row[other.len()]
}

const CHANNELS: &str = include_str!("channels.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_stand_once() {
        let all: Vec<String> = known().map(str::to_lowercase).collect();
        assert!(all.len() > 150);
        for pair in all.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
    }

    #[test]
    fn a_slip_is_told_with_the_channel_that_was_meant() {
        assert_eq!(doubt("security"), None);
        assert_eq!(doubt("Microsoft-Windows-Sysmon/Operational"), None);
        for (slip, meant) in [
            ("Secruity", "`Security`"),
            ("Sytem", "`System`"),
            ("Microsoft-Windows-Sysmon-Operational", "`Microsoft-Windows-Sysmon/Operational`"),
            ("Microsoft-Windows-Powershel/Operational", "`Microsoft-Windows-PowerShell/Operational`"),
        ] {
            assert!(doubt(slip).unwrap().contains(&format!("did you mean {meant}")), "{slip}");
        }
        assert!(doubt("Contoso-App/Audit").unwrap().contains("own_channels"));
    }
}
