//! Whatever stands in a basin's files, opening, listing, verifying and reading it ends, and takes
//! memory bounded by the files; what is read is in the order of the log, and a second start goes on
//! behind what was confirmed.
//!
//! The input is a list of things to write. Most of them are right by construction (checksums, salt,
//! lengths), so that what is behind the checksums is reached; raw bytes and flips are among them.
#![no_main]

use forebay::basin::{
    Basin, BasinConfig, Budget, DiskConfig, Full, OutputSpec, Position, Start, inspect, verify,
};
use forebay::units::ByteSize;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::{Path, PathBuf};

const SALT: u64 = 0x5A17;
const SEGMENT_BYTES: usize = 64 << 10;

fuzz_target!(|data: &[u8]| {
    let root = root();
    let _ = fs::remove_dir_all(&root);
    for folder in ["segments", "cursors"] {
        fs::create_dir_all(root.join(folder)).expect("the temporary folder is writable");
    }
    build(&root, Input(data));
    let _ = (inspect(&root), verify(&root));
    let Some(first) = open_and_read(&root) else { return };
    let again = open_and_read(&root).expect("what opened once opens again");
    assert!(again.is_empty() || first.last() < again.first(), "what was confirmed is not read again");
});

/// In memory where that can be had: a start syncs a dozen times.
fn root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
    folder.join(format!("forebay-fuzz-{}", std::process::id()))
}

fn open_and_read(root: &Path) -> Option<Vec<Position>> {
    let disk =
        DiskConfig { segment_size: ByteSize::kib(256), size_max: ByteSize::mib(1), ..DiskConfig::new(root) };
    let config = BasinConfig { disk: Some(disk), memory: None };
    let output = OutputSpec { name: "a".into(), start: Start::Oldest, full: Full::Wait };
    let (basin, _) = Basin::open(&config, &[output], &Budget::new(ByteSize::mib(1))).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    Some(runtime.block_on(async {
        let mut reader = basin.reader("a").expect("it was named");
        let mut read: Vec<Position> = Vec::new();
        basin.finish();
        while let Some(delivery) = reader.next().await {
            assert!(read.last().is_none_or(|last| *last < delivery.position), "in the order of the log");
            for index in 0..delivery.batch.events.len() {
                let _ = delivery.batch.event(index);
            }
            read.push(delivery.position);
            reader.cursor().confirm(delivery.position, Default::default());
        }
        basin.close().await;
        read
    }))
}

/// Writes what the input lists.
fn build(root: &Path, mut input: Input<'_>) {
    let mut segment = Segment::new(1, 1);
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).expect("it is writable");
    while let Some(what) = input.byte() {
        match what % 12 {
            0..4 => segment.batch(&mut input),
            4 => segment.link(&mut input),
            5 => segment.mark(&mut input),
            6 => segment.bytes.extend_from_slice(input.some()),
            7 => segment.flip(&mut input),
            8 => {
                write(&segment.name(), &segment.bytes);
                let (number, epoch) = (segment.number, segment.epoch);
                segment =
                    Segment::new(number + u64::from(input.small() % 3), epoch + u32::from(input.small() % 3));
                if input.small() % 2 == 0 {
                    // As it should be: the link to the segment before.
                    segment.follow(number, root);
                }
            }
            9 => {
                let path = ["cursors/a", "cursors/b", "cursors/a%2F"][usize::from(input.small()) % 3];
                write(path, &slots(&mut input, *b"FBYCURSR", 64 << 10));
            }
            10 => {
                let path = ["state.0", "state.1"][usize::from(input.small()) % 2];
                let snapshot = state(&mut input);
                write(path, &seal(*b"FBYSTATE", u64::from(input.small()), &snapshot));
            }
            _ => {
                let mut payload = vec![7; 16];
                payload.extend_from_slice(&u32::from(input.small()).to_le_bytes());
                write("basin", &seal(*b"FBYBASIN", 1, &payload));
            }
        }
        if segment.bytes.len() > SEGMENT_BYTES {
            break;
        }
    }
    write(&segment.name(), &segment.bytes);
}

struct Segment {
    number: u64,
    epoch: u32,
    sequence: u64,
    events: u64,
    bytes: Vec<u8>,
}

impl Segment {
    fn new(number: u64, epoch: u32) -> Self {
        let mut header = b"FBYSEGMT".to_vec();
        header.extend_from_slice(&1_u32.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&epoch.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&number.to_le_bytes());
        header.extend_from_slice(&[7; 16]);
        header.extend_from_slice(&SALT.to_le_bytes());
        let crc = crc32c::crc32c(&header[16..]);
        header[12..16].copy_from_slice(&crc.to_le_bytes());
        let mut bytes = vec![0; 8192];
        bytes[..56].copy_from_slice(&header);
        bytes[4096..4152].copy_from_slice(&header);
        Self { number, epoch, sequence: 0, events: 0, bytes }
    }

    fn name(&self) -> String {
        format!("segments/{:012}.seg", self.number)
    }

