//! The events of an output file, one at a time: a line of JSON, an `<Event>` whether or not it stands on one
//! line, or as many bytes as stand before it in four. Compressed files are read by their ending.

use crate::format::xml;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// How elements begin that are events, and how those end.
const EVENTS: [(&[u8], &[u8]); 2] =
    [(b"<Event", b"</Event>"), (xml::RAW_START.as_bytes(), xml::RAW_END.as_bytes())];
/// Longest event that is put together from lines, or said to be there.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct Lines {
    input: Box<dyn BufRead>,
    /// Read, and handed out up to `at`.
    buffer: Vec<u8>,
    at: usize,
    /// Each has its length before it: the first of a file begins with a byte that no text has.
    has_lengths: bool,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let input: Box<dyn Read> = match path.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Box::new(MultiGzDecoder::new(BufReader::new(file))),
            Some("zst") => Box::new(zstd::stream::read::Decoder::new(file)?),
            _ => Box::new(file),
        };
        let mut input = BufReader::with_capacity(1 << 17, input);
        let has_lengths = input.fill_buf()?.first() == Some(&0);
        Ok(Self { input: Box::new(input), buffer: Vec::new(), at: 0, has_lengths })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.has_lengths {
            return self.counted();
        }
        loop {
            let left = self.buffer[self.at..].trim_ascii_start();
            self.at = self.buffer.len() - left.len();
            if left.is_empty() {
                self.buffer.clear();
                self.at = 0;
                if self.more()? == 0 {
                    return Ok(None);
                }
                continue;
            }
            let element = EVENTS.iter().find(|(start, _)| left.starts_with(start));
            let end = match element {
                Some((_, end)) => match memchr::memmem::find(left, end) {
                    None if left.len() < EVENT_BYTES_MAX => None,
                    at => Some(at.map_or(left.len(), |at| at + end.len())),
                },
                None => Some(memchr::memchr(b'\n', left).unwrap_or(left.len())),
            };
            match end {
                Some(end) => {
                    let from = self.at;
                    self.at += end;
                    return Ok(Some(&self.buffer[from..from + end]));
                }
                // A torn event at the end of a file is handed out as it is.
                None if self.more()? == 0 => {
                    let from = std::mem::replace(&mut self.at, self.buffer.len());
                    return Ok(Some(&self.buffer[from..]));
                }
                None => {}
            }
        }
    }

    /// The next one with its length before it. One that is torn at the end is handed out as it is.
    fn counted(&mut self) -> io::Result<Option<&[u8]>> {
        if self.read(4)? < 4 {
            return Ok((!self.buffer.is_empty()).then_some(&self.buffer));
        }
        let length = self.buffer[..].try_into().map_or(0, u32::from_be_bytes);
        if length as usize > EVENT_BYTES_MAX {
            let why = format!("an event is said to have {length} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        self.read(length.into())?;
        Ok(Some(&self.buffer))
    }

    /// So many bytes, or fewer at the end.
    fn read(&mut self, bytes: u64) -> io::Result<usize> {
        self.buffer.clear();
        self.input.by_ref().take(bytes).read_to_end(&mut self.buffer)
    }

    fn more(&mut self) -> io::Result<usize> {
        self.input.read_until(b'\n', &mut self.buffer)
    }
}
