//! Figures against each other: sizes that no machine has, and those that can never be reached.
//!
//! Must not know: how memory is shared out.

use super::checked::Output;
use super::diagnostic::Diagnostic;
use super::place::at;
use super::shares::Shares;
use super::tree::{Notes, Part, Tree};
use super::written::{BatchConfig, Limits};
use crate::basin::BasinConfig;
use crate::sink::s3;
use crate::units::{ByteSize, Span};

/// Below this not even one delivery has room on its way in and out.
pub(super) const MEMORY_MIN: ByteSize = ByteSize::mib(4);
/// A batch's items are found by 32-bit offsets; the rest is room for the delivery that closes it.
pub(super) const BATCH_BYTES_MAX: ByteSize = ByteSize::mib(1024);

/// How many bytes of events may make one of an object.
const COMPRESSED: u64 = 16;
/// So long sources wait for their answer without harm.
const HELD_AGE_MAX: Span = Span::secs(10);

pub(super) fn check(
    tree: &Tree<'_>,
    limits: &Limits,
    basin: &BasinConfig,
    outputs: &[Output],
    notes: &mut Notes,
) {
    let memory_max = limits.memory_max;
    let single = |table: &str, keys: &[&str]| at(tree.single.get(table)?, keys);
    if memory_max < MEMORY_MIN {
        let message = format!("`memory_max` is {memory_max}, with which nothing can be moved");
        let help = format!("write {MEMORY_MIN} or more");
        notes.tell(Diagnostic::error(single("limits", &["memory_max"]), message, help));
    }
    let written = single("basin", &["memory", "size_max"]);
    if let (Some(memory), Some(place)) = (&basin.memory, written)
        && (memory.size_max > memory_max || memory.size_max < MEMORY_MIN)
    {
        let message = format!("`size_max` is {}, and `limits.memory_max` {memory_max}", memory.size_max);
        let help = format!("choose {MEMORY_MIN} to {memory_max}, or raise `limits.memory_max`");
        notes.tell(Diagnostic::error(Some(place), message, help));
    }
    let shares = Shares::of(memory_max, outputs);
    for output in outputs.iter().filter(|output| output.batch.bytes > shares.each) {
        let part: Option<&Part<'_>> = tree.named.get("output").and_then(|named| named.get(&output.name));
        let place = part.and_then(|part| at(part, &["batch", "bytes"]));
        // With the default it is told at `memory_max` already, if at all.
        let Some(place) = place else { continue };
        let message = format!("batches of {} can never be filled", output.batch.bytes);
        let share = at_most(shares.each);
        let help =
            format!("`limits.memory_max` leaves {share} to each output; lower `batch.bytes` or raise it");
        notes.tell(Diagnostic::warning(Some(place), message, help));
    }
    for output in outputs {
        held(tree, output, basin, &shares, notes);
    }
}

/// What a sink holds until it is confirmed.
fn held(tree: &Tree<'_>, output: &Output, basin: &BasinConfig, shares: &Shares, notes: &mut Notes) {
    let Some(s3) = &output.sink.s3 else { return };
    let part: Option<&Part<'_>> = tree.named.get("output").and_then(|named| named.get(&output.name));
    let place = |keys: &[&str]| part.and_then(|part| at(part, keys));
    let keys: [&[&str]; 2] = [&["sink", "s3", "size_max"], &["sink", "s3"]];
    let (left, enough) = (shares.left(output), at_least(shares.enough_for(output)));
    if left < s3::SIZE_LEAST {
        let message =
            "`limits.memory_max` leaves nothing for objects, and each batch would be some of its own";
        let help = format!("raise `limits.memory_max` to {enough}, or lower `batch.bytes`");
        notes.tell(Diagnostic::error(keys.into_iter().find_map(place), message, help));
    } else if left < s3.size_max {
        let message = format!("objects of {} can never be filled", s3.size_max);
        let help = format!(
            "`limits.memory_max` leaves {} for them; lower `size_max` or raise `limits.memory_max` to {enough}",
            at_most(left)
        );
        notes.tell(Diagnostic::warning(keys.into_iter().find_map(place), message, help));
    }
    let room = basin.disk.as_ref().map_or(u64::MAX, |disk| disk.size_max.0);
    if room < s3.size_max.0.saturating_mul(COMPRESSED) {
        let message = format!("the basin can be full before objects of {} are", s3.size_max);
        let help = format!(
            "nothing comes in then until `age_max` ({}) is over; give the basin more room, or lower `size_max`",
            s3.age_max
        );
        notes.tell(Diagnostic::warning(keys.into_iter().find_map(place), message, help));
    }
    if basin.memory.is_some() && s3.age_max > HELD_AGE_MAX {
        let message =
            format!("with a memory basin nothing is acknowledged before `age_max` ({}) is over", s3.age_max);
        let help = "write `[basin.disk]`, which holds events meanwhile, or `age_max = \"2s\"` and many small objects";
        let keys: [&[&str]; 2] = [&["sink", "s3", "age_max"], &["sink", "s3"]];
        notes.tell(Diagnostic::warning(keys.into_iter().find_map(place), message, help));
    }
}

/// A size as it can be written, and no more than that; units are those that sizes are shown in exactly.
fn at_most(size: ByteSize) -> ByteSize {
    ByteSize(size.0 / unit(size) * unit(size))
}

fn at_least(size: ByteSize) -> ByteSize {
    ByteSize(size.0.div_ceil(unit(size)).saturating_mul(unit(size)))
}

fn unit(size: ByteSize) -> u64 {
    [(1 << 30, 1 << 29), (1 << 20, 1 << 20), (1 << 10, 1 << 10)]
        .into_iter()
        .find(|(from, _)| size.0 >= *from)
        .map_or(1, |(_, unit)| unit)
}

/// What is wrong with a batch's own figures.
pub(super) fn batch(part: &Part<'_>, batch: &BatchConfig, notes: &mut Notes) {
    if batch.events == 0 {
        let help = "write 1 or more; without `events` it is 10000";
        notes.tell(Diagnostic::error(
            at(part, &["batch", "events"]),
            "a batch of no events is never sent",
            help,
        ));
    }
    if batch.bytes.0 == 0 || batch.bytes > BATCH_BYTES_MAX {
        let message = format!("`batch.bytes` is {}", batch.bytes);
        let help = format!("choose 1B to {BATCH_BYTES_MAX}; beyond 1MiB nothing gets faster");
        notes.tell(Diagnostic::error(at(part, &["batch", "bytes"]), message, help));
    }
}
