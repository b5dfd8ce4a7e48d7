//! Which names of EventData have a predefined key of LEEF.
//!
//! | names | key |
//! |---|---|
//! | TargetUserName, SubjectUserName, User | `usrName` |
//! | TargetDomainName or SubjectDomainName, of the same account | `domain` |
//! | IpAddress, SourceAddress, SourceIp, ClientAddress | `src` |
//! | IpPort, SourcePort | `srcPort` |
//! | DestAddress, DestinationIp | `dst` |
//! | DestPort, DestinationPort | `dstPort` |
//! | Protocol | `proto` |
//!
//! The first that has a text other than `-` takes the key, if the text is what the key is for (a name of at most
//! 255 bytes, an address, a number). IPv4 addresses in the form of IPv6 (`::ffff:…`) are written as IPv4.

use super::Texts;
use crate::event::Header;
use std::io::Write;
use std::net::IpAddr;

const NAME_BYTES_MAX: usize = 255;
const IDS_OF_LOGONS: [u64; 10] = [4624, 4625, 4634, 4647, 4648, 4768, 4769, 4770, 4771, 4776];

const KEYS: [&str; 7] = ["usrName", "domain", "src", "srcPort", "dst", "dstPort", "proto"];
/// Of the others than user and domain, in the order of `KEYS`.
const NAMES: [&[&str]; 5] = [
    &["IpAddress", "SourceAddress", "SourceIp", "ClientAddress"],
    &["IpPort", "SourcePort"],
    &["DestAddress", "DestinationIp"],
    &["DestPort", "DestinationPort"],
    &["Protocol"],
];

/// Which pair of an event has which key.
pub(super) struct Mapped([Option<usize>; KEYS.len()]);

impl Mapped {
    pub(super) fn of(header: &Header<'_>, texts: &Texts) -> Self {
        let is_logon = header.event_id.as_u64().is_some_and(|id| IDS_OF_LOGONS.contains(&id));
        let find = |name: &str, fits: fn(&[u8]) -> bool| {
            texts.pairs().position(|(found, text)| found == name.as_bytes() && fits(text))
        };
        let (target, subject) =
            (["TargetUserName", "TargetDomainName"], ["SubjectUserName", "SubjectDomainName"]);
        let accounts = if is_logon { [target, subject] } else { [subject, target] };
        let mut places = [None; KEYS.len()];
        for [user, domain] in accounts {
            if places[0].is_none() {
                places[0] = find(user, is_name);
                places[1] = places[0].and_then(|_| find(domain, is_name));
            }
        }
        places[0] = places[0].or_else(|| find("User", is_name));
        for ((place, names), key) in places[2..].iter_mut().zip(NAMES).zip(&KEYS[2..]) {
            let fits: fn(&[u8]) -> bool = match *key {
                "src" | "dst" => is_address,
                "proto" => is_protocol,
                _ => is_port,
            };
            *place = names.iter().find_map(|name| find(name, fits));
        }
        Self(places)
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.0.contains(&Some(place))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&'static str, usize)> {
        KEYS.into_iter().zip(self.0).filter_map(|(key, place)| Some((key, place?)))
    }
}

/// What stands under the key: an address in its shortest form.
pub(super) fn shown<'t>(key: &str, text: &'t [u8], scratch: &'t mut Vec<u8>) -> &'t [u8] {
    let address = str::from_utf8(text).ok().filter(|_| matches!(key, "src" | "dst"));
    match address.and_then(|text| text.parse::<IpAddr>().ok()) {
        Some(address) => {
            scratch.clear();
            write!(scratch, "{}", address.to_canonical()).expect("a vector takes it");
            scratch
        }
        None => text,
    }
}

fn is_name(text: &[u8]) -> bool {
    text.len() <= NAME_BYTES_MAX && text != b"-"
}

fn is_address(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

fn is_port(text: &[u8]) -> bool {
    is_number(text) && str::from_utf8(text).is_ok_and(|text| text.parse::<u16>().is_ok())
}

fn is_protocol(text: &[u8]) -> bool {
    is_number(text) && str::from_utf8(text).is_ok_and(|text| text.parse::<u8>().is_ok())
}

fn is_number(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}
