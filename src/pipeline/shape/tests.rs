//! What outputs of one shape share is what each would have made.

use crate::basin::{Budget, Position};
use crate::config::Undecodable;
use crate::event::{EventBatch, Note, NoteKind, Origin, Timestamp};
use crate::filter::FilterConfig;
use crate::format::FormatConfig;
use crate::pipeline::batch::{Batch, Encoder, Placer};
use crate::pipeline::shape::Shaper;
use crate::pipeline::shelf::{Place, Shelf};
use crate::sink::Head;
use crate::sink::path::{PathTemplate, RouteValues, Router};
use crate::units::ByteSize;
use std::sync::Arc;

/// Says what of the event it was shown.
struct Shown;

impl Head for Shown {
    fn write(&mut self, of: &RouteValues<'_, '_>, out: &mut Vec<u8>) {
        let channel = of.header.map(|header| {
            let mut text = Vec::new();
            header.channel.write_text(&mut text);
            text
        });
        out.extend_from_slice(format!("{:?} {channel:?}|", of.time).as_bytes());
    }
}

fn event(id: u32, channel: &str, data: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P'/>\
         <EventID>{id}</EventID><TimeCreated SystemTime='2026-01-0{id}T00:00:00Z'/><EventRecordID>{id}</EventRecordID>\
         <Channel>{channel}</Channel><Computer>c</Computer></System><EventData>{data}</EventData></Event>"
    )
}

/// Of every kind that a lane tells apart.
fn delivery(round: u32) -> Arc<EventBatch> {
    let texts = [
        event(1, "Security", "<Data Name='a'>&lt;1&gt;</Data>"),
        event(2, "System", "<Data>filtered</Data>"),
        event(3, "Security", "<Data>broken</Dat>"),
        event(4, "Application", "<Data>Ü</Data>"),
        "no event at all".to_owned(),
        event(5, "Security", "<Data>what its source could not read</Data>"),
        event(6, "Security", "<Data>of another computer</Data>"),
        event(7, "Setup", &"<Data>x</Data>".repeat(round as usize)),
    ];
    let (mut text, mut events) = (String::new(), Vec::new());
    for one in &texts {
        let start = text.len() as u32;
        text.push_str(one);
        events.push(start..text.len() as u32);
    }
    let note = |event, kind| Note { event, kind, detail: "why".into() };
    let origin = Origin {
        source: "test".into(),
        host: Some("c".into()),
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(77),
    };
    Arc::new(EventBatch {
        text: text.into(),
        events,
        origin: Arc::new(origin),
        bookmark: None,
        notes: vec![
            note(5, NoteKind::Undecodable),
            note(6, NoteKind::Distrusted),
            note(7, NoteKind::Surrogates),
        ],
    })
}

fn encoder(undecodable: Undecodable, is_routed: bool, place: Option<Place>) -> Encoder {
    let format = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() }.open().unwrap();
    let filter: FilterConfig = toml::from_str("drop = { id = 2 }").unwrap();
    let filter = filter.compile().unwrap();
    let template = PathTemplate::parse("/x/{channel}/{date:%Y-%m-%d}.jsonl").unwrap();
    let router = is_routed.then(|| Router::new(template));
    let head = is_routed.then(|| Box::new(Shown) as Box<dyn Head>);
    let placer = Placer::new(format.framing(), router, head);
    let shaper = Shaper { filter, ids: true, format, undecodable, takes_letters: false };
    Encoder { shaper, placer, place }
}

/// All that a lane takes out of a batch.
fn made(encoder: &mut Encoder) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut batch = Batch::default();
    for round in 1..=3 {
        let position = Position { epoch: 1, sequence: round.into() };
        encoder.add(&mut batch, &delivery(round), position, Timestamp(0));
    }
    let encoded = batch.encoded();
    let counts = (batch.filtered, batch.undecodable, batch.deliveries.len());
    (encoded.bytes, encoded.items, encoded.routes, batch.origins, batch.dead, batch.unread, counts)
}

#[test]
fn a_copy_is_what_the_output_would_have_made_itself() {
    for undecodable in [Undecodable::Raw, Undecodable::DeadLetter] {
        let alone = [false, true].map(|is_routed| made(&mut encoder(undecodable, is_routed, None)));
        let places = Shelf::places(3, Budget::new(ByteSize::mib(1)));
        // The plain one comes first, so both others copy what was made without heads and routes.
        for (is_routed, place) in [false, true, true].into_iter().zip(places) {
            let shared = made(&mut encoder(undecodable, is_routed, Some(place)));
            assert_eq!(shared, alone[usize::from(is_routed)], "{undecodable:?}, routed: {is_routed}");
        }
    }
}

#[test]
fn what_cannot_be_read_leaves_nothing_of_itself_in_what_is_shared() {
    let mut encoder = encoder(Undecodable::DeadLetter, false, None);
    let shaped = super::Shaped::new(&mut encoder.shaper, &delivery(1), Timestamp(0));
    let events: Vec<u32> = shaped.payloads().map(|(payload, _)| payload.event).collect();
    assert_eq!(events, [0, 3, 7]);
    assert!(shaped.payloads().all(|(_, bytes)| bytes.starts_with(b"{") && bytes.ends_with(b"}")));
    let dead: Vec<u32> = shaped.tally.dead.iter().map(|(event, _)| *event).collect();
    assert_eq!((dead, shaped.tally.filtered), (vec![2, 4, 5, 6], 1));
}

/// Some receivers put another time in the place of one that is long ago.
#[test]
fn a_format_is_told_when_it_writes() {
    let mut encoder = encoder(Undecodable::DeadLetter, false, None);
    encoder.shaper.format =
        toml::from_str::<FormatConfig>("sentinel.table = 'SecurityEvent'").unwrap().open().unwrap();
    for (now, whole) in
        [("2026-01-01T00:00:00Z", 2), ("2026-01-03T12:00:00Z", 2), ("2026-02-01T00:00:00Z", 3)]
    {
        let now = Timestamp::parse(now.as_bytes()).unwrap();
        let shaped = super::Shaped::new(&mut encoder.shaper, &delivery(1), now);
        let is_whole = |bytes: &[u8]| memchr::memmem::find(bytes, b"<TimeCreated ").is_some();
        assert_eq!(shaped.payloads().filter(|(_, bytes)| is_whole(bytes)).count(), whole, "{now:?}");
    }
}
