//! One datagram for each message. Best effort: what the network or a receiver drops is not known here.
//!
//! What is known is acted on: a message that is too long is refused before it is sent, and a machine that says
//! nobody listens gets all of this attempt again.

use crate::finding::Finding;
use crate::sink::receiver::{Receivers, Trouble, too_long};
use crate::sink::{Encoded, Refusal, SendError, Sent};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Within which a machine of the same network says that nobody listens.
const REFUSAL: Duration = Duration::from_millis(20);
/// Datagrams after which others have their turn.
const STRETCH: usize = 64;

pub(super) struct Datagrams {
    pub(super) receivers: Receivers,
    message_bytes_max: usize,
    socket: Option<(UdpSocket, String)>,
}

impl Datagrams {
    pub(super) fn new(receivers: Receivers, message_bytes_max: usize) -> Self {
        Self { receivers, message_bytes_max, socket: None }
    }

    pub(super) async fn send(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        let (socket, peer) = match self.socket.take() {
            Some(open) => open,
            None => match open(&self.receivers).await {
                Ok(open) => open,
                Err(trouble) => return Err(self.receivers.failed(trouble)),
            },
        };
        match self.all(&socket, &peer, batch).await {
            Ok(refused) => {
                self.socket = Some((socket, peer));
                Ok(if refused.is_empty() { Sent::Confirmed } else { Sent::Partly(refused) })
            }
            Err(trouble) => Err(self.receivers.failed(trouble)),
        }
    }

    async fn all(&self, socket: &UdpSocket, peer: &str, batch: &Encoded) -> Result<Vec<Refusal>, Trouble> {
        let mut refused = Vec::new();
        let broken = |error: &io::Error| Trouble::connecting(peer, error);
        for index in 0..batch.items.len() {
            let message = batch.item(index);
            if message.len() > self.message_bytes_max {
                refused.push(too_long(index, message.len(), self.message_bytes_max));
                continue;
            }
            match socket.send(message).await {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                    let reason = format!("a datagram of {} bytes is too long for the way", message.len());
                    refused.push(Refusal { item: index as u32, reason });
                }
                Err(error) => return Err(broken(&error)),
            }
            if index % STRETCH == STRETCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        tokio::time::sleep(REFUSAL).await;
        match socket.take_error() {
            Ok(None) => Ok(refused),
            Ok(Some(error)) | Err(error) => Err(broken(&error)),
        }
    }

    /// Whether names are known and there is a way there.
    pub(super) async fn probe(&self, output: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        for one in self.receivers.each() {
            findings.extend(open(&one).await.err().map(|trouble| trouble.finding(output)));
        }
        findings
    }
}

/// A socket for the receiver that is tried next.
async fn open(receivers: &Receivers) -> Result<(UdpSocket, String), Trouble> {
    let (peer, found) = receivers.look_up().await?;
    let mut last = None;
    for place in found {
        let own = if place.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let opened = async {
            let socket = UdpSocket::bind(own).await?;
            socket.connect(place).await?;
            io::Result::Ok(socket)
        };
        match opened.await {
            Ok(socket) => return Ok((socket, peer)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| Trouble::no_address(&peer), |error| Trouble::connecting(&peer, &error)))
}
