//! Objects on their way: small ones in one piece, larger ones in parts, several requests at a time.
//!
//! ```text
//! whole ──────────────────────────────────────────► there
//! begun ─► part, part, … ─► put together ─────────► there
//!   ▲                            │
//!   └── the upload is not known ─┘
//! ```
//!
//! What was taken stays taken over retries; a request that is given up is made again, under the same key.
//! Must not know: why these objects, and how a request looks.

use super::answer::Meant;
use super::bucket::{Bucket, Part, Silence, Told};
use super::hold::Parcel;
use crate::finding::Finding;
use crate::sink::web::client::Trouble;
use crate::sink::web::pace::Pace;
use crate::sink::web::reading::Setback;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(super) struct Shipment {
    parcels: Arc<Vec<Parcel>>,
    states: Vec<State>,
    /// Uploads of the same keys may have been begun before.
    comes_again: bool,
}

/// Who sends it, and what an operator is told by.
pub(super) struct Way<'a> {
    pub(super) bucket: &'a Arc<Bucket>,
    pub(super) pace: &'a mut Pace,
    pub(super) report: Arc<dyn Fn(Finding) + Send + Sync>,
    pub(super) gauge: &'a (dyn Fn(usize) + Send + Sync),
}

/// Why it is not there.
pub(super) enum Halt {
    /// Later.
    Setback(Setback),
    /// When an operator has done something.
    Locked { peer: String, finding: Finding },
}

enum State {
    Open,
    Parts { id: Arc<str>, parts: Vec<Option<Part>> },
    There,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    Whole(usize),
    Begin(usize),
    Part(usize, usize),
    Complete(usize),
}

struct Done {
    job: Job,
    told: Told,
    checksum: String,
    after: Duration,
}

/// Bytes of a part, and of the largest object that goes in one piece. Stores take parts of 5 MiB and more, and no more
/// than 10 000 of an object.
pub(super) const PART_BYTES: usize = 8 << 20;

impl Shipment {
    pub(super) fn new(parcels: Arc<Vec<Parcel>>, comes_again: bool) -> Self {
        let states = parcels.iter().map(|_| State::Open).collect();
        Self { parcels, states, comes_again }
    }

