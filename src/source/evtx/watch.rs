//! Wakes the reader when something in the logs' folders changes. Only ever a hint: where there is
//! no notification (network shares, mapped files), polling finds everything too.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Most folders that are watched; the others are polled.
const FOLDERS_MAX: usize = 1024;
/// Changes come in bursts: they are looked at together.
const BURST: Duration = Duration::from_millis(20);

/// What the reader waits on.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    woken: Receiver<()>,
}

/// Ends a wait early, from another thread.
#[derive(Clone, Debug)]
pub(super) struct Waker(SyncSender<()>);

impl Waker {
    pub(super) fn wake(&self) {
        // A full channel has woken it already.
        let _ = self.0.try_send(());
    }
}

impl Watch {
    pub(super) fn new(source: &str) -> (Self, Waker) {
        let (sender, woken) = sync_channel(1);
        let waker = Waker(sender);
        let changed = waker.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a log must not count as a change of it.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                changed.wake();
            }
        });
        let watcher = watcher
            .inspect_err(
                |error| tracing::info!(source, %error, "no notification of changes: logs are polled"),
            )
            .ok();
        (Self { watcher, watched: BTreeSet::new(), woken }, waker)
    }

    /// Watches these folders from now on, and no others.
    pub(super) fn folders(&mut self, folders: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(folders) {
            // It may have been deleted, which ends the watch by itself.
            let _ = watcher.unwatch(gone);
        }
        self.watched.retain(|folder| folders.contains(folder));
        for folder in folders {
            if self.watched.len() >= FOLDERS_MAX {
                break;
            }
            if !self.watched.contains(folder) && watcher.watch(folder, RecursiveMode::NonRecursive).is_ok() {
                self.watched.insert(folder.clone());
            }
        }
    }

    /// Until something changes, at most for `poll`.
    pub(super) fn wait(&self, poll: Duration) {
        match self.woken.recv_timeout(poll) {
            Ok(()) => {
                std::thread::sleep(BURST.min(poll));
                let _ = self.woken.try_recv();
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody can wake it any more: polling goes on.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(poll),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tempfile::TempDir;

    #[test]
    fn a_change_ends_the_wait_and_reading_does_not() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "a").unwrap();
        let (mut watch, waker) = Watch::new("test");
        watch.folders(&[folder.path().to_owned()].into());
        std::fs::read(&path).unwrap();
        let start = Instant::now();
        watch.wait(Duration::from_millis(50));
        assert!(start.elapsed() >= Duration::from_millis(50));
        std::fs::write(&path, "b").unwrap();
        watch.wait(Duration::from_secs(60));
        waker.wake();
        watch.wait(Duration::from_secs(60));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
