//! An answer, and what every protocol over HTTP means by its status.
//!
//! Must not know: what stands in a body.

use super::reading::{Reading, Setback};
use crate::finding::Finding;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{ETAG, LOCATION, RETRY_AFTER};
use std::time::{Duration, SystemTime};

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which of the addresses.
    pub endpoint: usize,
    pub peer: String,
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub location: Option<String>,
    /// By which a store knows an object, or a part of one.
    pub etag: Option<String>,
    /// Where a bucket of S3 is.
    pub region: Option<String>,
    pub body: Bytes,
}

/// Longest ETag that is kept; those of S3 have 34 letters, and a few more for parts.
const ETAG_BYTES_MAX: usize = 256;
const BUCKET_REGION: &str = "x-amz-bucket-region";
/// Most letters of an answer that are told.
const WORDS_MAX: usize = 300;

impl Answer {
    /// Of the first address, without headers.
    pub fn of(peer: &str, status: u16, body: Bytes) -> Self {
        let (retry_after, location, etag, region) = (None, None, None, None);
        Self { endpoint: 0, peer: peer.to_owned(), status, retry_after, location, etag, region, body }
    }

    pub(crate) fn note_headers(&mut self, headers: &HeaderMap, now: SystemTime) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.retry_after = text(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, now));
        self.location = text(LOCATION.as_str()).map(|location| words_of(location.as_bytes()));
        self.etag = text(ETAG.as_str()).filter(|etag| etag.len() <= ETAG_BYTES_MAX).map(str::to_owned);
        self.region = text(BUCKET_REGION).map(|region| words_of(region.as_bytes()));
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What a status says that means the same to everybody; nothing for success.
    pub(crate) fn usual(&self, words: &str) -> Option<Reading> {
        let Self { peer, status, .. } = self;
        Some(match status {
            200..=299 => return None,
            300..=399 => Reading::Locked(self.redirect()),
            401 | 403 | 407 => Reading::Locked(Finding {
                what: format!("{peer} does not let us in"),
                why: format!("{status}: {words}"),
                fix: "correct the credentials, or what they may do there; a changed file is noticed at once"
                    .into(),
            }),
            404 | 405 | 410 => Reading::Locked(Finding {
                what: format!("{peer} has nothing for us there"),
                why: format!("{status}: {words}"),
                fix: "correct `url`; a proxy in between may answer in the place of the receiver".into(),
            }),
            413 => Reading::TooLarge(format!("413: {words}")),
            415 => Reading::Locked(Finding {
                what: format!("{peer} does not take bodies of this kind"),
                why: format!("{status}: {words}"),
                fix: "set `request.compression = \"none\"`, or correct the `Content-Type`".into(),
            }),
            408 | 425 | 429 | 500..=599 => Reading::Again(self.busy(words)),
            400..=499 => Reading::Refused(format!("{status}: {words}")),
            _ => Reading::Again(self.not_understood("no status of HTTP")),
        })
    }

    /// Trouble of the receiver's own, over sooner or later.
    pub(crate) fn busy(&self, words: &str) -> Setback {
        let Self { peer, status, .. } = self;
        Setback {
            reason: format!("{status}: {words}"),
            after: self.retry_after,
            is_overload: true,
            finding: Some(Finding {
                what: format!("{peer} is too busy to take events, or in trouble"),
                why: format!("it answered {status}"),
                fix: "nothing is lost, they are sent again; if it goes on, see its own log and what it can take"
                    .into(),
            }),
            ..Setback::of(peer)
        }
    }

    /// What makes no sense is no yes.
    pub(crate) fn not_understood(&self, why: &str) -> Setback {
        let Self { peer, status, .. } = self;
        Setback {
            reason: format!("{status}, and {why}"),
            after: self.retry_after,
            may_be_taken: true,
            finding: Some(Finding {
                what: format!("an answer of {peer} cannot be understood"),
                why: format!("it answered {status}, and {why}"),
                fix: "see that `url` leads to the receiver itself; events are sent again until it says that it has them"
                    .into(),
            }),
            ..Setback::of(peer)
        }
    }

    fn redirect(&self) -> Finding {
        let to = self.location.as_deref().unwrap_or("nowhere");
        Finding {
            what: format!("{} sends us elsewhere, and we do not go", self.peer),
            why: format!(
                "it answered {} to {to}; whoever can do that would get the credentials",
                self.status
            ),
            fix: "if that is the right place, write it into `url`".into(),
        }
    }

    /// What it says, fit to be shown.
    pub(crate) fn words(&self) -> String {
        match words_of(&self.body) {
            words if words.is_empty() => "without a word".into(),
            words => words,
        }
    }
}

/// The beginning of a text from outside, on one line.
pub(crate) fn words_of(text: &[u8]) -> String {
    let cut = &text[..text.len().min(4 * WORDS_MAX)];
    let text = String::from_utf8_lossy(cut);
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let joined: String = clean.take(WORDS_MAX).collect();
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        Answer::of("https://siem", status, Bytes::from_static(b"why\n not"))
    }

    #[test]
    fn every_status_has_its_class() {
        let class = |status| match answer(status).usual("words") {
            None => "taken",
            Some(Reading::Locked(_)) => "locked",
            Some(Reading::TooLarge(_)) => "large",
            Some(Reading::Again(_)) => "again",
            Some(Reading::Refused(_)) => "refused",
            Some(_) => "other",
        };
        for (statuses, expected) in [
            (&[200, 201, 204][..], "taken"),
            (&[301, 302, 307, 308, 304], "locked"),
            (&[401, 403, 404, 405, 407, 415], "locked"),
            (&[413], "large"),
            (&[408, 429, 500, 502, 503, 504], "again"),
            (&[400, 422, 409], "refused"),
            (&[100, 600, 999], "again"),
        ] {
            statuses.iter().for_each(|status| assert_eq!(class(*status), expected, "{status}"));
        }
        assert_eq!(answer(400).words(), "why not");
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_with_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
