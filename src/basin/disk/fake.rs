//! A disk for tests: loses what was not synced, tears writes, fills up, fails, rots, and stops at any
//! operation as a crash would. Everything follows from one seed.

use super::file::{Disk, File};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone)]
pub(super) struct FakeDisk(Arc<Mutex<World>>);

/// Numbers that follow from a seed (xorshift64*).
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % limit
    }

    pub(super) fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }
}

struct World {
    random: Random,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Operations until the crash.
    crash_in: Option<u64>,
    crashed: bool,
    space_max: u64,
    fails: Fails,
}

/// How often the disk refuses: each operation of a kind with a chance of one in so many; 0 for never.
#[derive(Clone, Copy, Default)]
pub(super) struct Fails {
    pub(super) syncs: u64,
    pub(super) reads: u64,
    pub(super) writes: u64,
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Blocks that cannot be read any more.
    bad: BTreeSet<usize>,
}

struct FakeFile {
    disk: FakeDisk,
    inode: u64,
}

impl FakeDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            random: Random::new(seed ^ 0xD15C),
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            crash_in: None,
            crashed: false,
            space_max: u64::MAX,
            fails: Fails::default(),
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(super) fn crash_in(&self, operations: Option<u64>) {
        self.world().crash_in = operations;
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.world().crashed
    }

    pub(super) fn fail(&self, fails: Fails) {
        self.world().fails = fails;
    }

    /// Flips a bit, on the disk and in the cache.
    pub(super) fn flip(&self, path: &str, offset: u64, bit: u8) {
        let mut guard = self.world();
        let number = guard.names[path];
        let inode = guard.inodes.get_mut(&number).unwrap();
        inode.now[offset as usize] ^= 1 << bit;
        if let Some(byte) = inode.durable.get_mut(offset as usize) {
            *byte ^= 1 << bit;
        }
    }

    /// A block that cannot be read any more, until it is written again.
    pub(super) fn ruin(&self, path: &str, offset: u64) {
        let mut guard = self.world();
        let number = guard.names[path];
        guard.inodes.get_mut(&number).unwrap().bad.insert(offset as usize / BLOCK);
    }

    /// All of it can be read again.
    pub(super) fn mend(&self, path: &str) {
        let mut guard = self.world();
        if let Some(number) = guard.names.get(path).copied()
            && let Some(inode) = guard.inodes.get_mut(&number)
        {
            inode.bad.clear();
        }
    }

    /// Room for so many bytes more than are used now.
    pub(super) fn leave_space(&self, bytes: Option<u64>) {
        let mut world = self.world();
        let used = world.used();
        world.space_max = bytes.map_or(u64::MAX, |bytes| used + bytes);
    }

    /// What is left after the process died, or after the machine lost power.
    pub(super) fn restart(&self, power_lost: bool) {
        let mut guard = self.world();
        let world = &mut *guard;
        (world.crashed, world.crash_in) = (false, None);
        if !power_lost {
            world.forget_unnamed();
            return;
        }
        let all: BTreeSet<String> = world.names.keys().chain(world.durable_names.keys()).cloned().collect();
        for name in all {
            let (now, durable) = (world.names.get(&name).copied(), world.durable_names.get(&name).copied());
            if now != durable && world.random.one_in(2) {
                match durable {
                    Some(inode) => world.names.insert(name, inode),
                    None => world.names.remove(&name),
                };
            }
        }
        world.durable_names = world.names.clone();
        world.forget_unnamed();
        for inode in world.inodes.values_mut() {
            inode.lose(&mut world.random);
        }
    }

    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        self.list(folder).unwrap()
    }
}

impl Inode {
    /// Of what is not synced, some sectors have arrived, some half.
    fn lose(&mut self, random: &mut Random) {
        if self.durable.len() != self.now.len() && random.one_in(2) {
            self.durable.resize(self.now.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            let arrived = [0, SECTOR / 8, SECTOR, SECTOR][random.below(4) as usize];
            self.keep(sector, arrived);
        }
        self.now = self.durable.clone();
    }

    fn keep(&mut self, sector: usize, bytes: usize) {
        let from = sector * SECTOR;
        let to = (from + bytes).min(self.now.len()).min(self.durable.len());
        if from < to {
            self.durable[from..to].copy_from_slice(&self.now[from..to]);
        }
    }
}

impl World {
    fn tick(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.crash_in {
            if *left == 0 {
                self.crashed = true;
            } else {
                *left -= 1;
            }
        }
        if self.crashed { Err(io::Error::other("crashed")) } else { Ok(()) }
    }

