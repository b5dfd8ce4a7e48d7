//! The next segment: a new file, or that of a segment that everybody has read.

use super::chores::Chore;
use super::core::{Core, Prepared, Segment, due};
use super::file::{Disk, FRESH, File, publish};
use super::segment::{BLANK_BYTES, FRAMES_AT, SEGMENTS, SegmentHeader, segment_path};
use crate::event::Timestamp;
use crate::finding::Finding;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A segment that could go, no longer listed.
pub(super) struct Reused {
    pub(super) segment: Segment,
    settle: bool,
}

/// Created, allocated, its header on disk, its name durable.
pub(super) fn prepare(disk: &dyn Disk, number: u64, bytes: u64, header: &[u8]) -> io::Result<Arc<dyn File>> {
    let path = segment_path(number);
    let file = disk.create(&path, bytes)?;
    let durable = file
        .write_at(0, &mut [IoSlice::new(header)])
        .and_then(|()| file.sync())
        .and_then(|()| disk.sync_dir(SEGMENTS));
    if let Err(error) = durable {
        disk.remove(&path)?;
        return Err(error);
    }
    Ok(file)
}

/// The same with a file whose blocks and pages are there already: writing it takes less of the processor, and
/// a sync no longer waits for the file system's own log. Nothing of it changes before the old name is gone for
/// good, and it has the new one only when what a reader looks at first is in place.
pub(super) fn reuse(
    disk: &dyn Disk,
    old: &Reused,
    number: u64,
    bytes: u64,
    header: &[u8],
) -> io::Result<Arc<dyn File>> {
    let file = &old.segment.file;
    let path = segment_path(number);
    let fresh = format!("{path}{FRESH}");
    let durable = (|| {
        if old.settle {
            disk.sync_dir(SEGMENTS)?;
        }
        disk.rename(&segment_path(old.segment.number), &fresh)?;
        disk.sync_dir(SEGMENTS)?;
        file.reserve(bytes)?;
        let blank = vec![0; FRAMES_AT as usize + BLANK_BYTES - header.len()];
        file.write_at(0, &mut [IoSlice::new(header), IoSlice::new(&blank)])?;
        publish(disk, &**file, &fresh, &path)
    })();
    if let Err(error) = durable {
        for path in [fresh, path] {
            match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        return Err(error);
    }
    Ok(Arc::clone(file))
}

impl Core {
    pub(super) fn prepare_next(&mut self, now: Timestamp) -> Option<Chore> {
        let wanted = self.chores.wanted_bytes.unwrap_or(0);
        if let Some(prepared) = self.prepared.as_ref().filter(|prepared| prepared.capacity < wanted) {
            self.chores.abandoned.push(prepared.number);
            self.prepared = None;
            return self.remove(now);
        }
        let idle = self.stopping && self.pending.is_empty();
        if self.prepared.is_some() || idle || !due(self.chores.prepare_retry_at, now) {
            return None;
        }
        let bytes = self.options.segment_bytes.max(wanted);
        if let Some(reused) = self.take_reusable(bytes, now) {
            return Some(self.prepare(bytes, Some(reused)));
        }
        if self.chores.disk_full || self.used_bytes() + bytes > self.options.size_max {
            if self.reclaim() {
                let chore = self.checkpoint(now).or_else(|| self.remove(now));
                // What could go cannot be deleted.
                self.stats.full |= chore.is_none() && self.chores.remove_retry_at.is_some();
                return chore;
            }
            if !self.chores.disk_full {
                self.chores.prepare_retry_at = Some(now);
                return None;
            }
        }
        Some(self.prepare(bytes, None))
    }

    fn prepare(&mut self, bytes: u64, reused: Option<Reused>) -> Chore {
        let number = self.next_number;
        self.next_number += 1;
        let salt = self.salt_of(number);
        let header = SegmentHeader { epoch: self.epoch, number, node: self.node, salt }.encode();
        Chore::Prepare { number, bytes, header, reused }
    }

    /// The oldest segment, when it can go, nobody reads it just now, and its blocks were never bad.
    fn take_reusable(&mut self, bytes: u64, now: Timestamp) -> Option<Reused> {
        if !self.can_go(0, now) || !self.chores.abandoned.is_empty() {
            return None;
        }
        let front = self.segments.front()?;
        let was_damaged = self.damaged.iter().any(|(number, ..)| *number == front.number);
        if was_damaged
            || self.used_bytes() - front.bytes + bytes > self.options.size_max
            || Arc::strong_count(&front.file) > 1
        {
            return None;
        }
        let settle = !self.chores.names_settled;
        self.segments.pop_front().map(|segment| Reused { segment, settle })
    }

    pub(super) fn end_prepare(
        &mut self,
        number: u64,
        bytes: u64,
        written: u64,
        result: io::Result<Option<Arc<dyn File>>>,
        now: Timestamp,
    ) {
        match result {
            Ok(Some(file)) => {
                self.prepared = Some(Prepared { number, file, capacity: bytes, written, lent: false });
                self.chores.names_settled = true;
                self.chores.prepare_retry_at = None;
                self.chores.disk_full = false;
                self.stats.full = false;
            }
            Ok(None) => {}
            Err(error) => self.prepare_failed(&error, now),
        }
    }

    pub(super) fn prepare_failed(&mut self, error: &io::Error, now: Timestamp) {
        self.chores.prepare_retry_at = Some(now);
        self.chores.disk_full = is_full(error);
        if !self.stats.full {
            self.stats.full = true;
            let first = if is_full(error) {
                "free space on the basin's disk"
            } else {
                "check the basin's disk (the kernel's log) and the permissions of its folder"
            };
            self.note_finding(Finding {
                what: "basin: the next segment cannot be prepared, so intake will wait".into(),
                why: error.to_string(),
                fix: format!("{first}; it is tried again every second, reading goes on, and nothing is lost"),
            });
        }
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
