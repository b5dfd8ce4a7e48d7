//! An expression on an event: System from the header, the rest from a tape that is filled at the
//! first step that leaves System.
//!
//! A path is true when any node it leads to is. Each part of the expression is tried at most once
//! per node of the event, so the cost is at most the product of both sizes. Recursion follows the
//! expression, whose depth is bounded, never the event.

use super::ast::{Expr, Step, Test};
use super::literal::{Number, time_of};
use super::schema::{FIELDS, Place};
use super::tape::{NodeKind, Tape};
use crate::event::{Event, EventError, Header, Part, Timestamp, Value};
use std::ops::Range;

/// What is reused from event to event.
#[derive(Debug, Default)]
pub struct Scratch {
    tape: Tape<'static>,
    text: Vec<u8>,
    joined: Vec<u8>,
}

impl Clone for Scratch {
    /// A copy starts with its own, empty, scratch.
    fn clone(&self) -> Self {
        Self::default()
    }
}

pub(in crate::filter) struct Evaluation<'s, 'e, 'a, E> {
    event: &'e E,
    now: Timestamp,
    tape: Tape<'a>,
    /// Children of Event but System, once walked.
    body: Option<Range<u32>>,
    /// The System element of an event whose System the header does not hold, once walked.
    system: Option<Range<u32>>,
    text: &'s mut Vec<u8>,
    joined: &'s mut Vec<u8>,
}

#[derive(Clone, Copy)]
enum Node {
    Root,
    Event,
    /// System as the header has it.
    System,
    Field(usize),
    Tape(u32),
}

