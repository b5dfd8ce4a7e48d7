//! Compression: each batch is a gzip member or zstd frame of its own, so a file can be cut at any
//! batch and is still whole; both formats allow members one after the other (RFC 1952 §2.2,
//! RFC 8878 §3.1).

use schemars::JsonSchema;
use serde::Deserialize;
use std::io::{self, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Replaces `packed` with one member or frame that holds `plain`.
    pub(in crate::sink) fn pack(self, plain: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
        packed.clear();
        match self {
            Self::Gzip => {
                let mut member = flate2::write::GzEncoder::new(packed, flate2::Compression::default());
                member.write_all(plain)?;
                member.finish()?;
            }
            Self::Zstd => {
                let mut frame = zstd::Encoder::new(packed, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                frame.include_checksum(true)?;
                frame.set_pledged_src_size(Some(plain.len() as u64))?;
                frame.write_all(plain)?;
                frame.finish()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn members_one_after_the_other_are_one_text() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let (mut file, mut packed) = (Vec::new(), Vec::new());
            for text in ["one\n", "two\n"] {
                compression.pack(text.as_bytes(), &mut packed).unwrap();
                file.extend_from_slice(&packed);
            }
            let mut text = String::new();
            match compression {
                Compression::Gzip => {
                    flate2::read::MultiGzDecoder::new(&file[..]).read_to_string(&mut text).unwrap()
                }
                Compression::Zstd => {
                    zstd::Decoder::new(&file[..]).unwrap().read_to_string(&mut text).unwrap()
                }
            };
            assert_eq!(text, "one\ntwo\n");
        }
    }
}
