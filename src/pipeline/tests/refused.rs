//! Dead letters that are refused where they are sent to, and what an operator hears of refusals.

use super::*;
use crate::event::EventId;

/// A target whose own events are in a basin of their own, which is at its end.
fn target(
    folder: &Path,
    output: &str,
    peer: &Arc<Peer>,
    letters: Letters,
) -> (Basin, Lane, mpsc::Sender<Letter>) {
    let basin = disk(folder, &[output]);
    basin.finish();
    let (lane, inbox) = lane(&basin, output, peer, letters);
    (basin, lane, inbox)
}

/// What the lane reports is kept there.
fn heard(lane: &mut Lane) -> Arc<Status> {
    let status = Arc::new(Status::default());
    let hears = Arc::clone(&status);
    lane.report = Arc::new(move |finding, times| hears.findings_of(finding, times));
    status
}

#[tokio::test]
async fn a_letter_is_taken_once_and_what_the_target_refuses_goes_to_its_folder_with_both_reasons() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let basin = disk(here.path(), &["first"]);
    let (first, second) = (Peer::with([Answer::Partly(vec![0, 1, 2])]), Peer::with([]));
    let dead = there.path().join("dead");
    let (other, second_lane, inbox) = target(there.path(), "second", &second, unbounded(dead.clone()));
    let letters =
        Letters::Lane { output: "second".into(), lane: inbox, beyond: Box::new(unbounded(dead.clone())) };
    let (mut first_lane, _) = lane(&basin, "first", &first, letters);
    let status = heard(&mut first_lane);
    basin.append(batch(&["alpha", "poison", "gamma", "own"])).await;
    basin.finish();
    let (one, another) = tokio::join!(first_lane.run(), second_lane.run());
    one.and(another).unwrap();
    let taken = second.taken();
    assert_eq!(taken.len(), 2, "each of them once: {taken:?}");
    assert!(taken[0].contains("alpha") && taken[1].contains("gamma"), "{taken:?}");
    let error =
        "number 7 is no date; after that: output `second`: peer refused: field 7 is no number".to_owned();
    assert_eq!(buried(&dead), [(error, "poison".to_owned())]);
    assert_eq!((first.taken(), lag(&basin, "first")), (vec!["own".to_owned()], 0));
    assert_eq!(metrics().output("first").dead_lettered.get(), 3);
    assert_eq!(metrics().output("second").refused.get(), 1);
    let places: Vec<String> = status.findings().into_iter().map(|noted| noted.finding.fix).collect();
    assert!(places[0].contains("output `second`"), "{places:?}");
    assert!(places[1].contains(dead.to_str().unwrap()), "{places:?}");
    basin.close().await;
    other.close().await;
}

#[tokio::test]
async fn of_a_letter_that_was_taken_in_part_only_the_rest_comes_again() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let basin = disk(here.path(), &["parted"]);
    let (peer, second) = (Peer::with([Answer::Partly(vec![0, 1, 2])]), Peer::with([Answer::Partly(vec![1])]));
    let (other, target_lane, inbox) = target(there.path(), "partial", &second, Letters::Nowhere);
    let (parted_lane, _) = lane(&basin, "parted", &peer, to("partial", inbox));
    basin.append(batch(&["alpha", "beta", "gamma"])).await;
    basin.finish();
    let (one, another) = tokio::join!(parted_lane.run(), target_lane.run());
    one.and(another).unwrap();
    let taken = second.taken();
    assert_eq!((second.batches(), second.calls()), (vec![2, 1], 2));
    for (item, data) in taken.iter().zip(["alpha", "gamma", "beta"]) {
        assert!(item.contains(data), "{taken:?}");
    }
    assert_eq!(metrics().output("parted").dead_lettered.get(), 3);
    basin.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_target_that_refuses_goes_on_and_whose_letter_it_is_waits_ever_longer_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["stuck", "moving"]);
    let (stuck, moving) = (Peer::with([Answer::Partly(vec![0])]), Peer::with([]));
    *moving.refuses.lock().unwrap() = Some("<Undecodable");
    let (moving_lane, inbox) = lane(&basin, "moving", &moving, Letters::Nowhere);
    let (mut stuck_lane, _) = lane(&basin, "stuck", &stuck, to("moving", inbox));
    stuck_lane.backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(10));
    let status = heard(&mut stuck_lane);
    basin.append(batch(&["0"])).await;
    let operator = async {
        let begun = std::time::Instant::now();
        until(|| metrics().output("moving").refused.get() >= 4).await;
        // At least half of 20, 40 and 80 ms; without doubling it could be at most 60.
        assert!(begun.elapsed() >= Duration::from_millis(70), "{:?}", begun.elapsed());
        basin.append(batch(&["1"])).await;
        until(|| lag(&basin, "moving") == 0).await;
        assert_eq!((moving.taken(), lag(&basin, "stuck")), (numbers(0..2), 2));
        let findings = status.findings();
        let [noted] = &findings[..] else { panic!("{findings:?}") };
        assert!(noted.finding.what.contains("output `stuck` waits"), "{noted:?}");
        let why = &noted.finding.why;
        assert!(why.contains("output `moving`") && why.contains("field 7 is no number"), "{why}");
        assert!(why.contains("there is no dead letter"), "{why}");
        *moving.refuses.lock().unwrap() = None;
        basin.finish();
    };
    let (one, another, ()) = tokio::join!(stuck_lane.run(), moving_lane.run(), operator);
    one.and(another).unwrap();
    let letters: Vec<String> =
        moving.taken().into_iter().filter(|item| item.starts_with("<Undecodable")).collect();
    assert_eq!((letters.len(), lag(&basin, "stuck")), (1, 0));
    basin.close().await;
}

