//! Requests to one bucket, signed.
//!
//! Must not know: what is sent when.

use super::answer::{self, Asked, Meant, Said};
use super::keys::Credentials;
use super::sign::{self, Scope, Signed};
use crate::event::Timestamp;
use crate::finding::Finding;
use crate::sink::web::answer::Answer;
use crate::sink::web::client::{Ask, Client, Report, Trouble};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) credentials: Credentials,
    pub(super) region: String,
    /// As the `Host` header has it.
    pub(super) authority: String,
    /// Of the address, in front of what is asked there.
    pub(super) base: String,
    /// The bucket with its `/`, where it stands in the path.
    pub(super) bucket: String,
    /// Of every object.
    pub(super) headers: HeaderMap,
    /// Whether the store keeps a checksum of its own beside each object.
    pub(super) checksum: bool,
}

/// Why there is no answer.
pub(super) enum Silence {
    Trouble(Trouble),
    NoKeys(Finding),
}

/// What came of a request, and of whom.
pub(super) type Told = Result<(Meant, String), Silence>;

/// One part of an object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) etag: String,
    /// In base64.
    pub(super) checksum: String,
}

/// A request, but for its signature.
struct Request<'a> {
    asked: Asked,
    method: Method,
    key: &'a str,
    /// As `sign::query` writes it.
    query: String,
    headers: HeaderMap,
    body: Bytes,
    hash: [u8; 32],
}

/// Bodies from this size on are hashed on the threads for blocking calls.
const ASIDE_BYTES_MIN: usize = 32 * 1024;

impl Bucket {
    /// One object in one piece.
    pub(super) async fn put(&self, key: &str, body: Bytes, report: &Report<'_>) -> Told {
        let hash = hashed(&body).await;
        let mut headers = self.headers.clone();
        self.add_checksum(&mut headers, &hash);
        let (asked, method, query) = (Asked::Put, Method::PUT, String::new());
        self.ask(Request { asked, method, key, query, headers, body, hash }, report).await
    }

    /// One that comes in parts.
    pub(super) async fn begin(&self, key: &str, report: &Report<'_>) -> Told {
        let mut headers = self.headers.clone();
        if self.checksum {
            let name = HeaderName::from_static("x-amz-checksum-algorithm");
            headers.insert(name, HeaderValue::from_static("SHA256"));
        }
        let query = sign::query(&[("uploads", "")]);
        self.ask(bare(Asked::Begin, Method::POST, key, query, headers), report).await
    }

    /// One of its parts, counted from 1, with its checksum.
    pub(super) async fn part(
        &self,
        (key, id, number): (&str, &str, usize),
        body: Bytes,
        report: &Report<'_>,
    ) -> (Told, String) {
        let hash = hashed(&body).await;
        let mut headers = HeaderMap::new();
        self.add_checksum(&mut headers, &hash);
        let query = sign::query(&[("partNumber", &number.to_string()), ("uploadId", id)]);
        let (asked, method) = (Asked::Put, Method::PUT);
        let request = Request { asked, method, key, query, headers, body, hash };
        (self.ask(request, report).await, STANDARD.encode(hash))
    }

    /// All parts are there.
    pub(super) async fn complete(&self, key: &str, id: &str, parts: &[Part], report: &Report<'_>) -> Told {
        let body = Bytes::from(self.list_of(parts));
        let (hash, query) = (Sha256::digest(&body).into(), sign::query(&[("uploadId", id)]));
        let (asked, method, headers) = (Asked::Complete, Method::POST, HeaderMap::new());
        self.ask(Request { asked, method, key, query, headers, body, hash }, report).await
    }

    /// Gives up uploads of this key that an earlier life began. Where that may not be, they stay.
    pub(super) async fn give_up(&self, key: &str, report: &Report<'_>) {
        let query = sign::query(&[("uploads", ""), ("prefix", key)]);
        let list = bare(Asked::Look, Method::GET, "", query, HeaderMap::new());
        let Ok(answer) = self.answer(&list, report).await else { return };
        let Some(said) = Said::parse(&answer.body).filter(|_| answer.is_success()) else { return };
        for id in said.uploads_of(key) {
            let query = sign::query(&[("uploadId", id)]);
            let _ =
                self.answer(&bare(Asked::Look, Method::DELETE, key, query, HeaderMap::new()), report).await;
        }
    }

