//! A script while it is put together: steps, text, and where commas go.

use super::{Script, Step, When, Write};
use crate::event::Template;
use crate::event::pen::PIECE_PADDING;
use crate::event::template::{Constant, Part};
use crate::format::json::system::number_or_string;

/// Longest text of a script and most steps: far beyond what events have.
const TEXT_BYTES_MAX: usize = 32 << 10;
const STEPS_MAX: usize = 2048;

/// Whether a member of the open object or list stands before the next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    Empty,
    Maybe,
    Some,
}

pub(super) struct Draft<'t> {
    pub(super) template: &'t Template,
    steps: Vec<Step>,
    text: Vec<u8>,
    /// Where the text begins that no step writes yet, and whether with a comma to be left out.
    from: usize,
    comma: bool,
    open: Vec<Fill>,
    /// By slot: its value has been written.
    slots: Vec<bool>,
}

impl<'t> Draft<'t> {
    pub(super) fn new(template: &'t Template) -> Self {
        // Room for the usual: pieces that grow leave holes behind them.
        Self {
            template,
            steps: Vec::with_capacity(template.ops.len()),
            text: Vec::with_capacity(template.weight() / 2),
            from: 0,
            comma: false,
            open: vec![Fill::Empty],
            slots: Vec::new(),
        }
    }

    pub(super) fn finish(mut self, name: &[u8]) -> Option<Script> {
        self.flush();
        // Beside a template that escapes to many times its length a script is not worth its memory.
        let text_bytes_max = TEXT_BYTES_MAX.min(2 * self.template.weight());
        if self.steps.len() > STEPS_MAX || self.text.len() > text_bytes_max {
            return None;
        }
        let text = self.hand_on_quotes();
        Some(Script { name: name.into(), steps: self.steps.into(), text: text.into() })
    }

    /// The text, in which a quote behind a value is written with the piece of the next step, where
    /// both are always written, one after the other; then the padding.
    fn hand_on_quotes(&mut self) -> Vec<u8> {
        let behind = |(index, step): (usize, &Step)| match step.when {
            When::Guard(skip) => Some(index + 1 + usize::from(skip)),
            _ => None,
        };
        let behind_guards: Vec<usize> = self.steps.iter().enumerate().filter_map(behind).collect();
        let mut text = Vec::with_capacity(self.text.len() + self.steps.len() + PIECE_PADDING);
        let mut quote = false;
        for index in 0..self.steps.len() {
            let next = self.steps.get(index + 1).is_some_and(|next| !next.depends);
            let step = &mut self.steps[index];
            let piece = &self.text[step.from as usize..(step.from + step.bytes) as usize];
            let from = text.len();
            text.extend(quote.then_some(b'"'));
            text.extend_from_slice(piece);
            (step.from, step.bytes) = (from as u32, (text.len() - from) as u32);
            quote =
                next && !step.depends && step.write == Write::String && !behind_guards.contains(&(index + 1));
            if quote {
                step.write = Write::Text;
            }
        }
        text.extend_from_slice(&[0; PIECE_PADDING]);
        text
    }

    /// A member, which is not there when its part is optional and empty.
    pub(super) fn member(
        &mut self,
        mark: &[u8],
        name: &[u8],
        part: Option<Part>,
        is_number: bool,
    ) -> Option<()> {
        let Some(part) = part else { return Some(()) };
        let Part::Slot { slot, optional: true } = part else {
            self.key(mark, name);
            return if is_number { self.number(Some(part)) } else { self.string(Some(part)) };
        };
        let before = *self.fill();
        self.flush();
        self.key(mark, name);
        if is_number {
            self.value(When::Present, Write::Number, slot)?;
        } else {
            self.literal(b"\"");
            self.value(When::Present, Write::String, slot)?;
        }
        self.may_be_missing(before);
        Some(())
    }

    pub(super) fn string(&mut self, part: Option<Part>) -> Option<()> {
        self.literal(b"\"");
        self.rest_of_string(part)
    }

