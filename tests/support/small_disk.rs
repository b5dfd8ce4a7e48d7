//! A file system of a few megabytes, in a mount that lasts as long as a process of its own.

use super::process::{Process, eventually, quiet, told};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct SmallDisk {
    _holder: Process,
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one for what runs in `folder`; why not, where that cannot be.
    pub(crate) fn mount(folder: &Path, mebibytes: u32) -> Result<Self, String> {
        fs::create_dir(folder.join("small")).unwrap();
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        let mount = format!("mount -t tmpfs -o size={mebibytes}m none small && exec sleep 3600");
        command.args(["--mount", "sh", "-c", &mount]);
        if Command::new("unshare").arg("--version").output().is_err() {
            return Err("unshare is not installed".into());
        }
        let mut holder = Process::start(quiet(command, folder));
        let path = PathBuf::from(format!("/proc/{}/cwd/small", holder.id()));
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
        let outside = device(&folder.join("small"));
        let mut mounted = false;
        eventually("the disk is there or cannot be", || {
            mounted = device(&path).is_some_and(|inside| Some(inside) != outside);
            mounted || !holder.is_running()
        });
        match mounted {
            true => Ok(Self { _holder: holder, path }),
            false => Err(format!("no mount of its own: {}", told(folder))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Somebody else takes all that is left.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).unwrap();
        for bytes in [1 << 20, 4096] {
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
    }

    /// And gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}
