//! Whatever a peer sends on a connection, it gets whole answers of statuses that hosts know, and only what
//! the basin keeps is acknowledged; a PROXY header is read no further than it goes.
//!
//! The first byte says what the rest is: `B` the body of a delivery, `S` one that says it is compressed,
//! anything else the bytes of the connection themselves.
#![no_main]

use forebay::basin::{Basin, BasinConfig, Budget, MemoryConfig};
use forebay::source::wef::{Config, Wef, proxy};
use forebay::units::ByteSize;
use libfuzzer_sys::fuzz_target;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

const SUBSCRIPTION: &str = "01010101-0101-0101-0101-010101010101";
/// `win10:secret`
const HEAD: &str = "Host: c\r\nAuthorization: Basic d2luMTA6c2VjcmV0\r\nContent-Type: application/soap+xml;charset=UTF-16\r\n";
const STATUSES: &[u16] = &[200, 204, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 417, 429, 431, 500, 501, 503, 505];

struct Collector {
    wef: Wef,
    basin: Basin,
    runtime: Runtime,
}

fuzz_target!(|data: &[u8]| {
    for end in 0..data.len().min(proxy::HEADER_BYTES_MAX) {
        match proxy::step(&data[..end]) {
            proxy::Step::Read(more) => assert!(more > 0, "a reader gets on"),
            proxy::Step::Done(_) => assert!(end > 0),
            proxy::Step::Wrong(why) => assert!(!why.is_empty()),
        }
    }
    let collector = collector();
    let bytes = match data.split_first() {
        Some((b'B', body)) => delivery(body, ""),
        Some((b'S', body)) => delivery(body, "Content-Encoding: SLDC\r\n"),
        _ => data.to_vec(),
    };
    let before = collector.wef.report().counts().events;
    let answers = collector.runtime.block_on(collector.answers(&bytes));
    check(&answers);
    let kept = collector.wef.report().counts().events - before;
    assert!(kept as usize <= bytes.len(), "no event out of nothing");
});

fn delivery(body: &[u8], more: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST /wsman/subscriptions/{SUBSCRIPTION}/1 HTTP/1.1\r\n{HEAD}{more}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

impl Collector {
    /// All that comes back until the connection ends.
    async fn answers(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut peer, stream) = duplex(64 << 10);
        let address = [192, 0, 2, 7].into();
        let served = self.wef.converse(self.basin.clone(), address, stream);
        let asked = async {
            let (mut from, mut to) = tokio::io::split(&mut peer);
            let write = async {
                // It may have hung up by then.
                let _ = to.write_all(bytes).await;
                let _ = to.shutdown().await;
            };
            let mut answers = Vec::new();
            let (_, read) = tokio::join!(write, from.read_to_end(&mut answers));
            read.expect("a stream in memory");
            answers
        };
        let (served, answers) = tokio::join!(served, asked);
        served.expect("a right configuration");
        answers
    }
}

/// Whole answers one after the other.
fn check(mut rest: &[u8]) {
    while !rest.is_empty() {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&rest[..end]).expect("text");
        let mut lines = head.split("\r\n");
        let line = lines.next().expect("a status line");
        let status: u16 = line.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        assert!(STATUSES.contains(&status), "{line}");
        let lengths = lines.filter_map(|line| line.split_once(": "));
        let length = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map(|(_, text)| text.parse::<usize>().expect("a number")).sum();
        rest = rest[end + 4..].split_at_checked(length).expect("a whole body").1;
    }
}

fn collector() -> &'static Collector {
    static COLLECTOR: OnceLock<Collector> = OnceLock::new();
    COLLECTOR.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("forebay-fuzz-passwords-{}", std::process::id()));
        let argon = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).expect("the least there is"));
        let hash: argon2::PasswordHash =
            argon2::PasswordHasher::hash_password_with_salt(&argon, b"secret", b"saltsalt").expect("a hash");
        std::fs::write(&path, format!("win10:{hash}\n")).expect("the temporary folder is writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a file of ours");
        let config = serde_json::json!({
            "listen": "127.0.0.1:5985",
            "insecure_plain_http": true,
            "auth": { "basic": { "passwords": path } },
            "subscription": { "all": { "id": SUBSCRIPTION, "query": { "channels": { "Security": "*" } } } },
        });
        let config: Config = serde_json::from_value(config).expect("a right configuration");
        let memory = BasinConfig { disk: None, memory: Some(MemoryConfig::default()) };
        let (basin, _) = Basin::open(&memory, &[], &Budget::new(ByteSize::mib(64))).expect("a basin in memory");
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        Collector { wef: config.open("fuzz").expect("a right configuration"), basin, runtime }
    })
}