    /// Sends what is not there, once; after it all is.
    pub(super) async fn carry(&mut self, way: Way<'_>) -> Result<(), Halt> {
        let Way { bucket, pace, report, gauge } = way;
        let mut busy = HashSet::new();
        let mut halt: Option<Halt> = None;
        // Dropped with this future, and the requests with it.
        let mut tasks = JoinSet::new();
        loop {
            gauge(pace.limit());
            while halt.is_none()
                && tasks.len() < pace.limit()
                && let Some(job) = self.next(&busy)
            {
                busy.insert(job);
                tasks.spawn(self.run(job, Arc::clone(bucket), Arc::clone(&report)));
            }
            let is_full = tasks.len() >= pace.limit();
            let Some(done) = tasks.join_next().await else { break };
            let done = match done {
                Ok(done) => done,
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => break,
                },
            };
            busy.remove(&done.job);
            if let Some(new) = self.settle(done, is_full, pace, &*report) {
                halt = Some(match halt.take() {
                    Some(locked @ Halt::Locked { .. }) => locked,
                    _ => new,
                });
            }
        }
        gauge(pace.limit());
        match halt {
            Some(halt) => Err(halt),
            None if self.states.iter().all(|state| matches!(state, State::There)) => Ok(()),
            None => {
                Err(Halt::Setback(Setback { reason: "it was cut off".into(), ..Setback::of("the store") }))
            }
        }
    }

    /// What can be done next.
    fn next(&self, busy: &HashSet<Job>) -> Option<Job> {
        let mut jobs = self.states.iter().enumerate().filter_map(|(at, state)| match state {
            State::There => None,
            State::Open if self.parcels[at].body.len() <= PART_BYTES => Some(Job::Whole(at)),
            State::Open => Some(Job::Begin(at)),
            State::Parts { parts, .. } => {
                let open =
                    |number: &usize| parts[*number].is_none() && !busy.contains(&Job::Part(at, *number));
                match (0..parts.len()).find(open) {
                    Some(number) => Some(Job::Part(at, number)),
                    None if parts.iter().all(Option::is_some) => Some(Job::Complete(at)),
                    None => None,
                }
            }
        });
        jobs.find(|job| !busy.contains(job))
    }

    fn run(
        &self,
        job: Job,
        bucket: Arc<Bucket>,
        report: Arc<dyn Fn(Finding) + Send + Sync>,
    ) -> impl Future<Output = Done> + Send + use<> {
        let (parcels, comes_again) = (Arc::clone(&self.parcels), self.comes_again);
        let (Job::Whole(at) | Job::Begin(at) | Job::Part(at, _) | Job::Complete(at)) = job;
        let (id, there) = match &self.states[at] {
            State::Parts { id, parts } => (Arc::clone(id), parts.iter().flatten().cloned().collect()),
            _ => (Arc::from(""), Vec::new()),
        };
        async move {
            let (begun, Parcel { key, body }) = (Instant::now(), &parcels[at]);
            let mut checksum = String::new();
            let told = match job {
                Job::Whole(_) => bucket.put(key, body.clone(), &*report).await,
                Job::Begin(_) => {
                    if comes_again {
                        bucket.give_up(key, &*report).await;
                    }
                    bucket.begin(key, &*report).await
                }
                Job::Part(_, number) => {
                    let start = number * PART_BYTES;
                    let part = body.slice(start..body.len().min(start + PART_BYTES));
                    let (told, of) = bucket.part((key, &id, number + 1), part, &*report).await;
                    checksum = of;
                    told
                }
                Job::Complete(_) => bucket.complete(key, &id, &there, &*report).await,
            };
            Done { job, told, checksum, after: begun.elapsed() }
        }
    }

    /// Notes what an answer says; what must wait is told back.
    fn settle(
        &mut self,
        Done { job, told, checksum, after }: Done,
        is_full: bool,
        pace: &mut Pace,
        report: &(dyn Fn(Finding) + Send + Sync),
    ) -> Option<Halt> {
        let mut setback = match told {
            Err(Silence::NoKeys(finding)) => return Some(Halt::Locked { peer: "the store".into(), finding }),
            Err(Silence::Trouble(trouble)) => silent(trouble),
            Ok((Meant::Locked(finding), peer)) => return Some(Halt::Locked { peer, finding }),
            Ok((Meant::Again(setback), _)) => setback,
            Ok((Meant::Unknown(setback), _)) => {
                let (Job::Whole(at) | Job::Begin(at) | Job::Part(at, _) | Job::Complete(at)) = job;
                self.states[at] = State::Open;
                self.comes_again = true;
                setback
            }
            Ok((meant, _)) => {
                pace.answered(after, is_full);
                self.taken(job, meant, checksum);
                return None;
            }
        };
        if setback.is_overload {
            pace.overloaded();
        }
        if let Some(finding) = setback.finding.take() {
            report(finding);
        }
        Some(Halt::Setback(setback))
    }

    fn taken(&mut self, job: Job, meant: Meant, checksum: String) {
        match (job, meant) {
            (Job::Whole(at) | Job::Complete(at), Meant::Stored(_)) => self.states[at] = State::There,
            (Job::Begin(at), Meant::Begun(id)) => {
                let parts = vec![None; self.parcels[at].body.len().div_ceil(PART_BYTES)];
                self.states[at] = State::Parts { id: id.into(), parts };
            }
            (Job::Part(at, number), Meant::Stored(etag)) => {
                // Another part may have been told meanwhile that the upload is not known.
                if let State::Parts { parts, .. } = &mut self.states[at] {
                    parts[number] = Some(Part { etag, checksum });
                }
            }
            // What was not asked for is not answered.
            _ => {}
        }
    }
}

/// No answer.
fn silent(trouble: Trouble) -> Setback {
    match trouble {
        Trouble::Unsent { peer, finding } => {
            let reason = finding.why.clone();
            Setback { reason, is_overload: true, finding: Some(finding), ..Setback::of(&peer) }
        }
        Trouble::Unanswered { peer, reason, is_late } => {
            let finding = Finding {
                what: format!("{peer} did not answer a request to its end"),
                why: reason.clone(),
                fix: match is_late {
                    true => "see what it is busy with; or give it more time with `request.timeout`",
                    false => "see its own log, and what stands between",
                }
                .into(),
            };
            Setback { reason, is_overload: true, finding: Some(finding), ..Setback::of(&peer) }
        }
    }
}
