//! Each handshake counts once: what is remembered of those that were accepted.
//!
//! The library does it with a file, which also knows what was accepted before a restart. Where no file can be
//! written, from the beginning or later, its own cache would be no more than an error, so it is off, and this one
//! does it: a hash of each authenticator's ciphertext, which nobody can change without the session key, in contrast
//! to what is around it. An authenticator is good for the allowed skew to both sides, so it is remembered for twice
//! that; `clockskew` of `krb5.conf` may allow more than is usual, which shows with each ticket that is accepted.
//!
//! Full is a refusal and drops nothing, for what is dropped could come again. Only a handshake that was good
//! is entered, so strangers cannot fill it.
//! Promise: bounded. Known limit: without the file, what was accepted less than twice the skew before a start is
//! unknown.
//! Must not know: how a token is checked.

use crate::auth::handshake::Cause;
use crate::kerberos::Token;
use crate::kerberos::token::Content;
use sha2::{Digest, Sha256};
use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How replays are noticed.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// A file of our own for the library's cache, in a folder that only we can write; none keeps it in memory.
    pub file: Option<PathBuf>,
    /// How far clocks may be apart at least; the library may allow more.
    pub skew: Duration,
    /// Most handshakes that are remembered in memory.
    pub entries_max: usize,
}

impl Default for ReplaySettings {
    /// Five minutes is what all implementations allow.
    fn default() -> Self {
        Self { file: None, skew: Duration::from_secs(300), entries_max: HANDSHAKES_MAX }
    }
}

/// Most handshakes that are remembered in memory, about 12 MB: 218 a second for as long as they are.
const HANDSHAKES_MAX: usize = 1 << 17;

/// What notices replays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayProtection {
    /// The library, with this file.
    File(PathBuf),
    /// Ours, because no file was wanted.
    Memory,
    /// Ours, because the file cannot be written.
    MemoryInsteadOf { file: PathBuf, reason: String },
}

impl ReplayProtection {
    pub(super) fn choose(settings: &ReplaySettings) -> Self {
        let Some(file) = settings.file.clone() else { return Self::Memory };
        match writable(&file) {
            Ok(()) => Self::File(file),
            Err(reason) => Self::MemoryInsteadOf { file, reason: reason.to_string() },
        }
    }

    /// The library's name for its own part in it.
    pub(super) fn library_cache(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Memory | Self::MemoryInsteadOf { .. } => None,
        }
    }
}

/// Makes sure that the file is there, is one, and is for nobody else. No link is followed.
fn writable(file: &Path) -> io::Result<()> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(file)?;
    if opened.metadata()?.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
    }
}

/// What names a handshake: the hash of its authenticator.
pub(super) type Authenticator = [u8; 32];

/// The authenticator in a token, whatever framing it has.
pub(super) fn authenticator(token: &[u8]) -> Option<Authenticator> {
    match Token::peek(token).ok()?.content {
        Content::Kerberos(request) => Some(Sha256::digest(request.authenticator.bytes).into()),
        _ => None,
    }
}

/// The handshakes of late.
pub(super) struct Seen {
    window: Duration,
    entries_max: usize,
    known: HashSet<Authenticator>,
    /// In the order in which they will be forgotten.
    oldest_first: VecDeque<(Instant, Authenticator)>,
}

impl Seen {
    pub(super) fn new(settings: &ReplaySettings) -> Self {
        Self {
            window: settings.skew * 2,
            entries_max: settings.entries_max,
            known: HashSet::new(),
            oldest_first: VecDeque::new(),
        }
    }

    /// Remembers for longer from now on, where clocks may be farther apart than was known.
    pub(super) fn allow(&mut self, skew: Duration) {
        self.window = self.window.max(skew * 2);
    }

