//! A Unix socket of this machine: where it is, how it is connected to, and what can be wrong with it.
//!
//! Must not know: what is said over it.

use super::Trouble;
use crate::sink::SinkError;
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr, UnixDatagram as Unregistered};
use std::time::{Duration, SystemTime};
use tokio::net::{UnixDatagram, UnixStream};
use tokio::time::sleep;

/// Longest path or abstract name of a socket: the 108 bytes of unix(7), of which one is not for the path.
const PATH_BYTES_MAX: usize = 107;
/// Until a receiver is asked again whose queue of connections is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);

/// What a receiver on this machine takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A connection.
    #[default]
    Stream,
    /// A datagram for each event: none is dropped and their order is kept, as they do not leave the machine.
    Datagram,
}

#[derive(Clone, Debug)]
pub(in crate::sink) struct Local {
    /// As it was written.
    written: Box<str>,
    address: SocketAddr,
    mode: Mode,
}

/// What tells the socket at a path from another one that took its place.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sink) struct Stamp {
    device: u64,
    inode: u64,
    made: Option<SystemTime>,
}

impl Local {
    /// A path, or `@` and an abstract name.
    ///
    /// # Errors
    /// Says what such a path looks like.
    pub(in crate::sink) fn parse(written: &str, mode: Mode) -> Result<Self, SinkError> {
        let name = written.strip_prefix('@');
        let bytes = name.unwrap_or(written).len();
        let wrong = |why: String| SinkError::Setting { setting: "path", why };
        if bytes > PATH_BYTES_MAX {
            return Err(wrong(format!(
                "it has {bytes} bytes, and the system takes {PATH_BYTES_MAX} for a socket; have the receiver make it \
                 elsewhere, or write a path by way of a symbolic link"
            )));
        }
        let address = match name {
            _ if bytes == 0 || written.contains('\0') || written.ends_with('/') => None,
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(written).ok(),
        };
        let address = address.ok_or_else(|| {
            let written = written.escape_debug();
            wrong(format!(
                "`{written}` is no socket; write its path, such as `/run/agent.sock`, or `@agent` for an abstract name"
            ))
        })?;
        Ok(Self { written: written.into(), address, mode })
    }

    pub(in crate::sink) async fn connect(&self) -> Result<UnixStream, Trouble> {
        loop {
            match UnixStream::connect_addr(&self.address.clone().into()).await {
                // The system does not wait for a place in its queue of connections on its own.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(QUEUE_PAUSE).await,
                connected => return connected.map_err(|error| self.trouble(&error)),
            }
        }
    }

    /// A socket whose datagrams go there.
    pub(in crate::sink) fn datagrams(&self) -> Result<UnixDatagram, Trouble> {
        let opened = || {
            let socket = Unregistered::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect_addr(&self.address)?;
            UnixDatagram::from_std(socket)
        };
        opened().map_err(|error| self.trouble(&error))
    }

    /// Of the file that is there now; none of an abstract name.
    pub(in crate::sink) fn stamp(&self) -> Option<Stamp> {
        let metadata = fs::metadata(self.address.as_pathname()?).ok()?;
        let (device, inode, made) = (metadata.dev(), metadata.ino(), metadata.created().ok());
        Some(Stamp { device, inode, made })
    }

    pub(super) fn queue_is_full(&self) -> Trouble {
        Trouble::other(
            self.to_string(),
            "it lets no connection in: as many wait for it as its queue has room for",
            "see whether the receiver hangs; `connect_timeout` is the patience",
        )
    }

    /// In words: of a path the system says one thing for several.
    pub(in crate::sink) fn trouble(&self, error: &io::Error) -> Trouble {
        let kind = self.address.as_pathname().and_then(|path| Some(fs::metadata(path).ok()?.file_type()));
        let (why, fix) = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
                "there is no such socket".to_owned(),
                "start the receiver, or correct `path`; it is looked for again with each attempt",
            ),
            io::ErrorKind::PermissionDenied => (
                "this user may not write to it".into(),
                "give the user of forebay the right to write to the socket, and to pass through the folders above it",
            ),
            io::ErrorKind::ConnectionRefused if kind.is_some_and(|kind| kind.is_dir()) => {
                ("it is a folder".into(), "write the path of the receiver's socket in it")
            }
            io::ErrorKind::ConnectionRefused if kind.is_some_and(|kind| !kind.is_socket()) => (
                "it is a file that is no socket".into(),
                "correct `path`, or take the file away and start the receiver again",
            ),
            io::ErrorKind::ConnectionRefused => {
                ("nobody listens there".into(), "start the receiver: nobody is behind this socket any more")
            }
            _ if Errno::from_io_error(error) == Some(Errno::PROTOTYPE) => match self.mode {
                Mode::Stream => (
                    "it is a socket of another kind than the stream that is asked for".into(),
                    "write `mode = \"datagram\"`, if the receiver takes datagrams",
                ),
                Mode::Datagram => (
                    "it is a socket of another kind than the datagrams that are asked for".into(),
                    "write `mode = \"stream\"`, if the receiver takes connections",
                ),
            },
            _ => (error.to_string(), "see the receiver's own log, and that `path` is the socket it reads"),
        };
        Trouble::other(self.to_string(), why, fix)
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(written: &str) -> Result<Local, SinkError> {
        Local::parse(written, Mode::Stream)
    }

    #[test]
    fn sockets_are_paths_or_abstract_names_of_at_most_107_bytes() {
        let longest = format!("/{}", "x".repeat(106));
        for good in ["/run/agent.sock", "agent.sock", "@agent", &longest, &format!("@{longest}")] {
            assert_eq!(parse(good).unwrap().to_string(), good);
        }
        for wrong in ["", "@", "/run/", "a\0b"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.to_string().contains("`/run/agent.sock`"), "{error}");
        }
        for long in [format!("{longest}x"), format!("@{longest}x")] {
            let error = parse(&long).unwrap_err();
            assert!(error.to_string().contains("it has 108 bytes, and the system takes 107"), "{error}");
        }
    }

    #[test]
    fn what_the_system_says_is_told_in_words() {
        let local = parse("/run/agent.sock").unwrap();
        let told = |errno: Errno| local.trouble(&errno.into()).finding("siem").to_string();
        for (errno, words) in [
            (Errno::ACCESS, "/run/agent.sock: this user may not write to it; give the user"),
            (Errno::NOTDIR, "there is no such socket"),
            (Errno::LOOP, "symbolic links"),
        ] {
            assert!(told(errno).contains(words), "{}", told(errno));
        }
    }
}
