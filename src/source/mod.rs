//! Where events come from: each source turns what arrived into batches for the basin.
//!
//! Promise: a position moves only with the events up to it. Must not know: outputs, formats.
