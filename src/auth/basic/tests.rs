//! Signing in, as a connection does it.

use super::*;
use crate::auth::Scheme;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn line(user: &str, password: &str) -> String {
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon = Argon2::from(params);
    let hash: PasswordHash =
        argon2::PasswordHasher::hash_password_with_salt(&argon, password.as_bytes(), b"saltsalt").unwrap();
    format!("{user}:{hash}\n")
}

fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passwords");
    write(&path, text, mode);
    (folder, path)
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_right_password_is_taken_again_and_again_and_a_wrong_one_is_not() {
    let (_folder, path) = file(&(line("win10.corp.example", "secret") + &line("win11", "other")), 0o600);
    let passwords = Passwords::open(&path).unwrap();
    for _ in 0..2 {
        let principal = passwords.sign_in("win10.corp.example", "secret", HERE).await.unwrap();
        assert_eq!(
            (&*principal.name, principal.machine.as_str()),
            ("win10.corp.example", "win10.corp.example")
        );
        assert_eq!(principal.scheme, Scheme::Basic);
    }
    for (user, password) in
        [("win10.corp.example", "other"), ("win11", "secret"), ("nobody", "secret"), ("win11", "")]
    {
        assert_eq!(passwords.sign_in(user, password, HERE).await, Err(Denied::Wrong), "{user}");
    }
    assert!(!format!("{passwords:?}").contains("secret"));
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_who_is_known_does_not() {
    let (_folder, path) = file(&line("win10", "secret"), 0o600);
    let passwords = Passwords::open(&path).unwrap();
    passwords.sign_in("win10", "secret", HERE).await.unwrap();
    let there = IpAddr::from([10, 0, 0, 1]);
    for _ in 0..5 {
        assert_eq!(passwords.sign_in("win10", "guess", there).await, Err(Denied::Wrong));
    }
    let denied = passwords.sign_in("win10", "secre", there).await;
    assert!(matches!(denied, Err(Denied::TooOften { wait }) if wait <= Duration::from_secs(1)), "{denied:?}");
    assert!(passwords.sign_in("win10", "secret", HERE).await.is_ok(), "it was here before");
}

#[tokio::test]
async fn a_changed_file_is_in_force_and_a_broken_one_is_not() {
    let (_folder, path) = file(&line("win10", "secret"), 0o640);
    let passwords = Passwords::open(&path).unwrap();
    passwords.sign_in("win10", "secret", HERE).await.unwrap();
    assert_eq!(passwords.refresh(), None);
    write(&path, "win10", 0o600);
    let finding = passwords.refresh().unwrap();
    assert!(finding.why.contains("line 1"), "{finding}");
    assert_eq!(passwords.refresh(), None, "told once");
    assert!(passwords.sign_in("win10", "secret", HERE).await.is_ok());
    write(&path, &line("win10", "new password"), 0o600);
    assert_eq!(passwords.refresh(), None);
    assert_eq!(passwords.sign_in("win10", "secret", HERE).await, Err(Denied::Wrong));
    assert!(passwords.sign_in("win10", "new password", HERE).await.is_ok());
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let (_folder, path) = file(&line("win10", "secret"), 0o644);
    let finding = Passwords::open(&path).unwrap_err();
    assert!(finding.why.contains("others"), "{finding}");
    assert!(Passwords::open(Path::new("/nowhere")).unwrap_err().what.contains("/nowhere"));
}

#[tokio::test]
async fn few_hash_at_once_and_few_wait_for_it() {
    let (_folder, path) = file(&line("win10", "secret"), 0o600);
    let passwords = Passwords::open(&path).unwrap();
    let _all = passwords.hashing.acquire_many(HASHING_MAX as u32).await.unwrap();
    let address = |number: u8| IpAddr::from([10, 0, 0, number]);
    let mut waiting: Vec<_> = (0..WAITING_MAX as u8)
        .map(|number| Box::pin(passwords.sign_in("win10", "guess", address(number))))
        .collect();
    for attempt in &mut waiting {
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(attempt.as_mut().poll(cx).is_pending())).await
        );
    }
    assert_eq!(passwords.sign_in("win10", "secret", HERE).await, Err(Denied::Busy));
    drop(waiting);
    drop(_all);
    assert!(passwords.sign_in("win10", "secret", HERE).await.is_ok());
}
