//! A client that nobody here wrote.

use super::*;
use crate::support::lab::{AES256, LOCALHOST, find};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forebay::kerberos::krb_error::code;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// The host in the name of a service.
fn host(service: &str) -> &str {
    service.split(['/', '@']).nth(1).unwrap()
}

/// One request to `service`, which `answer` answers; what curl made of it.
fn request(mut curl: Command, service: &str, answer: impl FnOnce(&[u8]) -> String + Send) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = host(service);
    curl.args(["-s", "-S", "-i", "--negotiate", "-u", ":", "--max-time", "30", "--resolve"])
        .args([format!("{host}:{port}:127.0.0.1"), format!("http://{host}:{port}/wsman")]);
    thread::scope(|scope| {
        let server = scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let answer = answer(&offered(&mut stream));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let output = curl.output().unwrap();
        // A client that never came leaves the server waiting.
        drop(TcpStream::connect(("127.0.0.1", port)));
        server.join().unwrap();
        output
    })
}

/// The token in the head of a request; none if there is none.
fn offered(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece).unwrap() {
            0 => return Vec::new(),
            length => head.extend_from_slice(&piece[..length]),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let token = head.lines().find_map(|line| line.strip_prefix("Authorization: Negotiate "));
    token.map_or_else(Vec::new, |token| STANDARD.decode(token).unwrap())
}

fn answer(status: &str, token: &[u8], body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nWWW-Authenticate: Negotiate {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        STANDARD.encode(token),
        body.len()
    )
}

#[test]
fn curl_is_who_its_ticket_says() {
    const TEST: &str = "curl_is_who_its_ticket_says";
    let Some((lab, library)) = lab(TEST) else { return };
    if find("curl").is_none() {
        return println!("SKIP {TEST}: curl is not installed");
    }
    let client = lab.client();
    let acceptor = acceptor(&library, &lab.keytab(&[LOCALHOST]));
    let output = request(client.command("curl"), LOCALHOST, |token| {
        let step = acceptor.context().step(token, None).unwrap();
        answer("200 OK", &step.token, &step.established.unwrap().peer)
    });
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with("HTTP/1.1 200 OK") && told.ends_with(&client.principal), "{told}");
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn curl_has_no_token_for_a_service_that_the_centre_does_not_know() {
    const TEST: &str = "curl_has_no_token_for_a_service_that_the_centre_does_not_know";
    let Some((lab, _)) = lab(TEST) else { return };
    if find("curl").is_none() {
        return println!("SKIP {TEST}: curl is not installed");
    }
    request(lab.client().command("curl"), "HTTP/stranger.forebay.test", |token| {
        assert!(token.is_empty());
        answer("401 Unauthorized", b"", "")
    });
}

#[test]
fn a_clock_that_is_wrong_is_told_ours() {
    const TEST: &str = "a_clock_that_is_wrong_is_told_ours";
    let Some((lab, library)) = lab(TEST) else { return };
    if let Some(absent) = ["curl", "faketime"].into_iter().find(|program| find(program).is_none()) {
        return println!("SKIP {TEST}: {absent} is not installed");
    }
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    client.ticket(&service);
    let mut curl = client.command("faketime");
    curl.args(["-f", "+10m", "curl"]);
    request(curl, &service, |token| {
        let failure = acceptor.context().step(token, None).unwrap_err();
        assert!(failure.to_string().contains("Clock skew too great"), "{failure}");
        let error = krb_error(&failure);
        assert_eq!(error.code, code::SKEW);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(error.server_time.0.cast_unsigned() / 1_000_000_000) < 60, "{error:?}");
        answer("401 Unauthorized", &failure.token, "")
    });
}
