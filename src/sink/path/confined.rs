//! Opens files below one folder and nowhere else, whatever their names say.
//!
//! The folder of a file is reached with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)`; where
//! the kernel has no such call, component by component without following links. Promise: nothing
//! outside of the root is created, opened, renamed or removed.

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A folder and the right to work below it.
#[derive(Debug)]
pub struct Confined {
    root: OwnedFd,
    path: PathBuf,
}

/// A file's folder, held open, and its name there.
#[derive(Debug)]
pub struct Place {
    folder: OwnedFd,
    name: Box<str>,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FOLDER_MODE: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP);
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);

impl Confined {
    /// Opens the root, creating it and what leads to it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(root: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(root)?;
        Ok(Self { root: fs::open(root, FOLDER, Mode::empty())?, path: root.into() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place of `file`, a path below the root; its folders are created if `create` says so.
    ///
    /// # Errors
    /// What the system says; a name that is no plain path below the root is an invalid input.
    pub fn place(&self, file: &str, create: bool) -> io::Result<Place> {
        if file.split('/').any(|component| matches!(component, "" | "." | "..")) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{file}` is no path below a folder"),
            ));
        }
        let Some((folder, name)) = file.rsplit_once('/') else {
            return Ok(Place { folder: self.root.try_clone()?, name: file.into() });
        };
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let folder = match fs::openat2(&self.root, folder, FOLDER, Mode::empty(), how) {
            Ok(folder) => folder,
            // EPERM: what seccomp filters answer that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => self.walk(folder, create)?,
            Err(Errno::NOENT) if create => self.walk(folder, create)?,
            Err(error) => return Err(error.into()),
        };
        Ok(Place { folder, name: name.into() })
    }

    fn walk(&self, folder: &str, create: bool) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for component in folder.split('/') {
            let flags = FOLDER | OFlags::NOFOLLOW;
            at = match fs::openat(&at, component, flags, Mode::empty()) {
                Err(Errno::NOENT) if create => {
                    match fs::mkdirat(&at, component, FOLDER_MODE) {
                        Ok(()) => fs::fsync(&at)?,
                        Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    fs::openat(&at, component, flags, Mode::empty())?
                }
                other => other?,
            };
        }
        Ok(at)
    }
}

impl Place {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another name in the same folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn sibling(&self, name: &str) -> io::Result<Place> {
        if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is no file name")));
        }
        Ok(Place { folder: self.folder.try_clone()?, name: name.into() })
    }

    /// Opens the file for reading and writing; `None` when it is not there.
    ///
    /// # Errors
    /// What the system says; anything but a regular file is refused.
    pub fn open(&self) -> io::Result<Option<File>> {
        // Without O_NONBLOCK a FIFO somebody left here would hold the output for ever.
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match fs::openat(&self.folder, &*self.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{}` is not a regular file", self.name),
            ));
        }
        Ok(Some(file))
    }

    /// Creates the file, which must not be there; its name is durable when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = fs::openat(&self.folder, &*self.name, flags, FILE_MODE)?;
        fs::fsync(&self.folder)?;
        Ok(file.into())
    }

    /// Inode number of what has this name now.
    ///
    /// # Errors
    /// What the system says.
    pub fn inode(&self) -> io::Result<Option<u64>> {
        match fs::statat(self.folder.as_fd(), &*self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames the file within its folder, never over another one; durable when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename(&self, to: &Place) -> io::Result<()> {
        // A kernel or file system without RENAME_NOREPLACE still must not overwrite.
        match fs::renameat_with(&self.folder, &*self.name, &to.folder, &*to.name, fs::RenameFlags::NOREPLACE)
        {
            Err(Errno::NOSYS | Errno::INVAL) => {
                if to.inode()?.is_some() {
                    return Err(Errno::EXIST.into());
                }
                fs::renameat(&self.folder, &*self.name, &to.folder, &*to.name)?;
            }
            other => other?,
        }
        fs::fsync(&self.folder)?;
        Ok(())
    }

    /// Removes the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self) -> io::Result<()> {
        Ok(fs::unlinkat(&self.folder, &*self.name, AtFlags::empty())?)
    }

    /// The folder's file names.
    ///
    /// # Errors
    /// What the system says.
    pub fn neighbours(&self) -> io::Result<Vec<String>> {
        let folder = fs::Dir::read_from(&self.folder)?;
        Ok(folder
            .filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name != "." && name != "..")
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_made_with_its_folders() {
        let root = tempfile::tempdir().unwrap();
        let confined = Confined::open(&root.path().join("a/b")).unwrap();
        let place = confined.place("c/d/e.json", true).unwrap();
        assert!(place.open().unwrap().is_none());
        place.create().unwrap().write_all(b"x").unwrap();
        assert_eq!(std::fs::read(root.path().join("a/b/c/d/e.json")).unwrap(), b"x");
        assert!(place.create().is_err());
        assert!(confined.place("other/x", false).is_err());
        place.rename(&place.sibling("f").unwrap()).unwrap();
        assert_eq!(place.neighbours().unwrap(), ["f"]);
    }

    #[test]
    fn neither_names_nor_links_lead_out() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let confined = Confined::open(root.path()).unwrap();
        for name in ["../x", "a/../../x", "/etc/passwd", "", ".", "a//b"] {
            assert!(confined.place(name, true).is_err(), "{name}");
        }
        std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
        assert!(confined.place("link/x", true).is_err());
        assert!(confined.walk("link", true).is_err());
        std::os::unix::fs::symlink(outside.path().join("t"), root.path().join("t")).unwrap();
        let place = confined.place("t", true).unwrap();
        assert!(place.open().is_err() && place.create().is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_rename_never_covers_another_file() {
        let root = tempfile::tempdir().unwrap();
        let confined = Confined::open(root.path()).unwrap();
        let (a, b) = (confined.place("a", true).unwrap(), confined.place("b", true).unwrap());
        a.create().unwrap();
        b.create().unwrap();
        assert!(a.rename(&b).is_err());
    }
}
