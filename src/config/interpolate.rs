//! `${env:NAME}` and `${file:/path}` inside string values; `$${` stands for a plain `${`.
//!
//! Promise: what comes in is text of that one value and never becomes structure.
//! Must not know: which values are allowed where.

use super::diagnostic::{Diagnostic, Place, Severity};
use super::tree::Notes;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// Longest text that one `${…}` may bring in.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Where the texts come from.
pub trait Lookup {
    /// The value of an environment variable.
    ///
    /// # Errors
    /// In words, without the name.
    fn env(&self, name: &str) -> Result<String, String>;

    /// The text of a file.
    ///
    /// # Errors
    /// In words, without the name; what to do may follow behind `; `.
    fn file(&self, path: &str) -> Result<String, String>;

    /// What an absent one is: a warning for `check`, an error for `run`.
    fn absent(&self) -> Severity;

    /// The bytes of a file that a part of the pipeline names; more than `bytes_max` is an error.
    ///
    /// # Errors
    /// In words, without the name.
    fn bytes(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, String>;

    /// The files that a glob or path names, in the order of their names.
    ///
    /// # Errors
    /// In words, without the pattern.
    fn list(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// The environment and files of this process.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub absent: Severity,
}

impl Lookup for Process {
    fn env(&self, name: &str) -> Result<String, String> {
        match std::env::var(name) {
            Ok(value) => Ok(value),
            Err(std::env::VarError::NotPresent) => Err("is not set".into()),
            Err(std::env::VarError::NotUnicode(_)) => Err("is not UTF-8".into()),
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let unreadable = |error| format!("cannot be read: {error}");
        let file = File::open(path).map_err(unreadable)?;
        let status = file.metadata().map_err(unreadable)?;
        if status.is_file() && status.mode() & 0o004 != 0 && !is_container_secret(path) {
            return Err("can be read by every user of this machine; take that away with `chmod o-r`".into());
        }
        let mut bytes = Vec::new();
        file.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|_| "is not UTF-8".into())
    }

    fn absent(&self) -> Severity {
        self.absent
    }

    fn bytes(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        // One byte past the limit tells a file that is too large from one that just fits.
        File::open(path)
            .and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("cannot be read: {error}"))?;
        match bytes.len() <= bytes_max {
            true => Ok(bytes),
            false => Err(format!("is larger than it may be ({bytes_max} bytes)")),
        }
    }

    fn list(&self, pattern: &str) -> Result<Vec<String>, String> {
        let found = glob::glob(pattern).map_err(|error| format!("is no pattern of files: {}", error.msg))?;
        let mut paths = Vec::new();
        for path in found {
            let path = path.map_err(|error| format!("cannot be read: {}", error.error()))?;
            paths.push(path.into_os_string().into_string().map_err(|_| "names a file that is not UTF-8")?);
        }
        if paths.is_empty() && !pattern.contains(['*', '?', '[']) {
            return Err("cannot be read: there is no such file".into());
        }
        paths.sort();
        Ok(paths)
    }
}

/// Docker, Podman and (by convention) Kubernetes mount secrets there for one container alone, and
/// often with mode 0444, which then says nothing.
fn is_container_secret(path: &str) -> bool {
    let folders = ["/run/secrets", "/var/run/secrets"];
    std::fs::canonicalize(path).is_ok_and(|path| folders.iter().any(|folder| path.starts_with(folder)))
}

/// Whether the text is one `${…}` and nothing else.
pub(super) fn is_reference(text: &str) -> bool {
    let inside = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|name| {
        !name.contains(['}', '$']) && (name.starts_with("env:") || name.starts_with("file:"))
    })
}

/// The text with every `${…}` filled in, or `None` when it has none or one could not be filled.
pub(super) fn interpolate(
    text: &str,
    place: &Place,
    lookup: &dyn Lookup,
    notes: &mut Notes,
) -> Option<String> {
    if !text.contains("${") {
        return None;
    }
    let (mut filled, mut rest, mut whole) = (String::new(), text, true);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at]);
            filled.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let (name, next) = after.split_once('}').unwrap_or((after, ""));
        match value(name, place, lookup) {
            Ok(text) => {
                notes.secrets.add_text(&text);
                filled.push_str(&text);
            }
            Err(diagnostic) => {
                notes.tell(diagnostic);
                whole = false;
            }
        }
        rest = next;
    }
    filled.push_str(rest);
    if !whole {
        notes.unfilled.push(place.clone());
    }
    whole.then_some(filled)
}

