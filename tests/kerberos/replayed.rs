//! A token that comes a second time.

use super::*;
use crate::support::lab::AES256;
use forebay::auth::gss::ReplayProtection;
use forebay::kerberos::krb_error::code;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn with_file(file: PathBuf) -> ReplaySettings {
    ReplaySettings { file: Some(file), ..ReplaySettings::default() }
}

#[test]
fn a_token_counts_once_whatever_remembers_it() {
    let Some((lab, library)) = lab("a_token_counts_once_whatever_remembers_it") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    let (file, absent) = (lab.fresh("replays"), lab.folder().join("absent/replays"));
    for replay in [with_file(file.clone()), with_file(absent.clone()), ReplaySettings::default()] {
        let acceptor = acceptor_with(&library, &keytab, replay, &[]);
        let is_file = match acceptor.replay_protection() {
            ReplayProtection::File(used) => *used == file,
            ReplayProtection::MemoryInsteadOf { file, reason } => {
                assert!(*file == absent && reason.contains("No such file"), "{reason}");
                false
            }
            ReplayProtection::Memory => false,
        };
        for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
            let token = token(&library, &client, &service, mechanism);
            assert!(accept(&acceptor, &token).is_ok());
            let again = accept(&acceptor, &token).unwrap_err();
            assert!(again.to_string().contains("replay"), "{again}");
            assert_eq!(again.cause == Cause::Replay, !is_file);
            let error = krb_error(&again);
            assert_eq!(error.code, code::REPEAT);
            assert_eq!(format!("{}@{}", error.service, error.realm), service);
        }
    }
}

#[test]
fn how_far_clocks_may_be_apart_shows_with_a_ticket() {
    let Some((lab, library)) = lab("how_far_clocks_may_be_apart_shows_with_a_ticket") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    for skew in ["1", "300", "1000"] {
        let written = lab.fresh("token");
        fs::write(&written, token(&library, &client, &service, Mechanism::Spnego)).unwrap();
        let mut process = lab.command(std::env::current_exe().unwrap().to_str().unwrap());
        process.env("KRB5_CONFIG", lab.configured(&format!("clockskew = {skew}")));
        let arguments = [("LAB_KEYTAB", keytab.to_str().unwrap()), ("LAB_SKEWED", written.to_str().unwrap())];
        let told = in_its_own_process(process, "kerberos::replayed::by_another_configuration", &arguments);
        assert!(told.contains(&format!("apart by {skew} s")), "{told}");
    }
}

/// The library counts by seconds of its own clock, which begin some milliseconds later than those of others.
#[test]
fn a_second_that_begins_meanwhile_is_no_part_of_how_far_clocks_may_be_apart() {
    let name = "a_second_that_begins_meanwhile_is_no_part_of_how_far_clocks_may_be_apart";
    let Some((lab, library)) = lab(name) else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    client.ticket(&service);
    for _ in 0..3 {
        let tokens: Vec<_> =
            (0..100).map(|_| token(&library, &client, &service, Mechanism::Kerberos)).collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        thread::sleep(Duration::from_nanos((1_998_000_000 - u64::from(since)) % 1_000_000_000));
        for token in tokens {
            assert_eq!(accept(&acceptor, &token).unwrap().skew, Some(Duration::from_secs(300)));
        }
    }
}

/// Its part in another process.
#[test]
fn by_another_configuration() {
    let Ok(written) = std::env::var("LAB_SKEWED") else { return };
    let keytab = PathBuf::from(std::env::var("LAB_KEYTAB").unwrap());
    let acceptor = acceptor(&Library::load(Library::NAME).unwrap(), &keytab);
    let established = accept(&acceptor, &fs::read(written).unwrap()).unwrap();
    println!("apart by {} s", established.skew.unwrap().as_secs());
}

