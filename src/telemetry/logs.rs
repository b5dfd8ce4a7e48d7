//! The program's own log on standard error: text for people or one JSON object a line.
//!
//! Promise: control characters in fields are escaped, so text from a remote machine cannot forge a
//! line. Must not know: events.

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

/// Starts logging; the first call of a process wins.
pub fn start(json: bool, level: Level) {
    let base =
        fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::from_level(level)).with_target(false);
    // Colour only where a person looks.
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    if json {
        let _ = base.json().flatten_event(true).try_init();
    } else {
        let _ = base.with_ansi(terminal).try_init();
    }
}
