//! Logs we write are read with the same events by readers that nobody here wrote: the `evtx`
//! crate, `evtx_dump` and libevtx's `evtxexport`; and by our own.
//!
//! What the readers themselves get wrong, so no log can hold it for them (20181227, 0.15.1):
//! libevtx fails on a text that is `&`, `<` or `>` alone, does not escape attributes, and reads
//! characters beyond U+FFFF as others; the `evtx` crate leaves out attributes that are empty.

use crate::support::live_log::LiveLog;
use forebay::event::xml::XmlEvent;
use forebay::evtx::write::{ChunkWriter, Layout, LogWriter, Options, PushError, Pushed, Unstorable};
use forebay::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES, FileHeader};
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Duration;

/// An element, for comparing what texts mean: attributes sorted, text joined, white space between
/// elements dropped.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Node>,
}

fn tree(xml: &str) -> Node {
    let document = roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    node(document.root_element())
}

fn node(element: roxmltree::Node<'_, '_>) -> Node {
    let mut attributes: Vec<_> =
        element.attributes().map(|a| (qualified(a.namespace(), a.name()), a.value().to_owned())).collect();
    attributes.sort();
    let children: Vec<_> = element.children().filter(roxmltree::Node::is_element).map(node).collect();
    let text: String =
        element.children().filter(roxmltree::Node::is_text).filter_map(|text| text.text()).collect();
    Node {
        name: qualified(element.tag_name().namespace(), element.tag_name().name()),
        attributes,
        text: if children.is_empty() { text } else { text.trim().to_owned() },
        children,
    }
}

fn qualified(namespace: Option<&str>, name: &str) -> String {
    format!("{{{}}}{name}", namespace.unwrap_or(""))
}

fn log(options: Options, events: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut log = LogWriter::create(options, &mut bytes).unwrap();
    for (index, event) in events.iter().enumerate() {
        let parsed = XmlEvent::parse(event.as_bytes()).unwrap();
        log.push(&parsed, 132_537_000_000_000_000 + index as u64, &mut bytes).unwrap();
    }
    log.close(&mut bytes).unwrap();
    bytes
}

/// Every reader that is there, with the events it finds in file order.
pub(crate) fn readers(bytes: &[u8]) -> Vec<(&'static str, Vec<String>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.evtx");
    std::fs::write(&path, bytes).unwrap();
    let mut found = vec![("forebay", by_us(bytes)), ("evtx", by_crate(bytes))];
    for (name, command) in [
        ("evtx_dump", Command::new("evtx_dump").args(["-t", "1", "-o", "xml", "--no-indent"]).arg(&path)),
        ("evtxexport", Command::new("evtxexport").args(["-f", "xml"]).arg(&path)),
    ] {
        match command.output() {
            Ok(output) => {
                assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
                found.push((name, split(&String::from_utf8_lossy(&output.stdout))));
            }
            Err(error) => {
                println!("SKIP logs_written_here_are_read_by_others: {name} does not start: {error}")
            }
        }
    }
    found
}

fn by_us(bytes: &[u8]) -> Vec<String> {
    let mut events = Vec::new();
    let mut decoder = Decoder::new();
    for chunk in bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
        let _ = decoder.chunk(chunk, 512, |event| {
            let mut xml = Vec::new();
            event.unwrap().xml(&mut xml).unwrap();
            events.push(String::from_utf8(xml).unwrap());
            ControlFlow::Continue(())
        });
    }
    events
}

fn by_crate(bytes: &[u8]) -> Vec<String> {
    let settings = evtx::ParserSettings::new().num_threads(1).indent(false).validate_checksums(true);
    let mut parser = evtx::EvtxParser::from_buffer(bytes.to_vec()).unwrap().with_configuration(settings);
    parser.records().map(|record| record.unwrap().data).collect()
}

fn split(output: &str) -> Vec<String> {
    let mut events = Vec::new();
    let mut rest = output;
    while let Some(start) = rest.find("<Event ") {
        let end = rest.find("</Event>").map_or(rest.len(), |end| end + "</Event>".len());
        events.push(rest[start..end].to_owned());
        rest = &rest[end..];
    }
    events
}

/// Whether what a reader found is the event, as far as that reader can tell.
pub(crate) fn same(reader: &str, found: &str, event: &str) -> bool {
    (reader == "evtxexport" && has_markup_in_attribute(&tree(event)))
        || tree_as(reader, found) == tree_as(reader, event)
}

