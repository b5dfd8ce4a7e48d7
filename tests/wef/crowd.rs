//! More hosts than there is memory for: they wait, and all get on.

use super::{Site, WEC};
use crate::support::host::passwords;
use crate::support::process::{forebay, told};
use serde_json::Value;
use std::process::{Output, Stdio};

const EVERYTHING: &str =
    "[source.dc.wef.subscription.everything]\nquery.channels = { Security = '*', System = '*' }\n";

#[test]
fn a_crowd_that_asks_for_ten_times_the_memory_is_served_without_a_pause() {
    let site = Site::new(EVERYTHING, "");
    site.add("limits.memory_max = '16MiB'\n");
    let hosts: Vec<String> = (0..200).map(|number| format!("ws-{number:05}.fleet.example")).collect();
    passwords(&site.path().join("passwords"), &hosts);
    let running = site.run();
    let url = format!("http://127.0.0.1:{}{WEC}", site.port);
    let fleet = ["fleet", &url, "-n", "200", "--password", "opensesame", "--vanish", "-o", "json"];
    let rest = ["--events", "40000", "--batch", "100"];
    let mut fleet = forebay(site.path(), &[&fleet[..], &rest].concat());
    let Output { status, stdout, .. } = fleet.stdout(Stdio::piped()).output().unwrap();
    assert!(status.success(), "{}", told(site.path()));
    let report: Value = serde_json::from_slice(&stdout).unwrap();
    // Who waits for longer than `hold_max` is refused: that is what standing still would look like.
    let figure = |key: &str| report[key].as_u64();
    assert_eq!((figure("acknowledged"), figure("refused")), (Some(40_000), Some(0)), "{report}");
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}
