//! One request of a batch: its body, what lets us in, its answer.
//!
//! Must not know: what follows from the answer.

use super::answer::Answer;
use super::client::{Ask, Client, Report, Trouble};
use super::credentials::Credentials;
use super::pack::Compression;
use super::progress::Chunk;
use super::reading::Reading;
use super::token::Unsigned;
use crate::finding::Finding;
use crate::sink::Encoded;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a receiver wants and says.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// A request without its body.
    fn ask(&self) -> Ask;
    /// Appends the body of a request for these items.
    fn write(&self, batch: &Encoded, items: &[u32], body: &mut Vec<u8>);
    /// What an item takes in it beside its own bytes.
    fn beside(&self) -> usize {
        0
    }
    /// What the answer to so many items says of them.
    fn read(&self, answer: &Answer, items: usize) -> Reading;
    /// Whether an event that is sent twice is there once.
    fn is_idempotent(&self) -> bool {
        false
    }
}

pub(crate) struct Shared<P> {
    pub(crate) client: Client,
    pub(crate) protocol: P,
    pub(crate) credentials: Credentials,
    pub(crate) compression: Compression,
}

/// What became of a request.
pub(super) struct Done {
    pub(super) chunk: Chunk,
    pub(super) outcome: Outcome,
    pub(super) after: Duration,
}

pub(super) enum Outcome {
    Read(Reading, Answered),
    Trouble(Trouble),
    Unsigned(Unsigned),
}

/// By whom.
pub(super) struct Answered {
    pub(super) endpoint: usize,
    pub(super) peer: String,
}

/// Bodies from this size on are made on the threads for blocking calls.
pub(super) const ASIDE_BYTES_MIN: usize = 32 * 1024;

impl<P: Protocol> Shared<P> {
    /// A request with what lets us in.
    pub(crate) fn signed(&self, mut ask: Ask) -> Result<Ask, Finding> {
        if let Some(header) = self.credentials.header()? {
            ask.headers.insert(AUTHORIZATION, header);
        }
        Ok(ask)
    }

    /// The same where that may have to be fetched; other than what was `refused`.
    pub(crate) async fn signed_anew(
        &self,
        mut ask: Ask,
        refused: Option<&HeaderValue>,
        report: &Report<'_>,
    ) -> Result<Ask, Unsigned> {
        if let Some(header) = self.credentials.fetched(refused, report).await? {
            ask.headers.insert(AUTHORIZATION, header);
        }
        Ok(ask)
    }

    /// Asks whichever address can be reached. Who is not let in with a token asks once more with a new one.
    async fn asked(&self, ask: Ask, report: &Report<'_>) -> Result<Result<Answer, Trouble>, Unsigned> {
        let signed = self.signed_anew(ask, None, report).await?;
        let answer = self.client.ask(&signed, report).await;
        let is_shut_out = matches!(&answer, Ok(Answer { status: 401 | 403, .. }));
        if !(is_shut_out && self.credentials.can_be_renewed()) {
            return Ok(answer);
        }
        let refused = signed.headers.get(AUTHORIZATION).cloned();
        let again = self.signed_anew(signed, refused.as_ref(), report).await?;
        Ok(self.client.ask(&again, report).await)
    }
}

pub(super) async fn request<P: Protocol>(
    shared: Arc<Shared<P>>,
    batch: Arc<Encoded>,
    chunk: Chunk,
    report: impl Fn(Finding) + Send + Sync,
) -> Done {
    let mut ask = shared.protocol.ask();
    if let Some(name) = shared.compression.name() {
        ask.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let chunk = if chunk.bytes < ASIDE_BYTES_MIN {
        ask.body = body(&shared, &batch, &chunk);
        chunk
    } else {
        let of = (Arc::clone(&shared), Arc::clone(&batch));
        let made = tokio::task::spawn_blocking(move || (body(&of.0, &of.1, &chunk), chunk)).await;
        let (body, chunk) = match made {
            Ok(made) => made,
            // A mistake of ours goes on as a panic; the end of the runtime is the end of this task.
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return std::future::pending().await,
            },
        };
        ask.body = body;
        chunk
    };
    drop(batch);
    let begun = Instant::now();
    let outcome = match shared.asked(ask, &report).await {
        Ok(Ok(answer)) => {
            let reading = shared.protocol.read(&answer, chunk.items.len());
            Outcome::Read(reading, Answered { endpoint: answer.endpoint, peer: answer.peer })
        }
        Ok(Err(trouble)) => Outcome::Trouble(trouble),
        Err(unsigned) => Outcome::Unsigned(unsigned),
    };
    Done { chunk, outcome, after: begun.elapsed() }
}

fn body<P: Protocol>(shared: &Shared<P>, batch: &Encoded, chunk: &Chunk) -> bytes::Bytes {
    let mut body = Vec::with_capacity(chunk.bytes + 64);
    shared.protocol.write(batch, &chunk.items, &mut body);
    shared.compression.pack(body).expect("what is written to memory is written")
}
