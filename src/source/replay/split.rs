//! Cuts a text into events: XML documents in any layout, or JSON lines.
//!
//! ```text
//! between ──`<Event`──► in an event ──its `</Event>`──► between
//!    │ ▲                     │ longer than EVENT_BYTES_MAX
//!    │ └──line end, next event──── too long (cut off in pieces)
//!    ├──`{`──► a JSON line
//!    └──else──► stray text, to the end of the line or the next `<Event`
//! ```
//!
//! Prolog, comments, a DOCTYPE and an `<Events>` root are no events and skipped. An event that is
//! not closed ends where the next one begins: at a `<Event` that opens a line, or else at the next
//! `<Event`. Promise: every other byte that is no white space is in exactly one piece, whatever
//! comes. Pure.

use std::ops::Range;

/// Longest event taken in one piece. What Windows logs is below 64 KiB of UTF-16 and its rendering.
pub(super) const EVENT_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `<Event>…</Event>`
    Xml,
    /// One line that begins as JSON.
    Json,
    /// An event that is not closed, or text that is none; `what` says which.
    Broken { what: &'static str },
    /// A piece of something above `EVENT_BYTES_MAX`; `first` of them.
    TooLong { first: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Piece(Kind, Range<usize>),
    /// Nothing whole is there: more input is needed, or the end has been reached.
    More,
}

/// Where the cutting stands. Positions are relative to the buffer its owner keeps.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// Everything before has been handed out or skipped; the owner may forget it.
    start: usize,
    /// How far the item at `start` has been looked at.
    at: usize,
    /// Open `Event` elements at `at`.
    depth: u32,
    state: State,
    doctype: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Between,
    Event,
    Line,
    /// In something too long; it ends with its line, or else with an event's end or start.
    TooLong {
        line: bool,
        first: bool,
    },
}

impl Splitter {
    /// Bytes at the front of the buffer that are done with.
    pub(super) fn done(&self) -> usize {
        self.start
    }

    /// Whether a document type declaration was among what was skipped.
    pub(super) fn skipped_doctype(&self) -> bool {
        self.doctype
    }

    /// The owner removed `done()` bytes from the front.
    pub(super) fn forgot(&mut self) {
        self.at -= self.start;
        self.start = 0;
    }

    /// The next piece in `text`; `end` when nothing follows it.
    pub(super) fn next(&mut self, text: &[u8], end: bool) -> Step {
        loop {
            let found = match self.state {
                State::Between => {
                    self.enter(text, end);
                    if self.state != State::Between {
                        continue;
                    }
                    self.stray(text, end)
                }
                State::Event => self.event(text, end),
                State::Line => self.line(text, end),
                State::TooLong { line, first } => {
                    let Some((stop, over)) = self.too_long(text, end, line, first) else { return Step::More };
                    self.state = if over { State::Between } else { State::TooLong { line, first: false } };
                    if stop == self.start {
                        continue;
                    }
                    return self.piece(Kind::TooLong { first }, stop);
                }
            };
            if let Some((kind, stop)) = found.filter(|(_, stop)| stop - self.start <= EVENT_BYTES_MAX) {
                self.state = State::Between;
                return self.piece(kind, stop);
            }
            if found.is_none() && text.len() - self.start <= EVENT_BYTES_MAX {
                return Step::More;
            }
            self.state = State::TooLong { line: self.state != State::Event, first: true };
        }
    }

    fn piece(&mut self, kind: Kind, stop: usize) -> Step {
        let range = self.start..stop;
        self.start = stop;
        self.at = stop;
        self.depth = 0;
        Step::Piece(kind, range)
    }

