//! Event logs as a destination: an archive that Event Viewer, evtx_dump and Hayabusa open.

mod store;
