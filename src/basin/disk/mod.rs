//! Disk basin: keeps batches until every output's cursor and the state snapshot are past them.
//!
//! | file | knows |
//! |---|---|
//! | `core.rs`, `group.rs`, `chores.rs`, `prepare.rs`, `fill.rs`, `space.rs`, `read.rs`, `tail.rs`, `stream.rs` | the machine: no threads, no clock |
//! | `recovery.rs`, `replay.rs`, `survey.rs`, `quarantine.rs` | what a crash or a bad disk left |
//! | `segment.rs`, `frame.rs`, `cursor.rs`, `snapshot.rs`, `slots.rs`, `codec.rs` | bytes on disk |
//! | `file.rs`, `lock.rs` | the disk itself |
//! | `inspect.rs` | looking at a basin from outside |
//! | `reader.rs` | the async side of an output |
//! | this one | two threads (writer, keeper) and the async side of sources |
//!
//! Promise: after `append` says `Kept`, a crash loses nothing of the batch or its bookmark.
//! Must not know: XML, sinks, formats.

mod chores;
mod codec;
mod core;
#[cfg(test)]
mod core_tests;
mod cursor;
#[cfg(test)]
mod fake;
mod file;
mod fill;
mod frame;
mod gathering;
mod group;
pub(super) mod inspect;
mod lock;
#[cfg(test)]
mod model;
mod prepare;
mod quarantine;
mod read;
mod reader;
mod recovery;
mod replay;
mod segment;
mod slots;
mod snapshot;
mod space;
mod stream;
mod survey;
mod tail;

use self::core::{Core, Options};
use super::budget::{self, Budget, Evict};
use super::stats::Stats;
use super::{BasinError, DiskConfig, Forgot, OutputSpec, now, with_prefix};
use crate::event::{EventBatch, Outcome, receipt};
use crate::finding::Finding;
use bytes::Bytes;
use file::{Disk, Folder};
use frame::Framed;
use gathering::Gathering;
use group::Pending;
use lock::Lock;
pub(super) use reader::{DiskCursor, DiskReader};
use recovery::Entropy;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;
use std::time::Instant;
use stream::Streams;
use tokio::sync::{Notify, Semaphore, oneshot};

#[derive(Clone)]
pub(super) struct DiskBasin {
    shared: Arc<Shared>,
    handle: Arc<Handle>,
}

