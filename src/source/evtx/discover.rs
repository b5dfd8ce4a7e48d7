//! Lists the files that the configured paths mean now. Must not know: what is in them.

use super::trouble;
use crate::finding::Finding;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most files of one source; further ones are not read, and said so.
pub(super) const FILES_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Device and inode by path; a file with several names has its first one.
    pub(super) files: BTreeMap<PathBuf, (u64, u64)>,
    /// Where new files may appear.
    pub(super) folders: BTreeSet<PathBuf>,
    /// What cannot be read, and what kind of error that was.
    pub(super) trouble: Vec<(Finding, io::ErrorKind)>,
}

/// Lists files, folders' `*.evtx` and globs. Trouble with one path does not hide the others.
pub(super) fn list(patterns: &[String]) -> Listing {
    let mut listing = Listing::default();
    for pattern in patterns {
        let path = Path::new(pattern);
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => listing.folder(path),
            Ok(_) => listing.file(path.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_glob(pattern) => {
                listing.glob(pattern)
            }
            Err(error) => listing.missing(path, &error),
        }
    }
    let mut seen = HashSet::new();
    listing.files.retain(|_, id| seen.insert(*id));
    listing
}

impl Listing {
    fn folder(&mut self, folder: &Path) {
        self.folders.insert(folder.into());
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.missing(folder, &error),
        };
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let path = entry.path();
                    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("evtx")) {
                        self.file(path);
                    }
                }
                Err(error) => return self.missing(folder, &error),
            }
        }
    }

    fn glob(&mut self, pattern: &str) {
        let paths = match glob::glob(pattern) {
            Ok(paths) => paths,
            Err(error) => {
                let finding = Finding {
                    what: format!("cannot understand the path {pattern}"),
                    why: error.to_string(),
                    fix: "use `*`, `?`, `**` and `[a-z]`, and `[[]` for a bracket".into(),
                };
                return self.trouble.push((finding, io::ErrorKind::NotFound));
            }
        };
        self.folders.insert(base(pattern));
        let before = self.files.len();
        for path in paths {
            match path {
                Ok(path) => self.file(path),
                Err(error) => self.missing(error.path(), error.error()),
            }
        }
        if self.files.len() == before {
            let finding = Finding {
                what: format!("no file matches {pattern}"),
                why: "nothing of that name is there, or not yet".into(),
                fix: "check `path`; files that appear later are read".into(),
            };
            self.trouble.push((finding, io::ErrorKind::NotFound));
        }
    }

    fn file(&mut self, path: PathBuf) {
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                if self.files.len() >= FILES_MAX && !self.files.contains_key(&path) {
                    let what = format!("more than {FILES_MAX} files match");
                    let why = format!("{} and others are not read", path.display());
                    let fix = "use several sources, or move old archives away".into();
                    if self.trouble.iter().all(|(finding, _)| finding.what != what) {
                        self.trouble.push((Finding { what, why, fix }, io::ErrorKind::Other));
                    }
                    return;
                }
                self.folders.extend(path.parent().map(|folder| {
                    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.into() }
                }));
                self.files.insert(path, (metadata.dev(), metadata.ino()));
            }
            // A folder that ends in `.evtx`, or something that is no file.
            Ok(_) => {}
            // Gone between listing and asking.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
            Err(error) => self.missing(&path, &error),
        }
    }

    fn missing(&mut self, path: &Path, error: &io::Error) {
        if let Some(folder) = path.parent().filter(|folder| folder.is_dir()) {
            self.folders.insert(folder.into());
        }
        self.trouble.push((trouble::unreadable(&path.display().to_string(), error), error.kind()));
    }
}

/// Where the logs of one channel stand, and when in their order: archives by the time in their
/// name, then the log itself. `Archive-Security-2024-01-14-18-33-55-830.evtx` is of `Security`.
pub(super) fn order(path: &Path) -> (PathBuf, bool, PathBuf) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    // `-YYYY-MM-DD-hh-mm-ss-nnn.evtx`
    const STAMP_BYTES: usize = 29;
    let channel = name.strip_prefix("Archive-").and_then(|rest| {
        let cut = rest.len().checked_sub(STAMP_BYTES)?;
        let stamp = rest.get(cut..)?;
        let shape = stamp.bytes().all(|byte| byte.is_ascii_digit() || b"-.evtxEVTX".contains(&byte));
        shape.then(|| rest.get(..cut)).flatten()
    });
    match channel {
        Some(channel) => (folder.join(format!("{channel}.evtx")), false, path.into()),
        None => (path.into(), true, path.into()),
    }
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// The folder before the first part that is a glob.
fn base(pattern: &str) -> PathBuf {
    let path = Path::new(pattern);
    let fixed: PathBuf = path.iter().take_while(|part| !is_glob(&part.to_string_lossy())).collect();
    if fixed.as_os_str().is_empty() { PathBuf::from(".") } else { fixed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn names(listing: &Listing) -> Vec<String> {
        listing.files.keys().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn files_folders_and_globs_are_listed_once() {
        let folder = TempDir::new().unwrap();
        for name in ["a.evtx", "B.EVTX", "c.txt", "Microsoft-Windows-Sysmon%4Operational.evtx", "[x].evtx"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let all = ["B.EVTX", "Microsoft-Windows-Sysmon%4Operational.evtx", "[x].evtx", "a.evtx"];
        assert_eq!(names(&list(&[at(""), at("a.evtx")])), all);
        assert_eq!(names(&list(&[at("*.evtx")])), all[1..]);
        assert_eq!(names(&list(&[at("[x].evtx")])), ["[x].evtx"]);
        let listing = list(&[at("none.evtx"), at("*.nothing"), at("loop"), at("***"), at("c.txt")]);
        assert_eq!(names(&listing), ["c.txt"]);
        assert_eq!(listing.trouble.len(), 4, "{:?}", listing.trouble);
        assert!(listing.trouble[2].0.to_string().contains("lead in a circle"), "{:?}", listing.trouble);
        assert!(listing.folders.contains(folder.path()));
    }

    #[test]
    fn archives_come_before_their_log() {
        let mut paths = [
            "/l/Security.evtx",
            "/l/Archive-Security-2024-02-14-18-33-55-830.evtx",
            "/l/Archive-Security-2023-01-14-18-33-55-830.evtx",
            "/l/Application.evtx",
        ]
        .map(PathBuf::from);
        paths.sort_by_key(|path| order(path));
        assert_eq!(
            paths.map(|path| path.to_str().unwrap()[3..12].to_owned()),
            ["Applicati", "Archive-S", "Archive-S", "Security."]
        );
        assert_eq!(
            order(Path::new("/l/Archive-Security-2023-01-14-18-33-55-830.evtx")).0,
            Path::new("/l/Security.evtx")
        );
        assert!(order(Path::new("/l/Archive-me.evtx")).1);
    }
}
