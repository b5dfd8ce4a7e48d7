//! The PROXY protocol, versions 1 and 2: what a load balancer says of the connection before its first byte.
//!
//! ```text
//! v1  PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n          v2  12 bytes of signature, version and command,
//!     PROXY UNKNOWN\r\n                                               family, length u16 BE, addresses, more fields
//! ```
//! Read without looking further than the header, because what follows belongs to TLS. Pure.
//! Source: The PROXY protocol, versions 1 and 2 (HAProxy, 2020). Must not know: who may say so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What to do next with the bytes that are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many more are certain to belong to the header.
    Read(usize),
    /// The header ends with the last byte. None: the balancer speaks for itself, or cannot tell.
    Done(Option<SocketAddr>),
    Wrong(&'static str),
}

/// Longest header that is read; version 2 may carry fields that nobody here reads.
pub const HEADER_BYTES_MAX: usize = 2048;

const V1_BYTES_MAX: usize = 107;
/// `PROXY UNKNOWN\r\n`, which is one byte less than the head of version 2.
const SHORTEST: usize = 15;
const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD_BYTES: usize = 16;

/// Looks at all that was read so far.
pub fn step(header: &[u8]) -> Step {
    if header.len() < SHORTEST {
        return Step::Read(SHORTEST - header.len());
    }
    if header.starts_with(b"PROXY ") {
        return first_version(header);
    }
    if header.starts_with(&V2_SIGNATURE) {
        return second_version(header);
    }
    Step::Wrong("there is no PROXY header")
}

fn first_version(header: &[u8]) -> Step {
    match header.iter().position(|byte| *byte == b'\n') {
        None if header.len() < V1_BYTES_MAX => Step::Read(1),
        None => Step::Wrong("the line of version 1 does not end"),
        Some(at) if at + 1 == header.len() => line(header),
        Some(_) => Step::Wrong("the line of version 1 is too short"),
    }
}

fn line(header: &[u8]) -> Step {
    let text = header.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let Some(text) = text else { return Step::Wrong("the line of version 1 does not end with CR LF") };
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        [_, "UNKNOWN", ..] => Step::Done(None),
        [_, family @ ("TCP4" | "TCP6"), source, target, port, target_port] => {
            let parsed = (source.parse(), target.parse::<IpAddr>(), port.parse(), target_port.parse::<u16>());
            let (Ok::<IpAddr, _>(source), Ok(target), Ok(port), Ok(_)) = parsed else {
                return Step::Wrong("an address or port of version 1 is none");
            };
            if source.is_ipv4() != (family == "TCP4") || source.is_ipv4() != target.is_ipv4() {
                return Step::Wrong("the addresses of version 1 are of another family than it says");
            }
            Step::Done(Some(SocketAddr::new(source, port)))
        }
        _ => Step::Wrong("the line of version 1 has other words than it may"),
    }
}

fn second_version(header: &[u8]) -> Step {
    if header.len() < V2_HEAD_BYTES {
        return Step::Read(V2_HEAD_BYTES - header.len());
    }
    let whole = V2_HEAD_BYTES + usize::from(u16::from_be_bytes([header[14], header[15]]));
    if whole > HEADER_BYTES_MAX {
        return Step::Wrong("the header of version 2 is longer than is taken");
    }
    if header.len() < whole {
        return Step::Read(whole - header.len());
    }
    let (command, family, rest) = (header[12], header[13], &header[V2_HEAD_BYTES..]);
    match (command, family) {
        // What the balancer says for itself: health checks.
        (0x20, _) => Step::Done(None),
        (0x21, 0x11) => match rest.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, high, low, ..]) => {
                Step::Done(Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into()))
            }
            None => Step::Wrong("the addresses of version 2 are cut"),
        },
        (0x21, 0x21) => match (rest.first_chunk::<16>(), rest.get(32..34)) {
            (Some(source), Some(&[high, low])) if rest.len() >= 36 => {
                Step::Done(Some((Ipv6Addr::from(*source), u16::from_be_bytes([high, low])).into()))
            }
            _ => Step::Wrong("the addresses of version 2 are cut"),
        },
        // Unix sockets, or nothing that has a name.
        (0x21, 0x00 | 0x31) => Step::Done(None),
        (0x21, _) => Step::Wrong("version 2 speaks of something that is no stream"),
        _ => Step::Wrong("a version or command that nobody knows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a connection reads it: how many bytes belong to the header, and what it said.
    fn read(bytes: &[u8]) -> (usize, Step) {
        let mut used = 0;
        loop {
            match step(&bytes[..used]) {
                Step::Read(more) if used + more <= bytes.len() => used += more,
                step => return (used, step),
            }
        }
    }

    #[track_caller]
    fn check(header: &[u8], expected: Option<&str>) {
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(b"\x16\x03\x01 what follows");
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(read(&bytes), (header.len(), Step::Done(expected)));
    }

    #[track_caller]
    fn wrong(header: &[u8]) {
        let mut bytes = header.to_vec();
        bytes.resize(4096, b' ');
        let (_, step) = read(&bytes);
        assert!(matches!(step, Step::Wrong(_)), "{step:?}");
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend((rest.len() as u16).to_be_bytes());
        header.extend(rest);
        header
    }

    #[test]
    fn version_1_is_a_line() {
        check(b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n", Some("203.0.113.7:50123"));
        check(b"PROXY TCP6 2001:db8::7 2001:db8::1 50123 5986\r\n", Some("[2001:db8::7]:50123"));
        check(b"PROXY UNKNOWN\r\n", None);
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None);
    }

    #[test]
    fn version_2_is_binary_and_may_carry_more() {
        check(
            &v2(0x21, 0x11, &[203, 0, 113, 7, 198, 51, 100, 1, 0xc3, 0xcb, 0x17, 0x62]),
            Some("203.0.113.7:50123"),
        );
        let mut six = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        six.extend([0; 16]);
        six.extend([0xc3, 0xcb, 0x17, 0x62]);
        six.extend([0x04, 0, 3, 1, 2, 3]);
        check(&v2(0x21, 0x21, &six), Some("[2001:db8::7]:50123"));
        check(&v2(0x20, 0, &[]), None);
        check(&v2(0x21, 0, &[]), None);
        check(&v2(0x21, 0x31, &[0; 216]), None);
    }

    #[test]
    fn what_is_no_header_is_wrong_and_never_read_past() {
        wrong(b"POST /wsman HTTP/1.1\r\n");
        wrong(b"\x16\x03\x01\x02\0\x01\0\x01");
        wrong(b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\n");
        wrong(b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 99999\r\n");
        wrong(b"PROXY TCP4 ::1 198.51.100.1 1 2\r\n");
        wrong(b"PROXY TCP4 1.2.3.4 198.51.100.1 1 2 3\r\n");
        wrong(b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n");
        wrong(b"PROXY \r\nPROXY UNKNOWN\r\n");
        wrong(&v2(0x31, 0x11, &[0; 12]));
        wrong(&v2(0x21, 0x11, &[0; 11]));
        wrong(&v2(0x21, 0x21, &[0; 35]));
        wrong(&v2(0x21, 0x12, &[0; 12]));
        wrong(&v2(0x21, 0x11, &[0; 4000]));
        let (used, _) = read(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 4000]].concat());
        assert_eq!(used, V1_BYTES_MAX);
    }

    #[test]
    fn half_a_header_asks_for_more() {
        for half in [b"PRO".as_slice(), b"PROXY TCP4 203.0.113.7 198", b"\r\n\r\n\0\r\nQUIT\n\x21"] {
            assert!(matches!(read(half).1, Step::Read(_)));
        }
    }
}
