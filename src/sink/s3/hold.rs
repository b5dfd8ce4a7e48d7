//! What is held until it becomes objects: the events of each route, compressed a frame at a time.
//!
//! An object's key is its route, the time of its first event, its number and a digest of that and its events: the same
//! events have the same key, others never do, so nothing is ever written over but with itself; and the names of a route's
//! objects sort in the order of the basin also where several begin in one second.
//! Promises: what an object has is in the order of the basin; memory is bounded by one batch above what was given.
//! Must not know: who takes the objects.

use super::plan::Plan;
use super::sign;
use crate::event::Timestamp;
use crate::sink::Encoded;
use crate::sink::file::Compression;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An object to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) key: String,
    pub(super) body: Bytes,
}

/// What follows from a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// All of it is held.
    Held,
    /// What is held has to go.
    Ship,
}

/// How objects are made.
#[derive(Clone, Debug)]
pub(super) struct Making {
    pub(super) compression: Option<Compression>,
    pub(super) age_max: Duration,
    /// Behind a key, with its dot.
    pub(super) extension: String,
    /// In front of it, where that is the same for all.
    pub(super) prefix: String,
}

pub(super) struct Hold {
    making: Making,
    bytes_max: usize,
    pub(super) plan: Plan,
    objects: Vec<Object>,
    by_route: HashMap<Box<str>, usize>,
    events: u64,
    since: Option<Instant>,
    /// The batch that is being taken, and how much of it was.
    current: Option<(Arc<Encoded>, usize)>,
    /// What was held, as it is sent.
    parcels: Option<Arc<Vec<Parcel>>>,
}

/// Text of a route that is compressed at a time: a larger window would hardly take out more.
const FRAME_BYTES: usize = 256 * 1024;
/// Bytes that an object counts for beside its text.
const OBJECT_BYTES: usize = 2 * size_of::<Object>();

struct Object {
    route: Box<str>,
    first: Timestamp,
    number: u64,
    digest: Sha256,
    /// Not compressed yet.
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Hold {
    pub(super) fn new(making: Making, bytes_max: u64) -> Self {
        Self {
            making,
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            plan: Plan::default(),
            objects: Vec::new(),
            by_route: HashMap::new(),
            events: 0,
            since: None,
            current: None,
            parcels: None,
        }
    }

    pub(super) fn set_bytes_max(&mut self, bytes: u64) {
        self.bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
    }

    /// Takes of the batch what belongs to the present objects; the same batch goes on where it was.
    pub(super) fn absorb(&mut self, batch: &Arc<Encoded>, now: Instant) -> Next {
        let known = self.current.take().filter(|(known, _)| Arc::ptr_eq(known, batch));
        let from = known.map_or(0, |(_, at)| at);
        if self.parcels.is_some() {
            self.current = Some((Arc::clone(batch), from));
            return Next::Ship;
        }
        let left = self
            .plan
            .left(self.events)
            .map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let to = from.saturating_add(left).min(batch.items.len());
        let mut by_number = vec![None; batch.routes.len().max(1)];
        for item in &batch.items[from..to] {
            let number = item.route as usize;
            let object = *by_number[number].get_or_insert_with(|| {
                let route = batch.routes.get(number).map_or(&*self.making.prefix, |route| &**route);
                object(&mut self.objects, &mut self.by_route, route, self.plan.number(), item.time)
            });
            let range = item.range.start as usize..item.range.end as usize;
            self.objects[object].add(&batch.bytes[range], self.making.compression);
        }
        self.events += (to - from) as u64;
        if to > from {
            self.since.get_or_insert(now);
        }
        let (is_planned, is_all) = (self.plan.left(self.events), to == batch.items.len());
        if is_planned == Some(0) || self.is_old(now) || self.is_full(is_planned.is_some()) {
            self.current = Some((Arc::clone(batch), to));
            return Next::Ship;
        }
        debug_assert!(is_all, "only the end of objects ends a batch early");
        Next::Held
    }

    /// Whether anything is held.
    pub(super) fn is_any(&self) -> bool {
        self.events > 0
    }

    /// Whether it is time for what is held to go.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.parcels.is_some() || self.plan.left(self.events) == Some(0) || self.is_old(now)
    }

