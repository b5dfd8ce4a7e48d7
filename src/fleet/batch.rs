//! The next delivery of a stream: which events it holds, and its body.

use super::form::{Form, Hole, Wire};
use super::host::{Duty, Host};
use super::ledger::Entry;
use super::message::Caller;
use super::outgoing::Outgoing;
use super::template::{Filling, torn};
use crate::wsman::BookmarkList;
use crate::wsman::charset::Charset;
use crate::wsman::subscription::{Content, Encoding};
use std::ops::Range;
use std::sync::PoisonError;

/// What an envelope takes up beside its events and its bookmark, in UTF-16.
const ENVELOPE_BYTES: usize = 8192;
/// What the holes of an event and the element around it take up at most, in UTF-16.
const EVENT_BYTES: usize = 1024;
/// Events that a log grows by at most while one delivery looks for events it wants.
const SEARCH_MAX: u64 = 100_000;

/// Some events of a host's log.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// Of the log; not all that stand there are wanted.
    pub(super) range: Range<u64>,
    pub(super) numbers: Vec<u64>,
    /// One event was larger than any envelope and is left out.
    pub(super) oversize: u64,
    /// One of them that is not well-formed.
    pub(super) torn: Option<u64>,
}

impl Batch {
    /// Wanted events from `from` on: at most `most`, and none from `limit` on. Without a limit the log grows
    /// by what it takes.
    pub(super) fn next(host: &Host, duty: &Duty, from: u64, limit: Option<u64>, most: u64) -> Self {
        let plan = &host.shared.plan;
        let envelope = duty.task.subscription.max_envelope_bytes as usize;
        let mut batch = Self { range: from..from, ..Self::default() };
        let mut bytes = ENVELOPE_BYTES;
        let mut log = host.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut n = from;
        while (batch.numbers.len() as u64) < most && limit.is_none_or(|limit| n < limit) {
            if n >= log.len() {
                let missing = most - batch.numbers.len() as u64;
                if limit.is_some() || n - from > SEARCH_MAX {
                    break;
                }
                let before = log.len();
                log.grow(n + missing, host.now());
                let entry =
                    Entry::Log { host: host.number, events: before..n + missing, time: log.last_time() };
                host.shared.ledger.write(&entry);
            }
            let template = plan.pool.template(host.number, n) as usize;
            if duty.wanted.get(template).copied().unwrap_or_default() {
                let event = plan.pool.templates[template].utf16_bytes() + EVENT_BYTES;
                if ENVELOPE_BYTES + event > envelope {
                    batch.oversize += 1;
                } else if bytes + event > envelope {
                    break;
                } else {
                    bytes += event;
                    batch.numbers.push(n);
                }
            }
            n += 1;
        }
        batch.range.end = n;
        batch
    }

    pub(super) fn events(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// The bookmark behind these events.
    pub(super) fn bookmark(&self, host: &Host, before: &BookmarkList) -> BookmarkList {
        let pool = &host.shared.plan.pool;
        let mut after = before.clone();
        let mut last: Vec<(u16, u64)> = Vec::new();
        for &n in &self.numbers {
            let (channel, record) = pool.place(n);
            last.retain(|(known, _)| *known != channel);
            last.push((channel, record));
        }
        for (channel, record) in last {
            after.advance(&pool.channels[usize::from(channel)], record);
        }
        after
    }

    /// The delivery as Windows writes it.
    pub(super) fn request(
        &self,
        host: &Host,
        duty: &Duty,
        caller: Caller<'_>,
        bookmark: &BookmarkList,
    ) -> Outgoing {
        let (mut mark, ids) =
            (String::new(), [caller.message, caller.operation, caller.session].map(|id| id.to_string()));
        bookmark.write(&mut mark);
        let subscription = &duty.task.subscription;
        let rendered = subscription.content == Content::RenderedText;
        let pool = &host.shared.plan.pool;
        Outgoing::new(|out| {
            let mut wire = Wire::new(charset_of(duty), subscription.compressed, out);
            let (head, tail) = duty.task.delivery();
            let value = |hole| match hole {
                Hole::MessageId => ids[0].as_str(),
                Hole::OperationId => &ids[1],
                Hole::SessionId => &ids[2],
                Hole::Bookmark => &mark,
                _ => caller.machine,
            };
            head.put(value, &mut wire);
            let log = host.log.lock().unwrap_or_else(PoisonError::into_inner);
            for &n in &self.numbers {
                let (_, record) = pool.place(n);
                let filling = Filling { record, time: log.time(n), computer: &host.name };
                let template = &pool.templates[pool.template(host.number, n) as usize];
                wire.fixed(&duty.task.event_open);
                if self.torn == Some(n) {
                    let mut text = String::new();
                    template.write(filling, rendered, &mut text);
                    wire.fixed(&Form::new(&[&torn(&text)], &[]));
                } else {
                    template.put(filling, rendered, &mut wire);
                }
                wire.fixed(&duty.task.event_close);
            }
            wire.fixed(tail);
            wire.finish();
        })
    }
}

pub(super) fn charset_of(duty: &Duty) -> Charset {
    match duty.task.subscription.encoding {
        Encoding::Utf16 => Charset::Utf16,
        Encoding::Utf8 => Charset::Utf8,
    }
}
