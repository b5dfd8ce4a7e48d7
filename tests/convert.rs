//! `forebay convert` as people type it.

use std::path::Path;
use std::process::{Command, Output};

fn convert(args: &[&str]) -> Output {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/sample.evtx");
    Command::new(env!("CARGO_BIN_EXE_forebay")).arg("convert").args(args).arg(sample).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The events that `wanted` picks are those that the filter lets through, in order.
#[track_caller]
fn kept(filter: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    let (all, some) = (convert(&[]), convert(&["--filter", filter, "--threads", "2"]));
    assert_eq!((text(&some.stderr), some.status.code()), (String::new(), Some(0)), "{filter}");
    let all = text(&all.stdout);
    let expected: Vec<&str> =
        all.lines().filter(|line| wanted(&serde_json::from_str(line).unwrap())).collect();
    assert!(!expected.is_empty() && expected.len() < all.lines().count());
    assert!(text(&some.stdout).lines().eq(expected), "{filter}");
}

#[track_caller]
fn refused(filter: &str, told: &str) {
    let output = convert(&["--filter", filter]);
    assert_eq!(text(&output.stderr), told.trim_start_matches('\n'), "{filter}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0));
}

#[test]
fn a_filter_is_an_xpath_a_query_list_or_a_rule() {
    let failed = |event: &serde_json::Value| event["System"]["EventID"] == 4625;
    kept("*[System[EventID=4625]]", failed);
    kept(
        "<QueryList><Query Path='Security'><Select>*[System[EventID=4625]]</Select></Query></QueryList>",
        failed,
    );
    kept("{ channel = 'security', id = '4625-4630' }", failed);
    kept("[{ id = 4625 }, { id = 4999 }]", failed);
    kept("{ drop = { id = [1, 100, '4624', '4104', '4626-9999', 1102] } }", failed);
    kept("*[EventData[Data[@Name='SubStatus']]]", failed);
}

#[test]
fn a_log_holds_what_the_filter_lets_through() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("some.evtx");
    let made = convert(&["--filter", "{ id = 1102 }", "--format", "evtx", "-o", log.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let read = Command::new(env!("CARGO_BIN_EXE_forebay")).arg("convert").arg(&log).output().unwrap();
    let (read, expected) = (text(&read.stdout), text(&convert(&["--filter", "{ id = 1102 }"]).stdout));
    let data = |lines: &str| -> Vec<serde_json::Value> {
        lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["UserData"].clone())
            .collect()
    };
    assert_eq!((data(&read), read.lines().count()), (data(&expected), 3));
}

#[test]
fn a_filter_that_is_not_understood_is_pointed_into() {
    refused(
        "*[System[(Level<=2) and EventID==1]]",
        "
error: --filter:1:32: filter.xpath: at byte 31: `==` is not XPath
  |
1 | *[System[(Level<=2) and EventID==1]]
  |                                ^^
  = write `=`
",
    );
    refused(
        "<QueryList>\n<Query Path='S'>\n<Select>*[System[position()=1]]</Select></Query></QueryList>",
        "
error: --filter:3:18: filter.query, Query 1, Select 1: at byte 46: `position()` is not supported here: it counts the events of one query's answer, and a filter sees each event by itself
  |
3 | <Select>*[System[position()=1]]</Select></Query></QueryList>
  |                  ^^^^^^^^
",
    );
    refused(
        "{ chanel = 'x' }",
        "
error: --filter:1:3: unknown key `chanel` in `filter`
  |
1 | { chanel = 'x' }
  |   ^^^^^^
  = did you mean `channel`? known here: `channel`, `id`, `provider`, `level`, `computer`
",
    );
    refused(
        "[1]",
        "
error: --filter:1:2: `filter` must be a table, not the number `1`
  |
1 | [1]
  |  ^
",
    );
}
