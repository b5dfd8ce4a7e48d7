//! One log of the sink: begun, opened with nothing past what is confirmed, closed.
//!
//! Promise: whoever opens it holds its lock. Must not know: batches, notes.

use super::Limits;
use crate::evtx::write::{CHUNKS_MAX, LogWriter, Options, ResumeError};
use crate::sink::file::entry::lock;
use crate::sink::path::Place;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

/// A log that the note lists.
pub(super) struct Entry {
    pub(super) inode: u64,
    /// Id of the record after the last confirmed one.
    pub(super) next_id: u64,
    pub(super) open: Option<Open>,
    pub(super) used: u64,
    /// The durable note lists it.
    pub(super) noted: bool,
    /// The durable note has this very `next_id`.
    pub(super) exact: bool,
    /// There may be records from `next_id` on that are to be removed before anything else.
    pub(super) cut: bool,
}

/// Its descriptor and what of it is in memory.
pub(super) struct Open {
    pub(super) log: LogWriter,
    pub(super) file: File,
}

/// A new log, or one that is there already and is gone on with.
pub(super) fn begin(place: &Place, first_record_id: u64, limits: Limits, used: u64) -> io::Result<Entry> {
    let file = match place.open()? {
        Some(file) => file,
        None => place.create()?,
    };
    let open = resume(file, place, options(limits, first_record_id), None)?;
    open.file.sync_all()?;
    let inode = open.file.metadata()?.ino();
    let next_id = open.log.next_record_id();
    Ok(Entry { inode, next_id, open: Some(open), used, noted: false, exact: false, cut: false })
}

/// The open log, with nothing past what is confirmed.
pub(super) fn open<'e>(entry: &'e mut Entry, place: &Place, limits: Limits) -> io::Result<&'e mut Open> {
    let below = Some(entry.next_id);
    open_below(entry, place, limits, below)
}

pub(super) fn open_below<'e>(
    entry: &'e mut Entry,
    place: &Place,
    limits: Limits,
    below: Option<u64>,
) -> io::Result<&'e mut Open> {
    let opened = match entry.open.take() {
        Some(opened) => opened,
        None => {
            let file = place.open()?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            if file.metadata()?.ino() != entry.inode {
                return Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its place"));
            }
            let opened = resume(file, place, options(limits, entry.next_id), below)?;
            opened.file.sync_all()?;
            entry.cut = false;
            opened
        }
    };
    Ok(entry.open.insert(opened))
}

fn resume(mut file: File, place: &Place, options: Options, below: Option<u64>) -> io::Result<Open> {
    lock(&file, place)?;
    let log = LogWriter::resume(options, &mut file, below).map_err(|error| match error {
        ResumeError::Store(error) => error,
        error @ ResumeError::NotALog { .. } => {
            io::Error::new(io::ErrorKind::InvalidData, format!("`{}`: {error}", place.name()))
        }
    })?;
    Ok(Open { log, file })
}

pub(super) fn close(mut open: Open) -> io::Result<()> {
    open.log.close(&mut open.file)?;
    open.file.sync_all()
}

fn options(limits: Limits, first_record_id: u64) -> Options {
    let chunks_max = limits.ring.unwrap_or(CHUNKS_MAX);
    Options { chunks_max, wrap: limits.ring.is_some(), first_record_id, ..Options::default() }
}