/// What an event means, as far as the reader can tell.
fn tree_as(reader: &str, xml: &str) -> Node {
    match reader {
        "evtxexport" => without(tree(xml), |_| true, |c| c <= '\u{ffff}'),
        "evtx" | "evtx_dump" => without(tree(xml), |value| !value.is_empty(), |_| true),
        _ => tree(xml),
    }
}

/// The tree with these attributes and these characters only.
fn without(mut node: Node, attributes: fn(&str) -> bool, characters: fn(char) -> bool) -> Node {
    node.attributes.retain(|(_, value)| attributes(value));
    for (_, value) in &mut node.attributes {
        value.retain(characters);
    }
    node.text.retain(characters);
    node.children = node.children.into_iter().map(|child| without(child, attributes, characters)).collect();
    node
}

fn has_markup_in_attribute(node: &Node) -> bool {
    node.attributes.iter().any(|(_, value)| value.contains(['&', '<', '"']))
        || node.children.iter().any(has_markup_in_attribute)
}

#[track_caller]
fn check(what: &str, events: &[String]) {
    check_log(what, &log(Options::default(), events), events);
}

#[track_caller]
fn check_log(what: &str, bytes: &[u8], events: &[String]) {
    for (reader, found) in readers(bytes) {
        assert_eq!(found.len(), events.len(), "{what}: {reader} finds another number of events");
        for (found, event) in found.iter().zip(events) {
            assert!(same(reader, found, event), "{what}: {reader} reads\n{found}\nfor\n{event}");
        }
    }
}

fn event(id: u64, body: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='Microsoft-Windows-Security-Auditing' Guid='{{54849625-5478-4994-a5ba-3e3b0328c30d}}'/>\
         <EventID>4624</EventID><Version>2</Version><Level>0</Level><Task>12544</Task><Opcode>0</Opcode>\
         <Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2026-01-05T08:47:50.6930541Z'/>\
         <EventRecordID>{id}</EventRecordID><Correlation/><Execution ProcessID='784' ThreadID='9000'/>\
         <Channel>Security</Channel><Computer>dc1.example.org</Computer><Security/></System>{body}</Event>"
    )
}

#[test]
fn one_event_and_none() {
    check("one", &[event(1, "<EventData><Data Name='SubjectUserName'>alice</Data></EventData>")]);
    check("none", &[]);
}

#[test]
fn every_shape_of_an_event() {
    let bodies = [
        "",
        "<EventData></EventData>",
        "<EventData><Data></Data><Data>first</Data><Data/><Data>  blanks  </Data></EventData>",
        "<EventData Name='X'><Data Name='A'></Data><Data Name='A'>twice</Data><Binary>00FF</Binary></EventData>",
        "<EventData><Data Name='a b'>-</Data><ComplexData Name='C'><Data Name='i'>1</Data></ComplexData></EventData>",
        "<UserData><LogFileCleared xmlns='http://manifests.microsoft.com/win/2004/08/windows/eventlog'>\
         <SubjectUserName>bob</SubjectUserName><Empty/><Nested a='1' b=''><x y='z'>t</x><x/></Nested>\
         </LogFileCleared></UserData>",
        "<UserData><auto-ns2:EventXML xmlns:auto-ns2='http://schemas.microsoft.com/win/2004/08/events' \
         xmlns='Event_NS'><Param1>x</Param1></auto-ns2:EventXML></UserData>",
        "<EventData><Data Name='Image'>C:\\x</Data></EventData><RenderingInfo Culture='en-US'>\
         <Message>An account\r\n\r\n\tlogged on\u{200e}.\u{a0}</Message><Level>Information</Level><Task>Logon</Task>\
         <Opcode></Opcode><Channel>Security</Channel><Provider/><Keywords><Keyword>Audit Success</Keyword>\
         <Keyword/></Keywords></RenderingInfo>",
        "<DebugData><Component>c</Component><Message>m</Message></DebugData>",
        "<BinaryEventData>DEADBEEF</BinaryEventData>",
        "<ProcessingErrorData><ErrorCode>15005</ErrorCode><DataItemName>n</DataItemName>\
         <EventPayload>00</EventPayload></ProcessingErrorData>",
    ];
    let mut events: Vec<String> =
        bodies.iter().enumerate().map(|(id, body)| event(id as u64, body)).collect();
    events.push(events[2].replace("50.6930541Z", "50.693054100Z"));
    events.push(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='MSExchange CmdletLogs'/><EventID Qualifiers='16384'>1</EventID><Level>4</Level>\
         <Task>1</Task><Keywords>0x80000000000000</Keywords><TimeCreated SystemTime='2021-11-19T16:52:33Z'/>\
         <EventRecordID>3229</EventRecordID><Channel>MSExchange Management</Channel><Computer></Computer>\
         <Security UserID='S-1-5-18'/></System><EventData><Data>Set-Mailbox</Data></EventData></Event>"
            .into(),
    );
    check("shapes", &events);
}

