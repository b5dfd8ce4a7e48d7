//! Every ready pipeline of `pipelines/` is checked, probed and run to the end over the sample log.
//!
//! Its absolute paths are put below a folder of the test's own; nothing else is changed.

use crate::support::backends::{Noida, OtelTap, Place, S3, http};
use crate::support::process::{self, Process, eventually, free_port};
use crate::support::sentinel::{RULE, SECRET, Sentinel};
use crate::support::splunk::Splunk;
use crate::support::web::{Receiver, says};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A ready pipeline: its file, where it finds the sample, and what must have come of it.
struct Ready {
    file: &'static str,
    input: &'static str,
    came: fn(&Path, &str),
}

const SAMPLE_EVENTS: usize = 160;

const READY: &[Ready] = &[
    Ready {
        file: "default.toml",
        input: "forebay-out/sample.evtx",
        came: |root, _| {
            let lines = fs::read_to_string(root.join("forebay-out/events.jsonl")).unwrap();
            assert_eq!(json(&lines).len(), SAMPLE_EVENTS);
        },
    },
    Ready {
        file: "archive.toml",
        input: "srv/incoming/monday/Mixed.evtx",
        came: |root, _| {
            let archive = root.join("srv/archive");
            assert!(archive.join("dc1.example.org/Security.evtx").exists());
            let read = forebay(root, &["convert", archive.to_str().unwrap()]);
            assert_eq!(json(&text(&read.stdout)).len(), SAMPLE_EVENTS);
        },
    },
    Ready {
        file: "security-ecs.toml",
        input: "var/log/windows/Security.evtx",
        came: |root, _| {
            let mut ids = BTreeSet::new();
            for file in files(&root.join("var/log/forebay/security")) {
                let plain = zstd::decode_all(fs::File::open(file).unwrap()).unwrap();
                for event in json(&text(&plain)) {
                    ids.insert(event["event"]["code"].as_str().unwrap().to_owned());
                    assert_ne!(event["winlog"]["event_data"]["LogonType"], "5");
                }
            }
            assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["1102", "4624", "4625"]);
        },
    },
    Ready {
        file: "forwarded-events.toml",
        input: "mnt/collector/ForwardedEvents.evtx",
        came: |root, _| {
            let out = root.join("var/log/forebay");
            let all: usize = files(&out.join("forwarded"))
                .iter()
                .map(|file| json(&fs::read_to_string(file).unwrap()).len())
                .sum();
            assert_eq!(all, SAMPLE_EVENTS);
            let attention = json(&fs::read_to_string(out.join("attention.jsonl")).unwrap());
            let ids: BTreeSet<u64> =
                attention.iter().map(|event| event["System"]["EventID"].as_u64().unwrap()).collect();
            assert_eq!(ids.into_iter().collect::<Vec<_>>(), [1102, 4104, 4625, 7045]);
        },
    },
    Ready {
        file: "ocsf.toml",
        input: "var/log/windows/Security.evtx",
        came: |root, _| {
            let (mut classes, mut records) = (BTreeSet::new(), 0);
            for file in files(&root.join("srv/lake/windows")) {
                let hour = file.file_name().unwrap().to_str().unwrap();
                let hour: u64 = hour.strip_prefix("hour-").unwrap()[..2].parse().unwrap();
                let plain = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
                for event in json(&text(&plain)) {
                    assert_eq!(event["time"].as_u64().unwrap() / 3_600_000 % 24, hour);
                    classes.insert(event["class_uid"].as_u64().unwrap());
                    records += 1;
                }
            }
            assert_eq!(records, SAMPLE_EVENTS);
            assert_eq!(classes.into_iter().collect::<Vec<_>>(), [0, 1007, 3002]);
        },
    },
    Ready {
        file: "sidecar.toml",
        input: "logs/app/Application.evtx",
        came: |_, stdout| assert_eq!(json(stdout).len(), SAMPLE_EVENTS),
    },
];

