//! What was written in, what a host gets and what is told out.

use super::*;
use crate::auth::{MachineKey, Principal, Scheme};
use crate::wsman::subscription::{Endpoint, Policy};

fn written(text: &str) -> BTreeMap<String, Config> {
    toml::from_str(text).unwrap()
}

fn open(text: &str) -> Subscriptions {
    Subscriptions::open("dc", &written(text)).unwrap()
}

fn one(text: &str) -> Subscribed {
    let mut all = open(text).0;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn version(text: &str) -> Guid {
    let endpoint = Endpoint { address: "http://c:5985/x".into(), policy: Policy::Open };
    one(text).subscription.version(&endpoint)
}

/// Channel and expression of each Select, those of a Suppress with a `!` in front.
fn selects(text: &str) -> Vec<(String, String)> {
    let subscribed = one(text);
    let parts = subscribed.subscription.query.parts();
    let is_select = |kind| kind == crate::wsman::query::PartKind::Select;
    parts
        .map(|(channel, part)| {
            let not = if is_select(part.kind) { "" } else { "!" };
            (channel.to_owned(), format!("{not}{}", part.xpath))
        })
        .collect()
}

fn doubts(text: &str) -> Vec<String> {
    check("dc", &written(text)).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn told(text: &str, part: &str) {
    let doubts = doubts(text);
    assert!(doubts.len() == 1 && doubts[0].contains(part), "{part}: {doubts:?}");
}

fn principal(name: &str) -> Principal {
    Principal { name: name.into(), machine: MachineKey::parse(name).unwrap(), scheme: Scheme::Basic }
}

const LOGONS: &str = "[logons]\nquery.channels = { Security = [4624, 4625] }\n";

#[test]
fn channels_with_ids_are_a_query_as_event_viewer_writes_it() {
    assert_eq!(
        selects("[a]\nquery.channels = { System = '*', Security = [4625, 4624, '4700-4799', 4702, 4634], Setup = 1 }\n"),
        [
            (
                "Security".into(),
                "*[System[(EventID=4624 or EventID=4625 or EventID=4634 or (EventID >= 4700 and EventID <= 4799))]]".into()
            ),
            ("Setup".into(), "*[System[(EventID=1)]]".into()),
            ("System".into(), "*".into()),
        ]
    );
    assert_eq!(doubts(LOGONS), [] as [String; 0]);
}

#[test]
fn long_lists_of_ids_are_split_as_hosts_need_it() {
    let ids: Vec<String> = (0..50).map(|id| (2 * id).to_string()).collect();
    let selects = selects(&format!("[a]\nquery.channels = {{ Security = [{}] }}\n", ids.join(",")));
    let counts: Vec<usize> = selects.iter().map(|(_, xpath)| xpath.matches("EventID").count()).collect();
    assert_eq!(counts, [20, 20, 10]);
    assert_eq!(selects[2].1.matches("EventID=98").count(), 1);
}

#[test]
fn expressions_stay_as_they_were_written_unless_they_are_too_long() {
    let xpath = "*[System[ (Level  = 1) ]]";
    let text =
        format!("[a]\nquery.xpath.System = ['{xpath}']\nquery.suppress.System = '*[System[EventID=7036]]'\n");
    let expected =
        [("System".to_owned(), xpath.to_owned()), ("System".into(), "!*[System[EventID=7036]]".into())];
    assert_eq!(selects(&text), expected);
    let long = (0..30).map(|id| format!("EventID={id}")).collect::<Vec<_>>().join(" or ");
    let split = selects(&format!("[a]\nquery.xpath.System = '*[System[Level=2 and ({long})]]'\n"));
    assert_eq!(split.len(), 2);
    assert!(split.iter().all(|(_, xpath)| xpath.starts_with("*[System[Level=2 and (EventID=")), "{split:?}");
    let together = (0..23).map(|id| format!("EventID!={id}")).collect::<Vec<_>>().join(" and ");
    told(&format!("[a]\nquery.xpath.System = '*[System[{together}]]'\n"), "23 comparisons");
}

#[test]
fn a_query_list_is_taken_as_windows_exports_it() {
    const LIST: &str = "<QueryList><Query Id=\"0\" Path=\"Security\"><Select Path=\"Security\">*[System[EventID=1]]</Select></Query></QueryList>";
    let view = format!(
        "<ViewerConfig><QueryConfig><QueryNode><Name>x</Name>{LIST}</QueryNode></QueryConfig></ViewerConfig>"
    );
    let cdata = format!(
        "<Subscription xmlns='http://schemas.microsoft.com/2006/03/windows/events/subscription'><Query><![CDATA[{LIST}]]></Query></Subscription>"
    );
    let escaped = format!(
        "<Subscription><Query>{}</Query></Subscription>",
        LIST.replace('<', "&lt;").replace('>', "&gt;")
    );
    for xml in [LIST, &view, &cdata, &escaped] {
        let expected = [("Security".to_owned(), "*[System[EventID=1]]".to_owned())];
        assert_eq!(selects(&format!("[a]\nquery.xml = '''{xml}'''\n")), expected, "{xml}");
        let mut config = written("[a]\nquery.file = 'a.xml'\n");
        let utf16: Vec<u8> = format!("\u{feff}{xml}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        config.get_mut("a").unwrap().query.take_file(&utf16).unwrap();
        let opened = Subscriptions::open("dc", &config).unwrap();
        assert_eq!(opened.0[0].subscription.query.channels(), ["Security"]);
    }
    told("[a]\nquery.xml = '<a/>'\n", "no query list");
    told(
        "[a]\nquery.xml = '<QueryList><Query Path=\"System\"><Select>*[</Select></Query></QueryList>'\n",
        "query.xml: Query 1, Select 1 (`System`): ",
    );
}

#[test]
fn the_way_it_is_written_is_not_its_version() {
    let same = version(LOGONS);
    for text in [
        "[logons]\nquery = { channels = { Security = ['4624-4625'] } }\n",
        "[logons]\nquery.channels.Security = [4625, 4624, 4624]\nmax_time = '30s'\nheartbeat = '1h'\nlocale = 'en-US'\n",
        "[logons]\nquery.channels.Security = [4624, 4625]\nenabled_for.deny = 'old-*'\nuri = '/wsman/x'\npreset = 'min-latency'\n",
        "[logons]\nquery.channels.Security = [4624, 4625]\nid = '219C5353-5F3D-4CD7-A644-F6B69E57C1C1'\n",
    ] {
        assert_eq!(version(text), same, "{text}");
    }
    for change in [
        "max_time = '31s'",
        "preset = 'normal'",
        "heartbeat = '2h'",
        "max_elements = 10",
        "max_envelope = '400KiB'",
        "oversize = 'skip'",
        "format = 'raw'",
        "locale = 'de-DE'",
        "data_locale = 'host'",
        "read_existing = true",
        "compression = false",
        "retry.total = 6",
        "expires = '1d'",
        "query.xpath.System = '*'",
    ] {
        assert_ne!(version(&format!("{LOGONS}{change}\n")), same, "{change}");
    }
}

#[test]
fn an_id_is_made_of_names_or_written_down() {
    let first = one(LOGONS).id;
    assert_eq!(one("[logons]\nquery.channels.System = '*'\n").id, first);
    assert_ne!(Subscriptions::open("other", &written(LOGONS)).unwrap().0[0].id, first);
    let renamed = format!("[renamed]\nid = '{first}'\nquery.channels.System = '*'\n");
    let opened = open(&renamed);
    assert_eq!(opened.by_id(first).map(|found| &*found.name), Some("renamed"));
    assert!(opened.by_id(Guid([0; 16])).is_none());
    told("[a]\nid = 'x'\nquery.channels.System = '*'\n", "id: this is no GUID");
}

#[test]
fn a_machine_gets_what_is_for_it_by_whatever_name_and_where_it_asks() {
    let all = open(
        "[all]\nquery.channels.System = '*'\n\
         [dcs]\nquery.channels.Security = '*'\nenabled_for = { allow = ['DC[0-9]*', '*.dc.example.org'], deny = 'dc9*' }\n\
         [path]\nquery.channels.Setup = '*'\nuri = '/wsman/Servers/'\nenabled_for.deny = 'accounting-serv.example.org'\n",
    );
    let names = |name: &str, path: &str| -> Vec<String> {
        let Principal { name, machine, .. } = principal(name);
        all.for_machine(&name, &machine, path).map(|found| found.name.to_string()).collect()
    };
    assert_eq!(names("pc1.example.org", "/wsman/SubscriptionManager/WEC"), ["all"]);
    assert_eq!(names("DC1$@EXAMPLE.ORG", "/wsman"), ["all", "dcs"]);
    assert_eq!(names("host/dc1.example.org@EXAMPLE.ORG", "/wsman"), ["all", "dcs"]);
    assert_eq!(names("x.dc.example.org", "/WSMAN/servers?x=1"), ["all", "dcs", "path"]);
    assert_eq!(names("DC9.example.org", "/wsman/servers"), ["all", "path"]);
    assert_eq!(names("ACCOUNTING-SERV$@EXAMPLE.ORG", "/wsman/servers"), ["all"]);
    let dcs = all.0.iter().find(|one| &*one.name == "dcs").unwrap();
    let is_for = |name: &str| dcs.is_for(name, &MachineKey::parse(name).unwrap());
    assert!(!is_for("pc1.example.org") && is_for("dc1.example.org"));
}

#[test]
fn what_hosts_would_not_say_is_told_at_its_key() {
    let system = "query.channels.System = '*'";
    for (text, part) in [
        ("query = {}", "`a`: query: nothing is asked for"),
        ("query = { channels = { System = '*' }, xml = 'x' }", "query: events are asked for in two ways"),
        ("query.channels.System = []", "query.channels.System: no event ids"),
        ("query.channels.Sytem = 1", "query.channels.Sytem: `Sytem` is no channel that Windows has"),
        (
            "query.channels.'A/Debug' = 1\nown_channels = 'a/debug'",
            "query.channels.A/Debug: `A/Debug` looks like",
        ),
        ("query.channels.'Sec*' = 1\nown_channels = 'Sec*'", "has a wildcard"),
        ("query.xpath.System = '*[System[EventID=1]'", "query.xpath.System: at byte 19: `]` is missing"),
        ("query.xpath.System = '*[System[EventId=1]]'", "Windows writes `EventID`, not `EventId`"),
        (
            "query.channels.System = 1\nquery.suppress.Setup = '*'",
            "query.suppress.Setup: a Suppress for `Setup`",
        ),
        (&format!("{system}\nmax_elements = 0"), "max_elements: batches of at most 0"),
        (&format!("{system}\nmax_envelope = '1KiB'"), "max_envelope: envelopes of 1024 bytes"),
        (&format!("{system}\nheartbeat = '0s'"), "heartbeat: the heartbeat interval is nought"),
        (&format!("{system}\nheartbeat = '50d'"), "heartbeat: longer than hosts can count"),
        (&format!("{system}\nexpires = '0s'"), "expires: hosts would give it up at once"),
        (&format!("{system}\nretry.total = 0"), "retry: retries and their interval"),
        (&format!("{system}\nlocale = 'english language'"), "locale: `english language` is no language"),
        (&format!("{system}\ndata_locale = 'x_y'"), "data_locale: `x_y`"),
        (&format!("{system}\nuri = 'http://a/b'"), "uri: this is no path"),
        (&format!("{system}\nenabled_for.allow = ['a***']"), "enabled_for.allow: `a***` is no pattern"),
        (&format!("{system}\nenabled_for.deny = ' '"), "enabled_for.deny: `` is no name"),
    ] {
        told(&format!("[a]\n{text}\n"), part);
    }
    let many: Vec<String> = (0..257).map(|number| format!("c{number} = 1")).collect();
    let own: Vec<String> = (0..257).map(|number| format!("'c{number}'")).collect();
    told(
        &format!("[a]\nown_channels = [{}]\n[a.query.channels]\n{}\n", own.join(","), many.join("\n")),
        "query: 257 channels in one subscription; hosts take 256",
    );
    let long = "x".repeat(129);
    told(&format!("[{long}]\n{system}\n"), "the name has 129 characters");
}

#[test]
fn hosts_tell_subscriptions_apart_and_get_all_of_them_in_one_answer() {
    told(&format!("{LOGONS}[Logons]\nquery.channels.System = '*'\n"), "has the same name but for its case");
    let id = "id = '219C5353-5F3D-4CD7-A644-F6B69E57C1C1'";
    told(
        &format!("[a]\n{id}\nquery.channels.System = 1\n[b]\n{id}\nquery.channels.System = 1\n"),
        "id: `a` has the same",
    );
    let ids: Vec<String> = (0..8000).map(|id| (2 * id).to_string()).collect();
    let query = format!("query.channels.Security = [{}]\n", ids.join(","));
    let two = format!("[a]\n{query}[b]\n{query}");
    told(&two, "every host gets");
    told(&format!("{two}enabled_for.allow = 'dc*'\n"), "a host that gets all");
    assert_eq!(doubts(&format!("[a]\nuri = '/a'\n{query}[b]\nuri = '/b'\n{query}")), [] as [String; 0]);
}
