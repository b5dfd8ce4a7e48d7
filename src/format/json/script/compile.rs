//! A template to scripts. It runs once for a template and does not have to be fast; None is always
//! right, the element is then reported node by node.

use super::draft::Draft;
use super::system::system;
use super::{Script, Scripts, When, Write};
use crate::event::Template;
use crate::event::template::{Constant, ConstantKind, Op, Part};
use crate::format::json::body::is_reserved;

/// Deepest element, and most names beside each other, all of which are compared.
const DEPTH_MAX: usize = 32;
const NAMES_MAX: usize = 128;

pub(super) fn compile(template: &Template) -> Scripts {
    let mut scripts = Scripts { system: None, children: Vec::new() };
    let Some(&Op::Start { name, end, .. }) = template.ops.first() else { return scripts };
    if template.name(name) != b"Event" {
        scripts.children.extend(child(template, 0));
        return scripts;
    }
    let mut at = 1;
    while at + 1 < end as usize {
        let start = at + usize::from(matches!(template.ops[at], Op::Guard { .. }));
        if let Op::Start { name, .. } = template.ops[start] {
            if template.name(name) == b"System" {
                scripts.system = scripts.system.or_else(|| Some((start, system(template, start)?)));
            } else {
                scripts.children.extend(child(template, start));
            }
        }
        at = template.behind(at);
    }
    scripts
}

fn child(template: &Template, start: usize) -> Option<(usize, Script)> {
    let Op::Start { name, .. } = template.ops[start] else { return None };
    let mut draft = Draft::new(template);
    match template.name(name) {
        b"System" | b"Forebay" | b"RenderingInfo" => return None,
        b"EventData" => draft.event_data(start)?,
        _ => draft.element(start, 0)?,
    }
    Some((start, draft.finish(template.name(name))?))
}

impl Draft<'_> {
    /// The value of EventData.
    fn event_data(&mut self, start: usize) -> Option<()> {
        let template = self.template;
        let mut names = Vec::new();
        let mut list = Vec::new();
        self.open(b'{');
        let mut at = start + 1;
        while at + 1 < template.behind(start) {
            let behind = template.behind(at);
            let guard = if let Op::Guard { slot, .. } = template.ops[at] { Some(slot) } else { None };
            let inner = at + usize::from(guard.is_some());
            match template.ops[inner] {
                Op::Attribute { name, part } => self.member(b"@", template.name(name), Some(part), false)?,
                Op::Data { name, part } => {
                    let key = plain(template, name).filter(|name| !is_reserved(name))?;
                    take(key, &mut names)?;
                    self.guarded(guard, |draft| {
                        draft.key(b"", key);
                        draft.string(part)
                    })?;
                }
                Op::Start { name, .. } => match template.name(name) {
                    b"Data" => list.push((guard, inner)),
                    b"Binary" => {
                        take(b"Binary", &mut names)?;
                        self.guarded(guard, |draft| {
                            draft.key(b"", b"Binary");
                            draft.leaf(inner)
                        })?;
                    }
                    _ => return None,
                },
                _ => return None,
            }
            at = behind;
        }
        self.list(&list)?;
        self.close(b'}');
        Some(())
    }

    /// What has no name.
    fn list(&mut self, items: &[(Option<u16>, usize)]) -> Option<()> {
        if items.is_empty() {
            return Some(());
        }
        if items.iter().all(|(guard, _)| guard.is_some()) {
            return None;
        }
        self.key(b"", b"Data");
        self.open(b'[');
        for &(guard, start) in items {
            self.guarded(guard, |draft| {
                draft.separate();
                draft.leaf(start)
            })?;
        }
        self.close(b']');
        Some(())
    }

    /// The value of an element by the general rules.
    fn element(&mut self, start: usize, depth: usize) -> Option<()> {
        let template = self.template;
        let end = template.behind(start) - 1;
        let attributes = template.ops[start + 1..end]
            .iter()
            .take_while(|op| matches!(op, Op::Attribute { .. } | Op::Joined { .. }))
            .count();
        let content = start + 1 + attributes..end;
        let is_leaf = template.ops[content.clone()].iter().all(|op| matches!(op, Op::Text(_)));
        if is_leaf && attributes == 0 {
            return self.leaf(start);
        }
        let surely = |op: &Op| {
            matches!(op, Op::Attribute { part: Part::Constant(_) | Part::Slot { optional: false, .. }, .. })
        };
        let has_child = matches!(template.ops[content.start..].first(), Some(Op::Start { .. })) && !is_leaf;
        let is_object = has_child || template.ops[start + 1..content.start].iter().any(surely);
        if depth >= DEPTH_MAX || !is_object {
            return None;
        }
        self.open(b'{');
        for op in &template.ops[start + 1..content.start] {
            let Op::Attribute { name, part } = *op else { return None };
            self.member(b"@", template.name(name), Some(part), false)?;
        }
        if is_leaf {
            match template.ops[content.clone()] {
                [] => {}
                [Op::Text(Part::Slot { slot, .. })] => {
                    self.member(b"#", b"text", Some(Part::Slot { slot, optional: true }), false)?;
                }
                [Op::Text(part)] => self.member(b"#", b"text", Some(part), false)?,
                _ => return None,
            }
        } else {
            self.children(content, depth)?;
        }
        self.close(b'}');
        Some(())
    }

    fn children(&mut self, content: std::ops::Range<usize>, depth: usize) -> Option<()> {
        let template = self.template;
        let mut names = Vec::new();
        let mut at = content.start;
        while at < content.end {
            let guard = if let Op::Guard { slot, .. } = template.ops[at] { Some(slot) } else { None };
            let inner = at + usize::from(guard.is_some());
            let Op::Start { name, .. } = template.ops[inner] else { return None };
            take(template.name(name), &mut names)?;
            self.guarded(guard, |draft| {
                draft.key(b"", template.name(name));
                draft.element(inner, depth + 1)
            })?;
            at = template.behind(at);
        }
        Some(())
    }

    /// The value of an element that holds nothing but text.
    fn leaf(&mut self, start: usize) -> Option<()> {
        let end = self.template.behind(start) - 1;
        let Some((last, before)) = self.template.ops[start + 1..end].split_last() else {
            return self.string(None);
        };
        self.literal(b"\"");
        for op in before {
            match *op {
                Op::Text(Part::Constant(constant)) => self.constant(constant),
                Op::Text(Part::Slot { slot, .. }) => self.value(When::Always, Write::Text, slot)?,
                _ => return None,
            }
        }
        let Op::Text(part) = *last else { return None };
        self.rest_of_string(Some(part))
    }
}

/// None when the name is taken, or there are too many.
fn take<'t>(name: &'t [u8], names: &mut Vec<&'t [u8]>) -> Option<()> {
    if names.len() == NAMES_MAX || names.contains(&name) {
        return None;
    }
    names.push(name);
    Some(())
}

fn plain(template: &Template, name: Constant) -> Option<&[u8]> {
    (name.kind == ConstantKind::Plain).then(|| template.name(name))
}
