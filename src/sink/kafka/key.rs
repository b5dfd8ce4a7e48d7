//! The key of a message, written before its payload while the event is at hand.
//!
//! Must not know: partitions.

use crate::sink::Head;
use crate::sink::path::RouteValues;
use crate::sink::template::Template;

/// Longest value in a key; what is behind it tells nothing more about where a message belongs.
const VALUE_BYTES_MAX: usize = 256;

/// Writes keys.
pub(super) struct Keys {
    template: Template,
    scratch: String,
}

impl Keys {
    pub(super) fn new(template: Template) -> Self {
        Self { template, scratch: String::new() }
    }
}

impl Head for Keys {
    fn write(&mut self, of: &RouteValues<'_, '_>, out: &mut Vec<u8>) {
        let bounded = |value: &str, out: &mut String| {
            out.push_str(&value[..value.floor_char_boundary(VALUE_BYTES_MAX)]);
        };
        self.scratch.clear();
        self.template.write(of, false, bounded, &mut self.scratch);
        // An event that nobody can read still belongs to the host it came from.
        if self.scratch.is_empty() && !self.template.parts.is_empty() {
            bounded(of.origin.host.as_deref().unwrap_or(""), &mut self.scratch);
        }
        out.extend_from_slice(self.scratch.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Header, Origin, Timestamp, Value};

    #[track_caller]
    fn check(template: &str, computer: Option<&str>, expected: &str) {
        let origin = Origin {
            source: "dc".into(),
            host: Some("pc1.example.org".into()),
            address: None,
            subscription: None,
            file: None,
            received: Timestamp(0),
        };
        let header = computer.map(|computer| Header {
            computer: Value::Text(computer.as_bytes()),
            channel: Value::Text(b"Security"),
            ..Header::default()
        });
        let mut out = b"before".to_vec();
        let values = RouteValues { header: header.as_ref(), origin: &origin, time: Timestamp(0) };
        Keys::new(Template::parse(template, template).unwrap()).write(&values, &mut out);
        assert_eq!(String::from_utf8_lossy(&out[6..]), expected);
    }

    #[test]
    fn a_key_is_made_of_the_event_as_it_is() {
        check("{computer}", Some("DC 1/\u{e9}"), "DC 1/\u{e9}");
        check("{computer}|{channel}", Some("dc1"), "dc1|Security");
        check("all", Some("dc1"), "all");
        check("", Some("dc1"), "");
    }

    #[test]
    fn what_cannot_be_read_has_the_key_of_its_host() {
        check("{computer}", None, "pc1.example.org");
        check("{computer}", Some(""), "pc1.example.org");
        check("", None, "");
    }

    #[test]
    fn a_long_value_is_cut() {
        check("{computer}", Some(&"é".repeat(5000)), &"é".repeat(VALUE_BYTES_MAX / 2));
    }
}
