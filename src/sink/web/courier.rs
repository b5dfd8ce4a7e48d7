//! A batch in requests, until each event of it has its answer.
//!
//! Several requests are under way at a time, each a task of its own that ends when the batch is given up. What
//! goes wrong stops new ones; those under way are waited for, and the lane tries again what is open then.
//! Must not know: what a body means to its receiver.

use super::client::Trouble;
use super::doubt::{Doubt, ROW_MAX};
use super::pace::Pace;
use super::progress::{Chunk, Progress, Waiting};
use super::reading::{Fate, Reading, Setback};
use super::request::{ASIDE_BYTES_MIN, Answered, Done, Outcome, Protocol, Shared, request};
use super::size::Size;
use super::token::Unsigned;
use crate::auth::files::Stamp;
use crate::finding::Finding;
use crate::sink::{Attachment, Encoded, SendError, Sent};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long who does not let us in is left alone.
const LOCKED_PAUSE: Duration = Duration::from_secs(60);
/// How often the file with the credentials is looked at meanwhile.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Courier<P> {
    shared: Arc<Shared<P>>,
    pace: Pace,
    size: Size,
    doubt: Doubt,
    progress: Option<Progress>,
    /// The credentials that did not let us in.
    locked: Option<Stamp>,
    attachment: Option<Attachment>,
}

impl<P: Protocol> Courier<P> {
    pub(crate) fn new(shared: Shared<P>, bytes_max: usize, concurrency_max: u16) -> Self {
        Self {
            shared: Arc::new(shared),
            pace: Pace::new(concurrency_max),
            size: Size::new(bytes_max),
            doubt: Doubt::default(),
            progress: None,
            locked: None,
            attachment: None,
        }
    }

    pub(crate) fn attach(&mut self, attachment: Attachment) {
        self.attachment = Some(attachment);
    }

    pub(crate) fn of_others(&mut self, are: bool) {
        self.doubt.of_others(are);
    }

    pub(crate) fn shared(&self) -> &Shared<P> {
        &self.shared
    }

