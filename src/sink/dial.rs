//! A connection to one of the addresses that a name stands for.
//!
//! Promise: an address that swallows everything leaves time for the next one. Must not know: who is there.

use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// A connection to the first of a name's addresses that takes one. An address that swallows everything, as all of a
/// kind do where only the other kind gets through, leaves those behind it their share of the time; the last has all
/// that is left, whose end is the caller's affair.
pub(super) async fn first_that_answers(
    places: &[SocketAddr],
    until: Instant,
) -> Result<TcpStream, Option<io::Error>> {
    let mut last = None;
    for (index, place) in places.iter().enumerate() {
        let connecting = TcpStream::connect(place);
        let connected = match places.len() - index {
            1 => connecting.await,
            left => {
                let share = until.saturating_duration_since(Instant::now()) / left as u32;
                timeout(share, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}
