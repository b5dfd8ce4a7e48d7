//! A store that speaks as S3 does ("API reference of Amazon S3": PutObject, CreateMultipartUpload, UploadPart,
//! CompleteMultipartUpload, AbortMultipartUpload, ListMultipartUploads), and also answers wrongly, as it is told to.

use super::web::{Receiver, Reply, Request, says};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) struct Store {
    pub(crate) receiver: Receiver,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// By path, with the bucket in it.
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// Objects that were written over by other bytes.
    pub(crate) overwritten: usize,
    /// By id: the path, and the parts that are there.
    pub(crate) uploads: BTreeMap<String, (String, BTreeMap<usize, Vec<u8>>)>,
    /// Given instead of what was asked for, the first one first; with `true` it is done though.
    pub(crate) replies: Vec<(Asked, bool, Reply)>,
    begun: u32,
}

/// What a reply is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Any,
    Put,
    Begin,
    Part,
    Complete,
}

/// Stores take smaller parts only as the last ones.
const PART_BYTES_MIN: usize = 5 << 20;

impl Store {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let kept = Arc::clone(&state);
        let receiver = Receiver::start(move |request| kept.lock().unwrap().answer(request));
        Self { receiver, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// An error as stores tell it.
pub(crate) fn error(status: u16, code: &str, more: &str) -> Reply {
    says(
        status,
        &format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>words of it</Message>{more}</Error>"
        ),
    )
}

fn etag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn stored(body: &[u8]) -> Reply {
    Reply::Status(200, vec![("ETag", etag(body))], String::new())
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        let hash: String = Sha256::digest(&request.body).iter().map(|byte| format!("{byte:02x}")).collect();
        if request.header("x-amz-content-sha256") != hash {
            return error(400, "XAmzContentSHA256Mismatch", "");
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let asked = match (&*request.method, value("uploadId"), value("uploads")) {
            ("PUT", None, _) => Asked::Put,
            ("PUT", Some(_), _) => Asked::Part,
            ("POST", None, Some(_)) => Asked::Begin,
            ("POST", Some(_), _) => Asked::Complete,
            _ => Asked::Any,
        };
        let planned = self.replies.first().is_some_and(|(of, ..)| *of == Asked::Any || *of == asked);
        if !planned {
            return self.serve(asked, request, path, &value);
        }
        let (_, is_done, reply) = self.replies.remove(0);
        if is_done {
            self.serve(asked, request, path, &value);
        }
        reply
    }

    fn serve<'q>(
        &mut self,
        asked: Asked,
        request: &Request,
        path: &str,
        value: &dyn Fn(&str) -> Option<&'q str>,
    ) -> Reply {
        let body = &request.body;
        match (asked, value("uploadId")) {
            (Asked::Put, _) => {
                self.put(path, body.clone());
                stored(body)
            }
            (Asked::Begin, _) => {
                self.begun += 1;
                let id = format!("id-{}", self.begun);
                self.uploads.insert(id.clone(), (path.to_owned(), BTreeMap::new()));
                says(
                    200,
                    &format!(
                        "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ),
                )
            }
            (Asked::Part, Some(id)) => match self.uploads.get_mut(id) {
                Some((of, parts)) if of == path => {
                    parts.insert(value("partNumber").unwrap().parse().unwrap(), body.clone());
                    stored(body)
                }
                _ => error(404, "NoSuchUpload", ""),
            },
            (Asked::Complete, Some(id)) => self.complete(id, path, &request.text()),
            (_, Some(id)) => {
                self.uploads.remove(id);
                says(204, "")
            }
            (_, None) if value("uploads").is_some() => {
                let bucket = path.split('/').nth(1).unwrap();
                let upload = |(id, (path, _)): (&String, &(String, _))| {
                    let key = path.strip_prefix(&format!("/{bucket}/")).unwrap();
                    format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>")
                };
                let list: String = self.uploads.iter().map(upload).collect();
                says(200, &format!("<ListMultipartUploadsResult>{list}</ListMultipartUploadsResult>"))
            }
            _ => says(200, "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"),
        }
    }

    fn complete(&mut self, id: &str, path: &str, list: &str) -> Reply {
        let Some((of, parts)) = self.uploads.get(id) else { return error(404, "NoSuchUpload", "") };
        let told: Vec<&str> =
            list.split("<ETag>").skip(1).map(|rest| rest.split("</ETag>").next().unwrap()).collect();
        let kept: Vec<String> = parts.values().map(|part| etag(part)).collect();
        if of != path || told != kept {
            return error(400, "InvalidPart", "");
        }
        if parts.values().rev().skip(1).any(|part| part.len() < PART_BYTES_MIN) {
            return error(400, "EntityTooSmall", "");
        }
        let whole: Vec<u8> = parts.values().flatten().copied().collect();
        self.uploads.remove(id);
        let tag = etag(&whole);
        self.put(path, whole);
        says(
            200,
            &format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"),
        )
    }

    fn put(&mut self, path: &str, body: Vec<u8>) {
        let before = self.objects.insert(path.to_owned(), body.clone());
        self.overwritten += usize::from(before.is_some_and(|before| before != body));
    }

    /// All that objects hold, in the order of their first events.
    pub(crate) fn text(&self) -> String {
        let mut bodies: Vec<&Vec<u8>> = self.objects.values().collect();
        bodies.sort();
        bodies.into_iter().map(|body| std::str::from_utf8(body).unwrap()).collect()
    }
}
