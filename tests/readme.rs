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

#[test]
fn the_readme_has_every_reason_of_a_failed_handshake() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let told = text.split("Reasons of failed handshakes:").nth(1).unwrap().split("\n\n").next().unwrap();
    let told: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
    assert_eq!(told, forebay::auth::tls::FAILURES);
}

#[test]
fn the_readme_has_every_exit_code() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let told = text.split("**Exit codes**").nth(1).unwrap().split("\n* ").next().unwrap();
    for (exit, code, ..) in forebay::cli::exit::TABLE {
        assert_eq!(told.matches(&format!(" {code} ")).count(), 1, "{exit:?}, {code}");
    }
    let codes = told.split_whitespace().filter(|word| word.parse::<u8>().is_ok()).count();
    assert_eq!(codes, forebay::cli::exit::TABLE.len() + 1, "and nought");
}