    fn batch(&mut self, input: &mut Input<'_>) {
        self.sequence += u64::from(input.small() % 3);
        let events = u32::from(input.small() % 4);
        self.events += u64::from(events);
        let mut meta = Vec::new();
        let text = input.some();
        if input.small() % 4 == 0 {
            // Whatever passes its checksum is decoded.
            meta.extend_from_slice(input.some());
        } else {
            meta.push(input.small() % 2);
            if meta[0] == 1 {
                put(&mut meta, &[b'k', input.small() % 4]);
                put(&mut meta, input.some());
            }
            put(&mut meta, b"source");
            meta.extend_from_slice(&[0, [0, 4, 6, 9][usize::from(input.small()) % 4]]);
            let address = usize::from(meta.last().map_or(0, |kind| match kind {
                4 => 4_u8,
                6 => 16,
                _ => 0,
            }));
            meta.resize(meta.len() + address + 2 + 8, 0);
            meta.extend_from_slice(&events.to_le_bytes());
            for _ in 0..events * 2 {
                meta.extend_from_slice(&u32::from(input.small()).to_le_bytes());
            }
            meta.extend_from_slice(&u32::from(input.small() % 2).to_le_bytes());
            meta.extend_from_slice(&[0, 0, 0, 0, input.small() % 5]);
            put(&mut meta, input.some());
        }
        let meta_bytes = meta.len() as u32;
        meta.extend_from_slice(text);
        self.frame(1, meta_bytes, &meta, input);
    }

    fn link(&mut self, input: &mut Input<'_>) {
        let mut link = u64::from(input.small() % 4).to_le_bytes().to_vec();
        link.extend_from_slice(&(8192 + u64::from(input.small()) * 8).to_le_bytes());
        link.extend_from_slice(&u64::from(input.small()).to_le_bytes());
        link.extend_from_slice(&[input.small() % 4, 0, 0, 0, 0, 0, 0, 0]);
        self.frame(2, 0, &link, input);
    }

    /// Begins with a link that fits the file written before.
    fn follow(&mut self, previous: u64, root: &Path) {
        let path = root.join(format!("segments/{previous:012}.seg"));
        let end = fs::metadata(path).map_or(8192, |file| file.len());
        let mut link = previous.to_le_bytes().to_vec();
        link.extend_from_slice(&end.to_le_bytes());
        link.extend_from_slice(&9_u64.to_le_bytes());
        link.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        self.frame(2, 0, &link, &mut Input(&[]));
    }

    fn mark(&mut self, input: &mut Input<'_>) {
        self.frame(3, 0, &[], input);
    }

    fn frame(&mut self, kind: u8, meta_bytes: u32, payload: &[u8], input: &mut Input<'_>) {
        let mark = match input.small() {
            0..200 => self.bytes.len() as u64,
            other => u64::from(other) << (other % 16),
        };
        let sequence = if kind == 1 { self.sequence } else { 0 };
        let mut header = [0; 64];
        header[..4].copy_from_slice(b"FbF\x01");
        header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[12..16].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        header[16..24].copy_from_slice(&sequence.to_le_bytes());
        header[24..32].copy_from_slice(&mark.to_le_bytes());
        header[40..48].copy_from_slice(&self.events.to_le_bytes());
        header[48..56].copy_from_slice(&(self.bytes.len() as u64).to_le_bytes());
        header[56..60].copy_from_slice(&meta_bytes.to_le_bytes());
        header[60] = kind;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&SALT.to_le_bytes()), &header[8..]);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    fn flip(&mut self, input: &mut Input<'_>) {
        let back = usize::from(input.small()) * usize::from(input.small() % 16 + 1);
        if let Some(at) = self.bytes.len().checked_sub(back + 1) {
            self.bytes[at] ^= 1 << (input.small() % 8);
        }
    }
}

fn slots(input: &mut Input<'_>, magic: [u8; 8], slot_bytes: usize) -> Vec<u8> {
    let mut file = vec![0; slot_bytes * 2];
    for slot in 0..2 {
        let mut record = u64::from(input.small()).to_le_bytes().to_vec();
        record.extend_from_slice(&[input.small() % 4, 0, 0, 0]);
        record.extend_from_slice(&[0; 16]);
        record.push(input.small() % 3);
        put(&mut record, [&b"a"[..], b"b", b"a/"][usize::from(input.small()) % 3]);
        put(&mut record, input.some());
        let sealed = seal(magic, u64::from(input.small() % 4), &record);
        file[slot * slot_bytes..][..sealed.len()].copy_from_slice(&sealed);
    }
    file
}

fn state(input: &mut Input<'_>) -> Vec<u8> {
    let mut state = u64::from(input.small()).to_le_bytes().to_vec();
    state.extend_from_slice(&[input.small() % 4, 0, 0, 0]);
    state.extend_from_slice(&[0; 16]);
    let count = u64::from(input.small() % 4);
    state.extend_from_slice(&count.to_le_bytes());
    for _ in 0..count {
        put(&mut state, &[b'k', input.small() % 4]);
        put(&mut state, input.some());
    }
    state
}

fn seal(magic: [u8; 8], generation: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    let crc = crc32c::crc32c(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// What is left of the input; at its end everything is nought.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn small(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }

    fn some(&mut self) -> &'a [u8] {
        let count = usize::from(self.small()).min(self.0.len());
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        head
    }
}
