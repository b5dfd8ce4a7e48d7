//! Records and requests, read back; others read them in `tests/web/otlp.rs`.

use super::proto::{Field, Fields};
use super::record::Records;
use super::*;
use crate::event::{EventId, Header, Origin, Timestamp, Value};
use crate::sink::Item;
use crate::sink::path::RouteValues;

/// The messages and numbers of a field, in their order.
fn all(message: &[u8], wanted: u64) -> Vec<Field<'_>> {
    let fields = Fields(message).map(|field| field.unwrap());
    fields.filter(|(number, _)| *number == wanted).map(|(_, field)| field).collect()
}

fn bytes(message: &[u8], wanted: u64) -> Vec<&[u8]> {
    let only = |field| if let Field::Bytes(bytes) = field { bytes } else { panic!("{field:?}") };
    all(message, wanted).into_iter().map(only).collect()
}

fn text(message: &[u8], wanted: u64) -> String {
    String::from_utf8(bytes(message, wanted)[0].to_vec()).unwrap()
}

/// A value of any kind, as JSON would have it.
fn value(of: &[u8]) -> String {
    match Fields(of).next().map(|field| field.unwrap()) {
        None => "null".into(),
        Some((1, Field::Bytes(text))) => format!("{:?}", str::from_utf8(text).unwrap()),
        Some((2, Field::Number(is))) => (is == 1).to_string(),
        Some((3, Field::Number(number))) => number.cast_signed().to_string(),
        Some((4, Field::Other)) => "double".into(),
        Some((5, Field::Bytes(array))) => {
            format!("[{}]", bytes(array, 1).into_iter().map(value).collect::<Vec<_>>().join(","))
        }
        Some((6, Field::Bytes(map))) => format!("{{{}}}", pairs(map, 1).join(",")),
        Some((7, Field::Bytes(raw))) => format!("{raw:x?}"),
        Some(other) => panic!("{other:?}"),
    }
}

fn pairs(message: &[u8], field: u64) -> Vec<String> {
    let pair = |pair| format!("{}:{}", text(pair, 1), value(bytes(pair, 2)[0]));
    bytes(message, field).into_iter().map(pair).collect()
}

fn origin() -> Origin {
    Origin {
        source: "dc".into(),
        host: Some("pc1.example.org".into()),
        address: None,
        subscription: Some("all".into()),
        file: None,
        received: Timestamp(1_553_893_841_002_000_000),
    }
}

fn head(header: Option<&Header<'_>>, time: i64) -> Vec<u8> {
    let (mut out, origin) = (Vec::new(), origin());
    Records::default().write(&RouteValues { header, origin: &origin, time: Timestamp(time) }, &mut out);
    out
}

#[test]
fn a_record_says_of_the_event_what_stands_in_system() {
    let header = Header {
        provider_name: Value::Xml(b"A &amp; B"),
        event_id: Value::Xml(b"4624"),
        level: Value::Unsigned(2),
        keywords: Value::Hex(0x8020_0000_0000_0000),
        record_id: Value::Xml(b"1542"),
        channel: Value::Text(b"Security"),
        computer: Value::Text(b"dc1.example.org"),
        user_id: Value::Text(b"S-1-5-18"),
        ..Header::default()
    };
    let record = head(Some(&header), 1_553_893_840_380_542_600);
    assert_eq!(record[..9], [&[0x09][..], &1_553_893_840_380_542_600_u64.to_le_bytes()].concat());
    assert_eq!(record[9..18], [&[0x59][..], &1_553_893_841_002_000_000_u64.to_le_bytes()].concat());
    assert_eq!((all(&record, 2), text(&record, 3)), (vec![Field::Number(17)], "Error".into()));
    assert_eq!(
        pairs(&record, 6),
        [
            r#"host.name:"dc1.example.org""#,
            r#"winlog.channel:"Security""#,
            r#"winlog.provider_name:"A & B""#,
            r#"winlog.keywords:"0x8020000000000000""#,
            r#"winlog.user.identifier:"S-1-5-18""#,
            "winlog.event_id:4624",
            "winlog.level:2",
            "winlog.record_id:1542",
            r#"forebay.source:"dc""#,
            r#"forebay.subscription:"all""#,
        ]
    );
}

