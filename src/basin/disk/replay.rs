//! The segments as a crash left them: in order, cut, checked, and their bookmarks applied.

use super::super::{BasinError, Position, State, apply};
use super::core::Segment;
use super::file::{FRESH, File};
use super::frame::{FrameHeader, Link, Totals};
use super::quarantine::{self, QUARANTINE};
use super::recovery::Opening;
use super::segment::{
    BLANK_BYTES, Damage, FRAMES_AT, SEGMENTS, SegmentHeader, is_blank, segment_number, segment_path,
};
use super::slots::Flaw;
use super::snapshot::Snapshot;
use super::survey::{self, Known, Survey, survey};
use crate::finding::Finding;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Replay {
    pub(super) segments: VecDeque<Segment>,
    pub(super) state: State,
    pub(super) node: Option<[u8; 16]>,
    pub(super) epoch: u32,
    pub(super) next_number: u64,
    /// Just before the oldest frame of the log.
    pub(super) oldest: Option<(Position, Totals)>,
}

/// What cursors and snapshot say of the log.
#[derive(Clone, Copy)]
pub(super) struct Reached {
    /// Everything up to here is known to have been synced.
    pub(super) committed: Position,
    /// Nobody needs anything up to here.
    pub(super) done: Position,
}

pub(super) fn replay(
    opening: &mut Opening<'_>,
    node: Option<[u8; 16]>,
    snapshot: &Snapshot,
    reached: Reached,
) -> Result<Replay, BasinError> {
    let mut replay = Replay { state: snapshot.state.clone(), ..Replay::default() };
    let files = candidates(opening, node, &mut replay)?;
    for index in 0..files.len() {
        let file = &files[index];
        let next = files.get(index + 1);
        let follower = next.and_then(|next| next.link).filter(|(_, link)| link.previous == file.number);
        let known = Known {
            file: Arc::clone(&file.file),
            header: file.header,
            end: follower.map(|(_, link)| link.previous_end),
            is_last: !files[index + 1..].iter().any(|later| later.was_synced),
            committed: reached.committed,
        };
        let covered = follower.filter(|(_, link)| link.last <= snapshot.position);
        let segment = match covered {
            Some((header, link)) => Some(file.segment(&header, &link)),
            None => read(opening, file, &known, snapshot.position, &mut replay.state)?,
        };
        let Some(mut segment) = segment else { continue };
        if let Some((header, link)) = &file.link {
            replay.bridge(opening, header, link, reached.done);
        }
        if replay.segments.is_empty() {
            replay.oldest = file.link.map(|(header, link)| (link.last, header.through));
        }
        // Whatever stands behind the end was never acknowledged, and its space is free.
        if segment.bytes > segment.end && segment.file.cut(segment.end).is_ok() {
            segment.bytes = segment.end;
        }
        replay.segments.push_back(segment);
    }
    Ok(replay)
}

impl Replay {
    /// Looks for segments that are missing before the one with this link.
    fn bridge(&mut self, opening: &mut Opening<'_>, header: &FrameHeader, link: &Link, done: Position) {
        let Some(before) = self.segments.back().filter(|before| before.number != link.previous) else {
            return;
        };
        if link.last <= done {
            // All were read and deleted, and a crash brought back the names of some.
            for segment in std::mem::take(&mut self.segments) {
                opening.remove(segment.number);
            }
            return;
        }
        opening.findings.push(Finding {
            what: format!(
                "basin: {} events are missing between {} and {}",
                header.through.events.saturating_sub(before.through.events),
                before.last,
                link.last
            ),
            why: format!("segments behind {} are gone, up to {}", before.number, link.previous),
            fix: "find out who removed segments of the basin; outputs go on with what is left".into(),
        });
    }
}

/// A segment file that belongs to this basin.
struct Candidate {
    number: u64,
    file: Arc<dyn File>,
    bytes: u64,
    header: SegmentHeader,
    link: Option<(FrameHeader, Link)>,
    /// Something of it was surely on disk, and so was all before it. A segment whose first group
    /// was torn proves nothing of the one before.
    was_synced: bool,
}

impl Candidate {
    /// As the next segment's link describes it.
    fn segment(&self, header: &FrameHeader, link: &Link) -> Segment {
        Segment {
            number: self.number,
            epoch: self.header.epoch,
            salt: self.header.salt,
            file: Arc::clone(&self.file),
            bytes: self.bytes,
            end: link.previous_end,
            last: link.last,
            through: header.through,
            last_at: header.at,
        }
    }
}

/// All usable segment files, oldest first, without those that a failed sync left behind.
fn candidates(
    opening: &mut Opening<'_>,
    node: Option<[u8; 16]>,
    replay: &mut Replay,
) -> Result<Vec<Candidate>, BasinError> {
    let list = |folder| opening.disk.list(folder).map_err(|source| opening.io("list", folder, source));
    let names = list(SEGMENTS)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    // A number whose segment is in quarantine is not used again.
    let set_aside =
        list(QUARANTINE)?.iter().filter_map(|name| name.get(..12)?.parse().ok()).max().unwrap_or(0);
    replay.next_number = numbers.last().copied().unwrap_or(0).max(set_aside) + 1;
    // A crash came while a read segment became the next one. What stays goes at the next start.
    let on_the_way = |name: &&String| name.strip_suffix(FRESH).and_then(segment_number).is_some();
    for name in names.iter().filter(on_the_way) {
        let _ = opening.disk.remove(&format!("{SEGMENTS}/{name}"));
    }
    let mut files = Vec::new();
    for number in numbers {
        if let Some(file) = candidate(opening, number)? {
            replay.epoch = replay.epoch.max(file.header.epoch);
            files.push(file);
        }
    }
    replay.node = node.or_else(|| files.last().map(|file| file.header.node));
    files.retain(|file| {
        let ours = Some(file.header.node) == replay.node;
        if !ours {
            let why = "it was written by another basin (its node id differs)";
            opening.findings.push(quarantine::set_aside(&*opening.disk, file.number, why));
        }
        ours
    });
    // A link names the segment before it; files between the two hold nothing that was acknowledged.
    let mut index = files.len();
    while let Some(at) = index.checked_sub(1) {
        index = at;
        let Some((_, link)) = files[at].link else { continue };
        while let Some(before) = index.checked_sub(1).filter(|before| files[*before].number > link.previous) {
            opening.remove(files[before].number);
            files.remove(before);
            index = before;
        }
    }
    Ok(files)
}

