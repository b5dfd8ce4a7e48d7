//! What the Logs Ingestion API says, and what follows.
//!
//! | answer | what follows |
//! |---|---|
//! | 204 | taken |
//! | another success | not understood: that is not how it says yes |
//! | 400, `InvalidStream` | nothing goes on before an operator has done something |
//! | another 400 | refused: searched for by halving |
//! | 401, 403, 404, redirects | as above, after 401 and 403 were answered to a new token too |
//! | 413 | halved |
//! | 429, 5xx | again, after `Retry-After` |
//!
//! Sources: "Logs Ingestion API in Azure Monitor" (Microsoft Learn); the troubleshooting guide and tests of the
//! `Azure.Monitor.Ingestion` libraries, for codes and messages.
//! Must not know: tokens, connections.

use crate::finding::Finding;
use crate::sink::web::answer::{Answer, words_of};
use crate::sink::web::reading::Reading;
use serde::Deserialize;

#[derive(Deserialize)]
struct Said {
    error: Trouble,
}

#[derive(Deserialize)]
struct Trouble {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Said {
    fn parse(body: &[u8]) -> Option<Self> {
        body.trim_ascii_start().strip_prefix(b"{")?;
        serde_json::from_slice(body).ok()
    }
}

/// What an answer says of the events in its request.
pub fn read(answer: &Answer) -> Reading {
    let Answer { peer, status, .. } = answer;
    let said = Said::parse(&answer.body).map(|said| said.error);
    let words = match &said {
        Some(Trouble { code, message }) => words_of(format!("{code}: {message}").as_bytes()),
        None => answer.words(),
    };
    let locked = |what: &str, fix: &str| {
        let (what, why) = (format!("{peer} {what}"), format!("{status}: {words}"));
        Reading::Locked(Finding { what, why, fix: fix.into() })
    };
    match status {
        204 => Reading::Taken,
        200..=299 => Reading::Again(answer.not_understood("the Logs Ingestion API says yes with 204")),
        400 if said.is_some_and(|said| said.code == "InvalidStream") => locked(
            "does not know our stream",
            "correct `stream`: it is one of `streamDeclarations` of the rule (`Custom-…`), or of the tables that can \
             be written as they are (`Microsoft-WindowsEvent`, `Microsoft-SecurityEvent`)",
        ),
        401 => locked(
            "does not take our token",
            "correct `cloud` or `scope`, and see that `tenant` is that of the rule; it was tried with a new token",
        ),
        403 => locked(
            "does not let our application write",
            "give it the role Monitoring Metrics Publisher on the data collection rule, which takes up to half an hour \
             to count; where the endpoint is private, see that this machine may reach it",
        ),
        404 => locked(
            "does not know our rule there",
            "correct `dcr` (the immutable id, `dcr-…`) and `url`: the endpoint is of the rule's own region",
        ),
        _ => {
            let unclear = || Reading::Again(answer.not_understood("that means nothing here"));
            answer.usual(&words).unwrap_or_else(unclear)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &'static str) -> Reading {
        read(&Answer::of("https://dce", status, body.into()))
    }

    #[test]
    fn each_documented_answer_has_its_class_and_a_fix() {
        for (status, body, class, part) in [
            (204, "", "Taken", ""),
            (200, "", "Again", "says yes with 204"),
            (200, "<html>a proxy</html>", "Again", "says yes with 204"),
            (202, "{}", "Again", "says yes with 204"),
            (307, "", "Locked", "sends us elsewhere"),
            (400, r#"{"error":{"code":"InvalidStream","message":"no stream x"}}"#, "Locked", "`stream`"),
            (
                400,
                r#"{"error":{"code":"InvalidJson","message":"at 7"}}"#,
                "Refused",
                "400: InvalidJson: at 7",
            ),
            (400, "bad", "Refused", "400: bad"),
            (401, r#"{"error":{"code":"InvalidAudience","message":"x"}}"#, "Locked", "`scope`"),
            (
                403,
                r#"{"error":{"code":"OperationFailed","message":"The authentication token provided does not have access"}}"#,
                "Locked",
                "Monitoring Metrics Publisher",
            ),
            (
                404,
                r#"{"error":{"code":"NotFound","message":"Data collection rule with immutable Id 'dcr-1' not found."}}"#,
                "Locked",
                "`dcr`",
            ),
            (
                413,
                r#"{"error":{"code":"ContentLengthLimitExceeded","message":"Maximum allowed content length: 1048576 bytes (1 MB)."}}"#,
                "TooLarge",
                "1048576 bytes",
            ),
            (415, "", "Locked", "request.compression"),
            (429, "", "Again", "too busy"),
            (500, "", "Again", "too busy"),
            (503, "", "Again", "too busy"),
        ] {
            let reading = format!("{:?}", said(status, body));
            assert!(reading.starts_with(class) && reading.contains(part), "{status} {body}: {reading}");
        }
    }
}