    fn is_old(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) >= self.making.age_max)
    }

    /// What comes again after a crash had its room before it.
    fn is_full(&self, comes_again: bool) -> bool {
        let memory = |object: &Object| object.plain.capacity() + object.packed.capacity() + OBJECT_BYTES;
        let bytes: usize = self.objects.iter().map(memory).sum();
        bytes >= if comes_again { self.bytes_max.saturating_mul(2) } else { self.bytes_max }
    }

    /// Whether it may: its end is durable.
    pub(super) fn may_ship(&mut self) -> bool {
        self.parcels.is_some() || self.plan.may_end(self.events)
    }

    /// What is held, as objects; the same ones until they are at the far end.
    pub(super) fn pack(&mut self) -> Arc<Vec<Parcel>> {
        let Self { making, objects, parcels, .. } = self;
        let packed = parcels
            .get_or_insert_with(|| Arc::new(objects.drain(..).map(|object| object.parcel(making)).collect()));
        self.by_route.clear();
        Arc::clone(packed)
    }

    /// They are at the far end. Whether more of the batch is left.
    pub(super) fn shipped(&mut self) -> bool {
        (self.parcels, self.since, self.events) = (None, None, 0);
        self.plan.shipped();
        self.current.as_ref().is_some_and(|(batch, at)| *at < batch.items.len())
    }

    /// All that came is at the far end.
    pub(super) fn passed(&mut self) {
        self.current = None;
        self.plan.passed();
    }
}

fn object(
    objects: &mut Vec<Object>,
    by_route: &mut HashMap<Box<str>, usize>,
    route: &str,
    number: u64,
    first: Timestamp,
) -> usize {
    if let Some(at) = by_route.get(route) {
        return *at;
    }
    let mut digest = Sha256::new();
    digest.update(b"forebay-object-1");
    digest.update(number.to_le_bytes());
    objects.push(Object {
        route: route.into(),
        first,
        number,
        digest,
        plain: Vec::new(),
        packed: Vec::new(),
    });
    by_route.insert(route.into(), objects.len() - 1);
    objects.len() - 1
}

impl Object {
    fn add(&mut self, text: &[u8], compression: Option<Compression>) {
        self.digest.update(text);
        let Some(compression) = compression else { return self.packed.extend_from_slice(text) };
        self.plain.extend_from_slice(text);
        if self.plain.len() >= FRAME_BYTES {
            self.compress(compression);
            self.plain.clear();
        }
    }

    fn compress(&mut self, compression: Compression) {
        let mut frame = Vec::new();
        compression.pack(&self.plain, &mut frame).expect("what is written to memory is written");
        self.packed.extend_from_slice(&frame);
    }

