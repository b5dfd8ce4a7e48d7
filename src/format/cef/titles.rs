//! First lines of the messages of events that receivers know by their name, for those whose sender did
//! not render them. Source: Microsoft's list of security events.

/// What the event is called.
pub(in crate::format) fn title(provider: &[u8], id: u64) -> Option<&'static str> {
    if provider != b"Microsoft-Windows-Security-Auditing" {
        return None;
    }
    let found = TITLES.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    Some(TITLES[found].1)
}

/// By id.
const TITLES: [(u64, &str); 60] = [
    (4608, "Windows is starting up."),
    (4616, "The system time was changed."),
    (4624, "An account was successfully logged on."),
    (4625, "An account failed to log on."),
    (4634, "An account was logged off."),
    (4647, "User initiated logoff."),
    (4648, "A logon was attempted using explicit credentials."),
    (4656, "A handle to an object was requested."),
    (4657, "A registry value was modified."),
    (4658, "The handle to an object was closed."),
    (4660, "An object was deleted."),
    (4661, "A handle to an object was requested."),
    (4662, "An operation was performed on an object."),
    (4663, "An attempt was made to access an object."),
    (4670, "Permissions on an object were changed."),
    (4672, "Special privileges assigned to new logon."),
    (4673, "A privileged service was called."),
    (4674, "An operation was attempted on a privileged object."),
    (4688, "A new process has been created."),
    (4689, "A process has exited."),
    (4697, "A service was installed in the system."),
    (4698, "A scheduled task was created."),
    (4699, "A scheduled task was deleted."),
    (4700, "A scheduled task was enabled."),
    (4701, "A scheduled task was disabled."),
    (4702, "A scheduled task was updated."),
    (4719, "System audit policy was changed."),
    (4720, "A user account was created."),
    (4722, "A user account was enabled."),
    (4723, "An attempt was made to change an account's password."),
    (4724, "An attempt was made to reset an account's password."),
    (4725, "A user account was disabled."),
    (4726, "A user account was deleted."),
    (4728, "A member was added to a security-enabled global group."),
    (4729, "A member was removed from a security-enabled global group."),
    (4732, "A member was added to a security-enabled local group."),
    (4733, "A member was removed from a security-enabled local group."),
    (4738, "A user account was changed."),
    (4739, "Domain Policy was changed."),
    (4740, "A user account was locked out."),
    (4741, "A computer account was created."),
    (4742, "A computer account was changed."),
    (4743, "A computer account was deleted."),
    (4756, "A member was added to a security-enabled universal group."),
    (4757, "A member was removed from a security-enabled universal group."),
    (4767, "A user account was unlocked."),
    (4768, "A Kerberos authentication ticket (TGT) was requested."),
    (4769, "A Kerberos service ticket was requested."),
    (4770, "A Kerberos service ticket was renewed."),
    (4771, "Kerberos pre-authentication failed."),
    (4776, "The computer attempted to validate the credentials for an account."),
    (4778, "A session was reconnected to a Window Station."),
    (4779, "A session was disconnected from a Window Station."),
    (4781, "The name of an account was changed:"),
    (5136, "A directory service object was modified."),
    (5137, "A directory service object was created."),
    (5140, "A network share object was accessed."),
    (5145, "A network share object was checked to see whether client can be granted desired access."),
    (5156, "The Windows Filtering Platform has permitted a connection."),
    (5157, "The Windows Filtering Platform has blocked a connection."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_events_have_their_name() {
        assert!(TITLES.is_sorted_by_key(|(id, _)| *id));
        let provider = b"Microsoft-Windows-Security-Auditing";
        assert_eq!(title(provider, 4624), Some("An account was successfully logged on."));
        assert_eq!(title(provider, 5157).map(|title| title.ends_with("connection.")), Some(true));
        assert_eq!((title(provider, 1), title(b"Other", 4624)), (None, None));
    }
}
