//! The program's own log on standard error: text for people or one JSON object a line.
//!
//! Promise: control characters in fields are escaped, so text from a remote machine cannot forge a
//! line. Must not know: events.

use std::sync::OnceLock;
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{Handle, Layer as Reloaded};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// The level of the log that was started.
static LEVEL: OnceLock<Handle<LevelFilter, Registry>> = OnceLock::new();

/// The format of the log that was started.
static JSON: OnceLock<bool> = OnceLock::new();

/// Starts logging; the first call of a process wins.
pub fn start(json: bool, level: Level) {
    let (filter, handle) = Reloaded::new(LevelFilter::from_level(level));
    let base = fmt::layer().with_writer(std::io::stderr).with_target(false);
    // Colour only where a person looks.
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = match json {
        true => base.json().flatten_event(true).boxed(),
        false => base.with_ansi(terminal).boxed(),
    };
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        // The first one to start is the only one.
        let _ = LEVEL.set(handle);
        let _ = JSON.set(json);
    }
}

/// Whether every line on standard error is to be a JSON object.
pub fn is_json() -> bool {
    JSON.get().copied().unwrap_or_default()
}

/// From now on this is the least severe level that is written.
pub fn set_level(level: Level) {
    if let Some(level_now) = LEVEL.get() {
        // Fails only where the subscriber is gone, and with it the log.
        let _ = level_now.reload(LevelFilter::from_level(level));
    }
}
