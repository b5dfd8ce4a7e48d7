//! Pipeline text in, told mistakes out.

mod outputs;
mod wef;

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
  = `limits.memory_max` leaves 42MiB to each output; lower `batch.bytes` or raise it",
    );
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
