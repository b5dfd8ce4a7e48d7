//! One process at a time: an advisory lock on `lock`, which names its holder.

use super::super::BasinError;
use rustix::fs::FlockOperation;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held until dropped.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Whether `take` would find it free; a lock that is not there yet is.
    pub(super) fn probe(root: &Path) -> Result<(), BasinError> {
        if root.join("lock").exists() { Self::take(root).map(drop) } else { Ok(()) }
    }

    pub(super) fn take(root: &Path) -> Result<Self, BasinError> {
        let path = root.join("lock");
        let fail = |source: io::Error| BasinError::Io { action: "lock", path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                (&file).take(32).read_to_string(&mut holder).map_err(fail)?;
                let holder = if holder.trim().is_empty() { "(unknown)".into() } else { holder.trim().into() };
                return Err(BasinError::InUse { path: root.into(), holder });
            }
            Err(error) => return Err(fail(error.into())),
        }
        // For people and for the error above only: the lock itself is the kernel's, so that a
        // disk too full for the number must not stop us from draining it.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
