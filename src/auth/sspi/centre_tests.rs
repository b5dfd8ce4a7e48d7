//! Centres that answer, that do not, and that do it badly.

use super::*;
use crate::kerberos::{KrbError, Name};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

const TICKET: &[u8] = &[0x6b, 2, 5, 0];
const LIMIT: Duration = Duration::from_millis(400);

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, content.len() as u8], &content[..]].concat()
}

/// AS-REQ for a realm.
fn request(realm: &str) -> Vec<u8> {
    let options = element(0xa0, &[&[3, 5, 0, 0, 0, 0, 0]]);
    let realm = element(0xa2, &[&element(0x1b, &[realm.as_bytes()])]);
    let body = element(0xa4, &[&element(0x30, &[&options, &realm])]);
    element(0x6a, &[&element(0x30, &[&[0xa1, 3, 2, 1, 5, 0xa2, 3, 2, 1, 10], &body])])
}

fn error(code: i32) -> Vec<u8> {
    let service = Name::new(2, ["krbtgt", "CORP.EXAMPLE"]);
    let (server_time, realm) = (now(), "CORP.EXAMPLE".into());
    let (client_time, client, text, data) = (None, None, None, None);
    KrbError { code, server_time, client_time, client, realm, service, text, data }.write()
}

fn framed(answer: &[u8]) -> Vec<u8> {
    [&(answer.len() as u32).to_be_bytes(), answer].concat()
}

/// Answers one request with these bytes, then waits until it is hung up on, or closes at once.
fn by_stream(answer: Vec<u8>, closes: bool) -> (Server, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(&answer).unwrap();
        if !closes {
            let _ = stream.read(&mut [0]);
        }
        request
    });
    (Server { host: "127.0.0.1".into(), port, is_datagram: false }, serving)
}

fn nobody() -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Server { host: "127.0.0.1".into(), port, is_datagram: false }
}

fn centre(servers: &[&Server]) -> Centre {
    let servers = servers.iter().map(|&server| server.clone()).collect();
    let settings = CentreSettings::new("corp.example", servers);
    Centre::new(CentreSettings { connect_timeout: LIMIT, answer_timeout: LIMIT, ..settings })
}

