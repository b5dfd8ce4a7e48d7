//! All access to files goes through `Disk` and `File`, so that the model test can put a disk
//! under the basin that loses, tears, fills up and fails.
//!
//! Paths are relative to the basin's folder; "" is the folder itself.

use rustix::fs::FallocateFlags;
use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) trait Disk: Send + Sync {
    /// Makes a folder (mode 0700) unless it is there.
    fn make_dir(&self, path: &str) -> io::Result<()>;
    /// Names of the files in a folder.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// A new file (mode 0600) of `len` zeros whose space is taken from the disk now.
    fn create(&self, path: &str, len: u64) -> io::Result<Arc<dyn File>>;
    /// A new descriptor of a file, for reading and writing.
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>>;
    fn remove(&self, path: &str) -> io::Result<()>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes names in a folder durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
}

pub(super) trait File: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Reads until `buffer` is full or the file ends.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of the parts, one after the other.
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Returns when what was written is on the disk. Never called again after an error.
    fn sync(&self) -> io::Result<()>;
    fn cut(&self, len: u64) -> io::Result<()>;
    /// Makes it `len` long; what it has stays, and space for the rest is taken from the disk now.
    fn reserve(&self, len: u64) -> io::Result<()>;
}

/// A new file that is there with its content or not at all, whenever a crash comes: what is found
/// under `path` and does not read was damaged later. Takes the place of an older one.
pub(super) fn create_whole(
    disk: &dyn Disk,
    path: &str,
    len: u64,
    content: &[u8],
) -> io::Result<Arc<dyn File>> {
    let (file, fresh) = create_fresh(disk, path, len)?;
    file.write_at(0, &mut [IoSlice::new(content)])?;
    publish(disk, &*file, &fresh, path)?;
    Ok(file)
}

/// First half of `create_whole`, for a file that is written in parts: the file and its name until
/// `publish`. One that a crash left behind is replaced.
pub(super) fn create_fresh(disk: &dyn Disk, path: &str, len: u64) -> io::Result<(Arc<dyn File>, String)> {
    let fresh = format!("{path}{FRESH}");
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Ok((disk.create(&fresh, len)?, fresh))
}

/// Second half of `create_whole`.
pub(super) fn publish(disk: &dyn Disk, file: &dyn File, fresh: &str, path: &str) -> io::Result<()> {
    file.sync()?;
    disk.rename(fresh, path)?;
    disk.sync_dir(path.rsplit_once('/').map_or("", |(folder, _)| folder))
}

/// A folder of the machine's file system.
pub(super) struct Folder {
    root: PathBuf,
    read_only: bool,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into(), read_only: false }
    }

    /// For looking at a basin without changing it.
    pub(super) fn read_only(root: &Path) -> Self {
        Self { root: root.into(), read_only: true }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for Folder {
    fn make_dir(&self, path: &str) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.path(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(path))? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &str, len: u64) -> io::Result<Arc<dyn File>> {
        let path = self.path(path);
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = allocate(&file, len) {
            fs::remove_file(&path)?;
            return Err(error);
        }
        Ok(Arc::new(file))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(!self.read_only).open(self.path(path))?;
        Ok(Arc::new(file))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        fs::File::open(self.path(path))?.sync_all()
    }
}

impl File for fs::File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, mut offset: u64, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let count = parts.len().min(PARTS_MAX);
            match rustix::io::pwritev(self, &parts[..count], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    offset += count as u64;
                    IoSlice::advance_slices(&mut parts, count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        if File::len(self)? > len {
            self.set_len(len)?;
        }
        allocate(self, len)
    }
}

/// Some file systems cannot reserve; there zeros are written, which also takes the space.
fn allocate(file: &fs::File, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = vec![0; 1 << 20];
            let mut at = File::len(file)?;
            while at < len {
                let count = zeros.len().min((len - at) as usize);
                file.write_all_at(&zeros[..count], at)?;
                at += count as u64;
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the name of a file that is not whole yet; no other name ends so.
pub(super) const FRESH: &str = ".new";
/// IOV_MAX of Linux.
const PARTS_MAX: usize = 1024;
