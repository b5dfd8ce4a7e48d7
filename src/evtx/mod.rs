//! The Windows event log file, both ways: headers, chunks, BinXML, damage.
//!
//! Pure: bytes in, events out. Must not know: files, tails, sinks.
