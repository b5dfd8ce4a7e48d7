//! RELP: syslog messages that the receiver confirms one by one.
//!
//! | file | what |
//! |---|---|
//! | `frame` | frames and answers as bytes; pure |
//! | `session` | one connection: the opening, the window, answers by number |
//!
//! ```text
//! open ─► rsp 200, offers ─► syslog 2, 3, 4 … (at most `window` without an answer) ─► rsp 2, rsp 3 … ─► next batch
//!                                  └── cut: on the next connection all again that has no answer
//! ```
//!
//! Promise: an event is confirmed by an answer of 200 to it and by nothing else. How deep that reaches is the
//! receiver's affair: rsyslog answers when the message is in its queue, so that queue must be one that outlives it.
//! An event that is answered with an error while others of its batch are taken is tried `ATTEMPTS_BESIDE_OTHERS` times
//! and then refused in the receiver's words. When none is taken the trouble is the receiver's, and all are tried
//! again; only after `ATTEMPTS_OF_NONE` is the batch given to the lane in halves, or one event that is never taken
//! would hold the output for ever.
//! Must not know: what a payload means.

pub mod frame;
mod session;

use super::receiver::{
    Line, MESSAGE_BYTES_MAX, Receivers, Trouble, check_patience, connect_default, too_long,
};
use super::syslog::header;
use super::{Attachment, Closing, Encoded, Head, Refusal, SendError, Sending, Sent, Sink, SinkError};
use crate::auth::tls::outgoing;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::format::Framing;
use crate::units::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use session::Session;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `sink.relp = { address = "siem.example.org:2514" }`: the receiver confirms each event, and what it has not
/// confirmed is sent again on the next connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Host and port of the receiver, or a list of receivers that are tried in turn: one that fails is left for the
    /// next. Names are looked up at each connection.
    pub address: OneOrMany<String>,
    /// RELP over TLS.
    pub tls: Option<outgoing::Config>,
    /// Events that are under way without an answer. More are faster over long ways, and come twice after a cut.
    #[serde(default = "window_default")]
    pub window: usize,
    #[serde(default)]
    pub header: header::Config,
    /// Longest message, header included, as the receiver is set to take: rsyslog takes 8 KiB unless `maxMessageSize`
    /// and `maxDataSize` of the input say otherwise, and cuts what is longer without a word. A longer event goes to
    /// the dead letter.
    #[serde(default = "message_default")]
    pub message_size_max: ByteSize,
    /// How long a connection may take, TLS and the opening of RELP included; addresses of one name share it.
    #[serde(default = "connect_default")]
    pub connect_timeout: Span,
    /// A receiver that answers nothing for so long is left, and what it did not answer is sent again.
    #[serde(default = "answer_default")]
    pub answer_timeout: Span,
}

/// Rsyslog's own sender has 128; half of a batch of 1 MiB is about this many events.
fn window_default() -> usize {
    512
}

/// What the specification takes for all receivers.
fn message_default() -> ByteSize {
    ByteSize::kib(128)
}

/// As long as other senders wait.
fn answer_default() -> Span {
    Span::secs(90)
}

/// Most events that can be under way.
pub const WINDOW_MAX: usize = 65_536;
/// So often an event is sent that is answered with an error while others are taken.
const ATTEMPTS_BESIDE_OTHERS: u32 = 3;
/// So often a batch is sent of which nothing is taken.
const ATTEMPTS_OF_NONE: u32 = 20;

/// The sink.
pub struct Relp {
    receivers: Receivers,
    header: header::Config,
    settings: Settings,
    /// Taken out while it is in use: whoever is interrupted takes it along.
    session: Option<Session>,
    progress: Option<Progress>,
}

/// What a session is bounded by.
#[derive(Clone, Copy)]
struct Settings {
    window: usize,
    message_bytes_max: usize,
    answer_timeout: std::time::Duration,
}

/// How far a batch has come.
struct Progress {
    batch: Arc<Encoded>,
    states: Vec<State>,
    /// Of the last answers with an error: how many there were for an item, and in what words.
    errors: BTreeMap<u32, (u32, String)>,
    refused: Vec<Refusal>,
    /// Attempts in which nothing was taken.
    attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Taken,
    Refused,
}

impl Config {
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<Relp, SinkError> {
        let wrong = |setting, why: String| Err(SinkError::Setting { setting, why });
        self.header.open()?;
        check_patience("connect_timeout", self.connect_timeout)?;
        check_patience("answer_timeout", self.answer_timeout)?;
        if !(1..=WINDOW_MAX).contains(&self.window) {
            return wrong("window", format!("1 to {WINDOW_MAX} events can be under way"));
        }
        let largest = MESSAGE_BYTES_MAX;
        if !(480..=largest).contains(&self.message_size_max.0) {
            return wrong(
                "message_size_max",
                format!("a message may have 480 bytes to {}", ByteSize(largest)),
            );
        }
        let settings = Settings {
            window: self.window,
            message_bytes_max: usize::try_from(self.message_size_max.0).unwrap_or(usize::MAX),
            answer_timeout: self.answer_timeout.0,
        };
        let (receivers, header) = (self.receivers()?, self.header.clone());
        Ok(Relp { receivers, header, settings, session: None, progress: None })
    }

