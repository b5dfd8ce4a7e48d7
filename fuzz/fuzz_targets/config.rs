//! Any text as a pipeline file: no panic, every place inside the file, nothing of a secret told,
//! the same each time it is checked, and comments and empty lines around it change nothing.

#![no_main]

use forebay::config::{self, Lookup, Severity, SourceFile};
use libfuzzer_sys::fuzz_target;

/// What every variable and file holds. Longer than the fuzzer would guess.
const SECRET: &str = "S3CRET-d41d8cd98f00b204e9800998ecf8427e";

struct Secretive;

impl Lookup for Secretive {
    fn env(&self, name: &str) -> Result<String, String> {
        if name.contains('!') { Err("is not set".into()) } else { Ok(SECRET.into()) }
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok(format!("{SECRET}\"\\\n[output.x]\n"))
    }

    fn absent(&self) -> Severity {
        Severity::Warning
    }

    fn bytes(&self, _: &str, _: usize) -> Result<Vec<u8>, String> {
        Err("cannot be read: not there".into())
    }

    fn list(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let check = |text: String| config::check(vec![SourceFile { name: "p.toml".into(), text }], &Secretive);
    let checked = check(text.into());
    assert_eq!(checked.told(), check(text.into()).told());
    for told in &checked.diagnostics {
        assert!(!told.message.is_empty());
        if let Some(place) = &told.place {
            assert_eq!(place.file, 0);
            assert!(place.span.start <= place.span.end && place.span.end <= text.len(), "{place:?}");
        }
    }
    assert!(checked.pipeline.is_none() || checked.errors() == 0, "{}", checked.told());
    if !text.contains("S3CRET") {
        assert!(!checked.told().contains("S3CRET"), "{}", checked.told());
    }
    // A byte order mark is one only where the file begins.
    let (mark, rest) = text.split_at(if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 });
    let commented = check(format!("{mark}# a comment\n\n{rest}"));
    assert_eq!(commented.pipeline.is_some(), checked.pipeline.is_some());
    assert_eq!(commented.diagnostics.len(), checked.diagnostics.len());
    for (told, before) in commented.diagnostics.iter().zip(&checked.diagnostics) {
        assert_eq!(told.message, before.message);
    }
});