#[test]
fn other_framing_makes_no_other_token() {
    let Some((lab, library)) = lab("other_framing_makes_no_other_token") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    client.ticket(&service);
    let negotiated = token(&library, &client, &service, Mechanism::Spnego);
    assert!(accept(&acceptor, &negotiated).is_ok());
    // The framed token of Kerberos within: `60 82 length, OID, 01 00, 6e …`.
    let request = negotiated.windows(4).position(|four| four == [1, 0, 0x6e, 0x82]).unwrap();
    let framed = &negotiated[request - 15..];
    assert_eq!((framed[0], &framed[4..6]), (0x60, &[6, 9][..]));
    assert_eq!(accept(&acceptor, framed).unwrap_err().cause, Cause::Replay);
    // Of the options only those of mutual authentication and user to user mean anything.
    let mut changed = framed.to_vec();
    let options = changed.windows(4).position(|four| four == [0xa2, 7, 3, 5]).unwrap() + 5;
    changed[options] ^= 1;
    assert_eq!(accept(&acceptor, &changed).unwrap_err().cause, Cause::Replay);
}

#[test]
fn of_many_at_once_one_is_accepted() {
    let Some((lab, library)) = lab("of_many_at_once_one_is_accepted") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    for replay in [with_file(lab.fresh("replays")), ReplaySettings::default()] {
        let acceptor = acceptor_with(&library, &keytab, replay, &[]);
        for _ in 0..20 {
            let token = token(&library, &client, &service, Mechanism::Kerberos);
            let attempt = || accept(&acceptor, &token).is_ok();
            let accepted = thread::scope(|scope| {
                let attempts: Vec<_> = (0..8).map(|_| scope.spawn(attempt)).collect();
                attempts.into_iter().map(|one| usize::from(one.join().unwrap())).sum::<usize>()
            });
            assert_eq!(accepted, 1);
        }
    }
}

#[test]
fn a_file_remembers_over_a_restart() {
    let Some((lab, library)) = lab("a_file_remembers_over_a_restart") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let (keytab, file) = (lab.keytab(&[&service]), lab.fresh("replays"));
    client.ticket(&service);
    let token = token(&library, &client, &service, Mechanism::Kerberos);
    let life = || acceptor_with(&library, &keytab, with_file(file.clone()), &[]);
    assert!(accept(&life(), &token).is_ok());
    assert_eq!(krb_error(&accept(&life(), &token).unwrap_err()).code, code::REPEAT);
}

#[test]
fn a_file_that_fails_later_locks_nobody_out() {
    let Some((lab, library)) = lab("a_file_that_fails_later_locks_nobody_out") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let (keytab, file) = (lab.keytab(&[&service]), lab.fresh("replays"));
    client.ticket(&service);
    let acceptor = acceptor_with(&library, &keytab, with_file(file.clone()), &[]);
    for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
        let fresh = || token(&library, &client, &service, mechanism);
        let before = fresh();
        assert!(accept(&acceptor, &before).is_ok());
        assert_eq!(acceptor.replay_trouble(), None);
        // Nothing can be written into a folder.
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let meanwhile = fresh();
        assert!(accept(&acceptor, &meanwhile).is_ok());
        assert!(acceptor.replay_trouble().unwrap().text.contains("Is a directory"));
        for old in [&before, &meanwhile] {
            assert_eq!(accept(&acceptor, old).unwrap_err().cause, Cause::Replay);
        }
        fs::remove_dir(&file).unwrap();
        assert_eq!(accept(&acceptor, &meanwhile).unwrap_err().cause, Cause::Replay, "the file is new");
        assert!(accept(&acceptor, &fresh()).is_ok());
        assert_eq!(acceptor.replay_trouble(), None);
    }
}

#[test]
fn what_cannot_be_remembered_is_refused() {
    let Some((lab, library)) = lab("what_cannot_be_remembered_is_refused") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    let replay = ReplaySettings { entries_max: 1, ..ReplaySettings::default() };
    let acceptor = acceptor_with(&library, &keytab, replay, &[]);
    let fresh = || token(&library, &client, &service, Mechanism::Kerberos);
    assert!(accept(&acceptor, &fresh()).is_ok());
    let full = Cause::ReplayCacheFull { entries: 1, window_seconds: 600 };
    assert_eq!(accept(&acceptor, &fresh()).unwrap_err().cause, full);
}
