//! What is written of a bucket, and the sink that follows from it.
//!
//! Must not know: how objects come about.

use super::bucket::{Bucket, Silence};
use super::hold::{Hold, Making};
use super::keys::{AuthConfig, Credentials};
use super::{S3, answer::Meant};
use crate::auth::tls::outgoing;
use crate::finding::Finding;
use crate::sink::SinkError;
use crate::sink::file::Compression;
use crate::sink::name::{Alphabet, NameTemplate};
use crate::sink::path::Router;
use crate::sink::web::address::Address;
use crate::sink::web::client::{Client, Timing, Trouble};
use crate::sink::web::pace::Pace;
use crate::units::{ByteSize, Span};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Objects in S3, and in stores that speak its protocol.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The bucket, which must be there.
    pub bucket: String,
    /// Where it is.
    #[serde(default = "region_default")]
    pub region: String,
    /// Address of a store other than that of AWS, such as `https://minio.example.org:9000`.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path and not in front of the host. Nothing given: with an `endpoint`, and
    /// where the bucket has a dot in its name.
    pub path_style: Option<bool>,
    /// How keys begin: text, then `{channel}`, `{computer}`, `{yyyy}` and so on, as in the path of a file. Behind it
    /// come the time of the object's first event, the object's number and a digest of what is in it.
    #[serde(default = "prefix_default")]
    pub key_prefix: String,
    /// How keys end, without the dot; that of the compression follows.
    #[serde(default = "extension_default")]
    pub extension: String,
    /// `zstd`, `gzip` or `none`.
    #[serde(default)]
    pub compression: Packing,
    /// Objects are made of what came in so much time.
    #[serde(default = "age_default")]
    pub age_max: Span,
    /// Or before that, when all of them together have so many bytes, compressed. It is memory, part of
    /// `limits.memory_max`.
    #[serde(default = "size_default")]
    pub size_max: ByteSize,
    /// `Content-Type` of objects. Nothing given: that of the compression.
    pub content_type: Option<String>,
    /// `Content-Encoding` of objects; with it some tools unpack them unasked.
    pub content_encoding: Option<String>,
    /// Such as `STANDARD_IA` or `GLACIER_IR`.
    pub storage_class: Option<String>,
    /// A canned ACL, such as `bucket-owner-full-control`.
    pub acl: Option<String>,
    #[serde(default)]
    pub encryption: Encryption,
    /// Whether the store is given a SHA-256 to keep beside each object, as buckets with Object Lock want it; a few
    /// stores other than that of AWS refuse it. Each body is checked on its way without it too.
    #[serde(default = "checksum_default")]
    pub checksum: bool,
    #[serde(default)]
    pub auth: AuthConfig,
    #[serde(default)]
    pub request: RequestConfig,
    #[serde(default)]
    pub tls: outgoing::Config,
}

// What stores of others take.
fn region_default() -> String {
    "us-east-1".into()
}

fn prefix_default() -> String {
    "windows/{channel}/{date:%Y/%m/%d}/".into()
}

fn extension_default() -> String {
    "log".into()
}

// At a thousand events a second about what `size_max` is, compressed.
fn age_default() -> Span {
    Span::secs(300)
}

fn size_default() -> ByteSize {
    ByteSize::mib(32)
}

fn checksum_default() -> bool {
    true
}

/// How objects are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    #[default]
    Zstd,
    Gzip,
    None,
}

/// How the store encrypts objects; as its bucket says, if nothing is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: Option<String>,
    /// The key of `aws:kms`; that of the account if not given.
    pub kms_key_id: Option<String>,
}

/// How requests are made. Objects above 8MiB go in parts of that size.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestConfig {
    /// Most requests under way at a time. There are fewer while the store is slow, busy or away.
    pub concurrency_max: u16,
    /// How long a connection, with its TLS, may take to come about.
    pub connect_timeout: Span,
    /// How long the store may take for 8MiB and its answer.
    pub timeout: Span,
}

impl Default for RequestConfig {
    fn default() -> Self {
        // 8 MiB within a minute is a line of 1.2 Mbit/s.
        Self { concurrency_max: 8, connect_timeout: Span::secs(10), timeout: Span::secs(60) }
    }
}

/// A list of a thousand uploads.
const ANSWER_BYTES_MAX: usize = 2 << 20;
/// Smallest `size_max`; with less memory most batches would be objects of their own.
pub const SIZE_LEAST: ByteSize = ByteSize::kib(64);
/// Largest `size_max`.
const SIZE_MAX: ByteSize = ByteSize::mib(4096);

