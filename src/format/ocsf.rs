//! Open Cybersecurity Schema Framework 1.8.0, one object each.
//!
//! ```text
//! {"class_uid":3002,…,"activity_id":1,…,"type_uid":300201,…,"time":1553893840380,"severity_id":1,…,"status_id":1,…,
//!  "message":…,"metadata":{…},"device":{…},"user":{…},"actor":{…},…,"raw_data":…,"unmapped":{native JSON of the rest}}
//! ```
//!
//! | class | events |
//! |---|---|
//! | Authentication (3002) | Security 4624, 4625, 4634, 4647, 4648, 4768 to 4771, 4776 |
//! | Process Activity (1007) | Security 4688, 4689; Sysmon 1, 5 |
//! | Base Event (0) | every other one, and one of these that lacks what its class requires |
//!
//! | attribute | from |
//! |---|---|
//! | `time` | TimeCreated in milliseconds since 1970; without one, when it was received |
//! | `severity_id` | Level: 1 Critical, 2 High, 3 Medium; 0, 4 and 5 Informational |
//! | `status_id` | bits of Keywords: Success, Failure |
//! | `metadata` | `log_name` Channel, `log_provider`, `event_code` EventID, `log_version` Version, `original_event_uid` EventRecordID, `correlation_uid` ActivityID, `original_time` TimeCreated as it stands, `logged_time` when it was received, `uid` the event's id |
//! | `device.hostname` | Computer |
//! | `actor.user` of a Base Event | `Security/@UserID` |
//! | of the classes | `Data` by their names, see `kinds.rs` |
//!
//! `unmapped` is the native JSON (see `json.rs`) without what stands elsewhere, so nothing is lost: native JSON
//! again is `unmapped` with each attribute put back to where it is from, unless `unmapped` has it already. It has
//! both where one of those names comes twice, or where an object of the schema would lack what it requires.
//! What could not be read is a Base Event with the error as its message, and `Error` and `Raw` in
//! `unmapped.Forebay`.
//! Source: github.com/ocsf/ocsf-schema, tag 1.8.0.

mod kinds;
mod objects;
mod place;

#[cfg(test)]
mod tests;

use super::Meta;
use super::json::{self, body::Body, system};
use super::known::{self, Account, Outcome, is_blank};
use super::members::{comma, integer, open, string, text};
use super::rest::Rest;
use super::sieve::{Holding, Sieve, Taken};
use crate::event::canonical::XmlWriter;
use crate::event::header::Seen;
use crate::event::{Event, EventError, Header, Part, Timestamp, Value};
use kinds::{Class, Kind};
use place::Place;
use schemars::JsonSchema;
use serde::Deserialize;

/// The version of the schema.
pub const OCSF_VERSION: &str = "1.8.0";

/// `format.ocsf = {}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keep the event's XML in `raw_data`, which doubles the size of an event.
    pub raw_data: bool,
}

/// Writes events as objects of the schema, one line each.
#[derive(Debug, Default)]
pub struct Ocsf {
    raw_data: bool,
    taken: Taken,
    body: json::body::Scratch,
    origin: json::meta::Cached,
    /// Members of `unmapped` from the body, behind a brace.
    unmapped: Vec<u8>,
    scratch: Vec<u8>,
}

impl Ocsf {
    pub fn new(config: &Config) -> Self {
        Self { raw_data: config.raw_data, ..Self::default() }
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the event cannot be read to its end; part of it may then stand in `out`.
    pub fn event<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        meta: &Meta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        let header = event.header();
        let kind = self.take(event)?;
        out.push(b'{');
        classification(kind, out);
        self.occurrence(header, meta, out);
        self.status(kind, header, out);
        text("message", &self.taken.message, out);
        let mut rest = Rest::new(header);
        metadata(&mut rest, meta, out);
        device(rest.text(Seen::COMPUTER), out);
        match kind.class {
            Class::Base => actor(rest.attribute(Seen::SECURITY, b"UserID"), out),
            Class::Authentication => objects::authentication(kind.own, header.computer, &self.taken, out),
            Class::Process => objects::process(kind.activity == 1, &self.taken, out),
        }
        if self.raw_data {
            self.write_raw_data(event, out)?;
        }
        open("unmapped", out);
        if header.odd {
            system::odd(event, &rest.header, out)?;
        } else {
            system::open(&rest.header, out);
            out.push(b'}');
        }
        if let Some(members @ [_, ..]) = self.unmapped.get(1..) {
            comma(out);
            out.extend_from_slice(members);
        }
        self.origin.write(&Meta { id: None, ..*meta }, None, out);
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        classification(Kind::BASE, out);
        let header = Header::default();
        self.occurrence(&header, meta, out);
        string("message", Value::Text(error.as_bytes()), out);
        metadata(&mut Rest::new(&header), meta, out);
        open("unmapped", out);
        self.origin.write(&Meta { id: None, ..*meta }, Some((error, text)), out);
        out.extend_from_slice(b"}}");
    }

