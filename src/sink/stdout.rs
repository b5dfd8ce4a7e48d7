//! Standard output of the process, for containers, pipes and trying things out.
//!
//! Confirmed when the pipe or terminal has taken the bytes; what its reader does with them is not
//! known, so a restart may repeat the last events. A closed pipe ends the run cleanly.
//! Must not know: framing (the lane writes it).

use super::{Encoded, SendError, Sending, Sent, Sink};
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// `sink.stdout = {}`. When its reader closes it the run ends, for all outputs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    pub fn open(&self) -> Stdout {
        Stdout::to(Box::new(io::stdout()))
    }
}

/// The sink, over any stream.
pub struct Stdout {
    stream: Arc<Mutex<Stream>>,
}

struct Stream {
    to: Box<dyn Write + Send>,
    /// Bytes of the batch under way that were taken already: a full disk behind a redirection must
    /// not leave half a line that is then written again.
    taken: usize,
}

impl Stdout {
    pub fn to(to: Box<dyn Write + Send>) -> Self {
        Self { stream: Arc::new(Mutex::new(Stream { to, taken: 0 })) }
    }
}

impl Sink for Stdout {
    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        let (stream, bytes) = (Arc::clone(&self.stream), batch.bytes.clone());
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || {
                stream.lock().unwrap_or_else(PoisonError::into_inner).write(&bytes)
            });
            let peer = || "standard output".to_owned();
            match written.await {
                Ok(Ok(())) => Ok(Sent::Confirmed),
                Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    Err(SendError::Gone { peer: peer(), reason: error.to_string() })
                }
                Ok(Err(error)) => Err(SendError::retry(peer(), error)),
                Err(ended) => Err(super::cut_off(ended)),
            }
        })
    }
}

impl Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        while self.taken < bytes.len() {
            match self.to.write(&bytes[self.taken..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.to.flush()?;
        self.taken = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Takes a few bytes at a time and fails now and then.
    struct Stubborn {
        taken: Arc<Mutex<Vec<u8>>>,
        calls: usize,
        kind: io::ErrorKind,
    }

    impl Write for Stubborn {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(self.kind.into());
            }
            let count = bytes.len().min(2);
            self.taken.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn send_all(kind: io::ErrorKind) -> (Vec<u8>, Option<SendError>) {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut sink = Stdout::to(Box::new(Stubborn { taken: Arc::clone(&taken), calls: 0, kind }));
        let mut last = None;
        for text in ["one\n", "two two\n", "three\n"] {
            let batch =
                Arc::new(Encoded { bytes: Bytes::from_static(text.as_bytes()), ..Encoded::default() });
            loop {
                match sink.send(&batch).await {
                    Ok(_) => break,
                    Err(error @ SendError::Gone { .. }) => {
                        return (taken.lock().unwrap().clone(), Some(error));
                    }
                    Err(error) => last = Some(error),
                }
            }
        }
        let taken = taken.lock().unwrap().clone();
        (taken, last)
    }

    #[tokio::test]
    async fn a_batch_that_is_sent_again_goes_on_where_it_stopped() {
        let (taken, error) = send_all(io::ErrorKind::StorageFull).await;
        assert_eq!(taken, b"one\ntwo two\nthree\n");
        assert!(matches!(error, Some(SendError::Retry { .. })));
    }

    #[tokio::test]
    async fn a_closed_pipe_is_gone_for_good() {
        let (_, error) = send_all(io::ErrorKind::BrokenPipe).await;
        assert!(matches!(error, Some(SendError::Gone { .. })));
    }
}
