//! A file as the place where a log's bytes are.

use crate::evtx::write::Store;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

impl Store for File {
    type Error = io::Error;

    fn bytes(&mut self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let mut have = 0;
        while have < into.len() {
            match FileExt::read_at(self, &mut into[have..], at + have as u64) {
                Ok(0) => break,
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        into[have..].fill(0);
        Ok(())
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}
