//! The container: its image by the Dockerfile's own lines, what it holds and how it runs, and the manifests that use
//! it. No engine is needed: folders stand for images, and mounts and processes of their own for containers.

mod dockerfile;
pub(crate) mod image;
mod manifests;
#[cfg(feature = "kafka")]
mod pods;
mod run;

use crate::kerberos::fleet::{Machines, told};
use crate::support::lab::LOCALHOST;
use crate::support::link::Link;
use crate::support::process::{eventually, free_port, http_get};
use crate::wef::WEC;
use image::{Image, image};
use run::Container;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const MIB: f64 = 1024.0 * 1024.0;
/// Most that may be in the image besides the program.
const BESIDES_BYTES_MAX: u64 = 8 << 20;
/// Where the ready pipeline serves its probes.
const PROBES: u16 = 9750;
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/sample.evtx");
const SAMPLE_EVENTS: usize = 160;

/// Everything in the image: path, and what it takes.
fn content(image: &Image) -> Vec<(PathBuf, fs::Metadata)> {
    let (mut folders, mut found) = (vec![image.root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            found.push((Path::new("/").join(path.strip_prefix(&image.root).unwrap()), metadata));
        }
    }
    found
}

#[test]
fn the_image_is_small_and_holds_what_the_program_needs_and_nothing_else() {
    const TEST: &str = "the_image_is_small_and_holds_what_the_program_needs_and_nothing_else";
    let Some(image) = image(TEST) else { return };
    assert_ne!((image.user.0, image.user.1), (0, 0));
    assert_eq!(image.volumes, ["/var/lib/forebay"]);
    assert_eq!(image.ports, [5985, 5986, PROBES]);
    assert_eq!(image.stop_signal, "SIGTERM");
    assert_eq!(image.labels["org.opencontainers.image.licenses"], env!("CARGO_PKG_LICENSE"));

    let (mut programs, mut packages, mut libraries) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let (mut program, mut others) = (0, 0);
    for (path, metadata) in content(image) {
        let (name, shown) = (path.file_name().unwrap().to_string_lossy(), path.display());
        let bytes = metadata.blocks() * 512;
        let is_program = path == Path::new("/usr/bin/forebay");
        *if is_program { &mut program } else { &mut others } += bytes;
        let is_library = name.contains(".so");
        if metadata.is_file() && metadata.mode() & 0o111 != 0 && !is_library {
            programs.insert(shown.to_string());
        }
        if metadata.is_file() && is_library && metadata.len() > 0 {
            libraries.push(shown.to_string());
        }
        if path.parent() == Some(Path::new("/var/lib/dpkg/status.d")) {
            packages.insert(name.into_owned());
        }
        assert_eq!(metadata.mode() & 0o6000, 0, "{shown} gives a privilege");
        let is_owned = (metadata.uid(), metadata.gid()) == (0, 0);
        assert_eq!(is_owned, path != Path::new("/var/lib/forebay"), "{shown}");
        let is_open = !metadata.is_symlink() && metadata.mode() & 0o022 != 0;
        assert!(!is_open, "{shown} can be written by others");
    }
    assert_eq!(programs.iter().map(String::as_str).collect::<Vec<_>>(), ["/usr/bin/forebay"]);
    // Who distributes a package distributes its licence.
    for package in &packages {
        let licence = image.root.join("usr/share/doc").join(package).join("copyright");
        assert!(licence.exists(), "{package} is there without its licence");
    }
    assert!(packages.contains("libgssapi-krb5-2") && packages.len() == 10, "{packages:?}");

    let folder = tempfile::tempdir().unwrap();
    let container = Container::new(image, folder.path());
    for of in libraries.iter().map(String::as_str).chain(["/usr/bin/forebay"]) {
        let linked = container.exec(&["/lib64/ld-linux-x86-64.so.2", "--list", of]);
        let linked = run(linked);
        assert!(!linked.contains("not found"), "{of}: {linked}");
    }
    let authorities = fs::read_to_string(image.root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(authorities.matches("BEGIN CERTIFICATE").count() > 100);

    println!("the program is {}", image.program);
    println!(
        "the image: {:.1} MiB, of it the program {:.1}, everything else {:.1}: {}",
        (program + others) as f64 / MIB,
        program as f64 / MIB,
        others as f64 / MIB,
        packages.into_iter().collect::<Vec<_>>().join(", ")
    );
    let mut largest: Vec<(u64, PathBuf)> =
        content(image).into_iter().map(|(path, metadata)| (metadata.blocks() * 512, path)).collect();
    largest.sort();
    for (bytes, path) in largest.iter().rev().take(8) {
        println!("  {:7.2} MiB {}", *bytes as f64 / MIB, path.display());
    }
    assert!(others < BESIDES_BYTES_MAX, "{others}");
}

fn run(mut command: std::process::Command) -> String {
    let output = command.stdout(std::process::Stdio::piped()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_demo_loses_nothing_in_a_container_whose_root_cannot_be_written() {
    const TEST: &str = "the_demo_loses_nothing_in_a_container_whose_root_cannot_be_written";
    let Some(image) = image(TEST) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut container = Container::new(image, folder.path());
    let volume = container.volume("/var/lib/forebay");

    let elsewhere = container.run(&["demo", "--seconds", "1", "--dir", "/demo"]);
    let told = String::from_utf8_lossy(&elsewhere.stderr);
    assert_eq!(elsewhere.status.code(), Some(77), "{told}");
    assert!(told.contains("Read-only file system"), "{told}");

    let demo = container.run(&["demo", "--seconds", "3", "-o", "json"]);
    let told = String::from_utf8_lossy(&demo.stderr);
    assert_eq!(demo.status.code(), Some(0), "{told}");
    let outcome: Value = serde_json::from_slice(&demo.stdout).unwrap();
    for wrong in ["lost", "duplicated", "altered"] {
        assert_eq!(outcome[wrong], 0, "{outcome}");
    }
    assert!(outcome["delivered"].as_u64().unwrap() > 1000, "{outcome}");
    println!("demo in the container: {outcome}");
    let written = fs::metadata(volume.join("forebay-demo/all/events.jsonl")).unwrap();
    assert_eq!((written.uid(), written.gid()), image.user);
}

#[test]
fn the_container_works_out_of_the_box_says_how_it_is_and_stops_in_order() {
    const TEST: &str = "the_container_works_out_of_the_box_says_how_it_is_and_stops_in_order";
    let Some(image) = image(TEST) else { return };
    let folder = tempfile::tempdir().unwrap();
    // Ports are those of the image, so it has a network of its own.
    Link::within(TEST, folder.path(), |_| {
        let at = folder.path().join("container");
        let mut container = Container::new(image, &at);
        container.volume("/var/lib/forebay");
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        fs::set_permissions(&logs, fs::Permissions::from_mode(0o755)).unwrap();
        container.mount(&logs, "/logs", true);

        let log = logs.join("Security.evtx");
        fs::copy(SAMPLE, &log).unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o644)).unwrap();
        let checked = container.run(&["check", "--probe", image.command.last().unwrap()]);
        assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
        let health = || run_code(container.exec(&image.health));
        assert_eq!(health(), Some(69), "nobody is there");

        let running = container.start(&image.command);
        eventually("it is healthy", || health() == Some(0));
        // As an engine would have it: the first process, the user, no privilege, and no way to one.
        assert_eq!(running.status("NSpid").split(' ').next_back(), Some("1"));
        let (user, group) = image.user;
        assert_eq!(running.status("Uid"), format!("{user} {user} {user} {user}"));
        assert_eq!(running.status("Gid"), format!("{group} {group} {group} {group}"));
        assert_eq!(running.status("Groups"), "");
        assert_eq!(running.status("NoNewPrivs"), "1");
        for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
            assert_eq!(running.status(set), "0000000000000000", "{set}");
        }
        eventually("every event is a line", || container.stdout().lines().count() == SAMPLE_EVENTS);
        assert!(http_get(PROBES, "/readyz").starts_with("HTTP/1.1 200"));
        assert_eq!(running.stop(), Some(0), "{}", container.told());
        assert!(container.stdout().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));

        // What is in the volume is known to the next container.
        let again = container.start(&image.command);
        eventually("it is healthy", || health() == Some(0));
        assert_eq!(again.stop(), Some(0), "{}", container.told());
        assert_eq!(container.stdout(), "");
    });
}