#[test]
fn odd_characters() {
    let texts = [
        "&amp;&lt;&gt;&quot;&apos;",
        "a&amp;b &lt;c&gt; 'single' \"double\" ]]&gt;",
        "&amp;&amp;",
        "line\r\nline\nline\rline\ttab",
        "Ünïcödé 漢字 \u{1f600} \u{10ffff} \u{fffd} \u{200e}",
        "<![CDATA[<not> &markup;]]> joined <![CDATA[x]]>",
        "&#x41;&#66;&amp;amp;",
        " leading and trailing ",
    ];
    let mut events: Vec<String> = texts
        .iter()
        .map(|text| event(1, &format!("<EventData><Data Name='t'>{text}</Data></EventData>")))
        .collect();
    events.extend(
        ["&amp;x&lt;", "it&apos;s", "say \"x\"", "é&#x1f600;", ""]
            .map(|value| event(2, &format!("<UserData><x a='{value}'>t</x></UserData>"))),
    );
    events.push(event(3, "<UserData><Größe й='ж'>1</Größe></UserData>"));
    check("odd characters", &events);
}

#[test]
fn many_chunks() {
    let events: Vec<String> = (0..3000)
        .map(|id| {
            let text = "x".repeat(id as usize * 7 % 900);
            event(
                id,
                &format!(
                    "<EventData><Data Name='n'>{id}</Data><Data Name='N{}'>{text}</Data></EventData>",
                    id % 97
                ),
            )
        })
        .collect();
    check("many chunks", &events);
}

#[test]
fn values_up_to_what_a_chunk_holds() {
    let sized = |length: usize| {
        event(1, &format!("<EventData><Data Name='t'>{}</Data></EventData>", "y".repeat(length)))
    };
    // The largest that fits is found by trying: headers and names take the rest.
    let fits = |length: usize| {
        let mut bytes = Vec::new();
        let mut log = LogWriter::create(Options::default(), &mut bytes).unwrap();
        match log.push(&XmlEvent::parse(sized(length).as_bytes()).unwrap(), 0, &mut bytes) {
            Ok(_) => true,
            Err(PushError::Unstorable(Unstorable::TooLarge)) => false,
            Err(error) => panic!("{error}"),
        }
    };
    let (mut low, mut high) = (0, 40_000);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    assert!(low > 31_000, "only {low} characters fit");
    check(
        "big",
        &[event(0, ""), sized(low), event(2, ""), sized(low - 1), sized(20_000), sized(20_000), event(3, "")],
    );
}

#[test]
fn a_ring_keeps_the_newest_events() {
    let events: Vec<String> = (1..=2000)
        .map(|id| {
            event(
                id,
                &format!("<EventData><Data Name='n'>{}</Data></EventData>", "r".repeat(id as usize % 700)),
            )
        })
        .collect();
    let bytes = log(Options { chunks_max: 4, wrap: true, ..Options::default() }, &events);
    assert_eq!(bytes.len(), 4096 + 4 * 65536);
    for (reader, found) in readers(&bytes) {
        let mut ids: Vec<u64> = found.iter().map(|event| record_id(event)).collect();
        ids.sort_unstable();
        let first = ids[0];
        assert!(first > 1 && ids.iter().copied().eq(first..=2000), "{reader}: {first}");
        for found in &found {
            assert_eq!(
                tree_as(reader, found),
                tree_as(reader, &events[record_id(found) as usize - 1]),
                "{reader}"
            );
        }
    }
}

fn record_id(event: &str) -> u64 {
    let start = event.find("<EventRecordID>").unwrap() + "<EventRecordID>".len();
    event[start..start + event[start..].find('<').unwrap()].parse().unwrap()
}

