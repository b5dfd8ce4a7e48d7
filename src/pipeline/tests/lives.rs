//! Whole pipelines: how they start, share memory, reload and end.

use super::*;

/// The contract of `memory_max`: intake takes all it can get, and outputs go on.
#[tokio::test]
async fn lanes_drain_while_intake_has_taken_all_the_memory_it_may() {
    const BATCHES: usize = 64;
    let pipeline = checked(
        "[limits]\nmemory_max = '4MiB'\n[basin.memory]\n[source.a.replay]\npath = '-'\n[output.full]\nsink.stdout = {}\n",
    );
    let budgets = Budgets::new(&pipeline);
    assert_eq!(budgets.max(), 4 << 20);
    let go_on = Arc::new(Notify::new());
    let peer = Peer::with([Answer::Hang(Arc::clone(&go_on))]);
    let basin = memory(&["full"], &budgets.intake);
    let (lane, _) = shared_lane(&basin, "full", &peer, Letters::Nowhere, budgets.shares[0].clone());
    let text = "t".repeat(200 << 10);
    let mut appends = JoinSet::new();
    for _ in 0..BATCHES {
        let (basin, batch) = (basin.clone(), batch(&[&text]));
        appends.spawn(async move { basin.append(batch).await });
    }
    let operator = async {
        // One more batch does not fit.
        until(|| budgets.intake.max().0 - budgets.intake.used() < text.len() as u64).await;
        assert!(basin.stats().pending < BATCHES as u64 && budgets.used() <= budgets.max());
        go_on.notify_one();
        while let Some(outcome) = appends.join_next().await {
            assert_eq!(outcome.unwrap(), Outcome::Kept);
        }
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken().len(), budgets.used()), (BATCHES, 0));
}

#[test]
fn what_a_sink_may_hold_is_set_apart_and_never_more_than_there_is() {
    for (memory, size, memory_max, hold) in [
        ("256MiB", "32MiB", 256 << 20, 32 << 20),
        ("80MiB", "32MiB", 80 << 20, 32 << 20),
        ("64MiB", "24MiB", 64 << 20, 24 << 20),
    ] {
        let budgets = Budgets::new(&checked(&format!(
            "[limits]\nmemory_max = '{memory}'\n[basin.disk]\npath = '/b'\n[source.a.replay]\npath = '-'\n\
             [output.x.sink.s3]\nbucket = 'logs'\nsize_max = '{size}'\n"
        )));
        assert_eq!((budgets.max(), budgets.used()), (memory_max, hold), "{memory}");
        assert_eq!(budgets.holds, [hold], "{memory}");
    }
}

pub(super) fn checked(text: &str) -> Pipeline {
    let file = SourceFile { name: "p.toml".into(), text: text.into() };
    let checked = config::check(vec![file], &Process { absent: Severity::Error });
    assert_eq!(checked.told(), "");
    checked.pipeline.unwrap()
}

/// A pipeline of a file of events, a basin and outputs.
fn pipeline(folder: &Path, basin: &str, outputs: &str) -> Pipeline {
    let folder = folder.display();
    checked(&format!(
        "[basin]\n{basin}\n[source.a.evtx]\npath = '{folder}/logs'\npoll = '10ms'\n{}",
        outputs.replace("ROOT", &folder.to_string())
    ))
}

fn put_sample(folder: &Path) {
    fs::create_dir(folder.join("logs")).unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/sample.evtx");
    fs::copy(sample, folder.join("logs/sample.evtx")).unwrap();
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

const BLOCKED: &str = "[output.blocked]\nsink.file.path = 'ROOT/file/x.json'\n";

/// Stops a pipeline whose output never takes anything once its events have come in.
async fn stopped(folder: &Path, basin: &str) -> Ended {
    put_sample(folder);
    fs::write(folder.join("file"), "where a folder should be").unwrap();
    let pipeline = pipeline(folder, basin, BLOCKED);
    let (orders, received) = mpsc::channel(4);
    let options = Options { once: false, drain: Duration::from_millis(20) };
    let status = Arc::new(Status::default());
    let run = crate::pipeline::run(pipeline, options, &|| None, received, Arc::clone(&status));
    let operator = async {
        until(|| metrics().output("blocked").retries.get() > 0).await;
        orders.send(Order::Stop).await.unwrap();
    };
    tokio::join!(run, operator).0.unwrap()
}

#[tokio::test]
async fn a_drain_that_runs_out_of_time_is_an_orderly_end_only_where_a_disk_holds_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(stopped(folder.path(), "memory = {}").await, Ended::Unfinished);
    let folder = tempfile::tempdir().unwrap();
    let disk = format!("disk.path = '{}/basin'", folder.path().display());
    assert_eq!(stopped(folder.path(), &disk).await, Ended::Kept);
}

