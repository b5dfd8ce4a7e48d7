//! Values on the right of a comparison, and how an event's value compares with them.
//!
//! Windows' rule (MS-EVEN6 2.2.15.2): the form of the right operand decides the type, the left one
//! is converted to it, and where it cannot be, the comparison is false, `!=` included. Text is
//! compared with its case.

use super::lex::Op;
use crate::event::{Timestamp, Value};
use std::cmp::Ordering;
use std::fmt;

/// A quoted value or a number, with the type that its form gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    written: Box<str>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Bool(bool),
    /// Digits without braces and dashes, as they are read.
    Guid(u128),
    Sid,
    Time(Timestamp),
    Number(Number),
}

/// Whole numbers are exact: record ids and keywords use all of their 64 bits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// The flag remembers that it was written as hex.
    Whole(i128, bool),
    Double(f64),
}

impl Literal {
    pub(super) fn quoted(text: &str) -> Self {
        let kind = if let Some(guid) = guid(text.as_bytes()) {
            Kind::Guid(guid)
        } else if let Some(time) = time(text.as_bytes()).filter(|_| text.ends_with('Z')) {
            Kind::Time(time)
        } else if is_sid(text.as_bytes()) {
            Kind::Sid
        } else {
            match text {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                _ => Kind::Text,
            }
        };
        Self { written: text.into(), kind }
    }

    pub(super) fn number(number: Number) -> Self {
        Self { written: number.to_string().into(), kind: Kind::Number(number) }
    }

    pub(super) fn time(&self) -> Option<Timestamp> {
        match self.kind {
            Kind::Time(time) => Some(time),
            _ => None,
        }
    }

    /// Digits after the point of a time; Windows reads at most three.
    pub(super) fn fraction_digits(&self) -> usize {
        match (self.kind, self.written.rsplit_once('.')) {
            (Kind::Time(_), Some((_, fraction))) => fraction.len() - 1,
            _ => 0,
        }
    }

    /// Whether `<` and `>` mean something for it.
    pub(super) fn is_ordered(&self) -> bool {
        matches!(self.kind, Kind::Time(_) | Kind::Number(_))
    }

    pub(super) fn holds(&self, value: Value<'_>, op: Op, scratch: &mut Vec<u8>) -> bool {
        let ordering = match self.kind {
            Kind::Number(right) => Number::of(value, scratch).and_then(|left| left.order(right)),
            Kind::Time(right) => time_of(value, scratch).map(|left| left.cmp(&right)),
            Kind::Guid(right) => match value {
                // Data1 to Data3 are little-endian (MS-DTYP 2.3.4).
                Value::Guid(bytes) => Some(equal(from_bytes(bytes) == right)),
                _ => guid(text_of(value, scratch)).map(|left| equal(left == right)),
            },
            Kind::Sid => {
                let left = text_of(value, scratch);
                is_sid(left).then(|| equal(left.eq_ignore_ascii_case(self.written.as_bytes())))
            }
            Kind::Bool(right) => boolean(text_of(value, scratch)).map(|left| equal(left == right)),
            Kind::Text => Some(equal(is_text(value, self.written.as_bytes(), scratch))),
        };
        ordering.is_some_and(|ordering| op.holds(ordering))
    }
}

/// Equality as an ordering; which way unequal values go is never asked.
fn equal(equal: bool) -> Ordering {
    if equal { Ordering::Equal } else { Ordering::Less }
}

impl Number {
    /// None when it does not fit 64 bits.
    pub(super) fn parse(written: &str) -> Option<Self> {
        match digits(written.as_bytes())? {
            Number::Whole(number, _) if u64::try_from(number).is_err() => None,
            Number::Double(number) if !number.is_finite() || !written.contains('.') => None,
            number => Some(number),
        }
    }

    pub(super) fn of(value: Value<'_>, scratch: &mut Vec<u8>) -> Option<Self> {
        match value {
            Value::Unsigned(number) | Value::Hex(number) => Some(Self::Whole(number.into(), false)),
            Value::Signed(number) => Some(Self::Whole(number.into(), false)),
            _ => {
                let text = text_of(value, scratch).trim_ascii();
                match text.strip_prefix(b"-") {
                    Some(b"") => None,
                    Some([b'0', b'x' | b'X', ..]) => None,
                    Some(text) => digits(text).map(|number| match number {
                        Self::Whole(number, hex) => Self::Whole(-number, hex),
                        Self::Double(number) => Self::Double(-number),
                    }),
                    None => digits(text),
                }
            }
        }
    }

    pub(super) fn order(self, right: Number) -> Option<Ordering> {
        let double = |number| match number {
            Self::Whole(number, _) => number as f64,
            Self::Double(number) => number,
        };
        match (self, right) {
            (Self::Whole(left, _), Self::Whole(right, _)) => Some(left.cmp(&right)),
            _ => double(self).partial_cmp(&double(right)),
        }
    }

