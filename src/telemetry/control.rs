//! The control socket: commands to a running forebay over a Unix socket that only its own user may
//! open. One JSON object a line each way.
//!
//! | verb | answer |
//! |---|---|
//! | `{"verb":"status"}` | phase, uptime, version |
//! | `{"verb":"findings"}` | what was found wrong, oldest first |
//! | `{"verb":"metrics"}` | the Prometheus text |
//! | `{"verb":"reload"}` | reads the pipeline file again, as SIGHUP does |
//!
//! Must not know: the pipeline; whoever serves gives it a way to ask for a reload.

use super::admit::Admission;
use super::{Status, metrics};
use crate::finding::Finding;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Longest request line.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// Commands under way at once.
pub const CONNECTIONS_MAX: usize = 16;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A bound control socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Status,
    Findings,
    Metrics,
    Reload,
}

fn closed(path: &Path, why: &str, fix: &str) -> Finding {
    let what = format!("the control socket {} cannot be opened", path.display());
    Finding { what, why: why.into(), fix: fix.into() }
}

impl Control {
    /// Whether `path` is free, or only a dead process's socket stands there.
    ///
    /// # Errors
    /// As `bind`.
    pub fn probe(path: &Path) -> Result<(), Finding> {
        let Ok(there) = std::fs::symlink_metadata(path) else { return Ok(()) };
        if !std::os::unix::fs::FileTypeExt::is_socket(&there.file_type()) {
            return Err(closed(path, "another file stands there", "move it, or set `control.socket`"));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let why = "a running forebay answers on it";
            return Err(closed(path, why, "stop that one, or set `control.socket`"));
        }
        Ok(())
    }

    /// Binds `path`, replacing the socket a dead process left.
    ///
    /// # Errors
    /// A finding when something else stands there or a live process answers on it.
    pub fn bind(path: &Path) -> Result<Self, Finding> {
        Self::probe(path)?;
        // What is there now is left from a process that was killed: nobody answers.
        let _ = std::fs::remove_file(path);
        let bound = UnixListener::bind(path).and_then(|listener| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => Ok(Self { listener, path: path.to_owned() }),
            Err(error) => Err(closed(
                path,
                &error.to_string(),
                "let its folder exist and be writable, or set `control.socket`",
            )),
        }
    }

    /// Answers until `stop`; `reload` is notified when somebody asks for it.
    pub async fn serve(self, status: Arc<Status>, reload: Arc<Notify>, stop: CancellationToken) {
        let admission = Admission { connections_max: CONNECTIONS_MAX, time_max: REQUEST_TIMEOUT };
        let serve = |stream| {
            let (status, reload) = (Arc::clone(&status), Arc::clone(&reload));
            // A peer that goes away early gets no answer.
            async move { drop(connection(stream, &status, &reload).await) }
        };
        super::admit::serve(&self.listener, admission, stop, serve).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn connection(stream: UnixStream, status: &Status, reload: &Notify) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let mut answer = answer(&line, status, reload).to_string();
    answer.push('\n');
    write.write_all(answer.as_bytes()).await
}

fn answer(line: &str, status: &Status, reload: &Notify) -> Value {
    match serde_json::from_str(line) {
        Ok(Request::Status) => json!({
            "phase": status.phase().name(),
            "uptime_seconds": status.uptime().as_secs(),
            "version": env!("CARGO_PKG_VERSION"),
        }),
        Ok(Request::Findings) => {
            let unix = |noted: &super::status::Noted| {
                noted.last.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
            };
            let one = |noted: &super::status::Noted| {
                json!({
                    "what": noted.finding.what, "why": noted.finding.why, "fix": noted.finding.fix,
                    "times": noted.times, "last_unix": unix(noted),
                })
            };
            json!({ "findings": status.findings().iter().map(one).collect::<Vec<_>>() })
        }
        Ok(Request::Metrics) => json!({ "metrics": metrics().exposition() }),
        Ok(Request::Reload) => {
            reload.notify_one();
            json!({ "reload": "asked for; the log and the findings say how it went" })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// Sends one verb to the socket of a running forebay and returns its answer.
///
/// # Errors
/// When nobody answers there.
pub fn ask(path: &Path, verb: &str) -> io::Result<Value> {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    writeln!(stream, "{}", json!({ "verb": verb }))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn verbs_are_answered_and_only_the_owner_may_ask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let control = Control::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (status, reload, stop) =
            (Arc::new(Status::default()), Arc::new(Notify::new()), CancellationToken::new());
        status.finding(Finding { what: "w".into(), why: "y".into(), fix: "f".into() });
        let asked = {
            let (path, stop) = (path.clone(), stop.clone());
            tokio::task::spawn_blocking(move || {
                let answers =
                    ["status", "findings", "reload", "nonsense"].map(|verb| ask(&path, verb).unwrap());
                stop.cancel();
                answers
            })
        };
        control.serve(status, Arc::clone(&reload), stop).await;
        let [state, findings, _, refused] = asked.await.unwrap();
        assert_eq!(state["phase"], "starting");
        assert_eq!(findings["findings"][0]["what"], "w");
        assert!(refused["error"].as_str().unwrap().contains("unknown variant"), "{refused}");
        reload.notified().await;
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_a_live_one_and_a_file_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = Control::bind(&path).unwrap();
        assert!(Control::bind(&path).unwrap_err().why.contains("running forebay"));
        drop(live);
        std::fs::write(&path, "mine").unwrap();
        assert!(Control::bind(&path).unwrap_err().why.contains("another file"));
    }
}