#[tokio::test]
async fn a_reload_swaps_what_is_right_and_keeps_the_old_on_any_failure() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put_sample(root);
    let basin = format!("disk.path = '{}/basin'", root.display());
    let first = "[output.first]\nsink.file.path = 'ROOT/out/first.json'\n";
    let second = format!("{first}[output.second]\nsink.file.path = 'ROOT/out/second.json'\n");
    // What is right, and cannot start: its port is taken.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{first}[http]\nlisten = '{}'\n", port.local_addr().unwrap());
    let cannot = pipeline(root, &basin, &taken);
    let moved = pipeline(root, &format!("disk.path = '{}/moved'", root.display()), first);
    let offers: Mutex<VecDeque<Option<Pipeline>>> =
        Mutex::new([None, Some(moved), Some(cannot), Some(pipeline(root, &basin, &second))].into());
    let asked = AtomicBool::new(false);
    let reload = || {
        asked.store(true, Ordering::Release);
        offers.lock().unwrap().pop_front().unwrap()
    };
    let (orders, received) = mpsc::channel(4);
    let options = Options { once: false, drain: Duration::from_secs(10) };
    let status = Arc::new(Status::default());
    let run =
        crate::pipeline::run(pipeline(root, &basin, first), options, &reload, received, Arc::clone(&status));
    let sample = |name: &str| {
        let logs = root.join("logs");
        fs::copy(logs.join("sample.evtx"), logs.join(name)).unwrap();
    };
    let (first, second) = (root.join("out/first.json"), root.join("out/second.json"));
    let operator = async {
        until(|| lines(&first) == 160).await;
        for (round, more) in [(2, "wrong.evtx"), (3, "moved.evtx"), (4, "cannot.evtx")] {
            asked.store(false, Ordering::Release);
            orders.send(Order::Reload).await.unwrap();
            until(|| asked.load(Ordering::Acquire)).await;
            sample(more);
            until(|| lines(&first) == round * 160).await;
        }
        orders.send(Order::Reload).await.unwrap();
        until(|| second.exists()).await;
        sample("right.evtx");
        until(|| lines(&first) == 5 * 160 && lines(&second) >= 160).await;
        orders.send(Order::Stop).await.unwrap();
    };
    let (ended, ()) = tokio::join!(run, operator);
    assert_eq!(ended.unwrap(), Ended::Kept);
    assert_eq!(lines(&first), 5 * 160, "nothing is lost or repeated by a change-over");
}

#[tokio::test]
async fn what_nobody_can_read_is_once_in_the_output_that_takes_anothers_dead_letters_with_its_notes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("in.xml"), "<Event><System></Event>\n<Event><System/></Event>\n").unwrap();
    let pipeline = checked(&format!(
        "[basin.disk]\npath = '{root}/basin'\n[source.a.replay]\npath = '{root}/in.xml'\n\
         [output.strict]\nundecodable = 'dead-letter'\ndead_letter.output = 'all'\n\
         sink.file.path = '{root}/out/strict.json'\n\
         [output.all]\nsink.file.path = '{root}/out/all.json'\n",
        root = root.display()
    ));
    let (_orders, received) = mpsc::channel(1);
    let options = Options { once: true, drain: Duration::from_secs(10) };
    let status = Arc::new(Status::default());
    assert_eq!(
        crate::pipeline::run(pipeline, options, &|| None, received, status).await.unwrap(),
        Ended::Kept
    );
    let json = |name: &str| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(root.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = json("out/all.json");
    let (raw, read): (Vec<_>, Vec<_>) = all.iter().partition(|event| event["Forebay"]["Raw"].is_string());
    assert_eq!((raw.len(), read.len(), json("out/strict.json").len()), (1, 1, 1), "{all:?}");
    let forebay = &raw[0]["Forebay"];
    assert!(forebay["Id"].is_string() && forebay["Notes"].is_array(), "{forebay}");
}

/// The four figures that only the running pipeline knows are set, and the one that counts moves.
#[tokio::test]
async fn memory_the_size_of_the_basin_and_what_was_skipped_are_in_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put_sample(root);
    for copy in 0..40 {
        let to = root.join(format!("logs/{copy}.evtx"));
        fs::copy(root.join("logs/sample.evtx"), to).unwrap();
    }
    fs::write(root.join("file"), "where a folder should be").unwrap();
    let basin =
        format!("disk = {{ path = '{}/basin', size_max = '4MiB', segment_size = '1MiB' }}", root.display());
    let output = "[output.skipping]\nfull = 'skip-oldest'\nsink.file.path = 'ROOT/file/x.json'\n";
    let pipeline = pipeline(root, &basin, output);
    let (orders, received) = mpsc::channel(4);
    let options = Options { once: false, drain: Duration::from_millis(20) };
    let run = crate::pipeline::run(pipeline, options, &|| None, received, Arc::new(Status::default()));
    let operator = async {
        until(|| metrics().output("skipping").skipped.get() > 0).await;
        orders.send(Order::Stop).await.unwrap();
    };
    tokio::join!(run, operator).0.unwrap();
    assert!(metrics().basin.max_bytes.get() > 0);
    assert!(metrics().memory.max_bytes.get() > 0 && metrics().memory.used_bytes.get() >= 0);
}
