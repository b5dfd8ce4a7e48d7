//! Files through the source into a memory basin.

use super::*;
use crate::event::NoteKind;
use crate::source::harness::Harness;
use std::path::Path;
use tempfile::TempDir;

async fn run(harness: &Harness, path: &Path) -> Result<Summary, SourceError> {
    let config = Config { path: path.to_str().unwrap().into(), dead_letters: false };
    config.open("old").unwrap().run(harness.basin.clone(), CancellationToken::new()).await
}

fn file(folder: &TempDir, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join("events");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn xml_and_json_lines_become_events_and_the_rest_travels_raw() {
    let (folder, harness) = (TempDir::new().unwrap(), Harness::new());
    let text = "\u{feff}<Events><Event><System/></Event>\n{\"xml\":\"<Event><System/></Event>\"}\n{\"a\":1}\njunk\n<Event><A></Event>";
    let summary = run(&harness, &file(&folder, text.as_bytes())).await.unwrap();
    assert_eq!(
        harness.events(),
        [
            "<Event><System/></Event>",
            "<Event><System/></Event>",
            "!{\"a\":1}",
            "!junk",
            "!<Event><A></Event>"
        ]
    );
    assert_eq!((summary.counts.events, summary.counts.undecodable), (5, 3));
    assert_eq!(summary.findings.len(), 1, "{:?}", summary.findings);
    assert!(harness.batches().iter().all(|batch| batch.origin.host.is_none()));
}

#[tokio::test]
async fn utf16_is_read_and_resumed_behind_the_last_event() {
    let (folder, harness) = (TempDir::new().unwrap(), Harness::new());
    let encode = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut bytes = encode("\u{feff}<Event><A>ü😀</A></Event>\r\n");
    // Longer than the head that names the file, so that appending to it keeps it the same.
    bytes.extend(encode(&format!("<Event><A>{}</A></Event>\r\n", "x".repeat(3000))));
    run(&harness, &file(&folder, &bytes)).await.unwrap();
    assert_eq!(harness.events().len(), 2);
    assert_eq!(harness.events()[0], "<Event><A>ü😀</A></Event>");
    bytes.extend(encode("<Event><B>"));
    bytes.extend(0xd800_u16.to_le_bytes());
    bytes.extend(encode("</B></Event>"));
    run(&harness, &file(&folder, &bytes)).await.unwrap();
    assert_eq!(harness.events()[2..], ["<Event><B>\u{fffd}</B></Event>"]);
    assert_eq!(harness.batches().last().unwrap().notes[0].kind, NoteKind::Surrogates);
}

#[tokio::test]
async fn another_file_of_the_same_name_is_read_from_its_start() {
    let (folder, harness) = (TempDir::new().unwrap(), Harness::new());
    run(&harness, &file(&folder, b"<Event><A/></Event>\n<Event><B/></Event>")).await.unwrap();
    run(&harness, &file(&folder, b"<Event><A/></Event>\n<Event><B/></Event>")).await.unwrap();
    assert_eq!(harness.events().len(), 2);
    run(&harness, &file(&folder, b"<Event><C/></Event>")).await.unwrap();
    assert_eq!(harness.events()[2..], ["<Event><C/></Event>"]);
}

#[tokio::test]
async fn many_events_come_in_order_and_in_bounded_batches() {
    let (folder, harness) = (TempDir::new().unwrap(), Harness::new());
    let event = |number: usize| format!("<Event><N>{number:0>900}</N></Event>");
    let text: String = (0..3000).map(event).collect();
    run(&harness, &file(&folder, text.as_bytes())).await.unwrap();
    assert_eq!(harness.events(), (0..3000).map(event).collect::<Vec<_>>());
    assert!(harness.batches().iter().all(|batch| batch.text.len() < 300 << 10));
    assert!(harness.batches().len() > 5);
}

#[tokio::test]
async fn a_hundred_megabytes_without_a_line_end_arrive_in_parts() {
    let (folder, harness) = (TempDir::new().unwrap(), Harness::new());
    let mut text = b"<Event><A/></Event><Event><A>".to_vec();
    text.resize(100 << 20, b'x');
    text.extend_from_slice(b"</A></Event><Event><B/></Event>");
    let summary = run(&harness, &file(&folder, &text)).await.unwrap();
    let events = harness.events();
    assert_eq!(
        (events[0].as_str(), events[events.len() - 1].as_str()),
        ("<Event><A/></Event>", "<Event><B/></Event>")
    );
    assert_eq!(events.iter().map(|event| event.trim_start_matches('!').len()).sum::<usize>(), text.len());
    assert!(harness.batches().iter().all(|batch| batch.text.len() < 2 << 20));
    assert!(summary.findings[0].what.contains("longer than 1 MiB"), "{:?}", summary.findings);
    assert_eq!(summary.findings.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_in_one_line() {
    let (folder, harness) = (TempDir::new().unwrap(), Harness::new());
    for path in [folder.path(), &folder.path().join("absent")] {
        let error = run(&harness, path).await.unwrap_err().to_string();
        assert!(error.contains("cannot read") && !error.contains('\n'), "{error}");
    }
    assert!(Config { path: " ".into(), dead_letters: false }.open("old").is_err());
}
