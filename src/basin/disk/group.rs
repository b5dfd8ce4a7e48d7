//! Group commit: all batches that came while a sync ran are written and synced together.

use super::super::config::SEGMENTS_MIN;
use super::super::{Position, apply};
use super::core::{Active, Core, SECOND, Segment, elapsed};
use super::file::File;
use super::frame::{FRAME_BYTES_MAX, FrameHeader, FrameKind, Framed, HEADER_BYTES, LINK_BYTES, Link, Totals};
use super::segment::FRAMES_AT;
use super::stream::InStream;
use super::tail::Entry;
use crate::event::{Receipt, Timestamp};
use crate::finding::Finding;
use crate::telemetry::metrics;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// A batch that waits for its group.
pub(super) struct Pending {
    frame: Framed,
    receipt: Receipt,
    /// Once it is lost (nobody waits for the answer any more, or one that was begun before it is
    /// lost) it is left out, while that is still possible.
    place: InStream,
    failures: u8,
    _room: Option<OwnedSemaphorePermit>,
}

/// Frames to be written and synced together, without holding any lock.
pub(super) struct Group {
    file: Arc<dyn File>,
    number: u64,
    offset: u64,
    end: u64,
    /// Zeros behind it, as many as there is room for: in a file that was used before they tell where the
    /// frames end.
    blank: usize,
    /// A link or mark frame before the batches.
    opening: Vec<u8>,
    frames: Vec<Placed>,
    through: Totals,
    at: Timestamp,
}

struct Placed {
    pending: Pending,
    header: [u8; HEADER_BYTES],
    position: Position,
    through: Totals,
}

impl Pending {
    pub(super) fn new(
        frame: Framed,
        receipt: Receipt,
        place: InStream,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { frame, receipt, place, failures: 0, _room: room }
    }
}

impl Group {
    pub(super) fn batches(&self) -> usize {
        self.frames.len()
    }

    /// Returns how long the sync took.
    pub(super) fn run(&self) -> io::Result<Duration> {
        let mut parts = Vec::with_capacity(1 + self.frames.len() * 4);
        parts.push(IoSlice::new(&self.opening));
        for placed in &self.frames {
            let frame = &placed.pending.frame;
            parts.push(IoSlice::new(&placed.header));
            parts.push(IoSlice::new(&frame.meta));
            parts.push(IoSlice::new(&frame.batch.text));
            parts.push(IoSlice::new(frame.padding()));
        }
        parts.push(IoSlice::new(&[0; HEADER_BYTES][..self.blank]));
        self.file.write_at(self.offset, &mut parts)?;
        let start = Instant::now();
        self.file.sync()?;
        Ok(start.elapsed())
    }
}

impl Core {
    /// Takes a batch in. `false` when it can never be written; its receipt is then lost.
    pub(super) fn push(&mut self, pending: Pending) -> bool {
        let bytes = pending.frame.size();
        if bytes > self.frame_size_max() {
            self.note_finding(Finding {
                what: format!("basin: a batch of {bytes} bytes was not taken"),
                why: format!("one frame may have {} bytes at this size_max", self.frame_size_max()),
                fix: "lower the source's batch size or raise `size_max` of `[basin.disk]`".into(),
            });
            return false;
        }
        if self.finished || !pending.place.enter() {
            return false;
        }
        self.pending.push_back(pending);
        true
    }

