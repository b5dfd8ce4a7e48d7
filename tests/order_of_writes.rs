//! What the system saw of a run: nothing is confirmed to a source or a host before the `fdatasync` that
//! covers its frame returned.
//!
//! A source says at level `debug` up to which of its events the basin has answered; that is a
//! `write` in the same trace as the basin's `pwritev` and `fdatasync`. strace holds each thread at
//! the end of a system call until it has noted it, so lines stand in the order of cause and effect.
//! A frame's header counts the events of the log through it, which tells whose frame it is.

use crate::support::host::bookmark;
use crate::support::live_log::LiveLog;
use crate::support::process::{Process, quiet, told};
use crate::wef::{LOGONS, Site, WEC, batch, only};
use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

const CONFIRMATIONS_MIN: usize = 1000;

#[test]
fn nothing_is_confirmed_before_the_sync_that_covers_it_returned() {
    const TEST: &str = "nothing_is_confirmed_before_the_sync_that_covers_it_returned";
    if Command::new("strace").arg("-V").output().is_err() {
        return println!("SKIP {TEST}: strace is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    for number in 0..CONFIRMATIONS_MIN {
        let path = folder.path().join(format!("logs/{number:04}.evtx"));
        let mut log = LiveLog::create(&path, 1, Duration::ZERO).unwrap();
        for event in 0..=number as u64 % 3 {
            log.append(EVENT, 133_000_000_000_000_000 + event).unwrap();
        }
        log.close().unwrap();
    }
    let pipeline = "[log]\nlevel = 'debug'\n[basin.disk]\npath = 'basin'\nsize_max = '64MiB'\n\
                    segment_size = '1MiB'\n[source.dc.evtx]\npath = 'logs'\n\
                    [output.lake]\nsink.file.path = './events.jsonl'\n";
    fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
    let mut strace = Command::new("strace");
    // Headers and the line of a confirmation fit 512 bytes; text of events need not.
    strace.args(["-f", "-qq", "-yy", "-xx", "-s", "512", "-o", "trace", "-e", "signal=none"]);
    strace.args(["-e", "trace=write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync"]);
    strace.args([env!("CARGO_BIN_EXE_forebay"), "run", "--once", "pipeline.toml"]);
    let code = Process::start(quiet(strace, folder.path())).code();
    let trace = fs::read_to_string(folder.path().join("trace")).unwrap();
    if code != Some(0) && !trace.contains("pwritev") {
        return println!("SKIP {TEST}: strace may not trace here: {}", told(folder.path()));
    }
    assert_eq!(code, Some(0), "{}", told(folder.path()));

    let mut seen = Seen::default();
    trace.lines().for_each(|line| seen.line(line));
    println!("{} confirmations of {} frames, {} syncs", seen.confirmed, seen.frames.len(), seen.syncs);
    assert!(seen.confirmed >= CONFIRMATIONS_MIN);
    assert_eq!(seen.frames.len(), seen.confirmed, "every frame is confirmed once");
}

#[test]
fn no_ack_is_written_to_a_host_before_the_sync_that_covers_its_events_returned() {
    const TEST: &str = "no_ack_is_written_to_a_host_before_the_sync_that_covers_its_events_returned";
    if Command::new("strace").arg("-V").output().is_err() {
        return println!("SKIP {TEST}: strace is not installed");
    }
    let site = Site::new(LOGONS, "");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-yy", "-xx", "-s", "512", "-o", "trace", "-e", "signal=none"]);
    strace.args(["-e", "trace=write,writev,sendto,pwrite64,pwritev,pwritev2,fdatasync,fsync"]);
    strace.args([env!("CARGO_BIN_EXE_forebay"), "run", "pipeline.toml"]);
    let running = site.up(quiet(strace, site.path()));
    let mut host = site.host("pc1.example.org");
    let to = only(host.enumerate(WEC));
    for last in (EVENTS_PER_ACK..=EVENTS_PER_ACK * CONFIRMATIONS_MIN as u64).step_by(EVENTS_PER_ACK as usize)
    {
        let events = batch(&host, last + 1 - EVENTS_PER_ACK..=last);
        assert!(host.deliver(&to, &events, &bookmark("Security", last)).unwrap().is_ack());
    }
    running.kill();
    let mut seen = Seen { watches_acks: true, ..Seen::default() };
    let trace = fs::read_to_string(site.path().join("trace")).unwrap();
    // The last line may have been cut.
    let whole = trace.rfind('\n').map_or("", |end| &trace[..end]);
    whole.lines().for_each(|line| seen.line(line));
    println!("{} Acks, {} frames, {} syncs", seen.acks, seen.frames.len(), seen.syncs);
    assert_eq!(seen.acks, CONFIRMATIONS_MIN);
}

const EVENTS_PER_ACK: u64 = 3;

const EVENT: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
                     <Provider Name='Test'/><EventID>1</EventID><Channel>Test</Channel>\
                     <Computer>pc</Computer></System></Event>";

/// The trace so far.
#[derive(Default)]
struct Seen {
    /// Batch frames in the order of the log.
    frames: Vec<Frame>,
    confirmed: usize,
    syncs: usize,
    /// Whether answers to hosts are looked at.
    watches_acks: bool,
    acks: usize,
    /// First parts of calls that another thread's interrupted, by thread.
    unfinished: HashMap<String, Unfinished>,
}

struct Frame {
    file: String,
    end: u64,
    /// Events of the log through this one.
    events: u64,
    synced: bool,
}

struct Unfinished {
    text: String,
    /// Frames that were written before the call began.
    frames: usize,
}

impl Seen {
    fn line(&mut self, line: &str) {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else { return };
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            // What is written to standard error counts from its begin.
            self.confirmation(begun);
            let unfinished = Unfinished { text: begun.into(), frames: self.frames.len() };
            self.unfinished.insert(thread.into(), unfinished);
        } else if let Some((_, rest)) = call.split_once(" resumed>").filter(|_| call.starts_with("<... ")) {
            let begun = self.unfinished.remove(thread).expect("a call is resumed once");
            self.ended(&format!("{}{rest}", begun.text), begun.frames);
        } else {
            self.confirmation(call);
            self.ended(call, self.frames.len());
        }
    }

    /// A call that has returned; `frames` were written before it began.
    fn ended(&mut self, call: &str, frames: usize) {
        let Some((name, rest)) = call.split_once('(') else { return };
        let file =
            rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(file, _)| file);
        let file = String::from_utf8_lossy(&unescape(file)).into_owned();
        if !file.ends_with(".seg") {
            return;
        }
        let result = call.rsplit_once(" = ").map_or("", |(_, result)| result);
        match name {
            "fdatasync" | "fsync" if result == "0" => {
                self.syncs += 1;
                let covered = self.frames[..frames].iter_mut().filter(|frame| frame.file == file);
                covered.for_each(|frame| frame.synced = true);
            }
            "pwritev" | "pwritev2" => self.written(&file, rest, result.parse().unwrap()),
            "pwrite64" | "write" | "writev" => panic!("the basin writes in another way: {call}"),
            _ => {}
        }
    }

    /// Notes the batch frames of a group; each begins with a part of its own, the header.
    fn written(&mut self, file: &str, call: &str, result: u64) {
        const MAGIC: &[u8] = b"FbF\x01";
        const BATCH: u8 = 1;
        let (parts, rest) = call.rsplit_once(']').unwrap();
        let offset: u64 = rest.rsplit_once(", ").unwrap().1.split_once(')').unwrap().0.parse().unwrap();
        let (mut at, mut opened) = (offset, Vec::new());
        for part in parts.split("iov_base=").skip(1) {
            let (text, len) = part.split_once(", iov_len=").unwrap();
            let bytes = unescape(text.trim_matches(['"', '.']));
            if bytes.starts_with(MAGIC) && bytes.len() >= 64 && bytes[60] == BATCH {
                opened.push((at, u64::from_le_bytes(bytes[40..48].try_into().unwrap())));
            }
            at += len.split_once('}').unwrap().0.parse::<u64>().unwrap();
        }
        assert_eq!(at, offset + result, "a group is written whole");
        let ends: Vec<u64> = opened.iter().skip(1).map(|(start, _)| *start).chain([at]).collect();
        for ((_, events), end) in opened.into_iter().zip(ends) {
            self.frames.push(Frame { file: file.into(), end, events, synced: false });
        }
    }

    /// A call that begins.
    fn confirmation(&mut self, call: &str) {
        self.ack(call);
        if !call.starts_with("write(2<") {
            return;
        }
        let text = String::from_utf8_lossy(&unescape(call)).into_owned();
        let Some((_, said)) = text.split_once("the basin keeps all up to here") else { return };
        let events: u64 = said
            .split_once("events=")
            .unwrap()
            .1
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap();
        // One source has its batches confirmed in their order.
        let frame = self.frames.get(self.confirmed).expect("what is confirmed was written");
        assert_eq!(frame.events, events, "confirmation {} is of another frame", self.confirmed);
        assert!(
            frame.synced,
            "confirmation {} came before the sync of {} up to {}",
            self.confirmed, frame.file, frame.end
        );
        self.confirmed += 1;
    }
}

impl Seen {
    /// An answer that begins to be written to a host; after the first, which names subscriptions, each
    /// acknowledges as many events.
    fn ack(&mut self, call: &str) {
        let is_socket =
            call.starts_with("writev(") || call.starts_with("write(") || call.starts_with("sendto(");
        if !self.watches_acks || !is_socket || !call.contains("<TCP:[127.0.0.1:") {
            return;
        }
        let text = String::from_utf8_lossy(&unescape(call)).into_owned();
        let length =
            text.split("content-length: ").nth(1).and_then(|rest| rest.split(char::is_whitespace).next());
        let is_short = length.is_some_and(|length| length.parse::<u64>().is_ok_and(|length| length < 2000));
        if !text.contains("HTTP/1.1 200 OK") || !is_short {
            return;
        }
        self.acks += 1;
        let events = self.acks as u64 * EVENTS_PER_ACK;
        let is_kept = self.frames.iter().any(|frame| frame.synced && frame.events >= events);
        assert!(is_kept, "Ack {} came before the sync of its events", self.acks);
    }
}

/// Bytes of what strace writes as `\x41\x42`; other characters as they are.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match rest.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.extend(next.to_string().bytes());
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    bytes
}
