//! Single rules; whole lines are golden files of the room.

use super::*;
use crate::event::{Note, NoteKind, XmlEvent};

fn encode_with(config: &str, meta: &Meta<'_>, system: &str, body: &str) -> String {
    let text = format!("<Event><System>{system}</System>{body}</Event>");
    let mut cef = Cef::new(&toml::from_str(config).unwrap()).unwrap();
    let mut out = b"before".to_vec();
    cef.event(&XmlEvent::parse(text.as_bytes()).unwrap(), meta, &mut out).unwrap();
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

/// The header's seven parts, and pairs of the extension, unescaped.
fn read(line: &str) -> (Vec<String>, Vec<(String, String)>) {
    assert_eq!(line.lines().count(), 1, "{line}");
    let (mut parts, mut chars) = (vec![String::new()], line.chars());
    while parts.len() < 8 {
        match chars.next().expect("seven separators") {
            '\\' => parts.last_mut().unwrap().push(chars.next().unwrap()),
            '|' => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    parts.pop();
    let (extension, mut pairs) = (chars.as_str(), Vec::<(String, String)>::new());
    let mut words = String::new();
    let mut chars = extension.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => words.push(match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                c @ ('\\' | '=') => c,
                c => panic!("escaped {c}: {line}"),
            }),
            '=' => {
                let key = words.rsplit(' ').next().unwrap().to_owned();
                if let Some((_, value)) = pairs.last_mut() {
                    *value = words[..words.len() - key.len() - 1].to_owned();
                }
                pairs.push((key, String::new()));
                words.clear();
            }
            c => words.push(c),
        }
    }
    pairs.last_mut().unwrap().1 = words;
    (parts, pairs)
}

fn pairs(body: &str) -> Vec<(String, String)> {
    read(&encode_with("", &Meta::default(), "", body)).1
}

/// Keys and values that the texts of EventData bring.
#[track_caller]
fn check(data: &str, expected: &[(&str, &str)]) {
    let found = pairs(&format!("<EventData>{data}</EventData>"));
    let always = ["externalId", "cs2", "cs2Label", "cs3", "cs3Label", "cs4Label"];
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .filter(|pair| !always.contains(&pair.0) && *pair != ("cs4", "-"))
        .collect();
    assert_eq!(found, expected, "{data}");
}

#[test]
fn names_of_event_data_have_the_keys_of_the_format() {
    check(
        "<Data Name='Workstation'>WS1</Data><Data Name='Status'>0xc000006d</Data><Data Name='LogonType'>3</Data>",
        &[("shost", "WS1"), ("cn1", "3"), ("cn1Label", "LogonType"), ("cs4", "0xc000006d")],
    );
    check(
        "<Data Name='DestinationIp'>192.0.2.9</Data><Data Name='DestinationPort'>443</Data><Data Name='Image'>C:\\a b.exe</Data>",
        &[("dst", "192.0.2.9"), ("dpt", "443"), ("dproc", "C:\\a b.exe")],
    );
    check(
        "<Data Name='SourceIp'>::ffff:192.0.2.7</Data><Data Name='DestinationIp'>2001:db8::1</Data>",
        &[("src", "192.0.2.7"), ("c6a3", "2001:db8::1"), ("c6a3Label", "Destination IPv6 Address")],
    );
}

#[test]
fn a_text_that_its_key_is_not_for_is_additional() {
    check(
        "<Data Name='IpAddress'>-</Data><Data Name='IpPort'>65536</Data><Data Name='LogonType'>+3</Data><Data Name='TargetUserName'>-</Data>",
        &[("ad.IpAddress", "-"), ("ad.IpPort", "65536"), ("ad.LogonType", "+3"), ("ad.TargetUserName", "-")],
    );
    check(
        "<Data Name='ProcessName'>a</Data><Data Name='ParentImage'>b</Data>",
        &[("sproc", "a"), ("ad.ParentImage", "b")],
    );
}

#[test]
fn additional_names_are_keys_each_once() {
    check(
        "<Data Name='a b=c'>1</Data><Data Name='a_b_c'>2</Data><Data Name='a_b_c'>3</Data><Data>4</Data><Data Name='x'> </Data><Data Name='ForebayNote'>5</Data>",
        &[
            ("ad.a_b_c", "1"),
            ("ad.a_b_c_2", "2"),
            ("ad.a_b_c_3", "3"),
            ("ad.param4", "4"),
            ("ad.ForebayNote_6", "5"),
        ],
    );
    let many: String = (0..200).map(|n| format!("<Data Name='n{n}'>v</Data>")).collect();
    let found = pairs(&format!("<EventData>{many}</EventData>"));
    assert_eq!(found.iter().filter(|(key, _)| key.starts_with("ad.n")).count(), ADDITIONAL_MAX);
    assert_eq!(found.last().unwrap(), &("ad.ForebayLeftOut".to_owned(), "72".to_owned()));
    let none =
        encode_with("additional = false", &Meta::default(), "", "<EventData><Data>4</Data></EventData>");
    assert!(!none.contains("ad."), "{none}");
}

