//! What can be saved of an event that came cut off.

use super::check;

/// Closes an event that was cut inside its RenderingInfo, as happens to very large rendered events:
/// everything up to the last `<RenderingInfo`, then `</Event>`. None where that makes no event, or where
/// it is whole as it is. Events that end as all do cost nothing. To be noted as recovered.
pub fn recover(text: &[u8]) -> Option<Vec<u8>> {
    const END: &[u8] = b"</Event>";
    if text.trim_ascii_end().ends_with(END) || check(text).is_ok() {
        return None;
    }
    let cut = memchr::memmem::rfind(text, b"<RenderingInfo")?;
    let mut whole = Vec::with_capacity(cut + END.len());
    whole.extend_from_slice(&text[..cut]);
    whole.extend_from_slice(END);
    check(&whole).is_ok().then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_cut_in_its_rendering_keeps_what_stands_before() {
        let cut = b"<Event><System/><EventData/><RenderingInfo Culture='en-US'><Message>An acc";
        assert_eq!(recover(cut).as_deref(), Some(&b"<Event><System/><EventData/></Event>"[..]));
    }

    #[test]
    fn a_whole_event_and_one_cut_elsewhere_are_left_alone() {
        assert_eq!(recover(b"<Event><RenderingInfo/></Event>\r\n"), None);
        assert_eq!(recover(b"<Event><System/><RenderingInfo/></Event >"), None);
        assert_eq!(recover(b"<e:Event xmlns:e='x'><System/><RenderingInfo/></e:Event>"), None);
        assert_eq!(recover(b"<Event><System/><EventData><Data></EventData><RenderingInfo><Mess"), None);
        assert_eq!(recover(b"<Event><System><Prov"), None);
        assert_eq!(recover(b""), None);
    }
}
