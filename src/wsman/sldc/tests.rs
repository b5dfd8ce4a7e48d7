//! What the codec does: the vectors of the format and of a real host, the encoder's output, anything
//! at all compared with the reference, and each error.

use super::{Decoded, Encoder, Scheme, SldcError, decode, decode_stream, reference};
use proptest::prelude::*;

const HEARTBEAT: &[u8] = include_bytes!("../testdata/heartbeat.sldc");
const HEARTBEAT_TEXT: &[u8] = include_bytes!("../testdata/heartbeat.utf16le");
const LIMIT: usize = 1 << 16;

/// `"1111 0"` as bytes, with zeros to the end of the last.
fn bits(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|digit| *digit != b' ').map(|digit| digit - b'0').collect();
    digits
        .chunks(8)
        .map(|eight| eight.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at)))
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[track_caller]
fn check(body: &[u8], expected: &[u8]) {
    let mut out = b"before".to_vec();
    let decoded = decode(body, LIMIT, &mut out).unwrap();
    assert_eq!(&out[6..], expected);
    assert_eq!(decoded, Decoded { bytes: expected.len(), records: 1, declared: Some(expected.len()) });
}

#[track_caller]
fn stream(text: &str, expected: &[u8]) {
    assert_eq!(compare(&bits(text), LIMIT), Ok(expected.to_vec()));
}

#[track_caller]
fn fails(text: &str, expected: SldcError) {
    let mut out = b"before".to_vec();
    assert_eq!(decode_stream(&bits(text), LIMIT, &mut out), Err(expected));
    assert_eq!(out, b"before");
    compare(&bits(text), LIMIT).unwrap_err();
}

/// Decodes with both decoders, which must agree about everything.
#[track_caller]
fn compare(stream: &[u8], limit: usize) -> Result<Vec<u8>, SldcError> {
    // What stands before must be no part of the history.
    let mut out = vec![0x55; 3000];
    let decoded = decode_stream(stream, limit, &mut out);
    let fast = match &decoded {
        Ok(decoded) => {
            assert_eq!(decoded.bytes, out.len() - 3000);
            Ok((out[3000..].to_vec(), decoded.records))
        }
        Err(error) => {
            assert_eq!(out.len(), 3000);
            Err(match error {
                SldcError::TooLong { bit, .. } => ("too long", *bit),
                SldcError::Reserved { bit, .. } => ("reserved", *bit),
                SldcError::Unended { bit } => ("unended", *bit),
                SldcError::Pad { bit } => ("pad", *bit),
                SldcError::Stray { bit } => ("stray", *bit),
                other => panic!("no error of a stream: {other}"),
            })
        }
    };
    assert_eq!(fast, reference::decode(stream, limit));
    decoded.map(|_| out.split_off(3000))
}

const RESET_1: &str = "1111111110101";
const RESET_2: &str = "1111111110110";
const END: &str = "1111111110100";

#[test]
fn a_captured_heartbeat_decodes() {
    check(HEARTBEAT, HEARTBEAT_TEXT);
}

#[test]
fn the_vectors_of_the_format_decode() {
    check(&hex("ffabfdfc41006002ffa00008000000"), &hex("fffe410041004100"));
    check(&hex("ffa907fde007b10fffa0002c010000"), &[0x41; 300]);
    check(&hex("ffb7fbf90403fe800004000000"), &hex("fffe4100"));
    assert_eq!(compare(&hex("ffb3a32b9ba1039ba3934b733ffd0000"), LIMIT), Ok(b"test string".to_vec()));
}

#[test]
fn every_count_is_read_and_written() {
    for count in 2..=271 {
        let text = [&b"abc"[..], &vec![b'c'; count], b"d"].concat();
        let mut body = Vec::new();
        Encoder::default().encode(&text, Scheme::One, &mut body);
        check(&body, &text);
    }
    for (field, count) in [("00", 2), ("01", 3), ("1000", 4), ("1011", 7), ("110000", 8), ("110111", 15)] {
        stream(&format!("{RESET_1} 001000001 1 {field} 0000000000 {END}"), &vec![0x41; 1 + count]);
    }
    for (field, count) in [("11100000", 16), ("11101111", 31), ("111100000000", 32), ("111111101111", 271)] {
        stream(&format!("{RESET_1} 001000001 1 {field} 0000000000 {END}"), &vec![0x41; 1 + count]);
    }
}

#[test]
fn the_history_before_a_reset_is_zeros() {
    // From an empty history, and from a place behind the one byte that is there.
    stream(&format!("{RESET_1} 1 1000 0000000000 {END}"), &[0; 4]);
    stream(&format!("{RESET_1} 001000001 1 1000 1111111111 {END}"), &[0x41, 0, 0x41, 0, 0x41]);
    stream(
        &format!("{RESET_1} 001000001 {RESET_1} 1 00 0000000000 {RESET_2} 01000010 {END}"),
        &[0x41, 0, 0, 0x42],
    );
}

#[test]
fn a_change_of_scheme_keeps_the_history() {
    let (one, two) = ("1111111110001", "1111111110010");
    stream(&format!("{RESET_2} 01000001 {one} 1 00 0000000000 {two} 111111110 {END}"), b"AAA\xff");
}

