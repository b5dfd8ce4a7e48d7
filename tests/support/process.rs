//! `forebay` as a process of a test: started, waited for with a deadline, sent signals, killed.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Events of a quiet run: the usual number, or what `FOREBAY_EVENTS` says.
pub(crate) fn events(usual: u64) -> u64 {
    std::env::var("FOREBAY_EVENTS").map_or(usual, |number| number.parse().unwrap())
}

/// As long as so many events may take, on top of the usual.
fn patience() -> Duration {
    PATIENCE + Duration::from_millis(events(0))
}

/// The program, to be started in `folder`. What it says goes to `stderr.log` there. `FOREBAY_PROGRAM` is another build
/// of it, for long runs.
pub(crate) fn forebay(folder: &Path, args: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_forebay").into();
    let mut command = Command::new(std::env::var_os("FOREBAY_PROGRAM").unwrap_or(built));
    command.args(args);
    quiet(command, folder)
}

/// Any program, in `folder`, with its standard error there.
pub(crate) fn quiet(mut command: Command, folder: &Path) -> Command {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("stderr.log")).unwrap();
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
}

/// What all processes of this folder said.
pub(crate) fn told(folder: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(folder.join("stderr.log")).unwrap_or_default()).into_owned()
}

/// A process that does not outlive its test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn kill(mut self) {
        self.kill_traced();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// What a tracer started goes on without it.
    fn kill_traced(&self) {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)) {
            // It may just have ended.
            let _ = kill_process(child, Signal::KILL);
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it started: the first process of a namespace, where it is `unshare` that waits for it.
    pub(crate) fn first(&self) -> Option<Pid> {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
    }

    /// SIGTERM to that one.
    #[track_caller]
    pub(crate) fn stop_first(&self) {
        kill_process(self.first().expect("it runs"), Signal::TERM).unwrap();
    }

    /// SIGTERM.
    pub(crate) fn stop(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// What it writes, if that was piped.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().unwrap()
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Its exit code, once it has ended by itself.
    #[track_caller]
    pub(crate) fn code(mut self) -> Option<i32> {
        let mut status = None;
        eventually("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.as_ref().and_then(ExitStatus::code)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended unless the test failed.
        if self.is_running() {
            self.kill_traced();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience(), "this did not happen: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port of the loopback that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Head and body of the answer.
pub(crate) fn http_get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
