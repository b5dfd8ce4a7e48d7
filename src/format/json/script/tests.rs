//! Scripts write what the nodes of the same element give, or leave it to these.

use super::*;
use crate::event::template::{Constant, ConstantKind, Op, Part};
use crate::format::json::body::{Body, Scratch};

/// Values of one event; None is NULL, and a value of `NESTED` holds elements.
#[derive(Clone, Copy)]
struct Given<'a> {
    template: &'a Template,
    values: &'a [Option<Value<'a>>],
    start: usize,
}

const NESTED: Value<'static> = Value::Xml(b"elements");

impl<'a> Instance<'a> for Given<'a> {
    fn template(&self) -> &'a Template {
        self.template
    }

    fn start(&self) -> usize {
        self.start
    }

    fn value(&self, slot: u16) -> Value<'a> {
        self.values[usize::from(slot)].unwrap_or_default()
    }

    fn is_left_out(&self, guard: u16) -> bool {
        self.values[usize::from(guard)].is_none()
    }

    fn write_number<'o>(&self, slot: u16, pen: Pen<'o>) -> Result<Pen<'o>, Pen<'o>> {
        if let Value::Unsigned(number) = self.value(slot) { Ok(pen.decimal(number)) } else { Err(pen) }
    }

    fn write_json<'o>(&self, slot: u16, pen: Pen<'o>) -> Option<Pen<'o>> {
        match self.value(slot) {
            Value::Xml(_) => None,
            value => Some(pen.with(|out| value.write_json(out))),
        }
    }
}

/// A template put together from its tags: `@name` opens an attribute, a number is a slot, `?` makes
/// it optional, `!` guards the element behind it, `/` ends one, `data:` is a fused `Data`.
fn template(tags: &[&str]) -> Template {
    let (mut ops, mut text) = (Vec::new(), Vec::new());
    let mut open: Vec<(usize, Option<usize>)> = Vec::new();
    let mut guard = None;
    let mut constant = |written: &str| {
        let start = text.len() as u32;
        text.extend_from_slice(written.as_bytes());
        Constant { start, bytes: written.len() as u32, kind: ConstantKind::Plain }
    };
    for tag in tags {
        let mut part = |written: &str| match written.trim_end_matches('?').parse() {
            Ok(slot) => Part::Slot { slot, optional: written.ends_with('?') },
            Err(_) => Part::Constant(constant(written)),
        };
        if let Some((name, value)) = tag.strip_prefix('@').and_then(|rest| rest.split_once('=')) {
            let part = part(value);
            ops.push(Op::Attribute { name: constant(name), part });
        } else if let Some(slot) = tag.strip_prefix('!') {
            guard = Some(ops.len());
            ops.push(Op::Guard { slot: slot.parse().unwrap(), skip: 1 });
        } else if let Some((name, value)) = tag.strip_prefix("data:").and_then(|rest| rest.split_once('=')) {
            let part = (!value.is_empty()).then(|| part(value));
            ops.push(Op::Data { name: constant(name), part });
            guard = None;
        } else if *tag == "/" {
            let (start, guard) = open.pop().unwrap();
            ops.push(Op::End);
            let behind = ops.len() as u32;
            if let Op::Start { end, .. } = &mut ops[start] {
                *end = behind;
            }
            if let Some(Op::Guard { skip, .. }) = guard.map(|guard: usize| &mut ops[guard]) {
                *skip = behind - start as u32;
            }
        } else if let Some(name) = tag.strip_prefix('<') {
            open.push((ops.len(), guard.take()));
            ops.push(Op::Start { name: constant(name), end: 0, distinct: false });
        } else {
            let part = part(tag);
            ops.push(Op::Text(part));
        }
    }
    Template::new(ops, Vec::new(), text)
}

