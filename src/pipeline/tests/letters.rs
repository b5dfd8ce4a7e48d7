//! What goes to the dead letter, with whose words, and what waits for it.

use super::*;

#[tokio::test]
async fn a_poison_event_goes_to_the_dead_letter_with_the_peers_words_and_the_rest_goes_on_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["poisoned"]), Peer::with([]));
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "poisoned", &peer, unbounded(letters.clone()));
    basin.append(batch(&["0", "1", "2", "poison a", "3", "4", "poison b"])).await;
    basin.append(batch(&["5", "6"])).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!(peer.taken(), numbers(0..7));
    let error = "peer refused: field 7 is no number".to_owned();
    assert_eq!(buried(&letters), [(error.clone(), "poison a".into()), (error, "poison b".into())]);
    assert_eq!(lag(&basin, "poisoned"), 0);
    assert_eq!(metrics().output("poisoned").dead_lettered.get(), 2);
    basin.close().await;
}

#[tokio::test]
async fn what_a_receiver_refuses_by_number_goes_to_the_dead_letter_and_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["particular"]);
    let peer = Peer::with([Answer::Partly(vec![1, 3])]);
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "particular", &peer, unbounded(letters.clone()));
    basin.append(batch(&["0", "a", "2", "b"])).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!((peer.taken(), peer.calls()), (vec!["0".to_owned(), "2".to_owned()], 1));
    let error = "number 7 is no date".to_owned();
    assert_eq!(buried(&letters), [(error.clone(), "a".into()), (error, "b".into())]);
    let metrics = metrics().output("particular");
    assert_eq!((metrics.events.get(), metrics.refused.get(), metrics.dead_lettered.get()), (2, 2, 2));
    basin.close().await;
}

#[tokio::test]
async fn a_named_output_takes_dead_letters_between_its_own_events() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["picky", "patient"]);
    let picky = Peer::with([]);
    let patient = Arc::new(Peer { takes_poison: true, ..Peer::default() });
    patient.script.lock().unwrap().extend([Answer::Retry, Answer::CheckpointFirst]);
    let (patient_lane, inbox) = lane(&basin, "patient", &patient, Letters::Nowhere);
    let (picky_lane, _) = lane(&basin, "picky", &picky, to("patient", inbox));
    basin.append(batch(&["0", "poison"])).await;
    basin.finish();
    let (one, other) = tokio::join!(picky_lane.run(), patient_lane.run());
    one.and(other).unwrap();
    let mut patients = patient.taken();
    let letter = patients.iter().position(|item| item.starts_with("<Undecodable")).unwrap();
    let letter = patients.remove(letter);
    assert!(letter.contains("peer refused: field 7 is no number") && letter.contains("poison"), "{letter}");
    assert_eq!((picky.taken(), patients), (numbers(0..1), vec!["0".into(), "poison".into()]));
    assert_eq!((lag(&basin, "picky"), lag(&basin, "patient")), (0, 0));
    basin.close().await;
}

#[tokio::test]
async fn dead_letters_of_another_output_are_not_held_and_not_mixed_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["choosy", "keeping"]);
    let choosy = Peer::with([]);
    let keeping = Arc::new(Peer { takes_poison: true, ..Peer::default() });
    keeping.script.lock().unwrap().extend([Answer::Held, Answer::Held]);
    let (keeping_lane, inbox) = lane(&basin, "keeping", &keeping, Letters::Nowhere);
    let (choosy_lane, _) = lane(&basin, "choosy", &choosy, to("keeping", inbox));
    basin.append(batch(&["0", "poison"])).await;
    basin.finish();
    let (one, other) = tokio::join!(choosy_lane.run(), keeping_lane.run());
    one.and(other).unwrap();
    assert_eq!((keeping.taken().len(), *keeping.settled.lock().unwrap()), (3, 2));
    assert_eq!((lag(&basin, "choosy"), lag(&basin, "keeping")), (0, 0));
    basin.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letter_as_it_came_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["strict"]), Peer::with([]));
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "strict", &peer, unbounded(letters.clone()));
    let mut half = batch(&["0", "1"]);
    half.notes = vec![Note { event: 0, kind: NoteKind::Undecodable, detail: "cut off".into() }];
    basin.append(half).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!(
        (peer.taken(), buried(&letters)),
        (vec!["1".to_owned()], vec![("cut off".into(), "0".into())])
    );
    basin.close().await;
}

#[test]
fn what_a_filter_rejects_at_a_glance_is_read_no_further_but_for_the_dead_letter() {
    let filter: crate::filter::FilterConfig = toml::from_str("keep = { id = 2 }").unwrap();
    let filter = filter.compile().unwrap();
    let mut broken = batch(&["0"]);
    broken.text = String::from_utf8_lossy(&broken.text).replace("</System>", "</Systen>").into();
    let broken = Arc::new(broken);
    for (undecodable, expected) in [(Undecodable::Raw, (1, 0)), (Undecodable::DeadLetter, (0, 1))] {
        let mut batch = crate::pipeline::batch::Batch::default();
        encoder(filter.clone(), undecodable).add(
            &mut batch,
            &broken,
            crate::basin::Position::default(),
            Timestamp(0),
        );
        assert_eq!((batch.filtered, batch.dead.len()), expected, "{undecodable:?}");
    }
}

#[tokio::test]
async fn what_the_source_does_not_trust_goes_to_the_dead_letter_instead() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["wary"]), Peer::with([]));
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "wary", &peer, unbounded(letters.clone()));
    let mut both = batch(&["0", "1"]);
    both.notes = vec![Note { event: 0, kind: NoteKind::Distrusted, detail: "dc1".into() }];
    basin.append(both).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!(peer.taken(), ["1"]);
    let error = "the source does not trust it: it names the computer `dc1`".to_owned();
    assert_eq!(buried(&letters), [(error, "0".to_owned())]);
    basin.close().await;
}

#[tokio::test]
async fn a_lane_waits_for_a_dead_letter_that_cannot_take() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["waiting"]), Peer::with([]));
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let (lane, _) = lane(&basin, "waiting", &peer, unbounded(blocked.join("dead")));
    basin.append(batch(&["poison", "after"])).await;
    let operator = async {
        until(|| peer.calls() >= 2).await;
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!((peer.taken().len(), lag(&basin, "waiting")), (0, 2), "nothing passes the poison");
        fs::remove_file(&blocked).unwrap();
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken(), buried(&blocked.join("dead")).len()), (vec!["after".to_owned()], 1));
    basin.close().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_full_deletes_nothing_and_the_lane_waits_until_there_is_room() {
    let root = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(root.path(), &["full"]), Peer::with([]));
    let dead = root.path().join("dead");
    fs::create_dir(&dead).unwrap();
    let earlier = dead.join("2026-01-01.jsonl");
    fs::write(&earlier, "x".repeat(3000)).unwrap();
    let (lane, _) = lane(&basin, "full", &peer, Letters::Folder { path: dead.clone(), bytes_max: 3001 });
    basin.append(batch(&["poison", "after"])).await;
    let operator = async {
        until(|| peer.calls() >= 2).await;
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!((peer.taken().len(), lag(&basin, "full")), (0, 2), "nothing passes the poison");
        assert_eq!(fs::metadata(&earlier).unwrap().len(), 3000);
        fs::remove_file(&earlier).unwrap();
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken(), buried(&dead).len()), (vec!["after".to_owned()], 1));
    basin.close().await;
}
