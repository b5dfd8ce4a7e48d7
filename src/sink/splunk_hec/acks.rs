//! Waiting until events are indexed, where the token has indexer acknowledgement.
//!
//! A yes is given once and then forgotten by Splunk, so what was asked for in vain for too long is sent again.
//! Must not know: how requests with events are made.

use super::answer::Said;
use super::{Ack, SplunkHec};
use crate::finding::Finding;
use crate::sink::web::client::Trouble;
use crate::sink::web::progress::Waiting;
use crate::sink::{Encoded, SendError};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Pauses between questions: the first one, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Numbers in one question.
const NUMBERS_MAX: usize = 1000;

/// What one question brought.
enum Heard {
    Indexed(BTreeSet<u64>),
    /// Not to be had now.
    Nothing(Finding),
    /// The token acknowledges no more: what was taken is taken.
    SwitchedOff(Finding),
    /// Splunk has forgotten the channel, and with it whatever it would have said.
    Forgotten(Finding),
    Locked(Finding),
}

impl SplunkHec {
    /// Where acknowledgement is a must: whether the token has it, before anything is sent. The first address that
    /// answers says so for all.
    pub(super) async fn ask_for_acks(&mut self) -> Result<(), SendError> {
        if self.is_asked {
            return Ok(());
        }
        let mut silent = Vec::new();
        for endpoint in 0..self.courier.shared().client.endpoints() {
            match self.hear(endpoint, &[0]).await {
                Heard::Indexed(_) | Heard::Forgotten(_) => {
                    self.is_asked = true;
                    return Ok(());
                }
                Heard::Nothing(finding) => silent.push(finding),
                Heard::SwitchedOff(finding) | Heard::Locked(finding) => {
                    let peer = self.courier.shared().client.peer(endpoint).to_owned();
                    return Err(self.courier.lock(peer, finding).into());
                }
            }
        }
        let reasons: Vec<String> =
            silent.iter().map(|finding| format!("{}: {}", finding.what, finding.why)).collect();
        silent.into_iter().for_each(self.courier.report());
        Err(SendError::retry(self.courier.shared().client.peer(0), reasons.join("; ")))
    }

    /// Waits until all that was numbered is indexed, or is open again.
    pub(super) async fn indexed(&mut self, batch: &Arc<Encoded>) -> Result<(), SendError> {
        let mut pause = PAUSE_MIN;
        while !self.courier.progress(batch).waiting.is_empty() {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            for endpoint in 0..self.courier.shared().client.endpoints() {
                let of = |waiting: &&Waiting| waiting.endpoint == endpoint;
                let waiting = self.courier.progress(batch).waiting.iter().filter(of);
                let numbers: Vec<u64> = waiting.map(|waiting| waiting.number).take(NUMBERS_MAX).collect();
                if !numbers.is_empty() {
                    let heard = self.hear(endpoint, &numbers).await;
                    self.note(batch, endpoint, heard)?;
                }
            }
            self.give_up(batch);
        }
        Ok(())
    }

    fn note(&mut self, batch: &Arc<Encoded>, endpoint: usize, heard: Heard) -> Result<(), SendError> {
        let peer = self.courier.shared().client.peer(endpoint).to_owned();
        let report = self.courier.report();
        match heard {
            Heard::Indexed(numbers) => {
                self.settle(
                    batch,
                    |waiting| waiting.endpoint == endpoint && numbers.contains(&waiting.number),
                    true,
                );
            }
            Heard::Nothing(finding) => report(finding),
            Heard::SwitchedOff(finding) => {
                report(finding);
                self.settle(batch, |waiting| waiting.endpoint == endpoint, true);
            }
            Heard::Forgotten(finding) => {
                report(finding);
                self.settle(batch, |waiting| waiting.endpoint == endpoint, false);
            }
            Heard::Locked(finding) => return Err(self.courier.lock(peer, finding).into()),
        }
        Ok(())
    }

    /// What takes too long is sent again.
    fn give_up(&mut self, batch: &Arc<Encoded>) {
        let timeout = self.ack_timeout;
        let open = self.settle(batch, |waiting| waiting.since.elapsed() >= timeout, false);
        if open > 0 {
            self.courier.report()(Finding {
                what: format!("{} did not say that events are indexed", self.courier.shared().client.peer(0)),
                why: format!("nothing came within {timeout:?}; they are sent again and may be there twice"),
                fix: "see whether its indexers are behind; behind a load balancer it must keep us at one indexer; or \
                      write a longer `ack_timeout`"
                    .into(),
            });
        }
    }

    /// Those which are so have been indexed, or are open again; how many events the latter are.
    fn settle(&mut self, batch: &Arc<Encoded>, is_so: impl Fn(&Waiting) -> bool, indexed: bool) -> usize {
        let progress = self.courier.progress(batch);
        let (settled, waiting): (Vec<Waiting>, Vec<Waiting>) =
            std::mem::take(&mut progress.waiting).into_iter().partition(is_so);
        progress.waiting = waiting;
        let mut open = 0;
        for waiting in settled {
            if indexed {
                progress.taken(&waiting.items);
            } else {
                progress.open(&waiting.items);
                open += waiting.items.len();
            }
        }
        self.courier.repeat(open);
        open
    }

    async fn hear(&self, endpoint: usize, numbers: &[u64]) -> Heard {
        let shared = self.courier.shared();
        let hec = &shared.protocol;
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let body = Bytes::from(format!("{{\"acks\":[{}]}}", numbers.join(",")));
        let path = format!("/services/collector/ack?channel={}", hec.channel);
        let ask = match shared.signed(hec.ask_at(path, body)) {
            Ok(ask) => ask,
            Err(finding) => return Heard::Locked(finding),
        };
        let answer = match shared.client.ask_one(endpoint, &ask, &self.courier.report()).await {
            Ok(answer) => answer,
            Err(Trouble::Unsent { finding, .. }) => return Heard::Nothing(finding),
            Err(Trouble::Unanswered { peer, reason, .. }) => {
                return Heard::Nothing(Finding {
                    what: format!("{peer} does not say whether events are indexed"),
                    why: reason,
                    fix: "it is asked again; see its own log".into(),
                });
            }
        };
        let said = Said::parse(&answer.body);
        if let Some(acks) = said.as_ref().and_then(|said| said.acks.as_ref()).filter(|_| answer.is_success())
        {
            return Heard::Indexed(acks.iter().filter(|(_, is)| **is).map(|(number, _)| *number).collect());
        }
        let words = said.as_ref().map_or_else(|| answer.words(), Said::words);
        let finding = |what: &str, fix: &str| Finding {
            what: format!("{} {what}", answer.peer),
            why: format!("{}: {words}", answer.status),
            fix: fix.into(),
        };
        match (answer.status, said.and_then(|said| said.code)) {
            (_, Some(14)) => {
                let fix = match hec.ack {
                    Ack::On => "switch indexer acknowledgement on for the token, or write `ack = \"auto\"`",
                    _ => {
                        "events count when the collector has taken them; write `ack = \"off\"` if that is meant"
                    }
                };
                Heard::SwitchedOff(finding("does not acknowledge what is indexed with this token", fix))
            }
            (_, Some(10 | 11)) => Heard::Forgotten(finding(
                "has forgotten what it was to acknowledge",
                "events are sent again and may be there twice; see whether the indexer was restarted",
            )),
            (401 | 403, _) => Heard::Locked(finding(
                "does not let us in any more",
                "correct the token; a changed file is noticed at once",
            )),
            _ => Heard::Nothing(finding("does not say whether events are indexed", "it is asked again")),
        }
    }
}
