//! A container, without an engine: the root of the image read-only, devices and mounts above it, processes of its
//! own, and the program as the image's user, who can gain no privilege. The network is that of the caller.

use super::image::Image;
use crate::support::process::{Process, quiet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(super) struct Container<'a> {
    image: &'a Image,
    pub(super) user: (u32, u32),
    /// Of this container alone: what it says, and where its root is put together.
    folder: PathBuf,
    mounts: Vec<(PathBuf, String, bool)>,
}

impl<'a> Container<'a> {
    pub(super) fn new(image: &'a Image, folder: &Path) -> Self {
        for part in ["points", "root", "volumes"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let container = Self { image, user: image.user, folder: folder.to_owned(), mounts: Vec::new() };
        for point in ["proc", "dev"] {
            container.point(point, true);
        }
        container
    }

    /// What is at `from` is at `to` as well.
    pub(super) fn mount(&mut self, from: &Path, to: &str, is_read_only: bool) {
        self.point(to.trim_start_matches('/'), from.is_dir());
        self.mounts.push((from.to_owned(), to.to_owned(), is_read_only));
    }

    /// A volume of its own.
    pub(super) fn volume(&mut self, to: &str) -> PathBuf {
        let volume = self.folder.join("volumes").join(to.trim_start_matches('/').replace('/', "-"));
        new_volume(self.image, &volume, to);
        self.mount(&volume, to, false);
        volume
    }

    /// The names of others, as an engine writes them.
    #[cfg(feature = "kafka")]
    pub(super) fn hosts(&mut self, names: &[(&str, &str)]) {
        let lines: String = names.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
        let file = self.folder.join("hosts");
        fs::write(&file, format!("127.0.0.1 localhost\n{lines}")).unwrap();
        self.mount(&file, "/etc/hosts", true);
    }

    fn point(&self, to: &str, is_folder: bool) {
        let point = self.folder.join("points").join(to);
        if is_folder {
            fs::create_dir_all(point).unwrap();
        } else {
            fs::create_dir_all(point.parent().unwrap()).unwrap();
            fs::write(point, "").unwrap();
        }
    }

    /// These words behind the image's entry point.
    pub(super) fn command<S: AsRef<str>>(&self, words: &[S]) -> Command {
        let entry = self.image.entrypoint.iter().map(String::as_str);
        self.exec(&entry.chain(words.iter().map(AsRef::as_ref)).collect::<Vec<_>>())
    }

    /// These words, and nothing in front of them.
    pub(super) fn exec<S: AsRef<str>>(&self, words: &[S]) -> Command {
        let script = r#"
            lower=$1; root=$2; shift 2
            mount -t overlay overlay -o "lowerdir=$lower" "$root"
            mount -t proc proc "$root/proc"
            mount -t tmpfs -o mode=755,size=64k none "$root/dev"
            for device in null zero full random urandom; do
                : >"$root/dev/$device"
                mount --bind "/dev/$device" "$root/dev/$device"
            done
            while [ "$1" != -- ]; do
                mount --bind "$1" "$root$2"
                if [ "$3" = ro ]; then mount -o remount,bind,ro "$root$2"; fi
                shift 3
            done
            shift
            exec /usr/bin/setpriv --no-new-privs "$@""#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, "sh"]);
        let (points, root) = (self.folder.join("points"), self.folder.join("root"));
        // An overlay without an upper folder cannot be written to.
        command.arg(format!("{}:{}", points.display(), self.image.root.display())).arg(&root);
        for (from, to, is_read_only) in &self.mounts {
            command.arg(from).args([to.as_str(), if *is_read_only { "ro" } else { "rw" }]);
        }
        command.args(["--", "/usr/bin/env", "-i"]);
        command.args(self.image.env.iter().map(|(key, value)| format!("{key}={value}")));
        command.arg("/usr/bin/unshare").arg(format!("--root={}", root.display()));
        let (user, group) = self.user;
        command.arg(format!("--wd={}", self.image.directory)).arg(format!("--setgid={group}"));
        command.arg(format!("--setuid={user}")).arg("--").args(words.iter().map(AsRef::as_ref));
        quiet(command, &self.folder)
    }

    /// To its end.
    pub(super) fn run<S: AsRef<str>>(&self, words: &[S]) -> Output {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    }

    /// With its standard output in `stdout.log`.
    pub(super) fn start<S: AsRef<str>>(&self, words: &[S]) -> Running {
        let mut command = self.command(words);
        command.stdout(fs::File::create(self.folder.join("stdout.log")).unwrap());
        Running { process: Process::start(command) }
    }

    pub(super) fn stdout(&self) -> String {
        fs::read_to_string(self.folder.join("stdout.log")).unwrap_or_default()
    }

    pub(super) fn told(&self) -> String {
        crate::support::process::told(&self.folder)
    }
}

/// An empty volume as an engine makes it: owner and mode are those of what the image has there.
pub(super) fn new_volume(image: &Image, volume: &Path, to: &str) {
    fs::create_dir_all(volume).unwrap();
    if let Ok(there) = fs::metadata(image.root.join(to.trim_start_matches('/'))) {
        std::os::unix::fs::chown(volume, Some(there.uid()), Some(there.gid())).unwrap();
        fs::set_permissions(volume, fs::Permissions::from_mode(there.mode())).unwrap();
    }
}

pub(super) struct Running {
    process: Process,
}

impl Running {
    /// What the kernel says of the program.
    pub(super) fn status(&self, key: &str) -> String {
        let status = format!("/proc/{}/status", self.process.first().unwrap().as_raw_nonzero());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// As an engine does; its exit code.
    #[track_caller]
    pub(super) fn stop(self) -> Option<i32> {
        self.process.stop_first();
        self.process.code()
    }
}
