//! Receivers that refuse everything: the basin is not emptied into the dead letter. And those that refuse much, and
//! take the rest.

use super::trouble::{SINKS, marks, token, yes};
use super::{Rig, batch};
use crate::support::web::{Receiver, Reply, Request, says};
use forebay::sink::{Encoded, SendError, Sent};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const NONE: &str = "takes none of the events it is sent";

/// The refusal of all that is in the request.
fn no(kind: &str, request: &Request) -> Reply {
    let item = r#"{"create":{"status":400,"error":{"type":"parse","reason":"why not"}}}"#;
    let items = vec![item; marks(request).len()].join(",");
    match kind {
        "splunk" => says(400, r#"{"text":"why not","code":6}"#),
        "elastic" => says(200, &format!(r#"{{"errors":true,"items":[{items}]}}"#)),
        _ => says(400, "why not"),
    }
}

/// One that refuses whatever has an event of these, and what it has taken.
fn refuses(
    kind: &'static str,
    is_poison: impl Fn(u32) -> bool + Send + Sync + 'static,
) -> (Receiver, Arc<Mutex<Vec<u32>>>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let receiver = Receiver::start(move |request| {
        if let Some(token) = token(request) {
            return token;
        }
        let marks = marks(request);
        if marks.iter().any(|mark| is_poison(*mark)) {
            return no(kind, request);
        }
        kept.lock().unwrap().extend(marks);
        yes(kind, request)
    });
    (receiver, taken)
}

/// One that refuses everything while that is so.
fn stubborn(kind: &'static str) -> (Receiver, Arc<AtomicBool>, Arc<Mutex<Vec<u32>>>) {
    let refusing = Arc::new(AtomicBool::new(true));
    let is_refusing = Arc::clone(&refusing);
    let (receiver, taken) = refuses(kind, move |_| is_refusing.load(Ordering::Relaxed));
    (receiver, refusing, taken)
}

fn events(numbers: Range<u32>) -> Arc<Encoded> {
    batch(numbers.map(|number| format!("{{\"event\":{number}}}\n")))
}

fn rig(sink: &str, receiver: &Receiver) -> Rig {
    Rig::new(&sink.replace("800ms", "10s").replace("URL", &receiver.url()))
}

#[track_caller]
fn is_doubted(rig: &mut Rig, batch: &Arc<Encoded>) {
    let result = rig.send(batch);
    assert!(matches!(result, Err(SendError::Retry { after: None, .. })), "{result:?}");
}

#[track_caller]
fn refused(result: Result<Sent, SendError>) -> Vec<u32> {
    let Ok(Sent::Partly(refused)) = result else { panic!("{result:?}") };
    refused.iter().map(|refused| refused.item).collect()
}

#[test]
fn one_that_refuses_everything_is_tried_again_twenty_times_before_it_is_believed() {
    for (sink, kind) in SINKS {
        let (receiver, refusing, taken) = stubborn(kind);
        let mut rig = rig(sink, &receiver);
        let first = events(1000..1100);
        for attempt in 0..20 {
            let before = receiver.requests().len();
            is_doubted(&mut rig, &first);
            let asked = receiver.requests().len() - before;
            assert!(asked < 100, "{kind}: {asked} requests, attempt {attempt}");
        }
        rig.has_told(NONE);
        rig.has_told("why not");
        assert_eq!(refused(rig.send(&first)), (0..100).collect::<Vec<_>>(), "{kind}");
        // The next one again, and nothing of it is lost when it is mended.
        let second = events(2000..2100);
        for _ in 0..3 {
            is_doubted(&mut rig, &second);
        }
        refusing.store(false, Ordering::Relaxed);
        assert_eq!(rig.send(&second), Ok(Sent::Confirmed), "{kind}");
        let mut taken = taken.lock().unwrap().clone();
        taken.sort_unstable();
        assert_eq!(taken, (2000..2100).collect::<Vec<_>>(), "{kind}: each one once");
        refusing.store(true, Ordering::Relaxed);
        assert_eq!(refused(rig.send(&events(3000..3010))).len(), 10, "{kind}: it had taken some");
    }
}

#[test]
fn small_batches_count_together() {
    for (sink, kind) in SINKS {
        let (receiver, refusing, taken) = stubborn(kind);
        let mut rig = rig(sink, &receiver);
        for number in 1000..1016 {
            assert_eq!(refused(rig.send(&events(number..number + 1))), [0], "{kind}");
        }
        assert_eq!(rig.told(), Vec::<String>::new(), "{kind}");
        let next = events(1016..1017);
        for _ in 0..3 {
            is_doubted(&mut rig, &next);
        }
        rig.has_told(NONE);
        refusing.store(false, Ordering::Relaxed);
        assert_eq!(rig.send(&next), Ok(Sent::Confirmed), "{kind}");
        assert_eq!(*taken.lock().unwrap(), [1016], "{kind}");
    }
}

#[test]
fn one_event_is_believed_to_be_refused_though_it_is_the_first_when_the_others_are_taken() {
    for (sink, kind) in SINKS.iter().filter(|(_, kind)| *kind != "elastic") {
        let (receiver, _) = refuses(kind, |number| number <= 1020);
        let mut rig = rig(sink, &receiver);
        for number in 1000..1016 {
            assert_eq!(refused(rig.send(&events(number..number + 1))), [0], "{kind}");
        }
        // None was taken for long, and yet it takes what is behind that one.
        assert_eq!(refused(rig.send(&events(1020..1050))), [0], "{kind}");
        assert_eq!(refused(rig.send(&events(1020..1050))), [0], "{kind}");
        assert_eq!(rig.told(), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn many_events_are_refused_at_once_while_others_are_taken() {
    for (sink, kind) in SINKS.iter().filter(|(_, kind)| *kind != "elastic") {
        let (receiver, taken) = refuses(kind, |number| number.is_multiple_of(3));
        let mut rig = rig(sink, &receiver);
        let expected: Vec<u32> = (0..300_u32).filter(|item| (1000 + item).is_multiple_of(3)).collect();
        assert_eq!(refused(rig.send(&events(1000..1300))), expected, "{kind}");
        assert_eq!(taken.lock().unwrap().iter().collect::<BTreeSet<_>>().len(), 200, "{kind}");
        assert_eq!(rig.told(), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn a_run_of_bad_events_stops_nothing_for_long_while_others_are_taken() {
    for (sink, kind) in SINKS.iter().filter(|(_, kind)| *kind != "elastic") {
        for at_a_time in [1, 4] {
            let (receiver, taken) = refuses(kind, |number| number < 1040);
            let more = format!("request = {{ concurrency_max = {at_a_time}, timeout");
            let mut rig = rig(&sink.replace("request = { timeout", &more), &receiver);
            let batch = events(1000..1100);
            let mut doubted = 0;
            let result = loop {
                match rig.send(&batch) {
                    Err(SendError::Retry { .. }) => doubted += 1,
                    result => break result,
                }
                assert!(doubted <= 2, "{kind}, {at_a_time} at a time");
            };
            assert_eq!(refused(result), (0..40).collect::<Vec<_>>(), "{kind}, {at_a_time} at a time");
            let mut taken = taken.lock().unwrap().clone();
            taken.sort_unstable();
            assert_eq!(taken, (1040..1100).collect::<Vec<_>>(), "{kind}: each one once");
        }
    }
}

#[test]
fn events_that_are_refused_in_the_answer_in_which_others_are_taken_are_refused_at_once() {
    let receiver = Receiver::start(|request| {
        let fates = marks(request).into_iter().map(|number| match number {
            1099 => r#"{"create":{"status":201}}"#,
            _ => r#"{"create":{"status":400,"error":{"type":"parse","reason":"why not"}}}"#,
        });
        let items = fates.collect::<Vec<_>>().join(",");
        says(200, &format!(r#"{{"errors":true,"items":[{items}]}}"#))
    });
    let mut rig = Rig::new(&format!("elasticsearch.url = '{}'", receiver.url()));
    assert_eq!(refused(rig.send(&events(1000..1100))).len(), 99);
    assert_eq!((receiver.requests().len(), rig.told().len()), (1, 0));
}

#[test]
fn events_that_are_too_large_are_no_cause_for_doubt() {
    let receiver = Receiver::start(|_| says(413, "too large"));
    let mut rig = Rig::new(&format!("http.url = '{}'", receiver.url()));
    for _ in 0..2 {
        assert_eq!(refused(rig.send(&events(1000..1040))).len(), 40);
    }
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[test]
fn a_search_that_is_interrupted_over_and_over_goes_on_where_it_was() {
    let asked = Mutex::new(0_u32);
    let receiver = Receiver::start(move |request| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        match (*asked).is_multiple_of(5) {
            true => says(503, "wait"),
            false if marks(request).iter().any(|number| *number < 1008) => says(400, "why not"),
            false => says(200, ""),
        }
    });
    let mut rig = Rig::new(&format!("http.url = '{}'", receiver.url()));
    let Sent::Partly(refused) = rig.deliver(&events(1000..1100)) else { panic!() };
    assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert!(rig.told().iter().all(|told| !told.contains(NONE)), "{:?}", rig.told());
}
