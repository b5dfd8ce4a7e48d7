//! Events whose source took them for readable and which are not: told once for each that sent such.
//!
//! A source of text reads `System` and no further; what stands behind it is read when it is written.
//! Promise: bounded, and nothing of an event is told.

use crate::event::Origin;
use crate::finding::Finding;
use std::collections::HashSet;

/// Of whom it has been told, in this life of the pipeline.
#[derive(Default)]
pub(super) struct Unread {
    told: HashSet<Box<str>>,
}

/// So many are told of; then it is known well enough.
const TOLD_MAX: usize = 1000;

impl Unread {
    pub(super) fn tell(&mut self, output: &str, origin: &Origin, why: String, report: &dyn Fn(Finding)) {
        let from = match (&origin.host, origin.address) {
            (Some(host), Some(address)) => format!("{} ({address})", host.escape_debug()),
            (Some(host), None) => host.escape_debug().to_string(),
            (None, _) => origin.file.as_deref().unwrap_or(&origin.source).escape_debug().to_string(),
        };
        if self.told.contains(&*from) || self.told.len() == TOLD_MAX {
            return;
        }
        self.told.insert(from.as_str().into());
        report(Finding {
            what: format!("output `{output}`: an event of {from} cannot be read"),
            why,
            fix: "it is written raw with the error beside it, or to the dead letter, as `undecodable` says"
                .into(),
        });
    }
}
