//! A template's element as JSON: what is the same in all its events is ready text, between it stand
//! the values. Made once for a template and kept with it.
//!
//! Writes what `system.rs` and `body.rs` write for the same element reported node by node; what it
//! cannot say is left to them: no script is made, or none is written. No slot is written twice, so
//! an event is at most its template and six times its values.

mod compile;
mod draft;
mod system;

#[cfg(test)]
mod tests;

use super::system::number_or_string;
use crate::event::{Instance, Pen, Template, Value, Visitor};

/// The scripts of one template.
#[derive(Debug)]
pub(super) struct Scripts {
    /// Of System, and of an element as a child of Event.
    system: Option<(usize, Script)>,
    children: Vec<(usize, Script)>,
}

#[derive(Debug)]
pub(super) struct Script {
    /// Of the member it is the value of; System's has its own.
    name: Box<[u8]>,
    steps: Box<[Step]>,
    /// `PIECE_PADDING` bytes longer than what is used.
    text: Box<[u8]>,
}

/// Writes a piece of the text and a value behind it.
#[derive(Clone, Copy, Debug)]
struct Step {
    from: u32,
    bytes: u32,
    slot: u16,
    write: Write,
    /// Whether `when` is anything but `Always`: on its own, so that most steps cost one look.
    depends: bool,
    when: When,
}

/// What has to be looked at before a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// The piece begins with a comma that is left out when nothing stands before it.
    Comma,
    Present,
    PresentComma,
    Absent,
    AbsentComma,
    /// Not when the slot is NULL.
    Set,
    SetComma,
    /// No step, but leaves out so many when the slot is NULL.
    Guard(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    /// Only the piece.
    Piece,
    /// The text of the slot.
    Text,
    /// That and a quote.
    String,
    Number,
}

impl Scripts {
    fn of(template: &Template) -> Option<&Self> {
        template.prepared(compile::compile)
    }

    /// The script of an element that is a child of Event.
    pub(super) fn child<'a>(instance: impl Instance<'a>) -> Option<&'a Script> {
        let scripts = Self::of(instance.template())?;
        scripts.children.iter().find(|(start, _)| *start == instance.start()).map(|(_, script)| script)
    }

    fn system<'a>(instance: impl Instance<'a>) -> Option<&'a Script> {
        let (start, script) = Self::of(instance.template())?.system.as_ref()?;
        (*start == instance.start()).then_some(script)
    }
}

impl Script {
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Appends the element; false, and nothing is written, when a value holds elements.
    pub(super) fn write<'a>(&self, instance: impl Instance<'a>, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        match self.steps(instance, Pen::new(out)) {
            Some(pen) => {
                pen.finish();
                true
            }
            None => {
                out.truncate(before);
                false
            }
        }
    }

    fn steps<'a, 'o>(&self, instance: impl Instance<'a>, mut pen: Pen<'o>) -> Option<Pen<'o>> {
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at += 1;
            let mut comma = false;
            if step.depends {
                let go = match step.when {
                    When::Always | When::Comma => true,
                    When::Present | When::PresentComma => !instance.is_absent(step.slot),
                    When::Absent | When::AbsentComma => instance.is_absent(step.slot),
                    When::Set | When::SetComma => !instance.is_left_out(step.slot),
                    When::Guard(skip) => {
                        at += if instance.is_left_out(step.slot) { usize::from(skip) } else { 0 };
                        false
                    }
                };
                if !go {
                    continue;
                }
                comma = matches!(
                    step.when,
                    When::Comma | When::PresentComma | When::AbsentComma | When::SetComma
                ) && matches!(pen.last(), Some(b'{' | b'['));
            }
            let skipped = usize::from(comma);
            pen = pen.piece(&self.text, step.from as usize + skipped, step.bytes as usize - skipped);
            match step.write {
                Write::Piece => {}
                Write::Text | Write::String => {
                    pen = instance.write_json(step.slot, pen)?;
                    if step.write == Write::String {
                        pen = pen.byte(b'"');
                    }
                }
                Write::Number => {
                    pen = match instance.write_number(step.slot, pen) {
                        Ok(pen) => pen,
                        Err(pen) => pen.with(|out| number_or_string(instance.value(step.slot), out)),
                    };
                }
            }
        }
        Some(pen)
    }
}

/// Takes System and nothing else.
pub(super) struct SystemWriter<'w> {
    out: &'w mut Vec<u8>,
}

impl<'w> SystemWriter<'w> {
    pub(super) fn new(out: &'w mut Vec<u8>) -> Self {
        Self { out }
    }
}

impl<'a> Visitor<'a> for SystemWriter<'_> {
    fn instance<I: Instance<'a>>(&mut self, instance: I) -> bool {
        Scripts::system(instance).is_some_and(|script| script.write(instance, self.out))
    }

    fn start(&mut self, _: &'a [u8]) {}
    fn attribute(&mut self, _: &'a [u8], _: Value<'a>) {}
    fn text(&mut self, _: Value<'a>) {}
    fn end(&mut self) {}
}
