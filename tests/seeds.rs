//! Where the fuzzers start: small inputs that already reach deep. Those of `xml` are the golden
//! files; the others are made here, `UPDATE=1 cargo test seeds` writes them anew.

use crate::peers;
use forebay::event::XmlEvent;
use forebay::evtx::Decoder;
use forebay::evtx::write::{ChunkWriter, Layout, Pushed};
use forebay::filter::XPath;
use forebay::kerberos::token::spnego::{Answer, State};
use forebay::kerberos::token::{Content, Mechanism, Ntlm, Spnego};
use forebay::kerberos::{Keytab, Name, Token};
use forebay::sink::relp::frame::Frame;
use forebay::wsman::charset::{self, Charset};
use forebay::wsman::{Bookmark, Events, Header, Message, Request, ns, sldc};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What the first byte of an `evtx` input says of the rest.
const CHUNK: u8 = b'C';

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// Compares with what is shipped, or writes it.
#[track_caller]
fn check(target: &str, seeds: &[(String, Vec<u8>)]) {
    let folder = folder(target);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        seeds.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
    }
    for (name, bytes) in seeds {
        let shipped = std::fs::read(folder.join(name)).unwrap();
        assert!(
            shipped == *bytes,
            "{target}/{name} is another one; `UPDATE=1 cargo test seeds` writes it anew"
        );
    }
    // What a fuzzer has found once lies beside them.
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let made = names.filter(|name| !name.to_string_lossy().starts_with("found-")).count();
    assert_eq!(made, seeds.len(), "{target} has others");
}

/// The XML of each event of a chunk.
fn read(chunk: &[u8]) -> Vec<String> {
    let mut events = Vec::new();
    let _ = Decoder::new().chunk(chunk, 0, |event| {
        let mut xml = Vec::new();
        event.unwrap().xml(&mut xml).unwrap();
        events.push(String::from_utf8(xml).unwrap());
        ControlFlow::Continue(())
    });
    events
}

/// The tokens of `src/kerberos/testdata`, once alone with bindings, once with another behind it.
#[test]
fn seeds_of_gss_accept_are_tokens_of_kerberos() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kerberos/testdata");
    let token = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let seed = |first: &[u8], second: &[u8], bound: u16| {
        let head = (first.len() as u16) << 1 | bound;
        [&head.to_be_bytes(), first, second].concat()
    };
    let (plain, negotiated) = (token("krb5-wec.token"), token("spnego-aes256.token"));
    let seeds = [
        ("kerberos", seed(&plain, b"", 1)),
        ("kerberos-rc4", seed(&token("krb5-rc4.token"), b"", 0)),
        ("spnego", seed(&negotiated, b"", 0)),
        ("twice", seed(&negotiated, &plain, 0)),
        // It offers Kerberos and has no token.
        ("offer", seed(b"\x60\x1b\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x11\x30\x0f\xa0\x0d\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02", &plain, 0)),
    ];
    check("gss_accept", &seeds.map(|(name, bytes)| (name.into(), bytes)));
}

/// The samples of the room, one of each kind.
fn kerberos(name: &str) -> (String, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kerberos/testdata").join(name);
    (name.replace('.', "-"), std::fs::read(path).unwrap())
}

const NTLM: &[u8] =
    b"NTLMSSP\0\x03\0\0\0\0\0\0\0H\0\0\0\0\0\0\0H\0\0\0\x02\0\x02\0H\0\0\0\x02\0\x02\0J\0\0\0\
                     \x02\0\x02\0L\0\0\0\0\0\0\0N\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0D\0U\0W\0";

#[test]
fn seeds_of_ap_req_peek_are_tokens_of_clients_and_answers() {
    let tokens = ["krb5-aes256.token", "krb5-rc4.token", "krb5-sha384.token", "spnego-aes256.token"];
    let errors = ["error-skew.token", "spnego-rejected.token"];
    let mut seeds: Vec<_> = tokens.iter().chain(&errors).map(|name| kerberos(name)).collect();
    seeds.push(("ntlm".into(), NTLM.to_vec()));
    for (name, token) in &seeds {
        let content = Token::peek(token).unwrap().content;
        assert_eq!(
            matches!(content, Content::Error(_)),
            errors.contains(&&*name.replace("-token", ".token"))
        );
        assert_eq!(matches!(content, Content::Ntlm(Ntlm { user: Some(_), .. })), name == "ntlm");
    }
    check("ap_req_peek", &seeds);
}

