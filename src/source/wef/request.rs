//! The head of a request: what HTTP says of the body before it is read.
//!
//! Windows sends `Content-Type: application/soap+xml;charset=UTF-16` with every body and without, and
//! `Content-Encoding: SLDC` with deliveries. What is sealed says `multipart/encrypted` instead, and its own type
//! within. Pure. Must not know: connections, who asks.

use super::answers::Reply;
use super::http::{Framing, Head, UnfitHead};
use crate::wsman::charset::Charset;
use crate::wsman::multipart::{Framing as Sealed, MultipartError, Protocol};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use std::fmt;
use std::time::Duration;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind<'a> {
    pub(super) is_sldc: bool,
    /// As the content type names it.
    pub(super) charset: Option<&'a str>,
    /// It is sealed, and framed in this way.
    pub(super) sealed: Option<Sealed<'a>>,
}

/// Why a request is not looked at any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) status: StatusCode,
    /// The same kind of trouble of the same peer is told once in a while.
    pub(super) kind: &'static str,
    /// What was found, with nothing of the body.
    pub(super) what: String,
    pub(super) fix: &'static str,
}

impl Unfit {
    pub(super) fn reply(&self) -> Reply {
        Reply { close: true, ..Reply::empty(self.status.as_u16()) }
    }
}

/// A request of WS-Management is a POST.
pub(super) fn method(method: &str) -> Result<(), Unfit> {
    if method == "POST" {
        return Ok(());
    }
    Err(Unfit {
        status: StatusCode::METHOD_NOT_ALLOWED,
        kind: "method",
        what: format!("asked with {}", shown(method)),
        fix: "Windows hosts ask with POST; whatever else asks here is none, or is a health check that \
              should only open the port",
    })
}

/// The name under which the peer knows us; it goes into addresses that we give out.
pub(super) fn authority(head: &Head) -> Result<&str, Unfit> {
    let mut hosts = head.all("host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => std::str::from_utf8(host).unwrap_or_default(),
        (None, None) => head.authority().unwrap_or_default(),
        _ => "",
    };
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(is_good) {
        return Ok(host);
    }
    Err(Unfit {
        status: StatusCode::BAD_REQUEST,
        kind: "host",
        what: "sent a request without one good `Host`".into(),
        fix: "hosts take it from the address they were told; give them a name and, if need be, a port",
    })
}

/// A DNS name and a port.
const HOST_BYTES_MAX: usize = 262;

/// How long the body is.
pub(super) fn framing(head: &Head) -> Result<Framing, Unfit> {
    head.framing().map_err(unframed)
}

/// Where the body begins and ends cannot be told.
pub(super) fn unframed(unfit: UnfitHead) -> Unfit {
    let UnfitHead { status, why } = unfit;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let what = format!("sent what is not HTTP that we take: {why}");
    let fix = "see what connects from there, and what stands between that changes requests";
    Unfit { status, kind: "http", what, fix }
}

/// The body is larger than is taken; `length` as it was announced.
pub(super) fn too_large(length: Option<usize>, bytes_max: usize) -> Unfit {
    let what = match length {
        Some(length) => format!("sent a body of {length} bytes, and {bytes_max} are taken"),
        None => format!("sent a body of more than {bytes_max} bytes"),
    };
    let fix = "the host sends smaller batches when `max_envelope` of its subscription is smaller; or raise \
               `limits.body_max`";
    Unfit { status: StatusCode::PAYLOAD_TOO_LARGE, kind: "size", what, fix }
}

/// The body did not come in time.
pub(super) fn too_slow(time_max: Duration) -> Unfit {
    let what = format!("did not send the whole body within {} s", time_max.as_secs());
    let fix = "look at the network between, or raise `limits.body_timeout`; the host sends it again";
    Unfit { status: StatusCode::REQUEST_TIMEOUT, kind: "slow", what, fix }
}

