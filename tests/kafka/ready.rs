//! The ready pipelines to Kafka, run against a broker. Their absolute paths are put below a folder of the test's
//! own and their brokers become the one that is there.

use super::secure::Front;
use super::*;
use crate::support::authority::{Authority, of_host};
use crate::support::host::Host;
use crate::support::splunk::Splunk;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

fn pipelines() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")
}

/// The file of the test's own, with its paths and these changes.
fn moved(root: &Path, file: &str, changes: &[(&str, &str)]) {
    let mut text = fs::read_to_string(pipelines().join(file)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    fs::write(root.join(file), text.replace("\"/", &format!("\"{}/", root.display()))).unwrap();
}

#[test]
fn the_ready_sidecar_brings_every_event_of_a_volume_to_kafka() {
    const TEST: &str = "the_ready_sidecar_brings_every_event_of_a_volume_to_kafka";
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let Some(broker) = Tansu::start(TEST, root, Place::HERE, Store::Memory) else { return };
    fs::create_dir_all(root.join("logs/app")).unwrap();
    fs::copy(pipelines().join("sample.evtx"), root.join("logs/app/Application.evtx")).unwrap();
    let address = format!("127.0.0.1:{}", broker.port);
    moved(root, "kafka-sidecar.toml", &[("kafka:9092", &address), ("0.0.0.0:9750", "127.0.0.1:0")]);
    let checked = forebay(root, &["check", "kafka-sidecar.toml"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", told(root));
    let ran = forebay(root, &["run", "--once", "kafka-sidecar.toml"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", told(root));
    let messages = reading::all(broker.port, "windows");
    assert_eq!((messages.len(), reading::distinct_ids(&messages)), (160, 160));
}

#[test]
fn the_ready_collector_for_kafka_brings_events_of_machines_there_over_tls() {
    const TEST: &str = "the_ready_collector_for_kafka_brings_events_of_machines_there_over_tls";
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (port, front, listen) = (free_port(), free_port(), free_port());
    let Some(broker) = Tansu::behind(TEST, root, Place::HERE, Store::Memory, (port, front)) else { return };
    let front = Front::before(broker.port, front);
    let etc = root.join("etc/forebay");
    fs::create_dir_all(&etc).unwrap();
    let authority = Authority::new("machines");
    authority.set_up(&etc);
    for (from, to) in
        [("ca.pem", "machines-ca.pem"), ("own.pem", "collector.pem"), ("own.key", "collector.key")]
    {
        fs::rename(etc.join(from), etc.join(to)).unwrap();
    }
    fs::write(etc.join("kafka-ca.pem"), &front.pem).unwrap();
    fs::write(etc.join("kafka.password"), "opensesame\n").unwrap();
    fs::set_permissions(etc.join("kafka.password"), fs::Permissions::from_mode(0o600)).unwrap();
    let address = format!("\"127.0.0.1:{}\"", front.port);
    let listens = format!("127.0.0.1:{listen}");
    let brokers = "\"kafka-1.example.org:9093\", \"kafka-2.example.org:9093\"";
    let changes = [(brokers, &*address), ("0.0.0.0:5986", &*listens), ("[http]\n", "")];
    moved(root, "kafka.toml", &changes);
    let checked = forebay(root, &["check", "--deny-warnings", "kafka.toml"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", told(root));
    // This broker lets nobody sign in.
    let sign_in = "sasl.scram = { hash = \"sha-512\", username = \"forebay\", password_file = \"/etc/forebay/kafka.password\" }";
    moved(root, "kafka.toml", &[&changes[..], &[(sign_in, "")]].concat());
    let mut running = Process::start(forebay(root, &["run", "kafka.toml"]));
    eventually("it listens", || {
        assert!(running.is_running(), "{}", told(root));
        std::net::TcpStream::connect(("127.0.0.1", listen)).is_ok()
    });
    let name = "pc1.example.org";
    let shown = authority.issue(&of_host(name));
    let mut host = Host::certified(name, listen, authority.client(Some(&shown), &rustls::version::TLS13));
    let offered = only(host.enumerate(WEC));
    let events = batch(&host, 1..=100);
    assert!(host.deliver(&offered, &events, &bookmark("Security", 100)).unwrap().is_ack());
    // In the basin they are; Kafka has them when it has stopped in order.
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(root));
    let messages = reading::over_tls(&front, "windows.");
    let records: Vec<u64> = messages.iter().map(|message| record(message).1).collect();
    assert_eq!(records, (1..=100).collect::<Vec<_>>());
    assert!(messages.iter().all(|message| message.topic == "windows.Security"));
}

#[test]
fn the_ready_mix_has_everything_in_kafka_and_what_detections_are_about_in_splunk() {
    const TEST: &str = "the_ready_mix_has_everything_in_kafka_and_what_detections_are_about_in_splunk";
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let Some(broker) = Tansu::start(TEST, root, Place::HERE, Store::Memory) else { return };
    let splunk = Splunk::start();
    splunk.state().indexes.insert("wineventlog".into());
    fs::create_dir_all(root.join("mnt/collector")).unwrap();
    fs::copy(pipelines().join("sample.evtx"), root.join("mnt/collector/ForwardedEvents.evtx")).unwrap();
    fs::create_dir_all(root.join("etc/forebay")).unwrap();
    let token = root.join("etc/forebay/hec.token");
    fs::write(&token, "good\n").unwrap();
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
    let brokers = "\"kafka-1.example.org:9092\", \"kafka-2.example.org:9092\"";
    let address = format!("\"127.0.0.1:{}\"", broker.port);
    let url = splunk.receiver.url();
    let changes = [(brokers, &*address), ("https://splunk.example.org:8088", &*url), ("[http]\n", "")];
    moved(root, "kafka-splunk.toml", &changes);
    let checked = forebay(root, &["check", "--deny-warnings", "kafka-splunk.toml"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", told(root));
    let ran = forebay(root, &["run", "--once", "kafka-splunk.toml"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", told(root));
    let messages = reading::all(broker.port, "windows");
    assert_eq!((messages.len(), reading::distinct_ids(&messages)), (160, 160));
    let state = splunk.state();
    let texts: Vec<&str> = state.events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert!(!texts.is_empty() && texts.len() < 160, "{}", texts.len());
    let kept = ["1102", "4625", "4648", "4672", "4688", "4697", "4720", "4732", "104", "7045", "4104"];
    let is_kept = |text: &&str| {
        let has = |id: &&str| text.contains(&format!(">{id}</EventID>"));
        text.contains("Microsoft-Windows-Sysmon/Operational") || kept.iter().any(has)
    };
    assert!(texts.iter().all(is_kept), "{texts:?}");
}