#[test]
fn seeds_of_spnego_are_of_both_messages() {
    let offer = kerberos("spnego-aes256.token");
    let answer =
        Answer { state: Some(State::Completed), mechanism: Some(Mechanism::MsKerberos), token: Some(b"t") };
    let seeds = [offer, kerberos("spnego-rejected.token"), ("answer".into(), answer.write())];
    assert!(seeds.iter().all(|(_, token)| matches!(Spnego::find(token), Ok(Some(_)))));
    check("spnego", &seeds);
}

/// Version 1 is made of version 2: without the kind of the name, and with the realm among its parts.
#[test]
fn seeds_of_keytab_are_of_both_versions() {
    let (name, two) = kerberos("old.keytab");
    let first = 2 + 4 + u32::from_be_bytes(two[2..6].try_into().unwrap()) as usize;
    let one = |little: bool| {
        let two = Keytab::parse(&two[..first]).unwrap();
        let entry = &two.entries[0];
        let short = |number: usize| match little {
            true => (number as u16).to_le_bytes(),
            false => (number as u16).to_be_bytes(),
        };
        let mut bytes = short(1 + entry.principal.parts.len()).to_vec();
        for text in std::iter::once(&entry.realm).chain(&entry.principal.parts) {
            bytes.extend([&short(text.len())[..], text.as_bytes()].concat());
        }
        bytes.extend([0; 4]);
        bytes.push(entry.kvno as u8);
        bytes.extend([short(18), short(entry.key.bytes().len())].concat());
        bytes.extend(entry.key.bytes());
        let length = bytes.len() as u32;
        let length = if little { length.to_le_bytes() } else { length.to_be_bytes() };
        let file = [&[5, 1][..], &length, &bytes].concat();
        assert_eq!(
            Keytab::parse(&file).unwrap().entries[0].principal,
            Name { kind: 1, ..entry.principal.clone() }
        );
        file
    };
    let hole = [&two[..first], &(-5_i32).to_be_bytes(), &[0; 5], &two[first..]].concat();
    assert_eq!(Keytab::parse(&hole), Keytab::parse(&two));
    check(
        "keytab",
        &[
            (name, two.clone()),
            ("little".into(), one(true)),
            ("big".into(), one(false)),
            ("hole".into(), hole),
        ],
    );
}

/// What is done, how it is turned, cut and changed, then the message: one of each for each type.
#[test]
fn seeds_of_seal_are_of_every_type_and_layout() {
    let seed = |what: u8, more: [u8; 3]| {
        (
            format!("{what:02x}-{more:02x?}").replace([',', ' ', '[', ']'], ""),
            [&[what][..], &more, b"hello world 123"].concat(),
        )
    };
    let mut seeds = Vec::new();
    for etype in 0..4 {
        seeds.push(seed(etype | 0x0c, [0, 44, 0]));
        seeds.push(seed(etype | 0x1c, [[28, 28, 32, 40][usize::from(etype)], 0xff, 0]));
        seeds.push(seed(etype | 0x18, [5, 0, 1]));
    }
    // A stranger's: the vector of one context, opened with the key of another.
    let header = b"\x05\x04\x06\xff\0\0\0\x1c\0\0\0\0\0\0\0\x07";
    seeds.push(("stranger".into(), [&[5, 0, 60, 0], &header[..], &[7; 60]].concat()));
    check("seal", &seeds);
}

