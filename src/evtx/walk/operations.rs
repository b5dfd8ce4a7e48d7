//! Drives a visitor over the operations of a template with the values of an instance. Elements that
//! hold arrays are repeated (MS-EVEN6 3.1.4.7.5).

use super::{NODE_BYTES, Walk, is_empty, weight};
use crate::event::template::{Constant, Op, Part};
use crate::event::{EventError, Value, Visitor};
use crate::evtx::instance::Filled;
use crate::evtx::program::Frame;
use crate::evtx::system::EMPTY;
use crate::evtx::values::{self, Slot, kind};
use std::ops::Range;

/// Most arrays that repeat one element; of further ones the first item is shown.
const ARRAYS_MAX: usize = 4;

/// Slots that stand for one item of an array while its element is repeated.
#[derive(Clone, Copy, Default)]
struct Items {
    known: [(u16, Slot); ARRAYS_MAX],
    count: usize,
}

impl<'a, V: Visitor<'a>> Walk<'a, '_, V> {
    /// Elements of a template beside each other; each is offered to the visitor first.
    pub(in crate::evtx) fn elements(
        &mut self,
        frame: &Frame<'_, 'a>,
        range: Range<usize>,
    ) -> Result<(), EventError> {
        let mut at = range.start;
        while at < range.end {
            let end = frame.template.behind(at);
            let start = match frame.template.ops[at] {
                Op::Guard { slot, .. } if frame.left_out(slot) => end,
                Op::Guard { .. } => at + 1,
                _ => at,
            };
            self.element_of(frame, start..end)?;
            at = end;
        }
        Ok(())
    }

    pub(super) fn element_of(
        &mut self,
        frame: &Frame<'_, 'a>,
        range: Range<usize>,
    ) -> Result<(), EventError> {
        let template = frame.template;
        if let Some(Op::Start { .. }) = template.ops.get(range.start)
            && !range.is_empty()
            && let Some(filled) = Filled::new(self.chunk, frame, range.start)
        {
            // They stand one behind the other.
            let values = match frame.slots {
                [first, .., last] => last.range().end - first.at as usize,
                slots => slots.first().map_or(0, |slot| usize::from(slot.bytes)),
            };
            let cost = template.text.len() + range.len() * NODE_BYTES + values;
            if cost <= self.budget && self.visitor.instance(filled) {
                return self.charge(cost);
            }
        }
        self.run(frame, range)
    }

    /// Runs operations of a template.
    pub(in crate::evtx) fn run(
        &mut self,
        frame: &Frame<'_, 'a>,
        range: Range<usize>,
    ) -> Result<(), EventError> {
        let template = frame.template;
        let mut at = range.start;
        while at < range.end {
            let op = template.ops[at];
            at += 1;
            match op {
                Op::Data { name, part } if !frame.arrays => self.fused(frame, name, part)?,
                Op::Start { .. } | Op::Data { .. } if frame.arrays => {
                    at = self.repeat(frame, at - 1, Items::default())?;
                }
                Op::Start { name, distinct, .. } => {
                    let name = template.name(name);
                    self.charge(name.len() + NODE_BYTES)?;
                    self.visitor.start(name);
                    if distinct {
                        self.visitor.distinct_data();
                    }
                }
                Op::Guard { slot, skip } => {
                    if frame.left_out(slot) {
                        at += skip as usize;
                    }
                }
                Op::End => self.visitor.end(),
                Op::Data { .. } | Op::Attribute { .. } | Op::Joined { .. } | Op::Text(_) => {
                    self.inner(frame, op, &Items::default())?;
                }
            }
        }
        Ok(())
    }

    /// `<Data Name='…'>` with at most one value.
    #[inline]
    fn fused(&mut self, frame: &Frame<'_, 'a>, name: Constant, part: Option<Part>) -> Result<(), EventError> {
        let usual = name.bytes as usize + NODE_BYTES * 2;
        let value = match part {
            Some(Part::Slot { slot, .. }) => {
                let slot = frame.slot(slot);
                self.charge(usual + usize::from(slot.bytes))?;
                if slot.kind == kind::BINXML && slot.bytes > 0 {
                    self.visitor.start(b"Data");
                    self.visitor.attribute(b"Name", frame.template.constant(name));
                    self.fragment(slot.range())?;
                    self.visitor.end();
                    return Ok(());
                }
                self.value(slot)
            }
            Some(Part::Constant(constant)) => {
                self.charge(usual + constant.bytes as usize)?;
                frame.template.constant(constant)
            }
            None => {
                self.charge(usual)?;
                Value::Absent
            }
        };
        self.visitor.data(frame.template.constant(name), value);
        Ok(())
    }