#[tokio::test]
async fn refusals_are_one_finding_with_the_receivers_words_and_where_the_events_are() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["flooded"]);
    let peer = Peer::with([Answer::Partly((0..1000).collect()), Answer::Partly(vec![0])]);
    let letters = folder.path().join("dead");
    let (mut lane, _) = lane(&basin, "flooded", &peer, unbounded(letters.clone()));
    let status = heard(&mut lane);
    let events: Vec<String> = numbers(0..1000);
    basin.append(batch(&events.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let more = async {
        until(|| lag(&basin, "flooded") == 0).await;
        basin.append(batch(&["more"])).await;
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), more);
    ended.unwrap();
    let findings = status.findings();
    let [noted] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(noted.times, 1001);
    assert_eq!(noted.finding.what, "output `flooded`: events were refused");
    assert_eq!(noted.finding.why, "number 7 is no date");
    assert!(noted.finding.fix.contains(letters.to_str().unwrap()), "{}", noted.finding.fix);
    basin.close().await;
}

#[tokio::test]
async fn what_comes_unsent_to_the_dead_letter_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["untaken"]);
    let letters = folder.path().join("dead");
    let (mut lane, _) = lane(&basin, "untaken", &Peer::with([]), unbounded(letters));
    let status = heard(&mut lane);
    let mut half = batch(&["0", "1"]);
    half.notes = vec![Note { event: 0, kind: NoteKind::Undecodable, detail: "cut off".into() }];
    basin.append(half).await;
    basin.finish();
    lane.run().await.unwrap();
    let findings = status.findings();
    let [noted] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(noted.finding.what, "output `untaken`: events went to the dead letter unsent");
    assert_eq!(noted.finding.why, "cut off");
    basin.close().await;
}

/// As the parts of a pipeline are put together: the second one's own place is the end of the way.
#[tokio::test]
async fn letters_go_on_to_the_place_of_the_output_that_refuses_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // More than a chunk of a log holds.
    let event =
        format!("<Event><System/><EventData><Data>{}</Data></EventData></Event>", "x".repeat(100_000));
    fs::write(root.join("in.xml"), event).unwrap();
    let pipeline = lives::checked(&format!(
        "[basin.disk]\npath = '{root}/basin'\n[source.a.replay]\npath = '{root}/in.xml'\n\
         [output.a]\ndead_letter.output = 'b'\nsink.evtx.path = '{root}/a.evtx'\n\
         [output.b]\nsink.evtx.path = '{root}/b.evtx'\n",
        root = root.display()
    ));
    let (_orders, received) = mpsc::channel(1);
    let options = Options { once: true, drain: Duration::from_secs(10) };
    let status = Arc::new(Status::default());
    let ended = crate::pipeline::run(pipeline, options, &|| None, received, status).await;
    assert_eq!(ended.unwrap(), Ended::Kept);
    let mut letters = buried(&root.join("basin/dead-letter/b"));
    letters.sort_by_key(|(error, _)| error.len());
    let errors: Vec<&String> = letters.iter().map(|(error, _)| error).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[1].contains("; after that: output `b`: "), "{errors:?}");
}