fn value(name: &str, place: &Place, lookup: &dyn Lookup) -> Result<String, Diagnostic> {
    let (what, found, fix) = if let Some(name) = name.strip_prefix("env:") {
        ("environment variable", lookup.env(name), format!("set it: `export {name}=…`"))
    } else if let Some(path) = name.strip_prefix("file:") {
        let found = lookup.file(path).map(|mut text| {
            if text.ends_with('\n') {
                text.pop();
                text.truncate(text.trim_end_matches('\r').len().max(text.len().saturating_sub(1)));
            }
            text
        });
        ("file", found, "create it, or let the user that runs forebay read it".to_owned())
    } else {
        let message =
            format!("`${{{}}}` is neither `${{env:NAME}}` nor `${{file:/path}}`", name.escape_debug());
        return Err(Diagnostic::error(place.clone(), message, "write `$${` for a plain `${`"));
    };
    let name = name.split_once(':').map_or(name, |(_, name)| name);
    match found {
        Ok(text) if text.len() > TEXT_BYTES_MAX => {
            let message = format!("{what} `{name}` is longer than {TEXT_BYTES_MAX} bytes");
            Err(Diagnostic::error(place.clone(), message, "name one that holds a single value"))
        }
        Ok(text) => Ok(text),
        Err(why) => {
            let (why, fix) = why.split_once("; ").map_or((&*why, fix), |(why, fix)| (why, fix.into()));
            let message = format!("{what} `{}` {why}", name.escape_debug());
            let severity = lookup.absent();
            Err(Diagnostic { severity, ..Diagnostic::error(place.clone(), message, fix) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Lookup for Fixed {
        fn env(&self, name: &str) -> Result<String, String> {
            if name == "TOKEN" { Ok("abc\"\n[x]".into()) } else { Err("is not set".into()) }
        }
        fn file(&self, _: &str) -> Result<String, String> {
            Ok("two\nlines\n\n".into())
        }
        fn absent(&self) -> Severity {
            Severity::Warning
        }

        fn bytes(&self, _: &str, _: usize) -> Result<Vec<u8>, String> {
            Err("cannot be read: not there".into())
        }

        fn list(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(Vec::new())
        }
    }

    fn check(text: &str, expected: Option<&str>, told: &str) {
        let mut notes = Notes::default();
        let filled = interpolate(text, &Place { file: 0, span: 0..1 }, &Fixed, &mut notes);
        assert_eq!(filled.as_deref(), expected);
        assert_eq!(notes.diagnostics.first().map_or("", |first| first.message.as_str()), told);
    }

    #[test]
    fn variables_and_files_are_filled_in_as_text() {
        check("a ${env:TOKEN} b", Some("a abc\"\n[x] b"), "");
        check("${file:/run/x}", Some("two\nlines\n"), "");
        check("no braces $HOME", None, "");
    }

    #[test]
    fn a_doubled_dollar_is_a_plain_one() {
        check("$${env:TOKEN}", Some("${env:TOKEN}"), "");
    }

    #[test]
    fn a_file_that_every_user_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let read = |mode| {
            std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(mode))
                .expect("its owner may");
            Process { absent: Severity::Error }.file(file.path().to_str().expect("UTF-8"))
        };
        std::fs::write(file.path(), "geheim\n").expect("a file");
        assert!(read(0o644).is_err_and(|why| why.starts_with("can be read by every user")));
        assert!(read(0o604).is_err());
        for mode in [0o600, 0o640, 0o440] {
            assert_eq!(read(mode).as_deref(), Ok("geheim\n"));
        }
    }

    #[test]
    fn what_is_absent_or_unknown_is_named() {
        check("${env:NOPE}", None, "environment variable `NOPE` is not set");
        check("${NOPE}", None, "`${NOPE}` is neither `${env:NAME}` nor `${file:/path}`");
        check("${env:NOPE", None, "environment variable `NOPE` is not set");
    }
}
