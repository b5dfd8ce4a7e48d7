//! Messages on a connection, and when they count as delivered.
//!
//! ```text
//! items ─► chunk of frames ─► write … ─► last byte written ─► kernel's queue empty ─► still open ─► confirmed
//!                   │                                                │                    │
//!                   └── queue empty and open here: sure up to here   └── no end: silent   └── no: sent again
//! ```
//!
//! A receiver that turns senders away accepts them first, so the moment that counts comes not before a new connection
//! has settled. Promise: what is sure is not sent again; all else of a batch is, after a cut. A future that is dropped
//! takes its connection with it. Must not know: what a message means.

use super::{Line, Receivers, Trouble, Turn, too_long};
use crate::finding::Finding;
use crate::sink::{Attachment, Encoded, Refusal, SendError, Sent};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Frames that are written at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Between two looks at the kernel's queue.
pub(in crate::sink) const LOOK_MIN: Duration = Duration::from_millis(1);
pub(in crate::sink) const LOOK_MAX: Duration = Duration::from_millis(16);

/// Sends batches to receivers of streams.
pub(in crate::sink) struct Streams {
    receivers: Receivers,
    manner: Manner,
    /// Taken out while it is in use.
    line: Option<Line>,
    progress: Option<Progress>,
    chunk: Vec<u8>,
}

/// How messages go on a connection.
#[derive(Clone, Copy)]
pub(in crate::sink) struct Manner {
    pub(in crate::sink) frames: Frames,
    pub(in crate::sink) message_bytes_max: usize,
    /// How long a receiver may take nothing.
    pub(in crate::sink) patience: Duration,
    /// The setting that says so.
    pub(in crate::sink) setting: &'static str,
}

/// What tells messages apart.
#[derive(Clone, Copy, Debug)]
pub(in crate::sink) enum Frames {
    /// The number of bytes, as text, and a blank before each.
    Counted,
    /// LF behind each; one that stands in it, and NUL, become blanks.
    Lines,
    /// Each brings it along, or needs nothing.
    Own,
}

/// How far a batch has come.
pub(in crate::sink) struct Progress {
    pub(in crate::sink) batch: Arc<Encoded>,
    /// Items before this one are confirmed or refused.
    pub(in crate::sink) sure: usize,
    pub(in crate::sink) refused: Vec<Refusal>,
}

impl Progress {
    /// Of this batch, by what is known of the attempt before.
    pub(in crate::sink) fn of(batch: &Arc<Encoded>, known: Option<Self>) -> Self {
        let known = known.filter(|known| Arc::ptr_eq(&known.batch, batch));
        let begin = || Self { batch: Arc::clone(batch), sure: 0, refused: Vec::new() };
        let mut progress = known.unwrap_or_else(begin);
        // The others are found again now.
        progress.refused.retain(|refused| (refused.item as usize) < progress.sure);
        progress
    }

    /// To its end.
    pub(in crate::sink) fn sent(self) -> Sent {
        if self.refused.is_empty() { Sent::Confirmed } else { Sent::Partly(self.refused) }
    }
}

impl Streams {
    pub(in crate::sink) fn new(receivers: Receivers, manner: Manner) -> Self {
        Self { receivers, manner, line: None, progress: None, chunk: Vec::new() }
    }

    pub(in crate::sink) fn attach(&mut self, attachment: Attachment) {
        self.receivers.attach(attachment);
    }

    pub(in crate::sink) async fn send(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        let known = self.progress.take();
        let progress = self.progress.insert(Progress::of(batch, known));
        let mut line = match usable(self.line.take()).await {
            Some(line) => line,
            None => self.receivers.connect(async |line| Ok(line)).await?,
        };
        let mut way = Deliver { manner: self.manner, chunk: &mut self.chunk };
        match way.all(&mut line, progress).await {
            Ok(()) => self.line = Some(line),
            Err(trouble) => return Err(self.receivers.failed(trouble)),
        }
        Ok(self.progress.take().map_or(Sent::Confirmed, Progress::sent))
    }

    /// What would keep it from delivering, as far as a connection tells.
    pub(in crate::sink) async fn probe(&self, output: &str) -> Vec<Finding> {
        let greet = async |line: Line| -> Result<(), Trouble> {
            line.goodbye().await;
            Ok(())
        };
        self.receivers.probe(output, greet).await
    }

    pub(in crate::sink) async fn close(&mut self) {
        if let Some(line) = self.line.take() {
            line.goodbye().await;
        }
    }
}

/// A line that the other end has not left meanwhile.
async fn usable(line: Option<Line>) -> Option<Line> {
    let mut line = line?;
    matches!(line.is_open(true).await, Ok(true)).then_some(line)
}

