//! Handshakes with tickets of a real key distribution centre.

mod accepted;
mod agreed;
mod curl;
mod diagnosed;
pub(crate) mod fleet;
mod mutated;
mod refused;
mod replayed;
#[cfg(feature = "sspi")]
mod sspi;
mod winrm;

use crate::support::lab::{AES256, Client, Lab, RC4};
use forebay::auth::gss::{
    Accepting, Acceptor, AcceptorSettings, Identity, Initiating, Initiator, Library, Mechanism,
    ReplaySettings,
};
use forebay::auth::handshake::{Cause, Established, Failure, SecurityContext};
use forebay::kerberos::token::Content;
use forebay::kerberos::{Etype, KrbError, Token};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The lab, where the library is there as well.
pub(crate) fn lab(test: &str) -> Option<(Arc<Lab>, Library)> {
    match Library::load(Library::NAME) {
        Ok(library) => Lab::start(test).map(|lab| (lab, library)),
        Err(missing) => {
            println!("SKIP {test}: {missing}");
            None
        }
    }
}

/// Python with what `.ci/python.txt` lists.
pub(crate) fn python(test: &str) -> Option<PathBuf> {
    let cache = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/forebay/python/bin/python"));
    let python = std::env::var_os("FOREBAY_PYTHON").map(PathBuf::from).or_else(cache);
    let python = python.filter(|path| path.exists());
    if python.is_none() {
        println!("SKIP {test}: there is no Python with what .ci/python.txt lists");
    }
    python
}

/// Accepts with this keytab, and remembers in memory.
fn acceptor(library: &Library, keytab: &Path) -> Arc<Acceptor> {
    acceptor_with(library, keytab, ReplaySettings::default(), &[])
}

fn acceptor_with(
    library: &Library,
    keytab: &Path,
    replay: ReplaySettings,
    services: &[&str],
) -> Arc<Acceptor> {
    let services = services.iter().map(|&service| service.into()).collect();
    let settings = AcceptorSettings { keytab: keytab.into(), replay, services };
    Arc::new(Acceptor::new(library.clone(), settings).unwrap())
}

/// A client that is about to begin with a ticket it has.
pub(crate) fn initiating(
    library: &Library,
    client: &Client,
    service: &str,
    mechanism: Mechanism,
) -> Initiating {
    initiating_with(library, client, service, mechanism, &[])
}

fn initiating_with(
    library: &Library,
    client: &Client,
    service: &str,
    mechanism: Mechanism,
    etypes: &[Etype],
) -> Initiating {
    let identity = Identity::Cache { name: client.cache_name() };
    let initiator = Initiator::new(library.clone(), &identity, etypes).unwrap();
    initiator.context(service, mechanism).unwrap()
}

/// The first token of a client that has a ticket.
pub(crate) fn token(library: &Library, client: &Client, service: &str, mechanism: Mechanism) -> Vec<u8> {
    initiating(library, client, service, mechanism).step(&[], None).unwrap().token
}

/// Both sides until both are done: what the acceptor has, and what the initiator has.
fn shake_hands(
    (acceptor, our_bindings): (&mut Accepting, Option<&[u8]>),
    (initiator, their_bindings): (&mut dyn SecurityContext, Option<&[u8]>),
) -> Result<[Box<Established>; 2], Failure> {
    let mut ours = None;
    let mut theirs = initiator.step(&[], their_bindings)?;
    while !theirs.token.is_empty() {
        let answer = acceptor.step(&theirs.token, our_bindings)?;
        ours = answer.established.or(ours);
        if theirs.established.is_some() {
            break;
        }
        theirs = initiator.step(&answer.token, their_bindings)?;
    }
    Ok([ours.unwrap(), theirs.established.unwrap()])
}

/// The token alone, on a connection of its own.
fn accept(acceptor: &Arc<Acceptor>, token: &[u8]) -> Result<Box<Established>, Failure> {
    acceptor.context().step(token, None).map(|step| step.established.expect("one leg is enough"))
}

/// Keytabs that do not fit the tickets for a service, each in its way: the service, the keytab, the label of the cause
/// and a part of what is said of it. A ticket is to be fetched while it is shown.
pub(crate) fn each_misfit(lab: &Lab, show: impl Fn(&str, &Path, (&str, &str))) {
    let (service, other) = (lab.service(&[AES256]), lab.service(&[AES256]));
    show(&service, &lab.keytab(&[&other]), ("service_not_in_keytab", "has no key of"));

    let keytab = lab.keytab(&[&service]);
    let mut bytes = std::fs::read(&keytab).unwrap();
    // The version of the key ends the file, four bytes long; the key is in front of it.
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    let wrong = lab.fresh("wrong.keytab");
    std::fs::write(&wrong, &bytes).unwrap();
    show(&service, &wrong, ("wrong_key", "does not open"));

    lab.change_key(&service);
    show(&service, &keytab, ("key_version", "the password was changed since"));

    let service = lab.service(&[RC4]);
    let keytab = lab.keytab(&[&service]);
    lab.administer(&format!("cpw -randkey -e {AES256}:normal {service}\n"));
    show(&service, &keytab, ("etype_not_in_keytab", "arcfour-hmac only"));
}

/// What the client is told in the token of a failure.
#[track_caller]
fn krb_error(failure: &Failure) -> KrbError {
    match Token::peek(&failure.token).map(|token| token.content) {
        Ok(Content::Error(error)) => *error,
        other => panic!("{failure}: {other:?}"),
    }
}

/// Runs another test in a process that is all its own, where it finds `arguments` in its environment.
#[track_caller]
fn in_its_own_process(mut command: Command, test: &str, arguments: &[(&str, &str)]) -> String {
    command.args(["--exact", test, "--nocapture"]).envs(arguments.iter().copied());
    let output = command.output().unwrap();
    let told =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && told.contains("1 passed"), "{test}: {told}");
    told
}
