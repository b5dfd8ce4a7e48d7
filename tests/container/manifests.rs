//! Compose file and Kubernetes manifests, without running them: valid by the published schemas, and right where no
//! schema looks.

use crate::kerberos::python;
use forebay::units::Span;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Reads YAML and holds it against schemas.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/container/manifests.py");

pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(name)
}

/// The documents of a file.
pub(super) fn documents(python: &Path, file: &Path) -> Vec<Value> {
    let read = Command::new(python).args([SCRIPT, "read"]).arg(file).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
}

/// The document of this kind and name.
pub(super) fn of<'d>(documents: &'d [Value], kind: &str, name: &str) -> &'d Value {
    let is_it = |document: &&Value| document["kind"] == kind && document["metadata"]["name"] == name;
    documents.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// A list of texts, however it is written there.
pub(super) fn words(value: &Value) -> Vec<String> {
    list(value).iter().map(|word| text(word).to_owned()).collect()
}

fn validate(python: &Path, what: &str, file: &Path) -> Output {
    Command::new(python).args([SCRIPT, what]).arg(file).output().unwrap()
}

/// Each file as it is, and with one mistake that only the schema sees.
#[test]
fn manifests_are_valid_by_the_published_schemas() {
    let Some(python) = python("manifests_are_valid_by_the_published_schemas") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (what, file, right, wrong) in [
        ("kubernetes", "kubernetes/collector.yaml", "readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        ("kubernetes", "kubernetes/collector.yaml", "maxUnavailable: 1", "maxUnavailable: [1]"),
        ("kubernetes", "kubernetes/sidecar.yaml", "restartPolicy: Always", "restartPolicy: true"),
        ("compose", "compose.yaml", "read_only: true", "readonly: true"),
        ("compose", "compose.yaml", "stop_grace_period: 30s", "stop_grace_period: 30"),
    ] {
        let valid = validate(&python, what, &path(file));
        let told = String::from_utf8_lossy(&valid.stdout).into_owned();
        assert!(valid.status.success(), "{file}: {told}{}", String::from_utf8_lossy(&valid.stderr));
        let written = fs::read_to_string(path(file)).unwrap();
        assert!(written.contains(right), "{file} has no {right}");
        let changed = folder.path().join("changed.yaml");
        fs::write(&changed, written.replacen(right, wrong, 1)).unwrap();
        assert_eq!(validate(&python, what, &changed).status.code(), Some(1), "{file} with {wrong}");
        println!("{file}: {}", told.trim());
    }
}

/// A container, the pod it is in, and the mounts it may name.
struct Pod<'d> {
    spec: &'d Value,
    forebay: &'d Value,
    claims: BTreeSet<&'d str>,
}

