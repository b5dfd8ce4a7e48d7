//! Outputs that are right, and outputs that are wrong in one way.

use super::*;
use crate::event::{Origin as From, XmlEvent};
use crate::fleet::ledger::{Ledger, Names};
use crate::fleet::pool::Origin;
use crate::format::{FormatConfig, Meta};
use crate::wsman::Subscription;

const EVENTS: u64 = 40;

/// A ledger of two hosts that each had 40 events acknowledged, but for the second's last ten.
fn ledger(folder: &Path) -> PathBuf {
    let path = folder.join("ledger");
    let head = Head {
        forebay_ledger: ledger::VERSION,
        seed: 3,
        hosts: 2,
        names: Names { prefix: "ws".into(), domain: "corp.example".into() },
        first_record: 1,
        origin: Origin::Generated { variants: 60 },
    };
    let (ledger, _) = Ledger::open(&path, &head).unwrap();
    let query = crate::wsman::QueryList::of([("Security", "*"), ("System", "*")]);
    let stream = ledger.stream(&Stream::of(&Subscription { query, ..Subscription::default() }));
    for host in 0..2 {
        ledger.write(&Entry::Log { host, events: 0..EVENTS, time: 134_000_000_000_000_000 });
        let acknowledged = EVENTS - u64::from(host) * 10;
        ledger.write(&Entry::Sent { host, stream, events: 0..acknowledged, fate: Fate::Acknowledged });
        ledger.write(&Entry::Sent { host, stream, events: acknowledged..EVENTS, fate: Fate::Unanswered });
    }
    ledger.flush().unwrap();
    path
}

fn pool(head: &Head) -> io::Result<Pool> {
    let Origin::Generated { variants } = head.origin else { panic!("generated") };
    Ok(Pool::generated(head.seed, variants, head.first_record))
}

/// All events that were acknowledged, as a pipeline writes them.
fn output(path: &Path, format: &str) -> Vec<String> {
    let verify = Verify::open(path, pool).unwrap();
    let config: FormatConfig = toml::from_str(format).unwrap();
    let mut format = config.open().unwrap();
    let origin = From {
        source: "dc".into(),
        host: Some("ws00000".into()),
        address: None,
        subscription: None,
        file: None,
        received: crate::event::Timestamp(0),
    };
    let mut lines = Vec::new();
    for (sheet, host) in verify.sheets.iter().zip(0..) {
        for n in (0..EVENTS).filter(|n| sheet.events[*n as usize].acknowledged > 0) {
            let name = verify.head.names.of(host);
            let (_, record) = verify.pool.place(n);
            let filling = Filling { record, time: sheet.log.time(n), computer: &name };
            let (mut text, mut line) = (String::new(), Vec::new());
            verify.pool.templates[verify.pool.template(host, n) as usize].write(filling, true, &mut text);
            let meta = Meta { origin: Some(&origin), ..Meta::default() };
            format.event(&XmlEvent::parse(text.as_bytes()).unwrap(), &meta, &mut line).unwrap();
            lines.push(String::from_utf8(line).unwrap());
        }
    }
    lines
}

fn verdict(ledger: &Path, lines: &[String]) -> Verdict {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    of_file(ledger, lines.as_bytes()).unwrap()
}

/// Of a file with these bytes, in a folder.
fn of_file(ledger: &Path, bytes: &[u8]) -> io::Result<Verdict> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.out"), bytes).unwrap();
    let mut verify = Verify::open(ledger, pool).unwrap();
    verify.output(folder.path(), &|_| unreachable!("it is no event log"))?;
    Ok(verify.finish())
}

/// Of an event log that holds these.
fn of_log(ledger: &Path, texts: &[String]) -> Verdict {
    let mut verify = Verify::open(ledger, pool).unwrap();
    let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.clone().into_bytes()).collect();
    verify.output(Path::new("archive/a.evtx"), &|_| Ok(texts.clone())).unwrap();
    verify.finish()
}

#[test]
fn a_whole_output_of_any_format_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    for (format, is_compared) in [
        ("json = {}", true),
        ("xml = {}", true),
        ("xml.framing = 'none'", true),
        ("ecs = {}", false),
        ("openwec = {}", false),
        ("nxlog = {}", false),
        ("flat = {}", false),
    ] {
        let lines = output(&ledger, format);
        let verdict = verdict(&ledger, &lines);
        let acknowledged = lines.len() as u64;
        assert!(verdict.is_good(), "{format}: {verdict}");
        assert_eq!(
            (verdict.acknowledged, verdict.delivered, verdict.foreign),
            (acknowledged, acknowledged, 0)
        );
        assert_eq!(verdict.compared, if is_compared { acknowledged } else { 0 }, "{format}");
        assert!(acknowledged > 30 && verdict.sent > acknowledged);
    }
}

