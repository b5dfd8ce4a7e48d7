//! What a lane sends, when again, and what its cursor waits for.

use super::*;

#[tokio::test]
async fn a_receiver_that_says_when_to_come_again_is_not_asked_before_that() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["asked"]);
    // Far longer than a pause of these tests, which are a few milliseconds.
    let after = Duration::from_millis(200);
    let peer = Peer::with([Answer::RetryAfter(after)]);
    let (lane, _) = lane(&basin, "asked", &peer, Letters::Nowhere);
    basin.append(batch(&["0"])).await;
    basin.finish();
    let begun = std::time::Instant::now();
    lane.run().await.unwrap();
    assert!(begun.elapsed() >= after);
    assert_eq!((peer.taken(), peer.calls()), (vec!["0".to_owned()], 2));
    basin.close().await;
}

/// Writes when it was received, as a protocol might.
struct Counting;

impl Head for Counting {
    fn write(&mut self, of: &RouteValues<'_, '_>, out: &mut Vec<u8>) {
        let received = of.origin.received.0;
        out.extend_from_slice(format!("{received}|").as_bytes());
    }
}

#[test]
fn what_a_sink_wants_before_each_payload_stands_there_and_can_be_told_from_it() {
    let mut encoder = encoder(Filter::default(), Undecodable::Raw);
    encoder.placer = Placer::new(Framing::Line, None, Some(Box::new(Counting)));
    let mut batch = crate::pipeline::batch::Batch::default();
    encoder.add(&mut batch, &Arc::new(self::batch(&["0", "1"])), Default::default(), Timestamp(0));
    let encoded = batch.encoded();
    for index in 0..2 {
        let (head, payload) = encoded.parts(index);
        assert_eq!(head, b"0|");
        assert!(payload.starts_with(b"<Event") && payload.ends_with(b"</Event>\n"));
    }
    assert_eq!(encoded.part(1, 2).parts(0).0, b"0|");
}

#[tokio::test]
async fn what_a_sink_holds_keeps_the_cursor_back_until_it_is_confirmed_and_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["holding"]), Peer::with([Answer::Held, Answer::Held]));
    let (lane, _) = lane(&basin, "holding", &peer, Letters::Nowhere);
    let mut tasks = JoinSet::new();
    tasks.spawn(lane.run());
    for (number, held) in [("0", 1), ("1", 2)] {
        basin.append(batch(&[number])).await;
        until(|| peer.held.lock().unwrap().len() == held).await;
        assert_eq!(lag(&basin, "holding"), held as u64);
    }
    basin.append(batch(&["2"])).await;
    until(|| lag(&basin, "holding") == 0).await;
    assert_eq!((peer.taken(), *peer.settled.lock().unwrap()), (numbers(0..3), 0));
    peer.script.lock().unwrap().push_back(Answer::Held);
    basin.append(batch(&["3"])).await;
    until(|| peer.held.lock().unwrap().len() == 1).await;
    assert_eq!(lag(&basin, "holding"), 1);
    basin.finish();
    tasks.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((peer.taken(), *peer.settled.lock().unwrap()), (numbers(0..4), 1));
    let metrics = metrics().output("holding");
    assert_eq!((lag(&basin, "holding"), metrics.events.get(), metrics.in_flight_events.get()), (0, 4, 0));
    basin.close().await;
}

#[tokio::test]
async fn a_hanging_sink_holds_back_its_own_cursor_only() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["hanging", "quick"]);
    let go_on = Arc::new(Notify::new());
    let (hanging, quick) = (Peer::with([Answer::Hang(Arc::clone(&go_on))]), Peer::with([]));
    let (hanging_lane, _) = lane(&basin, "hanging", &hanging, Letters::Nowhere);
    let (quick_lane, _) = lane(&basin, "quick", &quick, Letters::Nowhere);
    let operator = async {
        for number in 0..20 {
            assert_eq!(basin.append(batch(&[&number.to_string()])).await, Outcome::Kept);
        }
        until(|| lag(&basin, "quick") == 0).await;
        assert_eq!((quick.taken(), lag(&basin, "hanging")), (numbers(0..20), 20));
        go_on.notify_one();
        basin.finish();
    };
    let (one, other, ()) = tokio::join!(hanging_lane.run(), quick_lane.run(), operator);
    one.and(other).unwrap();
    assert_eq!(hanging.taken(), numbers(0..20));
    basin.close().await;
}

#[tokio::test]
async fn a_batch_that_fails_is_sent_again_until_it_is_taken_and_order_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["failing"]);
    let peer = Peer::with([Answer::Retry, Answer::CheckpointFirst, Answer::Retry, Answer::Retry]);
    let (lane, _) = lane(&basin, "failing", &peer, Letters::Nowhere);
    basin.append(batch(&["0", "1"])).await;
    basin.append(batch(&["2"])).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!((peer.taken(), metrics().output("failing").retries.get()), (numbers(0..3), 3));
    basin.close().await;
}

/// A source's own bookmarks come without events and without a time; they are nobody's wait.
#[tokio::test]
async fn what_holds_no_events_is_not_in_the_time_from_receipt_to_confirmation() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["timed"]);
    let peer = Peer::with([]);
    let (lane, _) = lane(&basin, "timed", &peer, Letters::Nowhere);
    let bookmark = Bookmark { key: "test/table".into(), value: "1".into() };
    basin.append(batch(&["0"])).await;
    basin.append(EventBatch { bookmark: Some(bookmark), ..batch(&[]) }).await;
    basin.append(batch(&["1", "2"])).await;
    basin.finish();
    lane.run().await.unwrap();
    let exposition = metrics().exposition();
    let count = "forebay_output_delivery_seconds_count{output=\"timed\"} ";
    let found = exposition.lines().find_map(|line| line.strip_prefix(count));
    assert_eq!((peer.taken(), found), (numbers(0..3), Some("2")));
    basin.close().await;
}

#[tokio::test]
async fn a_far_end_that_is_gone_ends_the_lane_and_leaves_the_rest_in_the_basin() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["gone"]), Peer::with([Answer::Gone]));
    let (lane, _) = lane(&basin, "gone", &peer, Letters::Nowhere);
    basin.append(batch(&["0"])).await;
    let error = lane.run().await.unwrap_err();
    assert!(matches!(error, LaneError::Gone { .. }), "{error}");
    assert_eq!(lag(&basin, "gone"), 1);
    basin.close().await;
}

#[tokio::test]
async fn what_arrives_while_a_batch_is_sent_is_encoded_meanwhile_and_becomes_one_batch() {
    let go_on = Arc::new(Notify::new());
    let peer = Peer::with([Answer::Hang(Arc::clone(&go_on))]);
    let budget = Budget::new(ByteSize::mib(64));
    let basin = memory(&["busy"], &budget);
    let share = Budget::new(ByteSize::mib(8));
    let (lane, _) = shared_lane(&basin, "busy", &peer, Letters::Nowhere, share.clone());
    let mut appends = JoinSet::new();
    let operator = async {
        for number in 0..6 {
            let append = basin.clone();
            appends.spawn(async move { append.append(batch(&[&number.to_string()])).await });
            until(|| basin.stats().pending == number + 1).await;
        }
        // Text and encoding of all six count in the output's share.
        until(|| share.used() >= 6 * 1024).await;
        go_on.notify_one();
        until(|| lag(&basin, "busy") == 0).await;
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken(), peer.batches()), (numbers(0..6), vec![1, 5]));
    assert_eq!(share.used(), 0, "what was sent is given back");
}
