//! A token that is fetched with a secret (OAuth 2.0 client credentials, RFC 6749 4.4), as the tenants of Microsoft
//! Entra give them.
//!
//! Promises: one request at a time asks, the others have its answer; a token is kept until shortly before it ends,
//! until the secret changes, or until the receiver refuses it; neither token nor secret is in a finding or a log.
//! Must not know: what the token is for.

use super::answer::{Answer, words_of};
use super::client::{Ask, Client, Report, Trouble};
use super::credentials::Secret;
use super::reading::{Reading, Setback};
use crate::auth::files::Stamp;
use crate::finding::Finding;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Why a request has no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// There are none before somebody has done something.
    Locked(Finding),
    /// There are none now.
    Later(Box<Setback>),
}

/// Fetches tokens, and keeps the last one.
pub(crate) struct Tokens {
    client: Client,
    path: String,
    /// The form that is sent, without the secret.
    form: String,
    secret: Secret,
    known: Mutex<Known>,
    /// Who has it asks.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    token: Option<Token>,
    /// The last failure, and when.
    failure: Option<(Instant, Unsigned)>,
}

struct Token {
    header: HeaderValue,
    until: Instant,
    /// Of the secret that it was had with.
    stamp: Stamp,
}

/// A token is not used so shortly before its end: clocks differ, and a request takes its time.
const MARGIN: Duration = Duration::from_secs(300);
/// What is told of a failure ends before the identifiers of one request, which would make each look new.
const TRACE: &str = " Trace ID:";