#[test]
fn every_ready_pipeline_says_what_it_is_for_and_has_its_run_here() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let written = fs::read_to_string(&path).unwrap();
            assert!(written.starts_with("# "), "{}: an operator reads the first lines", path.display());
            found.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    let ready = READY.iter().map(|ready| ready.file);
    let run: BTreeSet<String> =
        ready.chain([COLLECTOR, DOMAIN]).chain(RECEIVERS).chain(OVER_HTTP).map(str::to_owned).collect();
    assert_eq!(found, run, "every file of pipelines/ has its run in this test");
}

#[test]
fn every_ready_pipeline_passes_check_and_probe_and_runs_to_the_end() {
    for Ready { file, input, came } in READY {
        let root = tempfile::tempdir().unwrap();
        let stdout = runs_to_the_end(root.path(), file, input, &[]);
        came(root.path(), &stdout);
    }
}

/// What it wrote to standard output. Of its text some is replaced, besides where its files are.
#[track_caller]
fn runs_to_the_end(root: &Path, file: &str, input: &str, replaced: &[(&str, &str)]) -> String {
    let input = root.join(input);
    fs::create_dir_all(input.parent().unwrap()).unwrap();
    fs::copy(folder().join("sample.evtx"), input).unwrap();
    let written = fs::read_to_string(folder().join(file)).unwrap();
    let mut moved = written
        .replace("\"/", &format!("\"{}/", root.display()))
        .replace("[http]\n", "[http]\nlisten = \"127.0.0.1:0\"\n")
        .replace("listen = \"0.0.0.0:9750\"\n", "");
    for (from, to) in replaced {
        assert!(moved.contains(from), "{file}: no {from}");
        moved = moved.replace(from, to);
    }
    fs::write(root.join(file), moved).unwrap();

    let before = everything(root);
    let checked = forebay(root, &["check", "--probe", file]);
    assert_eq!(text(&checked.stderr), "", "{file}");
    assert_eq!(checked.status.code(), Some(0), "{file}");
    assert_eq!(everything(root), before, "{file}: a probe leaves nothing behind");

    let ran = forebay(root, &["run", "--once", file]);
    assert_eq!(ran.status.code(), Some(0), "{file}: {}", text(&ran.stderr));
    text(&ran.stdout)
}

/// These need somebody who takes their events.
const OVER_HTTP: [&str; 6] =
    ["elastic.toml", "http.toml", "otlp.toml", "s3.toml", "sentinel.toml", "splunk.toml"];
const FORWARDED: &str = "mnt/collector/ForwardedEvents.evtx";

/// A secret that only its owner may read.
fn secret(root: &Path, name: &str, text: &str) {
    let path = root.join("etc/forebay").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_ready_pipeline_to_splunk_is_indexed_once() {
    let (root, splunk) = (tempfile::tempdir().unwrap(), Splunk::start());
    {
        let mut state = splunk.state();
        state.indexes.insert("wineventlog".into());
        state.tokens.get_mut("good").unwrap().acks = true;
    }
    secret(root.path(), "hec.token", "good\n");
    let url = splunk.receiver.url();
    runs_to_the_end(root.path(), "splunk.toml", FORWARDED, &[("https://splunk.example.org:8088", &url)]);
    let events = &splunk.state().events;
    assert_eq!(events.len(), SAMPLE_EVENTS);
    assert!(
        events.iter().all(|event| event["sourcetype"] == "XmlWinEventLog" && event["index"] == "wineventlog")
    );
    let xml: BTreeSet<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(xml.len(), SAMPLE_EVENTS, "each one once");
}

#[test]
fn the_ready_pipeline_to_elasticsearch_is_in_the_index_and_in_the_archive() {
    let root = tempfile::tempdir().unwrap();
    let test = "the_ready_pipeline_to_elasticsearch_is_in_the_index_and_in_the_archive";
    let Some(noida) = Noida::start(test, root.path(), Place::HERE) else { return };
    secret(root.path(), "elastic.key", "aWQ6a2V5\n");
    let url = format!("http://127.0.0.1:{}", noida.elasticsearch);
    let engine = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, noida.elasticsearch);
    let before = fs::read_dir(root.path()).unwrap().count();
    assert!(before > 0);
    let template = r#"{"index_patterns":["logs-windows*"],"data_stream":{},"template":{}}"#;
    let made = http(
        engine,
        "PUT",
        "/_index_template/windows",
        &[("Content-Type", "application/json")],
        template.as_bytes(),
    );
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let work = root.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::rename(root.path().join("etc"), work.join("etc")).unwrap();
    runs_to_the_end(&work, "elastic.toml", FORWARDED, &[("https://elastic.example.org:9200", &url)]);
    let stream = "/logs-windows.forwarded-default";
    let _ = http(engine, "POST", &format!("{stream}/_refresh"), &[], b"");
    let found = http(engine, "GET", &format!("{stream}/_count"), &[], b"");
    assert!(found.contains(&format!("\"count\":{SAMPLE_EVENTS}")), "{found}");
    let mut lines = 0;
    for file in files(&work.join("var/log/forebay/archive")) {
        lines +=
            zstd::decode_all(fs::File::open(file).unwrap()).unwrap().split(|byte| *byte == b'\n').count() - 1;
    }
    assert_eq!(lines, SAMPLE_EVENTS);
}

