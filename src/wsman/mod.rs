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

pub mod sldc;
