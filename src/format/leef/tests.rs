//! Single rules; whole lines are golden files of the room, every event is `tests/schemas`.

use super::*;
use crate::event::{Note, NoteKind, XmlEvent};

fn encode_with(config: &str, meta: &Meta<'_>, system: &str, body: &str) -> String {
    let text = format!("<Event><System>{system}</System>{body}</Event>");
    let (mut leef, mut out) = (Leef::new(&toml::from_str(config).unwrap()).unwrap(), b"before".to_vec());
    leef.event(&XmlEvent::parse(text.as_bytes()).unwrap(), meta, &mut out).unwrap();
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

/// Attributes that the texts of EventData bring.
#[track_caller]
fn check(id: u32, data: &str, expected: &[&str]) {
    let body = format!("<EventData>{data}</EventData>");
    let line = encode_with("", &Meta::default(), &format!("<EventID>{id}</EventID>"), &body);
    let (head, attributes) = line.split_once("|x09|sev=2").unwrap();
    assert_eq!(head, format!("LEEF:2.0|Microsoft|Windows|1.0|{id}"));
    let found: Vec<&str> = attributes.split('\t').filter(|attribute| !attribute.is_empty()).collect();
    assert_eq!(found, expected, "{data}");
}

#[test]
fn predefined_keys_are_those_of_who_and_where() {
    let accounts = "<Data Name='SubjectUserName'>a</Data><Data Name='SubjectDomainName'>A</Data><Data Name='TargetUserName'>b</Data><Data Name='TargetDomainName'>B</Data>";
    check(4624, accounts, &["usrName=b", "domain=B", "SubjectUserName=a", "SubjectDomainName=A"]);
    check(4720, accounts, &["usrName=a", "domain=A", "TargetUserName=b", "TargetDomainName=B"]);
    check(
        4625,
        &accounts.replace(">b<", ">-<"),
        &["usrName=a", "domain=A", "TargetUserName=-", "TargetDomainName=B"],
    );
    check(
        5156,
        "<Data Name='SourceAddress'>::ffff:192.0.2.7</Data><Data Name='SourcePort'>80</Data><Data Name='DestAddress'>2001:db8::1</Data><Data Name='DestPort'>65536</Data><Data Name='Protocol'>6</Data>",
        &["src=192.0.2.7", "srcPort=80", "dst=2001:db8::1", "proto=6", "DestPort=65536"],
    );
    let long = "ü".repeat(200);
    check(1, &format!("<Data Name='User'>{long}</Data>"), &[&format!("User={long}")]);
}

#[test]
fn names_are_keys_each_once_and_never_predefined_ones() {
    check(
        1,
        "<Data Name='src'>1</Data><Data Name='a b=c'>2</Data><Data Name='a_b_c'>3</Data><Data Name='A_B_C'>4</Data><Data Name='level'>5</Data><Data>6</Data><Data Name='x.y-z'>7</Data><Data Name='e'/>",
        &["src_1=1", "a_b_c=2", "a_b_c_3=3", "A_B_C_4=4", "level_5=5", "param6=6", "x.y-z=7"],
    );
    let many: String = (0..600).map(|n| format!("<Data Name='n{n}'>v{n}</Data>")).collect();
    let line = encode_with("", &Meta::default(), "", &format!("<EventData>{many}</EventData>"));
    let last = line.rsplit('\t').next().unwrap();
    assert!(last.starts_with("other=n512=v512; n513=v513; ") && last.ends_with("; n599=v599"), "{last}");
}

#[test]
fn a_delimiter_or_a_control_character_in_a_value_is_a_blank() {
    let body = "<EventData><Data Name='x'>a\tb\r\nc^d&#13;=|\\é</Data></EventData>";
    let value = |config: &str| {
        let line = encode_with(config, &Meta::default(), "<EventID>a|b</EventID>", body);
        let (head, rest) = line.split_once("x=").unwrap();
        (head.to_owned(), rest.to_owned())
    };
    let (head, text) = value("");
    assert_eq!((&*head, &*text), ("LEEF:2.0|Microsoft|Windows|1.0|a_b|x09|sev=2\t", "a b c^d =|\\é"));
    let (head, text) = value("delimiter = '^'\nproduct_version = '10'");
    assert_eq!((&*head, &*text), ("LEEF:2.0|Microsoft|Windows|10|a_b|^|sev=2^", "a b c d =|\\é"));
    let (head, text) = value("delimiter = 'xa6'");
    assert_eq!((&*head, &*text), ("LEEF:2.0|Microsoft|Windows|1.0|a_b|xa6|sev=2¦", "a b c^d =|\\é"));
    assert_eq!(value("version = '1.0'").0, "LEEF:1.0|Microsoft|Windows|1.0|a_b|sev=2\t");
    let line = encode_with("delimiter = '¦'", &Meta::default(), "", &body.replace('^', "¦"));
    assert!(line.ends_with("¦x=a b c  d =|\\é"), "{line}");
}

#[test]
fn what_is_no_delimiter_or_version_is_told() {
    let open = |config: &str| Leef::new(&toml::from_str(config).unwrap()).map(|_| ());
    for config in
        ["delimiter = ''", "delimiter = 'a'", "delimiter = 'x'", "delimiter = 'x110000'", "delimiter = '='"]
    {
        assert!(open(config).unwrap_err().to_string().contains("is no delimiter"), "{config}");
    }
    assert!(open("version = '1.0'\ndelimiter = '^'").is_err());
    assert!(open("product_version = 'a|b'").unwrap_err().to_string().contains("`a|b`"));
    open("delimiter = '0x5E'").unwrap();
}

#[test]
fn system_has_keys_of_its_own() {
    let system = "<Provider Name='P' Guid='{g}'/><Level>2</Level><Keywords>0x8010000000000000</Keywords>\
                  <TimeCreated SystemTime='2019-03-29T21:10:40.3805426Z'/><EventRecordID>7</EventRecordID>\
                  <Channel>C</Channel><Computer>dc1</Computer>";
    assert_eq!(
        encode_with(
            "",
            &Meta::default(),
            system,
            "<RenderingInfo><Message>a\nb</Message><Task>t</Task></RenderingInfo>"
        ),
        "LEEF:2.0|Microsoft|Windows|1.0||x09|sev=8\tdevTime=1553893840380\tcat=C\tresource=dc1\tEventSource=P\tEventSourceGuid={g}\tLevel=2\tKeywords=0x8010000000000000\tTimeCreated=2019-03-29T21:10:40.3805426Z\tEventRecordID=7\toutcome=Failure\tmsg=a b\ttaskName=t"
    );
    let old = encode_with("", &Meta::default(), "<TimeCreated SystemTime='1999-01-01T00:00:00Z'/>", "");
    assert!(!old.contains("devTime") && old.contains("TimeCreated=1999"), "{old}");
}

#[test]
fn what_is_to_be_known_of_an_event_and_what_cannot_be_read_are_told() {
    let notes = [Note { event: 0, kind: NoteKind::Foreign, detail: "it says\tdc2".into() }];
    let meta = Meta { notes: &notes, ..Meta::default() };
    let line = encode_with("", &meta, "", "");
    assert!(line.ends_with("\tForebayNote=Foreign\tForebayError=it says dc2"), "{line}");
    let (mut leef, mut out) = (Leef::new(&Config::default()).unwrap(), Vec::new());
    leef.raw(b"<Ev\xff\r\n", "it is\tcut", &Meta::default(), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "LEEF:2.0|Forebay|Forebay|1.0|undecodable|x09|sev=5\tcat=Undecodable\tmsg=it is cut\tRaw=<Ev\u{fffd}  "
    );
}
