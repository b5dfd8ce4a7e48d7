//! What stands in `Authorization`: Signature Version 4 ("Authenticating Requests: Using the Authorization Header",
//! API reference of Amazon S3), with the body's own hash, so that what arrives is what was sent.
//!
//! Pure: keys and time are arguments. Must not know: what is asked.

use super::keys::Keys;
use crate::event::Timestamp;
use crate::sink::web::escaped;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Where a signature counts, and from when on.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    /// As `stamp` writes it.
    pub(super) at: &'a str,
}

/// A request, as far as it is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// As it is sent, with its escapes.
    pub(super) path: &'a str,
    /// As `query` writes it.
    pub(super) query: &'a str,
    /// Names in lower case, in their order.
    pub(super) headers: &'a [(String, String)],
    /// As `hex` writes it.
    pub(super) body_hash: &'a str,
}

/// The value of the header.
pub(super) fn authorization(keys: &Keys, scope: Scope<'_>, request: &Signed<'_>) -> String {
    let Scope { region, service, at } = scope;
    let Signed { method, path, query, headers, body_hash } = request;
    let mut canonical = format!("{method}\n{path}\n{query}\n");
    let mut names = String::new();
    for (name, value) in *headers {
        canonical += &format!("{name}:{}\n", value.trim());
        names += if names.is_empty() { "" } else { ";" };
        names += name;
    }
    canonical += &format!("\n{names}\n{body_hash}");
    let day = at.get(..8).unwrap_or(at);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = hmac(format!("AWS4{}", keys.secret).as_bytes(), day);
    for part in [region, service, "aws4_request"] {
        key = hmac(&key, part);
    }
    let signature = hex(&hmac(&key, &text));
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id)
}

/// Names and values as they are sent and signed: escaped and in order.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// A path, each part of it escaped once.
pub(super) fn path(key: &str) -> String {
    key.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

/// `20130524T000000Z`
pub(super) fn stamp(at: Timestamp) -> String {
    let mut text = Vec::with_capacity(20);
    at.write(0, &mut text);
    text.iter().filter(|byte| !matches!(byte, b'-' | b':')).map(|byte| char::from(*byte)).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC has any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The request of an example on that page: what is signed beside host, date and hash.
    #[track_caller]
    fn example(method: &str, path: &str, query: &str, more: &[(&str, &str)], body: &str, signature: &str) {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        };
        let at = stamp(Timestamp::parse(b"2013-05-24T00:00:00Z").unwrap());
        let host = "examplebucket.s3.amazonaws.com";
        let always = [("host", host), ("x-amz-content-sha256", body), ("x-amz-date", &at)];
        let pairs = always.iter().chain(more).copied();
        let mut headers: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        headers.sort();
        let scope = Scope { region: "us-east-1", service: "s3", at: &at };
        let request = Signed { method, path, query, headers: &headers, body_hash: body };
        let value = authorization(&keys, scope, &request);
        let begin = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ";
        assert!(value.starts_with(begin), "{value}");
        assert_eq!(value.rsplit('=').next(), Some(signature), "{value}");
    }

    #[test]
    fn signatures_are_those_of_the_published_examples() {
        example(
            "GET",
            "/test.txt",
            "",
            &[("range", "bytes=0-9")],
            EMPTY,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        );
        let body = hex(&Sha256::digest("Welcome to Amazon S3."));
        example(
            "PUT",
            &path("/test$file.text"),
            "",
            &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            &body,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        );
        example(
            "GET",
            "/",
            &query(&[("lifecycle", "")]),
            &[],
            EMPTY,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        );
        example(
            "GET",
            "/",
            &query(&[("prefix", "J"), ("max-keys", "2")]),
            &[],
            EMPTY,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        );
    }

    #[test]
    fn paths_and_queries_are_escaped_once() {
        assert_eq!(path("/a b/é=1/x+y"), "/a%20b/%C3%A9%3D1/x%2By");
        assert_eq!(
            query(&[("uploadId", "a/b+c=="), ("partNumber", "7")]),
            "partNumber=7&uploadId=a%2Fb%2Bc%3D%3D"
        );
    }
}
