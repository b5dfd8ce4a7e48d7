//! What the outputs are tried against is there, starts, and comes back at its address after a SIGKILL.

use crate::support::backends::{Noida, OpenSearch, Place, S3, Store, Tansu, http, rsyslog, syslog_ng};
use crate::support::process::{eventually, free_port};
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;

#[test]
fn a_broker_over_s3_comes_back_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_broker_over_s3_comes_back_after_a_kill";
    let Some(s3) = S3::start(test, folder.path(), Place::HERE, "tansu") else { return };
    let store = Store::S3(s3.address);
    let Some(mut broker) = Tansu::start(test, folder.path(), Place::HERE, store) else { return };
    broker.kill();
    assert!(TcpStream::connect(("127.0.0.1", broker.port)).is_err());
    broker.restart();
    assert!(TcpStream::connect(("127.0.0.1", broker.port)).is_ok());
    assert!(Tansu::start(test, folder.path(), Place::HERE, Store::Memory).is_some());
}

#[test]
fn search_engines_say_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let test = "search_engines_say_who_they_are";
    let Some(mut noida) = Noida::start(test, folder.path(), Place::HERE) else { return };
    noida.kill();
    noida.restart();
    let said = http(here(noida.elasticsearch), "GET", "/", &[], b"");
    assert!(said.contains("\"number\":\"8.") || said.contains("\"number\": \"8."), "{said}");
    assert!(TcpStream::connect(("127.0.0.1", noida.kafka)).is_ok());
    let Some(open) = OpenSearch::start(test, folder.path()) else { return };
    let said = http(here(open.port), "GET", "/", &[], b"");
    assert!(said.contains("opensearch"), "{said}");
}

#[test]
fn syslog_daemons_write_what_they_are_sent() {
    let test = "syslog_daemons_write_what_they_are_sent";
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("rsyslog.out"), folder.path().join("syslog-ng.out"));
    let port = free_port();
    let configuration = format!(
        "module(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
         template(name=\"t\" type=\"string\" string=\"%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{}\" template=\"t\")\n",
        one.display()
    );
    let Some(_rsyslog) = rsyslog(test, folder.path(), Place::HERE, &configuration, port) else { return };
    writes(port, &one);
    let port = free_port();
    let configuration = format!(
        "@version: 3.38\nsource s {{ syslog(ip(\"127.0.0.1\") port({port}) transport(\"tcp\")); }};\n\
         destination d {{ file(\"{}\" template(\"${{MSG}}\\n\")); }};\nlog {{ source(s); destination(d); }};\n",
        other.display()
    );
    let Some(_syslog_ng) = syslog_ng(test, folder.path(), &configuration, port) else { return };
    writes(port, &other);
}

fn writes(port: u16, file: &Path) {
    let message = "<14>1 2019-03-29T21:10:40.380542Z dc1 forebay - 4624 - signed in";
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "{} {message}", message.len()).unwrap();
    drop(stream);
    eventually("the message stands in the file", || {
        fs::read_to_string(file).is_ok_and(|text| text.contains("signed in"))
    });
}

fn here(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}
