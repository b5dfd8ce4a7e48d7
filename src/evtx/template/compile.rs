//! A template's tokens to a program.

use super::Definition;
use crate::event::template::{Constant, ConstantKind, Op, Part};
use crate::event::xml::EVENT_XMLNS;
use crate::event::{EventError, Template, Value};
use crate::evtx::cursor::Cursor;
use crate::evtx::names::Names;
use crate::evtx::program::{EventPlan, HeaderPlan, NameRef, Planned, Program};
use crate::evtx::system;
use crate::evtx::walk::{DEPTH_MAX, literal, token};

/// Element without a dependency.
const INDEPENDENT: u16 = 0xffff;

pub(super) fn compile(names: &Names, definition: &Definition<'_>) -> Result<Program, EventError> {
    // Room for the usual: pieces that grow leave holes behind them.
    let body = definition.body().len();
    let mut draft = Draft {
        names,
        chunk: definition.chunk,
        start: definition.start,
        cursor: Cursor::new(definition.chunk, definition.start..definition.end),
        ops: Vec::with_capacity(body / 16),
        parts: Vec::new(),
        text: Vec::with_capacity(body / 2),
        refs: Vec::with_capacity(body / 16),
        open: Vec::new(),
        closed: false,
    };
    draft.tokens()?;
    let template = Template::new(draft.ops, draft.parts, draft.text);
    Ok(Program {
        guid: definition.guid,
        body: definition.body().into(),
        names: draft.refs.into(),
        event: plan(&template),
        template,
    })
}

struct Draft<'c, 'n> {
    names: &'n Names,
    chunk: &'c [u8],
    start: usize,
    cursor: Cursor<'c>,
    ops: Vec<Op>,
    parts: Vec<Part>,
    text: Vec<u8>,
    refs: Vec<NameRef>,
    /// Open elements: where their guard, if they have one, and their start stand.
    open: Vec<(Option<usize>, usize)>,
    closed: bool,
}

impl Draft<'_, '_> {
    fn tokens(&mut self) -> Result<(), EventError> {
        while self.cursor.left() > 0 {
            match self.cursor.u8()? {
                token::END => break,
                token::FRAGMENT => {
                    self.cursor.take(3)?;
                }
                token @ (token::OPEN | token::OPEN_ATTRIBUTES) => self.element(token)?,
                token::CLOSE => self.close()?,
                token::PI_TARGET => {
                    self.name()?;
                }
                token::PI_DATA => {
                    let units = usize::from(self.cursor.u16()?);
                    self.cursor.take(units * 2)?;
                }
                token => match self.part(token)? {
                    Some(_) if self.open.is_empty() => {
                        return Err(self.cursor.fail("a template has text outside of its element"));
                    }
                    // An empty text is none.
                    Some(Part::Constant(constant)) if constant.bytes == 0 => {}
                    Some(part) => self.ops.push(Op::Text(part)),
                    None => return Err(self.cursor.fail("a template holds an unknown token")),
                },
            }
        }
        if !self.open.is_empty() || !self.closed {
            return Err(self.cursor.fail("a template's element is left open"));
        }
        Ok(())
    }

    fn element(&mut self, token: u8) -> Result<(), EventError> {
        if self.open.len() >= DEPTH_MAX || (self.closed && self.open.is_empty()) {
            return Err(self.cursor.fail("a template's elements are nested too deeply or have no root"));
        }
        let dependency = self.cursor.u16()?;
        self.cursor.u32()?;
        let name = self.name()?;
        if token == token::OPEN_ATTRIBUTES {
            self.cursor.u32()?;
        }
        // MS-EVEN6 2.2.12: an element is left out when the value it depends on is NULL. The root
        // has nothing to be left out of.
        let guard = (dependency != INDEPENDENT && !self.open.is_empty()).then(|| {
            self.ops.push(Op::Guard { slot: dependency, skip: 0 });
            self.ops.len() - 1
        });
        self.open.push((guard, self.ops.len()));
        self.ops.push(Op::Start { name, end: 0, distinct: false });
        loop {
            match self.cursor.u8()? {
                token::ATTRIBUTE | token::ATTRIBUTE_MORE => self.attribute()?,
                token::CLOSE_START => return Ok(()),
                token::CLOSE_EMPTY => return self.close(),
                _ => return Err(self.cursor.fail("a template holds an unknown token in a tag")),
            }
        }
    }

