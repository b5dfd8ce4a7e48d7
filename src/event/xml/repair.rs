//! What can be saved of an event that came cut off.

/// Closes an event that was cut inside its RenderingInfo, as happens to very large rendered events:
/// everything up to the last `<RenderingInfo`, then `</Event>`. None where there is none, or where
/// the event is whole. The result is to be parsed and noted as recovered.
pub fn recover(text: &[u8]) -> Option<Vec<u8>> {
    const END: &[u8] = b"</Event>";
    if text.trim_ascii_end().ends_with(END) {
        return None;
    }
    let cut = memchr::memmem::rfind(text, b"<RenderingInfo")?;
    let mut whole = Vec::with_capacity(cut + END.len());
    whole.extend_from_slice(&text[..cut]);
    whole.extend_from_slice(END);
    Some(whole)
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
        assert_eq!(recover(b"<Event><System><Prov"), None);
        assert_eq!(recover(b""), None);
    }
}