#[test]
fn the_history_goes_round_and_a_place_is_absolute() {
    let text: Vec<u8> = (0..3000_u32).map(|at| ((at * at) >> 5) as u8).collect();
    for written in [1023, 1024, 1025, 2049, 2999] {
        for place in [0, 1, 511, 1022, 1023] {
            let mut digits = RESET_2.to_string();
            for byte in &text[..written] {
                digits += &format!("{byte:08b}");
                digits += if *byte == 0xff { "0" } else { "" };
            }
            digits += &format!("1111111110001 1 11100000 {place:010b} {END}");
            let bytes = compare(&bits(&digits), LIMIT).unwrap();
            let mut ring = [0; 1024];
            (0..written).for_each(|at| ring[at % 1024] = text[at]);
            assert_eq!(bytes[written], ring[place]);
            assert_eq!(bytes.len(), written + 16);
        }
    }
}

#[test]
fn marks_pads_and_records_follow_each_other() {
    let (flush, mark, end_marker) = ("1111111110000", "1111111110011", "1111111111111");
    stream(&format!("{RESET_1} 001000001 {END}"), b"A");
    // FLUSH and FILE MARK pad to 32 bits, also within a record.
    stream(&format!("{RESET_1} {flush} 000000 001000001 {END}"), b"A");
    stream(&format!("{RESET_1} 001000001 {END} {mark} {:016} {end_marker} 1111", 0), b"A");
    // The history goes on from one record to the next.
    stream(&format!("{RESET_1} 001000001 {END} 00000 1111111110001 1 00 0000000000 {END}"), b"AAA");
    stream(&format!("{RESET_1} 001000001 {END}{RESET_1} 1 00 0000000000 {END}"), b"A\0\0");
    // Nothing at all is written as an END MARKER or as an empty record.
    stream(&format!("{end_marker} 1111111111111111111"), b"");
    stream(&format!("{RESET_1} {END}"), b"");
    // Scheme 1 and an empty history are where a stream starts.
    stream(&format!("001000001 {END}"), b"A");
}

#[test]
fn an_error_says_what_is_wrong_and_where() {
    for code in 7..15 {
        fails(&format!("{RESET_1} 111111111{code:04b}"), SldcError::Reserved { code, bit: 13 });
    }
    fails("", SldcError::Unended { bit: 0 });
    fails(&format!("{RESET_1} 001000001"), SldcError::Unended { bit: 22 });
    fails(&format!("{RESET_1} 001000001 1111111111111"), SldcError::Unended { bit: 22 });
    fails(&format!("{RESET_1} 1111"), SldcError::Unended { bit: 13 });
    fails(&format!("{RESET_1} 1111111110000 000001"), SldcError::Pad { bit: 31 });
    fails(&format!("{RESET_1} {END} 00001011"), SldcError::Stray { bit: 30 });
    let error = |body: &[u8]| decode(body, 100, &mut Vec::new()).unwrap_err();
    assert_eq!(error(&[1, 2, 3]), SldcError::Short { bytes: 3 });
    assert_eq!(error(HEARTBEAT_TEXT), SldcError::Plain);
    assert_eq!(error(HEARTBEAT), SldcError::Declared { declared: 3042, limit: 100 });
}

#[test]
fn a_wrong_length_is_told_and_what_follows_a_whole_record_is_ignored() {
    let mut body = HEARTBEAT.to_vec();
    let at = body.len() - 4;
    body[at..].copy_from_slice(&7_u32.to_le_bytes());
    let mut out = Vec::new();
    let decoded = decode(&body, LIMIT, &mut out).unwrap();
    assert_eq!((out.as_slice(), decoded.declared), (HEARTBEAT_TEXT, Some(7)));
    let mut body = HEARTBEAT.to_vec();
    body[at - 1] = 0x17;
    check(&body, HEARTBEAT_TEXT);
}

#[test]
fn a_bomb_stops_at_the_limit_and_takes_no_memory() {
    // A copy of 271 bytes in each 23 bits, which claims to be small.
    let mut digits = RESET_1.to_string();
    digits += &"1 1111 11101111 0000000000".repeat(10_000);
    let mut body = bits(&digits);
    body.extend_from_slice(&[0; 4]);
    let mut out = Vec::new();
    let error = decode(&body, 100_000, &mut out).unwrap_err();
    assert_eq!(error, SldcError::TooLong { limit: 100_000, bit: 13 + 100_000 / 271 * 23 });
    assert!(out.is_empty() && out.capacity() < 300_000, "{}", out.capacity());
    // And a small body that claims to be large.
    let mut body = HEARTBEAT[..100].to_vec();
    body.extend_from_slice(&u32::MAX.to_le_bytes());
    let mut out = Vec::new();
    decode(&body, usize::MAX, &mut out).unwrap_err();
    assert!(out.capacity() < 50_000, "{}", out.capacity());
}

#[test]
fn the_limit_itself_is_reached() {
    for limit in [3041, 3042] {
        assert_eq!(compare(&HEARTBEAT[..1002], limit).is_ok(), limit == 3042);
    }
}

