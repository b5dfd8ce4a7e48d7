//! How a lane gets its batches: from the tail while it keeps up, else from the segments.

use super::super::Position;
use super::core::{Core, Handed, Segment};
use super::file::Disk;
use super::frame::{FrameKind, decode_batch};
use super::quarantine;
use super::segment::{Damage, FRAMES_AT, Found, Scanner};
use super::tail::Entry;
use crate::finding::Finding;
use bytes::Bytes;
use std::sync::Arc;

/// What a lane that stands at some position does next.
pub(super) enum Next {
    Batch(Entry),
    Read(ReadPlan),
    /// Everything committed has been given out.
    Wait,
    End,
}

/// Part of a segment to be read, without holding any lock.
pub(super) struct ReadPlan {
    segment: Segment,
    after: Position,
    offset: u64,
}

/// What reading gave.
pub(super) struct ReadAhead {
    pub(super) entries: Vec<Entry>,
    /// Everything up to here was given out or is damaged.
    pub(super) at: Position,
    pub(super) place: Place,
    pub(super) number: u64,
    /// The disk refused to read what comes next: worth another try before it is skipped.
    pub(super) refused: bool,
    /// With the finding of each.
    pub(super) damages: Vec<(Damage, Finding)>,
}

/// Where a lane reads on: segment and offset. Only a hint.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    number: u64,
    offset: u64,
}

impl Core {
    pub(super) fn next(&self, at: Position, place: Place) -> Next {
        if let Some(entry) = self.tail.after(at) {
            return Next::Batch(entry.clone());
        }
        let index = self.segments.partition_point(|segment| segment.last <= at);
        // Not `at >= head`: a snapshot may be ahead of a log from which somebody removed segments.
        let Some(segment) = self.segments.get(index) else {
            let drained = self.finished && self.pending.is_empty() && !self.writing;
            return if drained { Next::End } else { Next::Wait };
        };
        let offset = if place.number == segment.number { place.offset } else { FRAMES_AT };
        Next::Read(ReadPlan { segment: segment.clone(), after: at, offset })
    }

    /// The lane gets this batch now.
    pub(super) fn hand_out(&mut self, output: usize, entry: &Entry) {
        let handed = Handed { position: entry.position, through: entry.through, at: entry.at };
        let output = &mut self.outputs[output];
        output.handed.push_back(handed);
        output.at = output.at.max(entry.position);
        let given = self.outputs.iter().filter(|output| !output.orphaned).map(|output| output.at).min();
        if let Some(given) = given {
            self.tail.drop_through(given);
        }
    }

    pub(super) fn note_damages(&mut self, number: u64, damages: Vec<(Damage, Finding)>) {
        for (damage, finding) in damages {
            if self.damaged.insert((number, damage.from, damage.to)) {
                self.stats.frames_damaged += 1;
                self.note_finding(finding);
            }
        }
    }
}

impl ReadPlan {
    /// `last_try`: what the disk refuses to read is skipped, as what is damaged.
    pub(super) fn run(&self, disk: &dyn Disk, last_try: bool) -> ReadAhead {
        let segment = &self.segment;
        let mut scanner = Scanner::new(Arc::clone(&segment.file), segment.salt, self.offset, segment.end);
        let sequence = if self.after.epoch == segment.epoch { self.after.sequence } else { 0 };
        let mut ahead = ReadAhead {
            entries: Vec::new(),
            at: self.after,
            place: Place::default(),
            number: segment.number,
            refused: false,
            damages: Vec::new(),
        };
        let mut bytes = 0;
        let mut offset = scanner.at();
        while bytes < READ_BYTES {
            match scanner.next_above(sequence) {
                Found::Frame { header, payload, .. } if header.kind == FrameKind::Batch => {
                    let position = Position { epoch: segment.epoch, sequence: header.sequence };
                    bytes += payload.len();
                    if let Some(batch) = decode_batch(&header, &Bytes::from(payload))
                        && position > ahead.at
                    {
                        let batch = Arc::new(batch);
                        ahead.entries.push(Entry { position, through: header.through, at: header.at, batch });
                        ahead.at = position;
                    }
                }
                Found::Frame { .. } => {}
                Found::Damage(damage) if damage.unreadable && !last_try => {
                    ahead.refused = true;
                    break;
                }
                Found::Damage(damage) => {
                    let finding = quarantine::keep(disk, &*segment.file, segment.number, &damage);
                    ahead.damages.push((damage, finding));
                }
                Found::End => {
                    // Also past what is damaged at its end.
                    ahead.at = ahead.at.max(segment.last);
                    break;
                }
            }
            offset = scanner.at();
        }
        ahead.place = Place { number: segment.number, offset };
        ahead
    }
}

/// How far a lagging lane reads ahead.
const READ_BYTES: usize = 1 << 20;