    /// What would keep it from delivering, as far as an opening tells.
    pub(super) async fn probe(&self, output: &str) -> Vec<Finding> {
        let Ok(receivers) = self.receivers() else { return Vec::new() };
        let greet = async |line: Line| -> Result<(), Trouble> {
            Session::open(line).await?.close().await;
            Ok(())
        };
        receivers.probe(output, greet).await
    }

    fn receivers(&self) -> Result<Receivers, SinkError> {
        Receivers::new(&self.address, self.tls.as_ref(), self.connect_timeout.0, self.answer_timeout.0)
    }
}

impl Relp {
    async fn deliver(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        let known = self.progress.take().filter(|progress| Arc::ptr_eq(&progress.batch, batch));
        let begin = || Progress::begin(batch, self.settings.message_bytes_max);
        let progress = self.progress.insert(known.unwrap_or_else(begin));
        if progress.is_open() {
            let mut session = match usable(self.session.take()).await {
                Some(session) => session,
                None => self.receivers.connect(Session::open).await?,
            };
            match session.deliver(progress, &self.settings).await {
                Ok(()) => {
                    let judged = progress.judge(session.peer());
                    self.session = Some(session);
                    if let Some((trouble, error)) = judged {
                        self.receivers.tell(&trouble);
                        return Err(error);
                    }
                }
                Err(trouble) => return Err(self.receivers.failed(trouble)),
            }
        }
        let mut refused = self.progress.take().map(|progress| progress.refused).unwrap_or_default();
        refused.sort_by_key(|refused| refused.item);
        Ok(if refused.is_empty() { Sent::Confirmed } else { Sent::Partly(refused) })
    }
}

/// A session that the other end has not left meanwhile.
async fn usable(session: Option<Session>) -> Option<Session> {
    let mut session = session?;
    session.is_open().await.then_some(session)
}

impl Progress {
    fn begin(batch: &Arc<Encoded>, message_bytes_max: usize) -> Self {
        let mut refused = Vec::new();
        let states = (0..batch.items.len())
            .map(|index| {
                let bytes = batch.item(index).len();
                if bytes <= message_bytes_max {
                    return State::Open;
                }
                refused.push(too_long(index, bytes, message_bytes_max));
                State::Refused
            })
            .collect();
        Self { batch: Arc::clone(batch), states, errors: BTreeMap::new(), refused, attempts: 0 }
    }

    fn is_open(&self) -> bool {
        self.states.contains(&State::Open)
    }

    /// The next item at or after `from` that has to be sent.
    fn next(&self, from: usize) -> Option<usize> {
        self.states[from..].iter().position(|state| *state == State::Open).map(|at| from + at)
    }

    fn answered(&mut self, item: u32, answer: &frame::Answer<'_>) {
        if answer.is_good() {
            self.states[item as usize] = State::Taken;
            self.errors.remove(&item);
        } else {
            let error = self.errors.entry(item).or_default();
            *error = (error.0 + 1, format!("{} {}", answer.code, answer.words));
        }
    }

    /// After all were answered: what the errors among the answers mean. None when nothing is open any more.
    fn judge(&mut self, peer: &str) -> Option<(Trouble, SendError)> {
        if self.states.contains(&State::Taken) {
            for (item, (_, words)) in
                self.errors.extract_if(.., |_, (times, _)| *times >= ATTEMPTS_BESIDE_OTHERS)
            {
                self.states[item as usize] = State::Refused;
                self.refused.push(Refusal { item, reason: format!("{peer} answered {words}") });
            }
        } else {
            self.attempts += 1;
        }
        let (_, words) = self.errors.values().next()?;
        let why = format!("it answers events with an error: {}", words.trim_end());
        let fix = "see the receiver's own log: its disk may be full. What it did not take is sent again";
        let trouble = Trouble::other(peer, why.clone(), fix);
        let error = match self.attempts {
            ..ATTEMPTS_OF_NONE => trouble.clone().into(),
            _ => SendError::Refused { peer: peer.into(), reason: why },
        };
        Some((trouble, error))
    }
}

impl Sink for Relp {
    fn attach(&mut self, attachment: Attachment) {
        self.receivers.attach(attachment);
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(self.deliver(batch))
    }

    fn framing(&self, _: Framing) -> Framing {
        Framing::None
    }

    fn head(&self) -> Option<Box<dyn Head>> {
        // Checked when the sink was opened.
        let writer = self.header.open().ok()?;
        Some(Box::new(writer))
    }

    fn close(&mut self) -> Closing<'_> {
        Box::pin(async move {
            if let Some(session) = self.session.take() {
                session.close().await;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