    /// Whether it is there. Nothing is changed.
    pub(super) async fn look(&self, report: &Report<'_>) -> Told {
        let query = sign::query(&[("list-type", "2"), ("max-keys", "1")]);
        self.ask(bare(Asked::Look, Method::GET, "", query, HeaderMap::new()), report).await
    }

    fn add_checksum(&self, headers: &mut HeaderMap, hash: &[u8; 32]) {
        if self.checksum
            && let Ok(value) = HeaderValue::from_str(&STANDARD.encode(hash))
        {
            headers.insert(HeaderName::from_static("x-amz-checksum-sha256"), value);
        }
    }

    fn list_of(&self, parts: &[Part]) -> String {
        let mut list =
            String::from(r#"<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
        for (number, Part { etag, checksum }) in (1..).zip(parts) {
            let etag = etag.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>");
            if self.checksum {
                list += &format!("<ChecksumSHA256>{checksum}</ChecksumSHA256>");
            }
            list += "</Part>";
        }
        list + "</CompleteMultipartUpload>"
    }

    async fn ask(&self, request: Request<'_>, report: &Report<'_>) -> Told {
        let answer = self.answer(&request, report).await?;
        Ok((answer::read(request.asked, &answer), answer.peer))
    }

    async fn answer(&self, request: &Request<'_>, report: &Report<'_>) -> Result<Answer, Silence> {
        let ask = self.signed(request, now()).map_err(Silence::NoKeys)?;
        self.client.ask(&ask, report).await.map_err(Silence::Trouble)
    }

    fn signed(&self, request: &Request<'_>, now: Timestamp) -> Result<Ask, Finding> {
        let keys = self.credentials.keys()?;
        let unusable = |_| Finding {
            what: "the keys for S3 cannot be used".into(),
            why: "a letter is in them that no header can have".into(),
            fix: "see that nothing but the key is there, on one line".into(),
        };
        let (at, body_hash) = (sign::stamp(now), sign::hex(&request.hash));
        let mut headers = request.headers.clone();
        let mut add = |name, text: &str| {
            HeaderValue::from_str(text).map(|value| headers.insert(HeaderName::from_static(name), value))
        };
        add("x-amz-date", &at).map_err(unusable)?;
        add("x-amz-content-sha256", &body_hash).map_err(unusable)?;
        if let Some(token) = &keys.token {
            add("x-amz-security-token", token).map_err(unusable)?;
        }
        let path = format!("/{}{}", self.bucket, sign::path(request.key));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut signed: Vec<(String, String)> =
            headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        signed.push(("host".into(), self.authority.clone()));
        signed.sort();
        let whole = format!("{}{path}", self.base);
        let parts = Signed {
            method: request.method.as_str(),
            path: &whole,
            query: &request.query,
            headers: &signed,
            body_hash: &body_hash,
        };
        let scope = Scope { region: &self.region, service: "s3", at: &at };
        let value = sign::authorization(&keys, scope, &parts);
        let mut value = HeaderValue::from_str(&value).map_err(unusable)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        let path = if request.query.is_empty() { path } else { format!("{path}?{}", request.query) };
        Ok(Ask { method: request.method.clone(), path, headers, body: request.body.clone() })
    }
}

fn bare(asked: Asked, method: Method, key: &str, query: String, headers: HeaderMap) -> Request<'_> {
    let hash = Sha256::digest(b"").into();
    Request { asked, method, key, query, headers, body: Bytes::new(), hash }
}

async fn hashed(body: &Bytes) -> [u8; 32] {
    if body.len() < ASIDE_BYTES_MIN {
        return Sha256::digest(body).into();
    }
    let body = body.clone();
    match tokio::task::spawn_blocking(move || Sha256::digest(&body).into()).await {
        Ok(hash) => hash,
        // A mistake of ours goes on as a panic; the end of the runtime is the end of this task.
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
