//! `forebay convert` as people type it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/sample.evtx")
}

fn convert(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forebay")).arg("convert").args(args).arg(sample()).output().unwrap()
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

/// Runs `forebay convert` in a folder.
fn convert_in(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forebay"))
        .arg("convert")
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn an_input_is_never_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("logs")).unwrap();
    std::fs::copy(sample(), path.join("logs/in.evtx")).unwrap();
    std::os::unix::fs::symlink("logs/in.evtx", path.join("link")).unwrap();
    let before = std::fs::read(path.join("link")).unwrap();
    for args in [
        ["logs/in.evtx", "-o", "logs/in.evtx"],
        ["logs/in.evtx", "-o", "link"],
        ["link", "-o", "logs/in.evtx"],
        ["logs", "-o", "logs/in.evtx"],
    ] {
        let refused = convert_in(path, &[&args[..], &["--format", "evtx"]].concat());
        assert_eq!(refused.status.code(), Some(64), "{}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains("cannot be the output too"), "{}", text(&refused.stderr));
    }
    // As the shell does it.
    let appended = std::fs::File::options().append(true).open(path.join("logs/in.evtx")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let refused =
        command.args(["convert", "logs/in.evtx"]).current_dir(path).stdout(appended).status().unwrap();
    assert_eq!(refused.code(), Some(64));
    assert_eq!(std::fs::read(path.join("link")).unwrap(), before);
}

#[test]
fn an_old_output_stays_until_there_is_a_new_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let precious = path.join("precious");
    std::fs::write(&precious, "mine").unwrap();
    std::fs::set_permissions(&precious, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("precious", path.join("link")).unwrap();
    assert_eq!(convert_in(path, &["absent", "-o", "precious"]).status.code(), Some(66));
    assert_eq!(convert_in(path, &["precious", "-o", "link"]).status.code(), Some(64));
    assert_eq!(convert_in(path, &["link", "-o", "other"]).status.code(), Some(65));
    assert_eq!(std::fs::read(&precious).unwrap(), b"mine");

    let sample = sample();
    let made = convert_in(path, &[sample.to_str().unwrap(), "-o", "link"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(std::fs::read_to_string(&precious).unwrap().lines().count(), 160);
    assert_eq!(std::fs::metadata(&precious).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(path.join("link").is_symlink());
    assert_eq!(path.read_dir().unwrap().count(), 2, "nothing else is made");
    let device = convert_in(path, &[sample.to_str().unwrap(), "-o", "/dev/stdout"]);
    assert_eq!(text(&device.stdout).lines().count(), 160);
}

#[test]
fn what_is_no_event_log_is_told_with_what_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("empty/below")).unwrap();
    std::fs::write(folder.path().join("events.xml"), "\u{feff} <Events><Event/></Events>").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "a few words of nobody").unwrap();
    for (input, code, told) in [
        ("empty", 66, "error: there is no event log (*.evtx) in empty or below it\n"),
        (
            "events.xml",
            65,
            "; XML and JSON lines are read by `forebay run`, with `[source.NAME.replay]` in a pipeline\n",
        ),
        ("notes.txt", 65, "header alone has 4096\n"),
    ] {
        let refused = convert_in(folder.path(), &[input]);
        let stderr = text(&refused.stderr);
        assert!(stderr.ends_with(told) && stderr.lines().count() == 1, "{stderr}");
        assert_eq!(refused.status.code(), Some(code), "{stderr}");
    }
}

#[test]
fn more_threads_write_and_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let log = std::fs::read(sample()).unwrap();
    let mut damaged = log.clone();
    damaged[4096..4104].fill(b'?');
    std::fs::write(folder.path().join("damaged.evtx"), &damaged).unwrap();
    std::fs::write(folder.path().join("short.evtx"), &log[..log.len() - 30_000]).unwrap();
    std::fs::write(folder.path().join("none.evtx"), b"nothing").unwrap();
    // Longer than a run, and through a pipe.
    let long = [&log[..4096], &log[4096..4096 + 65536].repeat(9)].concat();
    std::fs::write(folder.path().join("long.evtx"), &long).unwrap();
    let run = |threads: &str| {
        Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args([
                "convert",
                "--threads",
                threads,
                "damaged.evtx",
                "long.evtx",
                "none.evtx",
                "-",
                "short.evtx",
            ])
            .stdin(std::fs::File::open(folder.path().join("long.evtx")).map(pipe_of).unwrap())
            .current_dir(&folder)
            .output()
            .unwrap()
    };
    let one = run("1");
    assert!(text(&one.stdout).lines().count() > 18 * 10);
    assert_eq!(
        (text(&one.stderr).lines().count(), one.status.code()),
        (4, Some(65)),
        "{}",
        text(&one.stderr)
    );
    for threads in ["2", "3", "8"] {
        let several = run(threads);
        assert!(several.stdout == one.stdout, "with {threads} threads");
        assert_eq!(text(&several.stderr), text(&one.stderr));
        assert_eq!(several.status.code(), Some(65));
    }
}

/// What is in a file, as the reading end of a pipe.
fn pipe_of(mut file: std::fs::File) -> std::io::PipeReader {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::spawn(move || std::io::copy(&mut file, &mut writer));
    reader
}
