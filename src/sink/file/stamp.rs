//! The time in the name of a file that was set aside: `logons-20260102T030405Z.jsonl`.

use crate::event::Timestamp;
use crate::sink::path::Place;
use std::io;

/// `a/x-20260102T030405Z-1.json` to `a/x.json`.
pub(super) fn without_stamp(path: &str, extension: &str) -> String {
    let stem = path.strip_suffix(extension).unwrap_or(path);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_stamp = |text: &str| {
        text.len() == 16
            && text.ends_with('Z')
            && text
                .split_once('T')
                .is_some_and(|(day, time)| digits(day) && digits(time.trim_end_matches('Z')))
    };
    let bare = match stem.rsplit_once('-') {
        Some((bare, stamp)) if is_stamp(stamp) => bare,
        Some((rest, count)) if digits(count) => match rest.rsplit_once('-') {
            Some((bare, stamp)) if is_stamp(stamp) => bare,
            _ => stem,
        },
        _ => stem,
    };
    format!("{bare}{}", &path[stem.len()..])
}

/// A free name for a file that is set aside: the time before the extension.
pub(super) fn aside(place: &Place, extension: &str, now: u64) -> io::Result<Place> {
    const TRIES_MAX: u32 = 10_000;
    let (stem, extension) = match place.name().strip_suffix(extension) {
        Some(stem) => (stem, extension),
        None => (place.name(), ""),
    };
    let mut stamp = Vec::new();
    Timestamp(i64::try_from(now).unwrap_or(0).saturating_mul(1_000_000_000)).write(0, &mut stamp);
    let stamp: String =
        stamp.into_iter().map(char::from).filter(|character| !matches!(character, '-' | ':')).collect();
    for number in 0..TRIES_MAX {
        let count = if number == 0 { String::new() } else { format!("-{number}") };
        let aside = place.sibling(&format!("{stem}-{stamp}{count}{extension}"))?;
        if aside.inode()?.is_none() {
            return Ok(aside);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_told_from_a_name() {
        for (path, bare) in [
            ("x-20260102T030405Z.json", "x.json"),
            ("a/x-20260102T030405Z-12.json", "a/x.json"),
            ("x-2026.json", "x-2026.json"),
            ("x.json", "x.json"),
            ("x-y-7.json", "x-y-7.json"),
        ] {
            assert_eq!(without_stamp(path, ".json"), bare);
        }
    }
}