    pub(super) fn bits(self) -> Option<u64> {
        match self {
            Self::Whole(number, _) => u64::try_from(number).ok(),
            Self::Double(_) => None,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.order(*other) == Some(Ordering::Equal)
    }
}

/// `12`, `1.5`, `.5`, `5.` or `0x1F`; whole numbers past 128 bits are read as doubles.
fn digits(text: &[u8]) -> Option<Number> {
    if let [b'0', b'x' | b'X', hex @ ..] = text {
        let fits = !hex.is_empty() && hex.len() <= 16;
        let number = hex
            .iter()
            .try_fold(0_i128, |number, &byte| Some(number << 4 | i128::from(char::from(byte).to_digit(16)?)));
        return number.filter(|_| fits).map(|number| Number::Whole(number, true));
    }
    let whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole == text.len() && (1..=38).contains(&whole) {
        return Some(Number::Whole(
            text.iter().fold(0, |number, byte| number * 10 + i128::from(byte - b'0')),
            false,
        ));
    }
    let plain = text.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.');
    let double = std::str::from_utf8(text).ok().filter(|_| plain)?.parse().ok()?;
    Some(Number::Double(double))
}

pub(super) fn time_of(value: Value<'_>, scratch: &mut Vec<u8>) -> Option<Timestamp> {
    match value {
        Value::FileTime(ticks) => Timestamp::of_filetime(ticks),
        _ => time(text_of(value, scratch)),
    }
}

fn time(text: &[u8]) -> Option<Timestamp> {
    Timestamp::parse(text.trim_ascii())
}

/// With or without braces, in either case.
fn guid(text: &[u8]) -> Option<u128> {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let text = match text {
        [b'{', inner @ .., b'}'] => inner,
        _ => text,
    };
    if text.len() != 36 {
        return None;
    }
    text.iter().enumerate().try_fold(0_u128, |guid, (index, &byte)| {
        if DASHES.contains(&index) {
            return (byte == b'-').then_some(guid);
        }
        Some(guid << 4 | u128::from(char::from(byte).to_digit(16)?))
    })
}

fn from_bytes(bytes: &[u8; 16]) -> u128 {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    u128::from_be_bytes([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
}

/// `S-1-`, the authority in decimal or hex, then sub-authorities in decimal (MS-DTYP 2.4.2.1).
fn is_sid(text: &[u8]) -> bool {
    let [b'S' | b's', b'-', b'1', b'-', rest @ ..] = text else { return false };
    let mut parts = rest.split(|&byte| byte == b'-');
    let authority = match parts.next() {
        Some([b'0', b'x' | b'X', hex @ ..]) => !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit),
        Some(decimal) => is_decimal(decimal),
        None => false,
    };
    authority && parts.all(is_decimal)
}

fn is_decimal(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// As XML Schema reads a boolean.
fn boolean(text: &[u8]) -> Option<bool> {
    match text.trim_ascii() {
        b"1" => Some(true),
        b"0" => Some(false),
        word if word.eq_ignore_ascii_case(b"true") => Some(true),
        word if word.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

fn is_text(value: Value<'_>, expected: &[u8], scratch: &mut Vec<u8>) -> bool {
    match value {
        // Line ends fold when decoded, so only text without them is compared in place.
        Value::Utf16(units) if expected.is_ascii() && memchr::memchr2(b'\r', b'\n', expected).is_none() => {
            units.len() == expected.len() * 2
                && units.chunks_exact(2).zip(expected).all(|(unit, &byte)| unit == [byte, 0])
        }
        _ => text_of(value, scratch) == expected,
    }
}

/// The text of a value, in place where it stands as it is.
fn text_of<'v>(value: Value<'v>, scratch: &'v mut Vec<u8>) -> &'v [u8] {
    match value {
        Value::Plain(text) | Value::Text(text) => text,
        Value::Xml(raw) if memchr::memchr2(b'&', b'\r', raw).is_none() => raw,
        _ => {
            scratch.clear();
            value.write_text(scratch);
            scratch
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Number(_) => f.write_str(&self.written),
            // A literal was read between one kind of quote, so it never holds both.
            _ if self.written.contains('\'') => write!(f, "\"{}\"", self.written),
            _ => write!(f, "'{}'", self.written),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number, true) => write!(f, "0x{number:x}"),
            Self::Whole(number, false) => write!(f, "{number}"),
            // Always with a point, so that it is read as a double again.
            Self::Double(number) if number.fract() == 0.0 => write!(f, "{number}.0"),
            Self::Double(number) => write!(f, "{number}"),
        }
    }
}
