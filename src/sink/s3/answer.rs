//! What a store says, and what follows from it.
//!
//! Bodies are XML ("Error responses" and the pages of each call, API reference of Amazon S3). Nothing is stored before
//! an answer says so by its status and by an ETag; one that ends an upload may be an error with status 200. Errors are
//! told by their code, which all stores share, and by the status where there is none.
//! Must not know: what was to be stored.

use crate::event::text::reference;
use crate::finding::Finding;
use crate::sink::web::answer::{Answer, words_of};
use crate::sink::web::reading::Setback;
use quick_xml::Reader;
use quick_xml::events::Event;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An object, or a part of one.
    Put,
    /// An upload in parts to begin.
    Begin,
    /// Its parts to become the object.
    Complete,
    /// Anything that changes nothing.
    Look,
}

/// What the answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// It is there, under this tag.
    Stored(String),
    /// Parts may come, under this id.
    Begun(String),
    /// Here is what was looked for.
    Seen,
    /// The upload or one of its parts is not there any more.
    Unknown(Setback),
    Again(Setback),
    /// Nothing goes on before an operator has done something.
    Locked(Finding),
}

/// Deepest element that is read; answers have four.
const DEPTH_MAX: usize = 16;
/// Most values of an answer that are kept: a list of a thousand uploads has some thousands.
const VALUES_MAX: usize = 8192;
/// Longest value that is kept; ids of uploads are of some hundred letters.
const VALUE_BYTES_MAX: usize = 4096;

/// An answer's body: the name of its root, and the texts of elements in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub root: String,
    pub values: Vec<(String, String)>,
}

impl Said {
    /// `None`: no XML to its end, or more of it than any answer has.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (mut said, mut open) = (Self::default(), Vec::<(String, String)>::new());
        let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
        reader.config_mut().expand_empty_elements = true;
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    let name = std::str::from_utf8(start.local_name().as_ref()).ok()?.to_owned();
                    if open.len() == DEPTH_MAX || (open.is_empty() && !said.root.is_empty()) {
                        return None;
                    }
                    if open.is_empty() {
                        said.root.clone_from(&name);
                    }
                    open.push((name, String::new()));
                }
                Event::End(_) => {
                    let (name, text) = open.pop()?;
                    if !text.trim().is_empty() {
                        if said.values.len() == VALUES_MAX {
                            return None;
                        }
                        said.values.push((name, text.trim().to_owned()));
                    }
                }
                Event::Text(text) => append(&mut open, &text.decode().ok()?)?,
                Event::CData(text) => append(&mut open, &text.decode().ok()?)?,
                Event::GeneralRef(name) => {
                    let name = format!("&{};", name.decode().ok()?);
                    let (character, _) = reference(name.as_bytes())?;
                    append(&mut open, character.encode_utf8(&mut [0; 4]))?;
                }
                Event::DocType(_) => return None,
                Event::Empty(_) | Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        (open.is_empty() && !said.root.is_empty()).then_some(said)
    }

    /// The first value of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Uploads of a list, by the key of their object.
    pub fn uploads_of(&self, key: &str) -> Vec<&str> {
        let (mut uploads, mut of) = (Vec::new(), "");
        for (name, value) in &self.values {
            match &**name {
                "Key" => of = value,
                "UploadId" if of == key => uploads.push(&**value),
                _ => {}
            }
        }
        uploads
    }
}