    #[inline]
    pub(super) fn value(&self, slot: Slot) -> Value<'a> {
        values::value(slot.kind, slot.of(self.chunk))
    }

    /// One element of a template with arrays: as often as the array it holds has items (MS-EVEN6
    /// 3.1.4.7.5). Returns the index behind it.
    fn repeat(&mut self, frame: &Frame<'_, 'a>, at: usize, items: Items) -> Result<usize, EventError> {
        let op = frame.template.ops[at];
        let end = match op {
            Op::Start { end, .. } => end as usize,
            _ => at + 1,
        };
        // The root of a record stands once, whatever it holds.
        let is_root = at == 0 && self.fragments == 0;
        if !is_root && let Some((slot, array)) = self.array(frame, at..end, &items) {
            let single = array.kind & !kind::ARRAY;
            let bytes = array.of(self.chunk);
            let mut from = 0;
            while from < bytes.len() {
                let length = values::item_bytes(single, &bytes[from..]);
                let item = Slot { at: array.at + from as u32, bytes: length as u16, kind: single };
                let mut items = items;
                items.known[items.count] = (slot, item);
                items.count += 1;
                self.charge(NODE_BYTES)?;
                self.repeat(frame, at, items)?;
                from += length;
            }
            return Ok(end);
        }
        if let Op::Data { name, part } = op {
            let name = frame.template.constant(name);
            self.charge(weight(name) + NODE_BYTES * 2)?;
            self.visitor.start(b"Data");
            self.visitor.attribute(b"Name", name);
            if let Some(part) = part {
                self.inner(frame, Op::Text(part), &items)?;
            }
            self.visitor.end();
            return Ok(end);
        }
        if let Op::Start { name, .. } = op {
            let name = frame.template.name(name);
            self.charge(name.len() + NODE_BYTES)?;
            self.visitor.start(name);
        }
        let mut inside = at + 1;
        while inside < end - 1 {
            match frame.template.ops[inside] {
                Op::Start { .. } | Op::Data { .. } => {
                    inside = self.repeat(frame, inside, Items::default())?
                }
                Op::Guard { slot, skip } => {
                    inside += 1;
                    if frame.left_out(slot) {
                        inside += skip as usize;
                    }
                }
                op => {
                    self.inner(frame, op, &items)?;
                    inside += 1;
                }
            }
        }
        self.visitor.end();
        Ok(end)
    }

    /// The first slot that the element at `range` holds itself, is an array of several items and
    /// is not being repeated already; content before attributes.
    fn array(&self, frame: &Frame<'_, 'a>, range: Range<usize>, items: &Items) -> Option<(u16, Slot)> {
        if items.count == ARRAYS_MAX {
            return None;
        }
        let several = |part: Part| {
            let Part::Slot { slot, .. } = part else { return None };
            if items.known[..items.count].iter().any(|(known, _)| *known == slot) {
                return None;
            }
            let array = frame.slot(slot);
            let bytes = array.of(self.chunk);
            let single = array.kind & !kind::ARRAY;
            (array.is_array() && !bytes.is_empty() && values::item_bytes(single, bytes) < bytes.len())
                .then_some((slot, array))
        };
        let mut in_attribute = None;
        let mut at = range.start;
        while at < range.end {
            let op = frame.template.ops[at];
            let found = match op {
                Op::Start { end, .. } if at > range.start => {
                    at = end as usize;
                    continue;
                }
                Op::Data { .. } if at > range.start => None,
                Op::Text(part) | Op::Data { part: Some(part), .. } => several(part),
                Op::Attribute { part, .. } => {
                    in_attribute = in_attribute.or_else(|| several(part));
                    None
                }
                Op::Joined { first, count, .. } => {
                    let parts = &frame.template.parts[first as usize..(first + count) as usize];
                    in_attribute = in_attribute.or_else(|| parts.iter().find_map(|part| several(*part)));
                    None
                }
                _ => None,
            };
            if found.is_some() {
                return found;
            }
            at += 1;
        }
        in_attribute
    }

    /// An attribute or a piece of content.
    fn inner(&mut self, frame: &Frame<'_, 'a>, op: Op, items: &Items) -> Result<(), EventError> {
        let template = frame.template;
        match op {
            Op::Attribute { name, part } => {
                let value = match part {
                    Part::Constant(constant) => template.constant(constant),
                    Part::Slot { slot, optional } => {
                        let value = self.value(items.slot(frame, slot));
                        if optional && is_empty(value) {
                            return Ok(());
                        }
                        value
                    }
                };
                self.report_attribute(template.name(name), value)
            }
            Op::Joined { name, first, count } => {
                let mut values = Vec::new();
                for part in &template.parts[first as usize..(first + count) as usize] {
                    values.push(match *part {
                        Part::Constant(constant) => template.constant(constant),
                        Part::Slot { slot, .. } => self.value(items.slot(frame, slot)),
                    });
                }
                let value = self.store.join(&values).map_err(|what| EventError { at: 0, what })?;
                self.report_attribute(template.name(name), value)
            }
            Op::Text(Part::Constant(constant)) => self.text(template.constant(constant)),
            Op::Text(Part::Slot { slot, .. }) => {
                let slot = items.slot(frame, slot);
                if slot.kind == kind::BINXML {
                    return if slot.bytes == 0 { Ok(()) } else { self.fragment(slot.range()) };
                }
                let value = self.value(slot);
                self.text(value)
            }
            Op::Start { .. } | Op::End | Op::Guard { .. } | Op::Data { .. } => Ok(()),
        }
    }

    fn report_attribute(&mut self, name: &'a [u8], value: Value<'a>) -> Result<(), EventError> {
        self.charge(name.len() + NODE_BYTES + weight(value))?;
        self.visitor.attribute(name, if value.is_absent() { EMPTY } else { value });
        Ok(())
    }
}

impl Items {
    fn slot(&self, frame: &Frame<'_, '_>, slot: u16) -> Slot {
        let known = self.known[..self.count].iter().find(|(known, _)| *known == slot);
        known.map_or_else(|| frame.slot(slot), |(_, item)| *item)
    }
}
