//! The control socket: commands to a running forebay over a Unix socket that only its own user may
//! open. One JSON object a line each way.
//!
//! | verb | answer |
//! |---|---|
//! | `{"verb":"status"}` | phase, uptime, version |
//! | `{"verb":"findings"}` | what was found wrong, oldest first |
//! | `{"verb":"metrics"}` | the Prometheus text |
//! | `{"verb":"hosts"}` | the machines that sources have heard of, an object each |
//! | `{"verb":"reload"}` | reads the pipeline file again, as SIGHUP does |
//! | `{"verb":"forget","output":"NAME"}` | releases the cursor of an output that is configured no more |
//!
//! Whatever goes wrong is answered with `{"error":"…"}`.
//!
//! Must not know: the pipeline; whoever serves gives it a way to ask for a reload.

use super::admit::Admission;
use super::{Status, metrics};
use crate::basin::{Basin, Forgot};
use crate::finding::Finding;
use rustix::fs::Mode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Longest request line.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// Most commands under way at once.
pub const CONNECTIONS_MAX: usize = 16;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that wait in the system's queue.
const BACKLOG: u32 = 128;

/// What commands act on.
#[derive(Clone)]
pub struct Commands {
    pub status: Arc<Status>,
    /// Notified when somebody asks for a reload.
    pub reload: Arc<Notify>,
    pub basin: Basin,
    pub hosts: Hosts,
}

/// Tells of the machines that sources have heard of.
pub type Hosts = Arc<dyn Fn() -> Vec<Value> + Send + Sync>;

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
    Hosts,
    Reload,
    Forget { output: String },
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
        match listen(path) {
            Ok(listener) => Ok(Self { listener, path: path.to_owned() }),
            Err(error) => Err(closed(
                path,
                &error.to_string(),
                "let its folder exist and be writable, or set `control.socket`",
            )),
        }
    }

    /// Answers until `stop`.
    pub async fn serve(self, commands: Commands, stop: CancellationToken) {
        let admission = Admission { connections_max: CONNECTIONS_MAX, time_max: REQUEST_TIMEOUT };
        let serve = |stream| {
            let commands = commands.clone();
            // A peer that goes away early gets no answer.
            async move { drop(connection(stream, &commands).await) }
        };
        super::admit::serve(&self.listener, admission, stop, serve).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The socket has its mode before it has its name: nobody can come in between.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

async fn connection(stream: UnixStream, commands: &Commands) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let mut answer = answer(&line, commands).await.to_string();
    answer.push('\n');
    write.write_all(answer.as_bytes()).await
}

async fn answer(line: &str, commands: &Commands) -> Value {
    let status = &commands.status;
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
        Ok(Request::Hosts) => {
            let hosts = Arc::clone(&commands.hosts);
            match tokio::task::spawn_blocking(move || hosts()).await {
                Ok(hosts) => json!({ "hosts": hosts }),
                Err(panic) => json!({ "error": panic.to_string() }),
            }
        }
        Ok(Request::Reload) => {
            commands.reload.notify_one();
            json!({ "reload": "asked for; the log and the findings say how it went" })
        }
        Ok(Request::Forget { output }) => forget(commands.basin.clone(), output).await,
        Err(error) => json!({ "error": error.to_string() }),
    }
}

async fn forget(basin: Basin, output: String) -> Value {
    let name = output.clone();
    match tokio::task::spawn_blocking(move || basin.forget(&name)).await {
        Ok(Ok(Forgot::Released)) => json!({ "forgotten": output }),
        Ok(Ok(Forgot::Configured)) => json!({ "error": format!(
            "output `{output}` is configured and stays; take it out of the pipeline file and reload first"
        ) }),
        Ok(Ok(Forgot::Unknown)) => json!({ "error": format!("the basin has no cursor named `{output}`") }),
        Ok(Err(error)) => {
            json!({ "error": format!("the cursor of `{output}` cannot be removed: {error}; check the disk") })
        }
        Err(panic) => json!({ "error": panic.to_string() }),
    }
}

/// Sends a request such as `{"verb":"status"}` to the socket of a running forebay and returns its
/// answer.
///
/// # Errors
/// When nobody answers there.
pub fn ask(path: &Path, request: &Value) -> io::Result<Value> {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    writeln!(stream, "{request}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::basin::{BasinConfig, Budget, DiskConfig, Full, OutputSpec, Start};
    use crate::units::ByteSize;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn verbs_are_answered_and_only_the_owner_may_ask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let control = Control::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let commands = Commands {
            status: Arc::new(Status::default()),
            reload: Arc::new(Notify::new()),
            basin: basin(&folder.path().join("basin")).await,
            hosts: Arc::new(|| vec![json!({ "host": "pc1" })]),
        };
        commands.status.finding(Finding { what: "w".into(), why: "y".into(), fix: "f".into() });
        let stop = CancellationToken::new();
        let asked = {
            let (path, stop) = (path.clone(), stop.clone());
            tokio::task::spawn_blocking(move || {
                let answers = ["status", "findings", "reload", "nonsense", "hosts"]
                    .map(|verb| ask(&path, &json!({ "verb": verb })).unwrap());
                let forgets = ["gone", "gone", "stays"]
                    .map(|name| ask(&path, &json!({ "verb": "forget", "output": name })).unwrap());
                stop.cancel();
                (answers, forgets)
            })
        };
        control.serve(commands.clone(), stop).await;
        let ([state, findings, _, refused, hosts], [forgotten, unknown, configured]) = asked.await.unwrap();
        assert_eq!(state["phase"], "starting");
        assert_eq!(findings["findings"][0]["what"], "w");
        assert_eq!(hosts, json!({ "hosts": [{ "host": "pc1" }] }));
        assert!(refused["error"].as_str().unwrap().contains("unknown variant"), "{refused}");
        commands.reload.notified().await;
        assert_eq!(forgotten, json!({ "forgotten": "gone" }));
        assert!(unknown["error"].as_str().unwrap().contains("no cursor named `gone`"), "{unknown}");
        assert!(configured["error"].as_str().unwrap().contains("is configured and stays"), "{configured}");
        assert!(!path.exists());
    }

    /// With an output `stays`, and the cursor of one that is `gone`.
    async fn basin(path: &Path) -> Basin {
        let config = BasinConfig { disk: Some(DiskConfig::new(path)), ..BasinConfig::default() };
        let output = |name: &str| OutputSpec { name: name.into(), start: Start::Oldest, full: Full::Wait };
        let budget = Budget::new(ByteSize::mib(1));
        Basin::open(&config, &[output("stays"), output("gone")], &budget).unwrap().0.close().await;
        Basin::open(&config, &[output("stays")], &budget).unwrap().0
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
