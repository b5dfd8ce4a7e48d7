//! What does not fit an output: its format, its dead letter, what another one writes.

use super::*;
use crate::units::ByteSize;

#[test]
fn a_dead_letter_output_must_be_there_and_another() {
    for (name, words) in [("o", "its own dead letter"), ("nope", "there is no output `nope`")] {
        let text = format!("{MEMORY}{REST}dead_letter.output = '{name}'\n");
        assert!(checked(&[&text]).told().contains(words));
    }
}

#[test]
fn a_bound_of_a_dead_letter_must_bound_a_folder() {
    for (more, words) in [
        ("size_max = '1GiB'", "no folder for dead letters that it would bound"),
        ("output = 'p'\ndead_letter.size_max = '1GiB'", "no folder for dead letters that it would bound"),
        ("path = '/d'\ndead_letter.size_max = '0'", "a dead letter of 0 bytes takes nothing"),
        ("path = '/d'\ndead_letter.size_max = '1GiB'", ""),
    ] {
        let text = format!("{MEMORY}[output.p]\nsink.stdout = {{}}\n{REST}dead_letter.{more}\n");
        let told = checked(&[&text]).told();
        assert!(told.contains(words) && told.contains("error: ") != words.is_empty(), "{told}");
    }
}

#[test]
fn an_output_needs_a_sink_and_one_format_if_it_names_any() {
    let told =
        checked(&["[basin.memory]\n[source.a.evtx]\npath = 'x'\n[output.o]\nsink = {}\nformat = {}\n"])
            .told();
    assert!(
        told.contains("p.toml:5:1: `output.o` has no sink") && told.contains("`output.o` has no format"),
        "{told}"
    );
}

#[test]
fn dead_letters_that_go_round_are_refused_once() {
    let output =
        |name: &str, to: &str| format!("[output.{name}]\nsink.stdout = {{}}\ndead_letter.output = '{to}'\n");
    let text = format!("{}{}{}{}", output("a", "b"), output("b", "c"), output("c", "a"), output("d", "a"));
    told(
        &format!("[basin.disk]\npath = '/b'\n{text}"),
        "
error: p.toml:5:22: dead letters go round: a ─► b ─► c ─► a
  |
5 | dead_letter.output = 'b'
  |                      ^^^
  = each of them could wait for the next for ever; give one a `dead_letter.path`",
    );
    let straight = format!("{}{}", output("a", "b"), output("b", "o"));
    told(&format!("[basin.disk]\npath = '/b'\n{straight}"), "");
}

#[test]
fn an_event_log_takes_xml_and_gets_it_unasked() {
    let output = |format: &str| {
        checked(&[&format!(
            "{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\n{format}sink.evtx.path = '/x/y.evtx'\n"
        )])
    };
    for fine in ["", "format.xml = {}\n", "format.xml.framing = 'none'\n"] {
        assert!(!output(fine).told().contains("error"), "{}", output(fine).told());
    }
    for wrong in ["format.json = {}\n", "format.xml.framing = 'length'\n"] {
        let told = output(wrong).told();
        assert!(told.contains("format.xml = {}"), "{told}");
    }
}

#[test]
fn an_output_that_would_wait_for_ever_for_a_dead_letter_is_told() {
    let written = |output: &str| {
        let text = format!("[basin.memory]\n[source.a.replay]\npath = '-'\n[output.o]\n{output}\n");
        check(vec![SourceFile { name: "p.toml".into(), text }], &Process { absent: Severity::Error }).told()
    };
    let strict = written("undecodable = 'dead-letter'\nsink.stdout = {}");
    assert!(strict.starts_with("error: p.toml:5:15: there is no dead letter"), "{strict}");
    let log = written("sink.evtx.path = '/a/b.evtx'");
    assert!(log.starts_with("warning: p.toml:5:1: there is no dead letter"), "{log}");
    assert_eq!(written("undecodable = 'dead-letter'\ndead_letter.path = '/d'\nsink.stdout = {}"), "");
}

