//! The names of one flat object, each once: the rule for those that collide, shared by the formats that
//! put what an event calls its values beside names of their own.
//!
//! - Names that differ in ASCII case only are the same: many stores fold it.
//! - A format's own names are its own whether this event has a value for them or not, so what stands
//!   under one is always of one kind.
//! - A name that is taken gets `_` and the place of its value among those of the event behind it
//!   (`Message_3`), and again where that is taken too.
//! - An event gives at most `KEYS_MAX`; what becomes of the rest is the format's affair.

use super::json::keys::Keys;
use crate::event::Value;

#[derive(Debug, Default)]
pub(super) struct Names {
    /// Of the format.
    own: Keys,
    own_bytes: usize,
    /// Of the event.
    keys: Keys,
    /// All of them in lower case, one behind the other.
    text: Vec<u8>,
}

impl Names {
    pub(super) fn new(own: &[&str]) -> Self {
        let mut names = Self::default();
        for name in own {
            let start = names.text.len();
            names.text.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
            names.own.take(&names.text, 0, start, names.text.len());
        }
        names.own_bytes = names.text.len();
        names
    }

    /// Before an event.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.text.truncate(self.own_bytes);
    }

    /// Takes a name for the event; false when somebody has it, or there are too many.
    pub(super) fn take(&mut self, name: &[u8]) -> bool {
        let start = self.text.len();
        self.text.extend(name.iter().map(u8::to_ascii_lowercase));
        let end = self.text.len();
        let free = !self.own.has(&self.text, 0, start, end) && self.keys.take(&self.text, 0, start, end);
        if !free {
            self.text.truncate(start);
        }
        free
    }

    /// Takes the name that `out` ends with, from `start` on, after giving it the end that makes it one of
    /// its own. False when there are too many: it is then gone from `out`.
    pub(super) fn settle(&mut self, start: usize, place: usize, out: &mut Vec<u8>) -> bool {
        while !self.take(&out[start..]) {
            if self.keys.is_full() {
                out.truncate(start);
                return false;
            }
            out.push(b'_');
            Value::Unsigned(place as u64).write_text(out);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::KEYS_MAX;
    use super::*;

    /// What names become that stand at places 1, 2, 3 …; "" for one that finds no room.
    fn settled(names: &mut Names, given: &[&str]) -> Vec<String> {
        names.clear();
        let settle = |(index, name): (usize, &&str)| {
            let mut out = format!("before{name}").into_bytes();
            names.settle("before".len(), index + 1, &mut out);
            String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
        };
        given.iter().enumerate().map(settle).collect()
    }

    #[test]
    fn a_name_that_is_taken_has_its_place_behind_it() {
        let mut names = Names::new(&["EventID", "Message"]);
        for _ in 0..2 {
            let found = settled(&mut names, &["A", "Message", "A", "a", "eventid", "B", ""]);
            assert_eq!(found, ["A", "Message_2", "A_3", "a_4", "eventid_5", "B", ""]);
        }
    }

    #[test]
    fn a_name_that_looks_like_one_with_a_place_is_no_other() {
        let mut names = Names::new(&[]);
        assert_eq!(settled(&mut names, &["A_3", "A", "A", "A_3"]), ["A_3", "A", "A_3_3", "A_3_4"]);
    }

    #[test]
    fn names_beyond_ascii_are_told_apart_by_case() {
        let mut names = Names::new(&[]);
        assert_eq!(settled(&mut names, &["Ü", "ü", "Ü"]), ["Ü", "ü", "Ü_3"]);
    }

    #[test]
    fn there_are_as_many_as_the_limit_beside_those_of_the_format() {
        let mut names = Names::new(&["Message"]);
        let given: Vec<String> = (0..KEYS_MAX + 2).map(|n| format!("N{n}")).collect();
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let found = settled(&mut names, &given);
        assert_eq!(found[..KEYS_MAX], given[..KEYS_MAX]);
        assert_eq!(found[KEYS_MAX..], ["", ""]);
    }

    #[test]
    fn the_same_name_over_and_over_stays_affordable() {
        let mut names = Names::new(&[]);
        let found = settled(&mut names, &["x"; 100_000]);
        assert_eq!(found.iter().filter(|name| !name.is_empty()).count(), KEYS_MAX);
        assert_eq!(found[..3], ["x", "x_2", "x_3"]);
    }
}
