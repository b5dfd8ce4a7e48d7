//! Small records that are replaced in place and survive a torn write: sealed slots.
//!
//! ```text
//! slot = magic 8 │ format version u32 │ crc u32 │ generation u64 │ payload bytes u32 │ 0 u32 │ payload
//! file = slot │ slot          the valid one with the higher generation counts
//! ```
//!
//! The file gets its name when its first slot is durable. From then on a write goes to the slot that
//! is not the newest durable one, so a crash leaves at least that: a file without a valid slot was
//! damaged by something else. It is allocated once: a full disk cannot stop a write. After a failed
//! sync the next write uses a new descriptor.

use super::codec::Take;
use super::file::{self, Disk, File};
use crate::finding::Finding;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A file of two slots.
pub(super) struct Slots {
    path: String,
    magic: [u8; 8],
    file: Arc<dyn File>,
    slot_bytes: u64,
    generation: u64,
    /// Which slot the next write goes to.
    next: u64,
    /// The other slot holds nothing usable.
    void: bool,
    /// Why the disk did not give out the other slot.
    refused: Option<String>,
    /// A sync failed: this descriptor may have dropped pages.
    stale: bool,
}

/// A prepared write of one slot, to be run without holding any lock.
pub(super) struct SlotWrite {
    file: Option<Arc<dyn File>>,
    path: String,
    offset: u64,
    bytes: Vec<u8>,
}

/// Why a slot holds nothing usable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Empty,
    Damaged,
    /// Written by a newer program.
    Newer(u32),
}

impl Slots {
    /// Makes the file with a first payload, in place of an older one; durable when this returns.
    pub(super) fn create(
        disk: &dyn Disk,
        path: &str,
        magic: [u8; 8],
        slot_bytes: u64,
        payload: &[u8],
    ) -> io::Result<Self> {
        let first = seal(magic, 1, payload);
        assert!(first.len() as u64 <= slot_bytes, "a payload fits its slot");
        let file = file::create_whole(disk, path, slot_bytes * 2, &first)?;
        Ok(Self::at(path, magic, file, slot_bytes, 1, 1))
    }

    /// Opens the file. Where no slot is usable, the flaw says why; it can still be written. One that
    /// the disk refuses to read is done without when the other is whole.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &str,
        magic: [u8; 8],
        slot_bytes: u64,
    ) -> io::Result<(Self, Result<Vec<u8>, Flaw>)> {
        let file = disk.open(path)?;
        let mut best: Result<(u64, u64, Vec<u8>), Flaw> = Err(Flaw::Empty);
        let (mut void, mut refused) = (false, None);
        for slot in 0..2 {
            let mut bytes = vec![0; slot_bytes as usize];
            let count = match file.read_at(slot * slot_bytes, &mut bytes) {
                Ok(count) => count,
                Err(error) => {
                    refused = Some(error);
                    continue;
                }
            };
            match unseal(magic, &bytes[..count]) {
                Ok((generation, payload)) => {
                    if !matches!(&best, Ok((other, ..)) if *other > generation) {
                        best = Ok((generation, slot, payload.to_vec()));
                    }
                }
                Err(Flaw::Newer(version)) => {
                    return Ok((Self::at(path, magic, file, slot_bytes, 0, 0), Err(Flaw::Newer(version))));
                }
                Err(Flaw::Damaged) => {
                    void = true;
                    best = best.or(Err(Flaw::Damaged));
                }
                Err(Flaw::Empty) => void = true,
            }
        }
        Ok(match (best, refused) {
            (Ok((generation, slot, payload)), refused) => {
                let slots = Self::at(path, magic, file, slot_bytes, generation, 1 - slot);
                (Self { void, refused: refused.map(|error| error.to_string()), ..slots }, Ok(payload))
            }
            // It may be whole, and there is nothing else.
            (Err(_), Some(error)) => return Err(error),
            (Err(flaw), None) => (Self::at(path, magic, file, slot_bytes, 0, 0), Err(flaw)),
        })
    }

    fn at(
        path: &str,
        magic: [u8; 8],
        file: Arc<dyn File>,
        slot_bytes: u64,
        generation: u64,
        next: u64,
    ) -> Self {
        let (void, refused, stale) = (false, None, false);
        Self { path: path.into(), magic, file, slot_bytes, generation, next, void, refused, stale }
    }

    pub(super) fn write(&mut self, payload: &[u8]) -> SlotWrite {
        self.generation += 1;
        let bytes = seal(self.magic, self.generation, payload);
        assert!(bytes.len() as u64 <= self.slot_bytes, "a payload fits its slot");
        let file = (!self.stale).then(|| Arc::clone(&self.file));
        SlotWrite { file, path: self.path.clone(), offset: self.next * self.slot_bytes, bytes }
    }

    /// Makes sure that the next start finds what `open` read, or what is written from now on. After
    /// failed syncs only the kernel's cache may have it, so it is written once more. And where the cache
    /// has a torn slot, because the process died while writing it, the disk may have a newer one whole:
    /// it must not come back when others have gone on from here. So a file with a slot that cannot be
    /// read is made anew.
    pub(super) fn settle(&mut self, disk: &dyn Disk, payload: &[u8]) -> io::Result<()> {
        if self.refused.is_some() {
            *self = Self::create(disk, &self.path, self.magic, self.slot_bytes, payload)?;
            return Ok(());
        }
        let bytes = seal(self.magic, self.generation, payload);
        self.file.write_at((1 - self.next) * self.slot_bytes, &mut [IoSlice::new(&bytes)])?;
        if self.void {
            let blank = [0; SLOT_HEADER_BYTES];
            self.file.write_at(self.next * self.slot_bytes, &mut [IoSlice::new(&blank)])?;
        }
        self.file.sync()
    }

    /// Takes note of how a write ended.
    pub(super) fn wrote(&mut self, result: &io::Result<Arc<dyn File>>) {
        match result {
            Ok(file) => {
                self.file = Arc::clone(file);
                self.stale = false;
                self.next = 1 - self.next;
            }
            Err(_) => self.stale = true,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// One of the two slots could not be read; it may have been the newer one.
    pub(super) fn refusal(&self, then: &str) -> Option<Finding> {
        self.refused.as_ref().map(|error| Finding {
            what: format!("basin: one of the two copies in {} cannot be read", self.path),
            why: error.clone(),
            fix: format!("check the disk; the other copy counts, and a start makes the file anew: {then}"),
        })
    }
}

impl SlotWrite {
    /// Writes and syncs; hands back the descriptor that is good for the next write.
    pub(super) fn run(&self, disk: &dyn Disk) -> io::Result<Arc<dyn File>> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => disk.open(&self.path)?,
        };
        file.write_at(self.offset, &mut [IoSlice::new(&self.bytes)])?;
        file.sync()?;
        Ok(file)
    }
}

