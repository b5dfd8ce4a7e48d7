//! Messages sealed by WinRM clients that nobody here wrote, and answers that they open.

use super::*;
use crate::support::lab::{AES128, AES256, AES256_SHA2, RC4};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forebay::auth::gss::{LibrarySeal, Sealed};
use forebay::auth::handshake::Seal;
use forebay::kerberos::seal::Sealer;
use forebay::wsman::multipart::{Framing, Part};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

/// Either way to seal.
pub(super) enum Sealing {
    Ours(Box<Sealer>),
    Library(LibrarySeal),
}

impl Sealing {
    pub(super) fn of(seal: Seal) -> Self {
        match seal {
            Seal::Keys(keys) => Self::Ours(Box::new(keys.sealer().unwrap())),
            Seal::Library(seal) => Self::Library(seal),
            #[cfg(feature = "sspi")]
            Seal::Ntlm(_) => panic!("NTLM is not accepted"),
        }
    }

    /// The message in a part, which is as long as the part says, with its padding or without.
    #[track_caller]
    pub(super) fn open(&mut self, part: &Part<'_>) -> Vec<u8> {
        let (mut token, mut data) = (part.token.to_vec(), part.sealed.to_vec());
        let (bytes, padding) = match self {
            Self::Ours(sealer) => (sealer.unseal(&token, &mut data).unwrap(), 0),
            Self::Library(seal) => {
                let plain = seal.unwrap(&mut token, &mut data).unwrap();
                (plain.bytes, plain.padding)
            }
        };
        assert!([bytes, bytes + padding].contains(&part.length), "{} and {bytes} + {padding}", part.length);
        data.truncate(bytes);
        data
    }

    pub(super) fn seal(&mut self, message: &[u8]) -> Sealed {
        match self {
            Self::Ours(sealer) => {
                let mut confounder = [0; 16];
                getrandom::fill(&mut confounder).unwrap();
                let mut data = message.to_vec();
                let signature = sealer.seal(confounder, &mut data);
                Sealed { token: signature.to_vec(), data }
            }
            Self::Library(seal) => seal.wrap(message).unwrap(),
        }
    }
}

/// What a request says, as far as it matters.
pub(super) struct Request {
    /// Its first line, and its headers.
    pub(super) head: String,
    pub(super) scheme: String,
    pub(super) token: Vec<u8>,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

pub(super) fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut token, mut scheme, mut content_type, mut length) = (Vec::new(), String::new(), String::new(), 0);
    let mut head = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        head += &line;
        let (name, value) = match line.trim_end() {
            "" if line.is_empty() => return None,
            "" => break,
            line => line.split_once(": ").unwrap_or((line, "")),
        };
        match name.to_ascii_lowercase().as_str() {
            "content-type" => content_type = value.into(),
            "content-length" => length = value.parse().unwrap(),
            "authorization" => {
                let (kind, encoded) = value.split_once(' ').unwrap();
                (scheme, token) = (kind.into(), STANDARD.decode(encoded).unwrap());
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some(Request { head, scheme, token, content_type, body })
}

/// Answers everything on one connection: messages with what they say, backwards.
fn serve(stream: TcpStream, acceptor: &Arc<Acceptor>, client: &str) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    let (mut context, mut sealing) = (acceptor.context(), None);
    while let Some(request) = read(&mut reader) {
        let (mut status, mut headers, mut body) = ("200 OK", String::new(), Vec::new());
        if !request.token.is_empty() {
            let step = context.step(&request.token, None).unwrap();
            let established = step.established.unwrap();
            assert_eq!(&*established.peer, client);
            sealing = Some(Sealing::of(established.seal));
            headers = format!("WWW-Authenticate: {} {}\r\n", request.scheme, STANDARD.encode(&step.token));
        }
        match &mut sealing {
            None => {
                status = "401 Unauthorized";
                headers = "WWW-Authenticate: Kerberos\r\nWWW-Authenticate: Negotiate\r\n".into();
            }
            Some(_) if request.body.is_empty() => {}
            Some(sealing) => {
                let framing = Framing::parse(&request.content_type).unwrap();
                let mut message = sealing.open(&framing.read(&request.body).unwrap()[0]);
                message.reverse();
                let Sealed { token, data } = sealing.seal(&message);
                let content_type = "application/soap+xml;charset=UTF-8";
                let part = Part { content_type, length: data.len(), token: &token, sealed: &data };
                framing.write(&[part], true, &mut body);
                headers += &format!("Content-Type: {framing}\r\n");
            }
        }
        write!(writer, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).unwrap();
        writer.write_all(&body).unwrap();
    }
}

/// What the client gets for two messages, all on connections of its own.
#[track_caller]
fn check(
    python: &Path,
    client: &Client,
    name: &str,
    service: &str,
    acceptor: &Arc<Acceptor>,
    message: &[u8],
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = service.split(['/', '@']).nth(1).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kerberos/clients.py");
    let mut command = client.command(python.to_str().unwrap());
    command.args([script, name, &port.to_string(), host]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let told = thread::scope(|scope| {
        let mut child = command.spawn().unwrap();
        let server = scope.spawn(|| {
            while let Ok((stream, _)) = listener.accept() {
                if stream.peek(&mut [0]).is_ok_and(|length| length == 0) {
                    break;
                }
                serve(stream, acceptor, &client.principal);
            }
        });
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        // A connection that says nothing ends the server.
        drop(TcpStream::connect(("127.0.0.1", port)));
        server.join().unwrap();
        output
    });
    let errors = String::from_utf8_lossy(&told.stderr);
    let mut expected = message.to_vec();
    expected.reverse();
    // pyspnego leaves RC4's byte of padding behind what it opened.
    let padded = [&expected[..], &[1]].concat();
    let is_right = told.stdout == expected.repeat(2) || told.stdout == padded.repeat(2);
    assert!(is_right, "{name}: {} bytes, {errors}", told.stdout.len());
}

#[test]
fn clients_of_winrm_seal_and_open() {
    const TEST: &str = "clients_of_winrm_seal_and_open";
    let Some((lab, library)) = lab(TEST) else { return };
    let Some(python) = python(TEST) else { return };
    let service = lab.service(&[AES256, AES128, AES256_SHA2, RC4]);
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    let message: Vec<u8> = (0..20_000_u32).map(|number| b' ' + (number * number % 90) as u8).collect();
    for etype in [Etype::AES256_SHA1, Etype::AES128_SHA1, Etype::AES256_SHA384, Etype::RC4] {
        let client = lab.client_with(&[etype]);
        // pywinrm does not ask the library to look for replays, which with RC4 nobody else does.
        let last = if etype.is_aes() { 3 } else { 2 };
        for name in &["pypsrp-negotiate", "pypsrp-kerberos", "pywinrm"][..last] {
            check(&python, &client, name, &service, &acceptor, &message);
        }
    }
}
