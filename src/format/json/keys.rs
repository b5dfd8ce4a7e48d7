//! The member names of one object, to notice one that is taken: cheap while none is.

/// Most members that EventData gets from its Data, so that no sender can make objects that stores
/// choke on; the rest goes to the list.
pub const KEYS_MAX: usize = 512;

/// Names, by their place in the output.
#[derive(Debug, Default)]
pub(in crate::format) struct Keys {
    /// A bit per hash: nearly every new name finds its bit unset.
    seen: [u64; 8],
    names: Vec<(u64, u32, u32)>,
}

impl Keys {
    pub(in crate::format) fn clear(&mut self) {
        self.seen = [0; 8];
        self.names.clear();
    }

    /// Takes the (escaped) name at `out[start..end]` of an object that begins at or after `base`;
    /// false when it is taken, or there are too many.
    #[inline]
    pub(in crate::format) fn take(&mut self, out: &[u8], base: usize, start: usize, end: usize) -> bool {
        let name = &out[start..end];
        let hash = hash(name);
        let bit = 1_u64 << (hash >> 58);
        let word = (hash >> 55 & 7) as usize;
        if self.seen[word] & bit != 0 && self.is_taken(out, base, name, hash) {
            return false;
        }
        let (Ok(from), Ok(to)) = (u32::try_from(start - base), u32::try_from(end - base)) else {
            return false;
        };
        if self.names.len() == KEYS_MAX {
            return false;
        }
        self.seen[word] |= bit;
        self.names.push((hash, from, to));
        true
    }

    /// Whether the (escaped) name at `out[start..end]` is taken.
    #[inline]
    pub(in crate::format) fn has(&self, out: &[u8], base: usize, start: usize, end: usize) -> bool {
        let name = &out[start..end];
        let hash = hash(name);
        self.seen[(hash >> 55 & 7) as usize] & 1_u64 << (hash >> 58) != 0
            && self.is_taken(out, base, name, hash)
    }

    pub(in crate::format) fn is_full(&self) -> bool {
        self.names.len() == KEYS_MAX
    }

    /// Gives back the name that was taken last.
    pub(in crate::format) fn give_back(&mut self) {
        self.names.pop();
    }

    #[cold]
    fn is_taken(&self, out: &[u8], base: usize, name: &[u8], hash: u64) -> bool {
        self.names
            .iter()
            .any(|&(other, from, to)| other == hash && &out[base + from as usize..base + to as usize] == name)
    }
}

/// Of length and both ends: names of one event rarely share all three, and what does is compared.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (name.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)), 0),
    };
    let mixed = (head ^ tail.rotate_left(23) ^ (name.len() as u64) << 59).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once() {
        let out = b"xxAlphaBetaAlphaalpha";
        let mut keys = Keys::default();
        assert!(keys.take(out, 2, 2, 7));
        assert!(keys.take(out, 2, 7, 11));
        assert!(!keys.take(out, 2, 11, 16));
        assert!(keys.take(out, 2, 16, 21));
        keys.clear();
        assert!(keys.take(out, 2, 11, 16));
    }

    #[test]
    fn names_that_share_length_and_ends_are_told_apart() {
        let out = b"12345678ab1234567812345678cd12345678";
        let mut keys = Keys::default();
        assert!(keys.take(out, 0, 0, 18));
        assert!(keys.take(out, 0, 18, 36));
        assert!(!keys.take(out, 0, 0, 18));
    }

    #[test]
    fn there_are_not_more_than_the_limit() {
        let out: Vec<u8> = (0..KEYS_MAX as u32 + 1).flat_map(u32::to_le_bytes).collect();
        let mut keys = Keys::default();
        let taken = out.len() / 4;
        let took = (0..taken).filter(|index| keys.take(&out, 0, index * 4, index * 4 + 4)).count();
        assert_eq!(took, KEYS_MAX);
    }
}
