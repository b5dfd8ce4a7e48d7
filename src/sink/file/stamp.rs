//! The time in the name of a file that was set aside: `logons-20260102T030405Z.jsonl`.

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
