//! A filter that rejects an event by its first bytes says what it says when it has read all of them.

use crate::peers;
use forebay::event::{Timestamp, XmlEvent};
use forebay::filter::{Filter, FilterConfig};
use proptest::prelude::*;

/// What a glance can decide, alone and beside what it cannot.
const FILTERS: [&str; 8] = [
    "keep = { channel = 'Security', id = [4624, '4700-4799'] }",
    "keep = [{ channel = '*/Operational' }, { provider = 'microsoft-windows-security-*', id = '4600-4699' }]",
    "keep = [{ channel = 'System', level = '1-3' }, { level = 'error' }]",
    "drop = [{ channel = 'security' }, { id = 7036 }, { level = 'information', computer = '*' }]",
    "keep = { id = '4000-9999' }\ndrop = { provider = '*auditing' }",
    "select = [{ channel = 'system', xpath = '*' }, { channel = 'Setup', xpath = '*[EventData]' }]",
    "keep = { channel = '*' }\nxpath = '*[System[Level<=3]]'\nsuppress = { channel = 'Security', xpath = '*' }",
    "keep = { computer = 'dc*' }",
];

fn filters() -> Vec<Filter> {
    let compile = |text: &&str| toml::from_str::<FilterConfig>(text).unwrap().compile().unwrap();
    FILTERS.iter().map(compile).collect()
}

/// Whether a glance rejects it, and so does everything that was read; None: it cannot be read.
#[track_caller]
fn check(filter: &mut Filter, text: &[u8]) -> Option<(bool, bool)> {
    let glance = filter.rejects(text);
    let whole = !filter.keeps(&XmlEvent::parse(text).ok()?, Timestamp(0)).ok()?;
    assert!(whole || !glance, "{}", String::from_utf8_lossy(text));
    Some((glance, whole))
}

#[test]
fn a_glance_rejects_nothing_that_is_wanted_and_most_of_what_is_not() {
    let (events, is_corpus) = peers::events();
    for (mut filter, written) in filters().into_iter().zip(FILTERS) {
        let (mut early, mut all) = (0, 0);
        for text in &events {
            let (glance, whole) = check(&mut filter, text).expect("an event");
            early += usize::from(glance);
            all += usize::from(whole);
        }
        // What asks for more than a glance can see rejects some of it later.
        let sees_all =
            !(written.contains("computer") || written.contains("[System") || written.contains("[EventData"));
        if is_corpus && sees_all {
            assert!(all > 0 && early * 100 >= all * 99, "{written}: {early} of {all}");
        }
    }
}

proptest! {
    #[test]
    fn a_glance_at_what_is_not_as_windows_writes_it_rejects_nothing_that_is_wanted(
        which in any::<prop::sample::Index>(),
        at in 0..900_usize,
        piece in prop::sample::select(vec![
            "", "<", ">", "'", "/", " ", "0", "é", "<!-- -->", "<![CDATA[x]]>", "&amp;", "&#x34;", "<Channel>System</Channel>",
            "<EventID>7036</EventID>", "<Level>2<b/></Level>", "</System>", "<x/>",
        ]),
        removed in 0..30_usize,
    ) {
        let fixtures = peers::fixtures();
        let mut text = which.get(&fixtures).clone();
        let at = at.min(text.len());
        let end = (at + removed).min(text.len());
        text.splice(at..end, piece.bytes());
        for filter in &mut filters() {
            check(filter, &text);
        }
    }
}
