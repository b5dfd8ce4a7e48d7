//! The ready pipelines `syslog.toml`, `relp.toml` and `socket.toml`, each run against rsyslog; probes of receivers that
//! are not as they should be.

use super::socket::{raw, stream_at, tls_at};
use super::{Input, certificates, configuration};
use crate::support::backends::{Place, rsyslog};
use crate::support::process::{eventually, forebay, free_port};
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

fn ready() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")
}

fn output(folder: &Path, args: &[&str]) -> Output {
    forebay(folder, args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

/// Puts it below `root`, with certificates where the pipeline looks for them.
fn moved(root: &Path, file: &str, addresses: &[(&str, u16)]) {
    let logs = root.join("var/log/windows");
    fs::create_dir_all(&logs).unwrap();
    fs::copy(ready().join("sample.evtx"), logs.join("Security.evtx")).unwrap();
    certificates(root);
    let etc = root.join("etc/forebay");
    fs::create_dir_all(&etc).unwrap();
    for (ours, theirs) in [
        ("ca.pem", "siem-ca.pem"),
        ("ca.pem", "collector-ca.pem"),
        ("client.pem", "forebay.pem"),
        ("client.key", "forebay.key"),
    ] {
        fs::copy(root.join("certificates").join(ours), etc.join(theirs)).unwrap();
    }
    let mut text = fs::read_to_string(ready().join(file)).unwrap();
    text = text.replace("\"/", &format!("\"{}/", root.display()));
    for (written, port) in addresses {
        assert!(text.contains(written), "{file}: {written}");
        text = text.replace(written, &format!("localhost:{port}"));
    }
    fs::write(root.join(file), text).unwrap();
}

/// Check, probe and a run to the end; what the receiver wrote.
fn run(test: &str, file: &str, input: Input, addresses: &[&str]) -> Option<String> {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    // The first of them is not there: the next takes over.
    let ports: Vec<u16> = addresses.iter().map(|_| free_port()).collect();
    let places: Vec<(&str, u16)> = addresses.iter().copied().zip(ports).collect();
    moved(root, file, &places);
    let served = places.last()?.1;
    let _receiver =
        rsyslog(test, root, Place::HERE, &configuration(root, &[(input, "siem", served)]), served)?;
    runs_to_the_end(root, file, places.len() - 1);
    Some(written(&root.join("siem.out")))
}

/// Check, probe, which tells of so many receivers that are not there, and a run.
fn runs_to_the_end(root: &Path, file: &str, missing: usize) {
    let checked = output(root, &["check", file]);
    assert_eq!((String::from_utf8_lossy(&checked.stderr), checked.status.code()), ("".into(), Some(0)));
    let probed = output(root, &["check", "--probe", file]);
    let told = String::from_utf8(probed.stderr).unwrap();
    assert_eq!((told.lines().count(), probed.status.code() == Some(0)), (missing, missing == 0), "{told}");
    assert!(told.lines().all(|line| line.contains("nobody listens there")), "{told}");
    let ran = output(root, &["run", "--once", file]);
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// What a receiver has in its file in the end.
fn written(file: &Path) -> String {
    let text = || fs::read_to_string(file).unwrap_or_default();
    let mut last = text();
    // It may still be reading what its kernel has.
    eventually("all is written", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = text();
        let is_done = !now.is_empty() && now == last;
        last = now;
        is_done
    });
    last
}

#[test]
fn the_ready_pipeline_to_syslog_receivers_passes_check_and_probe_and_runs_to_the_end() {
    const TEST: &str = "the_ready_pipeline_to_syslog_receivers_passes_check_and_probe_and_runs_to_the_end";
    let addresses = ["siem1.example.org:6514", "siem2.example.org:6514"];
    let Some(text) = run(TEST, "syslog.toml", Input::Tls, &addresses) else { return };
    assert_eq!(text.lines().count(), SAMPLE_EVENTS);
    assert!(text.lines().all(|line| line.trim_start().starts_with("{\"System\"")), "{text}");
}

#[test]
fn the_ready_pipeline_to_a_relp_receiver_passes_check_and_probe_and_runs_to_the_end() {
    const TEST: &str = "the_ready_pipeline_to_a_relp_receiver_passes_check_and_probe_and_runs_to_the_end";
    let Some(text) = run(TEST, "relp.toml", Input::RelpTls, &["siem.example.org:2514"]) else { return };
    assert_eq!(text.lines().count(), SAMPLE_EVENTS);
    assert!(text.lines().all(|line| line.trim_start().starts_with("<Event")), "{text}");
}

#[test]
fn the_ready_pipeline_to_sockets_passes_check_and_probe_and_runs_to_the_end() {
    const TEST: &str = "the_ready_pipeline_to_sockets_passes_check_and_probe_and_runs_to_the_end";
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let (gone, served) = (free_port(), free_port());
    moved(
        root,
        "socket.toml",
        &[("collector1.example.org:5170", gone), ("collector2.example.org:5170", served)],
    );
    let path = root.join("run/agent/windows.sock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let configuration = raw(root, &[("central", &tls_at(served)), ("agent", &stream_at(&path))]);
    let Some(_receiver) = rsyslog(TEST, root, Place::HERE, &configuration, served) else { return };
    eventually("its socket is there", || path.exists());
    runs_to_the_end(root, "socket.toml", 1);
    for name in ["central.out", "agent.out"] {
        let text = written(&root.join(name));
        assert_eq!(text.lines().count(), SAMPLE_EVENTS, "{name}");
        assert!(text.lines().all(|line| line.starts_with("{\"System\"")), "{name}: {text}");
    }
}

const SAMPLE_EVENTS: usize = 160;

#[test]
fn a_probe_tells_of_certificates_and_of_ports_that_are_for_something_else() {
    const TEST: &str = "a_probe_tells_of_certificates_and_of_ports_that_are_for_something_else";
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let (tls, plain, relp, sealed) = (free_port(), free_port(), free_port(), free_port());
    moved(root, "relp.toml", &[]);
    let inputs = [
        (Input::Tls, "tls", tls),
        (Input::Tcp, "plain", plain),
        (Input::Relp, "relp", relp),
        (Input::RelpTls, "sealed", sealed),
    ];
    let Some(_receiver) = rsyslog(TEST, root, Place::HERE, &configuration(root, &inputs), tls) else {
        return;
    };
    let ca = "tls.ca = ['certificates/ca.pem']";
    let cases = [
        (format!("syslog = {{ address = 'localhost:{tls}', {ca} }}"), ""),
        (format!("syslog = {{ address = 'localhost:{tls}', tls = {{}} }}"), "no authority that we trust"),
        (
            format!(
                "syslog = {{ address = 'localhost:{tls}', {ca}, tls.server_name = 'other.example.org' }}"
            ),
            "is not for `other.example.org`",
        ),
        (format!("syslog = {{ address = 'localhost:{tls}', tls.ca = ['nowhere.pem'] }}"), "cannot be used"),
        (
            format!("syslog = {{ address = 'localhost:{plain}', {ca}, connect_timeout = '1s' }}"),
            "no connection within 1s",
        ),
        (format!("relp = {{ address = 'localhost:{relp}' }}"), ""),
        (
            format!("relp = {{ address = 'localhost:{plain}', connect_timeout = '1s' }}"),
            "no connection within 1s",
        ),
        (
            format!("relp = {{ address = 'localhost:{tls}', connect_timeout = '1s' }}"),
            "instead of opening RELP",
        ),
        (format!("relp = {{ address = 'localhost:{sealed}', {ca} }}"), "a certificate of ours"),
        ("syslog = { address = 'nobody.invalid:6514' }".to_owned(), "cannot be looked up"),
        (format!("socket = {{ address = 'localhost:{tls}', {ca} }}"), ""),
        (format!("socket = {{ address = 'localhost:{sealed}', tls = {{}} }}"), "no authority that we trust"),
        ("socket.path = 'nowhere.sock'".to_owned(), "there is no such socket"),
        ("socket.path = 'certificates'".to_owned(), "it is a folder"),
    ];
    for (sink, words) in cases {
        let pipeline = format!(
            "[basin.memory]\n[source.a.replay]\npath = 'relp.toml'\n[output.siem]\ndead_letter.path = '/d'\n[output.siem.sink]\n{sink}\n[output.siem.format.json]\n"
        );
        fs::write(root.join("p.toml"), pipeline).unwrap();
        let probed = output(root, &["check", "--probe", "p.toml"]);
        let told = String::from_utf8(probed.stderr).unwrap();
        assert_eq!(probed.status.code() == Some(0), words.is_empty(), "{sink}: {told}");
        assert!(
            told.contains(words) && told.lines().count() == usize::from(!words.is_empty()),
            "{sink}: {told}"
        );
    }
}
