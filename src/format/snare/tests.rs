//! Single rules; whole lines are golden files of the room.

use super::*;
use crate::event::{Origin, XmlEvent};

/// The fields of an event with this in System and behind it.
fn fields(system: &str, body: &str) -> Vec<String> {
    let text = format!("<Event><System>{system}</System>{body}</Event>");
    let mut out = b"before\t".to_vec();
    let mut snare = Snare::new(&Config::default());
    snare.event(&XmlEvent::parse(text.as_bytes()).unwrap(), &Meta::default(), &mut out).unwrap();
    let fields: Vec<String> = String::from_utf8(out).unwrap().split('\t').map(Into::into).collect();
    assert_eq!(fields.len(), 16, "{fields:?}");
    fields
}

#[test]
fn level_and_audit_are_criticality_and_type() {
    let of = |level: &str, keywords: &str| {
        let system = format!("<Level>{level}</Level><Keywords>{keywords}</Keywords>");
        let fields = fields(&system, "");
        (fields[2].parse::<u8>().unwrap(), fields[10].clone())
    };
    assert_eq!(of("1", "0x0"), (4, "Error".into()));
    assert_eq!(of("2", "0x0"), (3, "Error".into()));
    assert_eq!(of("3", "0x0"), (2, "Warning".into()));
    assert_eq!(of("4", "0x80000000000000"), (1, "Information".into()));
    assert_eq!(of("0", "0x8020000000000000"), (1, "Success Audit".into()));
    assert_eq!(of("0", "0x8010000000000000"), (2, "Failure Audit".into()));
}

#[test]
fn the_user_is_who_logged_on_or_who_did_it() {
    let both = "<Data Name='SubjectUserName'>DC1$</Data><Data Name='SubjectDomainName'>EX</Data>\
                <Data Name='TargetUserName'>anna</Data><Data Name='TargetDomainName'>-</Data>";
    let of = |user: &str, data: &str| {
        let system = format!("<Security UserID='{user}'/>");
        let fields = fields(&system, &format!("<EventData>{data}</EventData>"));
        (fields[8].clone(), fields[9].clone())
    };
    let pair = |user: &str, kind: &str| (user.to_owned(), kind.to_owned());
    assert_eq!(of("", both), pair("EX\\DC1$", "N/A"));
    assert_eq!(of("", &format!("{both}<Data Name='LogonType'>3</Data>")), pair("anna", "N/A"));
    assert_eq!(of("", "<Data Name='TargetUserName'>anna</Data>"), pair("anna", "N/A"));
    assert_eq!(of("S-1-5-20", ""), pair("NT AUTHORITY\\NETWORK SERVICE", "Well Known Group"));
    assert_eq!(of("S-1-5-18", ""), pair("NT AUTHORITY\\SYSTEM", "User"));
    assert_eq!(of("S-1-5-21-1-2-3-500", ""), pair("S-1-5-21-1-2-3-500", "User"));
    assert_eq!(of("", "<Data Name='SubjectUserName'>-</Data>"), pair("N/A", "N/A"));
}

#[test]
fn counters_are_the_record_id_the_first_in_32_bits() {
    let fields = fields("<EventRecordID>4294967301</EventRecordID>", "");
    assert_eq!((&*fields[4], &*fields[15]), ("5", "4294967301"));
}

#[test]
fn dates_are_written_as_asctime_does() {
    for (time, expected) in [
        ("2019-03-29T21:10:40.9Z", "Fri Mar 29 21:10:40 2019"),
        ("2024-02-29T00:00:00Z", "Thu Feb 29 00:00:00 2024"),
        ("1969-12-31T23:59:59.5Z", "Wed Dec 31 23:59:59 1969"),
        ("1700-01-01T00:00:00Z", "Fri Jan 01 00:00:00 1700"),
    ] {
        assert_eq!(fields(&format!("<TimeCreated SystemTime='{time}'/>"), "")[5], expected);
    }
}

#[test]
fn line_ends_are_two_blanks_and_tabs_one_wherever_they_stand() {
    let fields = fields(
        "<Channel>a&#9;b</Channel><Computer>c&#13;&#10;d</Computer>",
        "<RenderingInfo><Message>1\r\n\r\n2:\t\t3&#13;4&#13;</Message><Task>x\ny</Task></RenderingInfo>",
    );
    assert_eq!((&*fields[3], &*fields[11], &*fields[12]), ("a b", "c  d", "x  y"));
    assert_eq!((&*fields[13], &*fields[14]), ("", "1    2:  3  4  "));
}

#[test]
fn the_computer_stands_in_front_where_no_header_says_it() {
    let mut out = Vec::new();
    let mut snare = Snare::new(&Config { computer_first: true });
    let event = XmlEvent::parse(b"<Event><System><Computer>ws1</Computer></System></Event>").unwrap();
    snare.event(&event, &Meta::default(), &mut out).unwrap();
    assert!(out.starts_with(b"ws1\tMSWinEventLog\t1\tN/A\t0\t"));
}

#[test]
fn what_cannot_be_read_is_one_line_too() {
    let origin = Origin {
        source: "dc".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp::parse(b"2019-03-29T21:10:41.002Z").unwrap(),
    };
    let (meta, mut out) = (Meta { origin: Some(&origin), ..Meta::default() }, Vec::new());
    Snare::new(&Config::default()).raw(b"<Ev\xff\t\r\n", "it is\tcut", &meta, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert_eq!((out.split('\t').count(), out.lines().count()), (15, 1));
    assert!(
        out.contains("\tFri Mar 29 21:10:41 2019\t") && out.contains("\tit is cut: <Ev\u{fffd}   \t"),
        "{out}"
    );
}
