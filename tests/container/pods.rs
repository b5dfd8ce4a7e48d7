//! What the manifests describe, run: their own arguments, configuration, users, mounts and probes, unchanged, in
//! containers of the image, in a network of their own where `kafka` is a broker that nobody here wrote (Tansu).

use super::image::{Image, image};
use super::manifests::{documents, list, of, path, text, words};
use super::run::{Container, new_volume};
use super::{PROBES, SAMPLE, SAMPLE_EVENTS, run_code};
use crate::kafka::reading;
use crate::kerberos::python;
use crate::support::backends::{Store, Tansu};
use crate::support::link::Link;
use crate::support::live_log::LiveLog;
use crate::support::process::{eventually, http_get};
use serde_json::Value;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

/// Where everybody has their broker.
const KAFKA: u16 = 9092;
const MORE_EVENTS: u64 = 1000;

/// In a network where `kafka` is.
fn with_broker(test: &str, folder: &Path, work: impl FnOnce(&str) + Send) {
    Link::within(test, folder, |link| {
        let place = link.place();
        if let Some(_broker) = Tansu::behind(test, folder, place, Store::Memory, (KAFKA, KAFKA)) {
            work(&place.address.to_string());
        }
    });
}

/// What the metric of this output or source is now.
fn metric(name: &str, of: &str) -> u64 {
    let told = http_get(PROBES, "/metrics");
    let line = told.lines().find_map(|line| line.strip_prefix(&format!("{name}{{{of}}} ")));
    line.map_or(0, |value| value.parse().unwrap())
}

/// Asks as Kubernetes does.
fn probe(container: &Value, name: &str) -> bool {
    let get = &container[name]["httpGet"];
    let port = list(&container["ports"]).iter().find(|port| port["name"] == get["port"]).unwrap();
    let port = port["containerPort"].as_u64().unwrap().try_into().unwrap();
    TcpStream::connect(("127.0.0.1", port)).is_ok()
        && http_get(port, text(&get["path"])).starts_with("HTTP/1.1 200")
}

/// The container of a pod, with the volumes that it names in `folder`.
fn of_pod<'i>(
    image: &'i Image,
    folder: &Path,
    documents: &[Value],
    spec: &Value,
    container: &Value,
) -> Container<'i> {
    let number = |key: &str| spec["securityContext"][key].as_u64().unwrap().try_into().unwrap();
    let mut run = Container::new(image, &folder.join(text(&container["name"])));
    run.user = (number("runAsUser"), number("runAsGroup"));
    for known in ["command", "env", "envFrom", "workingDir"] {
        assert!(container[known].is_null(), "{known} is not carried out here");
    }
    for mount in list(&container["volumeMounts"]) {
        let name = text(&mount["name"]);
        let volume = list(&spec["volumes"]).iter().find(|volume| volume["name"] == name).unwrap();
        let at = folder.join("pod").join(name);
        if !at.exists() {
            fs::create_dir_all(&at).unwrap();
            if let Some(map) = volume["configMap"]["name"].as_str() {
                for (file, content) in of(documents, "ConfigMap", map)["data"].as_object().unwrap() {
                    fs::write(at.join(file), text(content)).unwrap();
                }
            } else {
                assert!(volume["emptyDir"].is_object(), "{volume} is not known here");
                chown(&at, Some(0), Some(number("fsGroup"))).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(0o2777)).unwrap();
            }
        }
        run.mount(&at, text(&mount["mountPath"]), mount["readOnly"] == true);
    }
    run
}

