//! Settings, and requests as they are written.

use super::*;
use crate::event::Timestamp;
use crate::sink::Item;

const RIGHT: &str = "url = 'https://wef.westeurope-1.ingest.monitor.azure.com'\n\
                     dcr = 'dcr-00000000000000000000000000000000'\nstream = 'Microsoft-WindowsEvent'\n\
                     tenant = 'example.org'\nclient_id = '11111111-2222-3333-4444-555555555555'\n\
                     client_secret_file = '/run/secrets/sentinel'\n";

fn open(text: &str) -> Result<Sentinel, String> {
    toml::from_str::<Config>(text).unwrap().open().map_err(|error| format!("{}: {error}", error.key()))
}

#[test]
fn settings_that_cannot_be_are_named() {
    for more in
        ["", "cloud = 'china'", "cloud = 'usgov'", "authority = 'http://127.0.0.1:1/x'\nscope = 'y/.default'"]
    {
        assert!(open(&format!("{RIGHT}{more}")).is_ok(), "{more}");
    }
    for (from, to, part) in [
        ("dcr-0", "/subscriptions/0", "dcr: "),
        ("dcr-0", "dcr-?", "dcr: "),
        ("Microsoft-WindowsEvent", "WindowsEvent", "stream: "),
        ("Microsoft-WindowsEvent", "Custom-a/b", "stream: "),
        ("example.org", "a/b", "tenant: "),
        ("11111111-", "app name ", "client_id: "),
        ("client_secret_file = '/run/secrets/sentinel'", "", "client_secret: "),
        ("client_secret_file = '/run/secrets/sentinel'", "client_secret = ' '", "client_secret: "),
        ("https://wef", "ftp://wef", "url: "),
        ("tenant", "authority = 'login'\ntenant", "authority: "),
        ("tenant", "request.compression = 'zstd'\ntenant", "request.compression: "),
        ("tenant", "request.bytes = '1'\ntenant", "request.bytes: "),
    ] {
        let text = RIGHT.replacen(from, to, 1);
        let why = open(&text).err().unwrap_or_else(|| panic!("{to} was taken"));
        assert!(why.starts_with(part), "{to}: {why}");
    }
}

#[test]
fn the_path_names_rule_and_stream_and_a_request_is_an_array() {
    let sentinel = open(RIGHT).ok().unwrap();
    let protocol = &sentinel.courier.shared().protocol;
    assert_eq!(
        protocol.ask().path,
        "/dataCollectionRules/dcr-00000000000000000000000000000000/streams/Microsoft-WindowsEvent?api-version=2023-01-01"
    );
    let item = |from, to| Item { range: from..to, head: 0, id: None, time: Timestamp(0), route: 0 };
    let bytes = Bytes::from_static(br#"{"a":1}{"b":2}{"c":3}"#);
    let batch = Encoded { bytes, items: vec![item(0, 7), item(7, 14), item(14, 21)], routes: Vec::new() };
    for (items, expected) in [(&[0, 2][..], r#"[{"a":1},{"c":3}]"#), (&[1], r#"[{"b":2}]"#), (&[], "[]")] {
        let mut body = Vec::new();
        protocol.write(&batch, items, &mut body);
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

/// Exactly as many bytes as a call may have.
#[test]
fn a_request_is_never_larger_than_it_may_be() {
    let sentinel = open(RIGHT).ok().unwrap();
    let protocol = &sentinel.courier.shared().protocol;
    for length in [998_usize, 999, 1000, 4999] {
        let (mut items, count) = (Vec::new(), 3_000_000 / length);
        for at in 0..count {
            let start = (at * length) as u32;
            items.push(Item {
                range: start..start + length as u32,
                head: 0,
                id: None,
                time: Timestamp(0),
                route: 0,
            });
        }
        let batch = Arc::new(Encoded { bytes: vec![b'x'; count * length].into(), items, routes: Vec::new() });
        let chunks =
            web::progress::Progress::new(&batch).chunks(REQUEST_BYTES as usize - 1, protocol.beside());
        for chunk in &chunks {
            let mut body = Vec::new();
            protocol.write(&batch, &chunk.items, &mut body);
            assert!(body.len() <= REQUEST_BYTES as usize, "{length}: {}", body.len());
        }
        let largest = chunks.iter().map(|chunk| chunk.items.len() * (length + 1) + 1).max();
        assert!(largest > Some(REQUEST_BYTES as usize - length - 2), "{length}: {largest:?}");
    }
}
