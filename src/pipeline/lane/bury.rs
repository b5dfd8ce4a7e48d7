//! Dead letters of a lane: its own to their place, those of other outputs to its far end.
//!
//! An output that takes others' letters sends each event once and says what its far end refuses; whose
//! they are waits for these, and tries again. So nothing of it stops the one that takes them.
//! Must not know: files, formats.

use super::reasons::plain;
use super::{Dead, Halt, Parts, Way, now};
use crate::finding::Finding;
use crate::pipeline::batch::Batch;
use crate::pipeline::letter::{Left, Letters, Put, Taken};
use crate::sink::SendError;
use std::sync::Arc;

/// What the far end, or the sink by what it knows of it, does not take.
pub(super) const REFUSED: &str = "events were refused";
/// What comes from the basin for the dead letter.
pub(super) const UNSENT: &str = "events went to the dead letter unsent";

impl Way {
    /// Puts events into the dead letter; waits where it cannot take.
    pub(super) async fn bury(&mut self, what: &str, mut events: Vec<Dead>) -> Result<(), Halt> {
        let mut behind = 0;
        while !events.is_empty() {
            // The other lane may wait for a pass itself, and needs one to take them.
            if matches!(self.letters, Letters::Lane { .. }) {
                self.pass = None;
            }
            let Put { taken, left } = self.letters.put(&self.output, events, behind, now()).await;
            for (dead, place) in &taken {
                self.reasons.note(&self.output, what, &dead.error, place);
            }
            self.reasons.tell(&self.output, &*self.report);
            self.metrics.dead_lettered.inc_by(taken.len() as u64);
            if !taken.is_empty() {
                self.backoff.reset();
            }
            if self.pass.is_none() {
                self.enter().await?;
            }
            let Some(left) = left else { return Ok(()) };
            let why = plain(&left.why);
            Left { events, behind, .. } = left;
            self.pause(&SendError::retry("dead letter", why.clone())).await?;
            // What only a change-over brings about has ended with it.
            if self.backoff.failures().is_power_of_two() {
                (self.report)(self.stuck(why), 1);
            }
        }
        Ok(())
    }

    fn stuck(&self, why: String) -> Finding {
        Finding {
            what: format!("output `{}` waits: its dead letter does not take what was refused", self.output),
            why,
            fix: "mend what it says, or set `dead_letter.path` to a folder; nothing is lost meanwhile".into(),
        }
    }

    /// Sends what another output could not deliver, and gives back what is refused here too.
    pub(super) async fn take_letter(&mut self, mut batch: Batch, taken: Taken) -> Result<Batch, Halt> {
        // They are of another cursor.
        self.settle().await?;
        self.enter().await?;
        let encoded = Arc::new(batch.encoded());
        let (mut parts, mut refused) = (Parts::of(&encoded), Vec::new());
        self.sink.of_others(true);
        while let Some(more) = self.send(&encoded, &mut parts).await? {
            refused.extend(more);
        }
        self.sink.of_others(false);
        if self.held.is_any() {
            self.settle().await?;
            self.enter().await?;
        }
        // The other lane moves its cursor next, so what was just written may not be taken back.
        self.make_durable().await?;
        self.pass = None;
        batch.recycle(Arc::try_unwrap(encoded).ok());
        // Nobody listens when the other lane was stopped meanwhile; its cursor stays before these.
        let _ = taken.send(refused);
        Ok(batch)
    }
}