#[test]
fn the_ready_pipeline_to_any_receiver_brings_arrays_of_what_matters() {
    let (root, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(|_| says(200, "")));
    secret(root.path(), "alerts.token", "word\n");
    let url = format!("{}/windows", receiver.url());
    runs_to_the_end(root.path(), "http.toml", FORWARDED, &[("https://alerts.example.org/windows", &url)]);
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.header("authorization") == "Bearer word"));
    let ids: BTreeSet<u64> = requests
        .iter()
        .flat_map(|request| serde_json::from_slice::<Vec<serde_json::Value>>(&request.body).unwrap())
        .map(|event| event["System"]["EventID"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), [1102, 4625, 7045]);
}

#[test]
fn the_ready_pipeline_to_opentelemetry_brings_every_event() {
    let root = tempfile::tempdir().unwrap();
    let test = "the_ready_pipeline_to_opentelemetry_brings_every_event";
    let Some(tap) = OtelTap::start(test, root.path(), Place::HERE) else { return };
    let work = root.path().join("work");
    secret(&work, "otel.token", "word\n");
    let url = format!("http://127.0.0.1:{}", tap.port);
    // It reads no gzip.
    let replaced = [("https://otel.example.org:4318", url.as_str()), ("\"gzip\"", "\"none\"")];
    runs_to_the_end(&work, "otlp.toml", FORWARDED, &replaced);
    eventually("all is printed", || tap.records().len() >= SAMPLE_EVENTS);
    let records = tap.records();
    assert_eq!(records.len(), SAMPLE_EVENTS);
    let ids: BTreeSet<String> = records
        .iter()
        .map(|record| record["attributes"].as_array().unwrap().last().unwrap().to_string())
        .collect();
    assert_eq!(ids.len(), SAMPLE_EVENTS, "each has a uid of its own");
}

#[test]
fn the_ready_pipeline_to_sentinel_is_in_the_table_once() {
    let (root, sentinel) = (tempfile::tempdir().unwrap(), Sentinel::start());
    {
        let mut state = sentinel.state();
        state.client = "11111111-2222-3333-4444-555555555555".into();
        state.tenant = "example.org".into();
        state.rules.insert(RULE.into(), ["Microsoft-WindowsEvent".to_owned()].into());
    }
    secret(root.path(), "sentinel.secret", SECRET);
    let url = sentinel.receiver.url();
    runs_to_the_end(
        root.path(),
        "sentinel.toml",
        FORWARDED,
        &[
            ("https://wef-x1y2.westeurope-1.ingest.monitor.azure.com", &url),
            ("cloud = \"public\"", &format!("authority = \"{url}\"")),
            ("dcr-00000000000000000000000000000000", RULE),
        ],
    );
    let events = &sentinel.state().events;
    assert_eq!(events.len(), SAMPLE_EVENTS);
    let all: BTreeSet<String> = events.iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), SAMPLE_EVENTS, "each one once");
    assert!(events.iter().all(|row| row["EventID"].is_u64() && row["EventData"].is_object()));
}

