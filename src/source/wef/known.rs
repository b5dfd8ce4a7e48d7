//! What hosts were asked for before. A channel that joins a subscription which hosts already have brings
//! its whole history, whatever `read_existing` says; that is told when it begins.
//!
//! ```text
//! key in the basin = <source>//<subscription id>     value = the channels, a line each
//! ```
//! Between the slashes stands no machine, so the key is no bookmark of any.

use super::subscription::{Subscribed, Subscriptions};
use crate::basin::Basin;
use crate::event::{Bookmark, EventBatch, Origin};
use crate::finding::Finding;
use crate::source::{Report, batch};
use crate::wsman::QueryList;
use crate::wsman::check::check_change;
use bytes::Bytes;
use std::sync::Arc;

/// Tells what joined since the last run, and keeps what is asked for now.
pub(super) async fn remember(source: &str, subscriptions: &Subscriptions, basin: &Basin, report: &Report) {
    for subscribed in subscriptions.iter() {
        let key = format!("{source}//{}", subscribed.id);
        let channels = subscribed.subscription.query.channels().join("\n");
        let before = basin.bookmark(&key);
        if before.as_deref() == Some(channels.as_bytes()) {
            continue;
        }
        if let Some(before) = before
            && is_live(source, subscribed, basin)
        {
            joined(subscribed, &before).into_iter().for_each(|finding| report.find(finding));
        }
        // When it is lost, the same is told again at the next start.
        let _ = basin.append(kept(source, &key, channels)).await;
    }
}

/// Whether a host has delivered for it.
fn is_live(source: &str, subscribed: &Subscribed, basin: &Basin) -> bool {
    let (prefix, own, end) = (format!("{source}/"), format!("{source}//"), format!("/{}", subscribed.id));
    let bookmarks = basin.bookmarks(&prefix);
    bookmarks.iter().any(|(key, _)| key.ends_with(&end) && !key.starts_with(&own))
}

fn joined(subscribed: &Subscribed, before: &[u8]) -> Vec<Finding> {
    let before = String::from_utf8_lossy(before);
    let before = QueryList::of(before.lines().map(|channel| (channel, "*")));
    let finding = |problem: crate::wsman::check::Problem| {
        let text = problem.to_string();
        let (why, fix) = text.split_once("; ").unwrap_or((&text, ""));
        Finding {
            what: format!("the subscription `{}` asks for one more channel", subscribed.name),
            why: why.into(),
            fix: fix.into(),
        }
    };
    check_change(&before, &subscribed.subscription.query).into_iter().map(finding).collect()
}

fn kept(source: &str, key: &str, channels: String) -> EventBatch {
    let origin = Origin {
        source: source.into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: batch::now(),
    };
    EventBatch {
        text: Bytes::new(),
        events: Vec::new(),
        origin: Arc::new(origin),
        bookmark: Some(Bookmark { key: key.into(), value: channels.into() }),
        notes: Vec::new(),
    }
}