#[test]
fn what_cannot_be_read_has_the_host_that_sent_it_and_no_severity() {
    let record = head(None, -1);
    assert_eq!((all(&record, 1).len(), all(&record, 2).len(), all(&record, 11).len()), (0, 0, 1));
    assert_eq!(pairs(&record, 6)[0], r#"host.name:"pc1.example.org""#);
    let header = Header { level: Value::Xml(b"16"), event_id: Value::Xml(b"many"), ..Header::default() };
    let record = head(Some(&header), 1);
    assert_eq!(all(&record, 2).len(), 0);
    assert!(pairs(&record, 6).contains(&r#"winlog.event_id:"many""#.to_owned()));
}

#[test]
fn a_long_value_is_cut_and_a_number_past_63_bits_is_a_text() {
    let long = "é".repeat(5000);
    let header = Header {
        channel: Value::Text(long.as_bytes()),
        record_id: Value::Xml(b"18446744073709551615"),
        ..Header::default()
    };
    let pairs = pairs(&head(Some(&header), 1), 6);
    assert_eq!(pairs[1], format!("winlog.channel:{:?}", "é".repeat(512)));
    assert_eq!(pairs[2], r#"winlog.record_id:"18446744073709551615""#);
}

#[track_caller]
fn check_body(payload: &[u8], body: Body, expected: &str) {
    let mut out = Vec::new();
    super::body::write(body, payload, &mut out);
    assert_eq!(value(&out), expected);
}

#[test]
fn a_body_is_the_payload_or_its_json_as_a_map() {
    let json = br#"{"System":{"EventID":4624,"Keywords":"0x80"},"a\"":[1,-2,true,null,[],{}],"n":18446744073709551615,"f":0.5}"#;
    check_body(json, Body::Text, &format!("{:?}", str::from_utf8(json).unwrap()));
    check_body(
        json,
        Body::Map,
        r#"{System:{EventID:4624,Keywords:"0x80"},a":[1,-2,true,null,[],{}],n:"18446744073709551615",f:double}"#,
    );
    for odd in ["<Event/>", "{\"a\":", "{} {}", "[1]"] {
        check_body(odd.as_bytes(), Body::Map, &format!("{odd:?}"));
    }
    check_body(b"<Event>\xff", Body::Text, "[3c, 45, 76, 65, 6e, 74, 3e, ff]");
}

fn open(more: &str) -> Result<Otlp, String> {
    let text = format!("url = 'http://otel:4318'\n{more}");
    toml::from_str::<Config>(&text).unwrap().open().map_err(|error| format!("{}: {error}", error.key()))
}

#[test]
fn a_request_holds_resource_scope_and_the_records_that_are_asked_for() {
    let otlp =
        open("resource = { 'service.name' = 'wef', 'service.instance.id' = '', site = 'x' }").ok().unwrap();
    let (mut encoded, mut items) = (Vec::new(), Vec::new());
    for number in 0..300_u32 {
        let start = encoded.len() as u32;
        encoded.extend(head(None, 1));
        let head = encoded.len() as u32 - start;
        encoded.extend(format!("<Event>{number}</Event>").bytes());
        let id = (number == 7).then_some(EventId([0xab; 16]));
        items.push(Item { range: start..encoded.len() as u32, head, id, time: Timestamp(0), route: 0 });
    }
    let batch = Encoded { bytes: encoded.into(), items, routes: Vec::new() };
    let (mut request, wanted) = (Vec::new(), [7, 8, 299]);
    let protocol = &otlp.courier.shared().protocol;
    protocol.write(&batch, &wanted, &mut request);
    let logs = bytes(&request, 1);
    assert_eq!(logs.len(), 1);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        pairs(bytes(logs[0], 1)[0], 1),
        [format!("service.version:{version:?}"), r#"service.name:"wef""#.into(), r#"site:"x""#.into()]
    );
    let of_scope = bytes(logs[0], 2);
    let scope = bytes(of_scope[0], 1)[0];
    assert_eq!((text(scope, 1), text(scope, 2)), ("forebay".into(), version.to_owned()));
    let records = bytes(of_scope[0], 2);
    let bodies: Vec<String> = records.iter().map(|record| value(bytes(record, 5)[0])).collect();
    assert_eq!(bodies, [7, 8, 299].map(|number| format!("\"<Event>{number}</Event>\"")));
    let uid = format!("log.record.uid:\"{}\"", "ab".repeat(16));
    assert_eq!(pairs(records[0], 6).last(), Some(&uid));
    assert!(!pairs(records[1], 6).contains(&uid));
    let length: usize = wanted.iter().map(|item| batch.item(*item as usize).len() + protocol.beside()).sum();
    assert!(request.len() <= length + 200, "{} of {length}", request.len());

    request.clear();
    protocol.write(&batch, &[], &mut request);
    assert!(request.is_empty(), "nothing around no records");
}

#[test]
fn who_collects_is_named_after_this_machine() {
    let resource = open("").ok().unwrap().courier.shared().protocol.around.resource.clone();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let expected = format!("service.instance.id:{:?}", machine.trim());
    assert!(pairs(bytes(&resource, 1)[0], 1).contains(&expected), "{expected}");
}

#[test]
fn settings_that_cannot_be_are_named() {
    assert!(open("").is_ok());
    assert!(open("path = '/otlp/v1/logs'\nbody = 'map'").is_ok());
    for (more, part) in [
        ("path = 'v1/logs'", "path"),
        ("path = '/v1 logs'", "path"),
        ("headers = { Host = 'y' }", "headers"),
        ("request.bytes = '1'", "request.bytes"),
        ("auth.basic.user = 'x'", "auth.basic"),
    ] {
        let why = open(more).err().unwrap();
        assert!(why.contains(part), "{more}: {why}");
    }
    let twice = toml::from_str::<Config>("url = 'http://otel:4318/v1/logs/'").unwrap().open();
    assert!(twice.err().unwrap().to_string().contains("leave it out there"));
}