/// Reports the nodes of an element, as readers do.
fn report<'a>(given: Given<'a>, visitor: &mut Body<'_>) {
    let template = given.template;
    let value = |part| match part {
        Part::Constant(constant) => template.constant(constant),
        Part::Slot { slot, .. } => given.value(slot),
    };
    let mut at = given.start;
    let end = template.behind(at);
    while at < end {
        match template.ops[at] {
            Op::Guard { slot, skip } if given.is_left_out(slot) => at += skip as usize,
            Op::Start { name, .. } => visitor.start(template.name(name)),
            Op::Attribute { part: Part::Slot { slot, optional: true }, .. } if given.is_absent(slot) => {}
            Op::Attribute { name, part } => visitor.attribute(template.name(name), value(part)),
            Op::Text(part) if value(part).is_absent() => {}
            Op::Text(part) => visitor.text(value(part)),
            Op::Data { name, part } => {
                visitor.data(template.constant(name), part.map_or(Value::Absent, value));
            }
            Op::End => visitor.end(),
            Op::Guard { .. } | Op::Joined { .. } => {}
        }
        at += 1;
    }
}

/// What a script writes as a child of Event; None where it leaves it to the nodes.
fn scripted(given: Given<'_>) -> Option<String> {
    let mut out = b"{".to_vec();
    let mut scratch = Scratch::default();
    let mut body = Body::new(&mut scratch, &mut out);
    let taken = body.instance(given);
    body.finish().unwrap();
    assert!(taken || out == b"{");
    taken.then(|| String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(tags: &[&str], values: &[Option<Value<'_>>], expected: &str) {
    let template = template(tags);
    let given = Given { template: &template, values, start: 0 };
    let mut out = b"{".to_vec();
    let mut scratch = Scratch::default();
    let mut body = Body::new(&mut scratch, &mut out);
    report(given, &mut body);
    body.finish().unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(scripted(given).as_deref(), Some(expected));
}

#[track_caller]
fn left(tags: &[&str], values: &[Option<Value<'_>>]) {
    let template = template(tags);
    assert_eq!(scripted(Given { template: &template, values, start: 0 }), None);
}

const A: Option<Value<'static>> = Some(Value::Text(b"a\""));
const NUMBER: Option<Value<'static>> = Some(Value::Unsigned(7));
const EMPTY: Option<Value<'static>> = Some(Value::Absent);

#[test]
fn event_data_is_text_with_values_in_it() {
    check(
        &["<EventData", "@Name=x", "data:B=0", "data:C=", "data:D=y", "data:E=1", "/"],
        &[A, NUMBER],
        r#"{"EventData":{"@Name":"x","B":"a\"","C":"","D":"y","E":"7"}"#,
    );
    check(&["<EventData", "/"], &[], r#"{"EventData":{}"#);
    check(
        &["<EventData", "<Data", "0", "/", "<Data", "/", "<Binary", "1", "/", "data:E=2", "/"],
        &[A, NUMBER, None],
        r#"{"EventData":{"Binary":"7","E":"","Data":["a\"",""]}"#,
    );
}

#[test]
fn what_may_be_missing_takes_its_comma_along() {
    let tags = ["<EventData", "@Name=0?", "!1", "data:B=1", "!2", "data:C=2", "data:D=3", "/"];
    check(&tags, &[EMPTY, None, None, A], r#"{"EventData":{"D":"a\""}"#);
    check(&tags, &[EMPTY, None, NUMBER, A], r#"{"EventData":{"C":"7","D":"a\""}"#);
    check(&tags, &[A, NUMBER, NUMBER, A], r#"{"EventData":{"@Name":"a\"","B":"7","C":"7","D":"a\""}"#);
    check(&tags, &[EMPTY, NUMBER, None, EMPTY], r#"{"EventData":{"B":"7","D":""}"#);
}

#[test]
fn elements_of_any_depth_follow_the_general_rules() {
    let tags = [
        "<UserData",
        "<X",
        "@xmlns=u",
        "@Y=0?",
        "<A",
        "1",
        "z",
        "/",
        "!2",
        "<B",
        "@C=c",
        "2",
        "/",
        "<D",
        "/",
        "/",
        "/",
    ];
    check(&tags, &[A, A, None], r#"{"UserData":{"X":{"@xmlns":"u","@Y":"a\"","A":"a\"z","D":""}}"#);
    check(
        &tags,
        &[EMPTY, A, NUMBER],
        r##"{"UserData":{"X":{"@xmlns":"u","A":"a\"z","B":{"@C":"c","#text":"7"},"D":""}}"##,
    );
    check(&tags, &[EMPTY, A, EMPTY], r#"{"UserData":{"X":{"@xmlns":"u","A":"a\"z","B":{"@C":"c"},"D":""}}"#);
}

#[test]
fn what_no_script_can_say_is_left_to_the_nodes() {
    left(&["<EventData", "data:A=0", "data:A=1", "/"], &[A, A]);
    left(&["<EventData", "data:#text=0", "/"], &[A]);
    left(&["<EventData", "0", "/"], &[A]);
    left(&["<EventData", "<Data", "@Type=t", "0", "/", "/"], &[A]);
    left(&["<EventData", "!0", "<Data", "0", "/", "/"], &[None]);
    left(&["<EventData", "data:A=0", "data:B=0", "/"], &[A]);
    left(&["<EventData", "data:A=0", "/"], &[Some(NESTED)]);
    left(&["<X", "<A", "/", "<A", "/", "/"], &[]);
    left(&["<X", "@A=0?", "/"], &[A]);
    left(&["<X", "t", "<A", "/", "/"], &[]);
    left(&["<X", "!0", "<A", "0", "/", "/"], &[None]);
    left(&["<RenderingInfo", "<Message", "0", "/", "/"], &[A]);
}

#[test]
fn a_second_element_of_a_name_is_left_to_the_nodes() {
    let template = template(&["<EventData", "data:A=0", "/"]);
    let given = Given { template: &template, values: &[A], start: 0 };
    let mut out = b"{".to_vec();
    let mut scratch = Scratch::default();
    let mut body = Body::new(&mut scratch, &mut out);
    assert!(body.instance(given));
    assert!(!body.instance(given));
    body.finish().unwrap();
    assert_eq!(out, br#"{"EventData":{"A":"a\""}"#);
}

#[test]
fn system_is_written_in_its_own_order() {
    let tags = [
        "<Event",
        "<System",
        "<Level",
        "2",
        "/",
        "<Provider",
        "@Guid=0?",
        "@Name=P",
        "/",
        "!1",
        "<EventID",
        "@Qualifiers=1?",
        "7",
        "/",
        "<Security",
        "@UserID=3?",
        "/",
        "<Execution",
        "@ThreadID=4?",
        "@ProcessID=5?",
        "/",
        "<TimeCreated",
        "@SystemTime=6",
        "/",
        "<Channel",
        "/",
        "/",
        "/",
    ];
    let template = template(&tags);
    let written = |values: &[Option<Value<'_>>]| {
        let mut out = Vec::new();
        assert!(SystemWriter::new(&mut out).instance(Given { template: &template, values, start: 1 }));
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        written(&[EMPTY, NUMBER, Some(Value::Text(b"4")), EMPTY, NUMBER, EMPTY, A, Some(Value::Unsigned(5))]),
        concat!(
            r#""System":{"Provider":{"Name":"P"},"EventID":5,"Qualifiers":7,"Level":4,"TimeCreated":"a\"","#,
            r#""Execution":{"ThreadID":7},"Channel":"","Security":{}}"#
        )
    );
    assert_eq!(
        written(&[A, None, Some(Value::Hex(4)), A, NUMBER, NUMBER, EMPTY, NUMBER]),
        concat!(
            r#""System":{"Provider":{"Name":"P","Guid":"a\""},"Level":"0x4","TimeCreated":"","#,
            r#""Execution":{"ProcessID":7,"ThreadID":7},"Channel":"","UserID":"a\""}"#
        )
    );
}
