//! EVTX, Windows' event log file: headers, chunks, records and their BinXML.
//!
//! ```text
//! file ─► FileHeader, chunks of 64 KiB ─► records (resynchronised past damage)
//!                                           │
//!          Decoder ── programs, names ──────┴─► BinXmlEvent: Header, walk(Visitor), xml()
//! ```
//!
//! A record is either an instance of templates (compiled once to flat programs, found again by
//! content in every chunk) or, as a collector stores what was forwarded to it, plain tokens that
//! are streamed. Layout: libevtx documentation; BinXML: MS-EVEN6 2.2.12.
//! Promise: hostile bytes cost bounded time, memory, depth and output, and never panic.
//! Pure: bytes in, values out. Must not know: files, sockets, clocks, filters, formats.

mod arena;
mod block;
pub mod chunk;
mod cursor;
mod decoder;
mod event;
mod forms;
pub mod header;
mod instance;
mod labels;
mod layout;
mod names;
mod program;
mod spelling;
mod system;
mod template;
#[cfg(test)]
mod tests;
mod usual;
pub mod values;
mod walk;
pub mod write;

pub use chunk::{CHUNK_BYTES, ChunkHeader, RawRecord, Records, Unreadable};
pub use decoder::{Decoder, RecordError};
pub use event::BinXmlEvent;
pub use header::{FILE_HEADER_BYTES, FileHeader};
