//! One file being written: appended to, synced, cut back, opened again.
//!
//! Promise: never over foreign bytes and never past a hole. Must not know: other files, notes.

use super::Rotate;
use crate::sink::path::Place;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use tracing::warn;

/// A file that the note lists.
pub(super) struct Entry {
    pub(super) inode: u64,
    /// After the last confirmed batch.
    pub(super) length: u64,
    /// Unix seconds; the span it belongs to for rotation by time.
    pub(super) begun: u64,
    pub(super) file: Option<File>,
    pub(super) used: u64,
    /// The durable note lists it (rule 1).
    pub(super) noted: bool,
    /// The durable note has this very length (rule 3).
    pub(super) exact: bool,
    /// There may be bytes past `length` that are to be removed before anything else.
    pub(super) cut: bool,
}

pub(super) fn is_due(rotate: &Rotate, entry: &Entry, now: u64) -> bool {
    let span = rotate.every.map(|span| span.0.as_secs());
    entry.length > 0
        && (rotate.size.is_some_and(|size| entry.length >= size.0)
            || span.is_some_and(|span| entry.begun / span < now / span))
}

/// Writes at the end of what is confirmed, and syncs.
pub(super) fn append(entry: &mut Entry, place: &Place, bytes: &[u8]) -> io::Result<u64> {
    if entry.cut {
        recut(entry, place)?;
    }
    let file = match entry.file.take() {
        Some(file) => file,
        None => reopen(entry, place)?,
    };
    let there = file.metadata()?.len();
    if there != entry.length {
        // Never over foreign bytes, and never past a hole.
        warn!(path = place.name(), was = entry.length, is = there, "something else changed the file");
        entry.length = there;
    }
    file.write_all_at(bytes, entry.length)?;
    file.sync_data()?;
    entry.file = Some(file);
    Ok(entry.length + bytes.len() as u64)
}

pub(super) fn recut(entry: &mut Entry, place: &Place) -> io::Result<()> {
    let file = reopen(entry, place)?;
    if file.metadata()?.len() > entry.length {
        file.set_len(entry.length)?;
        file.sync_all()?;
    }
    entry.cut = false;
    entry.file = Some(file);
    Ok(())
}

pub(super) fn reopen(entry: &mut Entry, place: &Place) -> io::Result<File> {
    entry.file = None;
    let file = place.open()?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    if file.metadata()?.ino() != entry.inode {
        return Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its place"));
    }
    lock(&file, place)?;
    Ok(file)
}

/// Two writers of one file would cut each other's lines. Where the file system has no locks, nobody
/// can be kept out.
pub(in crate::sink) fn lock(file: &File, place: &Place) -> io::Result<()> {
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            format!("another output or process is writing `{}`", place.name()),
        )),
        Err(std::fs::TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}
