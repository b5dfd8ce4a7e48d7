//! Keytabs of MIT Kerberos, both versions of the file: `ktutil`, `ktpass`, `msktutil` and Samba write them.
//!
//! ```text
//! file  = 05, version, entry …
//! entry = [length i32] | parts u16 | realm | part … | kind of name u32 | written u32 | kvno u8
//!         | encryption type u16 | key | [kvno u32]
//! text, key = [length u16] | bytes
//! ```
//!
//! Version 2 is big-endian. Version 1 is of the byte order of the machine that wrote it, counts the realm among
//! the parts and has no kind of name. A length below 0 is a hole that was an entry once; one of 0 ends the file.
//! What stands behind the key, if it is as long and not 0, is the version of the key in full.
//! Must not know: where the file lies, who may read it.

use super::etype::Etype;
use super::key::Key;
use super::name::{Name, PART_BYTES_MAX, PARTS_MAX, PRINCIPAL, plain};
use crate::event::Timestamp;
use thiserror::Error;
use zeroize::Zeroizing;

/// Largest file that is read.
pub const KEYTAB_BYTES_MAX: usize = 8 << 20;
/// Most entries: those of all machines that one simulation has.
pub const ENTRIES_MAX: usize = 1 << 16;

const SECOND_NANOS: i64 = 1_000_000_000;

/// The keys of a file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keytab {
    pub entries: Vec<Entry>,
}

/// One key, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub realm: Box<str>,
    pub principal: Name,
    /// Version of the key: a change of the password makes a new one.
    pub kvno: u32,
    /// When it was put into the file.
    pub written_at: Timestamp,
    pub key: Key,
}

/// Why bytes are no keytab.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeytabError {
    #[error("the file is empty")]
    Empty,
    #[error("the file begins with {first:#04x} and not with 0x05, so it is no keytab")]
    NotAKeytab { first: u8 },
    #[error("the keytab is of version {version}; 1 and 2 are known")]
    Version { version: u8 },
    #[error("{what} of the entry at byte {at} goes past its end")]
    Cut { what: &'static str, at: usize },
    #[error("the entry at byte {at} has {parts} parts in its name; 1 to {PARTS_MAX} are possible")]
    Parts { parts: usize, at: usize },
    #[error("a name of {bytes} bytes in the entry at byte {at}; {PART_BYTES_MAX} are the most")]
    Long { bytes: usize, at: usize },
    #[error("the file has {bytes} bytes; {KEYTAB_BYTES_MAX} are the most")]
    FileBytes { bytes: usize },
    #[error("the file has more than {ENTRIES_MAX} entries")]
    Entries,
}

impl Keytab {
    /// Reads a whole file.
    pub fn parse(file: &[u8]) -> Result<Self, KeytabError> {
        if file.len() > KEYTAB_BYTES_MAX {
            return Err(KeytabError::FileBytes { bytes: file.len() });
        }
        match file {
            [] => Err(KeytabError::Empty),
            [5, 2, ..] => Self::read(file, Layout::Two),
            // It does not say whose byte order it has.
            [5, 1, ..] => Self::read(file, Layout::OneLittle)
                .or_else(|little| Self::read(file, Layout::OneBig).map_err(|_| little)),
            [5, version, ..] => Err(KeytabError::Version { version: *version }),
            [5] => Err(KeytabError::Cut { what: "version", at: 0 }),
            [first, ..] => Err(KeytabError::NotAKeytab { first: *first }),
        }
    }

    fn read(file: &[u8], layout: Layout) -> Result<Self, KeytabError> {
        let mut entries = Vec::new();
        let mut file = Fields { rest: &file[2..], at: 2, entry: 2, layout };
        while !file.rest.is_empty() {
            file.entry = file.at;
            let length = i32::from_be_bytes(file.word(file.array("length")?));
            file.pass(4);
            let size = length.unsigned_abs() as usize;
            if length == 0 {
                break;
            }
            let mut entry = file.part(size, "length")?;
            if length > 0 {
                if entries.len() == ENTRIES_MAX {
                    return Err(KeytabError::Entries);
                }
                entries.push(entry.entry()?);
            }
        }
        Ok(Self { entries })
    }

    /// The file, of version 2.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let bytes = self.entries.iter().map(|entry| 4 + entry.file_bytes()).sum::<usize>();
        // Room for all of it: what is moved leaves keys behind.
        let mut file = Zeroizing::new(Vec::with_capacity(2 + bytes));
        file.extend_from_slice(&[5, 2]);
        for entry in &self.entries {
            file.extend_from_slice(&(entry.file_bytes() as u32).to_be_bytes());
            entry.write(&mut file);
        }
        file
    }

    /// The entries of this service, whatever case its name is written in.
    pub fn of<'a>(&'a self, service: &'a Name, realm: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| *entry.realm == *realm && entry.principal.is_same(service))
    }
}

