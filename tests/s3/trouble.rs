//! Stores that answer wrongly, late, in halves or not at all: told, nothing lost, and when they answer as they
//! should, each event is in an object, once.

use super::{lines, patient, rig, settled, texts};
use crate::support::store::{Asked, Store, error};
use crate::support::web::{Reply, says};
use forebay::sink::{SendError, Sent};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A batch is held, then the one answer comes, twice, then it is as it should be.
#[track_caller]
fn case(wrong: &Reply, is_done: bool, words: &str) {
    let store = Store::start();
    store.state().replies = vec![(Asked::Any, is_done, wrong.clone()), (Asked::Any, is_done, wrong.clone())];
    let mut rig = rig(&store, "");
    let batch = lines(0, 100, 20);
    assert_eq!(rig.send(&batch), Ok(Sent::Held));
    assert_eq!(rig.settle(), Ok(Sent::CheckpointFirst));
    for _ in 0..2 {
        let result = rig.settle();
        assert!(matches!(result, Err(SendError::Retry { .. })), "{wrong:?}: {result:?}");
    }
    assert_eq!(store.receiver.requests().len(), 2, "{wrong:?}: a lane pauses between attempts");
    rig.has_told(words);
    assert_eq!(rig.settle(), Ok(Sent::Confirmed), "{wrong:?}");
    let state = store.state();
    assert_eq!((state.text(), state.objects.len()), (texts(&[batch]), 1), "{wrong:?}");
    assert_eq!(state.overwritten, 0);
}

#[test]
fn an_answer_that_breaks_off_is_no_yes_and_what_was_stored_is_there_once() {
    for is_done in [false, true] {
        for wrong in [Reply::Half, Reply::HangUp, Reply::Garbage, Reply::Endless] {
            case(&wrong, is_done, "did not answer a request to its end");
        }
        case(
            &Reply::Late(Duration::from_secs(3), Box::new(says(200, ""))),
            is_done,
            "no answer within 800ms",
        );
        // By somebody who is no store.
        case(&says(200, "<html>a proxy</html>"), is_done, "cannot be understood");
        case(&says(204, ""), is_done, "cannot be understood");
    }
}

#[test]
fn trouble_of_the_store_is_waited_out() {
    case(&error(503, "SlowDown", ""), false, "it answered 503");
    case(&error(500, "InternalError", ""), false, "it answered 500");
    case(&says(429, ""), false, "it answered 429");
    case(&error(400, "RequestTimeout", ""), false, "too busy");
}

#[test]
fn what_an_operator_must_do_is_told() {
    let region = "<Region>eu-west-1</Region>";
    case(&error(301, "PermanentRedirect", ""), false, "correct `region` and `endpoint`");
    case(&error(400, "AuthorizationHeaderMalformed", region), false, "set `region = \"eu-west-1\"`");
    let moved = Reply::Status(301, vec![("x-amz-bucket-region", "eu-west-1".into())], String::new());
    case(&moved, false, "set `region = \"eu-west-1\"`");
    case(&error(404, "NoSuchBucket", ""), false, "no such bucket");
    case(&error(403, "AccessDenied", ""), false, "AccessDenied, words of it");
    case(&error(403, "SignatureDoesNotMatch", ""), false, "does not let us in");
    let times = "<RequestTime>20260102T030405Z</RequestTime><ServerTime>2026-01-02T04:04:05Z</ServerTime>";
    case(&error(403, "RequestTimeTooSkewed", times), false, "its time is 2026-01-02T04:04:05Z");
    case(&error(400, "EntityTooLarge", ""), false, "size_max");
    case(&says(413, "<html>nginx</html>"), false, "takes no bodies as large as ours");
    case(&error(400, "InvalidStorageClass", ""), false, "storage_class");
}

#[test]
fn a_pause_that_the_store_asks_for_is_made() {
    let store = Store::start();
    let slow = Reply::Status(503, vec![("Retry-After", "3".into())], String::new());
    store.state().replies = vec![(Asked::Put, false, slow)];
    let mut rig = rig(&store, "");
    assert_eq!(rig.send(&lines(0, 100, 20)), Ok(Sent::Held));
    assert_eq!(rig.settle(), Ok(Sent::CheckpointFirst));
    let Err(SendError::Retry { after, .. }) = rig.settle() else { panic!() };
    assert_eq!(after, Some(Duration::from_secs(3)));
}

#[test]
fn new_keys_in_the_file_end_the_pause() {
    let (store, folder) = (Store::start(), tempfile::tempdir().unwrap());
    let path = folder.path().join("secret");
    let put = |text: &str| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    put("old");
    store.state().replies = vec![(Asked::Put, false, error(403, "InvalidAccessKeyId", ""))];
    let mut rig = crate::web::Rig::new(&format!(
        "s3 = {{ bucket = 'archive', endpoint = '{}', auth = {{ access_key_id = 'a', secret_access_key_file = '{}' }} }}",
        store.receiver.url(),
        path.display()
    ));
    assert_eq!(rig.send(&lines(0, 10, 20)), Ok(Sent::Held));
    assert_eq!(rig.settle(), Ok(Sent::CheckpointFirst));
    let Err(SendError::Retry { after, .. }) = rig.settle() else { panic!() };
    assert_eq!(after, Some(Duration::from_secs(60)));
    assert!(!rig.is_sooner());
    put("new");
    assert!(rig.is_sooner());
    assert_eq!(rig.settle(), Ok(Sent::Confirmed));
    fs::remove_file(&path).unwrap();
    assert_eq!(rig.send(&lines(10, 20, 20)), Ok(Sent::Held));
    assert_eq!(rig.settle(), Ok(Sent::CheckpointFirst));
    assert!(matches!(rig.settle(), Err(SendError::Retry { .. })));
    rig.has_told("secret cannot be used");
}