    pub(super) fn rest_of_string(&mut self, part: Option<Part>) -> Option<()> {
        match part {
            Some(Part::Slot { slot, .. }) => return self.value(When::Always, Write::String, slot),
            Some(Part::Constant(constant)) => self.constant(constant),
            None => {}
        }
        self.literal(b"\"");
        Some(())
    }

    pub(super) fn number(&mut self, part: Option<Part>) -> Option<()> {
        match part {
            Some(Part::Slot { slot, .. }) => return self.value(When::Always, Write::Number, slot),
            Some(Part::Constant(constant)) => {
                number_or_string(self.template.constant(constant), &mut self.text)
            }
            None => self.literal(b"\"\""),
        }
        Some(())
    }

    /// Steps that are left out when the slot is NULL.
    pub(super) fn guarded(
        &mut self,
        guard: Option<u16>,
        write: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let Some(slot) = guard else { return write(self) };
        let before = *self.fill();
        self.flush();
        let index = self.steps.len();
        self.step(When::Guard(0), Write::Piece, slot);
        write(self)?;
        self.flush();
        let when = match self.steps[index + 1..] {
            // Nearly always an element is left out when its own value is NULL.
            [Step { when: when @ (When::Always | When::Comma), slot: own, .. }] if own == slot => {
                self.steps.remove(index);
                if when == When::Always { When::Set } else { When::SetComma }
            }
            _ => When::Guard(u16::try_from(self.steps.len() - index - 1).ok()?),
        };
        let step = &mut self.steps[index];
        (step.when, step.depends) = (when, true);
        self.may_be_missing(before);
        Some(())
    }

    pub(super) fn key(&mut self, mark: &[u8], name: &[u8]) {
        self.separate();
        self.literal(b"\"");
        self.literal(mark);
        self.literal(name);
        self.literal(b"\":");
    }

    pub(super) fn separate(&mut self) {
        match std::mem::replace(self.fill(), Fill::Some) {
            Fill::Empty => {}
            Fill::Some => self.literal(b","),
            Fill::Maybe => {
                self.flush();
                self.comma = true;
                self.literal(b",");
            }
        }
    }

    /// What was written since then may be left out.
    pub(super) fn may_be_missing(&mut self, before: Fill) {
        if before != Fill::Some {
            *self.fill() = Fill::Maybe;
        }
    }

    pub(super) fn fill(&mut self) -> &mut Fill {
        self.open.last_mut().expect("the outermost level is never closed")
    }

    pub(super) fn open(&mut self, bracket: u8) {
        self.text.push(bracket);
        self.open.push(Fill::Empty);
    }

    pub(super) fn close(&mut self, bracket: u8) {
        self.text.push(bracket);
        self.open.pop();
    }

    pub(super) fn literal(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    pub(super) fn constant(&mut self, constant: Constant) {
        self.template.constant(constant).write_json(&mut self.text);
    }

    /// Writes a slot's value; None when one before did.
    pub(super) fn value(&mut self, when: When, write: Write, slot: u16) -> Option<()> {
        let index = usize::from(slot);
        if self.slots.len() <= index {
            self.slots.resize(index + 1, false);
        }
        self.step(when, write, slot);
        (!std::mem::replace(&mut self.slots[index], true)).then_some(())
    }

    pub(super) fn flush(&mut self) {
        if self.from < self.text.len() {
            self.step(When::Always, Write::Piece, 0);
        }
    }

    /// A step with all text that none has yet.
    pub(super) fn step(&mut self, when: When, write: Write, slot: u16) {
        let when = match when {
            When::Always if self.comma => When::Comma,
            When::Present if self.comma => When::PresentComma,
            When::Absent if self.comma => When::AbsentComma,
            when => when,
        };
        let bytes = (self.text.len() - self.from) as u32;
        let depends = when != When::Always;
        self.steps.push(Step { from: self.from as u32, bytes, slot, write, depends, when });
        (self.from, self.comma) = (self.text.len(), false);
    }
}
