//! What `openwec` writes of every event there is, read back: all that the native JSON says, but for what its page
//! lists under "What is lost".

use crate::peers;
use forebay::event::XmlEvent;
use forebay::format::{Format, FormatConfig, Meta};
use serde_json::{Map, Value};

fn open(config: &str) -> Format {
    toml::from_str::<FormatConfig>(config).unwrap().open().unwrap()
}

fn object(format: &mut Format, text: &[u8]) -> Map<String, Value> {
    let mut out = Vec::new();
    format.event(&XmlEvent::parse(text).unwrap(), &Meta::default(), &mut out).unwrap();
    assert!(!out.contains(&b'\n') && !out.contains(&b'\r'));
    serde_json::from_slice(&out).unwrap()
}

/// An object without members that are empty texts.
fn said(value: Option<&Value>) -> Map<String, Value> {
    let members = value.and_then(Value::as_object).cloned().unwrap_or_default();
    members.into_iter().filter(|(_, value)| value != "").collect()
}

/// The texts of a list that are not empty.
fn texts(list: Option<Value>) -> Vec<Value> {
    let Some(Value::Array(items)) = list else { return Vec::new() };
    items.into_iter().filter(|item| item != "").collect()
}

fn system(native: &Map<String, Value>) -> Map<String, Value> {
    let mut system = said(native.get("System"));
    if let Some(number) = system.remove("Qualifiers") {
        system.insert("EventIDQualifiers".into(), number);
    }
    system.remove("Security");
    system
}

fn check(openwec: &mut Format, json: &mut Format, text: &[u8]) -> bool {
    let (mut found, mut native) = (object(openwec, text), object(json, text));
    let whole = format!("{} of {}", Value::from(found.clone()), String::from_utf8_lossy(text));
    found.remove("OpenWEC");
    if let Some(xml) = found.get("EventXML") {
        assert_eq!(object(json, xml.as_str().unwrap().as_bytes()), native, "{whole}");
        return false;
    }
    let mut theirs = said(found.remove("System").as_ref());
    // OpenWEC has a provider also where there is none.
    theirs.entry("Provider").or_insert_with(|| Map::new().into());
    let mut ours = system(&native);
    ours.entry("Provider").or_insert_with(|| Map::new().into());
    assert_eq!(theirs, ours, "{whole}");
    native.remove("System");
    if let Some(Value::Object(mut data)) = native.remove("EventData") {
        let mut theirs = found.remove("EventData").unwrap().as_object().unwrap().clone();
        let lists = (texts(theirs.remove("Data")), texts(data.remove("Data")));
        let binary = data.remove("Binary").filter(|text| text != "");
        assert_eq!((&lists.0, theirs.remove("Binary")), (&lists.1, binary), "{whole}");
        assert_eq!(theirs, data, "{whole}");
    }
    if let Some(Value::String(inside)) = found.remove("UserData") {
        let again = object(json, format!("<Event><UserData>{inside}</UserData></Event>").as_bytes());
        assert_eq!(again.get("UserData"), native.remove("UserData").as_ref(), "{whole}");
    }
    if let Some(info) = native.remove("RenderingInfo") {
        let (mut theirs, mut ours) = (said(found.remove("RenderingInfo").as_ref()), said(Some(&info)));
        assert_eq!(texts(theirs.remove("Keywords")), texts(ours.remove("Keywords")), "{whole}");
        assert_eq!(theirs, ours, "{whole}");
    }
    for (name, value) in native {
        let theirs = match found.remove(&name) {
            // Two of their elements are numbers.
            Some(Value::Object(members)) => {
                let text = |value: Value| if value.is_number() { value.to_string().into() } else { value };
                Value::Object(members.into_iter().map(|(name, value)| (name, text(value))).collect())
            }
            other => other.unwrap_or_else(|| panic!("{name} is lost: {whole}")),
        };
        match value {
            Value::Object(_) => assert_eq!(said(Some(&theirs)), said(Some(&value)), "{whole}"),
            value => assert_eq!(theirs, value, "{whole}"),
        }
    }
    assert!(found.is_empty(), "{whole}");
    true
}

#[test]
fn a_reader_finds_everything_in_what_openwec_would_write() {
    let (corpus, is_corpus) = peers::events();
    if !is_corpus {
        println!("SKIP a_reader_finds_everything_in_what_openwec_would_write, of the corpus: there is none");
    }
    let (mut openwec, mut json) = (open("openwec = {}"), open("json = {}"));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata");
    let mut made = peers::fixtures();
    for name in ["ecs/logon-rendered.xml", "lines/sysmon-process.xml", "lines/nasty.xml"] {
        made.push(std::fs::read(folder.join(name)).unwrap());
    }
    let mut bare = 0;
    for text in made.iter().chain(&corpus) {
        bare += usize::from(check(&mut openwec, &mut json, text));
    }
    println!("{bare} of {} events without their XML", made.len() + corpus.len());
    assert!(!is_corpus || bare * 10 > corpus.len() * 9, "{bare} of {}", corpus.len());
}
