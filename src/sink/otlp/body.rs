//! The body of a record: the payload as a string, or its JSON as a map of values.
//!
//! Nothing is lost in a map: the order and each number stay (an integer past 63 bits is a string of its digits).
//! A payload that is no object of JSON is a string also where maps are wanted, and bytes where it is no UTF-8.
//! Must not know: formats.

use super::attribute::{self, ARRAY, BOOL, BYTES, DOUBLE, INT, MAP, STRING};
use super::proto;
use crate::event::Value;
use schemars::JsonSchema;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the payload stands in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// As a string: XML, JSON, a line, whatever the format writes.
    #[default]
    Text,
    /// As a map of values, for formats that are JSON.
    Map,
}

/// Values in an array, and pairs in a map.
const VALUES: u32 = 1;

/// Appends the value of a body.
pub(super) fn write(body: Body, payload: &[u8], out: &mut Vec<u8>) {
    if body == Body::Map && payload.starts_with(b"{") {
        let start = out.len();
        let mut reader = serde_json::Deserializer::from_slice(payload);
        if Any(out).deserialize(&mut reader).and_then(|()| reader.end()).is_ok() {
            return;
        }
        out.truncate(start);
    }
    match str::from_utf8(payload) {
        Ok(_) => proto::bytes(STRING, payload, out),
        Err(_) => proto::bytes(BYTES, payload, out),
    }
}

/// Appends a value of any kind.
struct Any<'o>(&'o mut Vec<u8>);

/// Appends a message that is one.
struct Within<'o>(u32, &'o mut Vec<u8>);

/// Begins a pair with its key, and says where.
struct Key<'o>(&'o mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, of: D) -> Result<(), D::Error> {
        of.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        proto::number(BOOL, value.into(), self.0);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        proto::number(INT, value.cast_unsigned(), self.0);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => {
                let start = proto::open(STRING, self.0);
                Value::Unsigned(value).write_text(self.0);
                proto::close(start, self.0);
                Ok(())
            }
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        proto::fixed(DOUBLE, value.to_bits(), self.0);
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        proto::bytes(STRING, value.as_bytes(), self.0);
        Ok(())
    }

    /// `null` is a value without a kind.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut of: A) -> Result<(), A::Error> {
        let start = proto::open(ARRAY, self.0);
        while of.next_element_seed(Within(VALUES, self.0))?.is_some() {}
        proto::close(start, self.0);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut of: A) -> Result<(), A::Error> {
        let start = proto::open(MAP, self.0);
        while let Some(pair) = of.next_key_seed(Key(self.0))? {
            let value = attribute::open_value(self.0);
            of.next_value_seed(Any(self.0))?;
            proto::close(value, self.0);
            proto::close(pair, self.0);
        }
        proto::close(start, self.0);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, of: D) -> Result<(), D::Error> {
        let start = proto::open(self.0, self.1);
        of.deserialize_any(Any(self.1))?;
        proto::close(start, self.1);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, of: D) -> Result<usize, D::Error> {
        of.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<usize, E> {
        Ok(attribute::open(VALUES, key.as_bytes(), self.0))
    }
}
