//! One test: what it expects of the output.

use super::{diff, events};
use crate::config::Output;
use crate::event::text::{Place, xml_from_text};
use crate::event::xml::XmlEvent;
use crate::event::{Event, Timestamp, Value};
use crate::format::Meta;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tests {
    #[serde(default)]
    pub(super) test: Vec<Test>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    pub(super) name: String,
    /// The output whose filter and format are tested; needed when there are several.
    output: Option<String>,
    /// The event: its XML, its main fields, or a file beside the file of tests whose events are all
    /// meant: an event log, or events as XML or JSON lines.
    pub(super) xml: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) event: Option<Sketch>,
    /// The one event of the file that has this EventRecordID.
    pub(super) record: Option<u64>,
    /// What `timediff` counts from; the time of the event, without it.
    now: Option<String>,
    /// Whether the filter keeps it, or each event of the file. With `expect` or `has` it must.
    kept: Option<bool>,
    /// How many events of the file the filter keeps; the other expectations are for those.
    count: Option<usize>,
    /// The whole of what the output writes: JSON is compared by value, other shapes byte by byte.
    expect: Option<String>,
    /// Part of the JSON that the output writes of each event.
    has: Option<toml::Table>,
}

/// An event by its main fields.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sketch {
    channel: String,
    id: u32,
    provider: String,
    level: u8,
    computer: String,
    time: Option<String>,
    record_id: u64,
    /// Named `Data` of EventData.
    data: BTreeMap<String, String>,
}

/// What was not as expected, line by line.
///
/// # Errors
/// When the test itself cannot be run.
pub(super) fn run(test: &Test, outputs: &mut [Output], folder: &Path) -> Result<Vec<String>, String> {
    let output = chosen(test, outputs)?;
    if test.kept.is_none() && test.count.is_none() && test.expect.is_none() && test.has.is_none() {
        return Err(
            "expects nothing; add `expect = '''…'''`, `has = { … }`, `count = …` or `kept = false`".into()
        );
    }
    let events = events::of(test, folder)?;
    let mut kept = Vec::new();
    for event in &events {
        let mut written = Vec::new();
        if write(test, output, event, &mut written)? {
            kept.push((event, written));
        }
    }
    if let Some(wrong) = miscounted(test, &output.name, kept.len(), events.len()) {
        return Ok(vec![wrong]);
    }
    let mut wrong = Vec::new();
    if let (Some(expected), false) = (&test.expect, kept.is_empty()) {
        let whole: Vec<&[u8]> = kept.iter().map(|(_, written)| written.as_slice()).collect();
        wrong.extend(diff::whole(expected, &whole.join(&b"\n"[..])));
    }
    if let Some(expected) = &test.has {
        let expected = serde_json::to_value(expected).map_err(|error| error.to_string())?;
        for (event, written) in &kept {
            let id = events::record_id(event).filter(|_| events.len() > 1);
            let at = id.map(|id| format!("record {id}: ")).unwrap_or_default();
            wrong.extend(diff::part(&expected, written)?.into_iter().map(|line| format!("{at}{line}")));
        }
    }
    Ok(wrong)
}

/// What to tell when the filter kept others than it should have.
fn miscounted(test: &Test, output: &str, kept: usize, all: usize) -> Option<String> {
    if let Some(count) = test.count {
        let told =
            format!("the filter of `{output}` should have kept {count} of {all} events, it kept {kept}");
        return (kept != count).then_some(told);
    }
    let wanted = test.kept.unwrap_or(true);
    if kept == if wanted { all } else { 0 } {
        return None;
    }
    let told = if wanted { "kept" } else { "left out" };
    Some(match (all, wanted) {
        (1, true) => format!("the filter of `{output}` should have {told} the event, it was left out"),
        (1, false) => format!("the filter of `{output}` should have {told} the event, it was kept"),
        _ => format!("the filter of `{output}` should have {told} all {all} events, it kept {kept}"),
    })
}

/// Does what a lane does with one event; false when the filter leaves it out.
fn write(test: &Test, output: &mut Output, text: &[u8], written: &mut Vec<u8>) -> Result<bool, String> {
    let mut format = output.format.open().map_err(|error| error.to_string())?;
    let meta = Meta::default();
    let event = match XmlEvent::parse(text) {
        Ok(event) => event,
        Err(error) => {
            format.raw(text, &error.to_string(), &meta, written);
            return Ok(true);
        }
    };
    let now = match &test.now {
        Some(now) => {
            Timestamp::parse(now.as_bytes()).ok_or_else(|| format!("`now`: `{now}` is not a time"))?
        }
        None => time_of(event.header().time_created),
    };
    match output.filter.keeps(&event, now) {
        Ok(false) => return Ok(false),
        Ok(true) => {}
        Err(error) => {
            format.raw(text, &error.to_string(), &meta, written);
            return Ok(true);
        }
    }
    if let Err(error) = format.event(&event, &meta, written) {
        format.raw(text, &error.to_string(), &meta, written);
    }
    Ok(true)
}

fn time_of(value: Value<'_>) -> Timestamp {
    let mut text = Vec::new();
    value.write_text(&mut text);
    Timestamp::parse(&text).unwrap_or(Timestamp(0))
}

fn chosen<'o>(test: &Test, outputs: &'o mut [Output]) -> Result<&'o mut Output, String> {
    let names = outputs.iter().map(|output| format!("`{}`", output.name)).collect::<Vec<_>>().join(", ");
    match &test.output {
        None if outputs.len() == 1 => outputs.first_mut().ok_or_else(String::new),
        None => Err(format!("names no output; add `output = …`, one of {names}")),
        Some(name) => outputs
            .iter_mut()
            .find(|output| output.name == *name)
            .ok_or_else(|| format!("there is no output `{name}`; the pipeline has {names}")),
    }
}

impl Sketch {
    /// As Windows would write it.
    pub(super) fn xml(&self) -> String {
        let attribute = |text: &str| escaped(text, Place::Attribute);
        let content = |text: &str| escaped(text, Place::Content);
        let mut xml = format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{}'/>\
             <EventID>{}</EventID><Version>0</Version><Level>{}</Level><Task>0</Task><Opcode>0</Opcode>\
             <Keywords>0x8000000000000000</Keywords><TimeCreated SystemTime='{}'/><EventRecordID>{}</EventRecordID>\
             <Correlation/><Execution ProcessID='0' ThreadID='0'/><Channel>{}</Channel><Computer>{}</Computer>\
             <Security/></System><EventData>",
            attribute(&self.provider),
            self.id,
            self.level,
            attribute(self.time.as_deref().unwrap_or("2026-01-01T00:00:00.0000000Z")),
            self.record_id,
            content(&self.channel),
            content(&self.computer),
        );
        for (name, value) in &self.data {
            xml.push_str(&format!("<Data Name='{}'>{}</Data>", attribute(name), content(value)));
        }
        xml.push_str("</EventData></Event>");
        xml
    }
}

fn escaped(text: &str, place: Place) -> String {
    let mut out = Vec::new();
    xml_from_text(text.as_bytes(), place, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