impl DiskBasin {
    pub(super) fn open(
        config: &DiskConfig,
        outputs: &[OutputSpec],
        budget: &Budget,
    ) -> Result<(Self, Vec<Finding>), BasinError> {
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(&config.path));
        let fail = |action, source| BasinError::Io { action, path: config.path.clone(), source };
        disk.make_dir("").map_err(|source| fail("make folder", source))?;
        let lock = Lock::take(&config.path)?;
        let options = Options {
            size_max: config.size_max.0,
            segment_bytes: config.segment_size.0,
            retain: config.retain,
        };
        let entropy = entropy().map_err(|source| fail("take random numbers for", source))?;
        let mut core =
            recovery::open(Arc::clone(&disk), &config.path, options, outputs, budget, entropy, now())?;
        let findings = core.findings.drain(..).collect();
        let room = u32::try_from(PENDING_BYTES_MAX as u64 / budget::UNIT).unwrap_or(u32::MAX);
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            disk,
            writer: Condvar::new(),
            keeper: Condvar::new(),
            changed: Notify::new(),
            room: Arc::new(Semaphore::new(room as usize)),
            streams: Streams::default(),
            lock: Mutex::new(Some(lock)),
        });
        let evict: Weak<dyn Evict> = Arc::downgrade(&(Arc::clone(&shared) as Arc<dyn Evict>));
        budget.set_evictable(evict);
        let ended = start_threads(&shared).map_err(|source| fail("start threads for", source))?;
        let handle = Arc::new(Handle { shared: Arc::clone(&shared), ended: Mutex::new(Some(ended)) });
        Ok((Self { shared, handle }, findings))
    }

    /// `memory` resolves when there is memory for the batch, to what holds it until the answer.
    pub(super) async fn append<M>(&self, batch: EventBatch, memory: impl Future<Output = M>) -> Outcome {
        let underway = self.shared.streams.begin(&batch.origin);
        let _memory = memory.await;
        let units = budget::units(batch.weight()).min((PENDING_BYTES_MAX as u64 / budget::UNIT) as u32);
        let Ok(room) = Arc::clone(&self.shared.room).acquire_many_owned(units).await else {
            return Outcome::Lost;
        };
        let Some(frame) = Framed::new(batch) else { return Outcome::Lost };
        let (receipt, settled) = receipt::ticket();
        let pending = Pending::new(frame, receipt, underway.place(), Some(room));
        if !self.shared.lock().push(pending) {
            return Outcome::Lost;
        }
        self.shared.writer.notify_one();
        let outcome = settled.await;
        if outcome == Outcome::Kept {
            underway.kept();
        }
        outcome
    }

    pub(super) fn bookmark(&self, key: &str) -> Option<Bytes> {
        self.shared.lock().state.get(key).cloned()
    }

    pub(super) fn bookmarks(&self, prefix: &str) -> Vec<(Box<str>, Bytes)> {
        with_prefix(&self.shared.lock().state, prefix)
    }

    pub(super) fn reader(&self, output: &str) -> Option<DiskReader> {
        let (output, at) = self.shared.lock().start_reader(output)?;
        Some(DiskReader::new(Arc::clone(&self.shared), output, at))
    }

    pub(super) fn stats(&self) -> Stats {
        self.shared.lock().stats()
    }

    pub(super) fn take_findings(&self) -> Vec<Finding> {
        self.shared.lock().findings.drain(..).collect()
    }

    /// Releases the cursor of an output that is no longer configured.
    pub(super) fn forget(&self, name: &str) -> io::Result<Forgot> {
        // Held to the end: once it is released another process may own the folder.
        let owned = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if owned.is_none() {
            return Err(io::Error::other("the basin is closed"));
        }
        let path = {
            let mut core = self.shared.lock();
            match core.forget(name) {
                Some(path) => path,
                None if core.outputs.iter().any(|output| output.name == name) => {
                    return Ok(Forgot::Configured);
                }
                None => return Ok(Forgot::Unknown),
            }
        };
        self.shared.disk.remove(&path)?;
        self.shared.disk.sync_dir(cursor::CURSORS)?;
        self.shared.keeper.notify_one();
        Ok(Forgot::Released)
    }

    pub(super) fn finish(&self) {
        self.shared.finish();
    }

    pub(super) async fn close(self) {
        self.shared.stop();
        let ended = self.handle.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (ended, thread) in ended.into_iter().flatten() {
            // A thread that panicked dropped its end: there is nothing left to wait for.
            let _ = ended.await;
            // All it has left is to go.
            let _ = thread.join();
        }
    }
}

struct Shared {
    core: Mutex<Core>,
    disk: Arc<dyn Disk>,
    writer: Condvar,
    keeper: Condvar,
    changed: Notify,
    room: Arc<Semaphore>,
    streams: Streams,
    /// Released by the keeper when it ends, as the last that writes.
    lock: Mutex<Option<Lock>>,
}

/// A thread, and what tells that it is done.
type Running = (oneshot::Receiver<()>, thread::JoinHandle<()>);