#[test]
fn the_ready_pipeline_to_s3_is_in_the_bucket_by_channel_and_day() {
    const TEST: &str = "the_ready_pipeline_to_s3_is_in_the_bucket_by_channel_and_day";
    let root = tempfile::tempdir().unwrap();
    let Some(s3) = S3::start(TEST, root.path(), Place::HERE, "windows-archive") else { return };
    let work = root.path().join("work");
    secret(&work, "s3.secret", "s\n");
    let endpoint = format!("endpoint = \"http://{}\"", s3.address);
    runs_to_the_end(&work, "s3.toml", FORWARDED, &[("region = \"eu-central-1\"", &endpoint)]);
    assert_eq!(s3.take(root.path()), 0, "no upload is left");
    let objects = crate::s3::unpacked(&root.path().join("objects"));
    assert!(objects.keys().any(|key| key.starts_with("windows/Security/20")), "{:?}", objects.keys());
    assert!(objects.keys().all(|key| key.ends_with(".xml.zst")), "{:?}", objects.keys());
    let lines = objects.values().map(|text| text.split(|byte| *byte == b'\n').count() - 1);
    assert_eq!(lines.sum::<usize>(), SAMPLE_EVENTS);
}

/// Machines come to these, so they do not end by themselves.
const COLLECTOR: &str = "collector.toml";
const DOMAIN: &str = "domain.toml";

#[test]
fn the_ready_collector_passes_check_and_probe_listens_and_stops() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir_all(root.join("etc/forebay")).unwrap();
    let authority = rcgen::generate_simple_self_signed(["machines.example.org".to_owned()]).unwrap();
    let own = rcgen::generate_simple_self_signed(["collector.example.org".to_owned()]).unwrap();
    let files = [
        ("machines-ca.pem", authority.cert.pem()),
        ("collector.pem", own.cert.pem()),
        ("collector.key", own.signing_key.serialize_pem()),
    ];
    for (name, text) in files {
        let path = root.join("etc/forebay").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    listens_and_stops(root, COLLECTOR, "0.0.0.0:5986");
}

#[test]
fn the_ready_collector_of_a_domain_passes_check_and_probe_listens_and_stops() {
    const TEST: &str = "the_ready_collector_of_a_domain_passes_check_and_probe_listens_and_stops";
    let Some((lab, _)) = crate::kerberos::lab(TEST) else { return };
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for folder in ["etc/forebay", "var/lib/forebay"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let keytab = root.join("etc/forebay/forebay.keytab");
    fs::copy(lab.keytab(&[crate::support::lab::LOCALHOST]), &keytab).unwrap();
    fs::set_permissions(keytab, fs::Permissions::from_mode(0o600)).unwrap();
    listens_and_stops(root, DOMAIN, "0.0.0.0:5985");
    assert!(root.join("var/lib/forebay/replay").is_file());
}

/// Their runs are those of `receivers/ready.rs` and `kafka/ready.rs`, against what they send to.
const RECEIVERS: [&str; 6] =
    ["kafka.toml", "kafka-sidecar.toml", "kafka-splunk.toml", "relp.toml", "socket.toml", "syslog.toml"];

#[track_caller]
fn listens_and_stops(root: &Path, file: &str, listen: &str) {
    let port = free_port();
    let written = fs::read_to_string(folder().join(file)).unwrap();
    let moved = written.replace("\"/", &format!("\"{}/", root.display()));
    fs::write(root.join(file), moved.replace(listen, &format!("127.0.0.1:{port}"))).unwrap();
    let before = everything(root);
    let checked = forebay(root, &["check", "--probe", file]);
    assert_eq!((text(&checked.stderr).as_str(), checked.status.code()), ("", Some(0)));
    assert_eq!(everything(root), before, "{file}: a probe leaves nothing behind");
    let running = Process::start(process::forebay(root, &["run", file]));
    eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", process::told(root));
    assert!(!process::told(root).contains("finding"), "{}", process::told(root));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")
}

fn forebay(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forebay")).args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(lines: &str) -> Vec<serde_json::Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    everything(folder).into_iter().filter(|path| path.is_file()).collect()
}

fn everything(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}
