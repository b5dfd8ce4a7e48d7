//! The event: one model over both encodings (XML text and BinXML), and the batches it travels in.
//!
//! ```text
//! XmlEvent ─┐                    ┌─► Header  (System: borrowed values, decides filters)
//!           ├─► trait Event ─────┤
//! BinXml  ──┘                    └─► walk(part, Visitor)  (everything, in document order)
//! ```
//!
//! Both readers hand out the same `Header` and drive the same `Visitor`, so each filter and format
//! is written once and compiled for both. `EventBatch` is how events travel between rooms: one
//! buffer of canonical XML text with byte ranges.
//! Pure: bytes, time and randomness are arguments. Must not know: files, sockets, sinks, formats.

pub mod batch;
pub mod canonical;
mod digits;
mod escape;
pub mod header;
pub mod id;
pub mod pen;
pub mod put;
pub mod receipt;
mod render;
pub mod template;
pub mod text;
pub mod time;
pub mod transcode;
pub mod utf16;
pub mod value;
pub mod visit;
pub mod xml;

pub use batch::{Bookmark, EventBatch, Note, NoteKind, Origin};
pub use header::Header;
pub use id::EventId;
pub use pen::Pen;
pub use receipt::{Outcome, Receipt, Settled};
pub use template::{Instance, Template};
pub use time::Timestamp;
pub use value::Value;
pub use visit::{Event, EventError, Ignore, Part, Visitor, local_name};
pub use xml::XmlEvent;
