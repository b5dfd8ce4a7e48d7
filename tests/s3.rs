//! Objects in S3: against a store of our own that also answers wrongly, and against moto, which nobody here wrote.

mod moto;
mod trouble;

use crate::support::store::Store;
use crate::web::Rig;
use forebay::sink::{Encoded, SendError, Sent};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A sink of this store, without compression, and what else is said of it.
fn rig(store: &Store, more: &str) -> Rig {
    patient(store, "800ms", more)
}

/// The same, that waits so long for an answer.
fn patient(store: &Store, timeout: &str, more: &str) -> Rig {
    let comma = if more.is_empty() { "" } else { ", " };
    Rig::new(&format!(
        "s3 = {{ bucket = 'archive', endpoint = '{}', compression = 'none', key_prefix = 'w/', \
         auth = {{ access_key_id = 'a', secret_access_key = 's' }}, request = {{ timeout = '{timeout}' }}{comma}{more} }}",
        store.receiver.url()
    ))
}

/// Lines `from..to` as a batch, each of so many bytes.
fn lines(from: u32, to: u32, bytes: usize) -> Arc<Encoded> {
    crate::web::batch((from..to).map(|number| format!("{number:0>width$}\n", width = bytes - 1)))
}

fn texts(batches: &[Arc<Encoded>]) -> String {
    batches.iter().map(|batch| std::str::from_utf8(&batch.bytes).unwrap()).collect()
}

/// What is held goes, with a note that becomes durable when that is asked for.
#[track_caller]
fn settled(rig: &mut Rig) {
    for _ in 0..50 {
        match rig.settle() {
            Ok(Sent::Confirmed) => return,
            Ok(Sent::CheckpointFirst) | Err(SendError::Retry { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("never taken: {:?}", rig.told());
}

/// Objects that were taken into a folder, by their keys, as they were before they were compressed.
pub(crate) fn unpacked(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut folders, mut found) = (vec![folder.to_path_buf()], BTreeMap::new());
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let packed = std::fs::read(&path).unwrap();
            let plain = match path.extension().and_then(|end| end.to_str()) {
                Some("zst") => zstd::decode_all(&packed[..]).unwrap(),
                Some("gz") => {
                    let mut plain = Vec::new();
                    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
                    plain
                }
                _ => packed,
            };
            let key = path.strip_prefix(folder).unwrap();
            found.insert(key.to_str().unwrap().to_owned(), plain);
        }
    }
    found
}

#[test]
fn batches_are_held_until_they_are_an_object() {
    let store = Store::start();
    let mut rig = rig(&store, "storage_class = 'STANDARD_IA', encryption.algorithm = 'AES256'");
    let batches = [lines(0, 10, 20), lines(10, 20, 20), lines(20, 30, 20)];
    for batch in &batches {
        assert_eq!(rig.send(batch), Ok(Sent::Held));
    }
    assert_eq!(store.receiver.requests().len(), 0);
    assert_eq!(rig.settle(), Ok(Sent::CheckpointFirst), "its end is durable first");
    assert_eq!(store.receiver.requests().len(), 0);
    assert_eq!(rig.settle(), Ok(Sent::Confirmed));
    let requests = store.receiver.requests();
    assert_eq!(requests.len(), 1);
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-server-side-encryption", "AES256"),
    ] {
        assert_eq!(requests[0].header(name), value);
    }
    assert!(requests[0].header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=a/"));
    assert_eq!(requests[0].header("x-amz-checksum-sha256").len(), 44);
    let state = store.state();
    assert_eq!(state.text(), texts(&batches));
    let key = state.objects.keys().next().unwrap();
    assert!(key.starts_with("/archive/w/19700101T000000Z-") && key.ends_with(".log"), "{key}");
    drop(state);
    assert_eq!(rig.settle(), Ok(Sent::Confirmed), "nothing is held");
    batches.into_iter().for_each(crate::web::is_free);
}

#[test]
fn age_ends_an_object_also_when_nothing_more_comes() {
    let store = Store::start();
    let mut rig = rig(&store, "age_max = '150ms'");
    assert_eq!(rig.send(&lines(0, 10, 20)), Ok(Sent::Held));
    std::thread::sleep(Duration::from_millis(200));
    let old = lines(10, 20, 20);
    assert_eq!(rig.send(&old), Ok(Sent::CheckpointFirst));
    assert_eq!(rig.send(&old), Ok(Sent::Confirmed));
    assert_eq!(store.state().text().lines().count(), 20);
    assert_eq!(rig.send(&lines(20, 30, 20)), Ok(Sent::Held));
    assert_eq!(rig.tick(), Ok(Sent::Held));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(rig.tick(), Ok(Sent::CheckpointFirst));
    assert_eq!(rig.tick(), Ok(Sent::Confirmed));
    let state = store.state();
    assert_eq!((state.objects.len(), state.text().lines().count()), (2, 30));
}

#[test]
fn memory_ends_an_object() {
    let store = Store::start();
    let mut rig = rig(&store, "size_max = '64KiB'");
    let mut held = 0;
    loop {
        let batch = lines(held * 10, held * 10 + 10, 1000);
        match rig.send(&batch) {
            Ok(Sent::Held) => held += 1,
            Ok(Sent::CheckpointFirst) => {
                assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((2..8).contains(&held), "{held}");
    assert_eq!(store.state().text().lines().count() as u32, held * 10 + 10);
}

/// Some events and the end of them are noted, and then all that can be is done twice.
#[test]
fn what_was_sent_before_a_crash_is_written_over_with_itself() {
    let store = Store::start();
    let mut one = rig(&store, "");
    let batches = [lines(0, 10, 20), lines(10, 20, 20)];
    batches.iter().for_each(|batch| assert_eq!(one.send(batch), Ok(Sent::Held)));
    assert_eq!(one.settle(), Ok(Sent::CheckpointFirst));
    let note = one.sink().note();
    assert_eq!(one.settle(), Ok(Sent::Confirmed));
    drop(one);
    for cut in [3, 7, 20, 25, 40] {
        let mut again = rig(&store, "");
        assert_eq!(again.sink().resume(&note), Ok(Vec::new()));
        for from in (0..40).step_by(cut as usize) {
            let batch = lines(from, (from + cut).min(40), 20);
            let sent = again.send(&batch);
            assert_eq!(sent, Ok(if from + cut == 20 { Sent::Confirmed } else { Sent::Held }), "{cut} {from}");
        }
        settled(&mut again);
        let mut state = store.state();
        assert_eq!(state.text(), texts(&[lines(0, 20, 20), lines(20, 40, 20)]), "{cut}");
        assert_eq!((state.objects.len(), state.overwritten), (2, 0), "{cut}");
        state.objects.retain(|_, body| !body.ends_with(b"39\n"));
    }
}
