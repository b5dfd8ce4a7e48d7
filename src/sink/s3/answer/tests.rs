//! Answers of stores as they write them, and what each is taken for.

use super::*;
use std::time::Duration;

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
    let whole = "<CompleteMultipartUploadResult><ETag>&quot;y-2&quot;</ETag></CompleteMultipartUploadResult>";
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
        (500, "KMS.KMSInternalException", "Again", "500"),
        (425, "NotYet", "Again", "NotYet"),
    ] {
        let meant = format!("{:?}", error(status, code, ""));
        assert!(meant.starts_with(class) && meant.contains(part), "{status} {code}: {meant}");
    }
    for (status, class) in
        [(503, "Again"), (429, "Again"), (403, "Locked"), (404, "Locked"), (413, "Locked"), (302, "Locked")]
    {
        let meant = format!("{:?}", read(Asked::Put, &answer(status, "<html>a proxy</html>")));
        assert!(meant.starts_with(class), "{status}: {meant}");
    }
    assert!(format!("{:?}", read(Asked::Put, &answer(999, ""))).starts_with("Again"));
}

#[test]
fn a_store_that_wants_fewer_requests_is_waited_for_as_long_as_it_says() {
    for (status, code) in [
        (429, "TooManyRequests"),
        (429, "QuotaReached"),
        (429, "AccessDenied"),
        (400, "TooManyRequestsException"),
        (400, "Throttling"),
        (400, "ThrottlingException"),
        (400, "ThrottledException"),
        (400, "RequestLimitExceeded"),
        (403, "RequestThrottled"),
        (400, "KMS.ThrottlingException"),
        (503, "RequestThrottledException"),
    ] {
        let body = format!("<Error><Code>{code}</Code></Error>");
        let after = Some(Duration::from_secs(7));
        let meant = read(Asked::Put, &Answer { retry_after: after, ..answer(status, &body) });
        let Meant::Again(setback) = meant else { panic!("{status} {code}: {meant:?}") };
        assert!(setback.is_overload && setback.reason.contains(code), "{status} {code}: {setback:?}");
        assert_eq!(setback.after, after, "{status} {code}");
    }
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
    let times = "<RequestTime>20260102T030405Z</RequestTime><ServerTime>2026-01-02T04:04:05Z</ServerTime>";
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