#[test]
fn events_behind_their_lengths_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let framed = |lines: &[String]| {
        let frame = |line: &String| [&(line.len() as u32).to_be_bytes(), line.as_bytes()].concat();
        lines.iter().flat_map(frame).collect::<Vec<u8>>()
    };
    for format in ["xml.framing = 'length'", "json = {}"] {
        let mut lines = output(&ledger, format);
        // Whatever stands in it, its length says where it ends.
        lines.iter_mut().for_each(|line| *line = line.trim_end().to_owned());
        let bytes = framed(&lines);
        let good = of_file(&ledger, &bytes).unwrap();
        assert!(good.is_good() && good.compared == lines.len() as u64, "{format}: {good}");
        for cut in [1, lines.last().unwrap().len() + 1] {
            let torn = of_file(&ledger, &bytes[..bytes.len() - cut]).unwrap();
            assert_eq!((torn.is_good(), torn.lost + torn.altered), (false, 1), "{format}: {torn}");
        }
    }
    let wrong = of_file(&ledger, &[0, 0xff, 0xff, 0xff, b'<']).unwrap();
    assert_eq!((wrong.unreadable, wrong.delivered), (1, 0));
    assert!(of_file(&ledger, &[0, 0, 0, 1, b'<', 2, 0, 0, 0]).unwrap_err().to_string().contains("33554432"));
}

#[test]
fn what_an_event_log_says_in_other_quotes_is_the_same_and_another_value_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let mut texts = output(&ledger, "xml.framing = 'none'");
    let namespace = "http://schemas.microsoft.com/win/2004/08/events/event";
    let quoted = |quote| format!("xmlns={quote}{namespace}{quote}");
    for text in &mut texts {
        *text = text.trim_end().replacen(&quoted('\''), &quoted('"'), 1);
        assert!(text.contains(&quoted('"')));
    }
    let good = of_log(&ledger, &texts);
    assert!(good.is_good() && good.compared == texts.len() as u64, "{good}");
    texts[5] = texts[5].replace("Microsoft", "Macrosoft");
    let altered = of_log(&ledger, &texts);
    assert_eq!((altered.altered, altered.lost), (1, 0), "{altered}");
}

#[test]
fn each_kind_of_mistake_is_found_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    for format in ["json = {}", "xml = {}"] {
        let good = output(&ledger, format);
        let check = |change: &dyn Fn(&mut Vec<String>), expected: [u64; 6]| {
            let mut lines = good.clone();
            change(&mut lines);
            let verdict = verdict(&ledger, &lines);
            let Verdict { lost, duplicated, disordered, altered, foreign, unreadable, .. } = verdict;
            assert_eq!(
                [lost, duplicated, disordered, altered, foreign, unreadable],
                expected,
                "{format}: {verdict}"
            );
            assert!(foreign > 0 || !verdict.is_good() && !verdict.examples.is_empty(), "{verdict}");
        };
        check(&|lines| drop(lines.remove(7)), [1, 0, 0, 0, 0, 0]);
        check(&|lines| lines.push(lines[3].clone()), [0, 1, 0, 0, 0, 0]);
        check(&|lines| lines[5] = lines[5].replace("Microsoft", "Macrosoft"), [0, 0, 0, 1, 0, 0]);
        check(&|lines| lines[5] = lines[5].replace("ws00000", "other"), [1, 0, 0, 0, 1, 0]);
        check(&|lines| lines.push("half a li".into()), [0, 0, 0, 0, 0, 1]);
    }
}

#[test]
fn an_event_behind_a_later_one_is_out_of_order() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let mut lines = output(&ledger, "xml = {}");
    let of_security = |line: &String| line.contains("<Channel>Security<") && line.contains("ws00000");
    let second = lines.iter().enumerate().filter(|(_, line)| of_security(line)).nth(1).unwrap().0;
    let late = lines.remove(second);
    lines.push(late);
    assert_eq!(verdict(&ledger, &lines).disordered, 1);
}

#[test]
fn what_was_sent_without_an_ack_may_have_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let good = output(&ledger, "xml = {}");
    let mut verify = Verify::open(&ledger, pool).unwrap();
    // As if they had been acknowledged.
    let unanswered: Vec<u64> = (30..40).filter(|n| verify.sheets[1].events[*n as usize].was_sent()).collect();
    verify.sheets[1].events.iter_mut().for_each(|marks| marks.acknowledged = 0);
    let mut text = String::new();
    for n in &unanswered {
        let filling = Filling {
            record: verify.pool.place(*n).1,
            time: verify.sheets[1].log.time(*n),
            computer: "ws00001.corp.example",
        };
        verify.pool.templates[verify.pool.template(1, *n) as usize].write(filling, true, &mut text);
    }
    let lines: Vec<String> = good.iter().cloned().chain([text]).collect();
    let verdict = verdict(&ledger, &lines);
    assert!(verdict.is_good(), "{verdict}");
    assert_eq!(verdict.delivered, verdict.acknowledged + unanswered.len() as u64);
}