/// What the body is said to be.
pub(super) fn kind(head: &Head) -> Result<Kind<'_>, Unfit> {
    let unfit = |what, fix| Unfit { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, kind: "type", what, fix };
    let mut types = head.all("content-type");
    let Some(value) = types.next() else {
        return Err(unfit("sent a body of no type".into(), SOAP_ONLY));
    };
    let text = std::str::from_utf8(value).unwrap_or_default();
    if types.next().is_some() {
        return Err(unfit("sent a body of two types".into(), SOAP_ONLY));
    }
    let (charset, sealed) = match Sealed::parse(text) {
        Ok(framing) if framing.protocol == Protocol::CredSsp || framing.several => {
            return Err(unfit("sent a body sealed by CredSSP".into(), SOAP_ONLY));
        }
        Ok(framing) => (None, Some(framing)),
        Err(MultipartError::NotEncrypted) => (soap(text)?, None),
        Err(error) => return Err(unfit(format!("sent a sealed body: {error}"), SOAP_ONLY)),
    };
    let mut is_sldc = false;
    for value in head.all("content-encoding") {
        for coding in std::str::from_utf8(value).unwrap_or("?").split(',').map(str::trim) {
            if coding.eq_ignore_ascii_case("sldc") && !is_sldc {
                is_sldc = true;
            } else if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
                let what = format!("sent a body with the encoding `{}`", shown(coding));
                return Err(unfit(
                    what,
                    "only SLDC is taken, or none; no proxy may compress what hosts send",
                ));
            }
        }
    }
    Ok(Kind { is_sldc, charset, sealed })
}

/// Whether the body is sealed, rightly or not.
pub(super) fn is_sealed(head: &Head) -> bool {
    let value = head.first("content-type").and_then(|value| std::str::from_utf8(value).ok());
    value.is_some_and(|value| !matches!(Sealed::parse(value), Err(MultipartError::NotEncrypted)))
}

/// The charset of a message of this type.
pub(super) fn soap(content_type: &str) -> Result<Option<&str>, Unfit> {
    let unfit = |what, fix| Unfit { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, kind: "type", what, fix };
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let media = media.trim();
    if !media.eq_ignore_ascii_case("application/soap+xml") {
        return Err(unfit(format!("sent a body of the type `{}`", shown(media)), SOAP_ONLY));
    }
    let charset = parameter(parameters, "charset");
    match charset.filter(|charset| Charset::from_name(charset).is_none()) {
        None => Ok(charset),
        Some(charset) => {
            let what = format!("sent a body in the charset `{}`", shown(charset));
            Err(unfit(what, "only UTF-16 and UTF-8 are taken"))
        }
    }
}

/// A sealed body of somebody who has nothing to seal with.
pub(super) fn sealed_by_none() -> Unfit {
    Unfit {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        kind: "type",
        what: "sent a body sealed by Kerberos or NTLM, without having signed in that way".into(),
        fix: "let it sign in with Kerberos (`auth.kerberos`), or point it to an address with `https://`, where it \
              signs in by certificate",
    }
}

/// A sealed body that cannot be opened.
pub(super) fn unopened(why: &dyn fmt::Display) -> Unfit {
    Unfit {
        status: StatusCode::BAD_REQUEST,
        kind: "sealed",
        what: format!("sent a sealed body that cannot be opened: {why}"),
        fix: "the host signs in again and sends it again; if it goes on, see what changes requests on their way",
    }
}

/// Plain HTTP, and a body that everybody on the way can read.
pub(super) fn unsealed() -> Unfit {
    Unfit {
        status: StatusCode::FORBIDDEN,
        kind: "unsealed",
        what: "signed in with Kerberos and sent a body that is not sealed".into(),
        fix: "take `AllowUnencrypted` from its WinRM client, or give it an address with `https://`",
    }
}

const SOAP_ONLY: &str = "only `application/soap+xml` is taken, as Windows sends it";

/// How a token travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenScheme {
    Kerberos,
    Negotiate,
}

impl TokenScheme {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kerberos => "Kerberos",
            Self::Negotiate => "Negotiate",
        }
    }
}

/// The token of `Authorization: Kerberos` or `Negotiate`; one that is no base64 is empty. RFC 4559 4.1.
pub(super) fn token(value: &[u8]) -> Option<(TokenScheme, Vec<u8>)> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let scheme = [TokenScheme::Kerberos, TokenScheme::Negotiate]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known.name()))?;
    Some((scheme, STANDARD.decode(token.trim()).unwrap_or_default()))
}

/// User and password of `Authorization: Basic`.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// What an `Authorization` header offers; `None` when it is nothing we take.
pub(super) fn credentials(value: &[u8]) -> Option<Credentials> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let (scheme, token) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || token.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    let bytes = STANDARD.decode(token.trim()).ok()?;
    // RFC 7617: the user has no colon, the password may.
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| Credentials { user: user.into(), password: password.into() })
}

/// Longest credentials that are looked at.
const CREDENTIALS_BYTES_MAX: usize = 1024;

