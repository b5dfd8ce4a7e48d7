//! Receivers that take requests up to some size: what is too large is halved, and what is learnt is kept.

use super::{Rig, batch};
use crate::support::web::{Receiver, says};
use forebay::sink::{Encoded, Sent};
use std::sync::Arc;

/// One that takes bodies of at most so many bytes.
fn narrow(bytes_max: usize) -> Receiver {
    Receiver::start(move |request| match request.body.len() {
        bytes if bytes > bytes_max => says(413, "too large"),
        _ => says(200, ""),
    })
}

fn rig(receiver: &Receiver) -> Rig {
    Rig::new(&format!("http.url = '{}'", receiver.url()))
}

/// Events of these lengths.
fn events(lengths: impl IntoIterator<Item = usize>) -> Arc<Encoded> {
    batch(lengths.into_iter().map(|bytes| format!("{}\n", "x".repeat(bytes - 1))))
}

#[test]
fn one_event_that_is_too_large_does_not_make_the_requests_of_others_smaller() {
    for place in [0, 150, 299] {
        let receiver = narrow(100_000);
        let mut rig = rig(&receiver);
        let mixed = events((0..300).map(|number| if number == place { 150_000 } else { 200 }));
        let Ok(Sent::Partly(refused)) = rig.send(&mixed) else { panic!() };
        assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [place]);
        assert_eq!(rig.told(), Vec::<String>::new());
        let before = receiver.requests().len();
        assert_eq!(rig.send(&events([200; 400])), Ok(Sent::Confirmed));
        assert_eq!(receiver.requests().len(), before + 1, "{place}: as large as before");
    }
}

#[test]
fn what_a_receiver_takes_is_learnt_of_one_batch_and_told_once() {
    let receiver = narrow(10_000);
    let mut rig = rig(&receiver);
    // One that is large, and one that is too large, beside many that are small.
    let lengths = || {
        (0..1000).map(|number| {
            if number == 500 {
                9_000
            } else if number == 3 {
                20_000
            } else {
                100
            }
        })
    };
    let Ok(Sent::Partly(refused)) = rig.send(&events(lengths())) else { panic!() };
    assert_eq!(refused.len(), 1);
    let told = rig.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("takes smaller requests only"), "{told:?}");
    for _ in 0..3 {
        let before = receiver.requests().len();
        assert_eq!(rig.send(&events([100; 1000])), Ok(Sent::Confirmed));
        let asked = receiver.requests()[before..].to_vec();
        assert!(asked.iter().all(|request| request.body.len() <= 10_000), "none in vain");
        assert!(asked.len() <= 25, "{} requests for 100 kB", asked.len());
    }
    assert_eq!(rig.told().len(), 1, "{:?}", rig.told());
}

#[test]
fn a_receiver_that_is_busy_between_is_found_out_too() {
    let asked = std::sync::Mutex::new(0_u32);
    let receiver = Receiver::start(move |request| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        match request.body.len() {
            _ if (*asked).is_multiple_of(3) => says(429, "wait"),
            bytes if bytes > 2_000 => says(413, "too large"),
            _ => says(200, ""),
        }
    });
    let mut rig = rig(&receiver);
    assert_eq!(rig.deliver(&events([100; 1000])), Sent::Confirmed);
    rig.has_told("takes smaller requests only");
}