    /// What takes what an operator should know, under the name of the output.
    pub(crate) fn report(&self) -> impl Fn(Finding) + Send + Sync + 'static {
        let attachment = self.attachment.clone();
        move |finding| {
            if let Some(Attachment { output, report, .. }) = &attachment {
                report(Finding { what: format!("output `{output}`: {}", finding.what), ..finding });
            }
        }
    }

    /// The batch that is under way.
    pub(crate) fn progress(&mut self, batch: &Arc<Encoded>) -> &mut Progress {
        let same = self.progress.take().filter(|progress| progress.is_of(batch));
        self.progress.insert(same.unwrap_or_else(|| Progress::new(batch)))
    }

    /// Sends all that is open, and lets go of the batch when each event has its answer.
    pub(crate) async fn deliver(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        self.carry(batch).await?;
        Ok(self.end(batch))
    }

    /// Each event has its answer.
    pub(crate) fn end(&mut self, batch: &Arc<Encoded>) -> Sent {
        self.progress(batch);
        self.doubt.ended();
        if let Some(finding) = self.size.ended() {
            self.report()(finding);
        }
        self.progress.take().map_or(Sent::Confirmed, Progress::end)
    }

    /// Sends all that is open, once; after it nothing is but what waits for an acknowledgement.
    pub(crate) async fn carry(&mut self, batch: &Arc<Encoded>) -> Result<(), SendError> {
        let (bytes_max, beside) = (self.size.limit(), self.beside());
        let mut queue = self.progress(batch).chunks(bytes_max, beside);
        let mut setback: Option<Setback> = None;
        // Dropped with this future, and the requests with it.
        let mut tasks = JoinSet::new();
        loop {
            self.gauge();
            while setback.is_none()
                && tasks.len() < self.pace.limit()
                && let Some(chunk) = queue.pop_front()
            {
                let (shared, batch, report) = (Arc::clone(&self.shared), Arc::clone(batch), self.report());
                tasks.spawn(request(shared, batch, chunk, report));
            }
            let is_full = tasks.len() >= self.pace.limit();
            let Some(done) = tasks.join_next().await else { break };
            let done = done.map_err(crate::sink::cut_off)?;
            if let Some(new) = self.settle(batch, done, is_full, &mut queue) {
                setback = Some(match setback.take() {
                    Some(old) if old.after >= new.after => old,
                    _ => new,
                });
            }
        }
        self.gauge();
        if let Some(doubted) = self.doubted(batch, 0) {
            setback.get_or_insert(doubted);
        }
        self.doubt.attempted();
        match setback {
            None => Ok(()),
            Some(setback) => Err(setback.into()),
        }
    }

    /// Notes what an answer says; what must wait is told back.
    fn settle(
        &mut self,
        batch: &Arc<Encoded>,
        Done { chunk, outcome, after }: Done,
        is_full: bool,
        queue: &mut VecDeque<Chunk>,
    ) -> Option<Setback> {
        let (reading, by) = match outcome {
            Outcome::Read(reading, by) => (reading, by),
            Outcome::Unsigned(Unsigned::Locked(finding)) => {
                let peer = self.shared.client.peer(0).to_owned();
                return Some(self.lock(peer, finding));
            }
            Outcome::Unsigned(Unsigned::Later(setback)) => return Some(self.setback(&chunk, *setback)),
            Outcome::Trouble(trouble) => return Some(self.trouble(&chunk, trouble)),
        };
        if !matches!(reading, Reading::Locked(_)) {
            self.locked = None;
        }
        if reading.is_content() {
            self.pace.answered(after, is_full);
        }
        if reading.has_taken() {
            self.believe(batch);
            self.size.taken(&chunk);
        }
        let is_patient = self.doubt.is_patient();
        let progress = self.progress(batch);
        match reading {
            Reading::Taken => progress.taken(&chunk.items),
            Reading::Noted(finding) => {
                progress.taken(&chunk.items);
                self.report()(finding);
            }
            Reading::Numbered(number) => {
                let since = Instant::now();
                progress.wait(Waiting { endpoint: by.endpoint, number, items: chunk.items, since });
            }
            Reading::Each(fates, setback) => return self.each(batch, &chunk, fates, setback, &by, queue),
            Reading::Again(setback) => return Some(self.setback(&chunk, setback)),
            Reading::TooLarge(words) => self.too_large(batch, chunk, &by, &words, queue),
            Reading::Failed(setback) if is_patient => {
                self.doubt.failed();
                return Some(self.setback(&chunk, setback));
            }
            Reading::Refused(words) | Reading::Failed(Setback { reason: words, .. }) => {
                return self.search(batch, chunk, &by, &words, queue);
            }
            Reading::Unclear { words, finding } => {
                let reason = format!("{} refused {words}", by.peer);
                chunk.items.iter().for_each(|item| progress.refused(*item, reason.clone()));
                self.size.unclear(chunk.bytes);
                self.report()(finding);
            }
            Reading::Locked(finding) => return Some(self.lock(by.peer, finding)),
        }
        None
    }

    /// Each event has its own answer.
    fn each(
        &mut self,
        batch: &Arc<Encoded>,
        chunk: &Chunk,
        fates: Vec<Fate>,
        setback: Option<Setback>,
        by: &Answered,
        queue: &mut VecDeque<Chunk>,
    ) -> Option<Setback> {
        let (mut open, takes) = (Vec::new(), fates.contains(&Fate::Taken));
        for (item, fate) in chunk.items.iter().zip(fates) {
            match fate {
                Fate::Taken => self.progress(batch).taken(&[*item]),
                Fate::Again => open.push(*item),
                Fate::Refused(words) => self.refused(batch, *item, by, &words),
            }
        }
        if takes {
            self.believe(batch);
        }
        if let Some(setback) = setback {
            return Some(self.setback(chunk, setback));
        }
        let doubted = self.doubted(batch, ROW_MAX);
        if doubted.is_none() && !open.is_empty() {
            let beside = self.beside();
            queue.push_front(self.progress(batch).chunk(open, beside));
        }
        doubted
    }

    /// This one alone, in these words; to be believed as long as others are taken.
    fn refused(&mut self, batch: &Arc<Encoded>, item: u32, by: &Answered, words: &str) {
        self.doubt.refused(&by.peer, words);
        self.progress(batch).refused_so_far(item, format!("{} refused: {words}", by.peer));
    }

    /// Something was taken, so what was refused is.
    fn believe(&mut self, batch: &Arc<Encoded>) {
        self.doubt.taken();
        self.progress(batch).believe();
    }

    /// Nothing is taken, and of this batch more than so many were refused: they come again, later.
    fn doubted(&mut self, batch: &Arc<Encoded>, more_than: usize) -> Option<Setback> {
        if !self.doubt.is_due() || self.progress(batch).row() <= more_than {
            return None;
        }
        self.progress(batch).forget();
        let mut setback = self.doubt.setback();
        setback.finding.take().into_iter().for_each(self.report());
        Some(setback)
    }

    fn beside(&self) -> usize {
        self.shared.protocol.beside()
    }

    /// What is refused is one of these.
    fn search(
        &mut self,
        batch: &Arc<Encoded>,
        chunk: Chunk,
        by: &Answered,
        words: &str,
        queue: &mut VecDeque<Chunk>,
    ) -> Option<Setback> {
        let one = chunk.items[0];
        if self.halve(batch, chunk, queue) {
            return None;
        }
        self.refused(batch, one, by, words);
        self.doubted(batch, ROW_MAX)
    }

    fn too_large(
        &mut self,
        batch: &Arc<Encoded>,
        chunk: Chunk,
        by: &Answered,
        words: &str,
        queue: &mut VecDeque<Chunk>,
    ) {
        let one = chunk.items[0];
        self.size.too_large(&chunk, &by.peer, words);
        if !self.halve(batch, chunk, queue) {
            // That is a limit, and no doubt about it.
            self.size.alone(one);
            self.progress(batch).refused(one, format!("{} refused: {words}", by.peer));
        }
    }

    /// Its halves are next, unless it is one event.
    fn halve(&mut self, batch: &Arc<Encoded>, chunk: Chunk, queue: &mut VecDeque<Chunk>) -> bool {
        let beside = self.beside();
        let (first, second) = self.progress(batch).halves(chunk, beside);
        let Some(second) = second else { return false };
        queue.push_front(second);
        queue.push_front(first);
        true
    }

    fn trouble(&mut self, chunk: &Chunk, trouble: Trouble) -> Setback {
        match trouble {
            Trouble::Unsent { peer, finding } => {
                let reason = finding.why.clone();
                let finding = Some(finding);
                self.setback(chunk, Setback { reason, is_overload: true, finding, ..Setback::of(&peer) })
            }
            Trouble::Unanswered { peer, reason, is_late } => {
                let finding = Finding {
                    what: format!("{peer} did not answer a request to its end"),
                    why: reason.clone(),
                    fix: match is_late {
                        true => "see what it is busy with; or give it more time with `request.timeout`",
                        false => "see its own log, and what stands between: requests may be too large for it",
                    }
                    .into(),
                };
                if !is_late {
                    // Some end the connection where they find a request too large, without a word.
                    self.size.cut_off(chunk.bytes, ASIDE_BYTES_MIN);
                }
                let setback = Setback { reason, is_overload: true, may_be_taken: true, ..Setback::of(&peer) };
                self.setback(chunk, Setback { finding: Some(finding), ..setback })
            }
        }
    }

    fn setback(&mut self, chunk: &Chunk, mut setback: Setback) -> Setback {
        if setback.is_overload {
            self.pace.overloaded();
        }
        if let Some(finding) = setback.finding.take() {
            self.report()(finding);
        }
        if setback.may_be_taken {
            self.repeat(chunk.items.len());
        }
        setback
    }

    /// So many events are sent again though they may be there.
    pub(crate) fn repeat(&self, events: usize) {
        if let Some(attachment) = self.attachment.as_ref().filter(|_| !self.shared.protocol.is_idempotent()) {
            attachment.metrics.repeated.inc_by(events as u64);
        }
    }

    /// Nothing goes on before an operator has done something.
    pub(crate) fn lock(&mut self, peer: String, finding: Finding) -> Setback {
        self.locked = Some(self.shared.credentials.stamp());
        let reason = format!("{}: {}", finding.what, finding.why);
        self.report()(finding);
        Setback { reason, after: Some(LOCKED_PAUSE), ..Setback::of(&peer) }
    }

    /// Ends when there are other credentials than those which did not let us in.
    pub(crate) async fn unlocked(&mut self) {
        let Some(locked) = &self.locked else { return std::future::pending().await };
        while self.shared.credentials.stamp() == *locked {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        self.locked = None;
    }

    pub(crate) fn look(&self) {
        self.shared.client.look(&self.report());
    }

    fn gauge(&self) {
        if let Some(attachment) = &self.attachment {
            attachment.metrics.concurrency.set(self.pace.limit() as i64);
        }
    }
}
