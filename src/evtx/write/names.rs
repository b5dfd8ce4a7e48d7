//! A chunk's table of element and attribute names.
//!
//! ```text
//! header: 64 buckets × u32 ─► newest name ─► older name ─► … ─► 0
//! name = next u32 ‖ hash u16 ‖ UTF-16 units u16 ‖ units ‖ 0 u16, inline where first used
//! ```
//!
//! A chain runs from the newest name to older ones, so the names of a record that is taken back
//! are those in front.

use super::layout::{CHUNK_BYTES, STRING_BUCKETS, offset, put_u32, u16_at, u32_at};

type Chunk = [u8; CHUNK_BYTES];

/// Bytes of a stored name before its text.
const NAME_HEADER_BYTES: usize = 8;

/// Windows' name hash: every UTF-16 unit added to 65599 times the hash so far; 16 bits are kept.
pub(super) fn hash(units: impl Iterator<Item = u16>) -> u16 {
    units.fold(0_u32, |hash, unit| hash.wrapping_mul(65599).wrapping_add(u32::from(unit))) as u16
}

/// Where the chunk already has this name.
pub(super) fn find(chunk: &Chunk, name: &str, hash: u16) -> Option<usize> {
    let mut at = u32_at(chunk, bucket(hash)) as usize;
    while at != 0 {
        let (next, found) = name_at(chunk, at)?;
        if found == hash && same(chunk, at, name) {
            return Some(at);
        }
        at = next;
    }
    None
}

/// The inline form of a new name. It goes to `at`, which becomes the head of its chain.
pub(super) fn inline(chunk: &mut Chunk, name: &str, hash: u16, at: usize, out: &mut Vec<u8>) {
    let bucket = bucket(hash);
    out.clear();
    out.extend_from_slice(&chunk[bucket..bucket + 4]);
    out.extend_from_slice(&hash.to_le_bytes());
    out.extend_from_slice(&(name.encode_utf16().count() as u16).to_le_bytes());
    out.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    out.extend_from_slice(&[0, 0]);
    put_u32(chunk, bucket, at as u32);
}

/// Takes every name from `end` on out of the table. A chain that cannot be followed down to
/// `end` (the bytes behind it were torn) is emptied: its names are stored once more when needed.
pub(super) fn forget_from(chunk: &mut Chunk, end: usize) {
    for bucket in 0..STRING_BUCKETS {
        let head = offset::STRINGS + bucket * 4;
        let mut at = u32_at(chunk, head) as usize;
        while at >= end {
            at = match name_at(chunk, at) {
                Some((next, hash)) if usize::from(hash) % STRING_BUCKETS == bucket => next,
                _ => 0,
            };
        }
        put_u32(chunk, head, at as u32);
    }
}

fn bucket(hash: u16) -> usize {
    offset::STRINGS + usize::from(hash) % STRING_BUCKETS * 4
}

/// The next name's offset and this one's hash; None when no name of ours can stand there. The
/// next one is always below, so that no chain is a ring.
fn name_at(chunk: &Chunk, at: usize) -> Option<(usize, u16)> {
    if at + NAME_HEADER_BYTES > CHUNK_BYTES {
        return None;
    }
    let next = u32_at(chunk, at) as usize;
    (next < at).then(|| (next, u16_at(chunk, at + 4)))
}

fn same(chunk: &Chunk, at: usize, name: &str) -> bool {
    let start = at + NAME_HEADER_BYTES;
    let end = start + usize::from(u16_at(chunk, at + 6)) * 2;
    chunk.get(start..end).is_some_and(|stored| {
        let stored = stored.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        stored.eq(name.encode_utf16())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken from logs that Windows wrote.
    #[test]
    fn the_hash_is_the_one_windows_stores() {
        for (name, expected) in [
            ("Event", 0x0cba),
            ("xmlns", 0x0fbc),
            ("System", 0x546f),
            ("Provider", 0x7bf1),
            ("TimeCreated", 0x8e3b),
            ("SystemTime", 0x7b3c),
        ] {
            assert_eq!(hash(name.encode_utf16()), expected, "{name}");
        }
    }

    #[test]
    fn names_taken_back_leave_the_older_ones_findable() {
        let mut chunk: Box<Chunk> = vec![0; CHUNK_BYTES].try_into().unwrap();
        let mut out = Vec::new();
        // 64 buckets, 300 names: every chain has several.
        let names: Vec<String> = (0..300).map(|n| format!("Näme{n}")).collect();
        let mut at = 512;
        let mut middle = 0;
        for (index, name) in names.iter().enumerate() {
            if index == 150 {
                middle = at;
            }
            inline(&mut chunk, name, hash(name.encode_utf16()), at, &mut out);
            chunk[at..at + out.len()].copy_from_slice(&out);
            at += out.len();
        }
        forget_from(&mut chunk, middle);
        for (index, name) in names.iter().enumerate() {
            let found = find(&chunk, name, hash(name.encode_utf16()));
            assert_eq!(found.is_some(), index < 150, "{name}");
        }
    }
}