#[track_caller]
fn tried(asked: Asked) -> Vec<String> {
    match asked.answer {
        Err(Cause::Unreachable { realm, tried }) => {
            assert_eq!(&*realm, "CORP.EXAMPLE");
            tried.into()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn servers_are_named_in_several_ways() {
    for (text, expected) in [
        ("dc1.corp.example", "dc1.corp.example:88"),
        ("tcp://dc1:1088", "dc1:1088"),
        ("udp://10.0.0.1", "udp://10.0.0.1:88"),
        ("[::1]:99", "[::1]:99"),
        ("::1", "[::1]:88"),
        ("[fe80::1]", "[fe80::1]:88"),
    ] {
        assert_eq!(Server::parse(text).unwrap().to_string(), expected);
    }
    for text in ["", ":88", "http://dc1", "dc1:x", "dc1:99999", "a b", "dc1/kdc"] {
        assert!(Server::parse(text).is_err(), "{text}");
    }
}

#[test]
fn the_next_one_is_asked_where_one_is_away_and_the_one_that_answered_is_asked_first() {
    let (dead, (alive, serving)) = (nobody(), by_stream(framed(TICKET), true));
    let centre = centre(&[&dead, &alive]);
    let asked = centre.ask(&request("CORP.EXAMPLE"), None);
    assert_eq!((asked.answer.unwrap(), asked.refused), (TICKET.to_vec(), Vec::new()));
    assert_eq!(serving.join().unwrap(), request("CORP.EXAMPLE"));
    let why = tried(centre.ask(&request("CORP.EXAMPLE"), None));
    assert!(why[0].starts_with(&format!("{alive}: does not connect: ")), "{why:?}");
    assert!(why[1].starts_with(&format!("{dead}: does not connect: ")), "{why:?}");
}

#[test]
fn an_error_is_an_answer_and_is_kept_unless_the_centre_cannot_work() {
    let (busy, _busy) = by_stream(framed(&error(29)), true);
    let (other, _other) = by_stream(framed(&error(24)), true);
    let asked = centre(&[&busy, &other]).ask(&request("CORP.EXAMPLE"), None);
    assert_eq!(asked.answer.unwrap(), asked.refused[1].error.write());
    let codes: Vec<i32> = asked.refused.iter().map(|one| one.error.code).collect();
    assert_eq!(codes, [29, 24]);
    assert_eq!(&*asked.refused[1].by, other.to_string());
}

#[test]
fn what_is_half_too_long_or_none_is_told() {
    let half = &framed(TICKET)[..6];
    let long = ((ANSWER_BYTES_MAX + 1) as u32).to_be_bytes();
    for (bytes, closes, expected) in [
        (half, true, "answers with 2 of 4 bytes of its answer, then closes"),
        (half, false, "answers with 2 of 4 bytes of its answer, then nothing in time"),
        (&framed(TICKET)[..3], true, "answers with 3 of 4 bytes of its length, then closes"),
        (b"", true, "answers with 0 of 4 bytes of its length, then closes"),
        (&long, false, "answers with 262145 bytes; 262144 are the most"),
        (&framed(b"HTTP"), true, "an answer that begins with byte 0x48 and is none of Kerberos"),
        (&framed(b""), true, "an answer of nothing"),
        (&framed(&error(24)[..9]), true, "a damaged answer: "),
    ] {
        let (server, _serving) = by_stream(bytes.to_vec(), closes);
        let start = Instant::now();
        let why = tried(centre(&[&server]).ask(&request("CORP.EXAMPLE"), None));
        assert!(why[0].starts_with(&format!("{server}: {expected}")), "{why:?}");
        assert!(start.elapsed() < LIMIT * 4);
    }
    assert_eq!(tried(centre(&[]).ask(&request("CORP.EXAMPLE"), None)), ["none is named"]);
}

#[test]
fn an_answer_drop_by_drop_is_given_no_more_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut drops = framed(&[0; 1024]).into_iter();
        while drops.next().is_some_and(|drop| stream.write_all(&[drop]).is_ok()) {
            thread::sleep(LIMIT / 8);
        }
    });
    let server = Server { host: "127.0.0.1".into(), port, is_datagram: false };
    let start = Instant::now();
    let why = tried(centre(&[&server]).ask(&request("CORP.EXAMPLE"), None));
    assert!(why[0].ends_with("of 1024 bytes of its answer, then nothing in time"), "{why:?}");
    assert!(start.elapsed() < LIMIT * 4);
}

#[test]
fn what_is_too_long_for_a_datagram_comes_by_a_stream() {
    let (server, serving) = by_stream(framed(TICKET), true);
    let socket = UdpSocket::bind(("127.0.0.1", server.port)).unwrap();
    let datagrams = thread::spawn(move || {
        for answer in [TICKET.to_vec(), error(52)] {
            let mut request = [0; 1024];
            let (length, from) = socket.recv_from(&mut request).unwrap();
            assert_eq!(request[..length], super::tests::request("CORP.EXAMPLE"));
            socket.send_to(&answer, from).unwrap();
        }
    });
    let server = Server { is_datagram: true, ..server };
    let centre = centre(&[&server]);
    for _ in 0..2 {
        let asked = centre.ask(&request("CORP.EXAMPLE"), None);
        assert_eq!((asked.answer.unwrap(), asked.refused), (TICKET.to_vec(), Vec::new()));
    }
    datagrams.join().unwrap();
    serving.join().unwrap();
    let why = tried(centre.ask(&request("CORP.EXAMPLE"), None));
    assert!(why[0].starts_with(&format!("{server}: does not answer")), "{why:?}");
}

#[test]
fn a_request_for_another_realm_goes_elsewhere_or_nowhere() {
    let (other, serving) = by_stream(framed(TICKET), true);
    let centre = centre(&[&nobody()]);
    let wrong = centre.ask(&request("OTHER.EXAMPLE"), Some(other.clone())).answer.unwrap_err();
    assert_eq!(wrong, Cause::Realm { ours: "CORP.EXAMPLE".into(), asked: "OTHER.EXAMPLE".into() });
    assert!(wrong.to_string().contains("`corp.example = CORP.EXAMPLE`"), "{wrong}");
    let mut referred = request("OTHER.EXAMPLE");
    referred[0] = 0x6c;
    assert_eq!(centre.ask(&referred, Some(other)).answer.unwrap(), TICKET);
    assert_eq!(serving.join().unwrap(), referred);
    assert!(matches!(centre.ask(b"hello", None).answer, Err(Cause::Sspi(_))));
}
