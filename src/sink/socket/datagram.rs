//! A datagram for each event, to a Unix socket.
//!
//! The system keeps their order and drops none: while the receiver's queue is full (`net.unix.max_dgram_qlen`) we wait.
//! A datagram is charged to our end until it is read, so when our queue is empty all has been read, or whoever had it
//! has ended, which nobody tells. Therefore a batch is confirmed only when after that the receiver's own socket is
//! still at its place: a dead one takes no connection, and another one at the same path is another file. An abstract
//! name has no file: a receiver that dies with datagrams unread and has its name again before our next look, which is
//! 16 ms away at most, is not noticed.

use crate::finding::Finding;
use crate::sink::receiver::{
    LOOK_MAX, LOOK_MIN, Local, Manner, Progress, Receivers, Stamp, Trouble, too_long, unacknowledged,
};
use crate::sink::{Attachment, Encoded, Refusal, SendError, Sent};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::net::UnixDatagram;
use tokio::time::{Instant, sleep, timeout_at};

/// Datagrams after which it is looked how far the receiver has come.
const STRETCH: usize = 64;
/// Of a socket's buffer, what the system does not give to a datagram (`unix_dgram_sendmsg` of Linux).
const OVERHEAD: usize = 32;

pub(super) struct Datagrams {
    /// Of one receiver: whom its troubles are told.
    receivers: Receivers,
    local: Local,
    manner: Manner,
    /// Taken out while it is in use.
    end: Option<End>,
    progress: Option<Progress>,
}

/// Our end of what leads to a receiver.
struct End {
    socket: UnixDatagram,
    /// Of the receiver's socket.
    stamp: Option<Stamp>,
    /// Longest datagram.
    bytes_max: usize,
}

impl Datagrams {
    pub(super) fn new(receivers: Receivers, local: Local, manner: Manner) -> Self {
        Self { receivers, local, manner, end: None, progress: None }
    }

    pub(super) fn attach(&mut self, attachment: Attachment) {
        self.receivers.attach(attachment);
    }

    pub(super) async fn send(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        let known = self.progress.take();
        let progress = self.progress.insert(Progress::of(batch, known));
        // Somebody else may have taken its place while there was nothing to send.
        let usable = self.end.take().filter(|end| end.is_there(&self.local));
        let end = match usable.map_or_else(|| End::open(&self.local, self.manner), Ok) {
            Ok(end) => end,
            Err(trouble) => return Err(self.receivers.failed(trouble)),
        };
        let way = Deliver { end: &end, local: &self.local, manner: self.manner };
        match way.all(progress).await {
            Ok(()) => self.end = Some(end),
            Err(trouble) => return Err(self.receivers.failed(trouble)),
        }
        Ok(self.progress.take().map_or(Sent::Confirmed, Progress::sent))
    }

    /// Whether its socket takes datagrams.
    pub(super) fn probe(&self, output: &str) -> Vec<Finding> {
        let opened = End::open(&self.local, self.manner);
        opened.err().map(|trouble| trouble.finding(output)).into_iter().collect()
    }
}

impl End {
    fn open(local: &Local, manner: Manner) -> Result<Self, Trouble> {
        // Before the connection: what takes its place between is then taken for another one, and never for it.
        let stamp = local.stamp();
        let socket = local.datagrams()?;
        let broken = |error: Errno| local.trouble(&error.into());
        let buffer = sockopt::socket_send_buffer_size(&socket).map_err(broken)?;
        if buffer < manner.message_bytes_max {
            // As far as the system lets it grow; how far that is it says.
            sockopt::set_socket_send_buffer_size(&socket, manner.message_bytes_max).map_err(broken)?;
        }
        let bytes_max = sockopt::socket_send_buffer_size(&socket).map_err(broken)?.saturating_sub(OVERHEAD);
        Ok(Self { socket, stamp, bytes_max })
    }

    /// Whether the receiver's socket is still the one that it was.
    fn is_there(&self, local: &Local) -> bool {
        // In this order: whoever takes a connection now is then seen to be who it was.
        local.datagrams().is_ok() && local.stamp() == self.stamp
    }
}

