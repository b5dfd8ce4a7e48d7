//! Pipeline text in, told mistakes out.

use super::*;

/// Every variable is `value-of-NAME`, except NOPE.
struct Fixed;

impl Lookup for Fixed {
    fn env(&self, name: &str) -> Result<String, String> {
        if name == "NOPE" { Err("is not set".into()) } else { Ok(format!("value-of-{name}")) }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if path == "/size" { Ok("64MiB\n".into()) } else { Err("cannot be read: not there".into()) }
    }

    fn absent(&self) -> Severity {
        Severity::Warning
    }

    fn bytes(&self, path: &str, _: usize) -> Result<Vec<u8>, String> {
        let (_, text) = BESIDE.iter().find(|(name, _)| *name == path).ok_or("cannot be read: not there")?;
        Ok(text.as_bytes().to_vec())
    }

    fn list(&self, pattern: &str) -> Result<Vec<String>, String> {
        let folder = pattern.strip_suffix("*.toml").ok_or("is no pattern of files")?;
        let paths = BESIDE.iter().map(|(name, _)| (*name).to_owned());
        Ok(paths.filter(|path| path.starts_with(folder) && path.ends_with(".toml")).collect())
    }
}

/// Files beside the pipeline.
const BESIDE: &[(&str, &str)] = &[
    ("subs/logons.toml", "query.file = 'subs/logons.xml'\nmax_time = '1m'\n"),
    (
        "subs/logons.xml",
        "<QueryList><Query><Select Path='Security'>*[System[EventID=4624]]</Select></Query></QueryList>",
    ),
    ("wrong/typo.toml", "[query]\nchannels = { Secruity = 4624 }\nxpath.System = '*[System[EventID=1]'\n"),
    ("wrong/unknown.toml", "query.channels.System = 1\nmax_tme = '1m'\n"),
    ("wrong/xml.toml", "query.file = 'nowhere.xml'\n"),
];

fn checked(texts: &[&str]) -> Checked {
    let file = |(index, text): (usize, &&str)| SourceFile {
        name: format!("{}.toml", ["p", "q"][index]),
        text: text.to_string(),
    };
    check(texts.iter().enumerate().map(file).collect(), &Fixed)
}

const REST: &str = "[source.a.evtx]\npath = 'x'\n[output.o]\nformat.json = {}\nsink.stdout = {}\n";
const MEMORY: &str = "[basin.memory]\n";

/// Checks what is told of a text that is followed by a source and an output.
#[track_caller]
fn told(text: &str, expected: &str) {
    let checked = checked(&[&format!("{text}{REST}")]);
    assert_eq!(checked.told().trim_end(), expected.trim());
}

#[test]
fn a_right_file_says_nothing() {
    told(MEMORY, "");
    assert!(checked(&[&format!("{MEMORY}{REST}")]).pipeline.is_some());
}

#[test]
fn a_mistyped_key_is_told_with_the_nearest_one() {
    told(
        "[basin.disk]\npath = '/b'\nsizemax = '1GiB'\n",
        "
error: p.toml:3:1: unknown key `sizemax` in `basin.disk`
  |
3 | sizemax = '1GiB'
  | ^^^^^^^
  = did you mean `size_max`? known here: `path`, `size_max`, `segment_size`, `retain`",
    );
}

#[test]
fn a_mistyped_table_is_told_with_the_nearest_one() {
    told(
        "[basin.memory]\n[limit]\nmemory_max = '1GiB'\n",
        "
error: p.toml:2:2: unknown table `limit`
  |
2 | [limit]
  |  ^^^^^
  = did you mean `limits`? known here: `limits`, `basin`, `log`, `http`, `control`, `source`, `output`",
    );
}

#[test]
fn a_wrong_type_names_the_key_and_what_belongs_there() {
    told(
        "basin.memory = {}\nlimits = { memory_max = 5 }\n",
        "
error: p.toml:2:25: `limits.memory_max` must be a text in quotes, not the number `5`
  |
2 | limits = { memory_max = 5 }
  |                         ^",
    );
}