    fn attribute(&mut self) -> Result<(), EventError> {
        let name = self.name()?;
        let first = self.parts.len();
        while let Some(token) = self.cursor.peek().filter(|&byte| token::is_value(byte)) {
            self.cursor.u8()?;
            let part = self.part(token)?.ok_or_else(|| self.cursor.fail("an attribute holds an element"))?;
            self.parts.push(part);
        }
        match self.parts[first..] {
            [] => {}
            [part] => {
                self.parts.truncate(first);
                self.ops.push(Op::Attribute { name, part });
            }
            _ => {
                let count = (self.parts.len() - first) as u32;
                self.ops.push(Op::Joined { name, first: first as u32, count });
            }
        }
        Ok(())
    }

    /// A piece of text or a substitution; None: the token is neither.
    fn part(&mut self, token: u8) -> Result<Option<Part>, EventError> {
        if let token::SUBSTITUTION | token::OPTIONAL = token {
            let slot = self.cursor.u16()?;
            self.cursor.u8()?;
            return Ok(Some(Part::Slot { slot, optional: token == token::OPTIONAL }));
        }
        if let token::ENTITY | token::ENTITY_MORE = token {
            let name = self.name()?;
            let written = self.text[name.start as usize..].to_vec();
            self.text.truncate(name.start as usize);
            let reference = [b"&", &written[..], b";"].concat();
            let start = self.text.len();
            crate::event::text::decode_xml(&reference, &mut self.text);
            return Ok(Some(Part::Constant(self.constant(start, ConstantKind::Text))));
        }
        let Some(value) = literal(&mut self.cursor, token)? else { return Ok(None) };
        let start = self.text.len();
        match value {
            Value::Utf16(units) => {
                value.write_text(&mut self.text);
                if self.text[start..].iter().all(|&byte| is_plain(byte)) {
                    return Ok(Some(Part::Constant(self.constant(start, ConstantKind::Plain))));
                }
                self.text.truncate(start);
                self.text.extend_from_slice(units);
                Ok(Some(Part::Constant(self.constant(start, ConstantKind::Utf16))))
            }
            _ => {
                value.write_text(&mut self.text);
                Ok(Some(Part::Constant(self.constant(start, ConstantKind::Text))))
            }
        }
    }

    fn constant(&self, start: usize, kind: ConstantKind) -> Constant {
        Constant { start: start as u32, bytes: (self.text.len() - start) as u32, kind }
    }

    fn name(&mut self) -> Result<Constant, EventError> {
        let at = (self.cursor.at - self.start) as u32;
        let (offset, inline) = self.cursor.name()?;
        let id = self.names.resolve(self.chunk, offset).map_err(|what| self.cursor.fail(what))?;
        self.refs.push(NameRef { at, inline, id });
        let start = self.text.len();
        self.text.extend_from_slice(self.names.name(id));
        Ok(self.constant(start, ConstantKind::Plain))
    }

    fn close(&mut self) -> Result<(), EventError> {
        let Some((guard, start)) = self.open.pop() else {
            return Err(self.cursor.fail("a template closes an element that it did not open"));
        };
        self.closed |= self.open.is_empty();
        self.ops.push(Op::End);
        self.fuse(start);
        let behind = self.ops.len() as u32;
        let holds_distinct = self.holds_distinct(start);
        if let Op::Start { end, distinct, .. } = &mut self.ops[start] {
            *end = behind;
            *distinct = holds_distinct;
        }
        if let Some(guard) = guard
            && let Op::Guard { skip, .. } = &mut self.ops[guard]
        {
            *skip = behind - guard as u32 - 1;
        }
        Ok(())
    }

    /// Whether the element is a list of `Data` with different names, of a usual length.
    fn holds_distinct(&self, start: usize) -> bool {
        const USUAL_MAX: usize = 128;
        let Some([data @ .., Op::End]) = self.ops.get(start + 1..) else { return false };
        if data.len() > USUAL_MAX {
            return false;
        }
        let text = |name: &Constant| &self.text[name.start as usize..(name.start + name.bytes) as usize];
        data.iter().enumerate().all(|(index, op)| {
            let Op::Data { name, .. } = op else { return false };
            data[..index]
                .iter()
                .all(|before| matches!(before, Op::Data { name: other, .. } if text(other) != text(name)))
        })
    }