    /// Takes the body apart, and says what the event is.
    fn take<'a, E: Event<'a>>(&mut self, event: &E) -> Result<Kind, EventError> {
        let (header, mut kind) = (event.header(), Kind::of(event.header()));
        let mut holding = Holding { taken: true, rendering: false };
        loop {
            self.taken.clear(Place::COUNT);
            self.unmapped.clear();
            self.unmapped.push(b'{');
            let body = Body::new(&mut self.body, &mut self.unmapped);
            let mut sieve = Sieve::new(body, &mut self.taken, kind, holding);
            event.walk(Part::Body, &mut sieve)?;
            sieve.onward.finish()?;
            let complete = objects::are_complete(&self.taken);
            if !objects::has_required(kind, header.computer, &self.taken) {
                (kind, holding.taken) = (Kind::BASE, true);
            } else if holding.taken && (self.taken.again || !complete) {
                holding.taken = false;
            } else {
                return Ok(kind);
            }
        }
    }

    /// When it happened, and how bad it is.
    fn occurrence(&mut self, header: &Header<'_>, meta: &Meta<'_>, out: &mut Vec<u8>) {
        let happened = known::happened(header.time_created, &mut self.scratch);
        let received = meta.origin.map(|origin| origin.received);
        integer("time", happened.or(received).map_or(0, millis), out);
        let (id, caption) = match header.level.as_u64() {
            Some(1) => (5, "Critical"),
            Some(2) => (4, "High"),
            Some(3) => (3, "Medium"),
            Some(0 | 4 | 5) => (1, "Informational"),
            _ => (0, "Unknown"),
        };
        integer("severity_id", id, out);
        text("severity", caption.as_bytes(), out);
    }

    fn status(&self, kind: Kind, header: &Header<'_>, out: &mut Vec<u8>) {
        if let Some(outcome) = known::outcome(header) {
            let (id, caption) = if outcome == Outcome::Success { (1, "Success") } else { (2, "Failure") };
            integer("status_id", id, out);
            text("status", caption.as_bytes(), out);
        }
        if kind.class == Class::Authentication {
            let of = |place: Place| self.taken.get(place as usize).unwrap_or_default();
            text("status_code", of(Place::StatusCode), out);
            text("status_detail", of(Place::StatusDetail), out);
        }
    }

    fn write_raw_data<'a, E: Event<'a>>(&mut self, event: &E, out: &mut Vec<u8>) -> Result<(), EventError> {
        match event.canonical() {
            Some(canonical) => string("raw_data", Value::Text(canonical), out),
            None => {
                self.scratch.clear();
                event.walk(Part::Whole, &mut XmlWriter::new(&mut self.scratch))?;
                string("raw_data", Value::Text(&self.scratch), out);
            }
        }
        Ok(())
    }
}

fn millis(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000_000)
}

/// Class, category, activity and type.
fn classification(kind: Kind, out: &mut Vec<u8>) {
    let (uid, name) = (kind.class.uid(), kind.class.name());
    let (category, category_name) = kind.class.category();
    integer("class_uid", uid.into(), out);
    text("class_name", name.as_bytes(), out);
    integer("category_uid", category.into(), out);
    text("category_name", category_name.as_bytes(), out);
    integer("activity_id", kind.activity.into(), out);
    text("activity_name", kind.activity_name.as_bytes(), out);
    integer("type_uid", (uid * 100 + kind.activity).into(), out);
    out.extend_from_slice(b",\"type_name\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(kind.activity_name.as_bytes());
    out.push(b'"');
}

fn metadata(rest: &mut Rest<'_>, meta: &Meta<'_>, out: &mut Vec<u8>) {
    open("metadata", out);
    text("version", OCSF_VERSION.as_bytes(), out);
    out.extend_from_slice(
        b",\"product\":{\"name\":\"Microsoft Windows\",\"vendor_name\":\"Microsoft\"},\"profiles\":[\"host\"]",
    );
    string("log_name", rest.text(Seen::CHANNEL), out);
    string("log_provider", rest.attribute(Seen::PROVIDER, b"Name"), out);
    string("event_code", rest.text(Seen::EVENT_ID), out);
    string("log_version", rest.text(Seen::VERSION), out);
    string("original_event_uid", rest.text(Seen::RECORD_ID), out);
    string("correlation_uid", rest.attribute(Seen::CORRELATION, b"ActivityID"), out);
    string("original_time", rest.attribute(Seen::TIME_CREATED, b"SystemTime"), out);
    if let Some(origin) = meta.origin {
        integer("logged_time", millis(origin.received), out);
    }
    if let Some(id) = meta.id {
        string("uid", Value::Binary(&id.0), out);
        let digits = out.len() - 1 - 2 * id.0.len();
        out[digits..].make_ascii_lowercase();
    }
    out.push(b'}');
}

fn device(computer: Value<'_>, out: &mut Vec<u8>) {
    if !is_blank(computer) {
        open("device", out);
        string("hostname", computer, out);
        out.extend_from_slice(b",\"type_id\":0,\"type\":\"Unknown\"}");
    }
}

/// Whom System names.
fn actor(user_id: Value<'_>, out: &mut Vec<u8>) {
    if is_blank(user_id) {
        return;
    }
    open("actor", out);
    open("user", out);
    string("uid", user_id, out);
    if let Some(account) = Account::of(user_id) {
        text("name", account.name.as_bytes(), out);
        text("domain", Account::DOMAIN.as_bytes(), out);
    }
    out.extend_from_slice(b"}}");
}
