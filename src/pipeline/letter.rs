//! Dead letters: events that a sink will never take, or that nobody can read, are put where a
//! person finds them, durably, before the lane goes on.
//!
//! ```text
//! dead-letter/<output>/<day>.jsonl    {"output":…,"error":…,"received":…,"source":…,"host":…,"notes":[…],"text":…}
//!
//! refused ─► another output ─► refused there too ─► where that one's own go ─► … ─► a folder
//! ```
//!
//! What nobody takes comes back to the lane that it is of, and only that one waits: an output that
//! others send theirs to never does, for what is not its own. `source.replay` reads the files.
//! Must not know: sinks, formats.

use crate::event::{EventBatch, Timestamp, text};
use crate::units::ByteSize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Where an output's dead letters go.
pub(super) enum Letters {
    Folder {
        path: PathBuf,
        bytes_max: u64,
    },
    /// The lane of another output.
    Lane {
        output: String,
        lane: mpsc::Sender<Letter>,
        /// Where that one's own go: so does what it refuses too.
        beyond: Box<Self>,
    },
    /// Nowhere: the lane waits for somebody to change the pipeline.
    Nowhere,
}

/// Events on their way to another output.
pub(super) struct Letter {
    pub(super) events: Vec<Dead>,
    pub(super) taken: Taken,
}

/// Told when the other output has them durably, but for those that it refuses: their places among
/// them, and the words. Dropped when it never will.
pub(super) type Taken = oneshot::Sender<Vec<(usize, String)>>;

/// One event and why it is here.
#[derive(Clone, Debug)]
pub(super) struct Dead {
    pub(super) delivery: Arc<EventBatch>,
    pub(super) event: usize,
    pub(super) error: String,
}

/// What became of events that were to be put away.
pub(super) struct Put<'l> {
    /// With the words of all who refused them, and who has them now.
    pub(super) taken: Vec<(Dead, &'l Letters)>,
    pub(super) left: Option<Left>,
}

/// Events that nobody has.
pub(super) struct Left {
    pub(super) events: Vec<Dead>,
    /// How many places are behind them, which are not asked again.
    pub(super) behind: usize,
    pub(super) why: String,
}

impl Letters {
    /// Puts the events away, each with the first that takes it, from the place on that so many are
    /// before. What is left may be put away again; what was put away twice stands there twice.
    pub(super) async fn put(
        &self,
        output: &str,
        events: Vec<Dead>,
        mut behind: usize,
        now: Timestamp,
    ) -> Put<'_> {
        let (mut taken, mut place) = (Vec::new(), self.beyond(behind));
        // The same, with what was said on the way.
        let (mut left, mut open) = (events.clone(), events);
        loop {
            let refused = match place.take(output, &open, now).await {
                Ok(refused) => refused,
                Err(why) => {
                    let words = open.first().map_or("", |dead| &dead.error);
                    let why = if behind == 0 { why } else { format!("{words}; after that: {why}") };
                    let left = match place {
                        // It will take them; who refused them is not asked again until then.
                        Self::Folder { .. } => Left { events: open, behind, why },
                        Self::Lane { .. } | Self::Nowhere => Left { events: left, behind: 0, why },
                    };
                    return Put { taken, left: Some(left) };
                }
            };
            let mut refused: BTreeMap<usize, String> = refused.into_iter().collect();
            let both = std::mem::take(&mut left).into_iter().zip(std::mem::take(&mut open));
            for (index, (came, dead)) in both.enumerate() {
                let Some(words) = refused.remove(&index) else {
                    taken.push((dead, place));
                    continue;
                };
                left.push(came);
                open.push(Dead { error: format!("{}; after that: {place}: {words}", dead.error), ..dead });
            }
            match place {
                Self::Lane { beyond, .. } if !open.is_empty() => (place, behind) = (beyond, behind + 1),
                _ => return Put { taken, left: None },
            }
        }
    }

    fn beyond(&self, behind: usize) -> &Self {
        match self {
            Self::Lane { beyond, .. } if behind > 0 => beyond.beyond(behind - 1),
            _ => self,
        }
    }

    /// One place; what it refuses.
    ///
    /// # Errors
    /// Why it takes none of them, now.
    async fn take(
        &self,
        output: &str,
        events: &[Dead],
        now: Timestamp,
    ) -> Result<Vec<(usize, String)>, String> {
        match self {
            Self::Folder { path, bytes_max } => {
                let (folder, bytes_max, lines) = (path.clone(), *bytes_max, lines(output, events));
                let write = move || append(&folder, bytes_max, &lines, now);
                let written = tokio::task::spawn_blocking(write).await.map_err(|panic| panic.to_string())?;
                written.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Vec::new())
            }
            Self::Lane { lane, .. } => {
                let (taken, done) = oneshot::channel();
                let gone = || format!("{self} has ended");
                lane.send(Letter { events: events.to_vec(), taken }).await.map_err(|_| gone())?;
                done.await.map_err(|_| gone())
            }
            Self::Nowhere => {
                Err("there is no dead letter; set `dead_letter.path`, or use `[basin.disk]`".into())
            }
        }
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, .. } => write!(f, "{}", path.display()),
            Self::Lane { output, .. } => write!(f, "output `{output}`"),
            Self::Nowhere => f.write_str("nowhere"),
        }
    }
}

