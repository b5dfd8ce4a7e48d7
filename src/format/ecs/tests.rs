//! Golden files: `testdata/ecs/*.xml` in, `.json` out; `UPDATE=1` writes them anew. `logon.xml` is
//! record 1542 of Elastic's public test data.

use super::*;
use crate::event::{EventId, Note, Origin, Timestamp, XmlEvent};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};

fn origin() -> Origin {
    Origin {
        source: "dc".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp::parse(b"2019-03-29T21:10:41.002Z").unwrap(),
    }
}

fn encode_with(config: &Config, meta: &Meta<'_>, text: &[u8]) -> String {
    let (mut ecs, mut out) = (Ecs::new(config).unwrap(), b"before".to_vec());
    ecs.event(&XmlEvent::parse(text).unwrap(), meta, &mut out).unwrap();
    assert!(out.starts_with(b"before"));
    let json = String::from_utf8(out[6..].to_vec()).unwrap();
    let read: Json = serde_json::from_str(&json).unwrap();
    // A name twice in one object would be lost here, and refused by Elasticsearch.
    assert_eq!(members(&read), json.matches("\":").count(), "{json}");
    json
}

/// Members of all objects; texts of the tests hold no `":`.
fn members(value: &Json) -> usize {
    match value {
        Json::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Json::Array(items) => items.iter().map(members).sum(),
        _ => 0,
    }
}

fn encode(text: &[u8]) -> String {
    let origin = origin();
    encode_with(&Config::default(), &Meta { origin: Some(&origin), ..Meta::default() }, text)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata")
}

/// `winlog` of an event with this body.
#[track_caller]
fn check(body: &str, expected: Json) {
    let json = encode(format!("<Event><System/>{body}</Event>").as_bytes());
    let mut winlog: Json = serde_json::from_str::<Json>(&json).unwrap()["winlog"].take();
    winlog.as_object_mut().unwrap().remove("api");
    assert_eq!(winlog, expected, "{body}");
}

#[test]
fn every_shape_becomes_the_document_beside_it() {
    let xml = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = xml(folder().join("json")).chain(xml(folder().join("ecs"))).collect();
    inputs.retain(|path| path.extension().is_some_and(|end| end == "xml"));
    inputs.sort();
    assert!(inputs.len() > 20);
    for path in inputs {
        let json = encode(&fs::read(&path).unwrap()) + "\n";
        let golden = folder().join("ecs").join(path.with_extension("json").file_name().unwrap());
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, json).unwrap();
        } else {
            assert_eq!(json, fs::read_to_string(&golden).unwrap(), "{}", golden.display());
        }
    }
}

/// What Elastic's own example of record 1542 has, without what its ingest pipelines add or move
/// (`event.category`, `process`, `user`, …; `IpAddress` and others out of event_data).
const ELASTIC: &str = r#"{"@timestamp":"2019-03-29T21:10:40.3805426Z","ecs":{"version":"8.17.0"},"data_stream":{"type":"logs","dataset":"windows.forwarded","namespace":"default"},"tags":["forwarded"],"event":{"kind":"event","code":"4624","provider":"Microsoft-Windows-Security-Auditing","action":"Logon","outcome":"success","created":"2019-03-29T21:10:41.002Z","dataset":"windows.forwarded","module":"windows"},"host":{"name":"vagrant-2012-r2"},"log":{"level":"information"},"message":"An account was successfully logged on.\n\nSubject:\n\tSecurity ID:\t\tS-1-5-18","winlog":{"api":"wineventlog","channel":"Security","computer_name":"vagrant-2012-r2","event_id":"4624","keywords":["Audit Success"],"opcode":"Info","process":{"pid":516,"thread":{"id":556}},"provider_guid":"{54849625-5478-4994-A5BA-3E3B0328C30D}","provider_name":"Microsoft-Windows-Security-Auditing","record_id":"1542","task":"Logon","version":1,"event_data":{"AuthenticationPackageName":"Negotiate","ImpersonationLevel":"%%1833","IpAddress":"127.0.0.1","IpPort":"0","KeyLength":"0","LmPackageName":"-","LogonGuid":"{00000000-0000-0000-0000-000000000000}","LogonProcessName":"User32 ","LogonType":"2","ProcessId":"0x1c0","ProcessName":"C:\\Windows\\System32\\winlogon.exe","SubjectDomainName":"WORKGROUP","SubjectLogonId":"0x3e7","SubjectUserName":"VAGRANT-2012-R2$","SubjectUserSid":"S-1-5-18","TargetDomainName":"VAGRANT-2012-R2","TargetLogonId":"0x1008e","TargetUserName":"vagrant","TargetUserSid":"S-1-5-21-3541430928-2051711210-1391384369-1001","TransmittedServices":"-","WorkstationName":"VAGRANT-2012-R2"}}}"#;

