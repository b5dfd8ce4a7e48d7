//! Scenarios: the whole crate through its doors, and the program as a process.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails or speaks here is a test")]

mod allocations;
mod backends;
mod bad_input;
mod basin_cli;
mod config;
mod container;
mod convert;
mod ecs_fields;
mod encodings;
mod evtx_oracle;
mod evtx_written;
mod fixtures;
mod flat_objects;
mod fleet;
mod glance;
mod json_schema;
#[cfg(feature = "kafka")]
mod kafka;
mod kerberos;
mod kerberos_vectors;
mod late_output;
mod openwec_kept;
mod order_of_writes;
mod outputs;
mod packaging;
#[allow(dead_code, reason = "the bench uses the rest")]
mod peers;
mod pipeline_tests;
mod pipelines;
mod probe;
mod readme;
mod receivers;
mod reload;
mod replay;
mod run;
mod s3;
mod schemas;
mod seeds;
mod siem_lines;
mod stop;
mod support;
mod tail;
mod tidy;
mod web;
mod wef;
mod wsman_captures;
mod wsman_golden;
mod xml_oracle;

use std::path::{Path, PathBuf};

/// Where the corpus is: `$FOREBAY_CORPUS`, or beside the repository.
fn corpus() -> PathBuf {
    std::env::var_os("FOREBAY_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from)
}

/// Every event log of the corpus; without one the test says that it was skipped.
fn corpus_logs(test: &str) -> Option<Vec<PathBuf>> {
    let mut folders = vec![corpus().join("evtx")];
    let mut logs = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "evtx") {
                logs.push(path);
            }
        }
    }
    logs.sort();
    if logs.is_empty() {
        println!("SKIP {test}: there are no event logs in {}", corpus().display());
        return None;
    }
    Some(logs)
}
