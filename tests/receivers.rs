//! Outputs `syslog`, `relp` and `socket` against receivers that nobody here wrote: what arrives is held against the ledger of
//! the hosts that sent it.

mod crash;
mod ready;
mod socket;

use crate::support::backends::{Place, rsyslog, syslog_ng};
use crate::support::host::passwords;
use crate::support::once::findings;
use crate::support::process::{Process, events, eventually, forebay, free_port, told};
use crate::wef::{Site, WEC};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A password, and what hosts are asked for.
const PLAIN: &str = "insecure_plain_http = true\nauth.basic.passwords = 'passwords'\n";
const ALL: &str = "[source.dc.wef.subscription.all]\nquery.channels = { Security = '*', System = '*', Application = '*' }\n";
const HOSTS: usize = 3;

/// How a receiver of rsyslog is reached.
#[derive(Clone, Copy)]
enum Input {
    Tcp,
    Tls,
    Relp,
    RelpTls,
}

/// A configuration of rsyslog with these inputs at their ports, each with a file of its name in `folder`. Nothing is
/// kept in memory: an answer of RELP then says that the event is in the file.
fn configuration(folder: &Path, inputs: &[(Input, &str, u16)]) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let (ca, certificate, key) =
        (at("certificates/ca.pem"), at("certificates/server.pem"), at("certificates/server.key"));
    let mut text = format!(
        "global(workDirectory=\"{}\" maxMessageSize=\"256k\" parser.escapeControlCharactersOnReceive=\"off\"\n\
         \tdefaultNetstreamDriverCAFile=\"{ca}\" defaultNetstreamDriverCertFile=\"{certificate}\"\n\
         \tdefaultNetstreamDriverKeyFile=\"{key}\")\n\
         main_queue(queue.type=\"Direct\")\n\
         module(load=\"imtcp\")\nmodule(load=\"imrelp\")\n\
         template(name=\"payload\" type=\"string\" string=\"%msg%\\n\")\n",
        folder.display()
    );
    for (input, name, port) in inputs {
        let kind = match input {
            Input::Tcp => "type=\"imtcp\"".to_owned(),
            Input::Tls => "type=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\"".into(),
            Input::Relp => "type=\"imrelp\" maxDataSize=\"256k\"".into(),
            Input::RelpTls => format!(
                "type=\"imrelp\" maxDataSize=\"256k\" tls=\"on\" tls.caCert=\"{ca}\" tls.myCert=\"{certificate}\" \
                 tls.myPrivKey=\"{key}\" tls.authMode=\"certvalid\""
            ),
        };
        text += &format!(
            "ruleset(name=\"{name}\") {{ action(type=\"omfile\" file=\"{}\" template=\"payload\" ioBufferSize=\"256k\") }}\n\
             input({kind} port=\"{port}\" address=\"127.0.0.1\" ruleset=\"{name}\")\n",
            at(&format!("{name}.out"))
        );
    }
    text
}

/// The daemon, waited for at the first of its ports.
fn daemon(test: &str, site: &Site, inputs: &[(Input, &str, u16)]) -> Option<Process> {
    rsyslog(test, site.path(), Place::HERE, &configuration(site.path(), inputs), inputs[0].2)
}

