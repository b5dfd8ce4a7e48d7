//! Frames of RELP, as bytes: `TXNR SP COMMAND SP DATALEN [SP DATA] LF`, and what stands in answers.
//!
//! Source: the specification of RELP, "RELP FRAME", "COMMAND SEMANTICS" and "OFFERS". Pure: a prefix of a frame asks
//! for more, and what can no longer become a frame is an error at once, so nothing is gathered without a bound.

use std::fmt;

/// Largest number of a transaction, after which 1 comes again.
pub const TXNR_MAX: u32 = 999_999_999;
/// Longest data of an answer: offers at the opening, a line of words otherwise.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Longest name of a command.
pub const COMMAND_BYTES_MAX: usize = 32;
/// Numbers have no more digits.
const DIGITS_MAX: usize = 9;
/// Longest text of the receiver that is told.
const WORDS_BYTES_MAX: usize = 200;

/// A frame of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub txnr: u32,
    pub command: &'a [u8],
    pub data: &'a [u8],
}

/// What cannot be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Number,
    Command,
    /// So many bytes of data.
    Long(u32),
    /// The byte where LF should be.
    End(u8),
    /// An answer that does not begin with three digits.
    Code,
}

/// The data of `rsp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// 200 is good.
    pub code: u16,
    /// In the receiver's own words.
    pub words: String,
    /// What follows them, as the offers of `open`.
    pub rest: &'a [u8],
}

/// What a receiver accepted of our offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// It says which protocol it speaks.
    pub version: bool,
    /// It takes the command `syslog`.
    pub syslog: bool,
}

impl<'a> Frame<'a> {
    /// The first frame of the bytes, and how many of them it takes. None: it is not whole yet.
    ///
    /// # Errors
    /// Whatever follows, this will not be a frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Wrong> {
        let Some((txnr, at)) = number(bytes, 0, |end| end == b' ')? else { return Ok(None) };
        let command_at = at + 1;
        let letters = bytes[command_at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if letters > COMMAND_BYTES_MAX {
            return Err(Wrong::Command);
        }
        match bytes.get(command_at + letters) {
            None => return Ok(None),
            Some(b' ') if letters > 0 => {}
            Some(_) => return Err(Wrong::Command),
        }
        let command = &bytes[command_at..command_at + letters];
        let length_at = command_at + letters + 1;
        let Some((length, end)) = number(bytes, length_at, |end| matches!(end, b' ' | b'\n'))? else {
            return Ok(None);
        };
        if length as usize > ANSWER_BYTES_MAX {
            return Err(Wrong::Long(length));
        }
        let length = length as usize;
        // With nothing to come, both the bare LF of the grammar and a blank before it are seen.
        let data_at = match (bytes[end], length) {
            (b'\n', 0) => end,
            (b'\n', _) => return Err(Wrong::Number),
            _ => end + 1,
        };
        match bytes.get(data_at + length) {
            None => Ok(None),
            Some(b'\n') => {
                let data = &bytes[data_at..data_at + length];
                Ok(Some((Self { txnr, command, data }, data_at + length + 1)))
            }
            Some(other) => Err(Wrong::End(*other)),
        }
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        put(self.txnr, out);
        out.push(b' ');
        out.extend_from_slice(self.command);
        out.push(b' ');
        put(u32::try_from(self.data.len()).expect("a message is far below 4 GiB"), out);
        if !self.data.is_empty() {
            out.push(b' ');
            out.extend_from_slice(self.data);
        }
        out.push(b'\n');
    }
}

/// Digits from `at`, and where they end. None: more may come.
fn number(bytes: &[u8], at: usize, ends: impl Fn(u8) -> bool) -> Result<Option<(u32, usize)>, Wrong> {
    let mut value = 0;
    for (count, byte) in bytes[at..].iter().enumerate() {
        match byte {
            b'0'..=b'9' if count < DIGITS_MAX => value = value * 10 + u32::from(byte - b'0'),
            byte if count > 0 && ends(*byte) => return Ok(Some((value, at + count))),
            _ => return Err(Wrong::Number),
        }
    }
    Ok(None)
}

