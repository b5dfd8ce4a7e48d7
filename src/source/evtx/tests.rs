//! The configuration, and logs through the source into a memory basin.

use super::*;

#[track_caller]
fn open(text: &str) -> Result<Vec<String>, String> {
    let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
    config.open("logs").map(|source| source.config.path.0).map_err(|error| error.to_string())
}

#[test]
fn a_path_or_a_list_of_paths_is_taken() {
    assert_eq!(open("path = '/logs/*.evtx'"), Ok(vec!["/logs/*.evtx".into()]));
    assert_eq!(open("path = ['/a', '/b']"), Ok(vec!["/a".into(), "/b".into()]));
}

#[test]
fn mistakes_are_answered_with_what_is_right() {
    assert!(open("path = 5").unwrap_err().contains("a string"), "{:?}", open("path = 5"));
    assert!(open("path = []").unwrap_err().contains("`/logs/*.evtx`"));
    assert!(open("path = '/a'\npoll = '1ms'").unwrap_err().contains("`poll` is below 10ms"));
    assert!(open("path = '/a'\npol = '1s'").unwrap_err().contains("unknown field `pol`"));
}

mod harness;
mod logs;
mod trouble;
