//! The memory basin through the room's door.

use super::*;
use crate::event::Origin;
use crate::units::ByteSize;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn batch(text: &str) -> EventBatch {
    let origin = Origin {
        source: "test".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(0),
    };
    EventBatch {
        text: Bytes::copy_from_slice(text.as_bytes()),
        events: std::iter::once(0..text.len() as u32).collect(),
        origin: Arc::new(origin),
        bookmark: Some(Bookmark { key: "test/a".into(), value: Bytes::copy_from_slice(text.as_bytes()) }),
        notes: Vec::new(),
    }
}

fn basin(outputs: &[&str], size_max: ByteSize) -> Basin {
    let outputs: Vec<_> = outputs
        .iter()
        .map(|name| OutputSpec { name: (*name).into(), start: Start::Oldest, full: Full::Wait })
        .collect();
    let config = BasinConfig { disk: None, memory: Some(MemoryConfig { size_max }) };
    Basin::open(&config, &outputs, &Budget::new(ByteSize::mib(1))).unwrap().0
}

fn next(reader: &mut Reader) -> Delivery {
    match poll(pin!(reader.next())) {
        Poll::Ready(Some(delivery)) => delivery,
        other => panic!("no batch: {other:?}"),
    }
}

#[test]
fn a_batch_is_kept_when_every_output_has_confirmed_it() {
    let basin = basin(&["a", "b"], ByteSize::mib(1));
    let (mut a, mut b) = (basin.reader("a").unwrap(), basin.reader("b").unwrap());
    let mut append = pin!(basin.append(batch("one")));
    assert!(poll(append.as_mut()).is_pending());
    let delivery = next(&mut a);
    a.cursor().confirm(delivery.position, Bytes::new());
    assert!(poll(append.as_mut()).is_pending());
    assert_eq!(basin.bookmark("test/a"), None);
    assert_eq!(basin.stats().outputs[1].lag_events, 1);
    let delivery = next(&mut b);
    b.cursor().confirm(delivery.position, Bytes::new());
    assert_eq!(poll(append.as_mut()), Poll::Ready(Outcome::Kept));
    assert_eq!(basin.bookmarks("test/"), [("test/a".into(), Bytes::from("one"))]);
}

#[test]
fn a_batch_beyond_the_bytes_waits_until_others_are_confirmed() {
    let basin = basin(&["a"], ByteSize::kib(1));
    let mut reader = basin.reader("a").unwrap();
    let mut first = pin!(basin.append(batch("one")));
    let mut second = pin!(basin.append(batch("two")));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    let one = next(&mut reader);
    assert!(poll(pin!(reader.next())).is_pending());
    reader.cursor().confirm(one.position, Bytes::new());
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(&next(&mut reader).batch.text[..], b"two");
}

#[test]
fn finishing_drains_and_closing_says_that_the_rest_is_lost() {
    let basin = basin(&["a"], ByteSize::mib(1));
    let mut reader = basin.reader("a").unwrap();
    let mut append = pin!(basin.append(batch("one")));
    assert!(poll(append.as_mut()).is_pending());
    basin.finish();
    assert_eq!(poll(pin!(basin.append(batch("late")))), Poll::Ready(Outcome::Lost));
    next(&mut reader);
    assert!(matches!(poll(pin!(reader.next())), Poll::Ready(None)));
    assert!(poll(pin!(basin.clone().close())).is_ready());
    assert_eq!(poll(append), Poll::Ready(Outcome::Lost));
}