#[test]
fn the_encoder_writes_what_windows_wrote() {
    assert!(body(HEARTBEAT_TEXT, Scheme::One) == HEARTBEAT);
    let mut exact = Vec::new();
    Encoder::default().encode(&hex("fffe4100"), Scheme::Two, &mut exact);
    assert_eq!(exact, hex("ffb7fbf90403fe800004000000"));
}

/// A stream that opens with so many bytes, so that the fast loop has its history, and then has copies
/// of counts and from places as given, a literal behind each, and a tail for the loop to look at.
fn copies(opening: usize, copies: &[(usize, usize)]) -> Vec<u8> {
    let mut digits = RESET_2.to_string();
    (0..opening).for_each(|at| digits += &format!("{:08b}", at * 31 % 251));
    digits += "1111111110001";
    for (at, (count, place)) in copies.iter().enumerate() {
        digits += &match count {
            2..4 => format!("1 0{:01b}", count - 2),
            4..8 => format!("1 10{:02b}", count - 4),
            8..16 => format!("1 110{:03b}", count - 8),
            16..32 => format!("1 1110{:04b}", count - 16),
            _ => format!("1 1111{:08b}", count - 32),
        };
        digits += &format!("{place:010b} 0{:08b}", at % 256);
    }
    digits += &format!("{}{END}", "000000000".repeat(8));
    bits(&digits)
}

#[test]
fn every_count_from_every_near_distance_repeats_what_it_should() {
    for distance in (1..40).chain([63, 64, 65, 1000, 1023, 1024]) {
        let mut at = 1200;
        let list: Vec<(usize, usize)> = (2..=271)
            .map(|count| {
                let place = (at - distance) % 1024;
                at += count + 1;
                (count, place)
            })
            .collect();
        assert_eq!(compare(&copies(1200, &list), LIMIT).unwrap().len(), at + 8);
    }
}

/// Runs of text, of anything and of repeats near and far, so that every kind of copy comes up.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-z<>='/ ]{0,60}".prop_map(|text| text.bytes().flat_map(|byte| [byte, 0]).collect()),
        (any::<u8>(), 0_usize..600).prop_map(|(byte, count)| vec![byte; count]),
        (prop::collection::vec(any::<u8>(), 1..20), 0_usize..60).prop_map(|(unit, times)| unit.repeat(times)),
    ];
    prop::collection::vec((piece, 0_usize..2000), 0..12).prop_map(|pieces| {
        let mut text: Vec<u8> = Vec::new();
        for (piece, back) in pieces {
            text.extend(&piece);
            let from = text.len().saturating_sub(back);
            let again = text[from..].iter().copied().take(300).collect::<Vec<_>>();
            text.extend(again);
        }
        text
    })
}

fn body(text: &[u8], scheme: Scheme) -> Vec<u8> {
    let mut body = Vec::new();
    Encoder::default().encode(text, scheme, &mut body);
    body
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(texts in prop::collection::vec(texts(), 1..4), two in any::<bool>()) {
        let scheme = if two { Scheme::Two } else { Scheme::One };
        let mut encoder = Encoder::default();
        for text in &texts {
            let mut body = Vec::new();
            encoder.encode(text, scheme, &mut body);
            check(&body, text);
            prop_assert_eq!(compare(&body[..body.len() - 4], LIMIT), Ok(text.clone()));
        }
    }

    #[test]
    fn records_of_both_schemes_decode_one_after_the_other(texts in prop::collection::vec((texts(), any::<bool>()), 1..4)) {
        let mut stream = Vec::new();
        for (text, two) in &texts {
            let body = body(text, if *two { Scheme::Two } else { Scheme::One });
            stream.extend_from_slice(&body[..body.len() - 4]);
        }
        let text: Vec<u8> = texts.into_iter().flat_map(|(text, _)| text).collect();
        prop_assert_eq!(compare(&stream, LIMIT), Ok(text));
    }

    #[test]
    fn changed_and_cut_streams_are_read_as_the_reference_does(
        text in texts(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        limit in 0_usize..20_000,
    ) {
        let mut body = body(&text, Scheme::One);
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let _ = compare(&body, limit);
        let _ = compare(&body[..cut.index(body.len())], limit);
    }

    #[test]
    fn any_copies_are_read_as_the_reference_does(
        opening in 900_usize..2200,
        list in prop::collection::vec((2_usize..272, 0_usize..1024), 0..200),
        limit in 0_usize..40_000,
    ) {
        let _ = compare(&copies(opening, &list), limit);
        let _ = compare(&copies(opening, &list), LIMIT).unwrap();
    }

    #[test]
    fn any_bits_are_read_as_the_reference_does(
        symbols in prop::collection::vec((any::<u32>(), 1_usize..24), 0..200),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        limit in 0_usize..10_000,
    ) {
        let digits: String = symbols.iter().map(|(value, bits)| format!("{value:032b}")[..*bits].to_string()).collect();
        let _ = compare(&bits(&digits), limit);
        let _ = compare(&bytes, limit);
    }
}