#[test]
fn record_1542_is_what_winlogbeat_makes_of_it() {
    let text = fs::read(folder().join("ecs/logon-rendered.xml")).unwrap();
    let read = |json: &str| serde_json::from_str::<Json>(json).unwrap();
    assert_eq!(read(&encode(&text)), read(ELASTIC));
}

#[test]
fn values_without_a_name_are_called_after_their_place() {
    check(
        "<EventData><Data>a</Data><Data/><Data Name='X'>b</Data><Data Name=''>c</Data><Data Name='Data'>d</Data><Binary>00FF</Binary></EventData>",
        json!({"event_data": {"param1": "a", "X": "b", "param4": "c", "param5": "d", "Binary": "00FF"}}),
    );
    check("<EventData><Data Name='A'></Data></EventData>", json!({}));
}

#[test]
fn nothing_is_lost_to_a_name_that_is_taken() {
    check(
        "<EventData><Data Name='A'>1</Data><Data Name='A'>2</Data><Data Name='A_4'>3</Data><Data Name='A'>4</Data><Data Name='other'>5</Data></EventData>",
        json!({"event_data": {"A": "1", "A_2": "2", "A_4": "3", "other": ["A=4"], "other_5": "5"}}),
    );
}

#[test]
fn elements_and_attributes_inside_are_flattened() {
    check(
        "<EventData Name='T'><ComplexData Name='C'><Data Name='x'>1</Data><Data>2</Data></ComplexData><Data Name='P' Type='t'>3</Data></EventData>",
        json!({"event_data": {"EventData_Name": "T", "C_x": "1", "C_param2": "2", "P_Type": "t", "P": "3"}}),
    );
    check(
        "<UserData><n:Log xmlns:n='u' Kind='k'><A>1</A>\n <B><C>2</C>\n <C/><C>3</C></B><Error Code='5'>text</Error></n:Log></UserData>",
        json!({"user_data": {"xml_name": "Log", "Log_Kind": "k", "A": "1", "B_C": "2", "B_C_3": "3", "Error_Code": "5", "Error": "text"}}),
    );
    check("<UserData><Leaf>x</Leaf></UserData>", json!({"user_data": {"xml_name": "Leaf", "Leaf": "x"}}));
    check("<UserData/>", json!({}));
    check(
        "<BinaryEventData>00</BinaryEventData>",
        json!({"user_data": {"xml_name": "BinaryEventData", "BinaryEventData": "00"}}),
    );
}

#[test]
fn what_nobody_rendered_has_the_names_all_of_windows_shares() {
    let text = "<Event><System><Level>2</Level><Task>0</Task><Opcode>1</Opcode><Keywords>0x90000000000000</Keywords></System></Event>";
    let json: Json = serde_json::from_str(&encode(text.as_bytes())).unwrap();
    assert_eq!(json["log"]["level"], "error");
    assert_eq!(json["event"]["action"], "None");
    assert_eq!(json["event"]["outcome"], "failure");
    assert_eq!(
        json["winlog"],
        json!({"api": "wineventlog", "task": "None", "opcode": "Start", "keywords": ["Audit Failure", "Classic"]})
    );
    assert_eq!(json["@timestamp"], "2019-03-29T21:10:41.0020000Z");
}

#[test]
fn rendered_text_wins_and_lines_end_in_lf() {
    let text = "<Event><System><Level>0</Level></System><RenderingInfo Culture='de-DE'><Message>a&#13;&#10;b\\r\\n\r\nc</Message><Level>ÜBUNG</Level><Task></Task><Opcode/><Keywords><Keyword>Überwachung</Keyword><Keyword/></Keywords></RenderingInfo></Event>";
    let json: Json = serde_json::from_str(&encode(text.as_bytes())).unwrap();
    assert_eq!(json["message"], "a\nb\\r\\n\nc");
    assert_eq!(json["log"]["level"], "übung");
    assert_eq!(json["winlog"]["keywords"], json!(["Überwachung"]));
    assert_eq!(json["winlog"].get("task"), None);
}