    /// Enters a handshake that was good, unless it was here before.
    pub(super) fn enter(&mut self, authenticator: Authenticator, now: Instant) -> Result<(), Cause> {
        while let Some((since, old)) = self.oldest_first.front() {
            if now.saturating_duration_since(*since) <= self.window {
                break;
            }
            self.known.remove(old);
            self.oldest_first.pop_front();
        }
        if self.known.contains(&authenticator) {
            return Err(Cause::Replay);
        }
        let entries = self.known.len();
        if entries >= self.entries_max {
            return Err(Cause::ReplayCacheFull { entries, window_seconds: self.window.as_secs() });
        }
        self.known.insert(authenticator);
        self.oldest_first.push_back((now, authenticator));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(entries_max: usize) -> Seen {
        Seen::new(&ReplaySettings { entries_max, ..ReplaySettings::default() })
    }

    #[test]
    fn a_handshake_counts_once_for_twice_the_skew() {
        let (mut seen, start) = (seen(10), Instant::now());
        assert_eq!(seen.enter([1; 32], start), Ok(()));
        assert_eq!(seen.enter([2; 32], start + Duration::from_secs(1)), Ok(()));
        assert_eq!(seen.enter([1; 32], start + Duration::from_secs(600)), Err(Cause::Replay));
        assert_eq!(seen.enter([1; 32], start + Duration::from_secs(601)), Ok(()));
        assert_eq!(seen.enter([2; 32], start + Duration::from_secs(601)), Err(Cause::Replay));
        assert_eq!(seen.known.len(), 2);
    }

    #[test]
    fn full_refuses_until_the_oldest_is_forgotten() {
        let (mut seen, start) = (seen(2), Instant::now());
        for byte in 0..2 {
            assert_eq!(seen.enter([byte; 32], start), Ok(()));
        }
        let full = Cause::ReplayCacheFull { entries: 2, window_seconds: 600 };
        assert_eq!(seen.enter([9; 32], start + Duration::from_secs(5)), Err(full));
        assert_eq!(seen.enter([1; 32], start + Duration::from_secs(5)), Err(Cause::Replay));
        assert_eq!(seen.enter([9; 32], start + Duration::from_secs(601)), Ok(()));
        assert_eq!((seen.known.len(), seen.oldest_first.len()), (1, 1));
    }

    #[test]
    fn what_is_accepted_for_longer_is_remembered_for_longer() {
        let (mut seen, start) = (seen(2), Instant::now());
        seen.allow(Duration::from_secs(10));
        assert_eq!(seen.enter([0; 32], start), Ok(()));
        seen.allow(Duration::from_secs(1000));
        assert_eq!(seen.enter([0; 32], start + Duration::from_secs(2000)), Err(Cause::Replay));
        assert_eq!(seen.enter([0; 32], start + Duration::from_secs(2001)), Ok(()));
    }

    #[test]
    fn the_framing_is_no_part_of_what_is_remembered() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kerberos/testdata/");
        let read = |name: &str| std::fs::read(format!("{folder}{name}")).unwrap();
        let (framed, negotiated) = (read("krb5-aes256.token"), read("spnego-aes256.token"));
        let bare = &framed[framed.windows(3).position(|three| three == [1, 0, 0x6e]).unwrap() + 2..];
        assert!(authenticator(&framed).is_some());
        assert_eq!(authenticator(&framed), authenticator(bare));
        assert!(authenticator(&negotiated).is_some_and(|other| Some(other) != authenticator(bare)));
        let mut changed = bare.to_vec();
        let options = changed.windows(4).position(|four| four == [0xa2, 7, 3, 5]).unwrap() + 5;
        changed[options] ^= 0x40;
        assert_eq!(authenticator(&changed), authenticator(bare));
        assert_eq!(authenticator(&read("error-skew.token")), None);
        assert_eq!(authenticator(b"NTLMSSP\0\x01\0\0\0"), None);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_replaced_by_memory() {
        let folder = tempfile::tempdir().unwrap();
        let choose = |file: PathBuf| {
            ReplayProtection::choose(&ReplaySettings { file: Some(file), ..ReplaySettings::default() })
        };
        let file = folder.path().join("replays");
        assert_eq!(choose(file.clone()), ReplayProtection::File(file.clone()));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for bad in [folder.path().join("absent/replays"), folder.path().into(), link, "/dev/null".into()] {
            let chosen = choose(bad.clone());
            let is_memory = matches!(&chosen, ReplayProtection::MemoryInsteadOf { file, .. } if *file == bad);
            assert!(is_memory, "{chosen:?}");
        }
    }
}
