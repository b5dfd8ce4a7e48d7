//! Where the output goes: standard output, or a file that is replaced whole.
//!
//! Promise: a file that stands there keeps its content until the new one is complete, whatever ends
//! the command before; an input is never the output; nothing half-written is left behind.
//! Must not know: what is written.

use super::feed::Feed;
use crate::cli::{Exit, Failure};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What makes the written file the output, in the end.
#[derive(Debug)]
pub(super) enum Place {
    /// A pipe, a device, standard output: written as it comes.
    AsItComes,
    Whole(Whole),
}

#[derive(Debug)]
pub(super) struct Whole {
    path: PathBuf,
    file: File,
    /// The file's name until it is renamed to `path`; None while it has none at all, so that it goes
    /// when the process is killed.
    part: Option<PathBuf>,
    replaces: bool,
}

impl Place {
    /// The file to write, and its place.
    ///
    /// # Errors
    /// When it cannot be written, or is one of the inputs.
    pub(super) fn open(path: Option<&Path>, feed: &Feed) -> Result<(File, Self), Failure> {
        let Some(path) = path else {
            // Not through the line buffer of `io::stdout`: pages are large.
            let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
            let file = file.map_err(|error| {
                Failure::new(Exit::Io, format!("standard output cannot be written: {error}"))
            })?;
            refuse_input(&file, feed)?;
            return Ok((file, Self::AsItComes));
        };
        let cannot = |error| cannot_create(path, &error);
        match OpenOptions::new().write(true).open(path) {
            Ok(there) => {
                refuse_input(&there, feed)?;
                let old = there.metadata().map_err(cannot)?;
                if !old.is_file() {
                    return Ok((there, Self::AsItComes));
                }
                // A link stays, and what it leads to is replaced.
                let whole = Whole::begin(path.canonicalize().map_err(cannot)?, true)?;
                whole.file.set_permissions(old.permissions()).map_err(cannot)?;
                whole.opened()
            }
            // A link into the void: nothing can be lost there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                Ok((File::create(path).map_err(cannot)?, Self::AsItComes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Whole::begin(path.to_owned(), false)?.opened()
            }
            Err(error) => Err(cannot(error)),
        }
    }

    /// The output is complete.
    pub(super) fn publish(self) -> io::Result<()> {
        match self {
            Self::AsItComes => Ok(()),
            Self::Whole(whole) => whole.publish(),
        }
    }
}

impl Whole {
    fn begin(path: PathBuf, replaces: bool) -> Result<Self, Failure> {
        // Nobody may read the new content who could not read the old.
        let mode = if replaces { 0o600 } else { 0o666 };
        let (file, part) = match unnamed(folder(&path), mode) {
            Some(file) => (file, None),
            None => {
                let open =
                    |part: &Path| OpenOptions::new().write(true).create_new(true).mode(mode).open(part);
                let (file, part) = named(&path, open).map_err(|error| beside(&path, &error))?;
                (file, Some(part))
            }
        };
        Ok(Self { path, file, part, replaces })
    }

    fn opened(self) -> Result<(File, Place), Failure> {
        let file = self.file.try_clone().map_err(|error| cannot_create(&self.path, &error))?;
        Ok((file, Place::Whole(self)))
    }

    fn publish(mut self) -> io::Result<()> {
        if self.replaces {
            // The old content must not go before the new one is on the disk.
            self.file.sync_data()?;
        }
        if self.part.is_none() {
            let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let link =
                |part: &Path| Ok(rustix::fs::linkat(CWD, from.as_str(), CWD, part, AtFlags::SYMLINK_FOLLOW)?);
            self.part = Some(named(&self.path, link)?.1);
        }
        if let Some(part) = &self.part {
            fs::rename(part, &self.path)?;
            self.part = None;
        }
        Ok(())
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // What the user hears of is why the output is not complete.
            let _ = fs::remove_file(part);
        }
    }
}

/// A file without a name, where the file system has such.
fn unnamed(folder: &Path, mode: u32) -> Option<File> {
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::from_raw_mode(mode)).ok().map(File::from)
}

/// Does `make` with a name beside `path` that is free.
fn named<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    let mut last = io::ErrorKind::AlreadyExists.into();
    for number in 0..NAMES_MAX {
        let part = folder(path).join(format!(".forebay-{}-{number}.part", std::process::id()));
        match make(&part) {
            Ok(made) => return Ok((made, part)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Others of the same process number may have been killed here, in a container say.
const NAMES_MAX: u32 = 100;

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn refuse_input(output: &File, feed: &Feed) -> Result<(), Failure> {
    match feed.input_that_is(output) {
        None => Ok(()),
        Some(input) => Err(Failure::new(
            Exit::Usage,
            format!("{} is read here, so it cannot be the output too; name another file", input.display()),
        )),
    }
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::CantCreate, format!("cannot create {}: {error}", path.display()))
}

fn beside(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let why = format!(
        "cannot create a file beside {path}, which is replaced when all is written: {error}; \
         write elsewhere, or to standard output"
    );
    Failure::new(Exit::CantCreate, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let names = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// As on a file system that knows no files without a name.
    fn begin_named(path: &Path) -> Whole {
        let open = |part: &Path| OpenOptions::new().write(true).create_new(true).open(part);
        let (file, part) = named(path, open).unwrap();
        Whole { path: path.to_owned(), file, part: Some(part), replaces: true }
    }

    #[test]
    fn a_file_is_replaced_only_when_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for begin in [begin_named, |path: &Path| Whole::begin(path.to_owned(), true).unwrap()] {
            fs::write(&path, "old").unwrap();
            let mut given_up = begin(&path);
            given_up.file.write_all(b"half").unwrap();
            drop(given_up);
            assert_eq!(fs::read(&path).unwrap(), b"old");

            let mut whole = begin(&path);
            whole.file.write_all(b"new").unwrap();
            whole.publish().unwrap();
            assert_eq!(
                (fs::read(&path).unwrap(), names(folder.path())),
                (b"new".to_vec(), vec!["out".into()])
            );
        }
    }

    #[test]
    fn parts_that_a_killed_process_left_are_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let killed = begin_named(&path);
        begin_named(&path).publish().unwrap();
        Whole::begin(path.clone(), true).unwrap().publish().unwrap();
        drop(killed);
        assert_eq!(names(folder.path()), ["out"]);
    }
}
