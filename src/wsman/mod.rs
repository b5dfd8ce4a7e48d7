//! WS-Management as Windows Event Forwarding speaks it: bytes in, values out.
//!
//! ```text
//! HTTP body ─► multipart (part 3: unwrap) ─► sldc ─► charset ─► SOAP messages
//!           ◄─ multipart (part 3: wrap)   ◄────────  charset ◄─ SOAP messages
//! ```
//!
//! Everything foreign is bounded: output, depth and count have a named limit beside the code that
//! enforces it, and an error says what was found and where.
//! Pure. Must not know: sockets, TLS, who the peer is, clocks, the basin.

pub mod answer;
pub mod bookmark;
pub mod charset;
pub mod check;
mod duration;
pub mod envelope;
pub mod events;
pub mod fault;
pub mod guid;
pub mod header;
pub mod multipart;
pub mod ns;
mod put;
pub mod query;
pub mod reference;
pub mod request;
pub mod sldc;
pub mod subscribe;
pub mod subscription;
pub mod wsman_fault;
pub mod xml;

pub use answer::{Answer, Identity, Reply};
pub use bookmark::{Bookmark, BookmarkList};
pub use events::Events;
pub use fault::{Fault, Refusal};
pub use guid::Guid;
pub use header::Header;
pub use query::QueryList;
pub use reference::Reference;
pub use request::{Message, Rejected, Request, SubscriptionEnd};
pub use subscribe::Offer;
pub use subscription::{Endpoint, Subscription};
pub use wsman_fault::WsmanFault;
