//! Templates and paths made of what remote machines say.

use super::*;
use crate::event::{Header, Origin, Timestamp, Value};

fn origin() -> Origin {
    Origin {
        source: "dc".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp::parse(b"2026-01-02T03:04:05Z").unwrap(),
    }
}

fn render(path: &str, channel: &str, computer: &str) -> String {
    let header = Header {
        channel: Value::Text(channel.as_bytes()),
        computer: Value::Text(computer.as_bytes()),
        ..Header::default()
    };
    let origin = origin();
    let mut out = String::new();
    let values = RouteValues { header: Some(&header), origin: &origin, time: origin.received };
    PathTemplate::parse(path).unwrap().render(&values, &mut out);
    out
}

#[test]
fn values_and_dates_stand_where_the_template_says() {
    assert_eq!(render("/log/{channel}/{computer}.json", "Security", "dc1"), "Security/dc1.json");
    assert_eq!(render("/log/{date:%Y-%m-%d}/{yyyy}{mm}{dd}{hh}.json", "", ""), "2026-01-02/2026010203.json");
    assert_eq!(render("/log/x.json", "", ""), "x.json");
}

#[test]
fn no_value_can_leave_its_place_in_the_path() {
    for hostile in ["..", ".", "../../etc/passwd", "/etc/passwd", "a\0b", "a\nb", "..\\..", "", "\u{202e}x"] {
        let path = render("/log/{channel}{computer}/f", hostile, hostile);
        let (folder, file) = path.split_once('/').unwrap();
        assert_eq!(file, "f");
        assert!(!folder.starts_with('.') && !folder.chars().any(char::is_control), "{path:?}");
    }
    assert!(render("/log/{channel}.json", &"é".repeat(5000), "").len() <= VALUE_BYTES_MAX + 5);
    assert!(
        render("/l/{channel}{computer}{channel}", &"x".repeat(500), &"y".repeat(500)).len()
            <= COMPONENT_BYTES_MAX
    );
}

#[test]
fn a_wrong_template_is_refused_in_words() {
    for (path, part) in [
        ("{channel}.json", "begin with a folder"),
        ("/log/{chanel}", "{channel}"),
        ("/log/{channel", "without"),
        ("/log/channel}", "without"),
        ("/log/{channel}/../x", "may not stand"),
        ("/log/{channel}/", "name a file"),
        ("/log/", "name a file"),
        ("/log/{date:%s}", "%Y"),
        ("/log/{date:../%Y}", "%Y"),
    ] {
        let error = PathTemplate::parse(path).unwrap_err().to_string();
        assert!(error.contains(part), "{path}: {error}");
    }
}

#[test]
fn a_template_knows_its_own_paths() {
    let template = PathTemplate::parse("/log/{channel}/{date:%Y/%m}-{computer}.json.gz").unwrap();
    assert!(template.matches("Security/2026/01-dc1.json.gz"));
    for other in ["Security/2026-dc1.json.gz", "Security/2026/01-dc1.json", "a/b/2026/01-dc1.json.gz", ""] {
        assert!(!template.matches(other), "{other}");
    }
    assert_eq!((template.extension(), template.depth()), (".json.gz", 3));
    assert_eq!(PathTemplate::parse("/log/{computer}").unwrap().extension(), "");
}

#[test]
fn past_the_cap_new_paths_share_one() {
    let mut router = Router::new(PathTemplate::parse("/log/{computer}/{host}").unwrap()).with_routes_max(2);
    let origin = origin();
    let mut route = |name: &str| {
        let header = Header { computer: Value::Text(name.as_bytes()), ..Header::default() };
        let mut out = String::new();
        router.route(&RouteValues { header: Some(&header), origin: &origin, time: Timestamp(0) }, &mut out);
        out
    };
    assert_eq!(route("a"), "a/_");
    assert_eq!(route("b"), "b/_");
    assert_eq!(route("c"), "_other/_other");
    assert_eq!(route("a"), "a/_");
}
