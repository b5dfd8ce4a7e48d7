//! The Debian package: made by `packaging/deb.sh`, installed in a Debian of its own, run as its unit runs it, purged.

use super::unit::Unit;
use crate::container::image::{base, run, unpack, within};
use crate::support::process::{PATIENCE, Process, eventually, quiet, told};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Of the program that the tests have, which is larger than a release.
fn package(folder: &Path) -> PathBuf {
    let (deb, target) = (folder.join("forebay.deb"), folder.join("target"));
    fs::create_dir_all(target.join("release")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_forebay"), target.join("release/forebay")).unwrap();
    let mut made = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/deb.sh"));
    run(made.args(["--built", "--fast", "-o"]).arg(&deb).env("CARGO_TARGET_DIR", target));
    deb
}

/// Everything that is there, but what is left of whatever package.
fn everything(root: &Path) -> BTreeSet<PathBuf> {
    let (mut folders, mut found) = (vec![root.to_owned()], BTreeSet::new());
    let general = ["var/lib/dpkg", "var/log/dpkg.log", "var/cache", "run/adduser", "proc", "dev"]
        .map(|path| root.join(path));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_backup = path.to_string_lossy().ends_with('-');
            if general.contains(&path) || is_backup {
                continue;
            }
            if path.symlink_metadata().unwrap().is_dir() {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

#[test]
fn the_debian_package_installs_runs_as_its_own_user_and_leaves_nothing_behind() {
    const TEST: &str = "the_debian_package_installs_runs_as_its_own_user_and_leaves_nothing_behind";
    let base = match base() {
        Ok(base) => base,
        Err(why) => return println!("SKIP {TEST}: {why}"),
    };
    if !Command::new("cargo").args(["deb", "--version"]).output().is_ok_and(|output| output.status.success())
    {
        return println!("SKIP {TEST}: cargo-deb is not installed; .ci/run installs it");
    }
    let folder = tempfile::tempdir().unwrap();
    let deb = package(folder.path());
    let field = |name: &str| run(Command::new("dpkg-deb").arg("-f").arg(&deb).arg(name)).trim().to_owned();
    assert_eq!(
        (field("Package"), field("Version")),
        ("forebay".into(), concat!(env!("CARGO_PKG_VERSION"), "-1").into())
    );
    assert!(
        field("Depends").contains("adduser") && field("Depends").contains("libc6"),
        "{}",
        field("Depends")
    );
    assert!(field("Recommends").contains("libgssapi-krb5-2"), "it is loaded, not linked");
    println!("{}", run(Command::new("dpkg-deb").arg("-c").arg(&deb)));

    let root = folder.path().join("root");
    unpack(&base, &root);
    let before = everything(&root);
    let at = |path: &str| root.join(path);
    fs::copy(&deb, at("tmp/forebay.deb")).unwrap();
    let there = |line: &str| run(&mut within(&root, "/", line));
    there("dpkg -i /tmp/forebay.deb");
    fs::remove_file(at("tmp/forebay.deb")).unwrap();

    // The user, the folders, and who may look into them.
    let (user, group): (u32, u32) =
        (there("id -u forebay").trim().parse().unwrap(), there("id -g forebay").trim().parse().unwrap());
    for (path, owner, mode) in [
        ("etc/forebay", (0, group), 0o750),
        ("etc/forebay/pipeline.toml", (0, 0), 0o644),
        ("var/lib/forebay", (user, group), 0o700),
        ("var/log/forebay", (user, group), 0o750),
        ("usr/bin/forebay", (0, 0), 0o755),
    ] {
        let found = fs::metadata(at(path)).unwrap();
        assert_eq!(
            ((found.uid(), found.gid()), found.permissions().mode() & 0o7777),
            (owner, mode),
            "{path}"
        );
    }
    // Where manuals are left out, as in images of Debian, these are left out too, so they are looked at unpacked.
    let content = folder.path().join("content");
    run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&content));
    for path in [
        "usr/share/bash-completion/completions/forebay",
        "usr/share/doc/forebay/LICENSE-APACHE",
        "usr/share/doc/forebay/REFERENCE.md",
        "usr/share/doc/forebay/examples/domain.toml",
    ] {
        assert!(fs::metadata(content.join(path)).is_ok_and(|file| file.len() > 0), "{path}");
    }
    let licence = fs::read_to_string(content.join("usr/share/doc/forebay/copyright")).unwrap();
    assert!(licence.contains("Permission is hereby granted"), "{licence}");
    let wanted = at("etc/systemd/system/multi-user.target.wants/forebay.service");
    let unit = at(fs::read_link(&wanted).unwrap().to_str().unwrap().trim_start_matches('/'));
    assert_eq!(fs::read(&unit).unwrap(), fs::read(super::unit::path()).unwrap());

    runs(&root, &Unit::read(&unit), &there);

    // A changed pipeline file is the administrator's, and stays over a removal.
    there("echo '# changed' >>/etc/forebay/pipeline.toml && dpkg -r forebay");
    assert!(!at("usr/bin/forebay").exists());
    assert!(there("cat /etc/forebay/pipeline.toml").ends_with("# changed\n"));
    assert!(at("var/lib/forebay/basin").exists());
    there("dpkg --purge forebay");
    let left: Vec<PathBuf> = everything(&root).difference(&before).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!there("cat /etc/passwd /etc/group").contains("forebay"));
}

/// As systemd starts it: the check, then the program, as its user, until it is told to stop.
fn runs(root: &Path, unit: &Unit, there: &impl Fn(&str) -> String) {
    let user = unit.one("User");
    let run_as = |line: &str| {
        let umask = unit.one("UMask");
        format!(
            "umask {umask}; exec setpriv --reuid={user} --regid={user} --init-groups --no-new-privs {line}"
        )
    };
    println!("{}", there(&run_as(unit.one("ExecStartPre").trim_start_matches('-'))).trim());
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/sample.evtx");
    fs::copy(sample, root.join("var/lib/forebay/incoming/Security.evtx")).unwrap();

    let socket = root.join("run/notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let start = format!("export NOTIFY_SOCKET=/run/notify; {}", run_as(unit.one("ExecStart")));
    // A network of its own, for the port of its probes.
    let mut alone = Command::new("unshare");
    alone.args(["--net", "sh", "-ec", "ip link set lo up; exec \"$@\"", "sh"]);
    let inner = within(root, "/", &start);
    alone.arg(inner.get_program()).args(inner.get_args()).env_clear();
    alone.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let folder = root.parent().unwrap();
    let running = Process::start(quiet(alone, folder));
    let hears = |wanted: &str| loop {
        let mut bytes = [0; 300];
        let length = manager.recv(&mut bytes).unwrap();
        if String::from_utf8_lossy(&bytes[..length]).lines().any(|line| line == wanted) {
            break;
        }
    };
    hears("READY=1");
    let logs = || files(&root.join("var/log/forebay"));
    let events = || {
        let plain =
            logs().into_iter().map(|log| zstd::decode_all(fs::File::open(log).unwrap()).unwrap_or_default());
        plain.flatten().filter(|byte| *byte == b'\n').count()
    };
    eventually("every event is in a file", || events() == 160);
    running.stop_first();
    hears("STOPPING=1");
    assert_eq!(running.code(), Some(0), "{}", told(folder));
    assert_eq!(events(), 160);
    for log in logs() {
        assert_eq!(fs::metadata(log).unwrap().permissions().mode() & 0o777, 0o640, "the unit's UMask counts");
    }
    fs::remove_file(socket).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}
