//! Why events are in the dead letter: one finding for each kind of reason, however many there are.
//!
//! Receivers quote in their words what they refuse, each time something else. So what stands between quotation
//! marks is left out, which also keeps most of what events hold out of the log; the whole words stand beside the
//! event.
//! Promise: bounded; the log hears of a kind at once, and then ever less often.
//! Must not know: how dead letters are written.

use crate::finding::Finding;
use crate::pipeline::letter::Letters;
use tracing::warn;

/// In this life of the pipeline.
#[derive(Default)]
pub(super) struct Reasons {
    kinds: Vec<Kind>,
}

struct Kind {
    /// What all of the kind have in common.
    key: String,
    /// In the words of the first.
    finding: Finding,
    /// In all, and since it was told.
    events: u64,
    fresh: u64,
}

/// Kinds of one output. What comes after them is one more.
const KINDS_MAX: usize = 8;
/// Characters of a reason.
const WORDS_MAX: usize = 300;

impl Reasons {
    /// One more event.
    pub(super) fn note(&mut self, output: &str, what: &str, words: &str, place: &Letters) {
        let why = plain(words);
        let varies = |word: &str| word.contains(|letter: char| letter.is_ascii_digit());
        let common: Vec<&str> = why.split_whitespace().filter(|word| !varies(word)).collect();
        let mut key = format!("{what}: {}; {place}", common.join(" "));
        let is_known = |kinds: &[Kind], key: &str| kinds.iter().position(|kind| kind.key == key);
        let mut found = is_known(&self.kinds, &key);
        let is_one_too_many = found.is_none() && self.kinds.len() >= KINDS_MAX;
        if is_one_too_many {
            key.clear();
            found = is_known(&self.kinds, &key);
        }
        let number = found.unwrap_or_else(|| {
            let more = "for more reasons than are told one by one".to_owned();
            let why = if is_one_too_many { more } else { why };
            let finding = Finding { what: format!("output `{output}`: {what}"), why, fix: fix(place) };
            self.kinds.push(Kind { key, finding, events: 0, fresh: 0 });
            self.kinds.len() - 1
        });
        self.kinds[number].fresh += 1;
    }

    /// Tells of what was noted since the last time.
    pub(super) fn tell(&mut self, output: &str, report: &dyn Fn(Finding, u64)) {
        for kind in self.kinds.iter_mut().filter(|kind| kind.fresh > 0) {
            let (before, fresh) = (kind.events, std::mem::take(&mut kind.fresh));
            kind.events += fresh;
            report(kind.finding.clone(), fresh);
            // The first are in the log as a finding.
            if before > 0 && kind.events.ilog2() > before.ilog2() {
                let Finding { what, why, .. } = &kind.finding;
                warn!(output, events = kind.events, what, why, "more events are in the dead letter");
            }
        }
    }
}

fn fix(place: &Letters) -> String {
    match place {
        Letters::Folder { path, .. } => format!(
            "they are in {}, with the reason beside each; when that is mended, send them again: a pipeline of its own, with \
             this output alone and a source `replay` with `dead_letters = true`, reads a file of it",
            path.display()
        ),
        Letters::Lane { .. } | Letters::Nowhere => {
            format!("they are in {place}, with the reason beside each")
        }
    }
}

/// The words without what they quote, and not too many of them.
pub(super) fn plain(words: &str) -> String {
    let (mut plain, mut quote, mut last) = (String::new(), None, ' ');
    let mut letters = words.chars().peekable();
    while let Some(letter) = letters.next() {
        match quote {
            // In a word it is an apostrophe here too.
            Some(end) if letter == end && !letters.peek().is_some_and(|next| next.is_alphanumeric()) => {
                plain.push(letter);
                quote = None;
            }
            Some(_) => {}
            None => {
                plain.push(letter);
                // Names of our own keys and outputs stand in backticks. In a word it is an apostrophe.
                if matches!(letter, '\'' | '"') && !last.is_alphanumeric() {
                    plain.push('…');
                    quote = Some(letter);
                }
            }
        }
        last = letter;
    }
    if let Some((end, _)) = plain.char_indices().nth(WORDS_MAX) {
        plain.truncate(end);
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Findings and their counts of one event for each of the words.
    fn told(words: impl Iterator<Item = String>) -> Vec<(Finding, u64)> {
        let (mut reasons, told) = (Reasons::default(), RefCell::new(Vec::<(Finding, u64)>::new()));
        let place = Letters::Folder { path: "/var/dead".into(), bytes_max: u64::MAX };
        for words in words {
            reasons.note("lake", "events were refused", &words, &place);
            reasons.tell("lake", &|finding, times| {
                let mut told = told.borrow_mut();
                match told.iter_mut().find(|(known, _)| *known == finding) {
                    Some((_, count)) => *count += times,
                    None => told.push((finding, times)),
                }
            });
        }
        told.into_inner()
    }

    #[test]
    fn a_thousand_refusals_of_one_kind_are_one_finding_without_what_was_refused() {
        let words = |number| {
            format!(
                "es{}:9200 refused: failed to parse field [a] in document with id 'x{number}'. Preview of field's value: \
                 'it's secret {number}'",
                number % 3
            )
        };
        let told = told((0..1000).map(words));
        let [(finding, 1000)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(finding.what, "output `lake`: events were refused");
        assert_eq!(
            finding.why,
            "es0:9200 refused: failed to parse field [a] in document with id '…'. Preview of field's value: '…'"
        );
        assert!(finding.fix.contains("/var/dead") && finding.fix.contains("dead_letters"), "{}", finding.fix);
    }

    #[test]
    fn kinds_are_told_apart_and_bounded_and_so_are_words() {
        let told_of = told(["too large: 70", "no date", "too large: 80"].into_iter().map(str::to_owned));
        let counts: Vec<_> = told_of.iter().map(|(finding, times)| (finding.why.as_str(), *times)).collect();
        assert_eq!(counts, [("too large: 70", 2), ("no date", 1)]);

        let many = told((0..100).map(|number| "z".repeat(WORDS_MAX - 50 + number)));
        assert_eq!(many.len(), KINDS_MAX + 1);
        assert_eq!(many.last().unwrap().1, (100 - KINDS_MAX) as u64);
        assert!(many.iter().all(|(finding, _)| finding.why.chars().count() <= WORDS_MAX + 1));
    }
}