    /// The next frames to write; `None` while a group is under way, when there is nothing to do, or
    /// when there is no room (the keeper then prepares a segment).
    pub(super) fn begin_group(&mut self, now: Timestamp) -> Option<Group> {
        if self.writing {
            return None;
        }
        // In the order of the queue, so that what was begun before is looked at before.
        self.pending.retain(|pending| !pending.place.is_lost());
        let Some(first) = self.pending.front() else {
            self.chores.wanted_bytes = None;
            return self.begin_mark(now);
        };
        let need = first.frame.size();
        if !self.active.as_ref().is_some_and(|active| active.fits(need)) {
            self.switch(need)?;
        }
        let active = self.active.as_ref()?;
        let (file, number, capacity) = (Arc::clone(&active.file), active.number, active.capacity);
        let (offset, mark, salt) = (active.end, active.end, self.salt_of(number));
        let opening = if active.linked { Vec::new() } else { self.link(number, now) };
        let mut end = offset + opening.len() as u64;
        let mut through = self.totals;
        let mut frames = Vec::new();
        while let Some(next) = self.pending.front() {
            let size = next.frame.size();
            if end + size > capacity || (end + size - offset > GROUP_BYTES_MAX && !frames.is_empty()) {
                break;
            }
            let Some(pending) = self.pending.pop_front() else { break };
            through = through.plus(pending.frame.batch.events.len() as u64, size);
            let position = Position { epoch: self.epoch, sequence: self.next_sequence };
            self.next_sequence += 1;
            let header = pending.frame.header(position.sequence, mark, now, through).encode(salt);
            frames.push(Placed { pending, header, position, through });
            end += size;
        }
        self.writing = true;
        let blank = blank(end, capacity);
        Some(Group { file, number, offset, end, blank, opening, frames, through, at: now })
    }

    /// Makes the group count, or closes its segment at the mark when it failed. Settle what comes
    /// back after the lock is released.
    pub(super) fn end_group(
        &mut self,
        group: Group,
        result: &io::Result<Duration>,
        now: Timestamp,
    ) -> Vec<Receipt> {
        self.writing = false;
        match result {
            Ok(took) => {
                self.stats.syncs += 1;
                self.stats.sync_latency.note(*took);
                metrics().basin.sync_seconds.observe(took.as_secs_f64());
                self.commit(group, now)
            }
            Err(error) => {
                self.retreat(group, error);
                Vec::new()
            }
        }
    }

    fn commit(&mut self, group: Group, now: Timestamp) -> Vec<Receipt> {
        let salt = self.salt_of(group.number);
        let Some(active) = &mut self.active else { return Vec::new() };
        active.end = group.end;
        if let Some(last) = group.frames.last() {
            self.head = last.position;
        }
        self.totals = group.through;
        if !active.linked {
            active.linked = true;
            self.segments.push_back(Segment {
                number: active.number,
                epoch: self.epoch,
                salt,
                file: Arc::clone(&active.file),
                bytes: active.capacity,
                end: active.end,
                last: self.head,
                through: self.totals,
                last_at: group.at,
            });
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.end = group.end;
            segment.last = self.head;
            segment.through = self.totals;
            segment.last_at = group.at;
        }
        self.unmarked = if group.frames.is_empty() { None } else { Some(now) };
        let mut settled = Vec::with_capacity(group.frames.len());
        for placed in group.frames {
            let frame = placed.pending.frame;
            self.stats.frames_appended += 1;
            self.stats.events_appended += frame.batch.events.len() as u64;
            self.stats.bytes_appended += frame.size();
            if let Some(bookmark) = &frame.batch.bookmark {
                apply(&mut self.state, bookmark);
            }
            self.tail.push(Entry {
                position: placed.position,
                through: placed.through,
                at: group.at,
                batch: frame.batch,
            });
            settled.push(placed.pending.receipt);
        }
        settled
    }

    /// After a failed sync the kernel may have dropped pages, and a second sync would say nothing
    /// of them. So the segment ends at its mark, and the batches go to a new one.
    fn retreat(&mut self, group: Group, error: &io::Error) {
        self.stats.sync_failures += 1;
        self.note_finding(Finding {
            what: format!("basin: segment {} could not be written", group.number),
            why: error.to_string(),
            fix: "check the disk (`dmesg`, SMART); the batches go to a new segment, nothing acknowledged is lost"
                .into(),
        });
        self.close_active();
        for placed in group.frames.into_iter().rev() {
            let mut pending = placed.pending;
            pending.failures += 1;
            if pending.failures < FAILURES_MAX {
                self.pending.push_front(pending);
            } else {
                // Dropped here, its receipt says that the batch is lost, and the source sends it
                // again, with those after it: their bookmarks would pass it.
                pending.place.lose();
            }
        }
    }

