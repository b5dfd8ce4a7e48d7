//! Where space comes from when the log is at its limit, or the disk is full.
//!
//! In this order: what all have read; what is only retained; then, where every cursor on the oldest
//! segment allows it, the oldest unread. Else intake waits.

use super::super::{Full, Position};
use super::core::Core;
use super::frame::Totals;
use crate::event::Timestamp;
use crate::finding::Finding;

impl Core {
    /// Makes space where a policy allows it. `false`: intake waits until an output reads on.
    pub(super) fn reclaim(&mut self) -> bool {
        if !self.writing && self.chores.wanted_bytes.is_some() && self.segments.len() == 1 {
            // All is in the one segment that the next batch does not fit: closed, it can go.
            self.close_active();
        }
        let Some(front) = self.segments.front().filter(|front| !self.is_active(front.number)).cloned() else {
            return false;
        };
        if self.is_read(front.last) {
            self.chores.squeeze = true;
            return true;
        }
        let behind: Vec<usize> =
            (0..self.outputs.len()).filter(|index| self.outputs[*index].confirmed < front.last).collect();
        let allowed = behind.iter().all(|index| self.outputs[*index].full == Full::SkipOldest);
        // Whether the log is only waiting for cursors or the snapshot to become durable.
        if behind.is_empty() {
            let mut hurried = false;
            for output in self.outputs.iter_mut().filter(|output| output.durable < front.last) {
                hurried |= output.retry_at.is_none();
                output.urgent = true;
            }
            return hurried;
        }
        // Nobody waits for space as long as the active segment has some.
        if self.chores.wanted_bytes.is_none() {
            return false;
        }
        if !allowed {
            self.note_full();
            return false;
        }
        for index in behind {
            self.skip(index, front.last, front.through, front.number);
        }
        true
    }

    /// Everybody is done with this segment, and it need not be retained.
    pub(super) fn can_go(&self, index: usize, now: Timestamp) -> bool {
        let segment = self.segments.get(index);
        segment.is_some_and(|one| !self.is_active(one.number) && self.is_read(one.last))
            && !self.is_retained(index, now)
    }

    pub(super) fn is_retained(&self, index: usize, now: Timestamp) -> bool {
        let retain = self.options.retain;
        if retain.age.is_none() && retain.size.is_none() {
            return false;
        }
        let from_here = || self.segments.iter().skip(index);
        let young = retain.age.is_none_or(|age| {
            let nanos = i64::try_from(age.0.as_nanos()).unwrap_or(i64::MAX);
            from_here().next().is_some_and(|segment| now.0.saturating_sub(segment.last_at.0) < nanos)
        });
        let read: u64 = from_here().take_while(|one| self.is_read(one.last)).map(|one| one.bytes).sum();
        young && retain.size.is_none_or(|size| read <= size.0)
    }

    fn skip(&mut self, index: usize, to: Position, through: Totals, number: u64) {
        let output = &mut self.outputs[index];
        let events = through.events.saturating_sub(output.totals.events);
        output.skipped_events += events;
        (output.confirmed, output.totals) = (to, through);
        output.at = output.at.max(to);
        (output.dirty, output.urgent) = (true, true);
        let name = output.name.clone();
        self.note_finding(Finding {
            what: format!("output `{name}`: {events} events were skipped"),
            why: format!(
                "the basin is full, and `full = \"skip-oldest\"` lets its oldest segment ({number}) go"
            ),
            fix: "find out why the output is slow, or raise `size_max` of `[basin.disk]`".into(),
        });
    }

    fn note_full(&mut self) {
        if self.stats.full {
            return;
        }
        self.stats.full = true;
        let slowest = self.outputs.iter().min_by_key(|output| output.confirmed);
        let name = slowest.map_or(String::new(), |output| format!(" (`{}` is furthest behind)", output.name));
        self.note_finding(Finding {
            what: "basin: it is full, so intake waits".into(),
            why: format!("its {} bytes hold what some output has not read{name}", self.options.size_max),
            fix: "find out why the output is slow; raise `size_max`, choose `skip-oldest` for it, or release a cursor that no output has any more with `forebay basin forget PATH NAME`".into(),
        });
    }
}
