//! Whatever a store answers: an object is there only when it says so, and what an operator is told is fit to be shown.
//!
//! Input: what was asked, a status and whether there is an ETag (a byte each, of lists), the body.
#![no_main]

use forebay::finding::Finding;
use forebay::sink::s3::answer::{Asked, Meant, Said, read};
use forebay::sink::web::answer::Answer;
use forebay::sink::web::reading::Setback;
use libfuzzer_sys::fuzz_target;

const ASKED: [Asked; 4] = [Asked::Put, Asked::Begin, Asked::Complete, Asked::Look];
const STATUSES: [u16; 10] = [200, 204, 301, 307, 400, 403, 404, 409, 500, 503];

fuzz_target!(|data: &[u8]| {
    let [asked, status, etag, body @ ..] = data else { return };
    let (asked, status) = (ASKED[*asked as usize % ASKED.len()], STATUSES[*status as usize % STATUSES.len()]);
    let etag = (etag % 2 == 1).then(|| "\"tag\"".to_owned());
    let answer = Answer { etag: etag.clone(), ..Answer::of("https://s3", status, body.to_vec().into()) };
    let (said, text) = (Said::parse(body), String::from_utf8_lossy(body));
    let root = said.as_ref().map(|said| said.root.as_str());
    if let Some(said) = &said {
        assert!(text.contains(&said.root) && said.values.iter().all(|(name, _)| text.contains(name)));
    }
    match read(asked, &answer) {
        Meant::Stored(tag) => {
            assert!(status < 300 && root != Some("Error"));
            match asked {
                Asked::Put => assert_eq!(Some(tag), etag),
                Asked::Complete => assert!(root == Some("CompleteMultipartUploadResult") && !tag.is_empty()),
                Asked::Begin | Asked::Look => panic!("nothing was to be stored"),
            }
        }
        Meant::Begun(id) => {
            assert!(asked == Asked::Begin && status < 300 && !id.is_empty());
            assert_eq!(root, Some("InitiateMultipartUploadResult"));
        }
        Meant::Seen => assert!(asked == Asked::Look && status < 300 && root != Some("Error")),
        Meant::Unknown(setback) | Meant::Again(setback) => shown(&setback),
        Meant::Locked(finding) => told(&finding),
    }
});

fn shown(setback: &Setback) {
    assert!(setback.reason.len() < 2000 && !setback.reason.contains(char::is_control));
    setback.finding.iter().for_each(told);
}

fn told(finding: &Finding) {
    for text in [&finding.what, &finding.why, &finding.fix] {
        assert!(!text.is_empty() && text.len() < 4000 && !text.contains(char::is_control), "{text}");
    }
}
