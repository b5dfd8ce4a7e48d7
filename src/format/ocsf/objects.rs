//! Attributes of the classes beyond those that all events have, from what was taken.

use super::kinds::{Class, Kind, Own};
use super::place::{self, Place};
use crate::event::Value;
use crate::format::known::is_blank;
use crate::format::members::{comma, integer, open, string, text};
use crate::format::sieve::Taken;

/// Whether each object that something was taken for has a key.
pub(super) fn are_complete(taken: &Taken) -> bool {
    Place::NEEDS.iter().all(|(belong, keys)| !any(taken, belong) || any(taken, keys))
}

/// Whether all is there that the class requires.
pub(super) fn has_required(kind: Kind, computer: Value<'_>, taken: &Taken) -> bool {
    let has_computer = !is_blank(computer);
    match kind.class {
        Class::Base => true,
        Class::Authentication => {
            let target =
                if kind.own == Own::Target { any(taken, &[Place::TargetHost]) } else { has_computer };
            any(taken, &[Place::UserName, Place::UserUid]) && target
        }
        Class::Process => {
            let is_launch = kind.activity == 1;
            has_computer && any(taken, &[Place::Pid, Place::ProcessUid]) && (!is_launch || any(taken, ACTOR))
        }
    }
}

/// What an actor is known by.
const ACTOR: &[Place] =
    &[Place::ActorUid, Place::ActorName, Place::ActorSession, Place::CallerPid, Place::CallerUid];

fn any(taken: &Taken, places: &[Place]) -> bool {
    places.iter().any(|place| taken.get(*place as usize).is_some())
}

fn of(taken: &Taken, place: Place) -> &[u8] {
    taken.get(place as usize).unwrap_or_default()
}

pub(super) fn authentication(own: Own, computer: Value<'_>, taken: &Taken, out: &mut Vec<u8>) {
    user(USER, taken, out);
    session(Place::UserSession, taken, out);
    if any(taken, ACTOR) {
        open("actor", out);
        user(ACTING_USER, taken, out);
        session(Place::ActorSession, taken, out);
        caller("process", taken, false, out);
        out.push(b'}');
    }
    if any(taken, &[Place::SourceIp, Place::SourceHost]) {
        open("src_endpoint", out);
        text("ip", of(taken, Place::SourceIp), out);
        if let Some(port) = place::port(of(taken, Place::SourcePort)) {
            integer("port", port, out);
        }
        text("hostname", of(taken, Place::SourceHost), out);
        out.push(b'}');
    }
    open("dst_endpoint", out);
    match own {
        Own::Target => text("hostname", of(taken, Place::TargetHost), out),
        _ => string("hostname", computer, out),
    }
    out.push(b'}');
    if any(taken, &[Place::ServiceName, Place::ServiceUid]) {
        open("service", out);
        text("name", of(taken, Place::ServiceName), out);
        text("uid", of(taken, Place::ServiceUid), out);
        out.push(b'}');
    }
    logon(own, taken, out);
}

/// How it was done.
fn logon(own: Own, taken: &Taken, out: &mut Vec<u8>) {
    if let Some((id, caption, is_remote)) = place::logon_type(of(taken, Place::LogonType)) {
        integer("logon_type_id", id, out);
        text("logon_type", caption.as_bytes(), out);
        out.extend_from_slice(if is_remote { b",\"is_remote\":true" } else { b",\"is_remote\":false" });
    }
    let protocol: &[u8] = match own {
        Own::Ticket(_) => b"Kerberos",
        Own::Ntlm => b"NTLM",
        Own::Nothing | Own::Target => of(taken, Place::Protocol),
    };
    if !protocol.is_empty() {
        let id = match protocol {
            b"NTLM" => 1,
            b"Kerberos" => 2,
            _ => 99,
        };
        integer("auth_protocol_id", id, out);
        text("auth_protocol", protocol, out);
    }
    if let Own::Ticket(id) = own {
        open("authentication_token", out);
        integer("type_id", id.into(), out);
        let caption = if id == 1 { "Ticket Granting Ticket" } else { "Service Ticket" };
        text("type", caption.as_bytes(), out);
        text("kerberos_flags", of(taken, Place::TicketFlags), out);
        out.push(b'}');
    }
}