#[test]
fn seeds_of_evtx_hold_every_layout_and_every_type() {
    let typed = typed();
    let xml = read(&typed);
    for value in ["t1'>text<", "t8'>4294967295<", "t17'>2020-", "t19'>S-1-5-18<", "t21'>0x10<", "t129'>"] {
        assert!(xml.len() == 1 && xml[0].contains(value), "{value} in {xml:?}");
    }
    let mut seeds = vec![("typed".to_owned(), [&[CHUNK], &typed[..]].concat())];
    let events = peers::fixtures();
    for (number, text) in events.iter().enumerate().filter(|(number, _)| number.is_multiple_of(5)) {
        let event = XmlEvent::parse(text).unwrap();
        for (layout, name) in [(Layout::Portable, "portable"), (Layout::Collector, "collector")] {
            let mut chunk = ChunkWriter::new(layout);
            assert_eq!(chunk.push(&event, 1, 1, 0).unwrap(), Pushed::Stored);
            let end = chunk.end();
            let bytes = &chunk.finish()[..end];
            assert_eq!(read(bytes).len(), 1);
            seeds.push((format!("{name}-{number}"), [&[CHUNK], bytes].concat()));
        }
    }
    check("evtx", &seeds);
}

/// A chunk with one record: a template whose values are of every type.
fn typed() -> Vec<u8> {
    let sid = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0].to_vec();
    let time = 132_537_000_000_000_000_u64.to_le_bytes().to_vec();
    let date = [0xe7, 7, 5, 0, 1, 0, 29, 0, 8, 0, 47, 0, 50, 0, 0xb5, 2].to_vec();
    let values: Vec<(u8, Vec<u8>)> = vec![
        (0x06, 4624_u16.to_le_bytes().to_vec()),
        (0x00, Vec::new()),
        (0x01, units("text")),
        (0x02, b"ansi \xe9\r\n".to_vec()),
        (0x03, vec![0xff]),
        (0x04, vec![0xff]),
        (0x05, vec![0xff; 2]),
        (0x07, vec![0xff; 4]),
        (0x08, vec![0xff; 4]),
        (0x09, vec![0xff; 8]),
        (0x0a, vec![0xff; 8]),
        (0x0b, 1.5_f32.to_le_bytes().to_vec()),
        (0x0c, (-1.5e300_f64).to_le_bytes().to_vec()),
        (0x0d, vec![1, 0, 0, 0]),
        (0x0e, vec![0xde, 0xad, 0xbe]),
        (0x0f, (1..=16).collect()),
        (0x10, vec![0x10, 0, 0, 0]),
        (0x11, time),
        (0x12, date),
        (0x13, sid),
        (0x14, vec![0x10, 0, 0, 0]),
        (0x15, vec![0x10, 0, 0, 0, 0, 0, 0, 0]),
        (0x81, units("one\0two\0")),
        (0x88, vec![1, 0, 0, 0, 2, 0, 0, 0]),
    ];
    let mut forge = Forge { bytes: vec![0; 512] };
    forge.bytes[..8].copy_from_slice(b"ElfChnk\0");
    forge.bytes.extend(*b"**\0\0");
    forge.bytes.extend([0; 4]);
    forge.bytes.extend([1; 16]);
    forge.put(&[0x0f, 1, 1, 0, 0x0c, 1, 7, 0, 0, 0]);
    let definition = forge.bytes.len() as u32 + 4;
    forge.put(&definition.to_le_bytes());
    forge.put(&[0; 4]);
    forge.put(&[7; 16]);
    let size = forge.sized(|forge| forge.definition(&values));
    let at = definition as usize + 20;
    forge.bytes[at..at + 4].copy_from_slice(&(size as u32).to_le_bytes());
    forge.put(&(values.len() as u32).to_le_bytes());
    for (kind, value) in &values {
        forge.put(&(value.len() as u16).to_le_bytes());
        forge.put(&[*kind, 0]);
    }
    values.iter().for_each(|(_, value)| forge.put(value));
    let size = (forge.bytes.len() + 4 - 512) as u32;
    forge.bytes[516..520].copy_from_slice(&size.to_le_bytes());
    forge.put(&size.to_le_bytes());
    let end = forge.bytes.len() as u32;
    forge.bytes[48..52].copy_from_slice(&end.to_le_bytes());
    forge.bytes
}

