//! What a filter asks about first, read no further than it takes to say no.
//!
//! Promise: what is handed out is what the header of the same event holds, if that can be read: up to
//! there everything was as Windows writes it. What stands behind is not looked at and may be anything.

use super::system::{self, Next};
use crate::event::Value;

/// The beginning of an event that Windows wrote.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    pub provider_name: Value<'a>,
    pub event_id: Value<'a>,
    pub(super) behind: Next<'a>,
}

impl<'a> Glance<'a> {
    /// Provider and EventID, which stand first. None: what stands there is not quite as Windows
    /// writes it, or not ASCII, and only all of System can tell.
    #[inline]
    pub fn new(text: &'a [u8]) -> Option<Self> {
        let glance = system::glance(text)?;
        (is_ascii(glance.provider_name) && is_ascii(glance.event_id)).then_some(glance)
    }

    /// Reads on as far as to Level and Channel; None as above.
    #[inline]
    pub fn level_and_channel(&self) -> Option<(Value<'a>, Value<'a>)> {
        let (level, channel) = self.behind.level_and_channel()?;
        (is_ascii(level) && is_ascii(channel)).then_some((level, channel))
    }
}

fn is_ascii(value: Value<'_>) -> bool {
    match value {
        Value::Xml(raw) => raw.is_ascii(),
        _ => true,
    }
}
