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