/// Evaluates several expressions on one event, walking its body at most once.
pub(in crate::filter) fn with<'a, E: Event<'a>, T>(
    event: &E,
    now: Timestamp,
    scratch: &mut Scratch,
    ask: impl FnOnce(&mut Evaluation<'_, '_, 'a, E>) -> Result<T, EventError>,
) -> Result<T, EventError> {
    let Scratch { tape, text, joined } = scratch;
    let mut evaluation = Evaluation {
        event,
        now,
        tape: std::mem::take(tape).recycle(),
        body: None,
        system: None,
        text,
        joined,
    };
    let answer = ask(&mut evaluation);
    *tape = evaluation.tape.recycle();
    answer
}

impl<'a, E: Event<'a>> Evaluation<'_, '_, 'a, E> {
    pub(in crate::filter) fn header(&self) -> &Header<'a> {
        self.event.header()
    }

    pub(super) fn holds(&mut self, expr: &Expr) -> Result<bool, EventError> {
        self.expr(expr, Node::Root)
    }

    fn expr(&mut self, expr: &Expr, node: Node) -> Result<bool, EventError> {
        match expr {
            Expr::Or(operands) => {
                for operand in operands {
                    if self.expr(operand, node)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Expr::And(operands) => {
                for operand in operands {
                    if !self.expr(operand, node)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Expr::Exists(path)
            | Expr::Compare { path, .. }
            | Expr::Band { path, .. }
            | Expr::TimeDiff { path, .. } => self.path(&path.0, node, expr),
        }
    }

    /// Whether `steps` lead from `node` to anything for which `goal` holds.
    fn path(&mut self, steps: &[Step], node: Node, goal: &Expr) -> Result<bool, EventError> {
        let Some((step, rest)) = steps.split_first() else {
            return Ok(matches!(goal, Expr::Exists(_)) || self.value_of(node, goal));
        };
        match &step.test {
            Test::Attribute(_) | Test::AnyAttribute => Ok(self.attributes(&step.test, node, goal)),
            Test::Text => Ok(self.texts(node, goal)),
            Test::Any | Test::Name(_) => self.children(step, rest, node, goal),
        }
    }

    fn child(&mut self, step: &Step, rest: &[Step], node: Node, goal: &Expr) -> Result<bool, EventError> {
        for predicate in &step.predicates {
            if !self.expr(predicate, node)? {
                return Ok(false);
            }
        }
        self.path(rest, node, goal)
    }

    fn children(&mut self, step: &Step, rest: &[Step], node: Node, goal: &Expr) -> Result<bool, EventError> {
        match node {
            Node::Root => self.child(step, rest, Node::Event, goal),
            Node::Event => self.parts(step, rest, goal),
            Node::System => {
                let seen = self.event.header().seen;
                if let Place::Field(index) = Place::System.child(&step.test) {
                    return Ok(
                        seen.has(FIELDS[index].seen) && self.child(step, rest, Node::Field(index), goal)?
                    );
                }
                let any = matches!(step.test, Test::Any);
                for (index, field) in FIELDS.iter().enumerate() {
                    if any && seen.has(field.seen) && self.child(step, rest, Node::Field(index), goal)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            // Fields have no elements inside, or the header would be odd.
            Node::Field(_) => Ok(false),
            Node::Tape(index) => {
                let end = self.tape.nodes[index as usize].end;
                self.elements(index + 1..end, step, rest, goal)
            }
        }
    }

    /// Children of Event: System first, the body only when it did not decide.
    fn parts(&mut self, step: &Step, rest: &[Step], goal: &Expr) -> Result<bool, EventError> {
        let is_system = matches!(&step.test, Test::Name(name) if &**name == "System");
        if is_system || matches!(step.test, Test::Any) {
            let header = self.event.header();
            let held = if header.odd || header.seen.0 == 0 {
                let range = self.load(Part::System)?;
                self.elements(range, step, rest, goal)?
            } else {
                self.child(step, rest, Node::System, goal)?
            };
            if held || is_system {
                return Ok(held);
            }
        }
        let range = self.load(Part::Body)?;
        self.elements(range, step, rest, goal)
    }

    fn elements(
        &mut self,
        range: Range<u32>,
        step: &Step,
        rest: &[Step],
        goal: &Expr,
    ) -> Result<bool, EventError> {
        let mut index = range.start;
        while index < range.end {
            let node = self.tape.nodes[index as usize];
            let named = match &step.test {
                Test::Name(name) => name.as_bytes() == node.name,
                _ => true,
            };
            if node.kind == NodeKind::Element && named && self.child(step, rest, Node::Tape(index), goal)? {
                return Ok(true);
            }
            index = node.end;
        }
        Ok(false)
    }

    fn attributes(&mut self, test: &Test, node: Node, goal: &Expr) -> bool {
        let named = |name: &[u8]| match test {
            Test::Attribute(wanted) => wanted.as_bytes() == name,
            _ => true,
        };
        match node {
            Node::Field(index) => FIELDS[index].attributes.iter().any(|(name, read)| {
                let value = read(self.event.header());
                !value.is_absent() && named(name.as_bytes()) && self.reached(value, goal)
            }),
            Node::Tape(index) => {
                // Attributes come right after their element.
                let mut at = index as usize + 1;
                while let Some(&node) = self.tape.nodes.get(at) {
                    if node.kind != NodeKind::Attribute {
                        break;
                    }
                    if named(node.name) && self.reached(node.value, goal) {
                        return true;
                    }
                    at += 1;
                }
                false
            }
            Node::Root | Node::Event | Node::System => false,
        }
    }

    /// The text nodes of an element; texts that touch are one.
    fn texts(&mut self, node: Node, goal: &Expr) -> bool {
        match node {
            Node::Field(_) => {
                let value = self.own_field_text(node);
                !is_empty(value) && self.reached(value, goal)
            }
            Node::Tape(index) => {
                let end = self.tape.nodes[index as usize].end;
                let mut at = index + 1;
                while at < end {
                    let run = at;
                    while at < end && self.tape.nodes[at as usize].kind == NodeKind::Text {
                        at += 1;
                    }
                    if at > run {
                        let (held, empty) = self.joined_text(run..at, goal);
                        if held && !empty {
                            return true;
                        }
                    } else {
                        at = self.tape.nodes[at as usize].end;
                    }
                }
                false
            }
            Node::Root | Node::Event | Node::System => false,
        }
    }

    /// An element's value is the text directly in it (MS-EVEN6 2.2.15.1: no string value is made
    /// from what lies deeper).
    fn value_of(&mut self, node: Node, goal: &Expr) -> bool {
        match node {
            Node::Root | Node::Event | Node::System => self.reached(Value::Plain(b""), goal),
            Node::Field(_) => {
                let value = self.own_field_text(node);
                self.reached(value, goal)
            }
            Node::Tape(index) => {
                let end = self.tape.nodes[index as usize].end;
                self.joined_text(index + 1..end, goal).0
            }
        }
    }

    fn own_field_text(&self, node: Node) -> Value<'a> {
        let Node::Field(index) = node else { return Value::Absent };
        let value = FIELDS[index].text.map_or(Value::Absent, |read| read(self.event.header()));
        if value.is_absent() { Value::Plain(b"") } else { value }
    }

    /// Tries the texts among siblings as one value; also says whether that is empty.
    fn joined_text(&mut self, siblings: Range<u32>, goal: &Expr) -> (bool, bool) {
        let (mut first, mut joining) = (None, false);
        let mut at = siblings.start;
        self.joined.clear();
        while at < siblings.end {
            let node = self.tape.nodes[at as usize];
            if node.kind == NodeKind::Text {
                match first {
                    None => first = Some(node.value),
                    Some(first) if !joining => {
                        joining = true;
                        first.write_text(self.joined);
                        node.value.write_text(self.joined);
                    }
                    Some(_) => node.value.write_text(self.joined),
                }
            }
            at = node.end;
        }
        if !joining {
            let value = first.unwrap_or(Value::Plain(b""));
            return (self.reached(value, goal), is_empty(value));
        }
        let joined = std::mem::take(self.joined);
        let held = reached(Value::Text(&joined), goal, self.now, self.text);
        *self.joined = joined;
        (held, self.joined.is_empty())
    }

    fn reached(&mut self, value: Value<'_>, goal: &Expr) -> bool {
        reached(value, goal, self.now, self.text)
    }

    fn load(&mut self, part: Part) -> Result<Range<u32>, EventError> {
        let known = if part == Part::Body { &self.body } else { &self.system };
        if let Some(range) = known {
            return Ok(range.clone());
        }
        let start = self.tape.len();
        self.event.walk(part, &mut self.tape)?;
        if self.tape.full {
            return Err(EventError { at: 0, what: "more nodes than an XPath filter looks at" });
        }
        let range = start..self.tape.len();
        let known = if part == Part::Body { &mut self.body } else { &mut self.system };
        *known = Some(range.clone());
        Ok(range)
    }
}

fn is_empty(value: Value<'_>) -> bool {
    match value {
        Value::Absent => true,
        Value::Xml(text) | Value::Plain(text) | Value::Text(text) => text.is_empty(),
        Value::Utf16(text) | Value::Ansi(text) | Value::Binary(text) => text.is_empty(),
        _ => false,
    }
}

/// Whether the goal of a path holds for one value it leads to.
fn reached(value: Value<'_>, goal: &Expr, now: Timestamp, text: &mut Vec<u8>) -> bool {
    match goal {
        Expr::Compare { op, right, .. } => right.holds(value, *op, text),
        Expr::Band { mask, .. } => {
            let bits = Number::of(value, text).and_then(Number::bits);
            bits.zip(mask.bits()).is_some_and(|(left, right)| left & right != 0)
        }
        Expr::TimeDiff { until, op, right, .. } => time_of(value, text).is_some_and(|time| {
            let nanos = i128::from(Expr::until(until.as_ref(), now).0) - i128::from(time.0);
            Number::Whole(nanos / 1_000_000, false).order(*right).is_some_and(|order| op.holds(order))
        }),
        Expr::Exists(_) => true,
        Expr::Or(_) | Expr::And(_) => false,
    }
}
