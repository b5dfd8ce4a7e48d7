//! Events as a Windows host has them: Security, System, PowerShell and Sysmon in about the mixture and the
//! sizes of an office machine that is audited, each with its RenderingInfo.
//!
//! Only the form is Windows'; names, addresses and commands are made up. An event is whole: time, record
//! id and computer stand in it as any others do, and are replaced when it is sent.

mod kinds;
mod values;

use super::dice::Dice;
use kinds::{KINDS, Kind, Style};
use std::fmt::Write as _;
use values::Scene;

/// Channels in the order in which their events come, over and over.
pub(super) const CHANNELS: [(&str, usize); 4] = [
    ("Security", 32),
    ("Microsoft-Windows-Sysmon/Operational", 16),
    ("Microsoft-Windows-PowerShell/Operational", 8),
    ("System", 8),
];

/// So many events, which follow from the seed.
pub(super) fn events(seed: u64, count: usize) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let weights: usize = KINDS.iter().map(|kind| kind.weight).sum();
    let mut events = Vec::new();
    for kind in KINDS {
        // Of each kind at least one, or a subscription to it would find nothing.
        for _ in 0..(count * kind.weight / weights).max(1) {
            events.push(event(kind, &mut dice));
        }
    }
    events
}

fn event(kind: &Kind, dice: &mut Dice) -> String {
    let scene = Scene::new(dice);
    let fields: Vec<(&str, String)> =
        kind.fields.iter().map(|(name, value)| (*name, scene.value(*value, dice))).collect();
    let mut text = String::with_capacity(4096);
    system(kind, &scene, dice, &mut text);
    text.push_str("<EventData>");
    for (name, value) in &fields {
        put(&mut text, format_args!("<Data Name='{}'>{}</Data>", name_of(name), escaped(value)));
    }
    text.push_str("</EventData><RenderingInfo Culture='en-US'><Message>");
    message(kind, &fields, &mut text);
    let Kind { level_text, task_text, opcode_text, channel, keyword, .. } = kind;
    put(
        &mut text,
        format_args!(
            "</Message><Level>{level_text}</Level><Task>{task_text}</Task><Opcode>{opcode_text}</Opcode>\
             <Channel>{}</Channel><Provider>{}</Provider><Keywords>",
            channel, kind.provider_text
        ),
    );
    if !keyword.is_empty() {
        put(&mut text, format_args!("<Keyword>{keyword}</Keyword>"));
    }
    text.push_str("</Keywords></RenderingInfo></Event>");
    text
}

fn system(kind: &Kind, scene: &Scene, dice: &mut Dice, text: &mut String) {
    let Kind { provider, guid, id, version, level, task, opcode, keywords, .. } = kind;
    put(
        text,
        format_args!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
             <Provider Name='{provider}' Guid='{{{guid}}}'/><EventID>{id}</EventID>\
             <Version>{version}</Version><Level>{level}</Level><Task>{task}</Task><Opcode>{opcode}</Opcode>\
             <Keywords>{keywords}</Keywords><TimeCreated SystemTime='2026-01-01T00:00:00.0000000Z'/>\
             <EventRecordID>1</EventRecordID>"
        ),
    );
    if dice.chance(0.4) {
        let activity = dice.guid().to_string().to_lowercase();
        put(text, format_args!("<Correlation ActivityID='{{{activity}}}'/>"));
    } else {
        text.push_str("<Correlation/>");
    }
    let thread = 4 * (1 + dice.below(4000));
    put(
        text,
        format_args!(
            "<Execution ProcessID='{}' ThreadID='{thread}'/><Channel>{}</Channel>\
             <Computer>host</Computer>",
            scene.service_process, kind.channel
        ),
    );
    if kind.user.is_empty() {
        text.push_str("<Security/></System>");
    } else {
        put(text, format_args!("<Security UserID='{}'/></System>", kind.user));
    }
}

fn message(kind: &Kind, fields: &[(&str, String)], text: &mut String) {
    text.push_str(kind.title);
    match kind.style {
        Style::Grouped => {
            let mut last = "";
            for (name, value) in fields {
                let Some((group, label)) = name.split_once('|').and_then(|(_, rest)| rest.split_once('/'))
                else {
                    continue;
                };
                if group != last {
                    put(text, format_args!("\r\n\r\n{group}:"));
                    last = group;
                }
                put(text, format_args!("\r\n\t{label}:\t\t{}", escaped(value)));
            }
            if !kind.note.is_empty() {
                put(text, format_args!("\r\n\r\n{}", kind.note));
            }
        }
        Style::Listed => {
            for (name, value) in fields {
                put(text, format_args!("\r\n{}: {}", name_of(name), escaped(value)));
            }
        }
        Style::Said => {
            for (_, value) in fields {
                put(text, format_args!(" {}", escaped(value)));
            }
            text.push('.');
        }
    }
}

/// `TargetUserName|New Logon/Account Name` is one field and its place in the message.
fn name_of(name: &str) -> &str {
    name.split('|').next().unwrap_or(name)
}

fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn put(text: &mut String, pieces: std::fmt::Arguments<'_>) {
    text.write_fmt(pieces).expect("a String takes whatever it is given");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Part, Visitor, XmlEvent};

    struct Deaf;

    impl<'a> Visitor<'a> for Deaf {
        fn start(&mut self, _: &'a [u8]) {}
        fn attribute(&mut self, _: &'a [u8], _: crate::event::Value<'a>) {}
        fn text(&mut self, _: crate::event::Value<'a>) {}
        fn end(&mut self) {}
    }

    #[test]
    fn every_event_is_well_formed_of_a_known_channel_and_of_a_usual_size() {
        let events = events(7, 400);
        let mut bytes = 0;
        for text in &events {
            let event = XmlEvent::parse(text.as_bytes()).unwrap();
            event.walk(Part::Whole, &mut Deaf).unwrap_or_else(|error| panic!("{error}: {text}"));
            let mut channel = Vec::new();
            event.header().channel.write_text(&mut channel);
            assert!(CHANNELS.iter().any(|(name, _)| name.as_bytes() == channel), "{text}");
            assert!(!event.header().odd && text.len() < 16_384, "{text}");
            bytes += text.len();
        }
        let mean = bytes / events.len();
        assert!((1500..3000).contains(&mean), "{mean} bytes on average");
        for (channel, _) in CHANNELS {
            assert!(KINDS.iter().any(|kind| kind.channel == channel), "{channel}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        assert_eq!(events(3, 50), events(3, 50));
        assert_ne!(events(3, 50), events(4, 50));
    }
}