/// The value of a parameter, without its quotes.
fn parameter<'a>(parameters: &'a str, wanted: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        name.trim().eq_ignore_ascii_case(wanted).then_some(value)
    })
}

/// Short and without control characters: it comes from outside and goes into the log.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&str, &str)]) -> Head {
        let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Head::parse(format!("POST / HTTP/1.1\r\n{lines}\r\n").as_bytes()).unwrap().unwrap().0
    }

    #[track_caller]
    fn check(lines: &[(&str, &str)], expected: Result<(bool, Option<&str>), &str>) {
        let head = head(lines);
        match (kind(&head), expected) {
            (Ok(kind), Ok(expected)) => assert_eq!((kind.is_sldc, kind.charset), expected),
            (Err(unfit), Err(word)) => {
                assert_eq!(unfit.status, 415);
                assert!(unfit.what.contains(word), "{}", unfit.what);
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn bodies_as_windows_sends_them_are_taken() {
        check(&[("content-type", "application/soap+xml;charset=UTF-16")], Ok((false, Some("UTF-16"))));
        check(
            &[("content-type", "Application/Soap+XML; Charset=\"utf-8\""), ("content-encoding", "SLDC")],
            Ok((true, Some("utf-8"))),
        );
        check(
            &[("content-type", "application/soap+xml"), ("content-encoding", "identity")],
            Ok((false, None)),
        );
    }

    #[test]
    fn another_type_charset_or_encoding_is_named() {
        check(&[], Err("no type"));
        check(&[("content-type", "text/xml;charset=UTF-16")], Err("`text/xml`"));
        check(&[("content-type", "")], Err("``"));
        check(&[("content-type", "application/soap+xml;charset=ISO-8859-1")], Err("ISO-8859-1"));
        check(&[("content-type", "multipart/encrypted;protocol=\"x\"")], Err("protocol"));
        let soap = ("content-type", "application/soap+xml");
        check(&[soap, ("content-encoding", "gzip")], Err("`gzip`"));
        check(&[soap, ("content-encoding", "SLDC, SLDC")], Err("`SLDC`"));
        check(&[soap, soap], Err("two types"));
        let credssp = "multipart/x-multi-encrypted;protocol=\"application/HTTP-CredSSP-session-encrypted\";boundary=\"b\"";
        check(&[("content-type", credssp)], Err("CredSSP"));
    }

    #[test]
    fn what_is_sealed_says_how_it_is_framed() {
        let value = "multipart/encrypted;protocol=\"application/HTTP-SPNEGO-session-encrypted\";boundary=\"Encrypted Boundary\"";
        let head = head(&[("content-type", value), ("content-encoding", "SLDC")]);
        let found = kind(&head).unwrap();
        assert_eq!((found.is_sldc, found.charset), (true, None));
        assert_eq!(found.sealed, Some(Sealed::windows(Protocol::Spnego)));
        assert_eq!(soap("application/soap+xml;charset=UTF-16"), Ok(Some("UTF-16")));
        assert_eq!(soap("text/plain").unwrap_err().status, 415);
    }

    #[test]
    fn tokens_come_in_two_schemes() {
        assert_eq!(token(b"Kerberos AAEC"), Some((TokenScheme::Kerberos, vec![0, 1, 2])));
        assert_eq!(token(b" negotiate  AAEC "), Some((TokenScheme::Negotiate, vec![0, 1, 2])));
        assert_eq!(token(b"Negotiate"), Some((TokenScheme::Negotiate, vec![])));
        assert_eq!(token(b"Kerberos !"), Some((TokenScheme::Kerberos, vec![])));
        assert_eq!(token(b"Basic AAEC"), None);
    }

    #[test]
    fn only_a_post_is_a_request() {
        assert_eq!(method("POST"), Ok(()));
        assert_eq!(method("GET").unwrap_err().status, 405);
    }

    #[test]
    fn credentials_are_user_and_password() {
        let of = |text: &str| credentials(text.as_bytes()).map(|found| (found.user, found.password));
        assert_eq!(of("Basic d2luMTA6YTpi"), Some(("win10".into(), "a:b".into())));
        assert_eq!(of("basic  d2luMTA6"), Some(("win10".into(), String::new())));
        for wrong in
            ["", "Basic", "Basic !", "Basic d2luMTA=", "Negotiate d2luMTA6YTpi", "Basic OmE=", "Basic gIA6"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        let long = format!("Basic {}", "YWFh".repeat(400));
        assert_eq!(of(&long), None);
    }
}
