//! UTF-8 or UTF-16 in, UTF-8 out, with the way back from a place in the text to the byte of the
//! file, so that a position can be resumed.
//!
//! Pure. UTF-8 passes as it is (whether an event's bytes are valid is asked later, event by event).

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// From the first four bytes of the input, and how many of them are the byte order mark.
    /// Without a mark, UTF-16 is recognised by the zero beside an ASCII character.
    pub(super) fn detect(head: &[u8]) -> (Self, usize) {
        match head {
            [0xef, 0xbb, 0xbf, ..] => (Self::Utf8, 3),
            [0xff, 0xfe, ..] => (Self::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Self::Utf16Be, 2),
            [first, 0, ..] if *first != 0 => (Self::Utf16Le, 0),
            [0, second, ..] if *second != 0 => (Self::Utf16Be, 0),
            _ => (Self::Utf8, 0),
        }
    }
}

/// Turns what is read into UTF-8, piece by piece.
#[derive(Debug)]
pub(super) struct Transcoder {
    encoding: Encoding,
    /// A unit that was cut in two by the end of a read.
    half: Option<u8>,
    /// A high surrogate that waits for its other half.
    high: Option<u16>,
    /// Text written so far, in bytes.
    written: u64,
    /// Where in the text a lone surrogate became U+FFFD, ascending.
    replaced: VecDeque<u64>,
}

impl Transcoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, half: None, high: None, written: 0, replaced: VecDeque::new() }
    }

    /// Appends the text of `raw` to `out`.
    pub(super) fn push(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        if self.encoding == Encoding::Utf8 {
            out.extend_from_slice(raw);
        } else {
            let joined = self.half.take().and_then(|half| raw.first().map(|&second| (half, second)));
            let rest = if let Some((half, second)) = joined {
                self.unit([half, second], start, out);
                &raw[1..]
            } else {
                raw
            };
            let pairs = rest.chunks_exact(2);
            self.half = pairs.remainder().first().copied();
            for pair in pairs {
                self.unit([pair[0], pair[1]], start, out);
            }
        }
        self.written += (out.len() - start) as u64;
    }

    /// The input ended: what was cut off becomes U+FFFD.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.high.take().is_some() || self.half.take().is_some() {
            self.lone(start, out);
        }
        self.written += (out.len() - start) as u64;
    }

    /// How many bytes of the input made `text`, which this transcoder wrote.
    pub(super) fn raw_len(&self, text: &[u8]) -> u64 {
        match self.encoding {
            Encoding::Utf8 => text.len() as u64,
            // One unit for each character, two for those that take four bytes of UTF-8; a lone
            // surrogate was one unit, as U+FFFD is.
            Encoding::Utf16Le | Encoding::Utf16Be => {
                2 * text
                    .iter()
                    .map(|&byte| u64::from(byte & 0xc0 != 0x80) + u64::from(byte >= 0xf0))
                    .sum::<u64>()
            }
        }
    }

    /// Whether something was replaced in the text before `end`; forgets what lies before it.
    pub(super) fn replaced_before(&mut self, end: u64) -> bool {
        let mut any = false;
        while self.replaced.front().is_some_and(|&at| at < end) {
            self.replaced.pop_front();
            any = true;
        }
        any
    }

    fn unit(&mut self, bytes: [u8; 2], start: usize, out: &mut Vec<u8>) {
        let unit = match self.encoding {
            Encoding::Utf16Be => u16::from_be_bytes(bytes),
            _ => u16::from_le_bytes(bytes),
        };
        let pending = self.high.take();
        if let Some(high) = pending {
            if let Some(Ok(character)) = char::decode_utf16([high, unit]).next() {
                return append(character, out);
            }
            self.lone(start, out);
        }
        match char::decode_utf16([unit]).next() {
            Some(Ok(character)) => append(character, out),
            _ if (0xd800..0xdc00).contains(&unit) => self.high = Some(unit),
            _ => self.lone(start, out),
        }
    }

    fn lone(&mut self, start: usize, out: &mut Vec<u8>) {
        self.replaced.push_back(self.written + (out.len() - start) as u64);
        append(char::REPLACEMENT_CHARACTER, out);
    }
}

fn append(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(units: &[u16], big: bool) -> Vec<u8> {
        units.iter().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn the_encoding_is_told_by_the_mark_or_by_the_zeros() {
        assert_eq!(Encoding::detect(b"\xef\xbb\xbf<"), (Encoding::Utf8, 3));
        assert_eq!(Encoding::detect(b"\xff\xfe<\0"), (Encoding::Utf16Le, 2));
        assert_eq!(Encoding::detect(b"\xfe\xff\0<"), (Encoding::Utf16Be, 2));
        assert_eq!(Encoding::detect(b"<\0E\0"), (Encoding::Utf16Le, 0));
        assert_eq!(Encoding::detect(b"\0<\0E"), (Encoding::Utf16Be, 0));
        assert_eq!(Encoding::detect(b"<Eve"), (Encoding::Utf8, 0));
        assert_eq!(Encoding::detect(b""), (Encoding::Utf8, 0));
    }

    #[test]
    fn a_lone_surrogate_is_replaced_and_known() {
        let mut transcoder = Transcoder::new(Encoding::Utf16Le);
        let mut text = Vec::new();
        transcoder.push(&bytes(&[0x41, 0xd800, 0x42, 0xdc00], false), &mut text);
        transcoder.finish(&mut text);
        assert_eq!(text, "A\u{fffd}B\u{fffd}".as_bytes());
        assert!(!transcoder.replaced_before(1));
        assert!(transcoder.replaced_before(2));
        assert!(transcoder.replaced_before(8));
    }

    proptest! {
        #[test]
        fn utf16_cut_anywhere_is_the_same_text_and_leads_back(
            units in proptest::collection::vec(prop_oneof![any::<u16>(), 0x20_u16..0x7f, 0xd7f0_u16..0xe010], 0..64),
            cuts in proptest::collection::vec(1_usize..9, 1..40),
            big: bool,
        ) {
            let raw = bytes(&units, big);
            let mut transcoder = Transcoder::new(if big { Encoding::Utf16Be } else { Encoding::Utf16Le });
            let (mut text, mut rest) = (Vec::new(), &raw[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                transcoder.push(now, &mut text);
                rest = later;
            }
            transcoder.finish(&mut text);
            prop_assert_eq!(String::from_utf8_lossy(&text), String::from_utf16_lossy(&units));
            prop_assert_eq!(transcoder.raw_len(&text), raw.len() as u64);
        }
    }
}