impl Entry {
    /// What it takes up in a file of version 2, without its length.
    fn file_bytes(&self) -> usize {
        let counted = |bytes: usize| 2 + bytes;
        let names: usize = self.principal.parts.iter().map(|part| counted(part.len())).sum();
        let numbers = size_of::<u16>() * 2 + size_of::<u32>() * 3 + 1;
        numbers + counted(self.realm.len()) + names + counted(self.key.bytes().len())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let counted = |bytes: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            out.extend_from_slice(bytes);
        };
        out.extend_from_slice(&(self.principal.parts.len() as u16).to_be_bytes());
        counted(self.realm.as_bytes(), out);
        self.principal.parts.iter().for_each(|part| counted(part.as_bytes(), out));
        out.extend_from_slice(&self.principal.kind.to_be_bytes());
        out.extend_from_slice(&((self.written_at.0 / SECOND_NANOS) as u32).to_be_bytes());
        out.push(self.kvno as u8);
        out.extend_from_slice(&(self.key.etype().0 as u16).to_be_bytes());
        counted(self.key.bytes(), out);
        out.extend_from_slice(&self.kvno.to_be_bytes());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    OneLittle,
    OneBig,
    Two,
}

/// What is left of the file or of an entry.
struct Fields<'a> {
    rest: &'a [u8],
    at: usize,
    /// Where the entry begins, for errors.
    entry: usize,
    layout: Layout,
}

impl<'a> Fields<'a> {
    fn entry(&mut self) -> Result<Entry, KeytabError> {
        let count = usize::from(self.short("number of parts")?);
        let parts = if self.layout == Layout::Two { count } else { count.saturating_sub(1) };
        if !(1..=PARTS_MAX).contains(&parts) {
            return Err(KeytabError::Parts { parts, at: self.entry });
        }
        let realm = self.text("realm")?;
        let parts = (0..parts).map(|_| self.text("name")).collect::<Result<_, _>>()?;
        let kind = match self.layout {
            Layout::Two => self.long("kind of name")?.cast_signed(),
            _ => PRINCIPAL,
        };
        let written_at = self.long("time")?;
        let [kvno] = self.array("version of the key")?;
        self.pass(1);
        let etype = Etype(self.short("encryption type")?.cast_signed().into());
        let length = usize::from(self.short("length of the key")?);
        let key = Key::new(etype, self.part(length, "key")?.rest);
        let full = self.long("version of the key").unwrap_or_default();
        Ok(Entry {
            realm,
            principal: Name { kind, parts },
            kvno: if full == 0 { kvno.into() } else { full },
            written_at: Timestamp(i64::from(written_at) * SECOND_NANOS),
            key,
        })
    }

    fn text(&mut self, what: &'static str) -> Result<Box<str>, KeytabError> {
        let bytes = usize::from(self.short(what)?);
        if bytes > PART_BYTES_MAX {
            return Err(KeytabError::Long { bytes, at: self.entry });
        }
        Ok(plain(&String::from_utf8_lossy(self.part(bytes, what)?.rest)))
    }

    fn short(&mut self, what: &'static str) -> Result<u16, KeytabError> {
        let number = u16::from_be_bytes(self.word(self.array(what)?));
        self.pass(2);
        Ok(number)
    }

    fn long(&mut self, what: &'static str) -> Result<u32, KeytabError> {
        let number = u32::from_be_bytes(self.word(self.array(what)?));
        self.pass(4);
        Ok(number)
    }

    /// The next bytes, not passed yet.
    fn array<const N: usize>(&self, what: &'static str) -> Result<[u8; N], KeytabError> {
        self.rest.first_chunk().copied().ok_or(KeytabError::Cut { what, at: self.entry })
    }

    /// Big-endian, whatever the file is.
    fn word<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if self.layout == Layout::OneLittle {
            bytes.reverse();
        }
        bytes
    }

    fn pass(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.at += bytes;
    }

    /// The next bytes by themselves.
    fn part(&mut self, bytes: usize, what: &'static str) -> Result<Self, KeytabError> {
        let rest = self.rest.get(..bytes).ok_or(KeytabError::Cut { what, at: self.entry })?;
        let part = Self { rest, ..*self };
        self.pass(bytes);
        Ok(part)
    }
}

#[cfg(test)]
#[path = "keytab_tests.rs"]
mod tests;
