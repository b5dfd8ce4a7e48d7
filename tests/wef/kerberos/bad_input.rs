//! What comes of tokens and sealed bodies that are wrong: the right answer, the end of a connection whose context is
//! lost, a finding, and a good host beside them that does not notice.

use super::*;
use crate::kerberos::initiating;
use crate::support::dice::Dice;
use crate::support::lab::Client;
use forebay::auth::gss::Sealed;
use forebay::auth::handshake::SecurityContext;
use forebay::auth::sealing::Sealing;
use forebay::wsman::multipart::{Framing, Part, Protocol};
use std::io::BufRead;

const FRAMING: Framing<'static> = Framing::windows(Protocol::Kerberos);
const TYPE: &str = "application/soap+xml;charset=UTF-8";

/// A host that has signed in, and its connection.
pub(super) struct Session {
    stream: std::io::BufReader<TcpStream>,
    sealing: Sealing,
}

pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) is_last: bool,
    content_type: String,
    body: Vec<u8>,
}

impl Session {
    pub(super) fn new(setting: &Setting, library: &Library, client: &Client, service: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", setting.site.port)).unwrap();
        Self::on(std::io::BufReader::new(stream), library, client, service)
    }

    /// Signs in once more, on the same connection.
    pub(super) fn again(self, library: &Library, client: &Client, service: &str) -> Self {
        Self::on(self.stream, library, client, service)
    }

    fn on(
        mut stream: std::io::BufReader<TcpStream>,
        library: &Library,
        client: &Client,
        service: &str,
    ) -> Self {
        let mut context = initiating(library, client, service, Mechanism::Kerberos);
        let first = context.step(&[], None).unwrap();
        let proof = format!("Authorization: Kerberos {}\r\n", STANDARD.encode(&first.token));
        let (answered, token) = exchange(&mut stream, &proof, TYPE, b"").unwrap();
        assert_eq!(answered.status, 200);
        let step = context.step(&token.unwrap(), None).unwrap();
        let established = step.established.or(first.established).unwrap();
        Self { stream, sealing: Sealing::new(established.seal).unwrap() }
    }

    pub(super) fn sealed(&mut self, message: &[u8]) -> Vec<u8> {
        let Sealed { token, data } = self.sealing.seal(message).unwrap();
        framed(&token, &data, data.len())
    }

    /// None: the connection ended without an answer.
    pub(super) fn post(&mut self, body: &[u8]) -> Option<Answered> {
        Some(exchange(&mut self.stream, "", &FRAMING.to_string(), body)?.0)
    }
}

fn framed(token: &[u8], sealed: &[u8], length: usize) -> Vec<u8> {
    let mut body = Vec::new();
    FRAMING.write(&[Part { content_type: TYPE, length, token, sealed }], false, &mut body);
    body
}

/// A request and its answer, with the token of that.
fn exchange(
    stream: &mut std::io::BufReader<TcpStream>,
    lines: &str,
    content_type: &str,
    body: &[u8],
) -> Option<(Answered, Option<Vec<u8>>)> {
    let head = format!(
        "POST {WEC} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // It may be closed by now, or while this is on its way; the answer says why.
    let _ = stream.get_mut().write_all(&[head.as_bytes(), body].concat());
    let mut answered = Answered { status: 0, is_last: false, content_type: String::new(), body: Vec::new() };
    let (mut length, mut token) = (0, None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            None if line.starts_with("HTTP/1.1 ") => answered.status = line[9..12].parse().unwrap(),
            None => break,
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("content-type", value)) => answered.content_type = value.into(),
            Some(("connection", "close")) => answered.is_last = true,
            Some(("www-authenticate", value)) => {
                token =
                    value.strip_prefix("Kerberos ").map(|token| STANDARD.decode(token).unwrap()).or(token);
            }
            Some(_) => {}
        }
    }
    answered.body = vec![0; length];
    stream.read_exact(&mut answered.body).ok()?;
    Some((answered, token))
}

pub(super) fn enumerate(client: &impl Member) -> Vec<u8> {
    let host = Host::new(&machine(client), 5985);
    let header =
        Header { resource: Some(resource::SUBSCRIPTION_MANAGER.into()), ..host.header(action::ENUMERATE) };
    host::written(header, Message::Enumerate { optimized: true, max_elements: Some(32_000) }).into_bytes()
}

