//! A sink's note: which files it was writing and how long each was, at a cursor. The `evtx` sink
//! has record ids in place of lengths.
//!
//! ```text
//! note  = state u8 (1: being written, 2: finished), entry*
//! entry = path length u16, path, inode u64, length u64, begun u64 (Unix seconds)   little-endian
//! ```

use crate::sink::NOTE_BYTES_MAX;

const ENTRY_FIXED_BYTES: usize = 2 + 3 * 8;

/// Whether anything of ours can be in the files that the note does not know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) enum State {
    /// More was perhaps written after it: what is past it is taken back.
    Writing = 1,
    /// Nothing was written after it: what is past it is somebody else's and is left alone.
    Finished = 2,
}

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

pub(in crate::sink) fn write(state: State, entries: impl Iterator<Item = Noted>) -> Vec<u8> {
    let mut out = vec![state as u8];
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
pub(in crate::sink) fn read(note: &[u8]) -> Option<(State, Vec<Noted>)> {
    let (&state, mut rest) = note.split_first()?;
    let state = [State::Writing, State::Finished].into_iter().find(|known| *known as u8 == state)?;
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
    Some((state, entries))
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
        let note = write(State::Finished, entries.iter().cloned());
        assert_eq!(note.len(), 1 + entries.iter().map(|entry| entry_bytes(&entry.path)).sum::<usize>());
        assert_eq!(read(&note).unwrap(), (State::Finished, entries.to_vec()));
        assert_eq!(read(&[1]).unwrap(), (State::Writing, Vec::new()));
        assert_eq!(read(&note[..note.len() - 1]), None);
        assert_eq!(read(&[9]), None);
        assert_eq!(read(b""), None);
    }
}
