//! Secrets of outputs that stand in files, read when they are needed, so that a new one counts without a
//! restart.
//!
//! Promises: a file that every user of the machine can read is refused, but for those that containers are
//! given; a secret is in no finding. Must not know: what the secret is for.

use crate::auth::files::is_open_to_others;
use crate::finding::Finding;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Longest secret; a token of many groups is a few KiB.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The text of the file without its last line end.
///
/// # Errors
/// Why it cannot be used, and what to do.
pub(super) fn read(path: &Path) -> Result<String, Finding> {
    let unusable = |why: &str, fix: &str| Finding {
        what: format!("the credentials in {} cannot be used", path.display()),
        why: why.into(),
        fix: format!("{fix}; it is noticed at once"),
    };
    let unread = |error: io::Error| {
        unusable(&error.to_string(), "see that the file is there and that the user of forebay may read it")
    };
    // Before it is opened: a pipe would keep us there.
    if !fs::metadata(path).map_err(unread)?.is_file() {
        return Err(unusable("it is no file", "put the secret into one"));
    }
    let file = File::open(path).map_err(unread)?;
    let metadata = file.metadata().map_err(unread)?;
    if is_open_to_others(&metadata) && !is_of_a_container(path) {
        let fix = "take the rights of others away with `chmod o= FILE`";
        return Err(unusable("every user of this machine can read it", fix));
    }
    let mut text = String::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        let why = format!("it is longer than {SECRET_BYTES_MAX} bytes");
        return Err(unusable(&why, "put the secret and nothing else into it"));
    }
    if text.trim().is_empty() {
        return Err(unusable("it is empty", "write the secret into it"));
    }
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(text.to_owned())
}

/// Containers are given theirs readable for all in there.
fn is_of_a_container(path: &Path) -> bool {
    let folders = ["/run/secrets", "/var/run/secrets"];
    path.canonicalize().is_ok_and(|path| folders.iter().any(|folder| path.starts_with(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_read_without_its_line_end_and_only_if_it_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let written = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path).map_err(|finding| finding.to_string())
        };
        assert_eq!(written("hunter2 \r\n", 0o600), Ok("hunter2 ".into()));
        let longest = "x".repeat(64 * 1024);
        assert_eq!(written(&longest, 0o640), Ok(longest.clone()));
        for (text, mode, words) in [
            ("hunter2", 0o644, "every user of this machine can read it; take the rights"),
            ("\n", 0o600, "it is empty"),
            (&format!("{longest}x"), 0o600, "it is longer than 65536 bytes"),
        ] {
            let told = written(text, mode).unwrap_err();
            assert!(told.contains(words) && !told.contains("hunter2"), "{told}");
        }
        assert!(read(folder.path()).unwrap_err().why.contains("no file"));
        assert!(read(&folder.path().join("none")).unwrap_err().fix.contains("see that the file is there"));
    }
}
