//! Names and texts of one part of an event: each name once, the last time that it comes.

use crate::event::Value;
use crate::format::json::keys::Keys;
use crate::format::json::{comma, number_or_string};
use crate::format::object::{key, string};

/// Names and texts, escaped, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    pub(super) bytes: Vec<u8>,
    /// Where a name starts, where it ends and its text starts, and where that ends.
    list: Vec<[u32; 3]>,
}

/// In place of where a name starts.
const LEFT_OUT: u32 = u32::MAX;

impl Pairs {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
    }

    pub(super) fn push(&mut self, from: usize, text: usize) {
        self.list.push([from as u32, text as u32, self.bytes.len() as u32]);
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        let is_it = |pair: &&[u32; 3]| &self.bytes[pair[0] as usize..pair[1] as usize] == name.as_bytes();
        self.list.iter().rfind(is_it).map(|&[_, text, end]| &self.bytes[text as usize..end as usize])
    }

    /// Leaves out each name but for the last time that it comes, and those that are taken; says whether none was.
    pub(super) fn keep_last(
        &mut self,
        keys: &mut Keys,
        order: &mut Vec<u32>,
        is_taken: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let Self { bytes, list } = self;
        keys.clear();
        let are_distinct = list.iter().all(|&[from, to, _]| {
            let (from, to) = (from as usize, to as usize);
            !is_taken(&bytes[from..to]) && keys.take(bytes, 0, from, to)
        });
        are_distinct || last_of_each(bytes, list, order, is_taken)
    }

    /// Members of an object that is open.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for &[from, to, end] in self.list.iter().filter(|[from, ..]| *from != LEFT_OUT) {
            comma(out);
            out.push(b'"');
            out.extend_from_slice(&self.bytes[from as usize..to as usize]);
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(&self.bytes[to as usize..end as usize]);
            out.push(b'"');
        }
    }

    /// A text, if there is one, or always.
    pub(super) fn write_text(&self, name: &str, always: bool, out: &mut Vec<u8>) {
        let text = self.get(name).unwrap_or_default();
        if always || !text.is_empty() {
            string(name, Value::Plain(text), out);
        }
    }

    pub(super) fn write_number(&self, name: &str, out: &mut Vec<u8>) {
        if let Some(text) = self.get(name).filter(|text| !text.is_empty()) {
            key(name, out);
            number_or_string(Value::Plain(text), out);
        }
    }

    /// Whether all names are of these, each once.
    pub(super) fn hold_only(&self, names: &[&str]) -> bool {
        let mut found = 0;
        for name in names {
            found += usize::from(self.get(name).is_some());
        }
        found == self.list.len()
    }
}

/// The same for names that are not all different, or more than `Keys` holds.
#[cold]
fn last_of_each(
    bytes: &[u8],
    list: &mut [[u32; 3]],
    order: &mut Vec<u32>,
    is_taken: impl Fn(&[u8]) -> bool,
) -> bool {
    let name = |pair: &[u32; 3]| &bytes[pair[0] as usize..pair[1] as usize];
    order.clear();
    order.extend(0..list.len() as u32);
    order.sort_unstable_by(|&a, &b| {
        name(&list[a as usize]).cmp(name(&list[b as usize])).then_with(|| a.cmp(&b))
    });
    let mut is_whole = true;
    for (place, &index) in order.iter().enumerate() {
        let own = name(&list[index as usize]);
        let is_last = order.get(place + 1).is_none_or(|&next| name(&list[next as usize]) != own);
        if !is_last || is_taken(own) {
            list[index as usize][0] = LEFT_OUT;
            is_whole = false;
        }
    }
    is_whole
}
