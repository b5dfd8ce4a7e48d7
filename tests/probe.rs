//! `forebay check --probe`: what a run would stumble over, told before it runs.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn probe(folder: &Path, text: &str, more: &[&str]) -> Output {
    fs::write(folder.join("p.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.current_dir(folder).args(["check", "--probe", "p.toml"]).args(more).output().unwrap()
}

#[test]
fn each_thing_that_cannot_be_opened_is_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    fs::write(folder.path().join("file"), "no folder").unwrap();
    let output = probe(
        folder.path(),
        &format!(
            "[basin.disk]\npath = 'file/basin'\n[source.a.evtx]\npath = 'nowhere/*.evtx'\n\
             [source.b.replay]\npath = '.'\n[output.o]\nsink.file.path = './file/{{channel}}.json'\n\
             [output.p]\nsink.stdout = {{}}\ndead_letter.path = 'file/letters'\n[http]\nlisten = '{address}'\n"
        ),
        &[],
    );
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = [
        "error: no file matches nowhere/*.evtx: nothing of that name is there, or not yet; check `path`; files that appear later are read",
        "error: cannot read .: is a directory; name a file in it",
        "error: the basin cannot write to file/basin: file: not a directory; make it, or let this user write there, or name another folder",
        "error: output `o` cannot write to ./file: ./file: not a directory; ",
        "error: the dead letter of output `o` cannot write to file/basin/dead-letter/o: file: not a directory; ",
        "error: the dead letter of output `p` cannot write to file/letters: file: not a directory; ",
        &format!("error: probes and metrics cannot be served on {address}: Address already in use"),
    ];
    for (line, expected) in told.lines().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    assert_eq!((told.lines().count(), output.status.code()), (expected.len(), Some(69)), "{told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a probe leaves nothing behind");
}

#[test]
fn a_basin_that_a_running_forebay_has_is_told_as_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline =
        "[basin.disk]\npath = 'basin'\n[source.a.replay]\npath = '-'\n[output.o]\nsink.stdout = {}\n";
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    let mut running = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .current_dir(folder.path())
        .args(["run", "--once", "p.toml"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The socket stands there when everything before it is open.
    while !folder.path().join("basin/control.sock").exists() {
        std::thread::yield_now();
    }
    let output = probe(folder.path(), pipeline, &["-o", "json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let what = |index: usize| told["findings"][index]["why"].as_str().unwrap_or_default();
    assert!(what(0).contains(&format!("in use by process {}", running.id())), "{told}");
    assert!(what(1).contains("a running forebay answers on it"), "{told}");
    assert_eq!(output.status.code(), Some(69));
    drop(running.stdin.take());
    assert!(running.wait().unwrap().success());
    let after = probe(folder.path(), pipeline, &[]);
    assert_eq!(String::from_utf8_lossy(&after.stderr), "");
    assert!(String::from_utf8_lossy(&after.stdout).ends_with("all it opens can be opened\n"));
}