struct Deliver<'d> {
    manner: Manner,
    chunk: &'d mut Vec<u8>,
}

impl Deliver<'_> {
    async fn all(&mut self, line: &mut Line, progress: &mut Progress) -> Result<(), Trouble> {
        let batch = Arc::clone(&progress.batch);
        let mut next = progress.sure;
        while next < batch.items.len() {
            next = self.fill(&batch, next, &mut progress.refused);
            self.write(line).await?;
            let is_sure = line.settles_in().is_zero() && line.is_acknowledged().map_err(broken(line))?;
            if is_sure && line.is_open(true).await? {
                progress.sure = next;
            }
        }
        if progress.sure < next {
            self.settle(line).await?;
        }
        Ok(())
    }

    /// Frames of the items from `next` on; where it ended.
    fn fill(&mut self, batch: &Encoded, mut next: usize, refused: &mut Vec<Refusal>) -> usize {
        self.chunk.clear();
        while next < batch.items.len() && self.chunk.len() < CHUNK_BYTES {
            let message = batch.item(next);
            if message.len() > self.manner.message_bytes_max {
                refused.push(too_long(next, message.len(), self.manner.message_bytes_max));
            } else {
                frame(self.manner.frames, message, self.chunk);
            }
            next += 1;
        }
        next
    }

    /// The chunk, to the last byte.
    async fn write(&self, line: &mut Line) -> Result<(), Trouble> {
        let mut written = 0;
        let mut alive = Instant::now();
        while written < self.chunk.len() || line.is_unflushed() {
            // What it says is of no meaning, and no sign that it takes anything.
            match self.turn(line, &self.chunk[written..], alive + self.manner.patience).await? {
                Turn::Wrote(count) => {
                    written += count;
                    alive = Instant::now();
                }
                Turn::Read => line.incoming.clear(),
                Turn::Closed => return Err(Trouble::closed(line.peer())),
            }
        }
        Ok(())
    }

    /// Until the other end has all of it and nobody has left.
    async fn settle(&self, line: &mut Line) -> Result<(), Trouble> {
        let (mut alive, mut left, mut pause) = (Instant::now(), u32::MAX, LOOK_MIN);
        loop {
            let now = line.unacknowledged().map_err(broken(line))?;
            if line.is_acknowledged().map_err(broken(line))? {
                let young = line.settles_in();
                if young.is_zero() {
                    return match line.is_open(true).await? {
                        true => Ok(()),
                        false => Err(Trouble::closed(line.peer())),
                    };
                }
                pause = pause.max(young);
            } else if now < left {
                alive = Instant::now();
            } else if alive.elapsed() >= self.manner.patience {
                return Err(self.silent(line));
            }
            left = now;
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LOOK_MAX),
                turn = line.turn(&[]) => match turn? {
                    Turn::Wrote(_) => {}
                    Turn::Read => line.incoming.clear(),
                    Turn::Closed => return Err(Trouble::closed(line.peer())),
                },
            }
        }
    }

    async fn turn(&self, line: &mut Line, out: &[u8], until: Instant) -> Result<Turn, Trouble> {
        match timeout(until.saturating_duration_since(Instant::now()), line.turn(out)).await {
            Ok(turn) => turn,
            Err(_) => Err(self.silent(line)),
        }
    }

    fn silent(&self, line: &Line) -> Trouble {
        Trouble::silent(line.peer(), self.manner.patience, self.manner.setting)
    }
}

fn broken(line: &Line) -> impl FnOnce(std::io::Error) -> Trouble {
    let peer = line.peer().to_owned();
    move |error| Trouble::broken(&peer, &error)
}

/// Appends a message with what tells it from the next.
fn frame(frames: Frames, message: &[u8], out: &mut Vec<u8>) {
    match frames {
        Frames::Counted => {
            out.extend_from_slice(message.len().to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(message);
        }
        Frames::Lines => {
            let start = out.len();
            out.extend_from_slice(message);
            if memchr::memchr2(b'\n', 0, message).is_some() {
                let ends = |byte: &&mut u8| matches!(**byte, b'\n' | 0);
                out[start..].iter_mut().filter(ends).for_each(|byte| *byte = b' ');
            }
            out.push(b'\n');
        }
        Frames::Own => out.extend_from_slice(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_or_end_with_a_line_feed_that_stands_nowhere_else() {
        let framed = |frames| {
            let mut out = Vec::new();
            frame(frames, b"<14>1 a\nb\0c", &mut out);
            frame(frames, b"<14>1 d", &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(framed(Frames::Counted), "11 <14>1 a\nb\0c7 <14>1 d");
        assert_eq!(framed(Frames::Lines), "<14>1 a b c\n<14>1 d\n");
    }
}
