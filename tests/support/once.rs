//! A pipeline of one source and one file of JSON lines, run to the end of its inputs.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `--once` over what the source says, with JSON lines in `events.jsonl`.
pub(crate) fn run_once(folder: &Path, source: &str, input: &[u8]) -> Output {
    pipeline(folder, source);
    run_pipeline(folder, input)
}

/// The same of the pipeline that is there.
pub(crate) fn run_pipeline(folder: &Path, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["run", "--once", "pipeline.toml"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended already, which its exit code tells.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

pub(crate) fn pipeline(folder: &Path, source: &str) {
    pipeline_to(folder, source, "sink.file.path = './events.jsonl'");
}

/// The same with another output.
pub(crate) fn pipeline_to(folder: &Path, source: &str, output: &str) {
    let pipeline = format!(
        "[log]\nformat = 'json'\n[basin.disk]\npath = 'basin'\nsize_max = '512MiB'\n\
         [source.dc.{source}\n[output.lake]\n{output}\n"
    );
    fs::write(folder.join("pipeline.toml"), pipeline).unwrap();
}

pub(crate) fn events(folder: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What of each finding in a log.
pub(crate) fn findings(stderr: &str) -> Vec<String> {
    let lines = stderr.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter_map(|line| line["what"].as_str().map(str::to_owned)).collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