impl Config {
    /// The checked sink; nothing is touched before its first use.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<S3, SinkError> {
        let wrong = |setting, why: &str| Err(SinkError::Setting { setting, why: why.into() });
        if self.age_max.0.is_zero() {
            return wrong("age_max", "an object for each batch would be small; write such as `5m`");
        }
        if !(SIZE_LEAST..=SIZE_MAX).contains(&self.size_max) {
            return wrong("size_max", "write a size from `64KiB` to `4GiB`; it is memory");
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        if !self.extension.chars().all(is_plain) || self.extension.len() > 64 {
            return wrong("extension", "it has letters, digits, `.`, `-` and `_`; write such as `jsonl`");
        }
        if !(1..=1024).contains(&self.request.concurrency_max) {
            return wrong("request.concurrency_max", "write a number from 1 to 1024");
        }
        for (setting, span) in [
            ("request.timeout", self.request.timeout),
            ("request.connect_timeout", self.request.connect_timeout),
        ] {
            if span.0.is_zero() {
                return wrong(setting, "nothing comes about in no time; write such as `30s`");
            }
        }
        let template = NameTemplate::parse(&self.key_prefix, Alphabet::Key)
            .map_err(|error| SinkError::Setting { setting: "key_prefix", why: error.to_string() })?;
        let (compression, end) = match self.compression {
            Packing::Zstd => (Some(Compression::Zstd), ".zst"),
            Packing::Gzip => (Some(Compression::Gzip), ".gz"),
            Packing::None => (None, ""),
        };
        let dot = if self.extension.is_empty() { "" } else { "." };
        let making = Making {
            compression,
            age_max: self.age_max.0,
            extension: format!("{dot}{}{end}", self.extension),
            prefix: self.key_prefix.clone(),
        };
        let hold = Hold::new(making, self.size_max.0);
        let tick_every = (self.age_max.0 / 8).clamp(Duration::from_millis(100), Duration::from_secs(60));
        let router = (!template.is_fixed()).then(|| Router::of_names(template));
        Ok(S3::new(self.bucket()?, hold, router, Pace::new(self.request.concurrency_max), tick_every))
    }

    /// Memory that is wanted for what is held.
    pub fn hold_bytes(&self) -> ByteSize {
        self.size_max
    }