fn units(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A chunk in the making; every name stands where it is used.
struct Forge {
    bytes: Vec<u8>,
}

impl Forge {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Four bytes, then what `write` writes; the length of that.
    fn sized(&mut self, write: impl FnOnce(&mut Self)) -> usize {
        self.put(&[0; 4]);
        let start = self.bytes.len();
        write(self);
        self.bytes.len() - start
    }

    fn name(&mut self, name: &str) {
        let at = self.bytes.len() as u32 + 4;
        self.put(&at.to_le_bytes());
        self.put(&[0; 6]);
        self.put(&(name.len() as u16).to_le_bytes());
        self.put(&units(name));
        self.put(&[0; 2]);
    }

    /// A start tag of a template, with the attribute `Name`.
    fn open(&mut self, name: &str, attribute: Option<&str>) {
        self.put(&[if attribute.is_some() { 0x41 } else { 1 }, 0xff, 0xff, 0, 0, 0, 0]);
        self.name(name);
        if let Some(value) = attribute {
            let at = self.bytes.len();
            let size = self.sized(|forge| {
                forge.put(&[6]);
                forge.name("Name");
                forge.put(&[5, 1]);
                forge.put(&(value.len() as u16).to_le_bytes());
                forge.put(&units(value));
            });
            self.bytes[at..at + 4].copy_from_slice(&(size as u32).to_le_bytes());
        }
        self.put(&[2]);
    }

    /// The first value is the event's id, the others are its data.
    fn definition(&mut self, values: &[(u8, Vec<u8>)]) {
        self.put(&[0x0f, 1, 1, 0]);
        self.open("Event", None);
        self.open("System", None);
        self.open("EventID", None);
        self.put(&[0x0d, 0, 0, values[0].0, 4, 4]);
        self.open("EventData", None);
        for (slot, (kind, _)) in values.iter().enumerate().skip(1) {
            self.open("Data", Some(&format!("t{kind}")));
            // Every other one may be left out.
            self.put(&[0x0d + slot as u8 % 2, slot as u8, 0, *kind, 4]);
        }
        self.put(&[4, 4, 0]);
    }
}

#[test]
fn seeds_of_xpath_are_expressions_that_are_understood() {
    const EXPRESSIONS: [&str; 12] = [
        "*",
        "*[System[(Level<=3) or (EventID=4624)]]",
        "*[System[Provider[@Name='P' and @Guid!='{54849625-5478-4994-a5ba-3e3b0328c30d}']]]",
        "*[System[band(Keywords,0x20000000000000) and EventRecordID >= 1542.5]]",
        "*[System[TimeCreated[timediff(@SystemTime) <= 86400000]]]",
        "*[System[timediff(TimeCreated/@SystemTime,'2019-03-29T21:10:41.380Z')=999]]",
        "*[System/TimeCreated[@SystemTime>='2019-03-29T21:10:40.380Z']]",
        "*[System[Security[@UserID=\"S-1-5-18\"]]] and *[EventData[Data[@Name='A']=1]]",
        "Event/System[EventID=4624]/Channel/text()='Security'",
        "*[EventData/Data='a & b' or UserData/*[@Kind='k']/Note='onetwo']",
        "*/*/*[band(Foo,0x1) or *=4624 or EventData[Data/@*='true']]",
        "*[System[Foo=7 and (EventID=1 or EventID=2)]]",
    ];
    let seed = |(number, text): (usize, &&str)| {
        assert!(XPath::parse(text).is_ok(), "{text}");
        (format!("{number:02}"), text.as_bytes().to_vec())
    };
    check("xpath", &EXPRESSIONS.iter().enumerate().map(seed).collect::<Vec<_>>());
}

/// Whole requests, and bodies of deliveries behind the byte that says what they are.
#[test]
fn seeds_of_http_request_are_what_hosts_send() {
    let body = |message: Message<'_>| {
        let header = Header {
            action: matches!(message, Message::Events(_)).then(|| ns::action::EVENTS.into()),
            message_id: Some("uuid:02020202-0202-8202-8202-020202020202".into()),
            machine_id: Some("win10".into()),
            bookmark: Some(Bookmark::kept(
                "<BookmarkList><Bookmark Channel='S' RecordId='7'/></BookmarkList>".to_owned(),
            )),
            ack_requested: true,
            ..Header::default()
        };
        let (mut text, mut units) = (String::new(), Vec::new());
        Request { header, message }.write(&mut text);
        charset::encode(&text, Charset::Utf16, &mut units);
        units
    };
    let event = "<Event><System><EventID>1</EventID><EventRecordID>7</EventRecordID><Channel>S</Channel>\
                 <Computer>win10</Computer></System></Event>";
    let events = Events {
        text: event.into(),
        ranges: std::iter::once(0..event.len() as u32).collect(),
        ..Events::default()
    };
    let events = body(Message::Events(events));
    let mut compressed = Vec::new();
    sldc::Encoder::default().encode(&events, sldc::Scheme::One, &mut compressed);
    let request = |more: &str, body: &[u8]| {
        let head = format!(
            "POST /wsman/SubscriptionManager/WEC HTTP/1.1\r\nHost: c\r\n{more}Content-Type: \
             application/soap+xml;charset=UTF-16\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let identify = request("", &body(Message::Identify));
    let signed_in = "Authorization: Basic d2luMTA6c2VjcmV0\r\n";
    check(
        "http_request",
        &[
            ("identify".into(), identify.clone()),
            ("nobody".into(), request("", &events)),
            ("two".into(), [identify, request(signed_in, &events)].concat()),
            ("empty".into(), request(signed_in, b"")),
            ("body".into(), [b"B", &events[..]].concat()),
            ("compressed".into(), [b"S", &compressed[..]].concat()),
            ("proxy".into(), b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n".to_vec()),
        ],
    );
}

/// What receivers answer, and what they must not.
#[test]
fn seeds_of_relp_frame_are_answers() {
    const OFFERS: &str =
        "200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog";
    let frame = |txnr, command: &str, data: &str| {
        let mut out = Vec::new();
        Frame { txnr, command: command.as_bytes(), data: data.as_bytes() }.write(&mut out);
        out
    };
    let (good, bad) = (frame(2, "rsp", "200 OK"), frame(999_999_999, "rsp", "500 disk full"));
    check(
        "relp_frame",
        &[
            ("open".into(), frame(1, "rsp", OFFERS)),
            ("several".into(), [&good[..], &bad, &frame(0, "serverclose", ""), b"3 rsp 6 20"].concat()),
            ("blank".into(), b"0 serverclose 0 \n".to_vec()),
            ("data".into(), OFFERS.into()),
            ("long".into(), b"2 rsp 8192 ".to_vec()),
            ("other".into(), b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ],
    );
}

/// A status, a number of events, a body.
fn answer(status: u8, items: u8, body: &str) -> Vec<u8> {
    [&[status, items], body.as_bytes()].concat()
}

#[test]
fn seeds_of_bulk_answer_are_answers_of_search_engines() {
    let taken = r#"{"errors":false,"items":[{"create":{"status":201}},{"index":{"status":200}}]}"#;
    let mixed = r#"{"errors":true,"items":[{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"there"}}},{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"no","caused_by":{"type":"x","reason":"\u00e9 \"x\""}}}}]}"#;
    let whole = r#"{"error":{"type":"index_not_found_exception","reason":"no such index"},"status":404}"#;
    check(
        "bulk_answer",
        &[
            ("taken".into(), answer(0, 2, taken)),
            ("mixed".into(), answer(0, 3, mixed)),
            ("whole".into(), answer(3, 1, whole)),
            ("early".into(), answer(2, 1, r#"{"error":"no handler","status":400}"#)),
            ("half".into(), answer(0, 2, &taken[..40])),
            ("none".into(), answer(4, 9, "")),
        ],
    );
}

#[test]
fn seeds_of_hec_answer_are_answers_of_splunk() {
    check(
        "hec_answer",
        &[
            ("taken".into(), answer(0, 2, r#"{"text":"Success","code":0}"#)),
            ("numbered".into(), answer(0, 2, r#"{"text":"Success","code":0,"ackId":7}"#)),
            (
                "partly".into(),
                answer(1, 3, r#"{"text":"Event field is required","code":12,"invalid-event-number":1}"#),
            ),
            ("token".into(), answer(3, 1, r#"{"text":"Invalid token","code":4}"#)),
            ("busy".into(), answer(7, 1, r#"{"text":"Server is busy","code":9}"#)),
            ("acks".into(), answer(0, 1, r#"{"acks":{"0":true,"1":false}}"#)),
            ("proxy".into(), answer(0, 1, "<html>hello</html>")),
        ],
    );
}

#[test]
fn seeds_of_otlp_answer_are_answers_of_its_receivers() {
    check(
        "otlp_answer",
        &[
            ("taken".into(), answer(0, 2, "")),
            ("told".into(), answer(0, 2, "\n\x0a\x12\x08use gzip")),
            ("partly".into(), answer(0, 3, "\n\x0b\x08\x02\x12\x07too old")),
            ("none".into(), answer(0, 3, "\n\x0b\x08\x03\x12\x07too old")),
            (
                "json".into(),
                answer(0, 3, r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no"}}"#),
            ),
            ("status".into(), answer(2, 3, "\x08\x03\x12\x07no time")),
            ("new".into(), answer(0, 1, "\n\x02\x18\x01\x12\x01x\x19abcdefgh\x1dabcd")),
            ("busy".into(), answer(7, 1, "")),
            ("proxy".into(), answer(0, 1, "<html>hello</html>")),
        ],
    );
}

#[test]
fn seeds_of_token_answer_are_answers_of_tenants() {
    let said = |status: u8, body: &str| [&[status], body.as_bytes()].concat();
    let granted = r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"ey.x"}"#;
    let denied = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret. Trace ID: 1","error_codes":[7000215]}"#;
    check(
        "token_answer",
        &[
            ("granted".into(), said(0, granted)),
            ("text".into(), said(0, &granted.replace(":3599", ":\"3599\""))),
            ("denied".into(), said(4, denied)),
            ("tenant".into(), said(3, &denied.replace("7000215", "90002"))),
            ("later".into(), said(3, r#"{"error":"temporarily_unavailable"}"#)),
            ("busy".into(), said(6, "")),
            ("proxy".into(), said(0, "<html>sign in</html>")),
        ],
    );
}

/// What was asked, a status, an ETag, a body.
#[test]
fn seeds_of_s3_answer_are_answers_of_stores() {
    use forebay::sink::s3::answer::Said;
    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    let seed = |asked: u8, status: u8, etag: u8, body: &str| {
        assert!(body.is_empty() || Said::parse(body.as_bytes()).is_some(), "{body}");
        [&[asked, status, etag], body.as_bytes()].concat()
    };
    let result = |name: &str, inside: &str| {
        format!("{HEAD}<{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}</{name}>")
    };
    let error = |code: &str, more: &str| {
        format!("{HEAD}<Error><Code>{code}</Code><Message>words &amp; more</Message>{more}</Error>")
    };
    let begun =
        result("InitiateMultipartUploadResult", "<Bucket>b</Bucket><Key>k</Key><UploadId>id</UploadId>");
    let whole = result("CompleteMultipartUploadResult", "<Location>x</Location><ETag>&quot;t-2&quot;</ETag>");
    let list = result("ListMultipartUploadsResult", "<Upload><Key>k</Key><UploadId>id</UploadId></Upload>");
    let times = "<RequestTime>20260102T030405Z</RequestTime><ServerTime>2026-01-02T04:04:05Z</ServerTime>";
    check(
        "s3_answer",
        &[
            ("stored".into(), seed(0, 0, 1, "")),
            ("begun".into(), seed(1, 0, 0, &begun)),
            ("whole".into(), seed(2, 0, 0, &whole)),
            ("late".into(), seed(2, 0, 0, &error("InternalError", ""))),
            ("list".into(), seed(3, 0, 0, &list)),
            (
                "region".into(),
                seed(0, 4, 0, &error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>")),
            ),
            ("clock".into(), seed(0, 5, 0, &error("RequestTimeTooSkewed", times))),
            ("slow".into(), seed(0, 9, 0, &error("SlowDown", "<HostId><![CDATA[x]]></HostId>"))),
            ("proxy".into(), seed(0, 0, 0, "<html><body>hello</body></html>")),
        ],
    );
}
