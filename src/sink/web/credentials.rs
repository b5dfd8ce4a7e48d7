//! The `Authorization` header: what was written, or a file that is read again when it changes.
//!
//! Promise: a secret is in no finding and no log. Must not know: who asks for it.

use super::client::Report;
use super::token::{Tokens, Unsigned};
use crate::auth::files::Stamp;
use crate::finding::Finding;
use crate::sink::secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How we sign in: one of these, or none. Files are read again when they change.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// User and password.
    pub basic: Option<BasicConfig>,
    /// The word behind `Bearer`.
    pub bearer_token: Option<String>,
    /// A file that holds it.
    pub bearer_token_file: Option<PathBuf>,
    /// The word behind `ApiKey`: of Elasticsearch the `encoded` form of a key.
    pub api_key: Option<String>,
    /// A file that holds it.
    pub api_key_file: Option<PathBuf>,
}

/// User and password.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicConfig {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
}

/// Where a secret is.
#[derive(Clone)]
pub(crate) enum Secret {
    Text(String),
    File(PathBuf),
}

impl Secret {
    /// Of a text and a file, exactly one.
    pub(crate) fn one_of(
        text: Option<&String>,
        file: Option<&PathBuf>,
    ) -> Result<Option<Self>, &'static str> {
        match (text, file) {
            (Some(_), Some(_)) => Err("it stands here and in a file; keep one of them"),
            (Some(text), None) if text.trim().is_empty() => Err("it is empty"),
            (Some(text), None) => Ok(Some(Self::Text(text.trim().to_owned()))),
            (None, Some(path)) => Ok(Some(Self::File(path.clone()))),
            (None, None) => Ok(None),
        }
    }

    /// The file that it stands in.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Text(_) => None,
        }
    }

    /// # Errors
    /// Why there is none.
    pub(crate) fn read(&self) -> Result<String, Finding> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        // No letter of a header is white space at its end.
        Ok(secret::read(path)?.trim().to_owned())
    }
}

/// Makes the header.
pub(crate) struct Credentials {
    scheme: Option<(Scheme, Secret)>,
    known: Mutex<Option<(Stamp, HeaderValue)>>,
    /// Where it is fetched instead.
    tokens: Option<Tokens>,
}

#[derive(Clone, Debug)]
pub(crate) enum Scheme {
    Basic {
        user: String,
    },
    /// The word in front of the secret.
    Word(&'static str),
}

impl Credentials {
    pub(crate) fn new(scheme: Option<(Scheme, Secret)>) -> Self {
        Self { scheme, known: Mutex::new(None), tokens: None }
    }

    /// Those that are fetched with a secret.
    pub(crate) fn fetching(tokens: Tokens) -> Self {
        Self { scheme: None, known: Mutex::new(None), tokens: Some(tokens) }
    }

    /// # Errors
    /// The key, and what is wrong with it.
    pub(crate) fn of(config: &AuthConfig) -> Result<Self, (&'static str, String)> {
        let mut found = Vec::new();
        let mut add = |key, scheme, secret: Result<Option<Secret>, &'static str>| match secret {
            Ok(secret) => {
                found.extend(secret.map(|secret| (scheme, secret)));
                Ok(())
            }
            Err(why) => Err((key, why.to_owned())),
        };
        let AuthConfig { basic, bearer_token, bearer_token_file, api_key, api_key_file } = config;
        let bearer = Secret::one_of(bearer_token.as_ref(), bearer_token_file.as_ref());
        add("auth.bearer_token", Scheme::Word("Bearer"), bearer)?;
        add("auth.api_key", Scheme::Word("ApiKey"), Secret::one_of(api_key.as_ref(), api_key_file.as_ref()))?;
        if let Some(basic) = basic {
            let secret = Secret::one_of(basic.password.as_ref(), basic.password_file.as_ref());
            if matches!(secret, Ok(None)) {
                return Err(("auth.basic", "write `password` or `password_file`".into()));
            }
            if basic.user.contains(':') {
                return Err(("auth.basic.user", "a user of Basic authentication has no `:`".into()));
            }
            add("auth.basic.password", Scheme::Basic { user: basic.user.clone() }, secret)?;
        }
        match found.len() {
            0 | 1 => Ok(Self::new(found.pop())),
            _ => Err(("auth", "there are several ways to sign in; keep one of them".into())),
        }
    }

