//! The body of a request, compressed.
//!
//! Must not know: what stands in it.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The `Content-Encoding`.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// # Errors
    /// When memory is at its end.
    pub(crate) fn pack(self, body: Vec<u8>) -> std::io::Result<Bytes> {
        // Events repeat each other so much that the fastest level takes most of it out.
        Ok(match self {
            Self::None => body.into(),
            Self::Gzip => {
                let out = Vec::with_capacity(body.len() / 8);
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
                encoder.write_all(&body)?;
                encoder.finish()?.into()
            }
            Self::Zstd => zstd::bulk::compress(&body, 1)?.into(),
        })
    }
}