#[test]
fn a_wrong_unit_is_told_with_good_ones() {
    told(
        "[basin.memory]\nsize_max = '5 elephants'\n",
        "
error: p.toml:2:12: `basin.memory.size_max`: `5 elephants` is not a size
  |
2 | size_max = '5 elephants'
  |            ^^^^^^^^^^^^^
  = write a number and a unit, such as `512KiB`, `64MiB` or `50GiB`",
    );
}

#[test]
fn a_missing_key_hides_no_mistake_behind_it() {
    let checked = checked(&["[basin.memory]\n[source.a.evtx]\npath = 'x'\n[output.o]\nsink.file = {}\n\
        batch = { bytes = 1 }\nfilter.xpath = '*['\nretry = { pause = '1s' }\n"]);
    let told = checked.told();
    for part in
        ["needs the key `path`", "`output.o.batch.bytes` must be", "unknown key `pause`", "filter.xpath"]
    {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert_eq!(told.matches("error: ").count(), 4, "{told}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let checked = checked(&[
        "[basin.disk]\npth = 'x'\nsize_max = 3\nretain = { aeg = '1d' }\n[source.a.evxt]\n[output.o]\nsnk = 1\nstart = 'old'\n",
    ]);
    let told = checked.told();
    for part in [
        "`pth`",
        "`basin.disk.size_max` must be",
        "`aeg`",
        "`evxt`",
        "`snk`",
        "`output.o.start`",
        "needs the key `sink`",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(checked.errors(), 8, "{told}");
}

#[test]
fn two_outputs_of_one_name_are_told_with_both_places() {
    told(
        "[basin.memory]\n[output.o]\nformat.json = {}\nsink.stdout = {}\n",
        "
error: p.toml:7:9: `output.o` is defined twice
  |
7 | [output.o]
  |         ^
  = the first one is at p.toml:2:9; rename or remove one of them",
    );
}

#[test]
fn a_byte_order_mark_hides_no_table_from_what_is_told() {
    let key = checked(&["\u{feff}[limits]\nmemory_max = '64MiB'\nmemory_max = '65MiB'\n"]).told();
    assert!(key.contains("p.toml:3:1: `limits.memory_max` is defined twice"), "{key}");
    assert!(key.contains("the first one is at p.toml:2:1;"), "{key}");
    let table = checked(&["\u{feff}[output.o]\nsink.stdout = {}\n[output.o]\n"]).told();
    assert!(table.contains("p.toml:3:9: `output.o` is defined twice"), "{table}");
    assert!(table.contains("the first one is at p.toml:1:9;"), "{table}");
}

#[test]
fn two_outputs_of_one_name_in_two_files_are_told_with_both_places() {
    let checked = checked(&[&format!("{MEMORY}{REST}"), "[output.o]\nformat.json = {}\nsink.stdout = {}\n"]);
    assert_eq!(
        checked.told(),
        "error: q.toml:1:9: `output.o` is defined twice\n  |\n1 | [output.o]\n  |         ^\n  = the first one is at p.toml:4:9; rename or remove one of them\n"
    );
}

#[test]
fn a_pipeline_may_be_spread_over_files() {
    let checked =
        checked(&[&format!("{MEMORY}{REST}"), "[output.second]\nformat.json = {}\nsink.stdout = {}\n"]);
    assert_eq!(
        checked.pipeline.as_ref().map(|pipeline| pipeline.outputs.len()),
        Some(2),
        "{}",
        checked.told()
    );
}

#[test]
fn a_component_has_exactly_one_kind() {
    told(
        "[basin]\nmemory = {}\ndisk.path = '/b'\n",
        "
error: p.toml:3:1: `basin` has two kinds, `memory` and `disk`
  |
3 | disk.path = '/b'
  | ^^^^
  = keep one of them",
    );
    told(
        "[basin]\n",
        "
error: p.toml:1:2: `basin` has no kind
  |
1 | [basin]
  |  ^^^^^
  = add one of `disk`, `memory`",
    );
}

#[test]
fn an_unset_variable_is_told_once_and_not_its_consequences() {
    told(
        "[basin.memory]\nsize_max = '${env:NOPE}'\n",
        "
warning: p.toml:2:12: environment variable `NOPE` is not set
  |
2 | size_max = '${env:NOPE}'
  |            ^^^^^^^^^^^^^
  = set it: `export NOPE=…`",
    );
}

#[test]
fn a_variable_is_filled_in_and_never_becomes_structure() {
    let checked = checked(&[
        "[basin.memory]\nsize_max = '${file:/size}'\n[source.a.evtx]\npath = '/${env:X}'\n[output.o]\nformat.json = {}\nsink.stdout = {}\n",
    ]);
    let pipeline = checked.pipeline.unwrap();
    assert_eq!(pipeline.basin.memory.unwrap().size_max, crate::units::ByteSize::mib(64));
}

#[test]
fn what_a_variable_brought_in_is_not_shown() {
    told(
        "[basin.memory]\nsize_max = '${env:SIZE}'\n",
        "
error: p.toml:2:12: `basin.memory.size_max`: `***` is not a size
  |
2 | size_max = '${env:SIZE}'
  |            ^^^^^^^^^^^^^
  = write a number and a unit, such as `512KiB`, `64MiB` or `50GiB`",
    );
}

#[test]
fn a_secret_is_not_shown_whatever_is_wrong_with_it() {
    for text in [
        "[basin.memory]\ntoken = 'hunter2'\n",
        "[basin.memory]\npassword = 'hunter2\n",
        "[http]\nmy_secret = ['hunter2']\n",
    ] {
        let told = checked(&[text]).told();
        assert!(told.contains("***") && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn broken_toml_is_told_with_its_place() {
    let told = checked(&["[basin.memory\nx = 1\n"]).told();
    assert!(told.starts_with("error: p.toml:1:14: "), "{told}");
}

#[test]
fn a_memory_basin_with_two_outputs_is_warned_of() {
    told(
        "[basin.memory]\n[output.b]\nformat.json = {}\nsink.stdout = {}\n",
        "
warning: p.toml:1:8: the memory basin couples the outputs b, o
  |
1 | [basin.memory]
  |        ^^^^^^
  = while one of them does not answer, nothing is acknowledged and none gets new events; `[basin.disk]` makes them independent",
    );
}

#[test]
fn the_parts_that_are_missing_are_named() {
    let told = checked(&[""]).told();
    for part in ["no basin", "no source", "no output"] {
        assert!(told.contains(part), "{told}");
    }
}

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
fn a_name_that_cannot_be_a_file_name_is_refused() {
    let told = checked(&["[basin.memory]\n[output.\"../x\"]\nformat.json = {}\nsink.stdout = {}\n"]).told();
    assert!(told.contains("`../x` cannot be the name of an output"), "{told}");
}

#[test]
fn the_built_in_pipeline_is_right() {
    let checked = check(vec![default_file()], &Fixed);
    assert!(checked.pipeline.is_some() && checked.diagnostics.is_empty(), "{}", checked.told());
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
fn a_mistake_in_an_expression_is_marked_in_it() {
    let output = "[output.x]\nfilter.select = ['*', { channel = 'Security', xpath = '*[System[EventID==1]]' }]\nsink.stdout = {}\n";
    told(
        &format!("[basin.disk]\npath = '/b'\n{output}"),
        "
error: p.toml:4:72: filter.select[1]: at byte 16: `==` is not XPath
  |
4 | filter.select = ['*', { channel = 'Security', xpath = '*[System[EventID==1]]' }]
  |                                                                        ^^
  = write `=`",
    );
}

#[test]
fn a_mistake_in_a_query_list_of_a_source_is_marked_in_its_line() {
    let source = "[source.x.evtx]\npath = 'x'\nfilter.query = '''\n<QueryList><Query Path='S'>\n<Select>*[Sytem[EventID==1]]</Select></Query></QueryList>'''\n";
    told(
        &format!("[basin.disk]\npath = '/b'\n{source}"),
        "
error: p.toml:7:24: filter.query, Query 1, Select 1: at byte 51: `==` is not XPath
  |
7 | <Select>*[Sytem[EventID==1]]</Select></Query></QueryList>'''
  |                        ^^
  = write `=`",
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
fn an_expression_that_can_never_match_is_warned_of() {
    let output = "[output.x]\nfilter.xpath = '*[System/Levl=1]'\nsink.stdout = {}\n";
    told(
        &format!("[basin.disk]\npath = '/b'\n{output}"),
        "
warning: p.toml:4:1: `System` has no element `Levl` in Windows' event schema
  |
4 | filter.xpath = '*[System/Levl=1]'
  | ^^^^^^",
    );
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
fn figures_that_cannot_be_are_told_at_their_key() {
    for (key, words) in [
        ("batch.events = 0", "a batch of no events"),
        ("batch.bytes = '0B'", "`batch.bytes` is 0B"),
        ("batch.bytes = '5GiB'", "`batch.bytes` is 5GiB"),
        ("retry.pause_min = '0s'", "without a pause"),
        ("sink.file.keep.age = '0s'", "keep.age: would delete everything"),
        ("sink.file.keep.size = '0'", "keep.size: would delete everything"),
        ("sink.file.rotate.size = '0'", "rotate.size: 0 would"),
        ("sink.file.open_max = 1000000", "open_max: at least one"),
    ] {
        let text = format!(
            "{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\nsink.file.path = '/x/e.jsonl'\n{key}\n"
        );
        let column = key.find('=').unwrap() + 3;
        let told = checked(&[&text]).told();
        assert!(told.starts_with(&format!("error: p.toml:6:{column}: {words}")), "{key}: {told}");
    }
    for (text, place) in [
        ("[limits]\nmemory_max = '0'\n[basin.memory]\n", "2:14"),
        ("[limits]\nmemory_max = '64MiB'\n[basin.memory]\nsize_max = '1GiB'\n", "4:12"),
        ("[basin.disk]\npath = '/b'\nsize_max = '1MiB'\n", "3:12"),
        ("[basin.disk]\npath = '/b'\nretain.age = '0s'\n", "3:14"),
        ("[basin.disk]\npath = '/b'\nretain = { size = '0' }\n", "3:19"),
        ("[basin.memory]\n[source.x.evtx]\npath = 'x'\npoll = '1ms'\n", "4:8"),
        ("[basin.disk]\npath = '/b'\n[output.x.sink.file]\npath = '/x/{chanel}'\n", "4:8"),
    ] {
        let told = checked(&[&format!("{text}{REST}")]).told();
        assert!(told.starts_with(&format!("error: p.toml:{place}: ")), "{text}: {told}");
        assert_eq!(told.matches("error: ").count(), 1, "{told}");
    }
}

#[test]
fn a_batch_that_memory_has_no_room_for_is_warned_of() {
    told(
        "[basin.disk]\npath = '/b'\n[output.x]\nsink.file.path = '/x/y'\nbatch.bytes = '100MiB'\n",
        "
warning: p.toml:5:15: batches of 100MiB can never be filled
  |
5 | batch.bytes = '100MiB'
  |               ^^^^^^^^
  = `limits.memory_max` leaves 64MiB to each output; lower `batch.bytes` or raise it",
    );
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
  = `limits.memory_max` leaves 56MiB for them; lower `size_max` or raise `limits.memory_max`",
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

#[test]
fn a_mistake_in_one_key_does_not_hide_what_another_means() {
    let text = format!(
        "{MEMORY}[source.a.evtx]\npath = 'x'\npol = '1s'\nfilter.xpath = '*[System[EventID==1]]'\n\
         [output.o]\nfilter.xpath = '*[System[Level==1]]'\nformat.json = {{}}\nformat.xml = {{}}\n\
         sink.file = {{ path = '/x/{{chanel}}', rotat = {{}} }}\n"
    );
    let told = checked(&[&text]).told();
    for words in ["`pol`", "EventID==1", "Level==1", "two kinds", "{chanel}", "`rotat`"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

const WEF: &str = "basin.memory = {}\n[output.o]\nsink.stdout = {}\n[source.dc.wef]\nlisten = '[::]:5985'\ninsecure_plain_http = true\nauth.basic.passwords = 'p'\n";

#[track_caller]
fn told_of_wef(text: &str, expected: &str) {
    assert_eq!(checked(&[&format!("{WEF}{text}")]).told().trim_end(), expected.trim());
}

#[test]
fn a_subscription_may_stand_in_a_file_beside_the_pipeline_with_its_query_in_another() {
    told_of_wef("subscriptions = 'subs/*.toml'\n", "");
    told_of_wef(
        "subscriptions = ['none/*.toml', 'x']\n",
        "
warning: p.toml:8:17: `none/*.toml` names no file
  |
8 | subscriptions = ['none/*.toml', 'x']
  |                 ^^^^^^^^^^^^^^^^^^^^
  = a path is taken from the folder in which forebay is started

error: p.toml:8:17: `x` is no pattern of files
  |
8 | subscriptions = ['none/*.toml', 'x']
  |                 ^^^^^^^^^^^^^^^^^^^^",
    );
    told_of_wef(
        "subscriptions = 'subs/*.toml'\nsubscription.logons.query.channels.Security = 4624\n",
        "
error: subs/logons.toml:1:1: `source.dc.wef.subscription.logons` is defined twice
  |
1 | query.file = 'subs/logons.xml'
  | ^
  = a file is a subscription of its own name; rename or remove one of them",
    );
}

#[test]
fn what_is_wrong_in_a_file_beside_is_told_where_it_stands() {
    told_of_wef(
        "subscriptions = 'wrong/*.toml'\n",
        "
error: wrong/unknown.toml:2:1: unknown key `max_tme` in `source.dc.wef.subscription.unknown`
  |
2 | max_tme = '1m'
  | ^^^^^^^
  = did you mean `max_time`? known here: `query`, `id`, `uri`, `enabled_for`, `preset`, `max_time`, `heartbeat`, `max_elements`, `max_envelope`, `oversize`, `format`, `locale`, `data_locale`, `read_existing`, `compression`, `retry`, `expires`, `own_channels`

error: wrong/xml.toml:1:14: `nowhere.xml` cannot be read: not there
  |
1 | query.file = 'nowhere.xml'
  |              ^^^^^^^^^^^^^

error: wrong/typo.toml:3:36: `]` is missing at the end
  |
3 | xpath.System = '*[System[EventID=1]'
  |                                    ^",
    );
}

#[test]
fn what_is_wrong_in_a_subscription_is_told_at_its_key() {
    told_of_wef(
        "[source.dc.wef.subscription.'Domain controllers']\nquery.channels = { Secruity = 4624 }\nmax_elements = 0\n",
        "
error: p.toml:10:16: batches of at most 0 events
   |
10 | max_elements = 0
   |                ^
  = leave the limit out, or say 1 or more

warning: p.toml:9:31: `Secruity` is no channel that Windows has, and hosts skip it without a word
  |
9 | query.channels = { Secruity = 4624 }
  |                               ^^^^
  = did you mean `Security`? if not, list it in `own_channels`",
    );
}

#[test]
fn a_source_that_diverts_needs_a_dead_letter_in_each_output() {
    let query = "[source.dc.wef.subscription.s]\nquery.channels = { System = '*' }\n";
    let strict = format!("{WEF}trust = 'strict'\n{query}");
    let told = checked(&[&strict]).told();
    assert!(told.contains("error: p.toml:3:1: there is no dead letter"), "{told}");
    let strict = strict.replace("[output.o]", "[output.o]\ndead_letter.path = 'dead'");
    assert!(!checked(&[&strict]).told().contains("error"), "{}", checked(&[&strict]).told());
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
        checked(&[&format!("{MEMORY}[source.a.evtx]\npath = 'x'\n[output.o]\n{format}sink.{sink}\n")]).told()
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
        for format in ["", "format.json = {}\n", "format.ecs = {}\n"] {
            assert_eq!(told(format, sink), "", "{format}{sink}");
        }
    }
    for sink in [SENTINEL, TEXT, MAP] {
        for format in ["format.ocsf = {}\n", "format.sentinel = {}\n"] {
            assert_eq!(told(format, sink), "", "{format}{sink}");
        }
    }
    let security = SENTINEL.replace("Custom-X", "Microsoft-SecurityEvent");
    let another = told("format.sentinel = {}\n", &security);
    assert!(another.starts_with("error: p.toml:6:") && another.contains("another table"), "{another}");
    assert_eq!(told("format.sentinel.table = 'SecurityEvent'\n", &security), "");
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