impl Tokens {
    /// Of an endpoint, reached by this client at this path.
    pub(crate) fn new(client: Client, path: String, id: &str, scope: &str, secret: Secret) -> Self {
        let (id, scope) = (super::escaped(id), super::escaped(scope));
        let form = format!("grant_type=client_credentials&client_id={id}&scope={scope}&client_secret=");
        let (known, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { client, path, form, secret, known, turn }
    }

    /// The `Authorization` header; another one than that which was refused.
    pub(crate) async fn header(
        &self,
        refused: Option<&HeaderValue>,
        report: &Report<'_>,
    ) -> Result<HeaderValue, Unsigned> {
        let asked = Instant::now();
        if let Some(header) = self.kept(refused) {
            return Ok(header);
        }
        let _turn = self.turn.lock().await;
        if let Some(header) = self.kept(refused) {
            return Ok(header);
        }
        if let Some((_, failure)) = self.lock().failure.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(failure.clone());
        }
        let fetched = self.fetch(report).await;
        let mut known = self.lock();
        match fetched {
            Ok(token) => {
                let header = token.header.clone();
                *known = Known { token: Some(token), failure: None };
                Ok(header)
            }
            Err(failure) => {
                known.failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// What changes with the file that holds the secret.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::of(self.secret.file())
    }

    fn kept(&self, refused: Option<&HeaderValue>) -> Option<HeaderValue> {
        let known = self.lock();
        let token = known.token.as_ref().filter(|token| token.until > Instant::now())?;
        (refused != Some(&token.header) && token.stamp == self.stamp()).then(|| token.header.clone())
    }

    async fn fetch(&self, report: &Report<'_>) -> Result<Token, Unsigned> {
        let stamp = self.stamp();
        let secret = self.secret.read().map_err(Unsigned::Locked)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let body = format!("{}{}", self.form, super::escaped(&secret)).into();
        let ask = Ask { method: Method::POST, path: self.path.clone(), headers, body };
        let begun = Instant::now();
        let answer =
            self.client.ask(&ask, report).await.map_err(|trouble| Unsigned::Later(no_answer(trouble)))?;
        let granted = read(&answer)?;
        let lives = Duration::from_secs(granted.seconds);
        let until = begun + lives.saturating_sub(MARGIN.min(lives / 2));
        let mut header = HeaderValue::from_str(&format!("Bearer {}", granted.token))
            .map_err(|_| Unsigned::Later(not_understood(&answer, "its token cannot stand in a header")))?;
        header.set_sensitive(true);
        Ok(Token { header, until, stamp })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // A panic elsewhere cannot leave it half-changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an endpoint gave.
pub struct Granted {
    pub token: String,
    /// How long it is good for.
    pub seconds: u64,
}

/// Longer than any token lives, so that no time overflows.
const SECONDS_MAX: u64 = 7 * 24 * 3600;

#[derive(Deserialize)]
struct Said {
    access_token: Option<String>,
    token_type: Option<String>,
    /// A number, or the text of one.
    expires_in: Option<Value>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Said {
    fn parse(body: &[u8]) -> Option<Self> {
        // An array would be taken for the members in their order.
        body.trim_ascii_start().strip_prefix(b"{")?;
        serde_json::from_slice(body).ok()
    }

    fn granted(self) -> Option<Granted> {
        let token = self.access_token.filter(|token| !token.is_empty())?;
        self.token_type.filter(|kind| kind.eq_ignore_ascii_case("bearer"))?;
        let seconds = match self.expires_in? {
            Value::String(text) => text.parse().ok()?,
            number => number.as_u64()?,
        };
        Some(Granted { token, seconds: seconds.min(SECONDS_MAX) })
    }
}

/// What the answer of a token endpoint says (RFC 6749 5.1 and 5.2).
///
/// # Errors
/// Why there is no token.
pub fn read(answer: &Answer) -> Result<Granted, Unsigned> {
    let said = Said::parse(&answer.body);
    if answer.is_success() {
        let unclear = || Unsigned::Later(not_understood(answer, "what it says is no token"));
        return said.and_then(Said::granted).ok_or_else(unclear);
    }
    if let Some(Said { error: Some(error), error_description, .. }) = &said {
        let described = error_description.as_deref().unwrap_or_default();
        let words = words_of(described.split(TRACE).next().unwrap_or_default().as_bytes());
        let error = words_of(error.as_bytes());
        let is_passing = matches!(answer.status, 408 | 429 | 500..)
            || matches!(&*error, "temporarily_unavailable" | "server_error");
        return Err(match is_passing {
            true => Unsigned::Later(later(answer, &format!("{error}: {words}"))),
            false => Unsigned::Locked(Finding {
                what: format!("{} gives us no token", answer.peer),
                why: format!("{}, {error}: {words}", answer.status),
                fix: fix(&error, described).into(),
            }),
        });
    }
    Err(match answer.usual(&answer.words()) {
        Some(Reading::Locked(finding)) => Unsigned::Locked(finding),
        Some(Reading::Again(_)) => Unsigned::Later(later(answer, &answer.words())),
        _ => Unsigned::Locked(Finding {
            what: format!("{} gives us no token", answer.peer),
            why: format!("{}: {}", answer.status, answer.words()),
            fix: "correct `tenant`, `client_id` and the secret, and see whether `authority` leads to it"
                .into(),
        }),
    })
}

/// What to do, by the error and the number that Entra puts before its description.
fn fix(error: &str, described: &str) -> &'static str {
    let is = |number: &str| described.starts_with(number);
    if is("AADSTS7000222") {
        "make a new secret for the application and write it into the file; it is noticed at once"
    } else if is("AADSTS7000215") {
        "write the secret's value into the file, not its id; it is noticed at once"
    } else if is("AADSTS90002") || is("AADSTS900023") {
        "correct `tenant`; in another cloud than the public one set `cloud`"
    } else if is("AADSTS700016") || error == "unauthorized_client" {
        "correct `client_id`, or `tenant`: that application is not in that tenant"
    } else if error == "invalid_scope" || is("AADSTS500011") {
        "correct `cloud` or `scope`"
    } else if error == "invalid_client" {
        "correct the secret; a changed file is noticed at once"
    } else {
        "correct `tenant`, `client_id` and the secret"
    }
}

fn no_answer(trouble: Trouble) -> Box<Setback> {
    let (peer, finding) = match trouble {
        Trouble::Unsent { peer, finding } => (peer, finding),
        Trouble::Unanswered { peer, reason, .. } => {
            let what = format!("{peer} did not answer when it was asked for a token");
            let fix = "see what is between; it is asked again".into();
            (peer, Finding { what, why: reason, fix })
        }
    };
    let reason = format!("no token: {}", finding.why);
    Box::new(Setback { reason, finding: Some(finding), ..Setback::of(&peer) })
}

fn later(answer: &Answer, words: &str) -> Box<Setback> {
    let Answer { peer, status, .. } = answer;
    Box::new(Setback {
        reason: format!("no token: {status}: {words}"),
        after: answer.retry_after,
        finding: Some(Finding {
            what: format!("{peer} gives us no token now"),
            why: format!("it answered {status}"),
            fix: "events wait, and it is asked again; if it goes on, see the state of the service".into(),
        }),
        ..Setback::of(peer)
    })
}

/// No event was in that request.
fn not_understood(answer: &Answer, why: &str) -> Box<Setback> {
    Box::new(Setback { may_be_taken: false, ..answer.not_understood(why) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Result<Granted, Unsigned> {
        read(&Answer::of("https://login", status, body.to_owned().into()))
    }

    #[test]
    fn a_token_is_taken_with_the_time_that_it_lives() {
        for (expires, seconds) in [("3599", 3599), ("\"3599\"", 3599), ("99999999999", SECONDS_MAX), ("0", 0)]
        {
            let body = format!(r#"{{"token_type":"Bearer","expires_in":{expires},"access_token":"ey.x"}}"#);
            let granted = said(200, &body).ok().unwrap();
            assert_eq!((granted.token.as_str(), granted.seconds), ("ey.x", seconds));
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        for body in [
            "",
            "<html>sign in</html>",
            "[]",
            r#"["ey.x","Bearer",3599]"#,
            r#"{"token_type":"Bearer","expires_in":3599}"#,
            r#"{"token_type":"Bearer","expires_in":3599,"access_token":""}"#,
            r#"{"token_type":"mac","expires_in":3599,"access_token":"x"}"#,
            r#"{"token_type":"Bearer","access_token":"x"}"#,
            r#"{"token_type":"Bearer","expires_in":-1,"access_token":"x"}"#,
        ] {
            assert!(
                matches!(said(200, body), Err(Unsigned::Later(setback)) if !setback.may_be_taken),
                "{body}"
            );
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let refused = |error: &str, described: &str| {
            format!(
                r#"{{"error":"{error}","error_description":"{described} Trace ID: 1 Correlation ID: 2"}}"#
            )
        };
        for (status, error, described, fix) in [
            (401, "invalid_client", "AADSTS7000215: Invalid client secret provided.", "not its id"),
            (
                401,
                "invalid_client",
                "AADSTS7000222: The provided client secret keys are expired.",
                "new secret",
            ),
            (400, "invalid_request", "AADSTS90002: Tenant 'x' not found.", "`tenant`"),
            (400, "unauthorized_client", "AADSTS700016: Application 'x' was not found.", "`client_id`"),
            (400, "invalid_scope", "AADSTS70011: The provided value is not valid.", "`scope`"),
            (401, "invalid_client", "no", "correct the secret"),
            (400, "invalid_grant", "no", "`tenant`, `client_id`"),
        ] {
            let Err(Unsigned::Locked(finding)) = said(status, &refused(error, described)) else { panic!() };
            assert!(finding.fix.contains(fix), "{described}: {finding}");
            assert!(finding.why.contains(described.split('.').next().unwrap()), "{finding}");
            assert!(!finding.why.contains("Trace"), "each would look new: {finding}");
        }
        for (status, body) in [
            (429, "slow down".to_owned()),
            (503, String::new()),
            (400, refused("temporarily_unavailable", "AADSTS50196: busy")),
            (500, refused("server_error", "AADSTS50000: oh")),
        ] {
            assert!(matches!(said(status, &body), Err(Unsigned::Later(_))), "{status}");
        }
        for status in [302, 403, 404, 400] {
            assert!(matches!(said(status, "<html>"), Err(Unsigned::Locked(_))), "{status}");
        }
    }
}
