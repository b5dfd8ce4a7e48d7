//! Survey of one segment: which frames count, what is rot, and what is only a torn tail.
//!
//! ```text
//! │ frames …  ok │ damaged │ ok │ … │ mark │ frames of the last group │ damaged …
//!                   └ rot: synced once, so it is reported, copied and skipped │ └ torn tail: cut
//! ```
//!
//! The mark is the highest offset that anything says was synced: a later frame, the next segment's
//! link, or a durable cursor or snapshot at or behind a frame.

use super::super::Position;
use super::file::File;
use super::frame::{FrameHeader, FrameKind, HEADER_BYTES, Link, Totals, decode_bookmark};
use super::segment::{Damage, FRAMES_AT, Found, Scanner, SegmentHeader, is_blank};
use crate::event::{Bookmark, Timestamp};
use std::io;
use std::sync::Arc;

/// What is known of a segment before its frames are read.
pub(super) struct Known {
    pub(super) file: Arc<dyn File>,
    pub(super) header: SegmentHeader,
    /// Where the next segment's link says that it ends.
    pub(super) end: Option<u64>,
    /// No segment came after it, so its last group may be torn.
    pub(super) is_last: bool,
    /// Everything up to here is known to be committed.
    pub(super) committed: Position,
}

pub(super) struct Survey {
    /// Where the frames that count end.
    pub(super) end: u64,
    /// Up to here all is known to have been synced.
    pub(super) mark: u64,
    pub(super) frames: Vec<Counted>,
    /// The last batch that was committed here, also when it is damaged.
    pub(super) last: Option<(Position, Totals, Timestamp)>,
    pub(super) rot: Vec<Damage>,
    /// Bytes behind the end that were written but never synced.
    pub(super) torn: bool,
    /// The disk refuses to read what decides where the segment ends.
    pub(super) refused: bool,
}

/// A whole batch frame.
pub(super) struct Counted {
    pub(super) position: Position,
    pub(super) through: Totals,
    pub(super) at: Timestamp,
    /// What the running total grew by since the frame before.
    pub(super) events: u64,
    pub(super) bookmark: Option<Bookmark>,
}

/// The link that opens a segment, with its frame header.
pub(super) fn link(file: &Arc<dyn File>, header: &SegmentHeader) -> io::Result<Option<(FrameHeader, Link)>> {
    let mut scanner = Scanner::new(Arc::clone(file), header.salt, FRAMES_AT, file.len()?);
    Ok(match scanner.next() {
        Found::Frame { header, payload, offset: FRAMES_AT } if header.kind == FrameKind::Link => {
            Link::decode(&payload).map(|link| (header, link))
        }
        _ => None,
    })
}

/// Any frame says that an earlier group of this segment was synced.
pub(super) fn was_synced(file: &Arc<dyn File>, header: &SegmentHeader) -> io::Result<bool> {
    let mut scanner = Scanner::new(Arc::clone(file), header.salt, FRAMES_AT, file.len()?);
    loop {
        match scanner.next() {
            Found::End => return Ok(false),
            Found::Frame { header, .. } if header.mark > FRAMES_AT => return Ok(true),
            _ => {}
        }
    }
}

pub(super) fn survey(known: &Known) -> io::Result<Survey> {
    let limit = match known.end {
        Some(end) => end,
        None => known.file.len()?,
    };
    let mut scanner = Scanner::new(Arc::clone(&known.file), known.header.salt, FRAMES_AT, limit);
    let mut mark = known.end.unwrap_or(FRAMES_AT);
    let mut items = Vec::new();
    loop {
        let (header, item) = match scanner.next() {
            Found::End => break,
            Found::Frame { offset, header, payload } => {
                let bookmark = decode_bookmark(&header, &payload).filter(|_| header.kind == FrameKind::Batch);
                (Some(header), Item::Frame { offset, end: scanner.at(), header, bookmark })
            }
            Found::Damage(damage) => (damage.header, Item::Damage(damage)),
        };
        if let Some(header) = header {
            mark = mark.max(header.mark);
            let position = Position { epoch: known.header.epoch, sequence: header.sequence };
            if header.kind == FrameKind::Batch && position <= known.committed {
                mark = mark.max(scanner.at());
            }
        }
        items.push(item);
    }
    judge(known, items, mark.min(limit), limit)
}

enum Item {
    Frame { offset: u64, end: u64, header: FrameHeader, bookmark: Option<Bookmark> },
    Damage(Damage),
}

fn judge(known: &Known, items: Vec<Item>, mark: u64, limit: u64) -> io::Result<Survey> {
    let mut survey = Survey {
        end: FRAMES_AT,
        mark,
        frames: Vec::new(),
        last: None,
        rot: Vec::new(),
        torn: false,
        refused: false,
    };
    let (epoch, mut through) = (known.header.epoch, None);
    let (mut ends_damaged, mut marked) = (false, None);
    for item in items {
        match item {
            Item::Frame { offset, end, header, bookmark } => {
                survey.end = end;
                marked = Some((header.through, header.at));
                let before = through.replace(header.through.events);
                let events = header.through.events.saturating_sub(before.unwrap_or(header.through.events));
                if header.kind == FrameKind::Batch {
                    let position = Position { epoch, sequence: header.sequence };
                    survey.last = Some((position, header.through, header.at));
                    ends_damaged = false;
                    survey.frames.push(Counted {
                        position,
                        through: header.through,
                        at: header.at,
                        events,
                        bookmark,
                    });
                }
                debug_assert!(offset < end, "a frame is not empty");
            }
            Item::Damage(damage) if damage.from >= mark && known.end.is_none() => {
                // The end of any segment, or a torn tail of the last.
                let is_end = damage.to == limit && matches!(ends(known, damage.from, limit), Ok(true));
                if is_end || known.is_last {
                    // Behind the end it is no matter: nothing of this segment stands there.
                    survey.refused = damage.unreadable && !is_end;
                    survey.torn = !is_end;
                    break;
                }
                survey.end = damage.to;
                survey.last = committed(&damage, epoch).or(survey.last);
                ends_damaged = true;
                survey.rot.push(damage);
            }
            Item::Damage(damage) => {
                // What stands behind the mark at the very end is not known to have been synced.
                let to = if damage.to == limit && known.is_last {
                    damage.to.min(mark.max(damage.from))
                } else {
                    damage.to
                };
                survey.last = committed(&damage, epoch).or(survey.last);
                ends_damaged = true;
                survey.rot.push(Damage { to, ..damage });
                survey.end = to;
                survey.torn |= to < damage.to && !ends(known, to, limit)?;
            }
        }
    }
    if let Some(end) = known.end {
        survey.end = end;
    } else if let Some((totals, at)) = marked
        && ends_damaged
        && known.committed.epoch == epoch
        && survey.last.is_none_or(|(last, ..)| known.committed > last)
    {
        // Its header is damaged too; what stands behind it, a mark, still tells the totals.
        survey.last = Some((known.committed, totals, at));
    }
    Ok(survey)
}

/// The zeros that every group leaves behind it stand there.
fn ends(known: &Known, at: u64, limit: u64) -> io::Result<bool> {
    is_blank(&*known.file, at, limit.min(at + HEADER_BYTES as u64))
}

/// The batch that stood where now only its header is whole.
fn committed(damage: &Damage, epoch: u32) -> Option<(Position, Totals, Timestamp)> {
    let header = damage.header.filter(|header| header.kind == FrameKind::Batch)?;
    Some((Position { epoch, sequence: header.sequence }, header.through, header.at))
}