/// The words of what is told of two outputs that write to `paths`, with a source reading `read`.
fn told_of(read: &str, paths: &[&str]) -> String {
    let mut text = format!("[basin.disk]\npath = '/b'\n[source.a.evtx]\npath = {read}\n");
    for (path, name) in paths.iter().zip(["o", "p"]) {
        let kind = if path.ends_with(".evtx") { "evtx" } else { "file" };
        text.push_str(&format!("[output.{name}]\nsink.{kind}.path = '{path}'\n"));
    }
    checked(&[&text]).told()
}

#[test]
fn two_outputs_may_not_write_one_file() {
    for (one, other) in [
        ("/x/e.jsonl", "/x/e.jsonl"),
        ("/x/e.jsonl", "/x/./e.jsonl"),
        ("/x/a.evtx", "/x/a.evtx"),
        ("/x/{channel}.jsonl", "/x/{computer}.jsonl"),
        ("/x/{channel}/{yyyy}.jsonl", "/x/Security/{date}.jsonl"),
    ] {
        let told = told_of("'/logs'", &[one, other]);
        let expected = "p.toml:8:18: `output.o` and `output.p` can write the same file\n";
        assert!(told.starts_with(&format!("error: {expected}")), "{one} {other}: {told}");
    }
    for other in ["/x/p.jsonl", "/y/e.jsonl", "/x/{channel}/e.jsonl", "/x/{channel}.evtx"] {
        assert_eq!(told_of("'/logs'", &["/x/e.jsonl", other]), "", "{other}");
    }
}

#[test]
fn a_dead_letter_is_replayed_by_a_pipeline_of_its_own() {
    let told = |path: &str, place: &str| {
        checked(&[&format!(
            "[basin.disk]\npath = '/b'\n[source.again.replay]\npath = '{path}'\n[output.o]\n{place}sink.stdout = {{}}\n"
        )])
        .told()
    };
    for (path, place) in
        [("/b/dead-letter/o/2026-01-01.jsonl", ""), ("/d/x/y", "dead_letter.path = '/d/x'\n")]
    {
        let told = told(path, place);
        assert!(
            told.starts_with("error: p.toml:4:8: `source.again` reads the dead letter of `output.o`"),
            "{told}"
        );
    }
    for (path, place) in [("/b/dead-letter/p/2026-01-01.jsonl", ""), ("/d/xy", "dead_letter.path = '/d/x'\n")]
    {
        assert_eq!(told(path, place), "");
    }
}

#[test]
fn an_output_may_not_write_what_a_source_reads() {
    for (read, path) in [
        ("'/x'", "/x/{channel}.evtx"),
        ("['/y', '/x/**/*.evtx']", "/x/{computer}/{channel}.evtx"),
        ("'/x/Security.evtx'", "/x/{channel}.evtx"),
    ] {
        let told = told_of(read, &[path]);
        assert!(told.contains("p.toml:6:18: `source.a` reads what `output.o` writes"), "{told}");
    }
    for (read, path) in [("'/x'", "/x/y/{channel}.evtx"), ("'/x'", "/x/{channel}.jsonl")] {
        assert_eq!(told_of(read, &[path]), "");
    }
}

#[test]
fn what_a_sink_cannot_hold_is_warned_of() {
    told(
        "[basin.disk]\npath = '/b'\n[output.x.sink.s3]\nbucket = 'logs'\nsize_max = '1GiB'\n",
        "
warning: p.toml:5:12: objects of 1GiB can never be filled
  |
5 | size_max = '1GiB'
  |            ^^^^^^
  = `limits.memory_max` leaves 34MiB for them; lower `size_max` or raise `limits.memory_max` to 6.5GiB",
    );
    let text = "[basin.memory]\n[source.a.evtx]\npath = 'x'\n[output.x.sink.s3]\nbucket = 'logs'\n";
    let waits = checked(&[text]).told();
    assert!(
        waits.starts_with("warning: p.toml:4:") && waits.contains("before `age_max` (5m) is over"),
        "{waits}"
    );
    assert_eq!(checked(&[&format!("{text}age_max = '2s'\n")]).told(), "");
    let text = "[basin.disk]\npath = '/b'\nsize_max = '256MiB'\n[output.x.sink.s3]\nbucket = 'logs'\n";
    let small = checked(&[&format!("{text}{REST}")]).told();
    assert!(
        small.starts_with("warning: p.toml:4:") && small.contains("before objects of 32MiB are"),
        "{small}"
    );
    assert_eq!(checked(&[&format!("{text}size_max = '16MiB'\n{REST}")]).told(), "");
}

