//! One connection of RELP: the opening, events within the window, answers by their numbers.
//!
//! Answers may come in any order. One to a number that has none open, a frame that is none, and a receiver that says
//! it closes all end the session; a session that is dropped is a connection that is closed.

use super::frame::{Answer, Frame, TXNR_MAX};
use super::{Progress, Settings};
use crate::sink::receiver::{Line, Trouble, Turn};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Frames that are written at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// What we offer. Version 0 is what receivers in the field speak, 1 what the specification names; they are the same
/// on the wire.
const OFFERS: &str =
    concat!("relp_version=0\nrelp_software=forebay,", env!("CARGO_PKG_VERSION"), "\ncommands=syslog");
/// Longest that we wait for the answer to our `close`.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Session {
    line: Line,
    /// Number of the last command.
    txnr: u32,
    /// Number and item of what is not answered, in the order it was sent.
    pending: VecDeque<(u32, u32)>,
    out: Vec<u8>,
}

/// What frames that came say of the session.
enum Heard {
    /// So many answers.
    Answers(usize),
    /// The receiver closes.
    Goodbye,
}

impl Session {
    /// Offers and their answer.
    pub(super) async fn open(line: Line) -> Result<Self, Trouble> {
        let mut session = Self { line, txnr: 0, pending: VecDeque::new(), out: Vec::new() };
        let peer = session.peer().to_owned();
        let txnr = session.number();
        session.command(txnr, b"open", OFFERS.as_bytes());
        session.flush().await.map_err(|trouble| turned(&peer, trouble))?;
        loop {
            let parsed = Frame::parse(&session.line.incoming).map_err(|wrong| no_relp(&peer, &wrong))?;
            let Some((frame, taken)) = parsed else {
                match session.line.turn(&[]).await.map_err(|trouble| turned(&peer, trouble))? {
                    Turn::Closed => return Err(turned_away(&peer)),
                    Turn::Read | Turn::Wrote(_) => continue,
                }
            };
            if (frame.txnr, frame.command) != (txnr, b"rsp") {
                return Err(turned_away(&peer));
            }
            let answer = Answer::parse(frame.data).map_err(|wrong| no_relp(&peer, &wrong))?;
            if !answer.is_good() {
                let why = format!("it refuses to open RELP: {} {}", answer.code, answer.words);
                return Err(Trouble::other(peer, why, "see the receiver's own log"));
            }
            let offers = answer.offers();
            if !offers.version || !offers.syslog {
                let fix = "see that its input takes the command `syslog`, as `imrelp` of rsyslog does";
                return Err(Trouble::other(peer, "it opens RELP without taking syslog messages", fix));
            }
            session.line.incoming.drain(..taken);
            return Ok(session);
        }
    }

    pub(super) fn peer(&self) -> &str {
        self.line.peer()
    }

    /// Whether the receiver has not left while nothing was under way.
    pub(super) async fn is_open(&mut self) -> bool {
        matches!(self.line.is_open(false).await, Ok(true)) && matches!(self.hear(None), Ok(Heard::Answers(0)))
    }

    /// Sends what is open of the batch, once each, and waits for all answers.
    pub(super) async fn deliver(
        &mut self,
        progress: &mut Progress,
        settings: &Settings,
    ) -> Result<(), Trouble> {
        let mut next = progress.next(0);
        let mut written = 0;
        let mut heard_at = Instant::now();
        loop {
            if written == self.out.len() {
                self.out.clear();
                written = 0;
                while let Some(item) = next.filter(|_| self.has_room(settings)) {
                    let txnr = self.number();
                    self.command(txnr, b"syslog", progress.batch.item(item));
                    if self.pending.is_empty() {
                        heard_at = Instant::now();
                    }
                    self.pending.push_back((txnr, item as u32));
                    next = progress.next(item + 1);
                }
            }
            if self.pending.is_empty() && next.is_none() {
                return Ok(());
            }
            let turn =
                timeout_at(heard_at + settings.answer_timeout, self.line.turn(&self.out[written..])).await;
            match turn {
                Err(_) => {
                    return Err(Trouble::silent(self.peer(), settings.answer_timeout, "answer_timeout"));
                }
                Ok(turn) => match turn? {
                    Turn::Wrote(count) => written += count,
                    Turn::Closed => return Err(Trouble::closed(self.peer())),
                    Turn::Read => match self.hear(Some(progress))? {
                        Heard::Answers(0) => {}
                        Heard::Answers(_) => heard_at = Instant::now(),
                        Heard::Goodbye => return Err(Trouble::closed(self.peer())),
                    },
                },
            }
        }
    }

