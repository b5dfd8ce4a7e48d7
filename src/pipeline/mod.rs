//! Builds and runs it all: sources, basin, lanes; shutdown; reload. The only room that starts tasks.
//!
//! ```text
//! orders (SIGTERM, SIGHUP, control socket) ──► run ──► life ──► life …   one per configuration
//!                                                       │
//!                       sources ─► basin ─► lanes  ◄────┘   one JoinSet
//! ```
//!
//! | file | what |
//! |---|---|
//! | `build` | from a checked pipeline to parts that can be started |
//! | `probe` | whether what it opens can be opened |
//! | `life` | starts the parts, waits, stops them in three steps |
//! | `figures` | what metrics, status and service manager hear meanwhile |
//! | `gate`, `swap` | the moment at which a reload repeats nothing |
//! | `lane`, `fill`, `batch`, `retry`, `letter`, `unread` | an output's way |
//! | `shape`, `shelf` | filter and format, and how outputs of the same share them |
//!
//! Promise: an orderly end loses nothing that was acknowledged, and says so when it cannot know.
//! Must not know: command lines, terminals.

mod batch;
mod build;
mod figures;
mod fill;
mod gate;
mod lane;
mod letter;
mod life;
mod probe;
mod retry;
mod shape;
mod shelf;
mod swap;
mod unread;

pub use lane::LaneError;
pub use life::Ended;
pub use probe::probe;

use crate::basin::{BasinError, Handover};
use crate::config::Pipeline;
use crate::finding::Finding;
use crate::source::SourceError;
use crate::telemetry::Status;
use life::{Life, Next};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tracing::{error, info};

/// How to run, beside what the pipeline file says.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// End when the inputs end and every output has everything.
    pub once: bool,
    /// How long outputs may take to empty the basin after a stop. What is left stays on disk.
    pub drain: Duration,
}

/// What comes from outside while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop in order; the second one stops at once.
    Stop,
    /// Read the pipeline file again.
    Reload,
}

/// Reads and checks the pipeline file again; what is wrong has been told when it fails.
pub type Reload<'r> = &'r (dyn Fn() -> Option<Pipeline> + Sync);

#[derive(Debug, Error)]
pub enum RunError {
    #[error(transparent)]
    Basin(#[from] BasinError),
    #[error("output `{output}`: {reason}")]
    Output { output: String, reason: String },
    #[error("{0}")]
    Listen(Finding),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error("a task ended by a mistake of the program ({0}); please report it with the log around it")]
    Bug(String),
}

/// Runs the pipeline to its end. `reload` gives the pipeline as it is written now.
///
/// A reload ends the running life at a moment when no output has a batch under way, and begins the
/// next one over the same basin, so nothing is lost or repeated. Where an output does not answer in
/// the time it has, or the new life cannot start, the old one goes on. A memory basin is emptied
/// first; what its outputs do not take in time is read again.
///
/// # Errors
/// What kept it from starting, or ended it. Nothing acknowledged was lost by it.
pub async fn run(
    first: Pipeline,
    options: Options,
    reload: Reload<'_>,
    mut orders: mpsc::Receiver<Order>,
    status: Arc<Status>,
) -> Result<Ended, RunError> {
    let mut kept = first.clone();
    // One for all lives: what is asked for between two of them is heard by the second.
    let asked = Arc::new(Notify::new());
    let mut life = Life::begin(first, &Handover::default(), options, &status, &asked).await?;
    loop {
        match life.live(&mut orders, reload).await? {
            Next::End(ended) => return Ok(ended),
            Next::Swap(pipeline, handover) => {
                let begun = Life::begin((*pipeline).clone(), &handover, options, &status, &asked).await;
                life = match begun {
                    Ok(life) => {
                        info!("the new pipeline runs");
                        kept = *pipeline;
                        life
                    }
                    Err(error) => {
                        error!(%error, "the new pipeline cannot start; going on with the old one");
                        Life::begin(kept.clone(), &handover, options, &status, &asked).await?
                    }
                };
            }
        }
    }
}

#[cfg(test)]
mod tests;