fn lines(output: &str, events: &[Dead]) -> Vec<u8> {
    let mut out = Vec::new();
    for dead in events {
        let origin = &dead.delivery.origin;
        let member = |name: &str, value: &[u8], out: &mut Vec<u8>| {
            out.push(if out.last().is_none_or(|last| *last == b'\n') { b'{' } else { b',' });
            let _ = write!(out, "\"{name}\":\"");
            text::json_from_text(value, out);
            out.push(b'"');
        };
        member("output", output.as_bytes(), &mut out);
        member("error", dead.error.as_bytes(), &mut out);
        let mut received = Vec::with_capacity(30);
        origin.received.write(9, &mut received);
        member("received", &received, &mut out);
        member("source", origin.source.as_bytes(), &mut out);
        if let Some(host) = &origin.host {
            member("host", host.as_bytes(), &mut out);
        }
        if let Some(address) = &origin.address {
            member("address", address.to_string().as_bytes(), &mut out);
        }
        if let Some(subscription) = &origin.subscription {
            member("subscription", subscription.as_bytes(), &mut out);
        }
        if let Some(file) = &origin.file {
            member("file", file.as_bytes(), &mut out);
        }
        let mut notes = dead.delivery.notes_of(dead.event).peekable();
        if notes.peek().is_some() {
            out.extend_from_slice(b",\"notes\":[");
            for note in notes {
                let comma = if out.ends_with(b"[") { "" } else { "," };
                let _ = write!(out, "{comma}{{\"kind\":\"{}\",\"detail\":\"", note.kind.name());
                text::json_from_text(note.detail.as_bytes(), &mut out);
                out.extend_from_slice(b"\"}");
            }
            out.push(b']');
        }
        let raw = String::from_utf8_lossy(dead.delivery.event(dead.event));
        member("text", raw.as_bytes(), &mut out);
        out.extend_from_slice(b"}\n");
    }
    out
}

fn append(folder: &Path, bytes_max: u64, lines: &[u8], now: Timestamp) -> io::Result<()> {
    let day: String = now.to_string().chars().take(10).collect();
    let path = folder.join(format!("{day}.jsonl"));
    let is_new = !path.exists();
    if is_new {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // A folder may be that of several outputs: each appends behind the other, which none sees without this.
    let turn = File::open(folder)?;
    turn.lock()?;
    if bytes_max < u64::MAX {
        let has = bytes(folder)?;
        if has + lines.len() as u64 > bytes_max {
            let (has, most) = (ByteSize(has), ByteSize(bytes_max));
            let full =
                format!("full, with {has} of {most}; take files away, or raise `dead_letter.size_max`");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, full));
        }
    }
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    let end = file.metadata()?.len();
    // A line that was cut off by a crash must not swallow the next one.
    let mut last = [b'\n'];
    if end > 0 {
        file.read_exact_at(&mut last, end - 1)?;
    }
    let mut whole = Vec::with_capacity(lines.len() + 1);
    whole.extend_from_slice(if last == *b"\n" { b"" } else { b"\n" });
    whole.extend_from_slice(lines);
    if let Err(error) = file.write_all_at(&whole, end).and_then(|()| file.sync_data()) {
        // Half a line would stay for ever; if this fails too, the next line begins on its own.
        let _ = file.set_len(end);
        return Err(error);
    }
    if is_new {
        for folder in folder.ancestors().take(3).filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
    }
    Ok(())
}

/// Of all files in it; there is one a day.
fn bytes(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two outputs may name one folder.
    #[test]
    fn who_shares_a_folder_writes_over_nobody() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let folder = folder.path();
                scope.spawn(move || {
                    for number in 0..50 {
                        let line = format!("{writer} {number}\n");
                        append(folder, u64::MAX, line.as_bytes(), Timestamp(0)).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(folder.path().join("1970-01-01.jsonl")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!((lines.len(), text.lines().count()), (200, 200));
    }
}