fn run_code(mut command: std::process::Command) -> Option<i32> {
    command.status().unwrap().code()
}

/// The library's own memory of tickets needs a folder that can be written, and would refuse everybody without.
#[test]
fn members_of_a_domain_sign_in_to_a_container_whose_root_cannot_be_written() {
    const TEST: &str = "members_of_a_domain_sign_in_to_a_container_whose_root_cannot_be_written";
    let Some((lab, _)) = crate::kerberos::lab(TEST) else { return };
    let Some(image) = image(TEST) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (machines, events) = (Machines::new(&lab, 3), "60");
    for (name, replay) in
        [("memory", ""), ("volume", "auth.kerberos.replay_cache = '/var/lib/forebay/replay'\n")]
    {
        let mut container = Container::new(image, &folder.path().join(name));
        let volume = container.volume("/var/lib/forebay");
        let (etc, port) = (folder.path().join(format!("etc-{name}")), free_port());
        fs::create_dir(&etc).unwrap();
        let pipeline = format!(
            "[basin.disk]\npath = '/var/lib/forebay/basin'\n\
             [output.lines]\nformat.json = {{}}\nsink.stdout = {{}}\n\
             [source.domain.wef]\nlisten = '127.0.0.1:{port}'\nauth.kerberos.keytab = '/etc/forebay/keytab'\n{replay}\
             [source.domain.wef.subscription.all]\nquery.channels = {{ Security = '*', System = '*' }}\n"
        );
        fs::write(etc.join("pipeline.toml"), pipeline).unwrap();
        fs::copy(lab.keytab(&[LOCALHOST]), etc.join("keytab")).unwrap();
        // As a secret of Kubernetes: root's, and readable by the group of the pod.
        std::os::unix::fs::chown(etc.join("keytab"), Some(0), Some(image.user.1)).unwrap();
        fs::set_permissions(etc.join("keytab"), fs::Permissions::from_mode(0o440)).unwrap();
        container.mount(&etc, "/etc/forebay", true);

        let running = container.start(&["run", "/etc/forebay/pipeline.toml"]);
        eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let url = format!("http://localhost:{port}{WEC}");
        let (code, report) = told(&mut machines.fleet(&lab, &url, &["-n", "3", "--events", events]));
        assert_eq!((code, report["acknowledged"].as_u64()), (Some(0), events.parse().ok()), "{report}");
        assert_eq!(running.stop(), Some(0), "{}", container.told());
        assert_eq!(container.stdout().lines().count().to_string(), events);
        let remembered = fs::metadata(volume.join("replay")).is_ok_and(|file| file.len() > 0);
        assert_eq!(remembered, !replay.is_empty());
        assert!(!container.told().contains("finding"), "{}", container.told());
    }
}
