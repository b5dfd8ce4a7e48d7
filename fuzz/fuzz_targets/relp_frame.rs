//! Whatever a receiver of RELP answers: frames are read the same in any pieces, within their bounds, and what is
//! read and written again is the same.
#![no_main]

use forebay::sink::relp::frame::{ANSWER_BYTES_MAX, Answer, COMMAND_BYTES_MAX, Frame, TXNR_MAX, Wrong};
use libfuzzer_sys::fuzz_target;

/// Longest frame: three numbers and a name, the data, what stands between.
const FRAME_BYTES_MAX: usize = 9 + 1 + COMMAND_BYTES_MAX + 1 + 9 + 1 + ANSWER_BYTES_MAX + 1;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let wrong = loop {
        match Frame::parse(rest) {
            Ok(Some((frame, taken))) => {
                assert!(0 < taken && taken <= rest.len() && taken <= FRAME_BYTES_MAX, "a reader gets on");
                check(&frame, &rest[..taken]);
                rest = &rest[taken..];
            }
            Ok(None) => break None,
            Err(wrong) => break Some(wrong),
        }
    };
    match wrong {
        // More of a frame is asked for only while it may become one.
        None => assert!(rest.len() < FRAME_BYTES_MAX, "{} bytes are gathered", rest.len()),
        Some(wrong) => stays_wrong(rest, wrong),
    }
    if let Ok(answer) = Answer::parse(data) {
        assert!(answer.words.len() <= 3 * data.len() && !answer.words.contains(char::is_control));
        assert!(answer.code <= 999 && (!answer.is_good() || answer.code == 200));
        let _ = answer.offers();
    }
});

fn check(frame: &Frame<'_>, bytes: &[u8]) {
    assert!(frame.txnr <= TXNR_MAX && frame.data.len() <= ANSWER_BYTES_MAX);
    assert!(!frame.command.is_empty() && frame.command.len() <= COMMAND_BYTES_MAX);
    for end in (0..bytes.len()).rev().take(64).chain(0..bytes.len().min(64)) {
        assert_eq!(Frame::parse(&bytes[..end]), Ok(None), "a piece asks for more");
    }
    let mut written = Vec::new();
    frame.write(&mut written);
    assert_eq!(Frame::parse(&written), Ok(Some((*frame, written.len()))));
    let mut followed = bytes.to_vec();
    followed.extend_from_slice(b"9 rsp 0\n");
    assert_eq!(Frame::parse(&followed), Ok(Some((*frame, bytes.len()))), "what follows changes nothing");
}

/// No piece of it is a frame, and more of it makes none.
fn stays_wrong(bytes: &[u8], wrong: Wrong) {
    for end in 0..bytes.len().min(64) {
        assert!(!matches!(Frame::parse(&bytes[..end]), Ok(Some(_))));
    }
    let longer = [bytes, b"\n1 rsp 0\n"].concat();
    assert_eq!(Frame::parse(&longer), Err(wrong));
}