#[test]
fn header_and_values_are_escaped_each_in_its_way() {
    let system = "<Provider Name='a|b\\c=d'/><EventID>1</EventID><Channel>a|b\\c=d&#10;e&#13;f</Channel>";
    let body = "<RenderingInfo><Message> x|y\\z=\n</Message></RenderingInfo>";
    let line = encode_with("version = '1|\\'", &Meta::default(), system, body);
    let expected = "CEF:0|Microsoft|Microsoft Windows|1\\|\\\\|a\\|b\\\\c=d:1|x\\|y\\\\z=|Low| externalId=1 cat=a|b\\\\c\\=d\\ne\\rf ";
    assert!(line.starts_with(expected), "{line}");
    let (header, pairs) = read(&line);
    assert_eq!(header[3..6], ["1|\\", "a|b\\c=d:1", "x|y\\z="]);
    assert_eq!(pairs.last().unwrap(), &("msg".to_owned(), "x|y\\z=".to_owned()));
    assert!(Cef::new(&Config { version: "a\nb".into(), ..Config::default() }).is_err());
}

#[test]
fn severity_is_a_word_or_a_number() {
    let of = |config: &str, level: &str, keywords: &str| {
        let system = format!("<Level>{level}</Level><Keywords>{keywords}</Keywords>");
        read(&encode_with(config, &Meta::default(), &system, "")).0[6].clone()
    };
    for (level, keywords, word, number) in [
        ("1", "0", "Very-High", "10"),
        ("2", "0", "High", "8"),
        ("3", "0", "Medium", "5"),
        ("0", "0x8010000000000000", "Medium", "5"),
        ("0", "0x8020000000000000", "Low", "2"),
        ("99", "", "Low", "2"),
        ("", "", "Low", "2"),
    ] {
        assert_eq!(of("", level, keywords), word);
        assert_eq!(of("severity = 'numbers'", level, keywords), number);
    }
}

#[test]
fn values_are_cut_where_the_format_says_so() {
    let long = "ü".repeat(3000);
    let body = format!(
        "<EventData><Data Name='TargetDomainName'>{long}</Data><Data Name='x'>{long}</Data></EventData><RenderingInfo><Message>{long}</Message></RenderingInfo>"
    );
    let line = encode_with("", &Meta::default(), &format!("<Computer>{long}</Computer>"), &body);
    let (header, pairs) = read(&line);
    let length = |key: &str| {
        let (_, value) = pairs.iter().find(|(found, _)| found == key).unwrap();
        assert!(value.ends_with("ü..."));
        value.len()
    };
    assert_eq!(["dvchost", "dhost", "dntdom", "msg", "ad.x"].map(length), [99, 1023, 255, 1023, 3999]);
    assert_eq!(header[5].len(), 511);
}

#[test]
fn what_is_to_be_known_of_an_event_is_additional() {
    let notes = [Note { event: 0, kind: NoteKind::Foreign, detail: "it says = dc2".into() }];
    let meta = Meta { notes: &notes, ..Meta::default() };
    let line = encode_with("", &meta, "<Security UserID='S-1-5-18'/>", "");
    let expected = " ad.SystemUserID=S-1-5-18 ad.SystemUserName=SYSTEM ad.ForebayNote=Foreign ad.ForebayError=it says \\= dc2";
    assert!(line.ends_with(expected), "{line}");
}

#[test]
fn what_cannot_be_read_keeps_the_start_of_its_text() {
    let (mut cef, mut out) = (Cef::new(&Config::default()).unwrap(), Vec::new());
    let text = [&b"<Ev\xff=|\\\r\n"[..], &[b'x'; 20_000]].concat();
    cef.raw(&text, "it is = cut", &Meta::default(), &mut out);
    let (header, pairs) = read(&String::from_utf8(out).unwrap());
    assert_eq!(header[4..], ["undecodable", "Event that cannot be read", "High"]);
    assert_eq!(pairs[1], ("msg".to_owned(), "it is = cut".to_owned()));
    assert_eq!(pairs[2].1.len(), RAW_BYTES_MAX);
    assert!(pairs[2].1.starts_with("<Ev\u{fffd}=|\\\r\nxx"), "{:?}", &pairs[2].1[..20]);
}