/// A pipeline of so many outputs to buckets, and more that write the same to files.
fn archives(memory_max: &str, archives: usize, files: usize) -> String {
    let mut text = format!(
        "[limits]\nmemory_max = '{memory_max}'\n[basin.disk]\npath = '/b'\n[source.a.replay]\npath = '-'\n"
    );
    for number in 0..archives {
        text.push_str(&format!("[output.s{number}]\nformat.xml = {{}}\nsink.s3.bucket = 'logs'\n"));
    }
    for number in 0..files {
        text.push_str(&format!("[output.f{number}]\nformat.xml = {{}}\nsink.file.path = '/{number}'\n"));
    }
    text
}

#[test]
fn memory_that_makes_small_objects_of_default_ones_is_warned_of() {
    // A quarter each: two outputs, and the shelf that they share.
    let told = checked(&[&archives("192MiB", 1, 1)]).told();
    assert_eq!(
        told.trim_end(),
        "warning: p.toml:9:6: objects of 32MiB can never be filled
  |
9 | sink.s3.bucket = 'logs'
  |      ^^
  = `limits.memory_max` leaves 24MiB for them; lower `size_max` or raise `limits.memory_max` to 240MiB"
    );
}

#[test]
fn memory_that_makes_an_object_of_each_batch_is_refused() {
    let text = archives("16MiB", 1, 0);
    assert!(checked(&[&text]).pipeline.is_none());
    let told = checked(&[&text]).told();
    assert!(told.starts_with("error: p.toml:9:6: `limits.memory_max` leaves nothing for objects"), "{told}");
    assert!(told.contains("raise `limits.memory_max` to 80MiB, or lower `batch.bytes`"), "{told}");
    let smaller = format!("{text}batch.bytes = '256KiB'\n");
    assert!(checked(&[&smaller]).told().starts_with("warning: "), "{}", checked(&[&smaller]).told());
}

#[test]
fn what_is_told_of_memory_for_objects_is_what_sinks_get_and_the_figure_told_works() {
    for (number, files) in [(1, 0), (1, 1), (2, 0), (2, 3), (7, 1)] {
        for memory_max in (4..=320).step_by(4) {
            let text = archives(&format!("{memory_max}MiB"), number, files);
            let found = checked(&[&text]);
            let told = found.told();
            let Some(pipeline) = found.pipeline else {
                assert_eq!(told.matches("leaves nothing for objects").count(), number, "{told}");
                continue;
            };
            let shares = Shares::of(pipeline.limits.memory_max, &pipeline.outputs);
            let holds: Vec<ByteSize> = shares.holds.into_iter().filter(|hold| hold.0 > 0).collect();
            let is_whole = |hold: &&ByteSize| **hold == ByteSize::mib(32);
            assert_eq!(holds.len(), number, "{text}");
            assert!(holds.iter().all(|hold| *hold >= crate::sink::s3::SIZE_LEAST), "{text}");
            let small = holds.len() - holds.iter().filter(is_whole).count();
            assert_eq!(told.matches("objects of 32MiB can never be filled").count(), small, "{told}");
        }
        let least = checked(&[&archives("4MiB", number, files)]).told();
        let (_, figure) = least.split_once("raise `limits.memory_max` to ").unwrap();
        let figure = figure.split([',', '\n']).next().unwrap();
        assert_eq!(checked(&[&archives(figure, number, files)]).told(), "", "{figure}");
    }
}

#[test]
fn an_index_for_a_subscription_that_no_source_has_is_told_with_the_one_that_was_meant() {
    let index = |names: &str| {
        format!(
            "{WEF}[source.dc.wef.subscription.logons]\nquery.channels.Security = 4624\n[output.s]\n\
            sink.splunk_hec = {{ url = 'https://splunk:8088', token_file = '/t' }}\n\
            [output.s.format.splunk.index_by_subscription]\n{names}"
        )
    };
    let told = |text: &str| checked(&[text]).told();
    let coupled = told(&index("logons = 'a'\n"));
    assert!(!coupled.contains("subscription"), "{coupled}");
    let wrong = told(&index("logons = 'a'\nlogon = 'b'\n"));
    let expected = "warning: p.toml:14:9: no source has a subscription `logon`, so no event comes under it";
    assert!(
        wrong.contains(expected) && wrong.contains("did you mean `logons`? subscriptions here: `logons`"),
        "{wrong}"
    );
    let files = "basin.memory = {}\n[source.a.evtx]\npath = 'x'\n[output.s]\n\
        sink.splunk_hec = { url = 'https://splunk:8088', token_file = '/t' }\n\
        format.splunk.index_by_subscription.logons = 'a'\n";
    assert!(told(files).contains("only machines that push to a source `wef`"), "{}", told(files));
}