    /// `<Data Name='constant'>at most one part</Data>` in one operation.
    fn fuse(&mut self, start: usize) {
        let is = |constant: Constant, text: &[u8]| {
            self.text[constant.start as usize..].starts_with(text) && constant.bytes as usize == text.len()
        };
        let (
            Op::Start { name: element, .. },
            Some(Op::Attribute { name: attribute, part: Part::Constant(name) }),
        ) = (self.ops[start], self.ops.get(start + 1).copied())
        else {
            return;
        };
        let part = match self.ops[start + 2..] {
            [Op::End] => None,
            [Op::Text(part), Op::End] => Some(part),
            _ => return,
        };
        if is(element, b"Data") && is(attribute, b"Name") && name.bytes > 0 {
            self.ops.truncate(start);
            self.ops.push(Op::Data { name, part });
        }
    }
}

/// Nothing any format escapes.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f && !matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | b'\\')
}

/// Where System stands, when the template is `<Event …><System>…</System>…</Event>`.
fn plan(template: &Template) -> Option<EventPlan> {
    let Op::Start { name, end, .. } = *template.ops.first()? else { return None };
    if template.name(name) != b"Event" {
        return None;
    }
    let last = end as usize - 1;
    let first = 1 + template.ops[1..]
        .iter()
        .take_while(|op| matches!(op, Op::Attribute { .. } | Op::Joined { .. }))
        .count();
    let mut at = first;
    let mut system = None;
    while at < last {
        let next = template.behind(at);
        if let Op::Start { name, .. } = template.ops[at]
            && template.name(name) == b"System"
            && system.replace(at..next).is_some()
        {
            return None;
        }
        at = next;
    }
    let system = system?;
    let body = [first..system.start, system.end..last];
    let header = header(template, &system);
    let usual = |op: &Op| match *op {
        Op::Attribute { name, part: Part::Constant(value) } => {
            template.name(name) == b"xmlns" && matches!(template.constant(value), Value::Plain(EVENT_XMLNS))
        }
        _ => false,
    };
    let odd = !template.ops[1..first].iter().all(usual);
    Some(EventPlan { system, body, header, odd })
}

/// The fields of System; None when it holds something that is no field.
fn header(template: &Template, system: &std::ops::Range<usize>) -> Option<HeaderPlan> {
    let mut plan = HeaderPlan::default();
    let mut at = system.start + 1;
    while at < system.end - 1 {
        let mut guard = None;
        if let Op::Guard { slot, .. } = template.ops[at] {
            guard = Some(slot);
            at += 1;
        }
        let Op::Start { name, end, .. } = template.ops[at] else { return None };
        let (bit, text) = system::element(template.name(name))?;
        if plan.seen & bit != 0 || plan.guarded.iter().any(|(_, seen)| *seen == bit) {
            return None;
        }
        match guard {
            Some(slot) => plan.guarded.push((slot, bit)),
            None => plan.seen |= bit,
        }
        let mut content = None;
        for op in &template.ops[at + 1..end as usize - 1] {
            let planned = match *op {
                Op::Attribute { name, part } => {
                    let field = system::attribute(bit, template.name(name))?;
                    Planned { field, part: Some(part), guard }
                }
                Op::Text(part) if content.is_none() => {
                    content = Some(part);
                    continue;
                }
                _ => return None,
            };
            if plan.fields.iter().any(|known| known.field == planned.field) {
                return None;
            }
            plan.fields.push(planned);
        }
        match (text, content) {
            (Some(field), part) => plan.fields.push(Planned { field, part: part.map(never_optional), guard }),
            (None, Some(_)) => return None,
            (None, None) => {}
        }
        at = end as usize;
    }
    Some(plan)
}

/// An element is there also when its text is not.
fn never_optional(part: Part) -> Part {
    match part {
        Part::Slot { slot, .. } => Part::Slot { slot, optional: false },
        constant @ Part::Constant(_) => constant,
    }
}
