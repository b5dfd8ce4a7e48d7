//! The pipeline file as an operator meets it: one clear line, the place, exit code 78.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const RIGHT: &str = "[basin.disk]\npath = 'basin'\n[source.logs.evtx]\npath = 'logs'\n[output.lake]\nformat.json = {}\nsink.file.path = './out/events.jsonl'\n";

fn forebay(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(args)
        .current_dir(folder)
        .env_remove("NOPE")
        .output()
        .unwrap()
}

/// Writes the text as `p.toml`, runs the arguments and compares what standard error begins with.
#[track_caller]
fn refused(args: &[&str], text: &str, begins: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), text).unwrap();
    let output = forebay(folder.path(), args);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with(begins.trim_start()), "{told}");
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing may be made from a wrong file");
}

#[test]
fn a_right_file_is_told_so_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), RIGHT).unwrap();
    let output = forebay(folder.path(), &["check", "p.toml"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "p.toml: right; logs ─► disk basin ─► lake\n");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "check opens nothing");
}

#[test]
fn an_unknown_key_names_the_one_that_was_meant() {
    refused(
        &["check", "p.toml"],
        &format!("{RIGHT}strat = 'newest'\n"),
        "error: p.toml:8:1: unknown key `strat` in `output.lake`\n  |\n8 | strat = 'newest'\n  | ^^^^^\n  = did you mean `start`? ",
    );
}

#[test]
fn a_typing_mistake_in_the_toml_has_a_place() {
    refused(
        &["check", "p.toml"],
        &RIGHT.replace("'logs'", "'logs"),
        "error: p.toml:4:13: invalid literal string",
    );
}

#[test]
fn two_outputs_of_one_name_are_refused_with_both_places() {
    refused(
        &["check", "p.toml"],
        &format!("{RIGHT}[output.lake]\nsink.stdout = {{}}\n"),
        "error: p.toml:8:9: `output.lake` is defined twice\n  |\n8 | [output.lake]\n  |         ^^^^\n  = the first one is at p.toml:5:9; rename or remove one of them\n",
    );
}

#[test]
fn two_files_of_a_folder_may_not_define_one_output() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = folder.path().join("pipeline");
    fs::create_dir(&pipeline).unwrap();
    fs::write(pipeline.join("10-base.toml"), RIGHT).unwrap();
    fs::write(pipeline.join("20-more.toml"), "[output.lake]\nformat.json = {}\nsink.stdout = {}\n").unwrap();
    fs::write(pipeline.join("notes.txt"), "not read").unwrap();
    let output = forebay(folder.path(), &["check", "pipeline"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: pipeline/20-more.toml:1:9: `output.lake` is defined twice\n"), "{told}");
    assert!(told.contains("the first one is at pipeline/10-base.toml:5:9"), "{told}");
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn an_unset_variable_is_a_warning_for_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), RIGHT.replace("'logs'", "'${env:NOPE}'")).unwrap();
    let output = forebay(folder.path(), &["check", "p.toml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("warning: p.toml:4:8: environment variable `NOPE` is not set\n"), "{told}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(forebay(folder.path(), &["check", "--deny-warnings", "p.toml"]).status.code(), Some(78));
}

#[test]
fn scripts_get_the_mistakes_as_json() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), format!("{RIGHT}strat = 'newest'\n")).unwrap();
    let output = forebay(folder.path(), &["check", "-o", "json", "p.toml"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["errors"], 1);
    assert_eq!((&told["diagnostics"][0]["line"], &told["diagnostics"][0]["column"]), (&8.into(), &1.into()));
    assert_eq!((output.status.code(), output.stderr.len()), (Some(78), 0));
}

#[test]
fn a_file_that_is_not_there_is_no_mistake_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let output = forebay(folder.path(), &["check", "nope.toml"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: cannot read nope.toml: "), "{told}");
    assert_eq!((output.status.code(), told.lines().count()), (Some(66), 1));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = forebay(folder.path(), &["chekc"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("'check'"));
}

#[test]
fn the_schema_is_json_and_completion_knows_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let schema: serde_json::Value =
        serde_json::from_slice(&forebay(folder.path(), &["schema"]).stdout).unwrap();
    assert!(schema["properties"]["output"].is_object());
    let script = String::from_utf8(forebay(folder.path(), &["completion", "bash"]).stdout).unwrap();
    assert!(script.contains("convert") && script.contains("schema"));
}
