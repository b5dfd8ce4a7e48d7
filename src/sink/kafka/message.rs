//! One event as a message: topic, key, payload, time, and a header with its id.
//!
//! Must not know: what becomes of it.

use super::producer::Producer;
use crate::sink::Encoded;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use std::io::Write;

/// Header with the id of the event, 32 hex digits: who reads a topic can tell copies by it.
const ID_HEADER: &str = "forebay-event-id";

/// Puts it into the producer's queue, which copies it.
pub(super) fn enqueue(
    producer: &Producer,
    batch: &Encoded,
    number: usize,
    is_dated: bool,
) -> Result<(), Code> {
    let item = &batch.items[number];
    let (key, payload) = batch.parts(number);
    let mut record = BaseRecord::with_opaque_to(&batch.routes[item.route as usize], number).payload(payload);
    record.key = Some(key).filter(|key| !key.is_empty());
    // Nought means the present to librdkafka, and less means nothing to it.
    record.timestamp = is_dated.then(|| item.time.0.div_euclid(1_000_000).max(0));
    if let Some(id) = &item.id {
        let mut hex = [0; 32];
        // They are as many digits.
        let _ = write!(&mut hex[..], "{id}");
        record.headers =
            Some(OwnedHeaders::new_with_capacity(1).insert(Header { key: ID_HEADER, value: Some(&hex) }));
    }
    producer.client.send(record).map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(Code::Fail))
}