struct Deliver<'d> {
    end: &'d End,
    local: &'d Local,
    manner: Manner,
}

impl Deliver<'_> {
    async fn all(&self, progress: &mut Progress) -> Result<(), Trouble> {
        let batch = Arc::clone(&progress.batch);
        for index in progress.sure..batch.items.len() {
            let message = batch.item(index);
            if message.len() > self.manner.message_bytes_max {
                progress.refused.push(too_long(index, message.len(), self.manner.message_bytes_max));
            } else if let Some(reason) = self.one(message).await? {
                progress.refused.push(Refusal { item: index as u32, reason });
            }
            if index % STRETCH == STRETCH - 1 && self.unread()? == 0 && self.end.is_there(self.local) {
                progress.sure = index + 1;
            }
        }
        self.settle().await
    }

    /// Sends one; why it can never be sent, if that is so.
    async fn one(&self, message: &[u8]) -> Result<Option<String>, Trouble> {
        let until = Instant::now() + self.manner.patience;
        loop {
            match timeout_at(until, self.end.socket.send(message)).await {
                Ok(Ok(_)) => return Ok(None),
                Ok(Err(error)) => match Errno::from_io_error(&error) {
                    Some(Errno::MSGSIZE) => {
                        let reason = format!(
                            "a datagram of {} bytes is too long: the system takes {} here, and more with a larger \
                             `net.core.wmem_max`",
                            message.len(),
                            self.end.bytes_max
                        );
                        return Ok(Some(reason));
                    }
                    // It has no memory for it at the moment.
                    Some(Errno::NOBUFS | Errno::NOMEM) if Instant::now() < until => sleep(LOOK_MAX).await,
                    _ => return Err(self.local.trouble(&error)),
                },
                Err(_) => return Err(self.silent()),
            }
        }
    }

    /// Until all is read, by whom it was sent to.
    async fn settle(&self) -> Result<(), Trouble> {
        let (mut alive, mut left, mut pause) = (Instant::now(), u32::MAX, LOOK_MIN);
        loop {
            let now = self.unread()?;
            if now == 0 {
                return match self.end.is_there(self.local) {
                    true => Ok(()),
                    false => Err(self.gone()),
                };
            }
            if now < left {
                alive = Instant::now();
            } else if alive.elapsed() >= self.manner.patience {
                return Err(self.silent());
            }
            left = now;
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_MAX);
        }
    }

    fn unread(&self) -> Result<u32, Trouble> {
        let unread = unacknowledged(self.end.socket.as_fd());
        unread.map_err(|error: io::Error| self.local.trouble(&error))
    }

    fn silent(&self) -> Trouble {
        Trouble::silent(&self.local.to_string(), self.manner.patience, self.manner.setting)
    }

    fn gone(&self) -> Trouble {
        Trouble::other(
            self.local.to_string(),
            "it ended, or another one took its place, before all was confirmed",
            "see the receiver's own log. What is not confirmed is sent again",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::receiver::{Frames, Mode};
    use std::time::Duration;

    #[tokio::test]
    async fn the_limit_of_the_system_is_named_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let local = Local::parse(path.to_str().unwrap(), Mode::Datagram).unwrap();
        let patience = Duration::from_secs(60);
        // So little that the buffer is left as it is.
        let manner =
            Manner { frames: Frames::Own, message_bytes_max: 1024, patience, setting: "write_timeout" };
        let end = End::open(&local, manner).unwrap();
        let way = Deliver { end: &end, local: &local, manner };
        assert_eq!(way.one(&vec![b'x'; end.bytes_max]).await, Ok(None));
        assert_eq!(receiver.recv(&mut vec![0; end.bytes_max]).await.unwrap(), end.bytes_max);
        let refused = way.one(&vec![b'x'; end.bytes_max + 1]).await.unwrap().unwrap();
        assert!(refused.contains(&format!("the system takes {} here", end.bytes_max)), "{refused}");
        let larger = End::open(&local, Manner { message_bytes_max: 1 << 20, ..manner }).unwrap();
        assert!(larger.bytes_max > end.bytes_max, "{} {}", larger.bytes_max, end.bytes_max);
    }
}