impl Pod<'_> {
    #[track_caller]
    fn is_sound(&self, name: &str) {
        let (spec, forebay) = (self.spec, self.forebay);
        let pod = &spec["securityContext"];
        assert_eq!(pod["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for key in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(pod[key], 65532, "{name}: {key} is that of the image");
        }
        let own = &forebay["securityContext"];
        assert_eq!(own["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(own["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(own["capabilities"]["drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert!(forebay["resources"]["limits"]["memory"].is_string(), "{name}");

        let grace = spec["terminationGracePeriodSeconds"].as_u64().unwrap();
        let drain = drain(&words(&forebay["args"]));
        assert!(drain + 5 <= grace, "{name}: {drain} s to drain, killed after {grace} s");
        let http = list(&forebay["ports"]).iter().find(|port| port["name"] == "http").unwrap();
        assert_eq!(http["containerPort"], 9750, "{name}");
        for (probe, path) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            let get = &forebay[probe]["httpGet"];
            assert_eq!((text(&get["path"]), text(&get["port"])), (path, "http"), "{name}: {probe}");
        }
        let volumes: BTreeSet<&str> =
            list(&spec["volumes"]).iter().map(|volume| text(&volume["name"])).collect();
        let all: BTreeSet<&str> = volumes.union(&self.claims).copied().collect();
        let mounted: BTreeSet<&str> =
            list(&forebay["volumeMounts"]).iter().map(|mount| text(&mount["name"])).collect();
        assert_eq!(mounted, all, "{name}");
    }
}

/// Seconds that outputs get.
fn drain(args: &[String]) -> u64 {
    let at = args.iter().position(|arg| arg == "--drain").expect("--drain");
    Span::parse(&args[at + 1]).unwrap().0.as_secs()
}

#[test]
fn the_collector_of_kubernetes_is_hardened_and_its_parts_fit_each_other() {
    const TEST: &str = "the_collector_of_kubernetes_is_hardened_and_its_parts_fit_each_other";
    let Some(python) = python(TEST) else { return };
    let documents = documents(&python, &path("kubernetes/collector.yaml"));
    let set = &of(&documents, "StatefulSet", "forebay")["spec"];
    let template = &set["template"];
    let claims = list(&set["volumeClaimTemplates"]).iter().map(|claim| text(&claim["metadata"]["name"]));
    let forebay = &template["spec"]["containers"][0];
    Pod { spec: &template["spec"], forebay, claims: claims.collect() }.is_sound("collector.yaml");

    let labels = &template["metadata"]["labels"];
    assert_eq!(&set["selector"]["matchLabels"], labels);
    let budget = &of(&documents, "PodDisruptionBudget", "forebay")["spec"];
    assert_eq!(&budget["selector"]["matchLabels"], labels);
    let headless = &of(&documents, "Service", text(&set["serviceName"]))["spec"];
    assert_eq!((&headless["clusterIP"], &headless["selector"]), (&"None".into(), labels));
    let entrance = of(&documents, "Service", "forebay-machines");
    let (annotations, entrance) = (&entrance["metadata"]["annotations"], &entrance["spec"]);
    assert_eq!((&entrance["type"], &entrance["selector"]), (&"LoadBalancer".into(), labels));
    assert_eq!(entrance["externalTrafficPolicy"], "Local");
    let proxy = annotations["service.beta.kubernetes.io/aws-load-balancer-proxy-protocol"].as_str();
    assert_eq!(proxy, Some("*"));
    let named = |port: &Value| list(&forebay["ports"]).iter().any(|known| known["name"] == *port);
    for service in [headless, entrance] {
        assert!(list(&service["ports"]).iter().all(|port| named(&port["targetPort"])), "{service}");
    }

    // The pipeline reads what is mounted, listens where the service leads, and believes the load balancer alone.
    let written = text(&of(&documents, "ConfigMap", "forebay")["data"]["pipeline.toml"]);
    let pipeline: toml::Table = written.parse().unwrap();
    let mounts: Vec<&str> =
        list(&forebay["volumeMounts"]).iter().map(|mount| text(&mount["mountPath"])).collect();
    for line in written.lines() {
        for path in line.split('"').filter(|part| part.starts_with('/')) {
            let is_mounted = mounts.iter().any(|mount| Path::new(path).starts_with(mount));
            assert!(is_mounted, "{path} is not mounted");
        }
    }
    let sources = pipeline["source"].as_table().unwrap();
    let listens: BTreeSet<&str> =
        sources.values().map(|source| source["wef"]["listen"].as_str().unwrap()).collect();
    assert_eq!(listens.into_iter().collect::<Vec<_>>(), ["0.0.0.0:5985", "0.0.0.0:5986"]);
    assert!(sources.values().all(|source| !source["wef"]["proxy_from"].as_array().unwrap().is_empty()));
    let storage = text(&set["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]);
    let gibibytes = |size: &str| size.trim_end_matches(|c: char| c.is_alphabetic()).parse::<u32>().unwrap();
    let basin = pipeline["basin"]["disk"]["size_max"].as_str().unwrap();
    assert!(gibibytes(storage) > gibibytes(basin), "{storage} for {basin}");
    check(written);
}

#[test]
fn the_sidecar_of_kubernetes_is_hardened_and_shares_its_volume() {
    const TEST: &str = "the_sidecar_of_kubernetes_is_hardened_and_shares_its_volume";
    let Some(python) = python(TEST) else { return };
    let documents = documents(&python, &path("kubernetes/sidecar.yaml"));
    let spec = &of(&documents, "Deployment", "application")["spec"]["template"]["spec"];
    let forebay = &spec["initContainers"][0];
    Pod { spec, forebay, claims: BTreeSet::new() }.is_sound("sidecar.yaml");
    assert_eq!(forebay["restartPolicy"], "Always", "or the application waits for its end");
    let mount = |container: &Value| {
        list(&container["volumeMounts"]).iter().find(|mount| mount["name"] == "logs").unwrap().clone()
    };
    assert_eq!(mount(forebay)["readOnly"], true);
    assert_eq!(mount(&spec["containers"][0])["readOnly"], Value::Null);
    check(text(&of(&documents, "ConfigMap", "application-forebay")["data"]["pipeline.toml"]));
}

#[test]
fn services_of_compose_wait_for_each_other_and_have_time_to_drain() {
    const TEST: &str = "services_of_compose_wait_for_each_other_and_have_time_to_drain";
    let Some(python) = python(TEST) else { return };
    let compose = documents(&python, &path("compose.yaml")).remove(0);
    let services = compose["services"].as_object().unwrap();
    let mut forebays = 0;
    for (name, service) in services {
        // Whoever is waited for says how it is, or ends.
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let other = &services[other];
            match text(&how["condition"]) {
                "service_healthy" => assert!(other["healthcheck"]["test"].is_array(), "{name}"),
                "service_completed_successfully" => assert_eq!(other["command"][1], "--mint-only"),
                other => panic!("{name} waits for {other}"),
            }
        }
        if service["image"] == "forebay" {
            forebays += 1;
            assert_eq!(service["read_only"], true, "{name}");
            assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
            assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        }
    }
    assert_eq!(forebays, 3);
    let collector = &services["collector"];
    let grace = Span::parse(text(&collector["stop_grace_period"])).unwrap().0.as_secs();
    assert!(drain(&words(&collector["command"])) + 5 <= grace);
    check(&fs::read_to_string(path("compose.toml")).unwrap());
    check(&fs::read_to_string(path("pipeline.toml")).unwrap());
}

/// The pipeline is right, and nothing is to be warned of but what probes from outside need.
#[track_caller]
fn check(pipeline: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.toml");
    fs::write(&file, pipeline).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let checked = command.arg("check").arg(file).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{told}");
    let mut warnings = told.lines().filter(|line| line.starts_with("warning: "));
    assert!(warnings.all(|line| line.contains("probes and metrics on 0.0.0.0:9750")), "{told}");
}
