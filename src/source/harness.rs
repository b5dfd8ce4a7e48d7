//! A memory basin with one output that keeps everything, for the tests of sources.

use crate::basin::{Basin, BasinConfig, Budget, Full, MemoryConfig, OutputSpec, Start};
use crate::event::EventBatch;
use crate::units::ByteSize;
use bytes::Bytes;
use std::sync::{Arc, Mutex};

pub(super) struct Harness {
    pub(super) basin: Basin,
    batches: Arc<Mutex<Vec<Arc<EventBatch>>>>,
}

impl Harness {
    /// Inside a runtime; the output reads until the runtime ends.
    pub(super) fn new() -> Self {
        let output = OutputSpec { name: "all".into(), start: Start::Oldest, full: Full::Wait };
        let config = BasinConfig { disk: None, memory: Some(MemoryConfig::default()) };
        let basin = Basin::open(&config, &[output], &Budget::new(ByteSize::mib(64))).unwrap().0;
        let mut reader = basin.reader("all").unwrap();
        let batches = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&batches);
        #[expect(clippy::disallowed_methods, reason = "a reader for tests that ends with their runtime")]
        tokio::task::spawn(async move {
            while let Some(delivery) = reader.next().await {
                kept.lock().unwrap().push(delivery.batch);
                reader.cursor().confirm(delivery.position, Bytes::new());
            }
        });
        Self { basin, batches }
    }

    pub(super) fn batches(&self) -> Vec<Arc<EventBatch>> {
        self.batches.lock().unwrap().clone()
    }

    /// Texts of all events so far; undecodable ones begin with `!`.
    pub(super) fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        for batch in self.batches() {
            for index in 0..batch.events.len() {
                let raw = batch.notes_of(index).any(|note| note.kind == crate::event::NoteKind::Undecodable);
                let text = String::from_utf8(batch.event(index).to_vec()).unwrap();
                events.push(if raw { format!("!{text}") } else { text });
            }
        }
        events
    }
}