    fn refuses(&mut self, kind: fn(&Fails) -> u64) -> io::Result<()> {
        let one_in = kind(&self.fails);
        let refused = one_in > 0 && self.random.one_in(one_in);
        if refused { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    /// Files without a name go with the process that had them open.
    fn forget_unnamed(&mut self) {
        let named: BTreeSet<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].now.len() as u64).sum()
    }

    fn inode(&self, path: &str) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for FakeDisk {
    fn make_dir(&self, _: &str) -> io::Result<()> {
        self.world().tick()
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{path}/");
        Ok(self
            .world()
            .names
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned))
            .collect())
    }

    fn create(&self, path: &str, len: u64) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        world.tick()?;
        if world.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.refuses(|fails| fails.writes)?;
        if world.used() + len > world.space_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = world.next_inode;
        world.next_inode += 1;
        world.inodes.insert(inode, Inode { now: vec![0; len as usize], ..Inode::default() });
        world.names.insert(path.into(), inode);
        drop(world);
        Ok(Arc::new(FakeFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        world.tick()?;
        let inode = world.inode(path)?;
        drop(world);
        Ok(Arc::new(FakeFile { disk: self.clone(), inode }))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut world = self.world();
        world.tick()?;
        world.inode(path)?;
        world.refuses(|fails| fails.writes)?;
        world.names.remove(path);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.tick()?;
        let inode = world.inode(from)?;
        world.refuses(|fails| fails.writes)?;
        world.names.remove(from);
        world.names.insert(to.into(), inode);
        Ok(())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let mut guard = self.world();
        let world = &mut *guard;
        world.tick()?;
        let inside = |name: &str| name.rsplit_once('/').map_or("", |(folder, _)| folder) == path;
        world.durable_names.retain(|name, _| !inside(name));
        let synced = world.names.iter().filter(|(name, _)| inside(name));
        world.durable_names.extend(synced.map(|(name, inode)| (name.clone(), *inode)));
        Ok(())
    }
}

impl File for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.world().inodes[&self.inode].now.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut world = self.disk.world();
        world.refuses(|fails| fails.reads)?;
        let inode = &world.inodes[&self.inode];
        let bytes = inode.now.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        let blocks = offset as usize / BLOCK..(offset as usize + count).div_ceil(BLOCK);
        if count > 0 && inode.bad.range(blocks).next().is_some() {
            return Err(io::Error::from_raw_os_error(5));
        }
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut guard = self.disk.world();
        let world = &mut *guard;
        let result = world.tick().and_then(|()| world.refuses(|fails| fails.writes));
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if result.is_err() {
            // The crash, or the refusal, came in the middle.
            bytes.truncate(world.random.below(bytes.len() as u64 + 1) as usize);
        }
        let Some(inode) = world.inodes.get_mut(&self.inode) else { return result };
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        assert!(to <= inode.now.len(), "the basin writes only into allocated space");
        inode.now[from..to].copy_from_slice(&bytes);
        inode.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
        inode.bad.retain(|block| *block < from / BLOCK || *block >= to.div_ceil(BLOCK));
        result
    }

    fn sync(&self) -> io::Result<()> {
        let mut guard = self.disk.world();
        let world = &mut *guard;
        world.tick()?;
        let fails = world.refuses(|fails| fails.syncs).is_err();
        let Some(inode) = world.inodes.get_mut(&self.inode) else { return Ok(()) };
        let len = inode.now.len();
        inode.durable.resize(len, 0);
        // As Linux does: after a failure the pages are clean, and nothing writes them any more.
        for sector in std::mem::take(&mut inode.dirty) {
            if !fails || world.random.one_in(2) {
                inode.keep(sector, SECTOR);
            }
        }
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.tick()?;
        if let Some(inode) = world.inodes.get_mut(&self.inode) {
            inode.now.truncate(len as usize);
            inode.dirty.retain(|sector| sector * SECTOR < len as usize);
        }
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let mut guard = self.disk.world();
        let world = &mut *guard;
        world.tick()?;
        world.refuses(|fails| fails.writes)?;
        let used = world.used();
        let Some(inode) = world.inodes.get_mut(&self.inode) else { return Ok(()) };
        if used + len > world.space_max.saturating_add(inode.now.len() as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inode.now.resize(len as usize, 0);
        inode.dirty.retain(|sector| sector * SECTOR < len as usize);
        Ok(())
    }
}

const SECTOR: usize = 512;
/// What fails to be read at once: a page of the cache.
const BLOCK: usize = 4096;
