//! Any text as an envelope, of a request and of an answer: no panic, and what is read is written and
//! read back the same, events included.
#![no_main]

use forebay::wsman::{Answer, Bookmark, BookmarkList, Message, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(mut request) = Request::parse(text) {
        // What cannot be given back is not written.
        request.header.bookmark = request.header.bookmark.filter(|one| !matches!(one, Bookmark::Unusable(_)));
        if let Message::Events(events) = &request.message {
            assert!(events.text.len() <= text.len(), "nothing is added to what came");
            assert!(events.ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "ascending");
        }
        let mut written = String::new();
        request.write(&mut written);
        assert_eq!(Request::parse(&written).as_ref(), Ok(&request), "{written}");
    }
    if let Ok(answer) = Answer::parse(text) {
        let (mut first, mut second) = (String::new(), String::new());
        answer.write(&mut first);
        Answer::parse(&first).expect("what we wrote ourselves").write(&mut second);
        assert_eq!(first, second);
    }
    if let Ok(list) = BookmarkList::parse(text) {
        let mut written = String::new();
        list.write(&mut written);
        assert_eq!(BookmarkList::parse(&written).as_ref(), Ok(&list), "{written}");
    }
});