/// Certificates in `certificates`: for whoever listens on this machine, and `client` for us.
fn certificates(folder: &Path) {
    let mint = ["fleet", "https://localhost:1/x", "--certificates", "certificates", "--mint-only"];
    assert_eq!(Process::start(forebay(folder, &mint)).code(), Some(0), "{}", told(folder));
    let path = |name: &str| folder.join("certificates").join(name);
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    let key = KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
    let mut params = CertificateParams::new(["forebay.example.org".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    fs::write(path("client.pem"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    fs::write(path("client.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(path("client.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// A collector whose hosts may come, with certificates for whoever listens.
fn site(outputs: &str) -> Site {
    let site = Site::bare(PLAIN);
    let names: Vec<String> = (0..HOSTS).map(|number| format!("ws-{number:05}.fleet.example")).collect();
    passwords(&site.path().join("passwords"), &names);
    certificates(site.path());
    site.write(ALL, "");
    site.add(outputs);
    site
}

/// Hosts that send so many events, with a ledger of it.
fn fleet(site: &Site, more: &[&str]) -> Process {
    let url = format!("http://127.0.0.1:{}{WEC}", site.port);
    let hosts = HOSTS.to_string();
    let fleet = ["fleet", &url, "-n", &hosts, "--password", "opensesame", "--ledger", "ledger", "-o", "json"];
    Process::start(forebay(site.path(), &[&fleet[..], more].concat()))
}

/// What the ledger says of a file.
fn verdict(site: &Site, file: &str) -> Value {
    let verify = ["fleet", "verify", "ledger", file, "-o", "json"];
    let output = forebay(site.path(), &verify).stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", told(site.path())))
}

/// Lines of a file that is being written.
fn lines(site: &Site, file: &str) -> usize {
    fs::read(site.path().join(file)).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

#[track_caller]
fn arrived_whole(site: &Site, file: &str, events: u64) {
    eventually(&format!("all is in {file}"), || {
        // Large files are not read over and over.
        std::thread::sleep(Duration::from_micros(events));
        lines(site, file) as u64 >= events
    });
    is_whole(site, file, events);
}

#[track_caller]
fn is_whole(site: &Site, file: &str, events: u64) {
    let verdict = verdict(site, file);
    for (key, expected) in [
        ("delivered", events),
        ("compared", events),
        ("lost", 0),
        ("altered", 0),
        ("duplicated", 0),
        ("disordered", 0),
        ("unreadable", 0),
        ("foreign", 0),
    ] {
        assert_eq!(verdict[key], expected, "{file}: {key}: {verdict}\n{}", told(site.path()));
    }
    println!("{file}: {verdict}");
}

/// Events of a quiet run.
const USUAL: u64 = 3000;

/// What was found. A long run fills the basin of a test, and its hosts wait.
fn troubles(stderr: &str, events: u64) -> Vec<String> {
    let mut found = findings(stderr);
    found.retain(|what| events == USUAL || !what.starts_with("basin: it is full"));
    found
}

#[test]
fn what_hosts_sent_is_in_the_files_of_rsyslog_once_and_unaltered_by_tcp_tls_relp_and_relp_over_tls() {
    const TEST: &str =
        "what_hosts_sent_is_in_the_files_of_rsyslog_once_and_unaltered_by_tcp_tls_relp_and_relp_over_tls";
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let [tcp, tls, relp, relp_tls] = ports[..] else { unreachable!() };
    let site = site(&format!(
        "[output.tcp]\nsink.syslog = {{ address = '127.0.0.1:{tcp}', message_size_max = '256KiB' }}\n\
         [output.tls]\nformat.xml = {{}}\nsink.syslog = {{ address = 'localhost:{tls}', message_size_max = '256KiB', tls.ca = ['certificates/ca.pem'] }}\n\
         [output.relp]\nsink.relp = {{ address = '127.0.0.1:{relp}', message_size_max = '256KiB' }}\n\
         [output.relp-tls]\nformat.xml = {{}}\nsink.relp = {{ address = 'localhost:{relp_tls}', message_size_max = '256KiB', window = 128, tls = {{ ca = ['certificates/ca.pem'], certificate = 'certificates/client.pem', key = 'certificates/client.key' }} }}\n"
    ));
    let inputs = [
        (Input::Tcp, "tcp", tcp),
        (Input::Tls, "tls", tls),
        (Input::Relp, "relp", relp),
        (Input::RelpTls, "relp-tls", relp_tls),
    ];
    let Some(_receiver) = daemon(TEST, &site, &inputs) else { return };
    let running = site.run();
    let events = events(USUAL);
    let sent =
        fleet(&site, &["--events", &events.to_string(), "--existing", &(events / HOSTS as u64).to_string()]);
    assert_eq!(sent.code(), Some(0), "{}", told(site.path()));
    for (_, name, _) in inputs {
        arrived_whole(&site, &format!("{name}.out"), events);
    }
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    assert_eq!(troubles(&told(site.path()), events), Vec::<String>::new());
}

#[test]
fn what_hosts_sent_is_in_the_files_of_syslog_ng_once_and_unaltered_by_tcp_and_tls() {
    const TEST: &str = "what_hosts_sent_is_in_the_files_of_syslog_ng_once_and_unaltered_by_tcp_and_tls";
    let (tcp, tls) = (free_port(), free_port());
    let site = site(&format!(
        "[output.tcp]\nformat.xml = {{}}\nsink.syslog = {{ address = '127.0.0.1:{tcp}', header.structured_data.id = 'windows@32473' }}\n\
         [output.tls]\nsink.syslog = {{ address = '127.0.0.1:{tls}', tls.ca = ['certificates/ca.pem'] }}\n"
    ));
    let at = |name: &str| site.path().join(name).display().to_string();
    let configuration = format!(
        "@version: 3.38\noptions {{ log-msg-size(262144); keep-hostname(yes); }};\n\
         source tcp {{ syslog(ip(\"127.0.0.1\") port({tcp}) transport(\"tcp\") log-iw-size(10000)); }};\n\
         source tls {{ syslog(ip(\"127.0.0.1\") port({tls}) transport(\"tls\") log-iw-size(10000)\n\
         \ttls(key-file(\"{key}\") cert-file(\"{certificate}\") peer-verify(optional-untrusted))); }};\n\
         destination tcp {{ file(\"{one}\" template(\"${{MSG}}\\n\")); }};\n\
         destination tls {{ file(\"{other}\" template(\"${{MSG}}\\n\")); }};\n\
         destination data {{ file(\"{data}\" template(\"${{HOST}} ${{PROGRAM}} ${{MSGID}} ${{.SDATA.windows@32473.channel}} ${{.SDATA.windows@32473.event_id}}\\n\")); }};\n\
         log {{ source(tcp); destination(tcp); destination(data); flags(flow-control); }};\n\
         log {{ source(tls); destination(tls); flags(flow-control); }};\n",
        key = at("certificates/server.key"),
        certificate = at("certificates/server.pem"),
        one = at("tcp.out"),
        other = at("tls.out"),
        data = at("data.out"),
    );
    let Some(_receiver) = syslog_ng(TEST, site.path(), &configuration, tcp) else { return };
    let running = site.run();
    let events = events(USUAL);
    let sent =
        fleet(&site, &["--events", &events.to_string(), "--existing", &(events / HOSTS as u64).to_string()]);
    assert_eq!(sent.code(), Some(0), "{}", told(site.path()));
    for file in ["tcp.out", "tls.out"] {
        arrived_whole(&site, file, events);
    }
    // What it reads of the headers is the event's own.
    let data = fs::read_to_string(site.path().join("data.out")).unwrap();
    let logon = data.lines().find(|line| line.ends_with(" Security 4624")).unwrap();
    assert!(
        logon.starts_with("ws-0000")
            && logon.contains(".fleet.example Microsoft-Windows-Security-Auditing 4624 "),
        "{logon}"
    );
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    assert_eq!(troubles(&told(site.path()), events), Vec::<String>::new());
}

#[test]
fn old_receivers_get_rfc_3164_on_lines_and_datagrams() {
    const TEST: &str = "old_receivers_get_rfc_3164_on_lines_and_datagrams";
    let (tcp, udp) = (free_port(), free_port());
    let site = site(&format!(
        "[output.tcp]\nformat.xml = {{}}\nsink.syslog = {{ address = '127.0.0.1:{tcp}', framing = 'line', header.protocol = 'rfc3164' }}\n\
         [output.udp]\nbatch.events = 20\nsink.syslog = {{ address = '127.0.0.1:{udp}', transport = 'udp', header.protocol = 'rfc3164', message_size_max = '60KiB' }}\n"
    ));
    let out = |name: &str| site.path().join(name).display().to_string();
    let configuration = format!(
        "module(load=\"imudp\")\ninput(type=\"imudp\" port=\"{udp}\" address=\"127.0.0.1\" ruleset=\"udp\")\n\
         ruleset(name=\"udp\") {{ action(type=\"omfile\" file=\"{}\" template=\"payload\") }}\n\
         template(name=\"head\" type=\"string\" string=\"%hostname% %syslogtag%\\n\")\n\
         ruleset(name=\"heads\") {{ action(type=\"omfile\" file=\"{}\" template=\"head\") }}\n",
        out("udp.out"),
        out("heads.out"),
    );
    let mut whole = self::configuration(site.path(), &[(Input::Tcp, "tcp", tcp)]) + &configuration;
    whole = whole.replace("\"tcp\") { ", "\"tcp\") { call heads ");
    whole = whole.replacen("ruleset(name=\"tcp\")", "RULESET", 1);
    // A ruleset is called after it is defined.
    let heads = whole.find("template(name=\"head\"").unwrap();
    let tail = whole.split_off(heads);
    let whole = whole.replacen("RULESET", &format!("{tail}ruleset(name=\"tcp\")"), 1);
    let Some(_receiver) = rsyslog(TEST, site.path(), Place::HERE, &whole, tcp) else { return };
    let running = site.run();
    let sent = fleet(&site, &["--events", "600", "--existing", "200"]);
    assert_eq!(sent.code(), Some(0), "{}", told(site.path()));
    arrived_whole(&site, "tcp.out", 600);
    // Of datagrams nothing is promised but that what arrives is whole.
    eventually("many are in udp.out", || lines(&site, "udp.out") >= 60);
    let verdict = verdict(&site, "udp.out");
    assert_eq!((&verdict["altered"], &verdict["unreadable"]), (&0.into(), &0.into()), "{verdict}");
    println!("udp.out: {verdict}");
    let heads = fs::read_to_string(site.path().join("heads.out")).unwrap();
    let tag = "Microsoft-Windows-Security-Audit[";
    assert!(heads.lines().any(|line| line.starts_with("ws-0000") && line.contains(tag)), "{heads}");
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}