/// So large that it takes three parts.
const LINES: u32 = 20_000;
const LINE_BYTES: usize = 1000;

#[track_caller]
fn in_parts(replies: Vec<(Asked, bool, Reply)>, attempts_max: usize) -> Vec<(String, String)> {
    let store = Store::start();
    store.state().replies = replies;
    let mut rig = patient(&store, "60s", "size_max = '64MiB'");
    let batch = lines(0, LINES, LINE_BYTES);
    assert_eq!(rig.send(&batch), Ok(Sent::Held));
    assert_eq!(rig.settle(), Ok(Sent::CheckpointFirst));
    let mut attempts = 1;
    while rig.settle() != Ok(Sent::Confirmed) {
        attempts += 1;
        assert!(attempts <= attempts_max, "{:?}", rig.told());
    }
    let state = store.state();
    assert_eq!((state.text().len(), state.objects.len()), (texts(&[batch]).len(), 1));
    assert_eq!((state.text() == texts(&[lines(0, LINES, LINE_BYTES)]), state.uploads.len()), (true, 0));
    store.receiver.requests().into_iter().map(|request| (request.method, request.path)).collect()
}

#[test]
fn large_objects_go_in_parts_and_what_was_taken_is_not_sent_again() {
    let count =
        |asked: &[(String, String)], part: &str| asked.iter().filter(|(_, path)| path.contains(part)).count();
    let asked = in_parts(Vec::new(), 1);
    assert_eq!((count(&asked, "uploads="), count(&asked, "partNumber="), asked.len()), (1, 3, 5));
    for reply in [error(503, "SlowDown", ""), Reply::HangUp, says(200, ""), error(500, "InternalError", "")] {
        let asked = in_parts(vec![(Asked::Part, false, reply)], 3);
        assert_eq!(
            (count(&asked, "uploads="), count(&asked, "partNumber=")),
            (1, 4),
            "only the one that failed"
        );
    }
    // Its status came before it was known.
    let late = error(200, "InternalError", "");
    let asked = in_parts(vec![(Asked::Complete, false, late)], 3);
    assert_eq!((count(&asked, "partNumber="), asked.len()), (3, 6));
    let asked = in_parts(vec![(Asked::Begin, false, says(200, "<html/>"))], 3);
    assert_eq!((count(&asked, "partNumber="), asked.len()), (3, 6));
}

#[test]
fn an_upload_that_the_store_has_forgotten_begins_anew() {
    let gone = || error(404, "NoSuchUpload", "");
    in_parts(vec![(Asked::Complete, false, error(400, "InvalidPart", ""))], 3);
    // It was put together, and the answer did not come.
    in_parts(vec![(Asked::Complete, true, Reply::HangUp)], 4);
    let store = Store::start();
    store.state().replies = vec![(Asked::Part, false, gone())];
    let mut rig = patient(&store, "60s", "size_max = '64MiB'");
    assert_eq!(rig.send(&lines(0, LINES, LINE_BYTES)), Ok(Sent::Held));
    settled(&mut rig);
    assert_eq!(store.state().objects.len(), 1);
}

#[test]
fn uploads_that_a_crash_left_are_given_up() {
    let store = Store::start();
    store.state().replies = vec![(Asked::Part, false, Reply::HangUp)];
    let mut one = patient(&store, "60s", "size_max = '64MiB'");
    let batch = lines(0, LINES, LINE_BYTES);
    assert_eq!(one.send(&batch), Ok(Sent::Held));
    assert_eq!(one.settle(), Ok(Sent::CheckpointFirst));
    let note = one.sink().note();
    assert!(one.settle().is_err());
    drop(one);
    // Somebody else's is left alone.
    let other = ("/archive/w/other".to_owned(), std::collections::BTreeMap::new());
    store.state().uploads.insert("other".into(), other);
    assert_eq!(store.state().uploads.len(), 2);
    let mut again = patient(&store, "60s", "size_max = '64MiB'");
    again.sink().resume(&note).unwrap();
    assert_eq!(again.send(&batch), Ok(Sent::Confirmed));
    let state = store.state();
    assert!(state.objects.len() == 1 && state.uploads.keys().eq(["other"]));
}

#[test]
fn a_probe_asks_and_changes_nothing() {
    let store = Store::start();
    let probed = |replies| {
        store.state().replies = replies;
        let text = format!(
            "s3 = {{ bucket = 'archive', endpoint = '{}', auth = {{ access_key_id = 'a', secret_access_key = 's' }} }}",
            store.receiver.url()
        );
        let sink: forebay::sink::SinkConfig = toml::from_str(&text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let findings = runtime.block_on(sink.probe("lake"));
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(probed(Vec::new()), "");
    // Who writes need not be one who may list.
    assert_eq!(probed(vec![(Asked::Any, false, error(403, "AccessDenied", ""))]), "");
    for (reply, words) in [
        (error(403, "InvalidAccessKeyId", ""), "output `lake`: "),
        (error(404, "NoSuchBucket", ""), "no such bucket"),
        (error(503, "SlowDown", ""), "is not ready"),
        (Reply::HangUp, "does not answer"),
    ] {
        let told = probed(vec![(Asked::Any, false, reply)]);
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(store.state().objects.len(), 0);
}