    /// Skips what is no event and goes to the state that the next byte asks for.
    fn enter(&mut self, text: &[u8], end: bool) {
        loop {
            let blank = text[self.start..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.start += blank;
            self.at = self.start;
            let rest = &text[self.start..];
            self.state = match rest.first() {
                Some(b'{' | b'"') => State::Line,
                Some(b'<') if is_tag(rest, b"<Event", end) => State::Event,
                _ => State::Between,
            };
            match skipped(rest, end) {
                Skip::To(length) => {
                    self.doctype |= rest.starts_with(DOCTYPE);
                    self.start += length;
                }
                Skip::Unfinished | Skip::No => return,
            }
        }
    }

    /// Text between events that is none: to the end of its line, or to the next event.
    fn stray(&self, text: &[u8], end: bool) -> Option<(Kind, usize)> {
        let rest = &text[self.start..];
        let undecided =
            !end && (rest.len() < UNDECIDED_BYTES || matches!(skipped(rest, end), Skip::Unfinished));
        if rest.is_empty() || undecided {
            return None;
        }
        let line = memchr::memchr(b'\n', rest);
        let event = next_event(rest, 1, end);
        let stop = match (line, event) {
            (Some(line), Some(event)) => line.min(event),
            (found, None) | (None, found) => found.or_else(|| end.then_some(rest.len()))?,
        };
        let blank = rest[..stop].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        Some((Kind::Broken { what: "text that is no event" }, self.start + stop - blank))
    }

    fn event(&mut self, text: &[u8], end: bool) -> Option<(Kind, usize)> {
        const OPEN: Kind = Kind::Broken { what: "an event that is not closed" };
        while self.at - self.start <= EVENT_BYTES_MAX {
            let Some(found) = memchr::memchr(b'<', &text[self.at..]) else {
                self.at = text.len();
                break;
            };
            self.at += found;
            let rest = &text[self.at..];
            if rest.len() < UNDECIDED_BYTES && !end {
                break;
            }
            if self.depth > 0 && text[self.at - 1] == b'\n' && is_tag(rest, b"<Event", end) {
                return Some((OPEN, self.at));
            }
            match token(rest, end) {
                Token::Markup { length, change } => {
                    self.at += length;
                    self.depth = self.depth.saturating_add_signed(change);
                    if self.depth == 0 {
                        return Some((Kind::Xml, self.at));
                    }
                }
                // The event's own start tag: what follows it is another event, or stray text.
                Token::NoTag { length } if self.depth == 0 => return Some((OPEN, self.at + length)),
                Token::NoTag { length } => self.at += length,
                Token::Unfinished => break,
            }
        }
        // Nothing can close it any more: the next event decides where it ended.
        end.then(|| {
            let next = next_event(&text[self.start..], 1, end);
            (OPEN, next.map_or(text.len(), |at| self.start + at))
        })
    }

    fn line(&mut self, text: &[u8], end: bool) -> Option<(Kind, usize)> {
        let found = memchr::memchr(b'\n', &text[self.at..]).map(|found| self.at + found);
        self.at = text.len();
        Some((Kind::Json, found.or_else(|| end.then_some(text.len()))?))
    }

    /// Where the next piece of something too long ends, and whether all of it ends there.
    fn too_long(&self, text: &[u8], end: bool, line: bool, first: bool) -> Option<(usize, bool)> {
        const CLOSE: &[u8] = b"</Event>";
        let rest = &text[self.start..];
        let stop = if line {
            memchr::memchr(b'\n', rest)
        } else {
            let close = memchr::memmem::find(rest, CLOSE).map(|at| at + CLOSE.len());
            let next = next_event(rest, usize::from(first), end);
            close.into_iter().chain(next).min()
        };
        if let Some(stop) = stop.filter(|&stop| stop <= EVENT_BYTES_MAX) {
            return Some((self.start + stop, true));
        }
        if rest.len() <= EVENT_BYTES_MAX {
            return end.then_some((text.len(), true));
        }
        // Before the limit, so that a mark across the cut would have been found; not in a character.
        let mut cut = EVENT_BYTES_MAX - 2 * UNDECIDED_BYTES;
        while cut > EVENT_BYTES_MAX / 2 && rest[cut] & 0xc0 == 0x80 {
            cut -= 1;
        }
        Some((self.start + cut, false))
    }
}

/// With this many bytes, `<![CDATA[`, `<!DOCTYPE`, `</Events>` and everything else can be told apart.
const UNDECIDED_BYTES: usize = 10;

const DOCTYPE: &[u8] = b"<!DOCTYPE";

enum Skip {
    To(usize),
    Unfinished,
    No,
}

/// Prolog, comments, DOCTYPE and the `Events` root.
fn skipped(rest: &[u8], end: bool) -> Skip {
    let until = |mark: &[u8]| {
        memchr::memmem::find(rest, mark).map_or(Skip::Unfinished, |at| Skip::To(at + mark.len()))
    };
    if rest.starts_with(b"<!--") {
        until(b"-->")
    } else if rest.starts_with(b"<?") {
        until(b"?>")
    } else if rest.starts_with(DOCTYPE) {
        // With an internal subset, the declaration ends after its bracket.
        match memchr::memchr2(b'[', b'>', rest) {
            Some(at) if rest[at] == b'[' => until(b"]>"),
            _ => until(b">"),
        }
    } else if is_tag(rest, b"<Events", end) || is_tag(rest, b"</Events", end) {
        until(b">")
    } else {
        Skip::No
    }
}

/// Whether `rest` begins with this tag name and not with a longer one.
fn is_tag(rest: &[u8], tag: &[u8], end: bool) -> bool {
    rest.starts_with(tag)
        && match rest.get(tag.len()) {
            Some(byte) => matches!(byte, b'>' | b'/') || byte.is_ascii_whitespace(),
            None => end,
        }
}

fn next_event(rest: &[u8], from: usize, end: bool) -> Option<usize> {
    let rest = rest.get(from..)?;
    memchr::memmem::find_iter(rest, b"<Event")
        .find(|&at| is_tag(&rest[at..], b"<Event", end))
        .map(|at| at + from)
}

enum Token {
    /// A tag, comment, CDATA section or instruction, and how it changes the number of open `Event`
    /// elements.
    Markup { length: usize, change: i32 },
    /// A `<` with another one before its tag ends.
    NoTag { length: usize },
    /// Its end is not there.
    Unfinished,
}

fn token(rest: &[u8], end: bool) -> Token {
    let until = |mark: &[u8], change| {
        let found = memchr::memmem::find(rest, mark);
        found.map_or(Token::Unfinished, |at| Token::Markup { length: at + mark.len(), change })
    };
    if rest.starts_with(b"<!--") {
        until(b"-->", 0)
    } else if rest.starts_with(b"<![CDATA[") {
        until(b"]]>", 0)
    } else if rest.starts_with(b"<?") {
        until(b"?>", 0)
    } else if rest.starts_with(b"</") {
        until(b">", if is_tag(rest, b"</Event", end) { -1 } else { 0 })
    } else {
        start_tag(rest, end)
    }
}

fn start_tag(rest: &[u8], end: bool) -> Token {
    let mut at = 1;
    loop {
        let mark = rest[at..].iter().position(|byte| matches!(byte, b'>' | b'<' | b'"' | b'\''));
        let Some(found) = mark.map(|mark| mark + at) else { return Token::Unfinished };
        match rest[found] {
            b'>' => {
                let opens = rest[found - 1] != b'/' && is_tag(rest, b"<Event", end);
                return Token::Markup { length: found + 1, change: i32::from(opens) };
            }
            b'<' => return Token::NoTag { length: found },
            quote => match memchr::memchr2(quote, b'<', &rest[found + 1..]) {
                None => return Token::Unfinished,
                Some(close) if rest[found + 1 + close] == b'<' => {
                    return Token::NoTag { length: found + 1 + close };
                }
                Some(close) => at = found + close + 2,
            },
        }
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