/// The process, and who began it; one that ended did so itself.
pub(super) fn process(is_launch: bool, taken: &Taken, out: &mut Vec<u8>) {
    open("process", out);
    identity([Place::Pid, Place::ProcessUid], taken, out);
    text("cmd_line", of(taken, Place::CommandLine), out);
    text("working_directory", of(taken, Place::Folder), out);
    file(Place::File, true, taken, out);
    user(USER, taken, out);
    account(Place::Account, taken, out);
    session(Place::UserSession, taken, out);
    integrity(taken, out);
    caller("parent_process", taken, true, out);
    out.push(b'}');
    open("actor", out);
    if is_launch {
        caller("process", taken, false, out);
    } else {
        open("process", out);
        identity([Place::Pid, Place::ProcessUid], taken, out);
        file(Place::File, false, taken, out);
        out.push(b'}');
    }
    user(ACTING_USER, taken, out);
    session(Place::ActorSession, taken, out);
    out.push(b'}');
    if let Some(code) = place::exit_code(of(taken, Place::ExitCode)) {
        integer("exit_code", code, out);
    }
}

fn integrity(taken: &Taken, out: &mut Vec<u8>) {
    let named = of(taken, Place::Integrity);
    let (id, caption) = match place::integrity_of_sid(of(taken, Place::IntegritySid)) {
        Some((id, caption)) => (id, caption.as_bytes()),
        None => (place::integrity(named), named),
    };
    if !caption.is_empty() {
        integer("integrity_id", id, out);
        text("integrity", caption, out);
    }
}

/// The process that called or began another.
fn caller(name: &str, taken: &Taken, all: bool, out: &mut Vec<u8>) {
    let keys = [Place::CallerPid, Place::CallerUid];
    if !any(taken, &keys) {
        return;
    }
    open(name, out);
    identity(keys, taken, out);
    file(Place::CallerFile, false, taken, out);
    if all {
        text("cmd_line", of(taken, Place::CallerCommandLine), out);
        account(Place::CallerAccount, taken, out);
    }
    out.push(b'}');
}

/// Number and GUID of a process. One of them is there.
fn identity([number, uid]: [Place; 2], taken: &Taken, out: &mut Vec<u8>) {
    let digits = of(taken, number);
    if let Some(pid) = place::pid(digits, 16).or_else(|| place::pid(digits, 10)) {
        integer("pid", pid, out);
    }
    text("uid", of(taken, uid), out);
}

/// The name of a process is that of its file.
fn file(path: Place, with_version: bool, taken: &Taken, out: &mut Vec<u8>) {
    let path = of(taken, path);
    if path.is_empty() {
        return;
    }
    let name = place::file_name(path);
    text("name", name, out);
    open("file", out);
    text("name", name, out);
    text("path", path, out);
    out.extend_from_slice(b",\"type_id\":1,\"type\":\"Regular File\"");
    if with_version {
        text("version", of(taken, Place::FileVersion), out);
        text("desc", of(taken, Place::FileDescription), out);
        text("company_name", of(taken, Place::FileCompany), out);
        text("internal_name", of(taken, Place::FileInternalName), out);
        let product = of(taken, Place::FileProduct);
        if !product.is_empty() {
            open("product", out);
            text("name", product, out);
            out.push(b'}');
        }
        let hashes = of(taken, Place::Hashes);
        if !hashes.is_empty() {
            out.extend_from_slice(b",\"hashes\":[");
            for (id, caption, value) in place::hashes(hashes).flatten() {
                comma(out);
                out.push(b'{');
                integer("algorithm_id", id, out);
                text("algorithm", caption.as_bytes(), out);
                text("value", value, out);
                out.push(b'}');
            }
            out.push(b']');
        }
    }
    out.push(b'}');
}

const USER: [Place; 3] = [Place::UserName, Place::UserDomain, Place::UserUid];
const ACTING_USER: [Place; 3] = [Place::ActorName, Place::ActorDomain, Place::ActorUid];

fn user([name, domain, uid]: [Place; 3], taken: &Taken, out: &mut Vec<u8>) {
    if any(taken, &[name, uid]) {
        open("user", out);
        text("name", of(taken, name), out);
        text("domain", of(taken, domain), out);
        text("uid", of(taken, uid), out);
        out.push(b'}');
    }
}

/// A user that is one text, `DOMAIN\name`.
fn account(place: Place, taken: &Taken, out: &mut Vec<u8>) {
    let (domain, name) = place::account(of(taken, place));
    if !name.is_empty() {
        open("user", out);
        text("name", name, out);
        text("domain", domain.unwrap_or_default(), out);
        out.push(b'}');
    }
}

fn session(uid: Place, taken: &Taken, out: &mut Vec<u8>) {
    let uid = of(taken, uid);
    if !uid.is_empty() {
        open("session", out);
        text("uid", uid, out);
        out.push(b'}');
    }
}