    fn parcel(mut self, making: &Making) -> Parcel {
        if let Some(compression) = making.compression.filter(|_| !self.plain.is_empty()) {
            self.compress(compression);
        }
        let (time, digest) = (sign::stamp(self.first), sign::hex(&self.digest.finalize()[..8]));
        let key = format!("{}{time}-{:010}-{digest}{}", self.route, self.number, making.extension);
        Parcel { key, body: self.packed.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Item;

    const AGE: Duration = Duration::from_secs(300);

    fn hold(bytes_max: u64) -> Hold {
        let making =
            Making { compression: None, age_max: AGE, extension: ".log".into(), prefix: "all/".into() };
        Hold::new(making, bytes_max)
    }

    /// Events `from..to`, each its number on a line, in turn of two routes.
    fn batch(from: u64, to: u64) -> Arc<Encoded> {
        let (mut bytes, mut items) = (Vec::new(), Vec::new());
        for number in from..to {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(format!("{number}\n").as_bytes());
            let (range, time) = (start..bytes.len() as u32, Timestamp(number as i64 * 1_000_000_000));
            items.push(Item { range, head: 0, id: None, time, route: (number % 2) as u32 });
        }
        Arc::new(Encoded { bytes: bytes.into(), items, routes: vec!["even/".into(), "odd/".into()] })
    }

    /// As a sink does, with a note that becomes durable at once; what it sends.
    fn ship(hold: &mut Hold) -> (Arc<Vec<Parcel>>, bool) {
        if !hold.may_ship() {
            hold.plan.is_durable();
            assert!(hold.may_ship());
        }
        let parcels = hold.pack();
        assert_eq!(parcels, hold.pack(), "the same ones until they are there");
        (parcels, hold.shipped())
    }

    fn texts(parcels: &[Parcel]) -> Vec<&str> {
        parcels.iter().map(|parcel| std::str::from_utf8(&parcel.body).unwrap()).collect()
    }

    #[test]
    fn batches_come_together_by_route_until_they_are_old() {
        let (mut hold, now) = (hold(1 << 20), Instant::now());
        assert!(!hold.is_any());
        assert_eq!(hold.absorb(&batch(0, 3), now), Next::Held);
        assert_eq!(hold.absorb(&batch(3, 5), now + AGE / 2), Next::Held);
        assert!(hold.is_any() && !hold.is_due(now + AGE / 2) && hold.is_due(now + AGE));
        let last = batch(5, 6);
        assert_eq!(hold.absorb(&last, now + AGE), Next::Ship);
        let (parcels, more) = ship(&mut hold);
        assert_eq!((texts(&parcels), more), (vec!["0\n2\n4\n", "1\n3\n5\n"], false));
        assert!(
            parcels[0].key.starts_with("even/19700101T000000Z-0000000000-")
                && parcels[0].key.ends_with(".log")
        );
        assert!(parcels[1].key.starts_with("odd/19700101T000001Z-"));
        hold.passed();
        assert!(!hold.is_any() && Arc::try_unwrap(last).is_ok(), "the batch is let go of");
    }

    #[test]
    fn memory_is_bounded() {
        let (mut hold, now) = (hold(4096), Instant::now());
        let mut batches = 0;
        while hold.absorb(&batch(batches * 100, batches * 100 + 100), now) == Next::Held {
            batches += 1;
        }
        assert!((3..30).contains(&batches), "{batches}");
        let mut none = self::hold(0);
        assert_eq!(none.absorb(&batch(0, 1), now), Next::Ship, "without memory nothing waits");
    }

    #[test]
    fn after_a_crash_other_batches_make_the_same_objects() {
        let (mut one, now) = (hold(1 << 20), Instant::now());
        one.absorb(&batch(0, 10), now);
        let (first, _) = ship(&mut one);
        let note = one.plan.note();
        for cut in [1, 3, 10, 11, 25] {
            let mut again = hold(1 << 20);
            again.plan = Plan::read(&note).unwrap();
            let (mut sent, mut from) = (Vec::new(), 0);
            while sent.is_empty() {
                let next = batch(from, from + cut);
                if again.absorb(&next, now) == Next::Ship {
                    assert!(again.may_ship(), "its end is durable");
                    let (parcels, more) = ship(&mut again);
                    sent.extend(parcels.to_vec());
                    assert_eq!(more, from + cut > 10, "{cut}");
                    // The rest of it is of the next objects.
                    if more {
                        assert_eq!(again.absorb(&next, now), Next::Held);
                        assert_eq!(again.events, from + cut - 10);
                    }
                }
                from += cut;
            }
            assert_eq!(sent, *first, "{cut}");
        }
    }

    #[test]
    fn other_events_and_other_numbers_have_other_keys() {
        let now = Instant::now();
        let keys = |from, to, number| {
            let mut hold = hold(1 << 20);
            (0..number).for_each(|_| hold.plan.shipped());
            hold.absorb(&batch(from, to), now);
            hold.pack().iter().map(|parcel| parcel.key.clone()).collect::<Vec<_>>()
        };
        assert_eq!(keys(0, 10, 0), keys(0, 10, 0));
        assert_ne!(keys(0, 10, 0)[0], keys(0, 10, 1)[0]);
        assert!(keys(0, 10, 9)[0] < keys(0, 10, 10)[0], "names sort as the objects came");
        assert_ne!(keys(0, 10, 0)[1], keys(0, 12, 0)[1]);
    }

    #[test]
    fn frames_one_after_the_other_are_one_text() {
        let mut hold = hold(64 << 20);
        hold.making.compression = Some(Compression::Zstd);
        let now = Instant::now();
        let whole: String = (0..120_000).map(|number| format!("{number}\n")).collect();
        for from in (0..120_000).step_by(10_000) {
            let mut part = (*batch(from, from + 10_000)).clone();
            part.items.iter_mut().for_each(|item| item.route = 0);
            part.routes.clear();
            assert_eq!(hold.absorb(&Arc::new(part), now), Next::Held);
        }
        let parcels = hold.pack();
        assert!(parcels[0].key.starts_with("all/1970"), "{}", parcels[0].key);
        assert_eq!(zstd::decode_all(&parcels[0].body[..]).unwrap(), whole.as_bytes());
    }
}
