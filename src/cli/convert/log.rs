//! An event log as the output: events as XML, each with the time its record was written.
//!
//! ```text
//! page = (written u64 little-endian ‖ length u32 big-endian ‖ XML)*
//! ```

use crate::event::xml::XmlEvent;
use crate::evtx::write::{LogWriter, Options, PushError};
use std::fs::File;
use std::io;

pub(super) struct Log {
    file: File,
    log: LogWriter,
}

/// Puts the time before an event.
pub(super) fn stamp(written: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&written.to_le_bytes());
}

impl Log {
    pub(super) fn begin(mut file: File) -> io::Result<Self> {
        let log = LogWriter::create(Options::default(), &mut file)?;
        Ok(Self { file, log })
    }

    /// Appends the events of a page; those that no log can hold are named in `refused`.
    pub(super) fn append(&mut self, page: &[u8], refused: &mut Vec<String>) -> io::Result<()> {
        let mut rest = page;
        while let Some((written, xml, tail)) = next(rest) {
            rest = tail;
            let event = match XmlEvent::parse(xml) {
                Ok(event) => event,
                Err(error) => {
                    refused.push(format!("an event is left out: {error}"));
                    continue;
                }
            };
            match self.log.push(&event, written, &mut self.file) {
                Ok(_) => {}
                Err(PushError::Unstorable(error)) => refused.push(format!("an event is left out: {error}")),
                Err(PushError::Full) => {
                    let why = "an event log holds 4 GiB; convert fewer files at a time";
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
                }
                Err(PushError::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn close(mut self) -> io::Result<()> {
        self.log.close(&mut self.file)
    }
}

fn next(page: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (written, rest) = page.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (xml, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((u64::from_le_bytes(*written), xml, rest))
}
