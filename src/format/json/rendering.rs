//! RenderingInfo: `Culture` from its attribute, the rendered texts, `Keywords` as a list.

use super::comma;
use super::tape::{Tape, member};

/// Value of the RenderingInfo on the tape.
pub(super) fn write(tape: &mut Tape, out: &mut Vec<u8>) {
    // An element of that name would take the key.
    let culture_is_free = !tape.elements(0).any(|child| tape.name(child) == b"Culture");
    out.push(b'{');
    for (name, value) in tape.attributes(0) {
        comma(out);
        let plain = name == b"Culture" && culture_is_free;
        out.extend_from_slice(if plain { b"\"" } else { b"\"@" });
        out.extend_from_slice(name);
        member(value, out);
    }
    tape.write_text_member(0, out);
    tape.write_elements(0, out, child);
    out.push(b'}');
}

fn child(tape: &mut Tape, index: usize, out: &mut Vec<u8>) {
    if tape.name(index) != b"Keywords" || !is_keyword_list(tape, index) {
        return tape.write_value(index, out);
    }
    out.push(b'[');
    for keyword in tape.elements(index) {
        comma(out);
        tape.write_text(keyword, out);
    }
    out.push(b']');
}

/// Nothing but `<Keyword>text</Keyword>`, any number of them.
fn is_keyword_list(tape: &Tape, index: usize) -> bool {
    let is_keyword = |child| {
        tape.name(child) == b"Keyword" && tape.attributes(child).next().is_none() && !tape.has_elements(child)
    };
    tape.attributes(index).next().is_none() && !tape.has_text(index) && tape.elements(index).all(is_keyword)
}
