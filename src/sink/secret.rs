//! Secrets of outputs that stand in files, read when they are needed, so that a new one counts without a
//! restart.
//!
//! Promise: a file that every user of the machine can read is refused, but for those that containers are
//! given. Must not know: what the secret is for.

use crate::auth::files::is_open_to_others;
use std::fs;
use std::path::Path;

/// Longest secret; a token of many groups is a few KiB.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The text of the file without its last line end.
///
/// # Errors
/// Why it cannot be used, and what to do, behind a `; `.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let told = |why: String| format!("{}: {why}", path.display());
    let metadata = fs::metadata(path).map_err(|error| told(error.to_string()))?;
    if !metadata.is_file() {
        return Err(told("is no file".into()));
    }
    if metadata.len() > SECRET_BYTES_MAX {
        return Err(told(format!("is longer than {SECRET_BYTES_MAX} bytes")));
    }
    if is_open_to_others(&metadata) && !is_of_a_container(path) {
        return Err(told("every user of this machine can read it; `chmod o-r` it".into()));
    }
    let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() { Err(told("is empty".into())) } else { Ok(text.to_owned()) }
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
            read(&path)
        };
        assert_eq!(written("hunter2 \r\n", 0o600), Ok("hunter2 ".into()));
        assert!(written("hunter2", 0o644).unwrap_err().contains("every user"));
        assert!(written("\n", 0o600).unwrap_err().contains("is empty"));
        assert!(read(folder.path()).unwrap_err().contains("no file"));
    }
}
