//! Damage to what was synced: a flipped bit, or a block that cannot be read any more.

use super::Model;
use super::source::id_of;
use crate::basin::Position;
use crate::basin::disk::fake::Fails;
use crate::basin::disk::frame::{FrameKind, HEADER_BYTES, decode_batch};
use crate::basin::disk::segment::{FRAMES_AT, Found, Scanner, segment_path};
use bytes::Bytes;
use std::sync::Arc;

/// A whole batch on disk.
struct Standing {
    from: u64,
    /// Where its payload ends, and where its frame does.
    end: u64,
    to: u64,
    position: Position,
    id: u64,
}

impl Model {
    /// Damages batches of some segment, below what is known to have been synced.
    pub(super) fn rot(&mut self) {
        self.disk.fail(Fails::default());
        let segments = &self.core.as_ref().unwrap().segments;
        if segments.is_empty() {
            return;
        }
        let index = self.random.below(segments.len() as u64) as usize;
        let segment = segments[index].clone();
        // The next one's link tells where a segment ends; else its own frames tell how far it is.
        let mut mark = if index + 1 < segments.len() { segment.end } else { 0 };
        let mut frames = Vec::new();
        let mut scanner = Scanner::new(Arc::clone(&segment.file), segment.salt, FRAMES_AT, segment.end);
        loop {
            match scanner.next() {
                Found::Frame { offset, header, payload } => {
                    mark = mark.max(header.mark);
                    let end = offset + (HEADER_BYTES + payload.len()) as u64;
                    if header.kind == FrameKind::Batch {
                        let position = Position { epoch: segment.epoch, sequence: header.sequence };
                        let id = id_of(&decode_batch(&header, &Bytes::from(payload)).unwrap());
                        frames.push(Standing { from: offset, end, to: scanner.at(), position, id });
                    }
                }
                Found::Damage(_) => {}
                Found::End => break,
            }
        }
        frames.retain(|frame| frame.to <= mark);
        let path = segment_path(segment.number);
        if !frames.is_empty() && self.random.one_in(3) {
            self.ruin(&path, &frames, mark);
        } else if !frames.is_empty() {
            let frame = &frames[self.random.below(frames.len() as u64) as usize];
            let offset = frame.from + self.random.below(frame.end - frame.from);
            self.disk.flip(&path, offset, self.random.below(8) as u8);
            self.log.rot(frame.position, frame.id, &path, offset);
        }
        let fails = self.fails;
        self.disk.fail(fails);
    }

    /// Makes one block unreadable, where batches that are below the mark fill it.
    fn ruin(&mut self, path: &str, frames: &[Standing], mark: u64) {
        let frame = &frames[self.random.below(frames.len() as u64) as usize];
        let from = frame.from / BLOCK * BLOCK;
        let to = from + BLOCK;
        // The first block has the link.
        if from <= FRAMES_AT || to > mark {
            return;
        }
        self.disk.ruin(path, from);
        for hit in frames.iter().filter(|hit| hit.from < to && hit.end > from) {
            self.log.rot(hit.position, hit.id, path, hit.from.max(from));
        }
    }
}

const BLOCK: u64 = 4096;
