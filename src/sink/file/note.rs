//! A sink's note: which files it was writing and how long each was, at a cursor. The `evtx` sink
//! has record ids in place of lengths.
//!
//! ```text
//! note  = version u8 = 1, entry*
//! entry = path length u16, path, inode u64, length u64, begun u64 (Unix seconds)   little-endian
//! ```

use crate::sink::NOTE_BYTES_MAX;

const VERSION: u8 = 1;
const ENTRY_FIXED_BYTES: usize = 2 + 3 * 8;

/// One file of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sink) struct Noted {
    pub(in crate::sink) path: Box<str>,
    /// So that a file somebody put in this place is never cut.
    pub(in crate::sink) inode: u64,
    pub(in crate::sink) length: u64,
    pub(in crate::sink) begun: u64,
}

/// Bytes an entry of this path takes.
pub(in crate::sink) fn entry_bytes(path: &str) -> usize {
    ENTRY_FIXED_BYTES + path.len()
}

/// Whether entries of `bytes` together fit into a note.
pub(in crate::sink) fn fits(bytes: usize) -> bool {
    bytes < NOTE_BYTES_MAX
}

pub(in crate::sink) fn write(entries: impl Iterator<Item = Noted>) -> Vec<u8> {
    let mut out = vec![VERSION];
    for entry in entries {
        let length = u16::try_from(entry.path.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&entry.path.as_bytes()[..usize::from(length)]);
        for number in [entry.inode, entry.length, entry.begun] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out
}

/// `None` when these bytes are no note of ours.
pub(in crate::sink) fn read(note: &[u8]) -> Option<Vec<Noted>> {
    let (&version, mut rest) = note.split_first()?;
    if version != VERSION {
        return None;
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (path, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (inode, tail) = tail.split_first_chunk::<8>()?;
        let (length, tail) = tail.split_first_chunk::<8>()?;
        let (begun, tail) = tail.split_first_chunk::<8>()?;
        entries.push(Noted {
            path: std::str::from_utf8(path).ok()?.into(),
            inode: u64::from_le_bytes(*inode),
            length: u64::from_le_bytes(*length),
            begun: u64::from_le_bytes(*begun),
        });
        rest = tail;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_written_and_nothing_else_does() {
        let entries = [
            Noted { path: "a/b.json".into(), inode: 7, length: 1 << 40, begun: 9 },
            Noted { path: "é".into(), inode: 0, length: 0, begun: 0 },
        ];
        let note = write(entries.iter().cloned());
        assert_eq!(note.len(), 1 + entries.iter().map(|entry| entry_bytes(&entry.path)).sum::<usize>());
        assert_eq!(read(&note).unwrap(), entries);
        assert_eq!(read(&[VERSION]).unwrap(), []);
        assert_eq!(read(&note[..note.len() - 1]), None);
        assert_eq!(read(&[9]), None);
        assert_eq!(read(b""), None);
    }
}
