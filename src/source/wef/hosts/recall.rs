//! Keeps the table while a collector runs, and forgets hosts that are gone.
//!
//! Promise: what the basin does not take now is written the next time. Must not know: what is in the table.

use super::keep;
use crate::event::{Bookmark, EventBatch, Outcome};
use crate::finding::Finding;
use crate::source::batch;
use crate::source::wef::session::Collector;
use bytes::Bytes;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Collector {
    /// Takes back what an earlier run kept.
    pub(in crate::source::wef) fn recall_hosts(&self) {
        let wrong = self.hosts.take_back(&self.basin.bookmarks(&keep::prefix(&self.source)));
        if wrong > 0 {
            self.report.find(Finding {
                what: format!("source `{}`: {wrong} parts of the table of hosts cannot be read", self.source),
                why: "they are of no form that this version knows".into(),
                fix: "none is needed: hosts come back into it as they are heard; bookmarks are not in it"
                    .into(),
            });
        }
    }

    /// Keeps the table now and then, for ever.
    pub(in crate::source::wef) async fn keep_hosts(&self, forget_after: Duration) -> Infallible {
        let mut kept = Instant::now();
        loop {
            let (active, silent) = self.hosts.counted(batch::now());
            self.report.hosts(active, silent);
            tokio::time::sleep(COUNT_EVERY).await;
            if kept.elapsed() >= KEEP_EVERY {
                kept = Instant::now();
                self.forget_hosts(forget_after).await;
                self.keep_now().await;
            }
        }
    }

    /// Keeps what changed.
    pub(in crate::source::wef) async fn keep_now(&self) {
        for (key, value) in self.hosts.changed(&self.source) {
            if self.put(key.clone(), value).await == Outcome::Lost {
                self.hosts.not_kept(&self.source, &key);
            }
        }
        for (key, value) in self.names.changed() {
            if self.put(key.clone(), value).await == Outcome::Lost {
                self.names.not_kept(&key);
            }
        }
    }

    async fn forget_hosts(&self, after: Duration) {
        for machine in self.hosts.forget(after, batch::now()) {
            tracing::info!(source = &*self.source, host = &*machine, "not heard of for long: forgotten");
            // The other end is that of one of several machines of this name.
            for end in ['/', '@'] {
                for (key, _) in self.basin.bookmarks(&format!("{}/{machine}{end}", self.source)) {
                    // What is not removed now stays: the host may come back and be forgotten again.
                    self.put(key, Bytes::new()).await;
                }
            }
            self.names.forget(&machine);
        }
    }

    async fn put(&self, key: Box<str>, value: Bytes) -> Outcome {
        let batch = EventBatch {
            text: Bytes::new(),
            events: Vec::new(),
            origin: Arc::new(batch::origin(&self.source, None)),
            bookmark: Some(Bookmark { key, value }),
            notes: Vec::new(),
        };
        self.basin.append(batch).await
    }
}

/// It is for people, who look at it once in a while.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// How old the figures of the metrics are at most.
const COUNT_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::source::wef::harness::{Harness, Machine, SYSTEM, bookmark, event};

    const PC: &str = "pc1.example.org";

    #[tokio::test]
    async fn the_table_outlives_a_restart_and_forgotten_hosts_their_bookmarks_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let harness = Harness::disk(folder.path());
        let (pc, at) = (Machine::new(PC), bookmark("System", 7));
        pc.deliver(&harness, SYSTEM, &[event("System", 7, PC)], Some(&at)).await;
        harness.collector.keep_now().await;
        harness.close().await;

        let again = Harness::disk(folder.path());
        again.collector.recall_hosts();
        let shown = again.collector.hosts.shown("dc", batch::now(), &|_| None);
        assert_eq!((shown.len(), &shown[0]["host"], &shown[0]["events"]), (1, &PC.into(), &1.into()));
        assert_eq!(pc.bookmark(&again, SYSTEM).await, Some(at));
        again.collector.hosts.heard(PC, Timestamp(1), |_| {});
        again.collector.forget_hosts(Duration::from_secs(3600)).await;
        again.collector.keep_now().await;
        assert_eq!(pc.bookmark(&again, SYSTEM).await, None);
        again.close().await;

        let last = Harness::disk(folder.path());
        last.collector.recall_hosts();
        assert_eq!(last.collector.hosts.shown("dc", batch::now(), &|_| None), [serde_json::json!(null); 0]);
        assert_eq!(last.findings(), [""; 0]);
    }
}
