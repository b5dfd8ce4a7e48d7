//! The output `socket` against rsyslog and socat: streams, datagrams and TLS, each held against the ledger of the hosts.

use super::{HOSTS, arrived_whole, configuration, fleet, is_whole, site, verdict};
use crate::support::backends::{Place, rsyslog, socat};
use crate::support::once::findings;
use crate::support::process::{events, eventually, free_port, told};
use std::path::Path;

/// Inputs of rsyslog, each with a file of its name, into which goes what came as it came.
pub(super) fn raw(folder: &Path, inputs: &[(&str, &str)]) -> String {
    let mut text = configuration(folder, &[])
        + "module(load=\"imptcp\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
           template(name=\"raw\" type=\"string\" string=\"%rawmsg%\\n\")\n";
    for (name, input) in inputs {
        let file = folder.join(format!("{name}.out"));
        text += &format!(
            "ruleset(name=\"{name}\") {{ action(type=\"omfile\" file=\"{}\" template=\"raw\" ioBufferSize=\"256k\") }}\n\
             input({input} ruleset=\"{name}\")\n",
            file.display()
        );
    }
    text
}

/// Lines over TLS.
pub(super) fn tls_at(port: u16) -> String {
    format!(
        "type=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\" \
         port=\"{port}\" address=\"127.0.0.1\""
    )
}

/// A stream at a Unix socket.
pub(super) fn stream_at(path: &Path) -> String {
    format!("type=\"imptcp\" path=\"{}\"", path.display())
}

#[test]
fn what_hosts_sent_is_in_the_files_of_rsyslog_once_and_unaltered_by_tls_unix_streams_and_datagrams() {
    const TEST: &str =
        "what_hosts_sent_is_in_the_files_of_rsyslog_once_and_unaltered_by_tls_unix_streams_and_datagrams";
    let tls = free_port();
    let site = site(&format!(
        "[output.tls]\nsink.socket = {{ address = 'localhost:{tls}', tls.ca = ['certificates/ca.pem'] }}\n\
         [output.stream]\nformat.xml = {{}}\nsink.socket.path = 'stream.sock'\n\
         [output.counted]\nsink.socket = {{ path = 'counted.sock', framing = 'octet-counting' }}\n\
         [output.datagram]\nsink.socket = {{ path = 'datagram.sock', mode = 'datagram' }}\n"
    ));
    let at = |name: &str| site.path().join(name);
    let datagrams = format!(
        "type=\"imuxsock\" Socket=\"{}\" UseSpecialParser=\"off\" RateLimit.Interval=\"0\"",
        at("datagram.sock").display()
    );
    let inputs = [
        ("tls", &*tls_at(tls)),
        ("stream", &stream_at(&at("stream.sock"))),
        ("counted", &stream_at(&at("counted.sock"))),
        ("datagram", &datagrams),
    ];
    let configuration = raw(site.path(), &inputs);
    let Some(_receiver) = rsyslog(TEST, site.path(), Place::HERE, &configuration, tls) else { return };
    eventually("its sockets are there", || {
        ["stream.sock", "counted.sock", "datagram.sock"].iter().all(|name| at(name).exists())
    });
    arrives_whole(&site, &inputs.map(|(name, _)| name));
}

/// The output that writes lengths.
const LENGTHS: &str = "lengths";

#[test]
fn what_hosts_sent_is_in_the_files_of_socat_once_and_unaltered_by_tls_unix_streams_and_datagrams() {
    const TEST: &str =
        "what_hosts_sent_is_in_the_files_of_socat_once_and_unaltered_by_tls_unix_streams_and_datagrams";
    let tls = free_port();
    let site = site(&format!(
        "[output.tls]\nformat.xml = {{}}\nsink.socket = {{ address = 'localhost:{tls}', tls.ca = ['certificates/ca.pem'] }}\n\
         [output.lengths]\nformat.xml = {{}}\nsink.socket = {{ path = 'stream.sock', framing = 'length' }}\n\
         [output.abstract]\nsink.socket.path = '@forebay-{tls}'\n\
         [output.datagram]\nsink.socket = {{ path = 'datagram.sock', mode = 'datagram', framing = 'line' }}\n"
    ));
    let certificates = "cert=certificates/server.pem,key=certificates/server.key,verify=0";
    let addresses = [
        ("tls", format!("OPENSSL-LISTEN:{tls},bind=127.0.0.1,reuseaddr,fork,{certificates}")),
        (LENGTHS, "UNIX-LISTEN:stream.sock,fork".into()),
        ("abstract", format!("ABSTRACT-LISTEN:forebay-{tls},fork")),
        ("datagram", "UNIX-RECV:datagram.sock".into()),
    ];
    let mut receivers = Vec::new();
    for (name, address) in &addresses {
        let to = format!("OPEN:{name}.out,creat,append");
        let Some(receiver) = socat(TEST, site.path(), address, &to) else { return };
        receivers.push(receiver);
    }
    eventually("all of them listen", || {
        let abstracts = std::fs::read_to_string("/proc/net/unix").unwrap();
        abstracts.contains(&format!("@forebay-{tls}"))
            && ["stream.sock", "datagram.sock"].iter().all(|name| site.path().join(name).exists())
            && std::net::TcpStream::connect(("127.0.0.1", tls)).is_ok()
    });
    arrives_whole(&site, &addresses.each_ref().map(|(name, _)| *name));
}

/// A quiet run of hosts into outputs that are written to files of their names.
#[track_caller]
fn arrives_whole(site: &crate::wef::Site, outputs: &[&str]) {
    let running = site.run();
    let events = events(3000);
    let sent =
        fleet(site, &["--events", &events.to_string(), "--existing", &(events / HOSTS as u64).to_string()]);
    assert_eq!(sent.code(), Some(0), "{}", told(site.path()));
    for output in outputs {
        let file = format!("{output}.out");
        // Among lengths a line end is no sign.
        if *output == LENGTHS {
            eventually("all is in it", || verdict(site, &file)["delivered"] == events);
            is_whole(site, &file, events);
        } else {
            arrived_whole(site, &file, events);
        }
    }
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    assert_eq!(findings(&told(site.path())), Vec::<String>::new());
}
