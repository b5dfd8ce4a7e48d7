//! Receivers of the output `socket` in the crash matrix: they write before they read on, so what a kill takes along is
//! what they had not read. Of Unix sockets that is ours until they read it; of TCP it is theirs, and counted here.

use super::scene::Receiver;
use crate::support::backends::{Keeper, Place, Socket};
use crate::support::link::Link;
use crate::support::process::free_port;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) struct Kept<'l> {
    link: &'l Link,
    keeper: Keeper,
    /// Part of the pipeline.
    sink: String,
    /// Where it is, over TCP.
    port: Option<u16>,
    /// Bytes that were with it and unread when it was killed, of so many connections.
    unread: (u64, u64),
}

impl<'l> Kept<'l> {
    pub(super) fn stream(folder: &Path, link: &'l Link) -> Self {
        let path = folder.join("kept.sock");
        let sink = format!("path = '{}'", path.display());
        Self::start(folder, link, Place::HERE, Socket::Stream(path), sink)
    }

    pub(super) fn datagrams(folder: &Path, link: &'l Link) -> Self {
        let path = folder.join("kept.sock");
        let sink = format!("path = '{}', mode = 'datagram', framing = 'line'", path.display());
        Self::start(folder, link, Place::HERE, Socket::Datagram(path), sink)
    }

    pub(super) fn tcp(folder: &Path, link: &'l Link) -> Self {
        let (place, port) = (link.place(), free_port());
        let sink = format!("address = '{}:{port}'", place.address);
        Self { port: Some(port), ..Self::start(folder, link, place, Socket::Tcp(port), sink) }
    }

    fn start(folder: &Path, link: &'l Link, place: Place, at: Socket, sink: String) -> Self {
        Self { link, keeper: Keeper::start(folder, place, at), sink, port: None, unread: (0, 0) }
    }
}

impl Receiver for Kept<'_> {
    fn output(&self) -> String {
        let sink = &self.sink;
        format!(
            "format.json = {{}}\nsink.socket = {{ {sink}, write_timeout = '1s', connect_timeout = '1s' }}\n"
        )
    }

    fn kill(&mut self) {
        let Some(port) = self.port else { return self.keeper.kill() };
        // Its kernel goes on taking, and acknowledging, what it does not read. What is there when nothing more can
        // come is lost with it.
        self.keeper.freeze();
        let begun = Instant::now();
        while begun.elapsed() < FILLING && self.link.there(|| unread(port)).0 < ENOUGH_BYTES {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.link.cut();
        let (bytes, connections) = self.link.there(|| unread(port));
        self.unread = (self.unread.0 + bytes, self.unread.1 + connections);
        self.keeper.kill();
        self.link.mend();
    }

    fn restart(&mut self) {
        self.keeper.restart();
    }

    fn freeze(&self) {
        self.keeper.freeze();
    }

    fn thaw(&self) {
        self.keeper.thaw();
    }

    fn dump(&self, to: &Path) {
        fs::write(to, self.keeper.lines()).unwrap();
    }

    fn lost_max(&self) -> u64 {
        let lines = self.keeper.lines();
        let shortest = lines.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).min().unwrap();
        // Of each connection one can be half read.
        self.unread.0 / shortest as u64 + self.unread.1
    }
}

/// So much of what is unread is more than one batch, so most of it is confirmed.
const ENOUGH_BYTES: u64 = 256 * 1024;
/// Longest that it is waited for.
const FILLING: Duration = Duration::from_secs(5);

/// Bytes that wait to be read at a port of this thread's network, and of how many connections, as proc(5) has it.
fn unread(port: u16) -> (u64, u64) {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let mut found = (0, 0);
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // 0A listens: what it has waiting are connections.
        if fields.len() > 4 && fields[1].ends_with(&local) && fields[3] != "0A" {
            let bytes = fields[4].split_once(':').map(|(_, bytes)| u64::from_str_radix(bytes, 16).unwrap());
            found = (found.0 + bytes.unwrap(), found.1 + 1);
        }
    }
    found
}