#[test]
fn lines_over_a_socket_hold_no_line_ends() {
    let sent = |format: &str, sink: &str| {
        checked(&[&format!(
            "{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\n{format}sink.socket = {{ {sink} }}\n"
        )])
        .told()
    };
    for (format, sink) in [
        ("", "address = 'agent:9000'"),
        ("format.xml = {}\n", "address = 'agent:9000', framing = 'line'"),
        ("format.xml.framing = 'length'\n", "path = '/run/agent.sock'"),
        ("format.xml.framing = 'none'\n", "path = '@agent', framing = 'octet-counting'"),
    ] {
        assert_eq!(sent(format, sink), "", "{format}{sink}");
    }
    let told = sent("format.xml.framing = 'none'\n", "path = '@agent', framing = 'line'");
    assert!(told.starts_with("error: p.toml:5:") && told.contains("leaves line ends within"), "{told}");
    let told = sent("", "path = '@agent', mode = 'datagram'");
    assert!(told.starts_with("warning: ") && told.contains("there is no dead letter"), "{told}");
    let told = sent("", "address = 'agent'");
    assert!(told.starts_with("error: p.toml:5:") && told.contains("is not a host and a port"), "{told}");
}

#[test]
fn a_message_of_syslog_has_its_own_framing_and_datagrams_are_warned_of() {
    let sent = |format: &str, sink: &str| {
        checked(&[&format!(
            "{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\n{format}sink.{sink}\ndead_letter.path = '/d'\n"
        )])
        .told()
    };
    for sink in ["syslog = { address = 'siem:601' }", "relp = { address = ['siem:2514', 'siem2:2514'] }"] {
        for format in ["", "format.json = {}\n", "format.xml = {}\n", "format.xml.framing = 'line'\n"] {
            assert_eq!(sent(format, sink), "", "{format}{sink}");
        }
        for format in ["snare", "cef", "leef", "ocsf"] {
            assert_eq!(sent(&format!("format.{format} = {{}}\n"), sink), "", "{format}{sink}");
        }
        let told = sent("format.leef = { version = '1.0', delimiter = '^' }\n", sink);
        assert!(
            told.starts_with("error: p.toml:5:") && told.contains("`^` is no delimiter of LEEF"),
            "{told}"
        );
        let told = sent("format.xml.framing = 'length'\n", sink);
        assert!(told.starts_with("error: ") && told.contains("its own framing"), "{told}");
    }
    let told = sent("", "syslog = { address = 'siem:514', transport = 'udp' }");
    assert!(told.starts_with("warning: p.toml:5:") && told.contains("best effort"), "{told}");
    let told = sent("", "syslog = { address = 'siem:514', tls.certificate = '/x' }");
    assert!(told.starts_with("error: p.toml:5:"), "{told}");
    let told = sent("", "relp = { address = 'siem' }");
    assert!(told.starts_with("error: p.toml:5:") && told.contains("siem.example.org:6514"), "{told}");
}

#[test]
fn every_format_of_json_goes_where_json_is_wanted_and_no_other() {
    const SINKS: [&str; 2] = [
        "elasticsearch = { url = 'https://x:9200', index = 'windows' }",
        "http = { url = 'https://x', body = 'array' }",
    ];
    let told = |format: &str, sink: &str| {
        checked(&[&format!(
            "{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\ndead_letter.path = '/d'\nformat.{format} = {{}}\n\
             sink.{sink}\n"
        )])
        .told()
    };
    for sink in SINKS {
        for format in ["json", "ecs", "ocsf", "sentinel", "openwec", "nxlog", "flat"] {
            assert_eq!(told(format, sink), "", "{format} {sink}");
        }
        for format in ["xml", "snare", "cef", "leef"] {
            let told = told(format, sink);
            assert!(told.starts_with("error: p.toml:6:"), "{format} {sink}: {told}");
        }
    }
    for format in ["json", "ocsf", "openwec", "nxlog", "flat"] {
        let told = told(format, "elasticsearch = { url = 'https://x:9200' }");
        assert!(told.starts_with("warning: ") && told.contains("`@timestamp`"), "{format}: {told}");
    }
}

