//! How `limits.memory_max` is shared out: outputs have at most half of it, for their batches, for the shelves of those
//! that share their shape, and for what sinks hold. The rest is for what comes in.
//!
//! Promise: what is checked is what is built.
//! Must not know: who takes the memory.

use super::checked::{DeadLetter, Output};
use super::written::Undecodable;
use crate::basin::{Full, Start};
use crate::units::ByteSize;
use std::collections::BTreeSet;

/// What each part of the outputs gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Most that one part can have; where that is less than outputs would like, batches are smaller.
    pub each: ByteSize,
    /// Of each output, for its batches.
    pub batches: Vec<ByteSize>,
    /// Of each shape that several outputs share, in the order of [`shapes`].
    pub shelves: Vec<ByteSize>,
    /// Of each output, for what its sink holds.
    pub holds: Vec<ByteSize>,
}

impl Shares {
    pub fn of(memory_max: ByteSize, outputs: &[Output]) -> Self {
        let shapes = shapes(outputs);
        let shared: Vec<&Vec<usize>> = shapes.iter().filter(|outputs| outputs.len() > 1).collect();
        let each = ByteSize(memory_max.0 / 2 / (outputs.len() + shared.len()).max(1) as u64);
        let shelf = |sharing: &&Vec<usize>| {
            let batch = sharing.iter().map(|output| outputs[*output].batch.bytes.0).max();
            ByteSize(batch.unwrap_or(0).saturating_mul(SHELF_BATCHES)).min(each)
        };
        Self {
            each,
            batches: outputs.iter().map(|output| output.batch.memory().min(each)).collect(),
            shelves: shared.iter().map(shelf).collect(),
            holds: outputs.iter().map(|output| output.sink.hold_bytes().min(left(output, each))).collect(),
        }
    }

    /// What an output's share leaves its sink to hold.
    pub(super) fn left(&self, output: &Output) -> ByteSize {
        left(output, self.each)
    }

    /// A `memory_max` with which an output's sink can hold all that it is set up for.
    pub(super) fn enough_for(&self, output: &Output) -> ByteSize {
        let wanted = output.batch.memory().0.saturating_add(output.sink.hold_bytes().0);
        let parts = (self.batches.len() + self.shelves.len()) as u64;
        ByteSize(wanted.saturating_mul(2 * parts))
    }
}

fn left(output: &Output, each: ByteSize) -> ByteSize {
    ByteSize(each.0.saturating_sub(output.batch.memory().0))
}

/// What a shelf holds, in batches: an output may be sending one and filling the next while another begins.
const SHELF_BATCHES: u64 = 2;

/// Outputs by what they make of events, each by its place in the list.
pub fn shapes(outputs: &[Output]) -> Vec<Vec<usize>> {
    let targets = targets(outputs);
    let same = |a: &Output, b: &Output| {
        a.wants == b.wants
            && a.format == b.format
            && a.undecodable == b.undecodable
            && targets.contains(&a.name) == targets.contains(&b.name)
    };
    let mut shapes: Vec<Vec<usize>> = Vec::new();
    for (number, output) in outputs.iter().enumerate() {
        match shapes.iter_mut().find(|shape| same(&outputs[shape[0]], output)) {
            Some(shape) => shape.push(number),
            None => shapes.push(vec![number]),
        }
    }
    shapes
}

/// Outputs that get what nobody can read as the dead letter of another one, which sees all of it:
/// writing their own copy too would put it there twice.
pub fn targets(outputs: &[Output]) -> BTreeSet<String> {
    let is_raw = |name: &str| {
        outputs.iter().any(|output| output.name == name && output.undecodable == Undecodable::Raw)
    };
    let sends = |output: &&Output| {
        output.undecodable == Undecodable::DeadLetter
            && (output.start, output.full) == (Start::Oldest, Full::Wait)
    };
    let target = |output: &Output| match &output.dead_letter {
        DeadLetter::Output(name) if is_raw(name) => Some(name.clone()),
        _ => None,
    };
    outputs.iter().filter(sends).filter_map(target).collect()
}