#[tokio::test]
async fn a_dead_letter_comes_back_as_the_event_that_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let basin = disk(root, &["refusing"]);
    let peer = Peer::with([Answer::Partly(vec![0, 1]), Answer::Partly(vec![0])]);
    let dead = root.join("dead");
    let (lane, _) = lane(&basin, "refusing", &peer, unbounded(dead.clone()));
    let mut events = batch(&["a \"quoted\" \\ \u{1f600}", "b\r\nc", "broken"]);
    events.text = String::from_utf8_lossy(&events.text).replace("broken</Data>", "broken</Date>").into();
    events.notes = vec![Note { event: 0, kind: NoteKind::Foreign, detail: "\"WS9\"".into() }];
    let origin = Arc::make_mut(&mut events.origin);
    origin.host = Some("dc1.example.org".into());
    origin.address = Some(std::net::Ipv4Addr::LOCALHOST.into());
    origin.subscription = Some("all".into());
    origin.received = Timestamp::parse(b"2026-01-02T03:04:05.006123400Z").unwrap();
    basin.append(events.clone()).await;
    let mut other = batch(&["d"]);
    Arc::make_mut(&mut other.origin).host = Some("dc2.example.org".into());
    let next = async {
        until(|| lag(&basin, "refusing") == 0).await;
        basin.append(other.clone()).await;
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), next);
    ended.unwrap();
    basin.close().await;

    let file = fs::read_dir(&dead).unwrap().next().unwrap().unwrap().path();
    let replayed = async |name: &str, more: &str| {
        let pipeline = lives::checked(&format!(
            "[basin.disk]\npath = '{root}/{name}'\n[source.again.replay]\npath = '{file}'\n{more}\
             [output.all]\nsink.file.path = '{root}/{name}.json'\n",
            root = root.display(),
            file = file.display()
        ));
        let (_orders, received) = mpsc::channel(1);
        let options = Options { once: true, drain: Duration::from_secs(10) };
        let ended = crate::pipeline::run(pipeline, options, &|| None, received, Arc::default()).await;
        assert_eq!(ended.unwrap(), Ended::Kept);
        let text = fs::read_to_string(root.join(format!("{name}.json"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let again = replayed("told", "dead_letters = true\n").await;
    assert_eq!(again.len(), 4);
    let first = "dc1.example.org";
    // What cannot be read is not sent, so it is there first.
    let were = [
        (first, events.event(2)),
        (first, events.event(0)),
        (first, events.event(1)),
        ("dc2.example.org", other.event(0)),
    ];
    for (event, (host, text)) in again.iter().zip(were) {
        let id = EventId::new(host.as_bytes(), b"", b"", text).to_string();
        let about = &event["Forebay"];
        assert_eq!((about["Host"].as_str(), about["Id"].as_str()), (Some(host), Some(&*id)), "{event}");
    }
    let about = &again[1]["Forebay"];
    assert_eq!(about["Received"], "2026-01-02T03:04:05.006123400Z");
    assert_eq!((&about["Address"], &about["Subscription"]), (&"127.0.0.1".into(), &"all".into()));
    assert_eq!(about["Notes"], serde_json::json!([{ "Kind": "Foreign", "Detail": "\"WS9\"" }]));
    assert!(
        again[0]["Forebay"]["Raw"].as_str().is_some_and(|raw| raw.contains("broken</Date>")),
        "{again:?}"
    );

    let untold = replayed("untold", "").await;
    assert!(untold.len() == 4 && untold.iter().all(|event| event["Forebay"].get("Host").is_none()));
}

#[tokio::test]
async fn what_a_source_did_not_trust_is_not_trusted_when_it_is_sent_again() {
    for more in ["", "dead_letters = true\n"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let letter = |notes: &str| {
            format!(
                "{{\"output\":\"o\",\"error\":\"e\",\"received\":\"2026-01-02T03:04:05Z\",\"source\":\"dc\",\"host\":\"ws1\"{notes},\
                 \"text\":\"<Event><System/></Event>\"}}\n"
            )
        };
        let distrusted = letter(r#","notes":[{"kind":"Distrusted","detail":"DC1"}]"#);
        fs::write(root.join("letters.jsonl"), distrusted + &letter("")).unwrap();
        let pipeline = lives::checked(&format!(
            "[basin.disk]\npath = '{root}/basin'\n[source.again.replay]\npath = '{root}/letters.jsonl'\n{more}\
             [output.all]\nsink.file.path = '{root}/all.json'\n",
            root = root.display(),
        ));
        let (_orders, received) = mpsc::channel(1);
        let options = Options { once: true, drain: Duration::from_secs(10) };
        let ended = crate::pipeline::run(pipeline, options, &|| None, received, Arc::default()).await;
        assert_eq!(ended.unwrap(), Ended::Kept);
        assert_eq!(fs::read_to_string(root.join("all.json")).unwrap().lines().count(), 1, "{more}");
        let letters = buried(&root.join("basin/dead-letter/all"));
        assert!(letters.len() == 1 && letters[0].0.contains("names the computer `DC1`"), "{letters:?}");
    }
}

#[tokio::test]
async fn who_refused_a_letter_is_not_asked_again_while_the_folder_behind_it_is_full() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let basin = disk(here.path(), &["brimful"]);
    let (full, picky) = (Peer::with([Answer::Partly(vec![0])]), Peer::with([]));
    *picky.refuses.lock().unwrap() = Some("<Undecodable");
    let dead = there.path().join("dead");
    fs::write(there.path().join("dead"), "no folder").unwrap();
    let (other, picky_lane, inbox) = target(there.path(), "picky", &picky, unbounded(dead.clone()));
    let beyond = Box::new(unbounded(dead.clone()));
    let (full_lane, _) =
        lane(&basin, "brimful", &full, Letters::Lane { output: "picky".into(), lane: inbox, beyond });
    basin.append(batch(&["poison"])).await;
    basin.finish();
    let operator = async {
        until(|| picky.calls() > 0).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(lag(&basin, "brimful"), 1);
        fs::remove_file(&dead).unwrap();
    };
    let (one, another, ()) = tokio::join!(full_lane.run(), picky_lane.run(), operator);
    one.and(another).unwrap();
    assert_eq!((picky.calls(), buried(&dead).len()), (1, 1));
    basin.close().await;
    other.close().await;
}
