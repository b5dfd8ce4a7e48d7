//! Bodies, both ways: read whole into memory of just their size, thrown away, or answered.
//!
//! Must not know: who asks, what a body says.

use super::answers::Reply;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming as Body;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use std::time::Duration;
use tokio::time::timeout;

/// Why there is no whole body.
pub(super) enum Unread {
    TooLarge,
    Cut,
}

/// The whole body, in memory of just its size.
pub(super) async fn collect(
    body: &mut Body,
    length: Option<usize>,
    bytes_max: usize,
) -> Result<Bytes, Unread> {
    let mut whole = BytesMut::with_capacity(length.unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Cut)?.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Reads what is left of a refused body: a socket that is closed over unread bytes takes the answer
/// with it. Who waits for our word before it sends has sent nothing.
pub(super) async fn discard(headers: &HeaderMap, body: &mut Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let discarding = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    let _ = timeout(DISCARDING_MAX, discarding).await;
}

pub(super) fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body.unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(content_type) = reply.content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if reply.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Of a body that is refused, so much is read and thrown away, so that the peer gets to read why.
const DISCARDED_BYTES_MAX: usize = 16 << 20;
const DISCARDING_MAX: Duration = Duration::from_secs(10);
