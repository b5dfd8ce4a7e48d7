//! Which path or name each event gets, and the caps on how many different ones there are: they are made of
//! text from remote machines.
//!
//! Must not know: how a path or name is made from an event.

use super::{PathTemplate, RouteValues};
use crate::sink::NOTE_BYTES_MAX;
use crate::sink::name::NameTemplate;
use std::collections::HashMap;

/// Bytes of the distinct paths of one batch: a sink notes them all with its cursor.
pub const BATCH_PATH_BYTES_MAX: usize = NOTE_BYTES_MAX - 4096;
/// What a note holds beside a path, at most.
pub const PATH_OVERHEAD_BYTES: usize = 32;
/// Most distinct paths of one output within an hour before further ones share a path of `_other`.
pub const ROUTES_MAX: usize = 4096;

/// Gives each event its path and holds the caps on distinct ones.
#[derive(Clone, Debug)]
pub struct Router {
    places: Places,
    /// Paths given out, and when last, in the seconds of the events' receipt.
    known: HashMap<Box<str>, Known>,
    routes_max: usize,
    batch: u64,
    /// Bytes of the distinct paths of this batch.
    batch_bytes: usize,
}

#[derive(Clone, Debug)]
enum Places {
    Paths(PathTemplate),
    Names(NameTemplate),
}

#[derive(Clone, Copy, Debug)]
struct Known {
    seconds: i64,
    batch: u64,
}

impl Router {
    pub fn new(template: PathTemplate) -> Self {
        Self::over(Places::Paths(template))
    }

    /// For names in the far end.
    pub fn of_names(template: NameTemplate) -> Self {
        Self::over(Places::Names(template))
    }

    fn over(places: Places) -> Self {
        Self { places, known: HashMap::new(), routes_max: ROUTES_MAX, batch: 0, batch_bytes: 0 }
    }

    #[must_use]
    pub fn with_routes_max(mut self, routes_max: usize) -> Self {
        self.routes_max = routes_max;
        self
    }

    /// A new batch begins.
    pub fn begin(&mut self) {
        self.batch += 1;
        self.batch_bytes = 0;
    }

    /// Whether the batch should be sent before more paths come together.
    pub fn is_full(&self) -> bool {
        self.batch_bytes > BATCH_PATH_BYTES_MAX / 2
    }

    /// Whether all events have the same, whatever they say.
    pub fn is_fixed(&self) -> bool {
        self.places.is_fixed()
    }

    /// The path of an event, into `out`.
    pub fn route(&mut self, values: &RouteValues<'_, '_>, out: &mut String) {
        out.clear();
        self.places.write(values, false, out);
        if self.places.is_fixed() {
            return;
        }
        let now = values.origin.received.0.div_euclid(1_000_000_000);
        if !self.admit(out, now) {
            out.clear();
            self.places.write(values, true, out);
        }
    }

    fn admit(&mut self, path: &str, now: i64) -> bool {
        const FORGET_AFTER_SECONDS: i64 = 3600;
        let known = self.known.get_mut(path);
        let is_new_here = known.as_ref().is_none_or(|known| known.batch != self.batch);
        let bytes = if is_new_here { path.len() + PATH_OVERHEAD_BYTES } else { 0 };
        if self.batch_bytes + bytes > BATCH_PATH_BYTES_MAX {
            return false;
        }
        let seen = Known { seconds: now, batch: self.batch };
        if let Some(known) = known {
            *known = seen;
        } else {
            if self.known.len() >= self.routes_max {
                self.known.retain(|_, known| known.seconds + FORGET_AFTER_SECONDS > now);
            }
            if self.known.len() >= self.routes_max {
                return false;
            }
            self.known.insert(path.into(), seen);
        }
        self.batch_bytes += bytes;
        true
    }
}

impl Places {
    fn write(&self, values: &RouteValues<'_, '_>, other: bool, out: &mut String) {
        match self {
            Self::Paths(template) => template.write(values, other, out),
            Self::Names(template) => template.write(values, other, out),
        }
    }

    fn is_fixed(&self) -> bool {
        match self {
            Self::Paths(template) => template.is_fixed(),
            Self::Names(template) => template.is_fixed(),
        }
    }
}
