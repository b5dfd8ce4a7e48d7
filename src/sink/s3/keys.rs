//! The keys that requests are signed with: written down, in files that are read again when they change, or where the
//! tools of AWS look for them.
//!
//! Promise: a secret is in no finding and no log. Must not know: how a request is signed.

use crate::auth::files::Stamp;
use crate::finding::Finding;
use crate::sink::SinkError;
use crate::sink::web::credentials::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Whose requests these are: a key and its secret, or a file of profiles. Nothing given: `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of the environment, then the file that the tools of AWS read
/// (`AWS_SHARED_CREDENTIALS_FILE`, or `.aws/credentials` at home) with the profile `AWS_PROFILE`. Files are read again
/// when they change.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Name of the key.
    pub access_key_id: Option<String>,
    /// A file that holds it.
    pub access_key_id_file: Option<PathBuf>,
    /// The secret of the key.
    pub secret_access_key: Option<String>,
    /// A file that holds it.
    pub secret_access_key_file: Option<PathBuf>,
    /// What comes with keys that end.
    pub session_token: Option<String>,
    /// A file that holds it.
    pub session_token_file: Option<PathBuf>,
    /// A file of profiles, as the tools of AWS write it.
    pub credentials_file: Option<PathBuf>,
    /// Which of its profiles; `default` if not given.
    pub profile: Option<String>,
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthConfig { … }")
    }
}

/// A key of an account.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

enum Source {
    Given {
        id: Secret,
        secret: Secret,
        token: Option<Secret>,
    },
    Profile {
        path: PathBuf,
        name: String,
    },
    /// Where the tools of AWS look.
    Around,
}

/// Finds the keys.
pub(super) struct Credentials {
    source: Source,
    known: Mutex<Option<(Stamp, Arc<Keys>)>>,
}

impl Credentials {
    /// # Errors
    /// Names the setting that cannot be.
    pub(super) fn of(config: &AuthConfig) -> Result<Self, SinkError> {
        let wrong = |setting, why: &str| SinkError::Setting { setting, why: why.into() };
        let AuthConfig { access_key_id, secret_access_key, session_token, .. } = config;
        let one = |setting, text: &Option<String>, file: &Option<PathBuf>| {
            Secret::one_of(text.as_ref(), file.as_ref()).map_err(|why| wrong(setting, why))
        };
        let id = one("auth.access_key_id", access_key_id, &config.access_key_id_file)?;
        let secret = one("auth.secret_access_key", secret_access_key, &config.secret_access_key_file)?;
        let token = one("auth.session_token", session_token, &config.session_token_file)?;
        let source = match (id, secret, &config.credentials_file) {
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                return Err(wrong("auth.credentials_file", "there is a key beside it; keep one of them"));
            }
            (Some(id), Some(secret), None) if config.profile.is_none() => Source::Given { id, secret, token },
            (Some(_), Some(_), None) => {
                return Err(wrong(
                    "auth.profile",
                    "a profile is of a `credentials_file`; leave one of them out",
                ));
            }
            (Some(_), None, None) => {
                return Err(wrong("auth", "write `secret_access_key` or `secret_access_key_file` too"));
            }
            (None, Some(_), None) => {
                return Err(wrong("auth", "write `access_key_id` or `access_key_id_file` too"));
            }
            (None, None, _) if token.is_some() => {
                return Err(wrong("auth.session_token", "it comes with a key; write `access_key_id` too"));
            }
            (None, None, Some(path)) => {
                Source::Profile { path: path.clone(), name: config.profile.clone().unwrap_or_else(default) }
            }
            (None, None, None) if config.profile.is_some() => {
                return Err(wrong("auth.profile", "write `credentials_file` too, the file that it is in"));
            }
            (None, None, None) => Source::Around,
        };
        Ok(Self { source, known: Mutex::new(None) })
    }

    /// The keys, with what files hold now.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn keys(&self) -> Result<Arc<Keys>, Finding> {
        let stamp = self.stamp();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, keys)) = known.as_ref().filter(|(of, _)| *of == stamp) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(self.read()?);
        *known = Some((stamp, Arc::clone(&keys)));
        Ok(keys)
    }

    /// What changes with the files.
    pub(super) fn stamp(&self) -> Stamp {
        match &self.source {
            Source::Given { id, secret, token } => {
                let files = [Some(id), Some(secret), token.as_ref()].into_iter().flatten();
                Stamp::of(files.filter_map(Secret::file))
            }
            Source::Profile { path, .. } => Stamp::of([path]),
            Source::Around => Stamp::of(around().map(|(path, _)| path)),
        }
    }

    fn read(&self) -> Result<Keys, Finding> {
        match &self.source {
            Source::Given { id, secret, token } => Ok(Keys {
                id: id.read()?,
                secret: secret.read()?,
                token: token.as_ref().map(Secret::read).transpose()?,
            }),
            Source::Profile { path, name } => profile(path, name),
            Source::Around => match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
                (Some(id), Some(secret)) => Ok(Keys { id, secret, token: variable("AWS_SESSION_TOKEN") }),
                _ => match around().filter(|(path, _)| path.exists()) {
                    Some((path, name)) => profile(&path, &name),
                    None => Err(Finding {
                        what: "there are no keys to sign requests to S3 with".into(),
                        why: "neither `auth` nor the environment has them, and there is no file of profiles"
                            .into(),
                        fix: "write `auth.access_key_id` and `auth.secret_access_key_file`".into(),
                    }),
                },
            },
        }
    }
}

/// The file and the profile that the tools of AWS read.
fn around() -> Option<(PathBuf, String)> {
    let file = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let file = file.or_else(|| Some(Path::new(&variable("HOME")?).join(".aws/credentials")))?;
    Some((file, variable("AWS_PROFILE").unwrap_or_else(default)))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn default() -> String {
    "default".into()
}

fn profile(path: &Path, name: &str) -> Result<Keys, Finding> {
    let text = Secret::File(path.to_owned()).read()?;
    of_profile(&text, name).map_err(|why| Finding {
        what: format!("the keys in {} cannot be used", path.display()),
        why,
        fix: "write the profile with `aws_access_key_id` and `aws_secret_access_key`; it is noticed at once"
            .into(),
    })
}

/// Sections with keys and values, as the tools of AWS read them.
fn of_profile(text: &str, name: &str) -> Result<Keys, String> {
    let (mut is_there, mut is_here) = (false, false);
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let section = section.trim();
            is_here = section == name || section.strip_prefix("profile ").map(str::trim) == Some(name);
            is_there |= is_here;
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| is_here) else { continue };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match key.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" | "aws_security_token" => token = value,
            _ => {}
        }
    }
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Keys { id, secret, token }),
        _ if is_there => Err(format!("the profile `{name}` has no key, or no secret of it")),
        _ => Err(format!("there is no profile `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn of(text: &str) -> Result<Credentials, String> {
        Credentials::of(&toml::from_str(text).unwrap()).map_err(|error| format!("{}: {error}", error.key()))
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        for (text, part) in [
            ("access_key_id = 'x'", "secret_access_key_file"),
            ("secret_access_key = 'x'", "access_key_id_file"),
            ("access_key_id = 'x'\naccess_key_id_file = 'y'", "auth.access_key_id"),
            ("secret_access_key = ''", "auth.secret_access_key"),
            ("session_token = 'x'", "auth.session_token"),
            ("profile = 'x'", "credentials_file"),
            ("access_key_id = 'x'\nsecret_access_key = 'y'\nprofile = 'z'", "auth.profile"),
            ("access_key_id = 'x'\ncredentials_file = 'y'", "auth.credentials_file"),
        ] {
            let why = of(text).err().unwrap();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn a_profile_is_found_among_others() {
        let file = "# work\n[default]\naws_access_key_id=A\naws_secret_access_key=s\n\n[ archive ]\n; old\n\
                    AWS_ACCESS_KEY_ID = B\naws_secret_access_key = t/+=\naws_session_token = long\nregion = x\n\
                    [profile other]\naws_access_key_id = C\n";
        let keys = of_profile(file, "archive").unwrap();
        assert_eq!((&*keys.id, &*keys.secret, keys.token.as_deref()), ("B", "t/+=", Some("long")));
        assert_eq!(of_profile(file, "default").unwrap().token, None);
        assert!(of_profile(file, "other").unwrap_err().contains("no key"));
        assert!(of_profile(file, "none").unwrap_err().contains("no profile"));
        assert!(!format!("{keys:?}").contains("t/+="));
    }

    #[test]
    fn files_are_read_again_when_they_change_and_refused_when_others_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode| {
            fs::write(folder.path().join(name), text).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        put("secret", "one\n", 0o600);
        let path = folder.path().join("secret");
        let credentials =
            of(&format!("access_key_id = 'A'\nsecret_access_key_file = '{}'", path.display())).ok().unwrap();
        assert_eq!(credentials.keys().unwrap().secret, "one");
        let before = credentials.stamp();
        put("secret", "another\n", 0o600);
        assert_eq!(credentials.keys().unwrap().secret, "another");
        assert_ne!(credentials.stamp(), before);
        put("secret", "open to all", 0o644);
        let told = credentials.keys().unwrap_err().to_string();
        assert!(
            told.contains("every user of this machine can read it") && !told.contains("open to all"),
            "{told}"
        );
        put("profiles", "[p]\naws_access_key_id = A\naws_secret_access_key = s", 0o600);
        let path = folder.path().join("profiles");
        let credentials = |name| of(&format!("credentials_file = '{}'\nprofile = '{name}'", path.display()));
        assert_eq!(credentials("p").ok().unwrap().keys().unwrap().id, "A");
        assert!(credentials("q").ok().unwrap().keys().unwrap_err().why.contains("no profile"));
    }
}
