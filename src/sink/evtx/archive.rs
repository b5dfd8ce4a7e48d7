//! Names of logs that were set aside, made and read back.

use crate::event::Timestamp;
use crate::sink::path::Place;
use std::io;

/// A free name for a full log, as Windows makes it: `Archive-Security-2019-01-14-18-33-55-830.evtx`.
pub(super) fn archive(place: &Place, now: Timestamp) -> io::Result<Place> {
    const TRIES_MAX: i64 = 1000;
    let stem = place.name().trim_end_matches(".evtx");
    for later in 0..TRIES_MAX {
        let mut stamp = Vec::new();
        Timestamp(now.0.saturating_add(later * 1_000_000)).write(3, &mut stamp);
        stamp.pop();
        let stamp: String = stamp
            .into_iter()
            .map(|byte| if byte.is_ascii_digit() { char::from(byte) } else { '-' })
            .collect();
        let aside = place.sibling(&format!("Archive-{stem}-{stamp}.evtx"))?;
        if aside.inode()?.is_none() {
            return Ok(aside);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The path that a log had before it was set aside: what `archive` does, undone.
pub(super) fn unarchived(path: &str, _: &str) -> String {
    /// `-YYYY-MM-DD-hh-mm-ss-nnn`
    const STAMP_BYTES: usize = 24;
    let (folder, name) =
        path.rsplit_once('/').map_or(("", path), |(folder, name)| (&path[..=folder.len()], name));
    let bare = name.strip_prefix("Archive-").and_then(|rest| rest.strip_suffix(".evtx")).and_then(|rest| {
        let (stem, stamp) = rest.split_at_checked(rest.len().checked_sub(STAMP_BYTES)?)?;
        let parts: Vec<usize> = stamp.split('-').map(str::len).collect();
        let is_stamp = parts == [0, 4, 2, 2, 2, 2, 2, 3]
            && stamp.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
        is_stamp.then_some(stem)
    });
    bare.map_or_else(|| path.to_owned(), |stem| format!("{folder}{stem}.evtx"))
}
