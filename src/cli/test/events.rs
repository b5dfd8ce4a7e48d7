//! The events of a test: written down in it, or all events of a file, whatever kind of file it is.
//!
//! Must not know: outputs, what is expected.

use super::case::Test;
use crate::event::Event;
use crate::event::xml::XmlEvent;
use crate::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use crate::source::replay;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

/// First bytes of an event log.
const LOG_MAGIC: &[u8] = b"ElfFile\0";

/// Texts of the events, at least one.
///
/// # Errors
/// Why there is none.
pub(super) fn of(test: &Test, folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let events = match (&test.xml, &test.file, &test.event) {
        (Some(xml), None, None) => vec![xml.trim().as_bytes().to_vec()],
        (None, None, Some(sketch)) => vec![sketch.xml().into_bytes()],
        (None, Some(file), None) => read(&folder.join(file))?,
        _ => return Err("needs exactly one of `event`, `xml` and `file`".into()),
    };
    let Some(wanted) = test.record else { return Ok(events) };
    let found = events.into_iter().find(|event| record_id(event).is_some_and(|id| id == wanted));
    found.map(|event| vec![event]).ok_or_else(|| format!("no event has the EventRecordID {wanted}"))
}

pub(super) fn record_id(text: &[u8]) -> Option<u64> {
    XmlEvent::parse(text).ok()?.header().record_id.as_u64()
}

pub(in crate::cli) fn read(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let events = if bytes.starts_with(LOG_MAGIC) {
        log(&bytes).map_err(|wrong| format!("{shown}: {wrong}"))?
    } else {
        replay::events(&bytes)
    };
    if events.is_empty() {
        return Err(format!("{shown} holds no event; name an event log, or events as XML or JSON lines"));
    }
    Ok(events)
}

/// Texts of the events of an event log.
///
/// # Errors
/// Why one cannot be read.
pub(in crate::cli) fn log(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let (mut events, mut decoder, mut wrong) = (Vec::new(), Decoder::new(), None);
    for chunk in bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks(CHUNK_BYTES) {
        // What is not used yet is blank.
        if chunk.iter().all(|byte| *byte == 0) {
            continue;
        }
        let _ = decoder.chunk(chunk, 0, |found| {
            let mut xml = Vec::new();
            let read = match &found {
                Ok(event) => {
                    event.xml(&mut xml).map_err(|error| format!("record {}: {error}", event.record_id()))
                }
                Err(error) => Err(error.to_string()),
            };
            match read {
                Ok(()) => events.push(xml),
                Err(error) => wrong = wrong.take().or(Some(error)),
            }
            ControlFlow::Continue(())
        });
    }
    wrong.map_or(Ok(events), Err)
}
