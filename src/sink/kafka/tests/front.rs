//! In front of librdkafka's own broker, which knows neither sign-in nor topics to be made: takes any token, and
//! answers who wants a topic with what it was told to. Everything else it passes on, with its own port in it, and with
//! the one broker as the one that makes topics.

use super::Cluster;
use std::collections::VecDeque;
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const CREATE_TOPICS: i16 = 19;
/// What it answers itself, up to which version.
const OWN: [(i16, i16); 3] = [(SASL_HANDSHAKE, 1), (SASL_AUTHENTICATE, 0), (CREATE_TOPICS, 4)];

/// It ends with the test's process.
pub(super) struct Front {
    pub(super) address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
pub(super) struct Seen {
    /// What was shown to sign in.
    pub(super) shown: Vec<String>,
    /// Topics that were to be made, and partitions of each.
    pub(super) asked: Vec<(String, i32)>,
    /// What is answered to these, one after the other; that it is made, without any.
    pub(super) codes: VecDeque<i16>,
}

impl Front {
    pub(super) fn before(cluster: &Cluster) -> Self {
        let broker = cluster.bootstrap_servers();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Seen>>::default());
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, broker, seen) = (client.unwrap(), broker.clone(), Arc::clone(&all));
                // Either side may hang up whenever it likes.
                std::thread::spawn(move || serve(client, &broker, port, &seen));
            }
        });
        Self { address: format!("127.0.0.1:{port}"), seen }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

fn serve(mut client: TcpStream, address: &str, port: u16, seen: &Mutex<Seen>) -> Result<()> {
    let mut broker = TcpStream::connect(address)?;
    let theirs: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    loop {
        let request = frame(&mut client)?;
        let mut at = Cursor(&request);
        let (api, _version, number) = (at.i16(), at.i16(), at.i32());
        at.text();
        let mut answer = number.to_be_bytes().to_vec();
        match api {
            SASL_HANDSHAKE => answer.extend([0; 6]),
            SASL_AUTHENTICATE => {
                seen.lock().unwrap().shown.push(String::from_utf8_lossy(at.bytes()).into_owned());
                answer.extend([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
            }
            CREATE_TOPICS => answer.extend(create(&mut at, &mut seen.lock().unwrap())),
            _ => {
                send(&mut broker, &request)?;
                answer = with_port(frame(&mut broker)?, theirs, port);
                match api {
                    // It takes no newer question than it knows, and is asked again.
                    API_VERSIONS if answer[4..6] == [0, 0] => announce(&mut answer),
                    METADATA => with_controller(&mut answer),
                    _ => {}
                }
            }
        }
        send(&mut client, &answer)?;
    }
}

/// No throttling, and of each topic its name, a code and no words.
fn create(request: &mut Cursor<'_>, seen: &mut Seen) -> Vec<u8> {
    let mut answer = vec![0; 4];
    let topics = request.i32();
    answer.extend(topics.to_be_bytes());
    for _ in 0..topics {
        let (name, partitions, _replication) = (request.text(), request.i32(), request.i16());
        assert_eq!((request.i32(), request.i32()), (0, 0), "places and settings of its own");
        answer.extend((name.len() as i16).to_be_bytes());
        answer.extend(name.as_bytes());
        answer.extend(seen.codes.pop_front().unwrap_or(0).to_be_bytes());
        answer.extend((-1_i16).to_be_bytes());
        seen.asked.push((name, partitions));
    }
    answer
}

/// Number, code, count, and of each request its lowest and highest version.
fn announce(answer: &mut Vec<u8>) {
    let count = i32::from_be_bytes(answer[6..10].try_into().unwrap()) + OWN.len() as i32;
    let own = OWN.iter().flat_map(|(api, most)| [*api, 0, *most].map(i16::to_be_bytes).concat());
    answer.splice(6..10, count.to_be_bytes().into_iter().chain(own));
}

/// Brokers say where they are, wherever they are asked.
fn with_port(mut answer: Vec<u8>, from: u16, to: u16) -> Vec<u8> {
    let there = [&b"127.0.0.1"[..], &i32::from(from).to_be_bytes()].concat();
    for at in 0..answer.len().saturating_sub(there.len() - 1) {
        if answer[at..].starts_with(&there) {
            answer[at + there.len() - 4..at + there.len()].copy_from_slice(&i32::from(to).to_be_bytes());
        }
    }
    answer
}

/// Which broker it is stands behind the name of the cluster.
fn with_controller(answer: &mut [u8]) {
    const NAME: &[u8] = b"mockCluster";
    let Some(name) = answer.windows(NAME.len()).position(|text| text == NAME) else { return };
    let length = answer[name..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    answer[name + length..][..4].copy_from_slice(&1_i32.to_be_bytes());
}

fn frame(from: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn send(to: &mut TcpStream, frame: &[u8]) -> Result<()> {
    to.write_all(&[&(frame.len() as u32).to_be_bytes(), frame].concat())
}

/// Reads a request on.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let length = self.i16() as usize;
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.i32() as usize;
        self.take(length)
    }
}
