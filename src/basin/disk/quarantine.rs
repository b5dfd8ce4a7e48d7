//! Quarantine: a copy of every damaged part of the log, for people to look at.

use super::file::{self, Disk, File};
use super::segment::{Damage, segment_path};
use crate::finding::Finding;
use std::io::{self, IoSlice};

/// Keeps a copy and says what happened. Never fails: without a copy the finding says so.
pub(super) fn keep(disk: &dyn Disk, file: &dyn File, number: u64, damage: &Damage) -> Finding {
    let path = format!("{QUARANTINE}/{number:012}-{}.bad", damage.from);
    let copied = match copy(disk, file, &path, damage) {
        Ok(()) => format!("a copy is in {path}"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => format!("a copy is in {path}"),
        Err(error) => format!("no copy could be kept: {error}"),
    };
    let events = damage.header.map_or(String::new(), |header| format!(" (frame {})", header.sequence));
    let cause = if damage.unreadable { "the disk refuses to read it" } else { "its checksum is wrong" };
    Finding {
        what: format!(
            "basin: {} bytes at {} of {} are damaged{events}; they are skipped",
            damage.to - damage.from,
            damage.from,
            segment_path(number)
        ),
        why: format!("it was synced, and now {cause}; {copied}"),
        fix: "check the disk and its cables; `forebay basin verify` lists all damage".into(),
    }
}

/// Moves a file that is no segment of this basin out of the way.
pub(super) fn set_aside(disk: &dyn Disk, number: u64, why: &str) -> Finding {
    let path = segment_path(number);
    let target = format!("{QUARANTINE}/{number:012}.seg");
    let fix = match disk.rename(&path, &target) {
        Ok(()) => format!("it is kept as {target}; its events have to be fetched again where they came from"),
        Err(error) => format!("it could not be moved to {target} ({error}); move it away by hand"),
    };
    Finding { what: format!("basin: {path} cannot be used"), why: why.into(), fix }
}

fn copy(disk: &dyn Disk, file: &dyn File, path: &str, damage: &Damage) -> io::Result<()> {
    let names = disk.list(QUARANTINE)?;
    if names.iter().any(|name| path.strip_prefix(QUARANTINE) == Some(&format!("/{name}"))) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    if names.len() >= FILES_MAX {
        return Err(io::Error::other(format!("{QUARANTINE} already has {FILES_MAX} files")));
    }
    let len = (damage.to - damage.from).min(COPY_BYTES_MAX);
    let (target, fresh) = file::create_fresh(disk, path, len)?;
    let mut bytes = vec![0; BLOCK_BYTES];
    let mut at = 0;
    while at < len {
        let count = bytes.len().min((len - at) as usize);
        // What cannot be read stays zero.
        if let Ok(read) = file.read_at(damage.from + at, &mut bytes[..count]) {
            target.write_at(at, &mut [IoSlice::new(&bytes[..read])])?;
        }
        at += count as u64;
    }
    file::publish(disk, &*target, &fresh, path)
}

pub(super) const QUARANTINE: &str = "quarantine";
/// Copies are for looking at, so they may not fill the disk.
const FILES_MAX: usize = 64;
const COPY_BYTES_MAX: u64 = 16 << 20;
const BLOCK_BYTES: usize = 4096;
