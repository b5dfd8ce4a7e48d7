//! `forebay test`: people's own tests of their pipelines.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PIPELINE: &str = "[basin.memory]\n[source.logs.evtx]\npath = 'logs'\n[output.siem]\nfilter.keep = { channel = 'Security', id = 4624 }\nformat.json = {}\nsink.stdout = {}\n";

fn test(folder: &Path, tests: &str, more: &[&str]) -> Output {
    fs::write(folder.join("p.toml"), PIPELINE).unwrap();
    fs::write(folder.join("tests.toml"), tests).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.current_dir(folder).args(["test", "p.toml", "--tests", "tests.toml"]).args(more).output().unwrap()
}

/// What standard output and the exit code are.
#[track_caller]
fn check(tests: &str, code: i32, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = test(folder.path(), tests, &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(code));
}

const LOGON: &str = "event = { channel = 'Security', id = 4624, data = { User = 'a<b' } }\n";

#[test]
fn an_event_is_kept_left_out_and_has_parts() {
    check(
        &format!(
            "[[test]]\nname = 'logons come'\n{LOGON}has = {{ EventData = {{ User = 'a<b' }} }}\n\
             [[test]]\nname = 'others do not'\nevent = {{ channel = 'Security', id = 4625 }}\nkept = false\n"
        ),
        0,
        "ok   logons come\nok   others do not\n2 passed, 0 failed\n",
    );
}

#[test]
fn a_failed_test_says_what_differs_and_exits_1() {
    check(
        &format!(
            "[[test]]\nname = 'who'\n{LOGON}has = {{ EventData = {{ User = 'bob' }} }}\n\
             [[test]]\nname = 'never'\n{LOGON}kept = false\n"
        ),
        1,
        "FAIL who\n       EventData.User: expected \"bob\", got \"a<b\"\n\
         FAIL never\n       the filter of `siem` should have left out the event, it was kept\n0 passed, 2 failed\n",
    );
}

#[test]
fn all_events_of_a_log_or_of_an_xml_file_are_meant_or_one_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/sample.evtx");
    let xml = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["convert", "--format", "xml", "--filter", "{ id = [4624, 4625] }"])
        .arg(&sample)
        .output()
        .unwrap();
    fs::write(folder.path().join("signed-in.xml"), xml.stdout).unwrap();
    fs::copy(sample, folder.path().join("sample.evtx")).unwrap();
    let tests = "[[test]]\nname = 'a log'\nfile = 'sample.evtx'\ncount = 53\nhas = { System = { EventID = 4624 } }\n\
                 [[test]]\nname = 'lines'\nfile = 'signed-in.xml'\ncount = 53\n\
                 [[test]]\nname = 'one'\nfile = 'sample.evtx'\nrecord = 5006\nkept = false\n\
                 [[test]]\nname = 'too many'\nfile = 'signed-in.xml'\nkept = true\n\
                 [[test]]\nname = 'none such'\nfile = 'sample.evtx'\nrecord = 1\nkept = false\n\
                 [[test]]\nname = 'no events'\nfile = 'empty.xml'\nkept = false\n";
    fs::write(folder.path().join("empty.xml"), "\n").unwrap();
    let output = test(folder.path(), tests, &[]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "ok   a log\nok   lines\nok   one\n\
         FAIL too many\n       the filter of `siem` should have kept all 77 events, it kept 53\n\
         FAIL none such\n       no event has the EventRecordID 1\n\
         FAIL no events\n       empty.xml holds no event; name an event log, or events as XML or JSON lines\n\
         3 passed, 3 failed\n"
    );
}

#[test]
fn a_mistake_in_the_tests_has_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let output = test(folder.path(), "[[test]]\nname = 'x'\nexpct = '{}'\n", &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: tests.toml:3:1: unknown key `expct` in `test`\n"), "{told}");
    assert!(told.contains("did you mean `expect`?"), "{told}");
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn scripts_get_the_result_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let output = test(folder.path(), &format!("[[test]]\nname = 'x'\n{LOGON}kept = true\n"), &["-o", "json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["passed"], &told["failed"], &told["tests"][0]["name"]),
        (&1.into(), &0.into(), &"x".into())
    );
}