    /// Goes on in the prepared segment. `None` when there is none that fits.
    fn switch(&mut self, need: u64) -> Option<()> {
        let room = FRAMES_AT + (HEADER_BYTES + LINK_BYTES) as u64 + need;
        let fits = self.prepared.as_ref().is_some_and(|next| next.capacity >= room && !next.lent);
        if !fits {
            if self.chores.wanted_bytes.replace(room).is_none() {
                // From now on somebody waits for it.
                self.chores.prepare_retry_at = None;
            }
            return None;
        }
        self.close_active();
        let prepared = self.prepared.take()?;
        self.chores.wanted_bytes = None;
        self.active = Some(Active {
            number: prepared.number,
            file: prepared.file,
            capacity: prepared.capacity,
            end: FRAMES_AT,
            linked: false,
        });
        Some(())
    }

    pub(super) fn close_active(&mut self) {
        let Some(active) = self.active.take() else { return };
        self.unmarked = None;
        if active.linked { &mut self.chores.trims } else { &mut self.chores.abandoned }.push(active.number);
    }

    /// Once nothing comes for a second, a mark settles that the last group was synced.
    fn begin_mark(&mut self, now: Timestamp) -> Option<Group> {
        let since = self.unmarked?;
        if !(self.stopping || elapsed(since, now, SECOND)) {
            return None;
        }
        let active = self.active.as_ref()?;
        if !active.fits(HEADER_BYTES as u64) {
            self.unmarked = None;
            return None;
        }
        let (file, number, offset) = (Arc::clone(&active.file), active.number, active.end);
        let capacity = active.capacity;
        let header = self.special(number, FrameKind::Mark, active.end, &[], now);
        self.writing = true;
        let end = offset + header.len() as u64;
        Some(Group {
            file,
            number,
            offset,
            end,
            blank: blank(end, capacity),
            opening: header,
            frames: Vec::new(),
            through: self.totals,
            at: now,
        })
    }

    fn link(&self, number: u64, now: Timestamp) -> Vec<u8> {
        let (previous, previous_end) =
            self.segments.back().map_or((0, 0), |segment| (segment.number, segment.end));
        let link = Link { previous, previous_end, last: self.head }.encode();
        self.special(number, FrameKind::Link, FRAMES_AT, &link, now)
    }

    fn special(&self, number: u64, kind: FrameKind, mark: u64, payload: &[u8], now: Timestamp) -> Vec<u8> {
        let header = FrameHeader {
            kind,
            payload_bytes: payload.len() as u32,
            payload_crc: crc32c::crc32c(payload),
            meta_bytes: 0,
            sequence: 0,
            mark,
            at: now,
            through: self.totals,
        };
        let mut bytes = header.encode(self.salt_of(number)).to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn frame_size_max(&self) -> u64 {
        let overhead = FRAMES_AT + (HEADER_BYTES + LINK_BYTES) as u64;
        (self.options.size_max / SEGMENTS_MIN - overhead).min(FRAME_BYTES_MAX as u64)
    }
}

impl Active {
    fn fits(&self, bytes: u64) -> bool {
        let link = if self.linked { 0 } else { (HEADER_BYTES + LINK_BYTES) as u64 };
        self.end + link + bytes <= self.capacity
    }
}

fn blank(end: u64, capacity: u64) -> usize {
    HEADER_BYTES.min((capacity - end) as usize)
}

/// Bounds how long the first of a group waits for the last.
const GROUP_BYTES_MAX: u64 = 32 << 20;
/// How many segments a batch is tried in before its source is asked to send it again.
const FAILURES_MAX: u8 = 3;