fn put(number: u32, out: &mut Vec<u8>) {
    let (mut digits, mut at, mut rest) = ([0; 10], 10, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

impl<'a> Answer<'a> {
    /// # Errors
    /// When it does not begin with three digits.
    pub fn parse(data: &'a [u8]) -> Result<Self, Wrong> {
        let (first, rest) = match memchr::memchr(b'\n', data) {
            Some(end) => (&data[..end], &data[end + 1..]),
            None => (data, &data[data.len()..]),
        };
        let (code, words) = first.split_at_checked(3).ok_or(Wrong::Code)?;
        if !code.iter().all(u8::is_ascii_digit) || words.first().is_some_and(|byte| *byte != b' ') {
            return Err(Wrong::Code);
        }
        let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        let words = words[..words.len().min(WORDS_BYTES_MAX)].trim_ascii();
        let words = String::from_utf8_lossy(words).replace(char::is_control, "?");
        Ok(Self { code, words, rest })
    }

    pub fn is_good(&self) -> bool {
        self.code == 200
    }

    /// A line for each.
    pub fn offers(&self) -> Offers {
        let mut offers = Offers::default();
        for line in self.rest.split(|byte| *byte == b'\n') {
            let at = memchr::memchr(b'=', line).unwrap_or(line.len());
            let (name, values) = line.split_at(at);
            let mut values = values.get(1..).unwrap_or_default().split(|byte| *byte == b',');
            match name {
                b"relp_version" => offers.version = true,
                b"commands" => offers.syslog |= values.any(|value| value == b"syslog"),
                _ => {}
            }
        }
        offers
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("a number of one to nine digits should stand there"),
            Self::Command => f.write_str("the name of a command should stand there"),
            Self::Long(bytes) => write!(f, "an answer of {bytes} bytes, and {ANSWER_BYTES_MAX} are taken"),
            Self::End(byte) => write!(f, "a frame ends with {byte:#04x} and not with LF"),
            Self::Code => f.write_str("an answer does not begin with a code of three digits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parse(text: &str) -> Result<Option<(u32, String, String, usize)>, Wrong> {
        let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parsed = Frame::parse(text.as_bytes())?;
        Ok(parsed.map(|(frame, taken)| (frame.txnr, text_of(frame.command), text_of(frame.data), taken)))
    }

    #[test]
    fn frames_are_read_one_after_the_other() {
        let both = "2 rsp 6 200 OK\n3 rsp 6 200 OK\n";
        assert_eq!(parse(both), Ok(Some((2, "rsp".into(), "200 OK".into(), 15))));
        assert_eq!(parse("0 serverclose 0\n"), Ok(Some((0, "serverclose".into(), String::new(), 16))));
        assert_eq!(parse("0 serverclose 0 \n"), Ok(Some((0, "serverclose".into(), String::new(), 17))));
        assert_eq!(parse("7 rsp 3 a\nb\nx"), Ok(Some((7, "rsp".into(), "a\nb".into(), 12))));
    }

    #[test]
    fn each_beginning_of_a_frame_asks_for_more() {
        let whole = "999999999 rsp 12 200 OK\na=b,c\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{}", &whole[..end]);
        }
        assert!(parse(whole).unwrap().is_some());
    }

    #[test]
    fn what_cannot_become_a_frame_is_told_at_once() {
        for (text, wrong) in [
            ("x", Wrong::Number),
            (" ", Wrong::Number),
            ("1234567890", Wrong::Number),
            ("1 2", Wrong::Command),
            ("1  ", Wrong::Command),
            ("1 rsp\n", Wrong::Command),
            ("1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Wrong::Command),
            ("1 rsp x", Wrong::Number),
            ("1 rsp 5\n", Wrong::Number),
            ("1 rsp 9000 ", Wrong::Long(9000)),
            ("1 rsp 2 abc", Wrong::End(b'c')),
            ("HTTP/1.1 400", Wrong::Number),
            ("\u{15}\u{3}\u{3}", Wrong::Number),
        ] {
            assert_eq!(parse(text), Err(wrong), "{text:?}");
        }
    }

    #[test]
    fn answers_have_a_code_words_and_offers() {
        let open = Answer::parse(
            b"200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://x\ncommands=eventlog,syslog",
        );
        let open = open.unwrap();
        assert!(open.is_good());
        assert_eq!((open.words.as_str(), open.offers()), ("OK", Offers { version: true, syslog: true }));
        assert_eq!(Answer::parse(b"200 OK\n\ncommands=syslogs\n").unwrap().offers(), Offers::default());
        let bad = Answer::parse(b"500 disk\tfull").unwrap();
        assert_eq!((bad.code, bad.words.as_str(), bad.is_good()), (500, "disk?full", false));
        assert_eq!(Answer::parse(b"200").unwrap().words, "");
        for wrong in [&b""[..], b"20", b"2000", b"2x0 OK", b"\n200"] {
            assert_eq!(Answer::parse(wrong), Err(Wrong::Code), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut out = Vec::new();
        for frame in [
            Frame { txnr: 1, command: b"open", data: b"relp_version=0" },
            Frame { txnr: TXNR_MAX, command: b"close", data: b"" },
        ] {
            out.clear();
            frame.write(&mut out);
            assert_eq!(Frame::parse(&out), Ok(Some((frame, out.len()))));
        }
    }
}
