//! `ocsf` against the published schema, 1.8.0, and back.

use super::{events, native, number, open, put, read, same, sorted, written};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// An attribute of a class or object.
#[derive(Debug, Default)]
struct Attribute {
    kind: &'static str,
    is_array: bool,
    is_required: bool,
    needs_profile: Option<&'static str>,
    sibling: Option<&'static str>,
    captions: BTreeMap<i64, &'static str>,
}

#[derive(Debug, Default)]
struct Shape {
    category: (u64, &'static str),
    caption: &'static str,
    at_least_one: Vec<&'static str>,
    attributes: BTreeMap<&'static str, Attribute>,
}

/// Classes by number, objects by name.
struct Schema(BTreeMap<&'static str, Shape>);

impl Schema {
    fn published() -> Self {
        let (mut shapes, mut shape) = (BTreeMap::<_, Shape>::new(), "");
        for line in include_str!("../../src/format/testdata/ocsf/schema.txt").lines() {
            if let Some(rest) = line.strip_prefix("class ") {
                let (uid, rest) = rest.split_once(" category=").unwrap();
                let (category, caption) = rest.split_once(" caption=").unwrap();
                let (number, name) = category.split_once(':').unwrap();
                let category = (number.parse().unwrap(), name);
                shapes.insert(uid, Shape { category, caption, ..Shape::default() });
                shape = uid;
            } else if let Some(name) = line.strip_prefix("object ") {
                shapes.insert(name, Shape::default());
                shape = name;
            } else if let Some(names) = line.strip_prefix("  at_least_one ") {
                shapes.get_mut(shape).unwrap().at_least_one = names.split(' ').collect();
            } else if let Some(rest) = line.strip_prefix("  ") {
                let (name, attribute) = Attribute::read(rest);
                shapes.get_mut(shape).unwrap().attributes.insert(name, attribute);
            } else {
                assert!(line.starts_with('#'), "{line}");
            }
        }
        Self(shapes)
    }

    /// What is wrong with an event; the attributes that it has are added to `seen`.
    fn check(&self, event: &Value, seen: &mut BTreeSet<String>) -> Result<(), String> {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let class = event["class_uid"].as_u64().ok_or("no class_uid")?;
        let shape = self.0.get(&*class.to_string()).ok_or("a class that is not listed")?;
        let activity = event["activity_id"].as_u64().ok_or("no activity_id")?;
        if event["type_uid"].as_u64() != Some(class * 100 + activity) {
            return Err("type_uid is not that of class and activity".into());
        }
        let category = (event["category_uid"].as_u64().unwrap_or(u64::MAX), text("category_name"));
        if category != shape.category || text("class_name") != shape.caption {
            return Err(format!("{category:?} or {} is not the class's", text("class_name")));
        }
        if text("type_name") != format!("{}: {}", shape.caption, text("activity_name")) {
            return Err(format!("type_name {}", text("type_name")));
        }
        let profiles: Vec<&str> = event["metadata"]["profiles"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        self.object(shape, event, &class.to_string(), &profiles, seen)
    }

    fn object(
        &self,
        shape: &Shape,
        value: &Value,
        path: &str,
        profiles: &[&str],
        seen: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let members = value.as_object().ok_or_else(|| format!("{path} is no object"))?;
        for (name, value) in members {
            let path = format!("{path}.{name}");
            let attribute = shape.attributes.get(&**name).ok_or_else(|| format!("{path} is nobody's"))?;
            if attribute.needs_profile.is_some_and(|profile| !profiles.contains(&profile)) {
                return Err(format!("{path} is of a profile that is not named"));
            }
            attribute.named(name, value, members).map_err(|wrong| format!("{path} {wrong}"))?;
            let (list, one) = (value.as_array(), std::slice::from_ref(value));
            if attribute.is_array != list.is_some() {
                return Err(format!("{path} is a list or none: {value}"));
            }
            for item in list.map_or(one, Vec::as_slice) {
                match self.0.get(attribute.kind) {
                    Some(shape) => self.object(shape, item, &path, profiles, seen)?,
                    None if is_of_type(attribute.kind, item) => {}
                    None => return Err(format!("{path} is no {}: {item}", attribute.kind)),
                }
            }
            seen.insert(path);
        }
        for (name, attribute) in &shape.attributes {
            if attribute.is_required && attribute.needs_profile.is_none() && !members.contains_key(*name) {
                return Err(format!("{path} has no {name}"));
            }
        }
        if !shape.at_least_one.is_empty()
            && !shape.at_least_one.iter().any(|name| members.contains_key(*name))
        {
            return Err(format!("{path} has none of {:?}", shape.at_least_one));
        }
        Ok(())
    }
}

impl Attribute {
    fn read(line: &'static str) -> (&'static str, Self) {
        let (line, captions) = match line.split_once(" enum=") {
            Some((line, list)) => {
                let pair =
                    |item: &'static str| item.split_once(':').map(|(id, name)| (id.parse().unwrap(), name));
                (line, list.split(';').filter_map(pair).collect())
            }
            None => (line, BTreeMap::new()),
        };
        let words: Vec<&str> = line.split(' ').collect();
        let after = |prefix: &str| words.iter().find_map(|word| word.strip_prefix(prefix));
        let kind = words[1];
        let attribute = Self {
            kind: kind.trim_end_matches("[]"),
            is_array: kind.ends_with("[]"),
            is_required: words[2] == "required",
            needs_profile: after("profile="),
            sibling: after("sibling="),
            captions,
        };
        (words[0], attribute)
    }

    /// A number of an enumeration is one of it, and the caption beside it is its own.
    fn named(&self, name: &str, value: &Value, members: &Map<String, Value>) -> Result<(), String> {
        if self.captions.is_empty() {
            return Ok(());
        }
        let id = value.as_i64().ok_or("is no number")?;
        let caption = self.captions.get(&id).ok_or_else(|| format!("has no value {id}"))?;
        let said = self.sibling.and_then(|sibling| members.get(sibling)).and_then(Value::as_str);
        // What is 99 has a caption of its source.
        match said {
            Some(said) if id != 99 && said != *caption => Err(format!("{id} is {caption}, not {said}")),
            None => Err(format!("has no caption beside {name}")),
            _ => Ok(()),
        }
    }
}

fn is_of_type(kind: &str, value: &Value) -> bool {
    let number = value.as_i64();
    match kind {
        "integer_t" => number.is_some_and(|number| i32::try_from(number).is_ok()),
        "long_t" | "timestamp_t" => number.is_some(),
        "port_t" => number.is_some_and(|number| u16::try_from(number).is_ok()),
        "boolean_t" => value.is_boolean(),
        "object" => value.is_object(),
        "ip_t" => value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok() && text.len() <= 40),
        "string_t" | "hostname_t" | "username_t" | "file_name_t" | "file_path_t" | "file_hash_t"
        | "process_name_t" => value.is_string(),
        _ => false,
    }
}

/// How the text of a `Data` stands in the schema.
#[derive(Clone, Copy)]
enum As {
    Text,
    Hex,
    Decimal,
    /// A number of 32 bits with a sign.
    Code,
    LogonType,
    Label,
    /// `DOMAIN\name` of an object with both.
    Account,
    Hashes,
}

const LOGON: &[(&str, &str, As)] = &[
    ("SubjectUserSid", "actor/user/uid", As::Text),
    ("SubjectUserName", "actor/user/name", As::Text),
    ("SubjectDomainName", "actor/user/domain", As::Text),
    ("SubjectLogonId", "actor/session/uid", As::Text),
    ("TargetUserSid", "user/uid", As::Text),
    ("TargetUserName", "user/name", As::Text),
    ("TargetDomainName", "user/domain", As::Text),
    ("TargetLogonId", "session/uid", As::Text),
    ("LogonType", "logon_type_id", As::LogonType),
    ("AuthenticationPackageName", "auth_protocol", As::Text),
    ("WorkstationName", "src_endpoint/hostname", As::Text),
    ("IpAddress", "src_endpoint/ip", As::Text),
    ("IpPort", "src_endpoint/port", As::Decimal),
    ("ProcessId", "actor/process/pid", As::Hex),
    ("ProcessName", "actor/process/file/path", As::Text),
    ("Status", "status_code", As::Text),
    ("FailureReason", "status_detail", As::Text),
];
const EXPLICIT: &[(&str, &str, As)] = &[
    ("SubjectUserSid", "actor/user/uid", As::Text),
    ("SubjectUserName", "actor/user/name", As::Text),
    ("SubjectDomainName", "actor/user/domain", As::Text),
    ("SubjectLogonId", "actor/session/uid", As::Text),
    ("TargetUserName", "user/name", As::Text),
    ("TargetDomainName", "user/domain", As::Text),
    ("TargetServerName", "dst_endpoint/hostname", As::Text),
    ("IpAddress", "src_endpoint/ip", As::Text),
    ("IpPort", "src_endpoint/port", As::Decimal),
    ("ProcessId", "actor/process/pid", As::Hex),
    ("ProcessName", "actor/process/file/path", As::Text),
];
const TICKET: &[(&str, &str, As)] = &[
    ("TargetUserName", "user/name", As::Text),
    ("TargetDomainName", "user/domain", As::Text),
    ("TargetSid", "user/uid", As::Text),
    ("ServiceName", "service/name", As::Text),
    ("ServiceSid", "service/uid", As::Text),
    ("TicketOptions", "authentication_token/kerberos_flags", As::Text),
    ("Status", "status_code", As::Text),
    ("IpAddress", "src_endpoint/ip", As::Text),
    ("IpPort", "src_endpoint/port", As::Decimal),
];
const CREDENTIALS: &[(&str, &str, As)] = &[
    ("TargetUserName", "user/name", As::Text),
    ("Workstation", "src_endpoint/hostname", As::Text),
    ("Status", "status_code", As::Text),
];
const LAUNCH: &[(&str, &str, As)] = &[
    ("SubjectUserSid", "actor/user/uid", As::Text),
    ("SubjectUserName", "actor/user/name", As::Text),
    ("SubjectDomainName", "actor/user/domain", As::Text),
    ("SubjectLogonId", "actor/session/uid", As::Text),
    ("NewProcessId", "process/pid", As::Hex),
    ("NewProcessName", "process/file/path", As::Text),
    ("ProcessId", "process/parent_process/pid", As::Hex),
    ("ParentProcessName", "process/parent_process/file/path", As::Text),
    ("CommandLine", "process/cmd_line", As::Text),
    ("TargetUserSid", "process/user/uid", As::Text),
    ("TargetUserName", "process/user/name", As::Text),
    ("TargetDomainName", "process/user/domain", As::Text),
    ("TargetLogonId", "process/session/uid", As::Text),
    ("MandatoryLabel", "process/integrity_id", As::Label),
];
const EXIT: &[(&str, &str, As)] = &[
    ("SubjectUserSid", "actor/user/uid", As::Text),
    ("SubjectUserName", "actor/user/name", As::Text),
    ("SubjectDomainName", "actor/user/domain", As::Text),
    ("SubjectLogonId", "actor/session/uid", As::Text),
    ("Status", "exit_code", As::Code),
    ("ProcessId", "process/pid", As::Hex),
    ("ProcessName", "process/file/path", As::Text),
];
const SYSMON: &[(&str, &str, As)] = &[
    ("ProcessGuid", "process/uid", As::Text),
    ("ProcessId", "process/pid", As::Decimal),
    ("Image", "process/file/path", As::Text),
    ("FileVersion", "process/file/version", As::Text),
    ("Description", "process/file/desc", As::Text),
    ("Company", "process/file/company_name", As::Text),
    ("Product", "process/file/product/name", As::Text),
    ("OriginalFileName", "process/file/internal_name", As::Text),
    ("CommandLine", "process/cmd_line", As::Text),
    ("CurrentDirectory", "process/working_directory", As::Text),
    ("User", "process/user", As::Account),
    ("LogonId", "process/session/uid", As::Text),
    ("IntegrityLevel", "process/integrity", As::Text),
    ("Hashes", "process/file/hashes", As::Hashes),
    ("ParentProcessGuid", "process/parent_process/uid", As::Text),
    ("ParentProcessId", "process/parent_process/pid", As::Decimal),
    ("ParentImage", "process/parent_process/file/path", As::Text),
    ("ParentCommandLine", "process/parent_process/cmd_line", As::Text),
    ("ParentUser", "process/parent_process/user", As::Account),
];

impl As {
    fn text(self, value: &Value) -> String {
        let number = || value.as_i64().unwrap();
        match self {
            Self::Text => value.as_str().unwrap().to_owned(),
            Self::Hex => format!("{:#x}", number()),
            Self::Decimal => number().to_string(),
            Self::Code => format!("{:#x}", i32::try_from(number()).unwrap().cast_unsigned()),
            // The schema's number of a system logon is not that of Windows.
            Self::LogonType if number() == 1 => "0".into(),
            Self::LogonType => number().to_string(),
            Self::Label => format!("S-1-16-{}", (number() - 1) * 4096),
            Self::Account => match value["domain"].as_str() {
                Some(domain) => format!("{domain}\\{}", value["name"].as_str().unwrap()),
                None => value["name"].as_str().unwrap().to_owned(),
            },
            Self::Hashes => {
                let text = |hash: &Value| {
                    let name = hash["algorithm"].as_str().unwrap().replace("SHA-", "SHA");
                    format!("{name}={}", hash["value"].as_str().unwrap())
                };
                value.as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(",")
            }
        }
    }
}

/// Native JSON again: everything in `unmapped`, and each attribute where it is from.
fn native_again(event: &Value) -> Value {
    let mut native = event["unmapped"].clone();
    let metadata = &event["metadata"];
    for (path, value, is_number) in [
        ("System/Channel", &metadata["log_name"], false),
        ("System/Provider/Name", &metadata["log_provider"], false),
        ("System/EventID", &metadata["event_code"], true),
        ("System/Version", &metadata["log_version"], true),
        ("System/EventRecordID", &metadata["original_event_uid"], true),
        ("System/Correlation/ActivityID", &metadata["correlation_uid"], false),
        ("System/TimeCreated", &metadata["original_time"], false),
        ("System/Computer", &event["device"]["hostname"], false),
        ("Forebay/Id", &metadata["uid"], false),
        ("RenderingInfo/Message", &event["message"], false),
    ] {
        if let Some(text) = value.as_str() {
            put(&mut native, path, if is_number { number(text) } else { text.into() });
        }
    }
    let code = metadata["event_code"].as_str().unwrap_or_default();
    let data = match (event["class_uid"].as_u64().unwrap(), code) {
        (3002, "4648") => EXPLICIT,
        (3002, "4768" | "4769" | "4770" | "4771") => TICKET,
        (3002, "4776") => CREDENTIALS,
        (3002, _) => LOGON,
        (1007, "4688") => LAUNCH,
        (1007, "4689") => EXIT,
        (1007, _) => SYSMON,
        _ => {
            if let Some(uid) = event["actor"]["user"]["uid"].as_str() {
                put(&mut native, "System/UserID", uid.into());
            }
            &[]
        }
    };
    for (name, path, kind) in data {
        let found = path.split('/').try_fold(event, |value, name| value.get(name));
        if let Some(value) = found {
            put(&mut native, &format!("EventData/{name}"), kind.text(value).into());
        }
    }
    native
}

#[test]
fn every_event_is_what_the_published_schema_says_and_native_json_again() {
    let events = events("every_event_is_what_the_published_schema_says_and_native_json_again");
    let (mut ocsf, mut json, schema) = (open("ocsf = {}"), open("json = {}"), Schema::published());
    let (mut seen, mut classes) = (BTreeSet::new(), BTreeMap::<u64, usize>::new());
    for text in &events {
        let line = written(&mut ocsf, text);
        let event: Value = read(&line);
        if let Err(wrong) = schema.check(&event, &mut seen) {
            panic!("{wrong}: {}", line.chars().take(4000).collect::<String>());
        }
        *classes.entry(event["class_uid"].as_u64().unwrap()).or_default() += 1;
        same(sorted(native_again(&event)), sorted(native(&mut json, text)), &line);
    }
    println!("{} events, by class {classes:?}, {} attributes seen", events.len(), seen.len());
    // Whatever the corpus is, so that the test cannot pass by seeing little.
    for attribute in [
        "0.actor.user.uid",
        "0.unmapped",
        "1007.actor.process.pid",
        "1007.process.file.hashes.algorithm_id",
        "1007.process.integrity_id",
        "1007.process.parent_process.cmd_line",
        "3002.actor.process.file.path",
        "3002.auth_protocol_id",
        "3002.dst_endpoint.hostname",
        "3002.logon_type_id",
        "3002.metadata.original_event_uid",
        "3002.session.uid",
        "3002.src_endpoint.ip",
        "3002.status_id",
        "3002.user.name",
    ] {
        assert!(seen.contains(attribute), "{attribute} is never written");
    }
}

#[test]
fn what_could_not_be_read_and_raw_data_are_what_the_published_schema_says() {
    let (schema, mut seen, mut out) = (Schema::published(), BTreeSet::new(), Vec::new());
    open("ocsf = {}").raw(b"<Ev\xff", "it is cut", &forebay::format::Meta::default(), &mut out);
    schema.check(&serde_json::from_slice(&out).unwrap(), &mut seen).unwrap();
    let text = b"<Event><System><EventID>1</EventID></System></Event>";
    let event: Value = serde_json::from_str(&written(&mut open("ocsf.raw_data = true"), text)).unwrap();
    schema.check(&event, &mut seen).unwrap();
    assert_eq!(event["raw_data"], *str::from_utf8(text).unwrap());
}

#[test]
fn what_the_schema_does_not_say_is_noticed() {
    let schema = Schema::published();
    let text = include_bytes!("../../src/format/testdata/ecs/logon-rendered.xml");
    let good: Value = serde_json::from_str(&written(&mut open("ocsf = {}"), text)).unwrap();
    schema.check(&good, &mut BTreeSet::new()).unwrap();
    let wrong = |path: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(path).unwrap() = value;
        schema.check(&event, &mut BTreeSet::new()).unwrap_err()
    };
    assert_eq!(wrong("/type_uid", json!(300_202)), "type_uid is not that of class and activity");
    assert_eq!(wrong("/logon_type_id", json!(6)), "3002.logon_type_id has no value 6");
    assert_eq!(wrong("/logon_type", json!("Network")), "3002.logon_type_id 2 is Interactive, not Network");
    assert_eq!(
        wrong("/user", json!({"domain": "D"})),
        "3002.user has none of [\"account\", \"name\", \"uid\"]"
    );
    assert_eq!(wrong("/device", json!({"hostname": "a"})), "3002.device has no type_id");
    assert_eq!(wrong("/time", json!("now")), "3002.time is no timestamp_t: \"now\"");
    assert_eq!(wrong("/session", json!({"id": "1"})), "3002.session.id is nobody's");
    assert_eq!(wrong("/metadata/profiles", json!([])), "3002.device is of a profile that is not named");
    let mut event = good.clone();
    event.as_object_mut().unwrap().remove("dst_endpoint");
    let told = schema.check(&event, &mut BTreeSet::new()).unwrap_err();
    assert_eq!(told, "3002 has none of [\"service\", \"dst_endpoint\"]");
}
