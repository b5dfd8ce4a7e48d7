//! What the pipeline file says of the basin, and what the pipeline says of its outputs.

use super::BasinError;
use crate::units::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[basin.disk]` or `[basin.memory]`: exactly one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasinConfig {
    /// Batches and bookmarks are on disk before anything is acknowledged.
    pub disk: Option<DiskConfig>,
    /// Nothing on disk: a batch is acknowledged when every output has confirmed it. Positions are
    /// not kept either: after a restart every input is read again, a log from where `read_existing`
    /// says. A reload goes on where it was.
    pub memory: Option<MemoryConfig>,
}

/// `[basin.disk]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// Folder of the log; made with mode 0700 when it is not there.
    pub path: PathBuf,
    /// Most bytes the log may take. When it is full, each output's `full` decides.
    #[serde(default = "size_max")]
    pub size_max: ByteSize,
    /// Size of one segment file. The log is deleted a segment at a time.
    #[serde(default = "segment_size")]
    pub segment_size: ByteSize,
    /// How much of what every output has read is kept, for an output added later.
    #[serde(default)]
    pub retain: Retain,
}

/// `retain` of `[basin.disk]`. Neither given: what all have read is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retain {
    /// Keep what is younger than this.
    pub age: Option<Span>,
    /// Keep at most this many bytes of what all have read.
    pub size: Option<ByteSize>,
}

/// `[basin.memory]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Most bytes of unconfirmed batches; a batch beyond them waits.
    #[serde(default = "memory_size_max")]
    pub size_max: ByteSize,
}

/// What the basin must know of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSpec {
    pub name: String,
    pub start: Start,
    pub full: Full,
}

/// Where an output that the basin has not seen before begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the oldest batch that is still there.
    #[default]
    Oldest,
    /// With the first batch after it was added.
    Newest,
}

/// What happens to an output's unread batches when the basin is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Full {
    /// Intake waits until the output has read on. Nothing is lost.
    #[default]
    Wait,
    /// The output's oldest unread batches are skipped, counted and reported.
    SkipOldest,
}

impl BasinConfig {
    /// What is wrong with the table itself; touches no file.
    pub fn check(&self) -> Result<(), BasinError> {
        match (&self.disk, &self.memory) {
            (Some(disk), None) => disk.check(),
            (None, Some(_)) => Ok(()),
            (None, None) => Err(BasinError::Config {
                key: "",
                what: "no basin is chosen; write `[basin.disk]` with a `path`, or `[basin.memory]`".into(),
            }),
            (Some(_), Some(_)) => Err(BasinError::Config {
                key: "",
                what: "both `[basin.disk]` and `[basin.memory]` are there; keep one of them".into(),
            }),
        }
    }
}

impl DiskConfig {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            size_max: size_max(),
            segment_size: segment_size(),
            retain: Retain::default(),
        }
    }

    fn check(&self) -> Result<(), BasinError> {
        if self.segment_size < SEGMENT_SIZE_MIN || self.segment_size > SEGMENT_SIZE_MAX {
            let what = format!(
                "basin.disk.segment_size is {}; choose {SEGMENT_SIZE_MIN} to {SEGMENT_SIZE_MAX}",
                self.segment_size
            );
            return Err(BasinError::Config { key: "disk.segment_size", what });
        }
        if self.size_max.0 / SEGMENTS_MIN < self.segment_size.0 {
            let what = format!(
                "basin.disk.size_max is {}, too small for segments of {}; make it at least {}, or lower `segment_size`",
                self.size_max,
                self.segment_size,
                ByteSize(self.segment_size.0 * SEGMENTS_MIN)
            );
            return Err(BasinError::Config { key: "disk.size_max", what });
        }
        let nothing = |key, what: &str| Err(BasinError::Config { key, what: what.to_owned() });
        if self.retain.age.is_some_and(|age| age.0.is_zero()) {
            return nothing(
                "disk.retain.age",
                "`retain.age` of 0 keeps nothing; leave it out, or write such as `3d`",
            );
        }
        if self.retain.size.is_some_and(|size| size.0 == 0) {
            return nothing(
                "disk.retain.size",
                "`retain.size` of 0 keeps nothing; leave it out, or write such as `20GiB`",
            );
        }
        Ok(())
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { size_max: memory_size_max() }
    }
}

/// Below this a segment switch would dominate the cost of writing.
pub const SEGMENT_SIZE_MIN: ByteSize = ByteSize::kib(256);
pub const SEGMENT_SIZE_MAX: ByteSize = ByteSize(4 << 30);
/// One being read, one being written, one prepared, one to spare.
pub const SEGMENTS_MIN: u64 = 4;

/// A day of a large site; small enough for any server's disk.
fn size_max() -> ByteSize {
    ByteSize(50 << 30)
}

/// Large enough that a switch of segments is rare, small enough that space comes back soon.
fn segment_size() -> ByteSize {
    ByteSize::mib(64)
}

fn memory_size_max() -> ByteSize {
    ByteSize::mib(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_basin_is_chosen() {
        assert!(BasinConfig::default().check().is_err());
        let memory = Some(MemoryConfig::default());
        assert!(BasinConfig { disk: None, memory: memory.clone() }.check().is_ok());
        assert!(BasinConfig { disk: Some(DiskConfig::new("x")), memory }.check().is_err());
    }

    #[test]
    fn a_size_limit_below_four_segments_is_refused_with_a_number_that_works() {
        let disk = DiskConfig { size_max: ByteSize::mib(100), ..DiskConfig::new("x") };
        let error = disk.check().unwrap_err().to_string();
        assert!(error.contains("256MiB"), "{error}");
    }
}