fn candidate(opening: &mut Opening<'_>, number: u64) -> Result<Option<Candidate>, BasinError> {
    let path = segment_path(number);
    let disk = Arc::clone(&opening.disk);
    let examine = || {
        let file = disk.open(&path)?;
        let bytes = file.len()?;
        let header = SegmentHeader::read(&*file)?;
        let blank = is_blank(&*file, FRAMES_AT, bytes.min(FRAMES_AT + BLANK_BYTES as u64))?
            && (header.is_ok() || is_blank(&*file, FRAMES_AT, bytes)?);
        let link = match &header {
            Ok(header) => survey::link(&file, header)?,
            Err(_) => None,
        };
        let was_synced = match &header {
            Ok(header) => link.is_some() || survey::was_synced(&file, header)?,
            Err(_) => false,
        };
        Ok((file, bytes, header, blank, link, was_synced))
    };
    let (file, bytes, header, blank, link, was_synced) =
        examine().map_err(|source| opening.io("read", &path, source))?;
    match header {
        Err(Flaw::Newer(found)) => Err(opening.newer(found)),
        // Prepared and never used.
        _ if blank => {
            opening.remove(number);
            Ok(None)
        }
        Ok(header) if header.number == number => {
            Ok(Some(Candidate { number, file, bytes, header, link, was_synced }))
        }
        _ => {
            let why = "both copies of its header are damaged, so its frames cannot be told from noise";
            opening.findings.push(quarantine::set_aside(&*disk, number, why));
            Ok(None)
        }
    }
}

/// Writes what counts of a file from `at` on as it is once more. A sync alone would not do: when the
/// last run's sync failed, the kernel may have dropped the pages and call what only its cache has
/// clean.
fn rewrite(file: &dyn File, mut at: u64, end: u64, rot: &[Damage]) -> io::Result<()> {
    for damage in rot {
        rewrite_part(file, at, damage.from)?;
        at = at.max(damage.to);
    }
    rewrite_part(file, at, end)?;
    file.sync()
}

fn rewrite_part(file: &dyn File, mut at: u64, end: u64) -> io::Result<()> {
    let mut bytes = vec![0; REWRITE_BYTES.min(end.saturating_sub(at) as usize)];
    while at < end {
        let count = bytes.len().min((end - at) as usize);
        let read = file.read_at(at, &mut bytes[..count])?;
        if read == 0 {
            break;
        }
        file.write_at(at, &mut [IoSlice::new(&bytes[..read])])?;
        at += read as u64;
    }
    Ok(())
}

/// Reads a segment's frames, and applies the bookmarks that the snapshot does not have.
fn read(
    opening: &mut Opening<'_>,
    file: &Candidate,
    known: &Known,
    covered: Position,
    state: &mut State,
) -> Result<Option<Segment>, BasinError> {
    let path = segment_path(file.number);
    let Survey { end, mark, frames, last, rot, torn, refused } =
        survey(known).map_err(|source| opening.io("read", &path, source))?;
    let holds_nothing = frames.is_empty() && (file.link.is_none() || rot.is_empty());
    if refused || holds_nothing && rot.iter().any(|damage| damage.unreadable) {
        // Going on here could cut or remove what was acknowledged.
        let source = io::Error::other("the disk refuses to read where the log ends");
        return Err(opening.io("read", &path, source));
    }
    if known.end.is_none() {
        // Frames that only the page cache has are made durable before a lane can see them.
        rewrite(&*known.file, mark, end, &rot).map_err(|source| opening.io("sync", &path, source))?;
    }
    for damage in &rot {
        opening.findings.push(quarantine::keep(&*opening.disk, &*known.file, file.number, damage));
        opening.damaged.insert((file.number, damage.from, damage.to));
    }
    if torn {
        opening.findings.push(Finding {
            what: format!("basin: {path} ends in a torn write at {end}, which was cut off"),
            why: "the last run ended before that write was synced, so nothing of it was acknowledged".into(),
            fix: "nothing to do; whoever sent it sends it again".into(),
        });
    }
    for frame in &frames {
        if let Some(bookmark) = frame.bookmark.as_ref().filter(|_| frame.position > covered) {
            apply(state, bookmark);
        }
    }
    if holds_nothing {
        if rot.is_empty() {
            opening.remove(file.number);
        } else {
            let why = "no frame of it passes its checksum";
            opening.findings.push(quarantine::set_aside(&*opening.disk, file.number, why));
        }
        return Ok(None);
    }
    let start = file.link.as_ref().map(|(header, link)| (link.last, header.through, header.at));
    Ok(last.or(start).map(|(last, through, last_at)| Segment {
        number: file.number,
        epoch: file.header.epoch,
        salt: file.header.salt,
        file: Arc::clone(&file.file),
        bytes: file.bytes,
        end,
        last,
        through,
        last_at,
    }))
}

const REWRITE_BYTES: usize = 1 << 20;
