//! Sources of the model: each sends 1, 2, 3 … of its stream, a few at a time, and behaves as the real
//! ones do: after a loss it lets go of what is under way and resumes behind its bookmark.

use super::log::Log;
use crate::basin::disk::core::Core;
use crate::basin::disk::fake::Random;
use crate::basin::disk::frame::Framed;
use crate::basin::disk::group::Pending;
use crate::basin::disk::stream::{Streams, Underway};
use crate::event::receipt::{self, Settled};
use crate::event::{Bookmark, EventBatch, Origin, Outcome, Timestamp};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) struct Source {
    stream: u64,
    flying: VecDeque<Flying>,
    /// Let go of, and perhaps written all the same.
    left: Vec<(u64, Settled)>,
    next: u64,
    leaving: bool,
}

struct Flying {
    id: u64,
    underway: Underway,
    settled: Settled,
    outcome: Option<Outcome>,
}

impl Source {
    pub(super) fn new(stream: u64) -> Self {
        Self { stream, flying: VecDeque::new(), left: Vec::new(), next: 1, leaving: false }
    }

    /// Begins an append, or lets go of one.
    pub(super) fn step(&mut self, core: &mut Core, streams: &Streams, log: &mut Log, random: &mut Random) {
        self.leaving |= random.one_in(80);
        if self.leaving {
            if let Some(flying) = self.flying.pop_front() {
                self.left.push((flying.id, flying.settled));
            }
            if self.flying.is_empty() {
                self.resume(core, log);
            }
            return;
        }
        if self.flying.len() == UNDERWAY_MAX || core.pending.len() >= 20 {
            return;
        }
        let id = log.send(self.stream, self.next);
        self.next += 1;
        let size_max = if random.one_in(20) { 9000 } else { 700 };
        let size = 60 + random.below(size_max);
        let batch = batch(id, self.stream, size as usize);
        let underway = streams.begin(&batch.origin);
        let (receipt, settled) = receipt::ticket();
        let frame = Framed::new(batch).unwrap();
        if core.push(Pending::new(frame, receipt, underway.place(), None)) {
            self.flying.push_back(Flying { id, underway, settled, outcome: None });
        } else {
            self.leaving = true;
        }
    }

    /// Reads its bookmark, as after a restart.
    pub(super) fn resume(&mut self, core: &Core, log: &Log) {
        let bookmark = core.state.get(key(self.stream).as_str());
        let id = bookmark.map(|value| std::str::from_utf8(value).unwrap().parse::<u64>().unwrap());
        self.next = id.map_or(0, |id| log.sent(id).1) + 1;
        self.leaving = false;
    }

    /// Ids that are answered since the last call: kept, and lost.
    pub(super) fn answered(&mut self, kept: &mut Vec<u64>, lost: &mut Vec<u64>) {
        let mut note = |id, outcome| match outcome {
            Outcome::Kept => kept.push(id),
            Outcome::Lost => lost.push(id),
        };
        self.left.retain_mut(|(id, settled)| match poll(settled) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                note(*id, outcome);
                false
            }
        });
        for flying in self.flying.iter_mut().filter(|flying| flying.outcome.is_none()) {
            if let Poll::Ready(outcome) = poll(&mut flying.settled) {
                flying.outcome = Some(outcome);
                note(flying.id, outcome);
            }
        }
        while let Some(outcome) = self.flying.front().and_then(|flying| flying.outcome) {
            let Some(flying) = self.flying.pop_front() else { break };
            match outcome {
                Outcome::Kept => flying.underway.kept(),
                Outcome::Lost => self.leaving = true,
            }
        }
    }

    /// The process died; what nobody heard of may be there or not.
    pub(super) fn die(&mut self, unknown: &mut Vec<u64>) {
        unknown.extend(self.left.drain(..).map(|(id, _)| id));
        let unheard = self.flying.drain(..).filter(|flying| flying.outcome.is_none());
        unknown.extend(unheard.map(|flying| flying.id));
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flying.is_empty() && self.left.is_empty()
    }
}

fn poll(settled: &mut Settled) -> Poll<Outcome> {
    Pin::new(settled).poll(&mut Context::from_waker(Waker::noop()))
}

fn batch(id: u64, stream: u64, size: usize) -> EventBatch {
    let mut text = format!("{id:020}").into_bytes();
    // Bytes that look like a frame are nothing special.
    text.extend_from_slice(b"FbF\x01");
    text.resize(size, b'x');
    let origin = Origin {
        source: format!("source {stream}").into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(0),
    };
    EventBatch {
        events: std::iter::once(0..text.len() as u32).collect(),
        text: text.into(),
        origin: Arc::new(origin),
        bookmark: Some(Bookmark { key: key(stream).into(), value: id.to_string().into() }),
        notes: Vec::new(),
    }
}

pub(super) fn id_of(batch: &EventBatch) -> u64 {
    std::str::from_utf8(&batch.text[..20]).unwrap().parse().unwrap()
}

pub(super) fn key(stream: u64) -> String {
    format!("key/{stream}")
}

const UNDERWAY_MAX: usize = 4;
