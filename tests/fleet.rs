//! The demo as a newcomer runs it, and the fleet's own verdict on what it left behind.

use crate::support::process::{forebay, told};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

fn json(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = forebay(folder, args).stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", told(folder)));
    (output.status.code(), json)
}

#[test]
fn the_demo_loses_and_alters_nothing_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let demo = ["demo", "--seconds", "2", "--hosts", "5", "--rate", "300", "-o", "json"];
    let mut before = 0;
    for _ in 0..2 {
        let (code, result) = json(folder.path(), &demo);
        assert_eq!(code, Some(0), "{result}");
        let number = |key: &str| result[key].as_u64().unwrap_or_else(|| panic!("no {key}: {result}"));
        assert_eq!([number("lost"), number("duplicated"), number("altered")], [0, 0, 0], "{result}");
        assert_eq!(number("delivered"), number("acknowledged"), "{result}");
        assert!(number("acknowledged") >= before + 100, "{result}");
        before = number("acknowledged");
    }
    let demo = folder.path().join("forebay-demo");
    let alerts = std::fs::read_to_string(demo.join("alerts/events.jsonl")).unwrap();
    assert!(alerts.lines().count() > 10 && !alerts.contains("\"EventID\":4634"));
    let page = std::fs::read_to_string(demo.join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg"));

    let verify = ["fleet", "verify", "forebay-demo/ledger", "forebay-demo/all", "-o", "json"];
    let (code, verdict) = json(folder.path(), &verify);
    assert_eq!((code, &verdict["delivered"]), (Some(0), &before.into()), "{verdict}");
    assert_eq!(verdict["compared"], verdict["delivered"], "letter by letter");

    // An event that is changed, and one that is gone.
    let path = demo.join("all/events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let second = rest.replacen("Microsoft", "Nicrosoft", 1);
    assert!(!first.is_empty() && second != rest);
    std::fs::write(&path, second).unwrap();
    let (code, verdict) = json(folder.path(), &verify);
    assert_eq!((code, &verdict["lost"], &verdict["altered"]), (Some(1), &1.into(), &1.into()), "{verdict}");
}