#[test]
fn the_sidecar_of_kubernetes_brings_every_event_of_the_shared_volume_to_kafka_once() {
    const TEST: &str = "the_sidecar_of_kubernetes_brings_every_event_of_the_shared_volume_to_kafka_once";
    let Some(python) = python(TEST) else { return };
    let Some(image) = image(TEST) else { return };
    let documents = documents(&python, &path("kubernetes/sidecar.yaml"));
    let spec = &of(&documents, "Deployment", "application")["spec"]["template"]["spec"];
    let sidecar = &spec["initContainers"][0];
    let folder = tempfile::tempdir().unwrap();
    with_broker(TEST, folder.path(), |kafka| {
        let mut container = of_pod(image, folder.path(), &documents, spec, sidecar);
        container.hosts(&[("kafka", kafka)]);
        let args = words(&sidecar["args"]);
        let running = container.start(&args);
        eventually("the application may start", || probe(sidecar, "startupProbe"));

        // What the application leaves: one log as a whole, and one that grows.
        let logs = folder.path().join("pod/logs/application");
        fs::create_dir(&logs).unwrap();
        fs::copy(SAMPLE, logs.join("part")).unwrap();
        fs::rename(logs.join("part"), logs.join("Security.evtx")).unwrap();
        let mut log = LiveLog::create(&logs.join("Application.evtx"), 64, Duration::ZERO).unwrap();
        for _ in 0..10 {
            log.append_numbered(MORE_EVENTS / 10, 200);
        }
        let all = SAMPLE_EVENTS as u64 + MORE_EVENTS;
        let output = "output=\"kafka\"";
        eventually("Kafka has everything", || metric("forebay_output_events_total", output) == all);
        assert!(probe(sidecar, "livenessProbe") && probe(sidecar, "readinessProbe"));
        assert_eq!(running.stop(), Some(0), "{}", container.told());

        // Another container of the pod goes on where this one was.
        let again = container.start(&args);
        eventually("it lives", || probe(sidecar, "startupProbe") && probe(sidecar, "readinessProbe"));
        log.append_numbered(1, 200);
        eventually("Kafka has one more", || metric("forebay_output_events_total", output) == 1);
        assert_eq!(again.stop(), Some(0), "{}", container.told());

        let messages = reading::at(kafka.parse().unwrap(), KAFKA, "windows");
        assert_eq!((messages.len(), reading::distinct_ids(&messages)), (all as usize + 1, all as usize + 1));
    });
}

/// A service of compose, with its volumes in `folder`.
fn of_compose<'i>(image: &'i Image, folder: &Path, services: &Value, name: &str) -> Container<'i> {
    let service = &services[name];
    for known in ["entrypoint", "environment", "user", "configs", "secrets", "tmpfs"] {
        assert!(service[known].is_null(), "{known} is not carried out here");
    }
    let mut run = Container::new(image, &folder.join(name));
    for volume in list(&service["volumes"]) {
        let parts: Vec<&str> = text(volume).split(':').collect();
        let (from, to, is_read_only) = match parts[..] {
            [from, to] => (from, to, false),
            [from, to, "ro"] => (from, to, true),
            _ => panic!("{volume} is not known here"),
        };
        if let Some(file) = from.strip_prefix("./") {
            run.mount(&path(file), to, is_read_only);
        } else {
            let at = folder.join("named").join(from);
            if !at.exists() {
                new_volume(image, &at, to);
            }
            run.mount(&at, to, is_read_only);
        }
    }
    run
}

#[test]
fn the_example_of_compose_brings_events_of_simulated_hosts_to_kafka() {
    const TEST: &str = "the_example_of_compose_brings_events_of_simulated_hosts_to_kafka";
    let Some(python) = python(TEST) else { return };
    let Some(image) = image(TEST) else { return };
    let compose = documents(&python, &path("compose.yaml")).remove(0);
    let services = &compose["services"];
    let folder = tempfile::tempdir().unwrap();
    with_broker(TEST, folder.path(), |kafka| {
        let container = |name: &str| {
            let mut container = of_compose(image, folder.path(), services, name);
            container.hosts(&[("kafka", kafka), ("collector", "127.0.0.1")]);
            container
        };
        let command = |name: &str| words(&services[name]["command"]);
        let minted = container("certificates").run(&command("certificates"));
        assert_eq!(minted.status.code(), Some(0), "{}", String::from_utf8_lossy(&minted.stderr));

        let collector = container("collector");
        let collecting = collector.start(&command("collector"));
        let health = words(&services["collector"]["healthcheck"]["test"]);
        assert_eq!(health[0], "CMD");
        eventually("it is healthy", || run_code(collector.exec(&health[1..])) == Some(0));
        let hosts = container("hosts");
        let sending = hosts.start(&command("hosts"));
        let output = "output=\"kafka\"";
        eventually("Kafka has events", || metric("forebay_output_events_total", output) >= 30);
        assert_eq!(sending.stop(), Some(0), "{}", hosts.told());
        let taken = metric("forebay_source_events_total", "source=\"windows\"") as usize;
        assert_eq!(collecting.stop(), Some(0), "{}", collector.told());

        let consumer = command("consumer");
        let topic = &consumer[consumer.iter().position(|word| word == "--topic").unwrap() + 1];
        let messages = reading::at(kafka.parse().unwrap(), KAFKA, topic);
        assert_eq!((messages.len(), reading::distinct_ids(&messages)), (taken, taken));
    });
}
