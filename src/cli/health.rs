//! `forebay health`: whether a forebay here lives, or takes events in. For the health checks of containers, whose
//! image has nothing else that could ask.
//!
//! Must not know: what makes it so; `telemetry/http.rs` answers.

use super::{Exit, Failure};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where it serves its probes: `listen` of `[http]`
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9750")]
    address: SocketAddr,
    /// Whether events are taken in, not only whether the process lives
    #[arg(long)]
    ready: bool,
}

/// Longer than a process that lives takes, and shorter than whoever asks waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer is a line.
const ANSWER_BYTES_MAX: u64 = 4096;

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let (address, path) = (args.address, if args.ready { "/readyz" } else { "/livez" });
    let answer = ask(address, path).map_err(|error| {
        let why = "does forebay run, with `[http]` in its pipeline?";
        Failure::new(Exit::Unavailable, format!("nobody answers on {address}: {error}; {why}"))
    })?;
    match answer {
        Answer { code: 200, line } => super::print(format!("{line}\n").as_bytes()),
        Answer { code, line } => {
            Err(Failure::new(Exit::Unavailable, format!("{address}{path} answers {code}: {line}")))
        }
    }
}

struct Answer {
    code: u16,
    /// The first line of the body; whoever answers need not be forebay, so nothing in it changes a terminal.
    line: String,
}

fn ask(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut said = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut said)?;
    parse(&String::from_utf8_lossy(&said))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
}

fn parse(said: &str) -> Option<Answer> {
    let (head, body) = said.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    let code = words.next().filter(|version| version.starts_with("HTTP/1.")).and_then(|_| words.next())?;
    let line = body.lines().next().unwrap_or_default().escape_debug().to_string();
    Some(Answer { code: code.parse().ok()?, line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What comes of it where somebody answers so, and what was asked.
    fn check(ready: bool, said: &'static str) -> (Result<(), Failure>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 200];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(said.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let done = run(Args { address, ready });
        (done, answering.join().unwrap())
    }

    #[test]
    fn who_answers_200_lives_and_who_answers_503_is_not_ready() {
        let (lives, asked) = check(false, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nalive\n");
        assert!(lives.is_ok());
        assert!(asked.starts_with("GET /livez HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked}");
        let (ready, asked) = check(true, "HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n");
        let failure = ready.unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable);
        assert!(failure.message.ends_with("/readyz answers 503: draining"), "{}", failure.message);
        assert!(asked.starts_with("GET /readyz "), "{asked}");
    }

    #[test]
    fn silence_and_what_is_no_http_are_not_health() {
        for said in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200", "HTTP/1.1 fine\r\n\r\n"] {
            let (done, _) = check(false, said);
            assert_eq!(done.unwrap_err().exit, Exit::Unavailable, "{said}");
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failure = run(Args { address: free, ready: false }).unwrap_err();
        assert!(failure.message.starts_with("nobody answers on 127.0.0.1:"), "{}", failure.message);
        assert_eq!(parse("HTTP/1.0 404 x\r\n\r\n\x1b[2Jno").unwrap().line, "\\u{1b}[2Jno");
    }
}
