//! The password file: lines `user:hash`, where the hash is a PHC string of argon2.
//!
//! ```text
//! # comment
//! win10.corp.example:$argon2id$v=19$m=19456,t=2,p=1$…$…
//! ```
//! A user is a machine, in any form of its name. Must not know: who asks.

use super::{unreadable, unusable};
use crate::auth::files::is_open_to_others;
use crate::auth::{MachineKey, Principal, Scheme};
use crate::finding::Finding;
use argon2::{Params, PasswordHash};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The users of a file.
#[derive(Debug)]
pub(super) struct Table {
    users: HashMap<Box<str>, (MachineKey, PasswordHash)>,
    /// Checked for users that are not there.
    decoy: PasswordHash,
}

/// Longest file that is read: some hundred thousand machines.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// Most memory that checking one password may take.
const HASH_KIB_MAX: u32 = 256 * 1024;
/// Most passes over it.
const HASH_PASSES_MAX: u32 = 32;
/// Of a password that nobody has, with the usual parameters.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz$VQXC9Yx9AV8O9dCI7uq7gXGbQm+HkMhH4M9a8AGzsAM";

impl Table {
    pub(super) fn read(path: &Path) -> Result<Self, Finding> {
        let unread = |error: std::io::Error| unreadable(path, &error);
        let file = File::open(path).map_err(unread)?;
        let metadata = file.metadata().map_err(unread)?;
        if is_open_to_others(&metadata) {
            return Err(unusable(path, "others may read it", "take their rights away with `chmod o= FILE`"));
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unread)?;
        Self::parse(&text).map_err(|why| {
            unusable(path, why, "write lines `MACHINE:$argon2id$…`, as `argon2 SALT -id -e` writes the hash")
        })
    }

    /// What is wrong names the line, and nothing that stands in it but the user.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut users = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = line.split_once(':').ok_or_else(|| format!("line {number} has no `:`"))?;
            let machine = MachineKey::parse(user).ok_or_else(|| {
                format!("line {number}: `{}` is the name of no machine", user.escape_debug())
            })?;
            let hash =
                parse_hash(hash).map_err(|why| format!("line {number}, {}: {why}", user.escape_debug()))?;
            if users.insert(user.into(), (machine, hash)).is_some() {
                return Err(format!("line {number}: {} was there before", user.escape_debug()));
            }
        }
        let mut hashes = users.values().map(|(_, hash)| hash);
        let decoy = match hashes.next() {
            Some(hash) => hash.clone(),
            None => parse_hash(DECOY)?,
        };
        Ok(Self { users, decoy })
    }

    pub(super) fn hash(&self, user: &str) -> &PasswordHash {
        self.users.get(user).map_or(&self.decoy, |(_, hash)| hash)
    }

    pub(super) fn principal(&self, user: &str) -> Option<Principal> {
        let (machine, _) = self.users.get(user)?;
        Some(Principal { name: user.into(), machine: machine.clone(), scheme: Scheme::Basic })
    }
}

fn parse_hash(text: &str) -> Result<PasswordHash, String> {
    let hash = PasswordHash::new(text.trim()).map_err(|error| format!("not a PHC string: {error}"))?;
    if !matches!(hash.algorithm.as_str(), "argon2id" | "argon2i" | "argon2d") {
        return Err("only argon2 is taken".into());
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("the salt or the hash is missing".into());
    }
    let params = Params::try_from(&hash).map_err(|error| format!("wrong parameters: {error}"))?;
    if params.m_cost() > HASH_KIB_MAX || params.t_cost() > HASH_PASSES_MAX {
        return Err(format!(
            "it would take more than {HASH_KIB_MAX} KiB or {HASH_PASSES_MAX} passes to check"
        ));
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = DECOY;

    #[track_caller]
    fn wrong(text: &str, word: &str) {
        let why = Table::parse(text).unwrap_err();
        assert!(why.contains(word) && !why.contains("bm9ib2R5"), "{why}");
    }

    #[test]
    fn users_are_machines_in_any_form() {
        let table =
            Table::parse(&format!("# ours\n\n win10.corp.example:{HASH}\nCORP\\SRV1$:{HASH}\n")).unwrap();
        assert_eq!(table.principal("win10.corp.example").unwrap().machine.as_str(), "win10.corp.example");
        assert_eq!(table.principal("CORP\\SRV1$").unwrap().machine.as_str(), "srv1.corp");
        assert_eq!(table.principal("WIN10.corp.example"), None, "users are not machines that are compared");
        assert_eq!(table.hash("nobody"), &parse_hash(HASH).unwrap());
        assert_eq!(Table::parse("").unwrap().principal(""), None);
    }

    #[test]
    fn what_is_wrong_names_the_line_and_not_the_hash() {
        wrong("win10", "line 1");
        wrong(&format!("a:{HASH}\nno name:{HASH}"), "line 2");
        wrong(&format!("a:{HASH}\na:{HASH}"), "there before");
        wrong("a:$2b$10$abcdefghijklmnopqrstuv", "line 1");
        wrong("a:$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz", "missing");
        wrong(&format!("a:{}", HASH.replace("m=19456", "m=4194304")), "KiB");
        wrong(&format!("a:{}", HASH.replace("t=2", "t=4000")), "passes");
        wrong("a:secret", "PHC");
    }
}