    fn has_room(&self, settings: &Settings) -> bool {
        self.pending.len() < settings.window && self.out.len() < CHUNK_BYTES
    }

    /// Takes in the whole frames that have come. Without a batch nothing may be answered.
    fn hear(&mut self, mut progress: Option<&mut Progress>) -> Result<Heard, Trouble> {
        let peer = self.line.peer();
        let (mut at, mut answers) = (0, 0);
        while let Some((frame, taken)) =
            Frame::parse(&self.line.incoming[at..]).map_err(|wrong| no_relp(peer, &wrong))?
        {
            at += taken;
            if (frame.txnr, frame.command) == (0, b"serverclose") {
                return Ok(Heard::Goodbye);
            }
            // Other hints may be passed over.
            if frame.txnr == 0 {
                continue;
            }
            let open = self.pending.iter().position(|(txnr, _)| *txnr == frame.txnr);
            let (Some(open), b"rsp", Some(progress)) = (open, frame.command, progress.as_deref_mut()) else {
                return Err(astray(peer));
            };
            let answer = Answer::parse(frame.data).map_err(|wrong| no_relp(peer, &wrong))?;
            let Some((_, item)) = self.pending.remove(open) else { return Err(astray(peer)) };
            progress.answered(item, &answer);
            answers += 1;
        }
        self.line.incoming.drain(..at);
        Ok(Heard::Answers(answers))
    }

    /// Says goodbye, and waits a moment for the answer.
    pub(super) async fn close(mut self) {
        let txnr = self.number();
        self.command(txnr, b"close", b"");
        let answered = async {
            if self.flush().await.is_ok() {
                // The answer, or that it has left.
                let _ = self.line.turn(&[]).await;
            }
        };
        // It is closed in any case.
        let _ = timeout(CLOSE_TIMEOUT, answered).await;
        self.line.goodbye().await;
    }

    async fn flush(&mut self) -> Result<(), Trouble> {
        let mut written = 0;
        while written < self.out.len() || self.line.is_unflushed() {
            match self.line.turn(&self.out[written..]).await? {
                Turn::Wrote(count) => written += count,
                Turn::Read => {}
                Turn::Closed => return Err(turned_away(self.line.peer())),
            }
        }
        self.out.clear();
        Ok(())
    }

    fn number(&mut self) -> u32 {
        self.txnr = if self.txnr == TXNR_MAX { 1 } else { self.txnr + 1 };
        self.txnr
    }

    fn command(&mut self, txnr: u32, command: &[u8], data: &[u8]) {
        Frame { txnr, command, data }.write(&mut self.out);
    }
}

fn turned_away(peer: &str) -> Trouble {
    let fix = "see the receiver's own log: it may not take senders from this address, want a certificate of ours \
               (`tls.certificate`, `tls.key`), or speak plain syslog there";
    Trouble::other(peer, "it closed the connection instead of opening RELP", fix)
}

/// The same, however the end of the connection was heard.
fn turned(peer: &str, trouble: Trouble) -> Trouble {
    if trouble == Trouble::closed(peer) { turned_away(peer) } else { trouble }
}

fn no_relp(peer: &str, wrong: &super::frame::Wrong) -> Trouble {
    let why = format!("what it says is not RELP: {wrong}");
    Trouble::other(
        peer,
        why,
        "check that `address` is the port of a RELP receiver, and whether it expects `tls`",
    )
}

fn astray(peer: &str) -> Trouble {
    let fix =
        "the connection was closed, and what is not confirmed is sent again; see the receiver's own log";
    Trouble::other(peer, "it answers to what it was not sent", fix)
}
