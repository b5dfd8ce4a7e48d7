//! Sets of event ids and levels: `4624`, `"4700-4799"`, `"error"`.
//!
//! Kept as sorted ranges that neither touch nor overlap: a lookup is a binary search in a few
//! pairs, and a range over all ids costs no more than a single one.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Largest event id: they are 16 bits wide (event.xsd, `EventIDType`).
pub const EVENT_ID_MAX: u64 = u16::MAX as u64;
/// Largest level: they are 8 bits wide.
pub const LEVEL_MAX: u64 = u8::MAX as u64;

/// Numbers from sorted, disjoint ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers(Vec<(u64, u64)>);

impl Numbers {
    pub(super) fn of(ranges: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let joins = next.0 <= before.1.saturating_add(1);
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
        Self(ranges)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|&(from, _)| from <= number);
        after > 0 && number <= self.0[after - 1].1
    }
}

/// An event id or a range of them, as the pipeline file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange(pub u64, pub u64);

/// A level (0 to 255, or its name) or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelRange(pub u64, pub u64);

impl IdRange {
    pub fn parse(text: &str) -> Result<Self, String> {
        parse(text, EVENT_ID_MAX, |_| None).map(|(from, to)| Self(from, to)).ok_or_else(|| {
            format!(
                "`{text}` is no event id; write a number from 0 to {EVENT_ID_MAX} or a range such as \
                 \"4700-4799\""
            )
        })
    }
}

impl LevelRange {
    pub fn parse(text: &str) -> Result<Self, String> {
        // Names as Event Viewer shows them; 0 (log always) is shown as Information as well.
        let named = |name: &str| match name.to_ascii_lowercase().as_str() {
            "critical" => Some((1, 1)),
            "error" => Some((2, 2)),
            "warning" => Some((3, 3)),
            "information" => Some((4, 4)),
            "verbose" => Some((5, 5)),
            _ => None,
        };
        parse(text, LEVEL_MAX, named).map(|(from, to)| Self(from, to)).ok_or_else(|| {
            format!(
                "`{text}` is no level; write a number (0 always, 1 critical, 2 error, 3 warning, 4 \
                 information, 5 verbose), one of these names, or a range such as \"1-3\""
            )
        })
    }
}

fn parse(text: &str, max: u64, named: impl Fn(&str) -> Option<(u64, u64)>) -> Option<(u64, u64)> {
    let number = |digits: &str| -> Option<u64> {
        let digits = digits.trim();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten().filter(|&number| number <= max)
    };
    if let Some(range) = named(text.trim()) {
        return Some(range);
    }
    let (from, to) = match text.split_once('-') {
        Some((from, to)) => (number(from)?, number(to)?),
        None => (number(text)?, number(text)?),
    };
    (from <= to).then_some((from, to))
}

macro_rules! read_as_number_or_text {
    ($range:ident, $max:expr, $expecting:literal, $examples:tt) => {
        impl<'de> Deserialize<'de> for $range {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Written;
                impl Visitor<'_> for Written {
                    type Value = $range;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_i64<E: Error>(self, number: i64) -> Result<$range, E> {
                        $range::parse(&number.to_string()).map_err(E::custom)
                    }

                    fn visit_u64<E: Error>(self, number: u64) -> Result<$range, E> {
                        $range::parse(&number.to_string()).map_err(E::custom)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$range, E> {
                        $range::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Written)
            }
        }

        impl JsonSchema for $range {
            fn schema_name() -> Cow<'static, str> {
                stringify!($range).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({
                    "anyOf": [
                        { "type": "integer", "minimum": 0, "maximum": $max },
                        { "type": "string", "examples": $examples },
                    ]
                })
            }
        }
    };
}

read_as_number_or_text!(IdRange, EVENT_ID_MAX, "an event id or a range such as \"4700-4799\"", ["4700-4799"]);
read_as_number_or_text!(LevelRange, LEVEL_MAX, "a level: a number, a name or a range", ["1-3", "error"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let numbers = Numbers::of([(5, 9), (1, 1), (10, 12), (2, 3), (7, 8)].into_iter());
        assert_eq!(numbers, Numbers(vec![(1, 3), (5, 12)]));
        for number in 0..20 {
            assert_eq!(numbers.contains(number), matches!(number, 1..=3 | 5..=12), "{number}");
        }
        assert!(!Numbers::default().contains(0));
    }

    #[test]
    fn what_is_no_id_says_what_would_be() {
        assert_eq!(IdRange::parse(" 4700 - 4799"), Ok(IdRange(4700, 4799)));
        for wrong in ["", "x", "5-1", "70000", "-1", "1-2-3", "+5"] {
            assert!(IdRange::parse(wrong).unwrap_err().contains("4700-4799"), "{wrong}");
        }
    }

    #[test]
    fn levels_have_names() {
        assert_eq!(LevelRange::parse("Error"), Ok(LevelRange(2, 2)));
        assert_eq!(LevelRange::parse("1-3"), Ok(LevelRange(1, 3)));
        assert!(LevelRange::parse("<=3").unwrap_err().contains("1-3"));
    }
}