pub(super) fn seal(magic: [u8; 8], generation: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&generation.to_le_bytes());
    let len = u32::try_from(payload.len()).expect("slots and snapshots are far below 4 GiB");
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    let crc = crc32c::crc32c(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

pub(super) fn unseal(magic: [u8; 8], bytes: &[u8]) -> Result<(u64, &[u8]), Flaw> {
    let header = bytes.get(..SLOT_HEADER_BYTES).ok_or(Flaw::Damaged)?;
    if header.iter().all(|byte| *byte == 0) {
        return Err(Flaw::Empty);
    }
    let read = || -> Option<Result<(u64, &[u8]), Flaw>> {
        let mut take = Take(header);
        if take.array()? != magic {
            return None;
        }
        let (version, crc) = (take.u32()?, take.u32()?);
        if version > FORMAT_VERSION {
            return Some(Err(Flaw::Newer(version)));
        }
        if version < FORMAT_VERSION {
            return None;
        }
        let (generation, len) = (take.u64()?, take.u32()? as usize);
        let sealed = bytes.get(16..SLOT_HEADER_BYTES.checked_add(len)?)?;
        (crc32c::crc32c(sealed) == crc).then(|| Ok((generation, &sealed[SLOT_HEADER_BYTES - 16..])))
    };
    read().unwrap_or(Err(Flaw::Damaged))
}

/// Of everything in the basin's folder. Readers of an older program must refuse a newer one.
pub(super) const FORMAT_VERSION: u32 = 1;
pub(super) const SLOT_HEADER_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::fake::{Fails, FakeDisk, Random};
    use super::*;

    const MAGIC: [u8; 8] = *b"TESTTEST";

    #[test]
    fn what_was_sealed_is_read_and_any_flipped_bit_is_seen() {
        let sealed = seal(MAGIC, 7, b"payload");
        assert_eq!(unseal(MAGIC, &sealed), Ok((7, &b"payload"[..])));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(MAGIC, &flipped).is_err(), "bit {bit}");
        }
        assert_eq!(unseal(MAGIC, &sealed[..20]), Err(Flaw::Damaged));
        assert_eq!(unseal(MAGIC, &[0; 64]), Err(Flaw::Empty));
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut sealed = seal(MAGIC, 7, b"payload");
        sealed[8] = 9;
        assert_eq!(unseal(MAGIC, &sealed), Err(Flaw::Newer(9)));
    }

    /// Makes or opens the file, then counts up in it; what was surely and what was perhaps written.
    fn count_up(disk: &FakeDisk, random: &mut Random, written: &mut (u64, u64)) -> io::Result<()> {
        disk.sync_dir("")?;
        let payload = |count: u64| vec![count as u8; 1500];
        let mut slots = match Slots::open(disk, "x", MAGIC, 2048) {
            Ok((mut slots, found)) => {
                let found = found.expect("a crash leaves a whole slot");
                let count = u64::from(found[0]);
                assert_eq!(found, payload(count));
                assert!((written.0..=written.1).contains(&count), "{count} of {written:?}");
                slots.settle(disk, &found)?;
                *written = (count, count);
                slots
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                assert_eq!(written.0, 0, "what was durable is still there");
                written.1 = 1;
                Slots::create(disk, "x", MAGIC, 2048, &payload(1))?
            }
            Err(error) => return Err(error),
        };
        written.0 = written.0.max(1);
        for _ in 0..random.below(8) {
            written.1 += 1;
            let result = slots.write(&payload(written.1)).run(disk);
            slots.wrote(&result);
            if result.is_ok() {
                written.0 = written.1;
            }
        }
        Ok(())
    }

    #[test]
    fn one_slot_that_cannot_be_read_is_done_without_and_two_are_not() {
        for bad in [0, 1] {
            let disk = FakeDisk::new(1);
            let mut slots = Slots::create(&disk, "x", MAGIC, 4096, b"one").unwrap();
            let result = slots.write(b"two").run(&disk);
            slots.wrote(&result);
            disk.ruin("x", bad * 4096);
            let (mut slots, found) = Slots::open(&disk, "x", MAGIC, 4096).unwrap();
            let left = [&b"two"[..], b"one"][bad as usize];
            assert_eq!(found.as_deref(), Ok(left));
            assert!(slots.refusal("").is_some());
            slots.settle(&disk, left).unwrap();
            assert_eq!(slots.refusal(""), None);
            let (slots, found) = Slots::open(&disk, "x", MAGIC, 4096).unwrap();
            assert_eq!((found.as_deref(), slots.refusal("")), (Ok(left), None));
            disk.ruin("x", 0);
            assert!(Slots::open(&disk, "x", MAGIC, 4096).is_err(), "it may be whole");
        }
    }

    #[test]
    fn what_was_passed_over_because_it_was_torn_does_not_come_back() {
        // Within one sector, so that what a failed sync brings to the disk is at times the whole.
        let payload = |count: u8| vec![count; 300];
        for seed in 0..200 {
            let disk = FakeDisk::new(seed);
            let mut slots = Slots::create(&disk, "x", MAGIC, 2048, &payload(1)).unwrap();
            disk.fail(Fails { syncs: 1, ..Fails::default() });
            let result = slots.write(&payload(2)).run(&disk);
            slots.wrote(&result);
            disk.fail(Fails::default());
            // The process dies while it writes the slot again.
            disk.crash_in(Some(1));
            assert!(slots.write(&payload(3)).run(&disk).is_err());
            disk.restart(false);
            let (mut slots, found) = Slots::open(&disk, "x", MAGIC, 2048).unwrap();
            let found = found.unwrap();
            // A first start is refused, and what the cache has is taken for clean from then on.
            disk.fail(Fails { syncs: 1, ..Fails::default() });
            assert!(slots.settle(&disk, &found).is_err());
            disk.fail(Fails::default());
            let (mut slots, found) = Slots::open(&disk, "x", MAGIC, 2048).unwrap();
            let found = found.unwrap();
            slots.settle(&disk, &found).unwrap();
            disk.restart(true);
            let (_, again) = Slots::open(&disk, "x", MAGIC, 2048).unwrap();
            assert_eq!(again.unwrap()[0], found[0], "seed {seed}");
        }
    }

    #[test]
    fn a_crash_at_any_moment_leaves_what_was_durable_or_newer_and_never_a_torn_first() {
        for seed in 0..600 {
            let (disk, mut random) = (FakeDisk::new(seed), Random::new(seed));
            let mut written = (0, 0);
            for _ in 0..6 {
                disk.crash_in(Some(random.below(30)));
                disk.fail(Fails { syncs: [0, 0, 3][random.below(3) as usize], ..Fails::default() });
                // However it ends, the next round finds out what is there.
                let _ = count_up(&disk, &mut random, &mut written);
                disk.restart(!random.one_in(3));
            }
        }
    }
}