#[test]
fn a_live_log_holds_every_event_while_its_file_header_is_stale() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.evtx");
    let mut log = LiveLog::create(&path, 3, Duration::ZERO).unwrap();
    for id in 1..=600 {
        log.header_first(id % 50 == 0);
        let body = format!("<EventData><Data Name='n'>{}</Data></EventData>", "l".repeat(id as usize));
        assert_eq!(log.append(&event(id, &body), 0).unwrap(), id);
    }
    let bytes = std::fs::read(&path).unwrap();
    let header = FileHeader::parse(&bytes).unwrap();
    assert_eq!((header.next_record_id, header.current_chunk, header.flags), (1, 0, 1));
    let mut ids: Vec<u64> = by_us(&bytes).iter().map(|event| record_id(event)).collect();
    ids.sort_unstable();
    let first = ids[0];
    assert!(first > 300 && ids.iter().copied().eq(first..=600), "{first}");
    assert_eq!(log.next_record_id(), 601);
    log.close().unwrap();
    let header = FileHeader::parse(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((header.next_record_id, header.chunk_count, header.flags), (601, 3, 0));
}

/// What a Windows collector stored comes out of our writer byte for byte.
#[test]
fn the_collector_layout_is_what_collectors_write() {
    let logs = crate::corpus_logs("the_collector_layout_is_what_collectors_write").unwrap_or_default();
    let mut records = 0;
    for path in logs.iter().filter(|path| path.to_string_lossy().contains("/forwarded/")) {
        let bytes = std::fs::read(path).unwrap();
        for chunk in bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
            let mut decoder = Decoder::new();
            let mut writer = ChunkWriter::new(Layout::Collector);
            let _ = decoder.chunk(chunk, 512, |event| {
                let event = event.unwrap();
                let (number, id) = (event.record_id(), event.record_id());
                let start = writer.end();
                assert_eq!(writer.push(&event, number, id, event.written()), Ok(Pushed::Stored));
                // Behind the end of a record Windows leaves what was in its buffer.
                let used = 4 + 24 + binxml_bytes(&chunk[start..writer.end()]);
                let ours = &writer.finish()[start..start + used];
                assert!(ours == &chunk[start..start + used], "{} record {id}", path.display());
                records += 1;
                ControlFlow::Continue(())
            });
        }
    }
    assert!(logs.is_empty() || records > 500, "{records}");
}

/// Bytes of the fragment of a template-less record up to its end token, header not counted.
fn binxml_bytes(record: &[u8]) -> usize {
    // Fragment header, token, size, and what the size counts.
    5 + u32::from_le_bytes([record[29], record[30], record[31], record[32]]) as usize
}

#[test]
fn the_samples_of_real_forwarded_logs_survive() {
    let logs = crate::corpus_logs("the_samples_of_real_forwarded_logs_survive").unwrap_or_default();
    for path in logs.iter().filter(|path| path.to_string_lossy().contains("/forwarded/")) {
        let events: Vec<String> = by_crate(&std::fs::read(path).unwrap())
            .iter()
            .map(|xml| xml[xml.find("<Event").unwrap()..].to_owned())
            .collect();
        check(&path.display().to_string(), &events);
    }
}

/// The same text, or the same meaning where an empty element is written in its other form.
#[test]
fn every_event_of_the_corpus_survives_being_stored() {
    let logs = crate::corpus_logs("every_event_of_the_corpus_survives_being_stored").unwrap_or_default();
    let mut events = 0;
    for path in logs.iter().filter(|path| !path.to_string_lossy().contains("/bench/")) {
        let bytes = std::fs::read(path).unwrap();
        let mut stored = Vec::new();
        let mut log = LogWriter::create(Options::default(), &mut stored).unwrap();
        let mut before = Vec::new();
        let mut decoder = Decoder::new();
        for chunk in bytes[FILE_HEADER_BYTES.min(bytes.len())..].chunks(CHUNK_BYTES) {
            let _ = decoder.chunk(chunk, 512, |found| {
                let mut xml = Vec::new();
                if found.is_ok_and(|event| event.xml(&mut xml).is_ok())
                    && let Ok(event) = XmlEvent::parse(&xml)
                    && log.push(&event, 0, &mut stored).is_ok()
                {
                    before.push(String::from_utf8(xml).unwrap());
                }
                ControlFlow::Continue(())
            });
        }
        log.close(&mut stored).unwrap();
        let after = by_us(&stored);
        assert_eq!(after.len(), before.len(), "{}", path.display());
        for (after, before) in after.iter().zip(&before) {
            let alike =
                after == before || roxmltree::Document::parse(before).is_ok() && tree(after) == tree(before);
            assert!(alike, "{}\n{after}\n{before}", path.display());
            events += 1;
        }
    }
    assert!(logs.is_empty() || events > 10_000, "{events}");
}