    /// Whether it is there and knows us. Who may write need not be one who may list, so that is no fault.
    pub async fn probe(&self, output: &str) -> Vec<Finding> {
        let Ok(bucket) = self.bucket() else { return Vec::new() };
        let told = Mutex::new(Vec::new());
        let report = |finding: Finding| {
            let what = format!("output `{output}`: {}", finding.what);
            told.lock().unwrap_or_else(PoisonError::into_inner).push(Finding { what, ..finding });
        };
        match bucket.look(&report).await {
            Ok((Meant::Locked(finding), _)) if !finding.why.contains("AccessDenied") => report(finding),
            Ok((Meant::Again(setback), peer)) => report(Finding {
                what: format!("{peer} is not ready for objects"),
                why: setback.reason,
                fix: "see its own log, and whether `endpoint` leads to it".into(),
            }),
            Ok(_) => {}
            Err(Silence::NoKeys(finding) | Silence::Trouble(Trouble::Unsent { finding, .. })) => {
                report(finding)
            }
            Err(Silence::Trouble(Trouble::Unanswered { peer, reason, .. })) => report(Finding {
                what: format!("{peer} does not answer"),
                why: reason,
                fix: "see its own log, and whether `endpoint` leads to it".into(),
            }),
        }
        told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket(&self) -> Result<Bucket, SinkError> {
        let wrong = |setting, why: String| SinkError::Setting { setting, why };
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        let (bucket, region) = (&self.bucket, &self.region);
        if !(3..=255).contains(&bucket.len()) || !bucket.chars().all(is_plain) || bucket.starts_with('.') {
            let why = format!(
                "`{bucket}` is no name of a bucket: letters, digits, `.`, `-` and `_`, three or more"
            );
            return Err(wrong("bucket", why));
        }
        if region.is_empty() || !region.chars().all(is_plain) {
            return Err(wrong("region", format!("`{region}` is no region; write such as `eu-central-1`")));
        }
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = self.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.{domain}"));
        let mut address = Address::parse(&endpoint).map_err(|why| wrong("endpoint", why))?;
        if !address.query.is_empty() {
            return Err(wrong(
                "endpoint",
                "a query has no place in it; write such as `https://minio:9000`".into(),
            ));
        }
        // A certificate for all buckets is for names without dots.
        let in_path = self.path_style.unwrap_or_else(|| self.endpoint.is_some() || bucket.contains('.'));
        if !in_path {
            address.host = format!("{bucket}.{}", address.host);
            address.authority = format!("{bucket}.{}", address.authority);
        }
        self.tls.check().map_err(|(setting, why)| wrong(setting, why))?;
        let timing = Timing { connect: self.request.connect_timeout.0, answer: self.request.timeout.0 };
        Ok(Bucket {
            credentials: Credentials::of(&self.auth)?,
            region: region.clone(),
            authority: address.authority.clone(),
            base: address.path.clone(),
            bucket: if in_path { format!("{bucket}/") } else { String::new() },
            headers: self.headers()?,
            checksum: self.checksum,
            client: Client::new(vec![address], &self.tls, timing, ANSWER_BYTES_MAX),
        })
    }

    /// What each object is told beside its body.
    fn headers(&self) -> Result<HeaderMap, SinkError> {
        let Encryption { algorithm, kms_key_id } = &self.encryption;
        let wrong = |setting, why: &str| SinkError::Setting { setting, why: why.into() };
        if let Some(algorithm) = algorithm
            && !["AES256", "aws:kms", "aws:kms:dsse"].contains(&&**algorithm)
        {
            return Err(wrong("encryption.algorithm", "write `AES256`, `aws:kms` or `aws:kms:dsse`"));
        }
        if kms_key_id.is_some() && algorithm.as_ref().is_none_or(|algorithm| algorithm == "AES256") {
            return Err(wrong("encryption.kms_key_id", "it is of `algorithm = \"aws:kms\"`; write that too"));
        }
        let kind = match self.compression {
            Packing::Zstd => "application/zstd",
            Packing::Gzip => "application/gzip",
            Packing::None => "text/plain; charset=utf-8",
        };
        let kind = Some(self.content_type.as_deref().unwrap_or(kind).to_owned());
        let header = HeaderName::from_static;
        let mut headers = HeaderMap::new();
        for (setting, name, value) in [
            ("content_type", CONTENT_TYPE, &kind),
            ("content_encoding", CONTENT_ENCODING, &self.content_encoding),
            ("storage_class", header("x-amz-storage-class"), &self.storage_class),
            ("acl", header("x-amz-acl"), &self.acl),
            ("encryption.algorithm", header("x-amz-server-side-encryption"), algorithm),
            ("encryption.kms_key_id", header("x-amz-server-side-encryption-aws-kms-key-id"), kms_key_id),
        ] {
            let Some(value) = value else { continue };
            let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok());
            let value = value.ok_or_else(|| wrong(setting, "a letter is in it that no header can have"))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(&format!("bucket = 'archive'\n{text}")).unwrap();
        config.open().map_err(|error| format!("{}: {error}", error.key())).map(|_| config)
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        assert!(of("").is_ok());
        for (more, part) in [
            ("region = ''", "region"),
            ("endpoint = 'minio:9000'", "endpoint"),
            ("endpoint = 'https://minio/?x=1'", "endpoint"),
            ("key_prefix = '{channel}/'", "key_prefix"),
            ("key_prefix = '/x/'", "key_prefix"),
            ("extension = 'a/b'", "extension"),
            ("age_max = '0s'", "age_max"),
            ("size_max = '1KiB'", "size_max"),
            ("size_max = '1TiB'", "size_max"),
            ("encryption.algorithm = 'rot13'", "encryption.algorithm"),
            ("encryption.kms_key_id = 'x'", "encryption.kms_key_id"),
            ("storage_class = \"a\\nb\"", "storage_class"),
            ("request.timeout = '0s'", "request.timeout"),
            ("request.concurrency_max = 0", "request.concurrency_max"),
            ("tls.key = 'x'", "tls.key"),
            ("auth.access_key_id = 'x'", "auth"),
        ] {
            let why = of(more).err().unwrap();
            assert!(why.starts_with(part), "{more}: {why}");
        }
        let bucket =
            |name: &str| toml::from_str::<Config>(&format!("bucket = '{name}'")).unwrap().open().err();
        assert!(bucket("a/b").is_some() && bucket("").is_some() && bucket("..a").is_some());
    }

    #[test]
    fn a_bucket_is_found_where_its_store_has_it() {
        for (more, authority, base, bucket) in [
            ("region = 'eu-west-1'", "archive.s3.eu-west-1.amazonaws.com", "", ""),
            ("region = 'cn-north-1'", "archive.s3.cn-north-1.amazonaws.com.cn", "", ""),
            ("path_style = true", "s3.us-east-1.amazonaws.com", "", "archive/"),
            ("endpoint = 'http://minio:9000'", "minio:9000", "", "archive/"),
            ("endpoint = 'https://ceph/rgw/'\npath_style = false", "archive.ceph", "/rgw", ""),
        ] {
            let found = of(more).unwrap().bucket().ok().unwrap();
            assert_eq!(
                (&*found.authority, &*found.base, &*found.bucket),
                (authority, base, bucket),
                "{more}"
            );
        }
        let dotted: Config = toml::from_str("bucket = 'logs.example.org'").unwrap();
        assert_eq!(dotted.bucket().ok().unwrap().bucket, "logs.example.org/");
    }

    #[test]
    fn objects_have_the_headers_that_were_asked_for() {
        let more = "storage_class = 'GLACIER_IR'\nacl = 'bucket-owner-full-control'\ncompression = 'gzip'\n\
                    encryption = { algorithm = 'aws:kms', kms_key_id = 'alias/archive' }\ncontent_encoding = 'gzip'";
        let headers = of(more).unwrap().headers().unwrap();
        for (name, value) in [
            ("content-type", "application/gzip"),
            ("content-encoding", "gzip"),
            ("x-amz-storage-class", "GLACIER_IR"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "alias/archive"),
        ] {
            assert_eq!(headers[name], value);
        }
        assert_eq!(of("").unwrap().headers().unwrap().len(), 1);
    }
}