#[test]
fn the_code_of_a_processing_error_is_the_documents_error() {
    let text = "<Event><System/><ProcessingErrorData><ErrorCode>15005</ErrorCode><DataItemName>x</DataItemName></ProcessingErrorData></Event>";
    let json: Json = serde_json::from_str(&encode(text.as_bytes())).unwrap();
    assert_eq!(json["error"], json!({"code": "15005"}));
    assert_eq!(json["winlog"]["user_data"]["DataItemName"], "x");
    let note = |detail: &str| Note { event: 0, kind: NoteKind::Surrogates, detail: detail.into() };
    let notes = [note("one"), note(""), note("t\"wo")];
    let meta = Meta { notes: &notes, ..Meta::default() };
    let json: Json = serde_json::from_str(&encode_with(&Config::default(), &meta, text.as_bytes())).unwrap();
    assert_eq!(json["error"], json!({"code": "15005", "message": ["one", "t\"wo"]}));
}

#[test]
fn accounts_that_every_windows_has_are_named() {
    let user = |sid: &str| {
        let text = format!("<Event><System><Security UserID='{sid}'/></System></Event>");
        serde_json::from_str::<Json>(&encode(text.as_bytes())).unwrap()["winlog"]["user"].clone()
    };
    assert_eq!(
        user("S-1-5-18"),
        json!({"identifier": "S-1-5-18", "name": "SYSTEM", "domain": "NT AUTHORITY", "type": "User"})
    );
    assert_eq!(user("S-1-5-20")["name"], "NETWORK SERVICE");
    assert_eq!(user("S-1-5-20")["type"], "Well Known Group");
    assert_eq!(user("S-1-5-21-1-2-3-500"), json!({"identifier": "S-1-5-21-1-2-3-500"}));
}

#[test]
fn the_original_the_file_and_the_namespace_are_kept_when_asked_for() {
    let text = "<Event><System><TimeCreated SystemTime='2019-03-29T21:10:40.123456789Z'/></System></Event>";
    let origin = Origin { file: Some("C:\\a.evtx".into()), ..origin() };
    let notes = [Note { event: 0, kind: NoteKind::Recovered, detail: "cut".into() }];
    let meta = Meta { origin: Some(&origin), id: Some(EventId([1; 16])), notes: &notes, ..Meta::default() };
    let config = Config { original: true, namespace: "prod".into() };
    let json: Json = serde_json::from_str(&encode_with(&config, &meta, text.as_bytes())).unwrap();
    assert_eq!(json["event"]["original"], text);
    assert_eq!(json["log"]["file"]["path"], "C:\\a.evtx");
    assert_eq!(json["data_stream"]["namespace"], "prod");
    assert_eq!(json["tags"], json!(["forwarded", "forebay_recovered"]));
    assert_eq!(json["error"], json!({"message": "cut"}));
    assert_eq!(json["@timestamp"], "2019-03-29T21:10:40.123456789Z");
}

#[test]
fn what_cannot_be_read_is_a_pipeline_error_with_its_text() {
    let (origin, mut out) = (origin(), Vec::new());
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    Ecs::new(&Config::default()).unwrap().raw(b"<Ev\"\xff\r\n", "it is cut", &meta, &mut out);
    let json: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["event"]["kind"], "pipeline_error");
    assert_eq!(json["event"]["original"], "<Ev\"\u{fffd}\r\n");
    assert_eq!(json["error"]["message"], "it is cut");
    assert_eq!(json["@timestamp"], "2019-03-29T21:10:41.0020000Z");
}

#[test]
fn names_that_multiply_stay_affordable() {
    let long = "n".repeat(2000);
    let leaves = "<a>1</a>".repeat(2000);
    let text = format!("<Event><System/><UserData><r><{long}>{leaves}</{long}></r></UserData></Event>");
    assert!(encode(text.as_bytes()).len() < 3 * text.len());
}
