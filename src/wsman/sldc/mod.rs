//! SLDC (ECMA-321, ISO/IEC 22091): the compression of the events that a Windows host delivers.
//!
//! ```text
//! body    = stream, decoded length (4 bytes, little-endian)
//! stream  = record …                      bits, bit 7 of each byte first
//! record  = RESET 1, symbol …, END OF RECORD, zero bits
//!
//! 0 cccccccc                    literal                        scheme 1
//! 1 count dddddddddd            copy from the history          scheme 1
//! cccccccc, 11111111 0          byte, the byte 0xff            scheme 2
//! 111111111 ssss                control symbol                 both
//!
//! count: 0x = 2..3, 10xx = 4..7, 110xxx = 8..15, 1110xxxx = 16..31, 1111xxxxxxxx = 32..271
//! ssss:  0 FLUSH, 1 SCHEME 1, 2 SCHEME 2, 3 FILE MARK, 4 END OF RECORD, 5 RESET 1, 6 RESET 2,
//!        15 END MARKER, the others are reserved
//! ```
//!
//! The history is a ring of 1024 bytes that takes every decoded byte; RESET fills it with zeros and
//! starts it over. `dddddddddd` is a *place in that ring*. The decoder keeps no ring: a place is as
//! good as a distance back into what was decoded since the last RESET, and what lies before that is
//! zero.
//!
//! Windows sends one record for each message, RESET 1 first, so that each body stands for itself;
//! nothing is kept from one to the next. Several records in a body are read too, and the history
//! goes on from one to the next until a RESET.
//!
//! Promise: never more than the limit is decoded, nor more memory reserved than the stream could
//! decode to; after an error the output is as it was. The length that Windows appends is a hint:
//! it refuses a body early, sizes the output and says where the records end, and whether it was
//! right is told to the caller.

mod decode;
mod encode;
mod kernel;
mod prepared;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use decode::{Decoded, decode, decode_stream};
pub use encode::Encoder;
pub use prepared::{Prepared, Writer};

use thiserror::Error;

/// Bytes of history that a copy can reach.
pub const HISTORY_BYTES: usize = 1024;
/// A copy has at most so many bytes.
pub const COPY_BYTES_MAX: usize = 271;
/// What stands behind the stream: the decoded length.
pub const TRAILER_BYTES: usize = 4;

/// Bits of the shortest symbol that decodes to the most: a copy of 271 bytes.
const LONGEST_COPY_BITS: usize = 23;
const CONTROL_BITS: usize = 13;
const CONTROL_PREFIX: u64 = 0x1ff;
const CONTROL_PREFIX_BITS: usize = 9;
/// FLUSH and FILE MARK are followed by zero bits up to the next multiple of these.
const WORD_BITS: usize = 32;

/// How bytes are written; a stream may change between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Literals of nine bits, and copies.
    One,
    /// Bytes as they are: for what does not compress.
    Two,
}

/// The four bits behind nine ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Flush,
    Scheme(Scheme),
    FileMark,
    EndOfRecord,
    Reset(Scheme),
    EndMarker,
}

impl Control {
    const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Flush,
            1 => Self::Scheme(Scheme::One),
            2 => Self::Scheme(Scheme::Two),
            3 => Self::FileMark,
            4 => Self::EndOfRecord,
            5 => Self::Reset(Scheme::One),
            6 => Self::Reset(Scheme::Two),
            15 => Self::EndMarker,
            _ => return None,
        })
    }

    const fn code(self) -> u64 {
        match self {
            Self::Flush => 0,
            Self::Scheme(Scheme::One) => 1,
            Self::Scheme(Scheme::Two) => 2,
            Self::FileMark => 3,
            Self::EndOfRecord => 4,
            Self::Reset(Scheme::One) => 5,
            Self::Reset(Scheme::Two) => 6,
            Self::EndMarker => 15,
        }
    }
}

/// Why a body is not decoded. Bits are counted from the start of the body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SldcError {
    #[error("{bytes} bytes are too few for SLDC, which ends with four bytes of decoded length")]
    Short { bytes: usize },
    #[error("the body starts with a UTF-16 byte order mark: it is text, not SLDC")]
    Plain,
    #[error("the body says that it decodes to {declared} bytes; the limit is {limit}")]
    Declared { declared: usize, limit: usize },
    #[error("at bit {bit} the stream decodes to more than the limit of {limit} bytes")]
    TooLong { limit: usize, bit: usize },
    #[error("reserved control symbol {code:04b} at bit {bit}")]
    Reserved { code: u8, bit: usize },
    #[error("the stream stops at bit {bit} without END OF RECORD")]
    Unended { bit: usize },
    #[error("the pad at bit {bit} is not zero")]
    Pad { bit: usize },
    #[error("what follows the record at bit {bit} is neither pad nor a control symbol")]
    Stray { bit: usize },
}
