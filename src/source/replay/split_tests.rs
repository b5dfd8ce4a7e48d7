//! What the splitter makes of layouts and damage, however the input is cut into reads.

use super::*;
use proptest::prelude::*;

/// Pieces of `text` when it arrives `step` bytes at a time.
fn pieces(text: &[u8], step: usize) -> Vec<(Kind, Vec<u8>)> {
    let (mut splitter, mut buffer, mut pieces) = (Splitter::default(), Vec::new(), Vec::new());
    let mut rest = text;
    loop {
        let (now, later) = rest.split_at(step.min(rest.len()));
        buffer.extend_from_slice(now);
        rest = later;
        while let Step::Piece(kind, range) = splitter.next(&buffer, rest.is_empty()) {
            assert!(!range.is_empty());
            assert!(range.len() <= EVENT_BYTES_MAX);
            pieces.push((kind, buffer[range].to_vec()));
        }
        buffer.drain(..splitter.done());
        splitter.forgot();
        assert!(buffer.len() <= EVENT_BYTES_MAX + step + 16);
        if rest.is_empty() {
            return pieces;
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    for step in [1, 7, 1 << 16] {
        let found = pieces(text.as_bytes(), step);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(kind, piece)| {
                let kind = match kind {
                    Kind::Xml => "xml",
                    Kind::Json => "json",
                    Kind::Broken { .. } => "broken",
                    Kind::TooLong { .. } => "long",
                };
                (kind, std::str::from_utf8(piece).unwrap())
            })
            .collect();
        assert_eq!(found, expected, "in steps of {step}");
    }
}

#[test]
fn events_are_found_in_every_layout() {
    check(
        "<Event>a</Event>\n<Event>b</Event>\n",
        &[("xml", "<Event>a</Event>"), ("xml", "<Event>b</Event>")],
    );
    check("<Event>a</Event><Event/>", &[("xml", "<Event>a</Event>"), ("xml", "<Event/>")]);
    check(
        "<?xml version='1.0'?>\r\n<!-- <Event> -->\n<Events>\n  <Event x='1'>\n    <A/>\n  </Event>\n</Events>\n",
        &[("xml", "<Event x='1'>\n    <A/>\n  </Event>")],
    );
    check("", &[]);
    check(" \n", &[]);
}

#[test]
fn an_end_in_quotes_comments_or_cdata_is_none() {
    for inside in [
        "<A b='</Event >'/>".replace('<', "&lt;").as_str(),
        "<![CDATA[</Event>]]>",
        "<!-- </Event> -->",
        "<?x </Event>?>",
        "<Event>nested</Event>",
        "<Event b='/'/>",
        "<EventData>x</EventData>",
        "<A b='>'/>",
    ] {
        let event = format!("<Event>{inside}</Event>");
        check(&event, &[("xml", &event)]);
    }
}

#[test]
fn json_lines_are_lines() {
    check(
        "{\"xml\":\"<Event/>\"}\n\n{\"a\":1}\r\n<Event/>",
        &[("json", "{\"xml\":\"<Event/>\"}"), ("json", "{\"a\":1}\r"), ("xml", "<Event/>")],
    );
}

#[test]
fn the_events_around_a_broken_one_arrive() {
    check(
        "<Event>a</Event>\n<Event><System>\n<Event>b</Event>\nnonsense\n<Event>c</Event> tail <Event>d</Event>",
        &[
            ("xml", "<Event>a</Event>"),
            ("broken", "<Event><System>\n"),
            ("xml", "<Event>b</Event>"),
            ("broken", "nonsense"),
            ("xml", "<Event>c</Event>"),
            ("broken", "tail"),
            ("xml", "<Event>d</Event>"),
        ],
    );
    check("<Event>a<Event>b</Event>", &[("broken", "<Event>a"), ("xml", "<Event>b</Event>")]);
    check("<Event>a", &[("broken", "<Event>a")]);
    check("<Event a='x<Event>b</Event>", &[("broken", "<Event a='x"), ("xml", "<Event>b</Event>")]);
    check("</Event>\n<Event/>", &[("broken", "</Event>"), ("xml", "<Event/>")]);
}

#[test]
fn a_dtd_is_skipped_and_never_read() {
    check(
        "<!DOCTYPE e [<!ENTITY a \"aa\"><!ENTITY b \"&a;&a;\">]><Event>&b;</Event>",
        &[("xml", "<Event>&b;</Event>")],
    );
}

#[test]
fn what_is_too_long_comes_in_pieces_and_loses_nothing() {
    for (open, close) in [("<Event>", "</Event>"), ("{", "\n"), ("stray", "\n")] {
        let long = format!("{open}{}", "ü".repeat(3 * EVENT_BYTES_MAX / 2 + 5));
        let text = format!("<Event>a</Event>{long}{close}<Event>b</Event>");
        let found = pieces(text.as_bytes(), 1 << 16);
        assert_eq!(found[0], (Kind::Xml, b"<Event>a</Event>".to_vec()));
        assert_eq!(found.last(), Some(&(Kind::Xml, b"<Event>b</Event>".to_vec())));
        let middle = &found[1..found.len() - 1];
        assert_eq!(middle[0].0, Kind::TooLong { first: true });
        assert!(middle[1..].iter().all(|(kind, _)| *kind == Kind::TooLong { first: false }));
        assert!(middle.iter().all(|(_, piece)| std::str::from_utf8(piece).is_ok()));
        let joined: Vec<u8> = middle.iter().flat_map(|(_, piece)| piece.clone()).collect();
        assert_eq!(String::from_utf8(joined).unwrap().trim_end(), format!("{long}{close}").trim_end());
    }
}

proptest! {
    #[test]
    fn no_byte_is_lost_and_reads_do_not_matter(
        parts in proptest::collection::vec(prop_oneof![
            Just("<Event>"), Just("</Event>"), Just("<Event a='"), Just("'>"), Just("<Events>"), Just("\n"),
            Just("{\"a\":"), Just("}"), Just("<![CDATA["), Just("]]>"), Just("<!--"), Just("-->"), Just("<"),
            Just(">"), Just("text"), Just(" "), Just("<?"), Just("?>"), Just("/>"), Just("\""), Just("<!DOCTYPE"),
        ], 0..40),
        step in 1_usize..20,
    ) {
        let text = parts.concat();
        let whole = pieces(text.as_bytes(), 1 << 16);
        prop_assert_eq!(&pieces(text.as_bytes(), step), &whole);
        let kept: usize = whole.iter().map(|(_, piece)| piece.iter().filter(|byte| !byte.is_ascii_whitespace()).count()).sum();
        let all = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
        prop_assert!(kept <= all);
        let skips = ["<Events>", "<!--", "<?", "<!DOCTYPE"];
        if !skips.iter().any(|skip| text.contains(skip)) {
            prop_assert_eq!(kept, all);
        }
    }
}