#[test]
fn a_sealed_body_that_is_wrong_ends_its_connection_and_no_other() {
    let Some((lab, library)) = lab("a_sealed_body_that_is_wrong_ends_its_connection_and_no_other") else {
        return;
    };
    let (setting, client) = (Setting::new(PLAIN, &lab.keytab(&[LOCALHOST])), lab.client());
    client.ticket(LOCALHOST);
    let session = || Session::new(&setting, &library, &client, LOCALHOST);
    let message = enumerate(&client);
    let mut beside = session();
    let is_right = |session: &mut Session| {
        let body = session.sealed(&message);
        let Answered { status, is_last, content_type, body } = session.post(&body).unwrap();
        assert_eq!((status, is_last, &*content_type), (200, false, &*FRAMING.to_string()));
        let parts = FRAMING.read(&body).unwrap();
        let mut data = parts[0].sealed.to_vec();
        let length = session.sealing.open(parts[0].token, &mut data, parts[0].length).unwrap();
        let text = String::from_utf8(data[..length].to_vec()).unwrap();
        assert!(
            matches!(Answer::parse(&text), Ok(Answer { reply: Reply::EnumerateResponse(_), .. })),
            "{text}"
        );
    };
    is_right(&mut beside);
    type Wrong = fn(&mut Session, &[u8], Vec<u8>) -> Vec<u8>;
    let cases: [(&str, Wrong); 7] = [
        ("a bit of the message", |_, _, mut body| {
            let at = body.len() - 100;
            body[at] ^= 1;
            body
        }),
        ("a bit of the signature", |session, message, _| {
            let Sealed { mut token, data } = session.sealing.seal(message).unwrap();
            token[40] ^= 1;
            framed(&token, &data, data.len())
        }),
        ("a length that is less", |session, message, _| {
            let Sealed { token, data } = session.sealing.seal(message).unwrap();
            framed(&token, &data, data.len() - 1)
        }),
        ("no last boundary", |_, _, body| body[..body.len() - 6].to_vec()),
        ("a token that is longer than the body", |_, _, mut body| {
            let at = body.windows(14).position(|line| line == b"octet-stream\r\n").unwrap() + 14;
            body[at..at + 4].copy_from_slice(&200_000_u32.to_le_bytes());
            body
        }),
        ("sent twice", |session, _, body| {
            assert_eq!(session.post(&body).unwrap().status, 200);
            body
        }),
        ("sent late", |session, message, body| {
            // The one before is missing, which is no fault.
            let later = session.sealed(message);
            assert_eq!(session.post(&later).unwrap().status, 200);
            body
        }),
    ];
    for (what, wrong) in cases {
        let mut one = session();
        let body = one.sealed(&message);
        let body = wrong(&mut one, &message, body);
        let answered = one.post(&body).unwrap();
        assert_eq!((answered.status, answered.is_last, answered.body.len()), (400, true, 0), "{what}");
        assert!(one.post(&body).is_none(), "{what}: the context is gone");
        is_right(&mut beside);
    }
    let body = session().sealed(&message);
    assert_eq!(session().post(&body).unwrap().status, 400, "sealed on another connection");
    let mut stream = std::io::BufReader::new(TcpStream::connect(("127.0.0.1", setting.site.port)).unwrap());
    let (answered, _) = exchange(&mut stream, "", &FRAMING.to_string(), &body).unwrap();
    assert_eq!(answered.status, 401, "nobody has signed in");
    is_right(&mut beside);
    let found = findings(&told(setting.site.path()));
    let principal = &client.principal;
    assert!(
        found.iter().any(|what| what.contains(principal) && what.contains("cannot be opened")),
        "{found:?}"
    );
    assert!(!told(setting.site.path()).contains("EnumerationContext"), "no payload in the log");
}

#[test]
fn a_head_of_a_megabyte_is_not_read() {
    let Some((lab, _)) = lab("a_head_of_a_megabyte_is_not_read") else { return };
    let setting = Setting::new(PLAIN, &lab.keytab(&[LOCALHOST]));
    let mut stream = std::io::BufReader::new(TcpStream::connect(("127.0.0.1", setting.site.port)).unwrap());
    let proof = format!("Authorization: Kerberos {}\r\n", "A".repeat(1 << 20));
    // Closed over unread bytes, the answer may be gone with them.
    let answered = exchange(&mut stream, &proof, TYPE, b"");
    assert!(answered.is_none_or(|(answered, _)| answered.status == 431 && answered.is_last));
    let told_of = || setting.told_of("127.0.0.1", "head is too long");
    eventually("it is told", || told_of() == 1);
}

#[test]
fn mutated_tokens_and_bodies_get_an_answer_and_cost_nothing() {
    let Some((lab, library)) = lab("mutated_tokens_and_bodies_get_an_answer_and_cost_nothing") else {
        return;
    };
    let (setting, client) = (Setting::new(PLAIN, &lab.keytab(&[LOCALHOST])), lab.client());
    client.ticket(LOCALHOST);
    let mut dice = Dice::new("mutated over the wire");
    let mut mutate = |bytes: &mut Vec<u8>| {
        for _ in 0..=dice.within(0..3) {
            let at = dice.within(0..bytes.len() as u64) as usize;
            match dice.within(0..4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, dice.within(0..256) as u8),
                _ => bytes[at] ^= 1 << dice.within(0..8),
            }
        }
    };
    let message = enumerate(&client);
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", setting.running.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap()
    };
    let count = crate::support::dice::number("FOREBAY_MUTATED", 1_000);
    let mut before = 0;
    for number in 0..count {
        let mut one = token(&library, &client, LOCALHOST, Mechanism::Kerberos);
        mutate(&mut one);
        let answer = setting.sign_in(["Kerberos", "Negotiate"][number as usize % 2], &one);
        // Some bits mean nothing to anybody.
        let status = answer.get(9..12).unwrap_or_else(|| panic!("{answer}"));
        assert!(["401", "200"].contains(&status), "{answer}");
        let mut session = Session::new(&setting, &library, &client, LOCALHOST);
        let mut body = session.sealed(&message);
        mutate(&mut body);
        let answered = session.post(&body).unwrap();
        let is_answer = [200, 400, 415].contains(&answered.status);
        assert!(is_answer && answered.is_last == (answered.status != 200), "{}", answered.status);
        if number == count / 5 {
            before = memory();
        }
    }
    assert!(memory() < before + 8 * 1024, "{before} KiB became {}", memory());
    Session::new(&setting, &library, &client, LOCALHOST);
}
