//! Which events an output wants: channel, id, provider, level and computer sets, and the Windows
//! event XPath, compiled to a predicate over the borrowed event.
//!
//! Pure. Must not know: outputs, formats.
