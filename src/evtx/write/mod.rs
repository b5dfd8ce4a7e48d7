//! Writing event logs: the files Event Viewer, evtx_dump and libevtx open.
//!
//! ```text
//! Event ─► Fragment (tokens) ─► ChunkWriter (64 KiB) ─► LogWriter (header, slots, ring) ─► Store
//! ```
//!
//! Events are stored the way a Windows collector stores forwarded ones: streamed tokens, every
//! value a string. Chosen over a template per kind of event: a collector has text, not types, and
//! guessing types would change it.
//! Promise: the log is valid after every `flush`; records are only appended and the header of a
//! chunk is written after its records, so a crash costs at most the rewrite of one chunk header.
//! Must not know: files (a `Store` is where the bytes go), clocks, outputs.

mod chunk;
mod fragment;
mod layout;
mod log;
mod names;
mod resume;
mod template;
mod text;

#[cfg(test)]
mod tests;

pub use chunk::{ChunkWriter, Pushed, RECORD_BYTES_MAX, Unstorable};
pub use fragment::{ELEMENT_DEPTH_MAX, Layout};
pub use log::{CHUNKS_MAX, FileHeaders, LogWriter, Options, PushError};
pub use resume::ResumeError;

/// Where the bytes of a log are: a file, or memory.
pub trait Store {
    type Error;

    fn bytes(&mut self) -> Result<u64, Self::Error>;
    /// Fills `into` from `at` on; what lies past the end reads as zeros.
    fn read_at(&mut self, at: u64, into: &mut [u8]) -> Result<(), Self::Error>;
    /// Writes past the end extend it.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), Self::Error>;
    fn truncate(&mut self, bytes: u64) -> Result<(), Self::Error>;
}

impl Store for Vec<u8> {
    type Error = std::convert::Infallible;

    fn bytes(&mut self) -> Result<u64, Self::Error> {
        Ok(self.len() as u64)
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> Result<(), Self::Error> {
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(self.len());
        let have = into.len().min(self.len() - start);
        into[..have].copy_from_slice(&self[start..start + have]);
        into[have..].fill(0);
        Ok(())
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        let start = at as usize;
        if self.len() < start + bytes.len() {
            self.resize(start + bytes.len(), 0);
        }
        self[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, bytes: u64) -> Result<(), Self::Error> {
        Vec::truncate(self, bytes as usize);
        Ok(())
    }
}