#[test]
fn without_a_dead_letter_an_event_that_is_too_large_would_stop_the_output() {
    for (sink, stops) in [
        ("kafka = { brokers = ['a:9092'], topic = 'windows' }", true),
        ("relp.address = 'a:2514'", true),
        ("syslog.address = 'a:514'", true),
        ("stdout = {}", false),
    ] {
        let text = format!("{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\nsink.{sink}\n");
        let told = checked(&[&text]).told();
        assert_eq!(told.contains("an event that is not taken there would stop this output"), stops, "{told}");
    }
}

#[test]
fn what_opentelemetry_and_sentinel_take_is_told_at_the_format() {
    let told = |format: &str, sink: &str| {
        checked(&[&format!(
            "{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\ndead_letter.path = '/d'\n{format}sink.{sink}\n"
        )])
        .told()
    };
    const SENTINEL: &str = "sentinel = { url = 'https://x', dcr = 'dcr-1', stream = 'Custom-X', tenant = 't', \
                            client_id = 'c', client_secret_file = '/run/secrets/s' }";
    const TEXT: &str = "otlp = { url = 'https://x:4318' }";
    const MAP: &str = "otlp = { url = 'https://x:4318', body = 'map' }";
    for sink in [SENTINEL, TEXT, MAP] {
        for format in ["", "json", "ecs", "ocsf", "sentinel", "openwec", "nxlog", "flat"] {
            let format = if format.is_empty() { String::new() } else { format!("format.{format} = {{}}\n") };
            assert_eq!(told(&format, sink), "", "{format}{sink}");
        }
    }
    let security = SENTINEL.replace("Custom-X", "Microsoft-SecurityEvent");
    let another = told("format.sentinel = {}\n", &security);
    assert!(
        another.starts_with("error: p.toml:6:") && another.contains("is no column of the table"),
        "{another}"
    );
    // The names that others than Microsoft's tables have would be dropped.
    for format in ["json", "ecs", "ocsf", "flat"] {
        let told = told(&format!("format.{format} = {{}}\n"), &security);
        assert!(told.starts_with("error: p.toml:6:") && told.contains("is no column of the table"), "{told}");
    }
    let others = told("", &SENTINEL.replace("Custom-X", "Microsoft-Syslog"));
    assert!(
        others.starts_with("warning: p.toml:6:") && others.contains("is no column of the table"),
        "{others}"
    );
    for right in ["", "format.sentinel.table = 'SecurityEvent'\n"] {
        assert_eq!(told(right, &security), "");
    }
    // Unasked, the columns of the table that the stream goes to.
    let pipeline = format!(
        "{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\ndead_letter.path = '/d'\nsink.{security}\n"
    );
    let pipeline = checked(&[&pipeline]).pipeline.unwrap();
    let rows = pipeline.outputs[0].format.sentinel.as_ref().unwrap();
    assert_eq!(rows.table, crate::format::sentinel::Table::SecurityEvent);
    assert_eq!(told("format.xml = {}\n", TEXT), "");
    for (format, sink, words) in [
        ("format.xml = {}\n", SENTINEL, "`sink.sentinel` takes objects of JSON"),
        ("format.splunk = {}\n", SENTINEL, "`sink.sentinel` takes objects of JSON"),
        ("format.xml = {}\n", MAP, "makes a map of JSON"),
    ] {
        let told = told(format, sink);
        assert!(told.starts_with("error: p.toml:6:") && told.contains(words), "{told}");
    }
    let wrong = told("", &SENTINEL.replace("dcr-1", "rule"));
    assert!(wrong.starts_with("error: p.toml:6:") && wrong.contains("immutable id"), "{wrong}");
}
