//! The basin: one log in front of all outputs, on disk or in memory.
//!
//! Must not know: XML, sinks, formats.
