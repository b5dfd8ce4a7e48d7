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
        | ("", 408 | 409 | 425 | 429 | 500..=599) => Meant::Again(answer.busy(&words)),
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
        (code, _) if code.starts_with("KMS.") || code.starts_with("Kms") => locked(
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
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::of("https://s3", status, body.to_owned().into())
    }

    fn error(status: u16, code: &str, more: &str) -> Meant {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>why &amp; how</Message>{more}\
             <RequestId>1</RequestId></Error>"
        );
        read(Asked::Put, &answer(status, &body))
    }

    #[test]
    fn only_what_says_that_it_is_there_is_a_yes() {
        let with_etag = Answer { etag: Some("\"x\"".into()), ..answer(200, "") };
        assert_eq!(read(Asked::Put, &with_etag), Meant::Stored("\"x\"".into()));
        let begun = "<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Bucket>b</Bucket>\
                     <Key>k</Key><UploadId>id&amp;1</UploadId></InitiateMultipartUploadResult>";
        assert_eq!(read(Asked::Begin, &answer(200, begun)), Meant::Begun("id&1".into()));
        let whole =
            "<CompleteMultipartUploadResult><ETag>&quot;y-2&quot;</ETag></CompleteMultipartUploadResult>";
        assert_eq!(read(Asked::Complete, &answer(200, whole)), Meant::Stored("\"y-2\"".into()));
        for (asked, body) in [
            (Asked::Put, ""),
            (Asked::Put, "<html>a proxy</html>"),
            (Asked::Begin, ""),
            (Asked::Begin, &begun[..begun.len() - 5]),
            (Asked::Begin, "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>"),
            (Asked::Complete, begun),
            (Asked::Complete, "<CompleteMultipartUploadResult/>"),
            (Asked::Complete, "{\"ETag\":1}"),
        ] {
            let Meant::Again(setback) = read(asked, &answer(200, body)) else { panic!("{asked:?} {body}") };
            assert!(setback.finding.unwrap().what.contains("cannot be understood"), "{body}");
        }
        // Status and headers went out before the parts were put together.
        let late = "<Error><Code>InternalError</Code><Message>again</Message></Error>";
        assert!(matches!(read(Asked::Complete, &answer(200, late)), Meant::Again(_)));
    }

    #[test]
    fn every_error_has_its_class_and_its_words() {
        for (status, code, class, part) in [
            (503, "SlowDown", "Again", "SlowDown, why & how"),
            (500, "InternalError", "Again", "500"),
            (400, "RequestTimeout", "Again", "RequestTimeout"),
            (400, "BadDigest", "Again", "BadDigest"),
            (409, "OperationAborted", "Again", "OperationAborted"),
            (307, "TemporaryRedirect", "Again", "TemporaryRedirect"),
            (404, "NoSuchUpload", "Unknown", "NoSuchUpload"),
            (400, "InvalidPart", "Unknown", "InvalidPart"),
            (404, "NoSuchBucket", "Locked", "no such bucket"),
            (403, "AccessDenied", "Locked", "does not let us in"),
            (403, "SignatureDoesNotMatch", "Locked", "does not let us in"),
            (400, "ExpiredToken", "Locked", "does not let us in"),
            (400, "EntityTooLarge", "Locked", "size_max"),
            (400, "EntityTooSmall", "Locked", "larger parts"),
            (400, "InvalidStorageClass", "Locked", "storage_class"),
            (400, "KMS.NotFoundException", "Locked", "kms_key_id"),
            (400, "InvalidArgument", "Locked", "as they are set up"),
            (501, "NotImplemented", "Again", "501"),
        ] {
            let meant = format!("{:?}", error(status, code, ""));
            assert!(meant.starts_with(class) && meant.contains(part), "{status} {code}: {meant}");
        }
        for (status, class) in [
            (503, "Again"),
            (429, "Again"),
            (403, "Locked"),
            (404, "Locked"),
            (413, "Locked"),
            (302, "Locked"),
        ] {
            let meant = format!("{:?}", read(Asked::Put, &answer(status, "<html>a proxy</html>")));
            assert!(meant.starts_with(class), "{status}: {meant}");
        }
        assert!(format!("{:?}", read(Asked::Put, &answer(999, ""))).starts_with("Again"));
    }

    #[test]
    fn a_bucket_elsewhere_is_told_with_its_region() {
        let malformed = error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>");
        let redirect = Answer { region: Some("eu-west-1".into()), ..answer(301, "") };
        for meant in [malformed, read(Asked::Put, &redirect)] {
            let Meant::Locked(finding) = meant else { panic!("{meant:?}") };
            assert_eq!(finding.fix, "set `region = \"eu-west-1\"`");
        }
        let Meant::Locked(finding) = error(301, "PermanentRedirect", "") else { panic!() };
        assert!(finding.fix.contains("`endpoint`"));
    }

    #[test]
    fn clocks_that_differ_are_told_with_both_times() {
        let times =
            "<RequestTime>20260102T030405Z</RequestTime><ServerTime>2026-01-02T04:04:05Z</ServerTime>";
        let Meant::Locked(finding) = error(403, "RequestTimeTooSkewed", times) else { panic!() };
        assert!(finding.why.contains("20260102T030405Z") && finding.why.contains("2026-01-02T04:04:05Z"));
        assert!(finding.fix.contains("clock"));
    }

    #[test]
    fn uploads_are_told_apart_by_their_key() {
        let list = "<ListMultipartUploadsResult><Bucket>b</Bucket><Upload><Key>a</Key><UploadId>1</UploadId></Upload>\
                    <Upload><Key>a/b</Key><UploadId>2</UploadId></Upload><Upload><Key>a</Key><UploadId>3</UploadId>\
                    </Upload></ListMultipartUploadsResult>";
        assert_eq!(Said::parse(list.as_bytes()).unwrap().uploads_of("a"), ["1", "3"]);
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        for body in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<a>&x;</a>",
            "\u{0}",
            "<a/>text",
        ] {
            assert_eq!(Said::parse(body.as_bytes()), None, "{body}");
        }
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        assert_eq!(Said::parse(deep.as_bytes()), None);
        assert_eq!(Said::parse(format!("<a>{}</a>", "x".repeat(VALUE_BYTES_MAX + 1)).as_bytes()), None);
        assert_eq!(Said::parse(&[b'<', 0xff, b'>']), None);
    }
}