/// Stops the threads when the last `Basin` is gone without `close`.
struct Handle {
    shared: Arc<Shared>,
    ended: Mutex<Option<[Running; 2]>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        self.room.close();
        self.lock().finished = true;
        self.writer.notify_one();
        self.changed.notify_waiters();
    }

    fn stop(&self) {
        self.finish();
        self.lock().stopping = true;
        self.writer.notify_one();
        self.keeper.notify_one();
        self.changed.notify_waiters();
    }

    fn write(&self) {
        let mut gathering = Gathering::default();
        loop {
            let group = {
                let mut core = self.lock();
                loop {
                    if let Some(wait) = gathering.wait(Instant::now(), core.pending.len()) {
                        drop(core);
                        thread::sleep(wait);
                        core = self.lock();
                    }
                    if let Some(group) = core.begin_group(now()) {
                        break group;
                    }
                    if core.stopping && (core.pending.is_empty() || core.stats.full) {
                        // With no segment to go to, the rest is lost, and its sources hear so.
                        core.pending.clear();
                        core.writer_ended = true;
                        self.keeper.notify_one();
                        return;
                    }
                    if core.chores.wanted_bytes.is_some() {
                        self.keeper.notify_one();
                    }
                    let waited = self.writer.wait_timeout(core, WRITER_TICK);
                    core = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            };
            let (result, batches) = (group.run(), group.batches());
            let (settled, lacks_segment) = {
                let mut core = self.lock();
                let sync = result.as_ref().ok().copied();
                gathering.ended(Instant::now(), batches + core.pending.len(), sync);
                (core.end_group(group, &result, now()), core.prepared.is_none())
            };
            for receipt in settled {
                receipt.kept();
            }
            self.changed.notify_waiters();
            // For all else its own tick is soon enough.
            if lacks_segment {
                self.keeper.notify_one();
            }
        }
    }

    fn keep(&self) {
        loop {
            let chore = {
                let mut core = self.lock();
                loop {
                    if let Some(chore) = core.begin_chore(now()) {
                        break chore;
                    }
                    if core.stopping && core.writer_ended {
                        drop(core);
                        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
                        return;
                    }
                    let wait = core.fill_in(now()).map_or(KEEPER_TICK, |left| left.min(KEEPER_TICK));
                    let waited = self.keeper.wait_timeout(core, wait);
                    core = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            };
            let result = chore.run(&*self.disk);
            self.lock().end_chore(chore, result, now());
            self.writer.notify_one();
        }
    }
}

impl Evict for Shared {
    fn evict(&self, bytes: usize) {
        self.lock().tail.evict(bytes);
    }
}

/// Writer and keeper.
fn start_threads(shared: &Arc<Shared>) -> io::Result<[Running; 2]> {
    let start = |name: &str, work: fn(&Shared)| {
        let shared = Arc::clone(shared);
        let (ended, end) = oneshot::channel();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            work(&shared);
            drop(shared);
            // Whoever closes may have stopped waiting.
            let _ = ended.send(());
        })?;
        io::Result::Ok((end, thread))
    };
    Ok([start("basin-writer", Shared::write)?, start("basin-keeper", Shared::keep)?])
}

fn entropy() -> io::Result<Entropy> {
    let mut bytes = [0; 24];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let (node, salt) = bytes.split_at(16);
    let mut entropy = Entropy { node: [0; 16], salt: 0 };
    entropy.node.copy_from_slice(node);
    entropy.salt = salt.iter().fold(0, |salt, byte| salt << 8 | u64::from(*byte));
    Ok(entropy)
}

/// Whether the basin in this folder could be opened. Reads it from outside, and holds its lock for
/// a moment where there is one.
pub(super) fn probe(path: &Path) -> Result<(), BasinError> {
    if !path.exists() {
        return Ok(());
    }
    Lock::probe(path)?;
    match inspect::inspect(path) {
        // A folder that no basin was in yet, or that a crash left before one was.
        Err(BasinError::Absent { .. }) if !path.join(recovery::IDENTITY).exists() => Ok(()),
        Err(BasinError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        inspected => inspected.map(|_| ()),
    }
}

/// For `forget` of a basin that no process has open.
pub(super) fn forget(path: &Path, name: &str) -> Result<(), BasinError> {
    // Nothing is made in a folder that is no basin, and nothing removed from one we do not understand.
    inspect::check(path)?;
    let _lock = Lock::take(path)?;
    let disk = Folder::new(path);
    let cursor = cursor::cursor_path(name);
    let io = |source| BasinError::Io { action: "remove", path: path.join(&cursor), source };
    match disk.remove(&cursor) {
        Ok(()) => disk.sync_dir(cursor::CURSORS).map_err(io),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(BasinError::NoCursor { path: path.into(), name: name.into() })
        }
        Err(error) => Err(io(error)),
    }
}

/// Most bytes that wait for the writer; more wait in the order of asking.
const PENDING_BYTES_MAX: usize = 64 << 20;
/// How long the writer sleeps when nothing wakes it: sets how soon an idle log gets its mark.
const WRITER_TICK: Duration = Duration::from_millis(500);
/// How long the keeper sleeps when nothing wakes it: cursors are due every second.
const KEEPER_TICK: Duration = Duration::from_millis(250);
