//! DER as far as Kerberos and SPNEGO need it: elements of low tag numbers and definite lengths.
//!
//! A [`Der`] is a piece of bytes read from front to back; what it hands out is a smaller piece of the same.
//! It never goes into an element by itself, so nesting costs nothing that its caller does not ask for, and
//! it copies nothing. Lengths need not be the shortest form: Windows writes longer ones.
//! Must not know: what the elements mean.

use crate::event::Timestamp;
use thiserror::Error;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const TIME: u8 = 0x18;
pub(super) const TEXT: u8 = 0x1b;

/// The tag of field `number` of a sequence.
pub(super) const fn field(number: u8) -> u8 {
    0xa0 | number
}

/// The tag of an application's own type.
pub(super) const fn application(number: u8) -> u8 {
    0x60 | number
}

/// Why bytes are not the element that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DerError {
    #[error("no {expected} at byte {at}")]
    Expected { expected: &'static str, at: usize },
    #[error("the {expected} at byte {at} goes past the end")]
    Cut { expected: &'static str, at: usize },
    #[error("the {expected} at byte {at} has a length without end or of more than four bytes")]
    Length { expected: &'static str, at: usize },
}

/// What is left of an element's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Der<'a> {
    rest: &'a [u8],
    /// Where `rest` begins in the whole, for errors.
    at: usize,
}

impl<'a> Der<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    pub(super) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    /// Whether an element with this tag is next.
    pub(super) fn is_next(self, tag: u8) -> bool {
        self.rest.first() == Some(&tag)
    }

    pub(super) const fn expected(self, expected: &'static str) -> DerError {
        DerError::Expected { expected, at: self.at }
    }

    /// The content of the next element, which has this tag.
    pub(super) fn take(&mut self, tag: u8, expected: &'static str) -> Result<Self, DerError> {
        if self.is_next(tag) { Ok(self.any(expected)?.1) } else { Err(self.expected(expected)) }
    }

    /// The next element, whatever it is.
    pub(super) fn any(&mut self, expected: &'static str) -> Result<(u8, Self), DerError> {
        let at = self.at;
        let [tag, first, rest @ ..] = self.rest else {
            return Err(self.expected(expected));
        };
        // A tag of several bytes is in nothing that is read here.
        if tag & 0x1f == 0x1f {
            return Err(self.expected(expected));
        }
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (digits, rest) =
                    rest.split_at_checked(usize::from(first & 0x7f)).ok_or(DerError::Cut { expected, at })?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return Err(DerError::Length { expected, at }),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(DerError::Cut { expected, at })?;
        let end = at + self.rest.len() - rest.len();
        *self = Self { rest, at: end };
        Ok((*tag, Self { rest: content, at: end - length }))
    }

    /// The content of field `number`: what is within its own tag, which is `tag`.
    pub(super) fn field(&mut self, number: u8, tag: u8, expected: &'static str) -> Result<Self, DerError> {
        self.take(field(number), expected)?.take(tag, expected)
    }

    /// The same, if the field is next.
    pub(super) fn optional(
        &mut self,
        number: u8,
        tag: u8,
        expected: &'static str,
    ) -> Result<Option<Self>, DerError> {
        match self.is_next(field(number)) {
            true => self.field(number, tag, expected).map(Some),
            false => Ok(None),
        }
    }

    /// Passes over fields up to `number`, which is not passed.
    pub(super) fn skip_to(&mut self, number: u8) -> Result<(), DerError> {
        while self.rest.first().is_some_and(|tag| (field(0)..field(number)).contains(tag)) {
            self.any("field")?;
        }
        Ok(())
    }

    /// A number that fits in 64 bits.
    pub(super) fn integer(self, expected: &'static str) -> Result<i64, DerError> {
        let [first, ..] = self.rest else { return Err(self.expected(expected)) };
        if self.rest.len() > 8 {
            return Err(self.expected(expected));
        }
        let sign = if first & 0x80 == 0 { 0 } else { -1 };
        Ok(self.rest.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
    }

    pub(super) fn int32(self, expected: &'static str) -> Result<i32, DerError> {
        self.integer(expected)?.try_into().map_err(|_| self.expected(expected))
    }

    /// 32 bits without a sign; old writers give them one.
    pub(super) fn uint32(self, expected: &'static str) -> Result<u32, DerError> {
        let number = self.integer(expected)?;
        match (u32::try_from(number), i32::try_from(number)) {
            (Ok(number), _) => Ok(number),
            (_, Ok(number)) => Ok(number.cast_unsigned()),
            _ => Err(self.expected(expected)),
        }
    }

    /// The first 32 bits of a bit string, the first of them highest.
    pub(super) fn flags(self, expected: &'static str) -> Result<u32, DerError> {
        let [unused @ 0..8, bits @ ..] = self.rest else { return Err(self.expected(expected)) };
        let mut word = [0; 4];
        let length = bits.len().min(4);
        word[..length].copy_from_slice(&bits[..length]);
        let unused = if bits.len() <= 4 { (4 - bits.len()) * 8 + usize::from(*unused) } else { 0 };
        let kept = u32::MAX.checked_shl(unused as u32).unwrap_or(0);
        Ok(u32::from_be_bytes(word) & kept)
    }

    /// `20261129124214Z`. What is later than a [`Timestamp`] can say is its end.
    pub(super) fn time(self, expected: &'static str) -> Result<Timestamp, DerError> {
        let text = self.rest;
        if text.len() != 15 || text[14] != b'Z' || !text[..14].iter().all(u8::is_ascii_digit) {
            return Err(self.expected(expected));
        }
        let mut full = *b"0000-00-00T00:00:00Z";
        for (to, from) in [(0..4, 0..4), (5..7, 4..6), (8..10, 6..8), (11..13, 8..10), (14..16, 10..12)] {
            full[to].copy_from_slice(&text[from]);
        }
        full[17..19].copy_from_slice(&text[12..14]);
        match Timestamp::parse(&full) {
            Some(time) => Ok(time),
            None if text[..4] >= b"2262"[..] => Ok(Timestamp(i64::MAX)),
            None => Err(self.expected(expected)),
        }
    }
}

/// An element with this tag and these contents, one behind the other.
pub(super) fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|content| content.len()).sum();
    let mut out = vec![tag];
    let digits = length.to_be_bytes();
    match length {
        0..0x80 => out.push(digits[7]),
        _ => {
            let digits = &digits[length.leading_zeros() as usize / 8..];
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    contents.iter().for_each(|content| out.extend_from_slice(content));
    out
}

pub(super) fn integer(number: i64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let spare = |pair: &&[u8]| matches!((pair[0], pair[1] & 0x80), (0, 0) | (0xff, 0x80));
    let spare = bytes.windows(2).take_while(spare).count();
    element(INTEGER, &[&bytes[spare..]])
}

/// `20261129124214Z`
pub(super) fn time(time: Timestamp) -> Vec<u8> {
    let mut text = Vec::new();
    time.write(0, &mut text);
    text.retain(|byte| !b"-:T".contains(byte));
    element(TIME, &[&text])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_form_are_read() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; length];
            let bytes = element(OCTETS, &[&content]);
            assert_eq!(Der::new(&bytes).take(OCTETS, "octets").unwrap().rest(), content, "{length}");
        }
        let long = [OCTETS, 0x84, 0, 0, 0, 1, 7];
        assert_eq!(Der::new(&long).take(OCTETS, "octets").unwrap().rest(), [7]);
    }

    #[test]
    fn what_has_no_end_or_goes_past_it_is_refused() {
        let error = |bytes: &[u8]| Der::new(bytes).any("x").unwrap_err();
        let length = DerError::Length { expected: "x", at: 0 };
        let cut = DerError::Cut { expected: "x", at: 0 };
        let none = DerError::Expected { expected: "x", at: 0 };
        assert_eq!(error(&[0x30, 0x80, 0, 0]), length);
        assert_eq!(error(&[0x30, 0x85, 0, 0, 0, 0, 1, 7]), length);
        assert_eq!(error(&[0x30, 0xff, 0]), length);
        assert_eq!(error(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 7]), cut);
        assert_eq!(error(&[0x30, 0x82, 1]), cut);
        assert_eq!(error(&[0x30, 2, 1]), cut);
        assert_eq!(error(&[0x3f, 0x81, 1]), none);
        assert_eq!(error(&[0x30]), none);
        assert_eq!(error(&[]), none);
    }

    #[test]
    fn an_error_says_where_in_the_whole() {
        let bytes = [0x30, 5, 0xa0, 3, 0x02, 1, 7];
        let mut sequence = Der::new(&bytes).take(SEQUENCE, "sequence").unwrap();
        let inner = sequence.field(0, OCTETS, "octets").unwrap_err();
        assert_eq!(inner, DerError::Expected { expected: "octets", at: 4 });
        assert_eq!(
            sequence.take(field(1), "next").unwrap_err(),
            DerError::Expected { expected: "next", at: 7 }
        );
    }

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, -1, 127, 128, -128, -129, 255, 256, i64::from(u32::MAX), i64::MAX, i64::MIN] {
            let bytes = integer(number);
            let content = Der::new(&bytes).take(INTEGER, "number").unwrap();
            assert_eq!(content.integer("number"), Ok(number));
        }
        let number = |bytes: &[u8]| Der { rest: bytes, at: 0 }.uint32("number").ok();
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff]), Some(u32::MAX));
        assert_eq!(number(&[0, 0xff, 0xff, 0xff, 0xff]), Some(u32::MAX));
        assert_eq!(number(&[1, 0, 0, 0, 0]), None);
        assert_eq!(number(&[]), None);
        assert_eq!(number(&[0; 9]), None);
    }

    #[test]
    fn flags_are_the_bits_that_are_used() {
        let flags = |bytes: &[u8]| Der { rest: bytes, at: 0 }.flags("flags").ok();
        assert_eq!(flags(&[0, 0x20, 0, 0, 0]), Some(0x2000_0000));
        assert_eq!(flags(&[5, 0xff]), Some(0xe000_0000));
        assert_eq!(flags(&[0]), Some(0));
        assert_eq!(flags(&[7, 0xff]), Some(0x8000_0000));
        assert_eq!(flags(&[0, 1, 2, 3, 4, 5]), Some(0x0102_0304));
        assert_eq!(flags(&[8, 1]), None);
        assert_eq!(flags(&[]), None);
    }

    #[test]
    fn times_come_back() {
        for text in ["19700101000000Z", "20261129124214Z", "20370913024805Z"] {
            let time = Der { rest: text.as_bytes(), at: 0 }.time("time").unwrap();
            assert_eq!(super::time(time)[2..], *text.as_bytes());
        }
        let late = Der { rest: b"99991231235959Z", at: 0 };
        assert_eq!(late.time("time"), Ok(Timestamp(i64::MAX)));
        for text in
            ["20261329124214Z", "2026112912421Z", "20261129124214.5Z", "20261129124214", "2026112912421xZ"]
        {
            assert!(Der { rest: text.as_bytes(), at: 0 }.time("time").is_err(), "{text}");
        }
    }
}
