//! The README's generated part is what the program says.

use forebay::telemetry::metrics;

/// `UPDATE=1` rewrites the table.
#[test]
fn the_readme_has_every_metric() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once("<!-- metrics -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    let expected = metrics().markdown();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{before}<!-- metrics -->\n{expected}<!-- end -->{after}")).unwrap();
    } else {
        assert_eq!(found, expected, "run `UPDATE=1 cargo test the_readme_has_every_metric`");
    }
}
