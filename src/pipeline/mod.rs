//! Builds and runs it all: sources, basin, lanes; shutdown; reload. The only room that starts tasks.

pub mod batch;
mod lane;
mod letter;
mod retry;

pub use batch::{BatchConfig, Undecodable};
pub use lane::{Lane, LaneError};
