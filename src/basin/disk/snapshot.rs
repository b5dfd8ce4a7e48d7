//! Snapshots of the state (bookmarks), so that a segment can go and a restart need not read all.
//!
//! Two files take turns, each with room to spare and written in place: while the state does not
//! outgrow them, a full disk cannot stop a snapshot, and so cannot stop segments from going.

use super::super::{Position, State};
use super::codec::{Take, put_blob};
use super::file::{self, Disk};
use super::frame::Totals;
use super::slots::{Flaw, SLOT_HEADER_BYTES, seal, unseal};
use bytes::Bytes;
use std::io::{self, IoSlice};

/// The state through a position of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) position: Position,
    pub(super) totals: Totals,
    pub(super) state: State,
}

/// A prepared write of a snapshot, to be run without holding any lock.
pub(super) struct SnapshotWrite {
    pub(super) generation: u64,
    pub(super) position: Position,
    bytes: Vec<u8>,
}

impl Snapshot {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes);
        let sequence = take.u64()?;
        let position = Position { epoch: take.u32()?, sequence };
        let totals = Totals { events: take.u64()?, bytes: take.u64()? };
        let mut state = State::new();
        for _ in 0..take.u64()? {
            let key = take.text()?.into();
            state.insert(key, Bytes::copy_from_slice(take.blob()?));
        }
        Some(Self { position, totals, state })
    }
}

impl SnapshotWrite {
    pub(super) fn new(generation: u64, position: Position, totals: Totals, state: &State) -> Self {
        let mut out = Vec::new();
        out.extend_from_slice(&position.sequence.to_le_bytes());
        out.extend_from_slice(&position.epoch.to_le_bytes());
        out.extend_from_slice(&totals.events.to_le_bytes());
        out.extend_from_slice(&totals.bytes.to_le_bytes());
        out.extend_from_slice(&(state.len() as u64).to_le_bytes());
        for (key, value) in state {
            put_blob(&mut out, key.as_bytes());
            put_blob(&mut out, value);
        }
        Self { generation, position, bytes: seal(SNAPSHOT_MAGIC, generation, &out) }
    }

    /// Durable when this returns. Each write has its own descriptor, so none follows a failed sync.
    pub(super) fn run(&self, disk: &dyn Disk) -> io::Result<()> {
        let path = snapshot_path(self.generation);
        let need = self.bytes.len() as u64;
        match disk.open(&path) {
            Ok(file) if file.len()? >= need => {
                file.write_at(0, &mut [IoSlice::new(&self.bytes)])?;
                return file.sync();
            }
            // The other file holds the newest snapshot, so this one may go before it is made anew.
            Ok(_) => disk.remove(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let len = (need * 2).next_power_of_two().max(FILE_BYTES_MIN);
        file::create_whole(disk, &path, len, &self.bytes).map(|_| ())
    }
}

/// The newest snapshot, its generation, and the flaws of the files that hold none.
pub(super) fn load(disk: &dyn Disk) -> io::Result<(Snapshot, u64, Vec<Flaw>)> {
    let mut best = (Snapshot::default(), 0);
    let mut flaws = Vec::new();
    for generation in 0..2 {
        let file = match disk.open(&snapshot_path(generation)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut header = [0; SLOT_HEADER_BYTES];
        let count = file.read_at(0, &mut header)?;
        let len = Take(&header[..count]).0.get(24..28).and_then(|len| Take(len).u32()).unwrap_or(0);
        let want = (SLOT_HEADER_BYTES as u64 + u64::from(len)).min(file.len()?);
        let mut bytes = vec![0; want as usize];
        let count = file.read_at(0, &mut bytes)?;
        let found = unseal(SNAPSHOT_MAGIC, &bytes[..count]).and_then(|(generation, payload)| {
            Snapshot::decode(payload).map(|snapshot| (snapshot, generation)).ok_or(Flaw::Damaged)
        });
        match found {
            Ok((snapshot, generation)) if generation > best.1 => best = (snapshot, generation),
            Ok(_) | Err(Flaw::Empty) => {}
            Err(flaw) => flaws.push(flaw),
        }
    }
    Ok((best.0, best.1, flaws))
}

fn snapshot_path(generation: u64) -> String {
    format!("state.{}", generation % 2)
}

const SNAPSHOT_MAGIC: [u8; 8] = *b"FBYSTATE";
/// Room for some hundred bookmarks before a file has to grow.
const FILE_BYTES_MIN: u64 = 256 << 10;