    /// The header, with what the file holds now.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, Finding> {
        let Some((scheme, secret)) = &self.scheme else { return Ok(None) };
        let stamp = self.stamp();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, header)) = known.as_ref().filter(|(of, _)| *of == stamp) {
            return Ok(Some(header.clone()));
        }
        let text = secret.read()?;
        let text = match scheme {
            Scheme::Basic { user } => format!("Basic {}", STANDARD.encode(format!("{user}:{text}"))),
            Scheme::Word(word) => format!("{word} {text}"),
        };
        let mut header = HeaderValue::from_str(&text).map_err(|_| Finding {
            what: "the credentials cannot be used".into(),
            why: "a letter is in them that no header can have".into(),
            fix: "see that nothing but the secret is there, on one line".into(),
        })?;
        header.set_sensitive(true);
        *known = Some((stamp, header.clone()));
        Ok(Some(header))
    }

    /// The same, fetched where it must be; then another one than what was `refused`.
    pub(crate) async fn fetched(
        &self,
        refused: Option<&HeaderValue>,
        report: &Report<'_>,
    ) -> Result<Option<HeaderValue>, Unsigned> {
        match &self.tokens {
            Some(tokens) => tokens.header(refused, report).await.map(Some),
            None => self.header().map_err(Unsigned::Locked),
        }
    }

    /// Whether asking for another one may help who is not let in.
    pub(crate) fn can_be_renewed(&self) -> bool {
        self.tokens.is_some()
    }

    /// What changes with the file.
    pub(crate) fn stamp(&self) -> Stamp {
        match &self.tokens {
            Some(tokens) => tokens.stamp(),
            None => Stamp::of(self.scheme.as_ref().and_then(|(_, secret)| secret.file())),
        }
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthConfig { … }")
    }
}

impl fmt::Debug for BasicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicConfig").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn of(text: &str) -> Result<Credentials, (&'static str, String)> {
        Credentials::of(&toml::from_str(text).unwrap())
    }

    #[track_caller]
    fn header(text: &str) -> String {
        of(text).map_err(|(_, why)| why).unwrap().header().unwrap().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn each_way_to_sign_in_has_its_header() {
        assert_eq!(
            header("basic = { user = 'Aladdin', password = 'open sesame' }"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert_eq!(header("bearer_token = 'x'"), "Bearer x");
        assert_eq!(header("api_key = 'aWQ6a2V5'"), "ApiKey aWQ6a2V5");
        assert!(matches!(of("").map(|none| none.header()), Ok(Ok(None))));
        for (text, key) in [
            ("bearer_token = 'x'\napi_key = 'y'", "auth"),
            ("bearer_token = ''", "auth.bearer_token"),
            ("api_key = 'x'\napi_key_file = 'y'", "auth.api_key"),
            ("basic.user = 'x'", "auth.basic"),
            ("basic = { user = 'x:y', password = 'z' }", "auth.basic.user"),
        ] {
            assert_eq!(of(text).err().unwrap().0, key, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_refused_when_others_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let credentials =
            of(&format!("bearer_token_file = '{}'", path.display())).map_err(|(_, why)| why).unwrap();
        assert!(credentials.header().unwrap_err().what.contains("token"));
        let put = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("one\n", 0o600);
        assert_eq!(credentials.header().unwrap().unwrap(), "Bearer one");
        let stamp = credentials.stamp();
        put("another\n", 0o640);
        assert_ne!(credentials.stamp(), stamp);
        assert_eq!(credentials.header().unwrap().unwrap(), "Bearer another");
        put("open to all", 0o644);
        let told = credentials.header().unwrap_err().to_string();
        assert!(
            told.contains("every user of this machine can read it") && !told.contains("open to all"),
            "{told}"
        );
        put("\n", 0o600);
        assert!(credentials.header().unwrap_err().why.contains("empty"));
    }
}
