//! The fleet's messages beside those that Windows was captured to send.
//!
//! The captures are not part of the project; where they are not, the tests say that they were skipped.

use super::*;
use crate::fleet::form::Wire;
use crate::wsman::charset::{self, Charset};
use crate::wsman::{Answer, Reply, sldc};
use std::path::{Path, PathBuf};

fn sample(name: &str) -> Option<String> {
    let folder = std::env::var_os("FOREBAY_PROTOCOL_SAMPLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/protocol-samples"),
        PathBuf::from,
    );
    let path = folder.join(name).with_extension("xml");
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        println!("SKIP: there is no {}", path.display());
    }
    text.ok().map(|text| text.trim_end().to_owned())
}

/// Who sent a captured message.
fn caller<'a>(request: &'a Request<'_>) -> Caller<'a> {
    let guid = |text: &Option<Cow<'_, str>>| Guid::parse(text.as_deref().unwrap()).unwrap();
    let header = &request.header;
    Caller {
        machine: header.machine_id.as_deref().unwrap(),
        session: guid(&header.session_id),
        message: guid(&header.message_id),
        operation: guid(&header.operation_id),
    }
}

/// The task that Windows' collector gave out.
fn task() -> Option<Task> {
    let text = sample("02-enumerate-response")?;
    let answer = Answer::parse(&text).unwrap();
    let Reply::EnumerateResponse(offers) = answer.reply else { panic!("no offers") };
    // The captured deliveries have the host's name in lower case where the answer has capitals.
    let mut offer = offers.into_iter().next().unwrap();
    let mut endpoint = offer.endpoint.into_owned();
    endpoint.address = endpoint.address.replace("HTTP://", "http://");
    offer.endpoint = Cow::Owned(endpoint);
    Some(Task::new(&offer))
}

#[test]
fn the_question_for_subscriptions_is_windows_own() {
    let Some(text) = sample("01-enumerate-request") else { return };
    let request = Request::parse(&text).unwrap();
    assert_eq!(enumerate(caller(&request), request.header.to.as_deref().unwrap()), text);
}

#[test]
fn the_end_after_it_is_windows_own() {
    let Some(text) = sample("03-end-after-enumerate") else { return };
    let header = Request::parse(&text).unwrap().header;
    let guid = |text: &Option<Cow<'_, str>>| Guid::parse(text.as_deref().unwrap()).unwrap();
    assert_eq!(end(guid(&header.message_id), guid(&header.operation_id)), text);
}

#[test]
fn a_heartbeat_is_windows_own_down_to_its_compression() {
    let (Some(text), Some(task)) = (sample("04-heartbeat"), task()) else { return };
    let request = Request::parse(&text).unwrap();
    let written = task.heartbeat(caller(&request));
    assert_eq!(written, text);
    let (mut plain, mut body) = (Vec::new(), Vec::new());
    charset::encode(&written, Charset::Utf16, &mut plain);
    crate::fleet::form::compress(&plain, &mut body);
    assert!(body == include_bytes!("../wsman/testdata/heartbeat.sldc"));
}

#[test]
fn a_delivery_is_windows_own_and_so_is_its_form() {
    let (Some(text), Some(task)) = (sample("06-events-batch"), task()) else { return };
    let request = Request::parse(&text).unwrap();
    let Message::Events(events) = &request.message else { panic!("no events") };
    let caller = caller(&request);
    let bookmark = request.header.bookmark.as_ref().unwrap().text().unwrap();
    let mut body = Vec::new();
    let mut wire = Wire::new(Charset::Utf16, true, &mut body);
    let (head, tail) = task.delivery();
    let ids = [caller.message, caller.operation, caller.session].map(|id| id.to_string());
    head.put(
        |hole| match hole {
            Hole::Machine => caller.machine,
            Hole::MessageId => &ids[0],
            Hole::OperationId => &ids[1],
            Hole::SessionId => &ids[2],
            Hole::Bookmark => bookmark,
            other => panic!("{other:?}"),
        },
        &mut wire,
    );
    for event in events.iter() {
        wire.fixed(&task.event_open);
        wire.fixed(&Form::of_marked(event));
        wire.fixed(&task.event_close);
    }
    wire.fixed(tail);
    wire.finish();
    let (mut plain, mut found) = (Vec::new(), Vec::new());
    sldc::decode(&body, 1 << 20, &mut plain).unwrap();
    charset::decode(&plain, Some(Charset::Utf16), &mut found).unwrap();
    assert_eq!(String::from_utf8(found).unwrap(), text);
}

#[test]
fn the_end_of_a_subscription_is_windows_own() {
    let (Some(text), Some(mut task)) = (sample("08-subscription-end"), task()) else { return };
    let request = Request::parse(&text).unwrap();
    task.address = request.header.to.as_deref().unwrap().into();
    task.references = vec![Reference::identifier(request.header.identifier().unwrap().to_owned())];
    // What stands for the manager there is an id of the host's own.
    let Message::SubscriptionEnd(captured) = &request.message else { panic!("no end") };
    let manager = captured.manager.as_ref().unwrap().references[0].text.to_string();
    let caller = caller(&request);
    let written = task.subscription_end(caller);
    assert_eq!(
        written.replace(&format!("<e:Identifier>{}<", caller.session), &format!("<e:Identifier>{manager}<")),
        text
    );
}

#[test]
fn a_host_without_a_bookmark_begins_with_event_111() {
    let (Some(text), Some(mut task)) = (sample("30-constructed-events-111-bookmark"), task()) else { return };
    let request = Request::parse(&text).unwrap();
    task.address = request.header.to.as_deref().unwrap().into();
    task.references = vec![Reference::identifier(request.header.identifier().unwrap().to_owned())];
    let bookmark = request.header.bookmark.as_ref().unwrap().text().unwrap();
    let written = task.beginning(caller(&request), bookmark, "2025-08-22T16:32:36.329Z");
    assert_eq!(Request::parse(&written).unwrap(), request);
}