fn append(open: &mut [(String, String)], text: &str) -> Option<()> {
    match open.last_mut() {
        Some((_, value)) if value.len() + text.len() <= VALUE_BYTES_MAX => value.push_str(text),
        Some(_) => return None,
        None if text.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

/// What this answer means.
pub fn read(asked: Asked, answer: &Answer) -> Meant {
    let said = Said::parse(&answer.body);
    let error = said.as_ref().filter(|said| said.root == "Error");
    if !answer.is_success() || error.is_some() {
        return refused(answer, error);
    }
    let is = |root: &str| said.as_ref().filter(|said| said.root == root);
    let found = match asked {
        Asked::Look => return Meant::Seen,
        Asked::Put => answer.etag.clone().map(Meant::Stored),
        Asked::Begin => is("InitiateMultipartUploadResult")
            .and_then(|said| said.value("UploadId"))
            .map(|id| Meant::Begun(id.to_owned())),
        Asked::Complete => is("CompleteMultipartUploadResult")
            .and_then(|said| said.value("ETag"))
            .map(|etag| Meant::Stored(etag.to_owned())),
    };
    found.unwrap_or_else(|| Meant::Again(no_yes(answer)))
}

/// Success, and not what it would be of a store.
fn no_yes(answer: &Answer) -> Setback {
    let why = "nothing in it says that the object is there";
    Setback {
        finding: Some(Finding {
            what: format!("an answer of {} cannot be understood", answer.peer),
            why: format!("it answered {}, and {why}", answer.status),
            fix: "see that `endpoint` leads to the store itself; objects are sent again until it says that it has them"
                .into(),
        }),
        ..answer.not_understood(why)
    }
}

fn refused(answer: &Answer, error: Option<&Said>) -> Meant {
    let Answer { peer, status, .. } = answer;
    let value = |name| error.and_then(|error| error.value(name));
    let code = value("Code").unwrap_or_default();
    let words = match (code, value("Message")) {
        ("", _) => answer.words(),
        (code, Some(message)) => words_of(format!("{code}, {message}").as_bytes()),
        (code, None) => words_of(code.as_bytes()),
    };
    let locked = |what: String, why: String, fix: &str| Meant::Locked(Finding { what, why, fix: fix.into() });
    let said = format!("{status}: {words}");
    match (code, status) {
        ("SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" | "OperationAborted", _)
        // What was sent is not what arrived.
        | ("BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" | "ConditionalRequestConflict", _)
        // A bucket that is so new that names do not lead to it yet.
        | ("TemporaryRedirect", _)
        | ("", 409 | 500..=599)
        | (_, 408 | 425 | 429) => Meant::Again(answer.busy(&words)),
        // Of whatever status, and of the service for keys as well, whose codes begin with `KMS.`.
        (code, _) if is_throttling(code) => Meant::Again(answer.busy(&words)),
        ("NoSuchUpload" | "InvalidPart" | "InvalidPartOrder", _) => {
            Meant::Unknown(Setback { reason: said, ..Setback::of(peer) })
        }
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
        | ("", 300..=399) => moved(answer, value("Region"), &said),
        ("RequestTimeTooSkewed", _) => locked(
            format!("the clock of {peer} and ours differ too much for a signature to count"),
            format!(
                "{said}; its time is {}, ours was {}",
                words_of(value("ServerTime").unwrap_or("not told").as_bytes()),
                words_of(value("RequestTime").unwrap_or("not told").as_bytes())
            ),
            "set the clock of this machine, with chrony or systemd-timesyncd",
        ),
        ("NoSuchBucket", _) => locked(
            format!("there is no such bucket at {peer}"),
            said,
            "make it, or correct `bucket`, `region` or `endpoint`",
        ),
        ("InvalidStorageClass", _) => {
            locked(format!("{peer} has no such storage class"), said, "correct `storage_class`")
        }
        ("EntityTooLarge", _) | ("", 413) => locked(
            format!("{peer} takes no bodies as large as ours"),
            said,
            "lower `size_max`; where a proxy stands between, let it take bodies of 8MiB",
        ),
        ("EntityTooSmall", _) => locked(
            format!("{peer} wants larger parts of an object than 8MiB"),
            said,
            "set `size_max = \"8MiB\"`, with which objects go in one piece",
        ),
        (code, 400..=499) if code.starts_with("KMS.") || code.starts_with("Kms") => locked(
            format!("{peer} cannot encrypt with the key that it was told"),
            said,
            "correct `encryption.kms_key_id`, or what we may do with that key",
        ),
        ("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "InvalidAccessKeyId", _)
        | ("SignatureDoesNotMatch" | "AccessDenied" | "AllAccessDisabled" | "AccountProblem", _)
        | (_, 401 | 403 | 407) => locked(
            format!("{peer} does not let us in"),
            said,
            "correct the keys in `auth`, or what they may do in this bucket (`s3:PutObject`, \
             `s3:AbortMultipartUpload`); a changed file is noticed at once",
        ),
        ("", 404 | 405 | 410) => locked(
            format!("{peer} has nothing for us there"),
            said,
            "correct `endpoint` and `path_style`; a proxy in between may answer in the place of the store",
        ),
        (_, 500..=599) => Meant::Again(answer.busy(&words)),
        (_, 400..=499) | (_, 200..=299) => locked(
            format!("{peer} does not take objects as they are set up"),
            said,
            "see the words in its answer, and what `sink.s3` says of encryption, storage class and checksum",
        ),
        _ => Meant::Again(no_yes(answer)),
    }
}

/// `SlowDown` in the words of other services and stores: `Throttling`, `ThrottlingException`, `KMS.ThrottlingException`,
/// `RequestLimitExceeded`, `TooManyRequests` and more of that kind.
fn is_throttling(code: &str) -> bool {
    ["Throttl", "RequestLimit", "TooMany"].iter().any(|part| code.contains(part))
}

fn moved(answer: &Answer, region: Option<&str>, said: &str) -> Meant {
    let peer = &answer.peer;
    let region = region.or(answer.region.as_deref()).map(|region| words_of(region.as_bytes()));
    Meant::Locked(match region {
        Some(region) => Finding {
            what: format!("the bucket is not in the region that {peer} serves"),
            why: format!("{said}; it is in `{region}`"),
            fix: format!("set `region = \"{region}\"`"),
        },
        None => Finding {
            what: format!("{peer} sends us elsewhere, and we do not go"),
            why: format!("{said}; it names {}", answer.location.as_deref().unwrap_or("no place")),
            fix: "correct `region` and `endpoint`".into(),
        },
    })
}

#[cfg(test)]
mod tests;
