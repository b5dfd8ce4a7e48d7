//! Names in the far end that depend on the event: a topic, an index.
//!
//! `windows.{channel}`. A name begins with literal text, so that no machine can choose one outside of what the
//! operator gave; values are brought into the alphabet of the far end. How many distinct names there are is
//! capped by the [`Router`](super::path::Router). Must not know: who has these names.

use super::template::{Part, RouteValues, Template, TemplateError};

/// What names of a far end are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// Kafka: letters, digits, `.`, `_` and `-` of ASCII, at most 249 (`Topic.java`, `LEGAL_CHARS`).
    Topic,
    /// Elasticsearch: lower case, at most 255 bytes, without `\ / * ? " < > | , # :` and blanks, and not
    /// beginning with `-`, `_`, `+` or `.` (reference of "Create index"; of data streams).
    Index,
    /// The beginning of a key in S3: what the guide of Amazon S3 calls safe ("Naming Amazon S3 objects"), `/` between
    /// folders, and what partitions are written with (`day=2026-01-02`). Keys have at most 1024 bytes, with what is
    /// behind this.
    Key,
}

/// A checked template of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate {
    template: Template,
    alphabet: Alphabet,
}

impl NameTemplate {
    /// # Errors
    /// Names what is wrong in the template and what would be right.
    pub fn parse(text: &str, alphabet: Alphabet) -> Result<Self, TemplateError> {
        let template = Template::parse(text, text)?;
        if !matches!(template.parts.first(), Some(Part::Literal(_))) {
            return Err(TemplateError::NoPrefix(text.into()));
        }
        for part in &template.parts {
            let (Part::Literal(literal) | Part::Date(literal)) = part else { continue };
            let is_date = matches!(part, Part::Date(_));
            let fits = |letter: char| {
                alphabet.has(letter) || (is_date && (letter == '%' || letter.is_ascii_uppercase()))
            };
            if !literal.chars().all(fits) {
                return Err(TemplateError::Name { text: text.into(), why: alphabet.rule() });
            }
        }
        // What tools take for a way out of a folder, or for no name at all.
        let is_odd = |folder: &str| matches!(folder, "." | "..");
        if alphabet == Alphabet::Key && (text.split('/').any(is_odd) || text.contains("//")) {
            return Err(TemplateError::Name { text: text.into(), why: alphabet.rule() });
        }
        if !alphabet.may_begin(text) || text.len() > alphabet.bytes_max() {
            return Err(TemplateError::Name { text: text.into(), why: alphabet.rule() });
        }
        Ok(Self { template, alphabet })
    }

    /// Whether every event has the same name.
    pub fn is_fixed(&self) -> bool {
        self.template.is_fixed()
    }

    /// Appends the name; with `other` the one that is shared by what has no name of its own.
    pub(super) fn write(&self, values: &RouteValues<'_, '_>, other: bool, out: &mut String) {
        let start = out.len();
        self.template.write(values, other, |value, out| self.alphabet.clean(value, out), out);
        // All of it is ASCII by now, or cut where a letter ends.
        let most = start + self.alphabet.bytes_max();
        if out.len() > most {
            out.truncate(out.floor_char_boundary(most));
        }
    }
}

impl Alphabet {
    fn has(self, letter: char) -> bool {
        match self {
            Self::Topic => letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-'),
            Self::Key => letter.is_ascii_alphanumeric() || "-_./=!'()+,@".contains(letter),
            Self::Index => {
                !letter.is_uppercase()
                    && !letter.is_control()
                    && !letter.is_whitespace()
                    && !matches!(letter, '\\' | '/' | '*' | '?' | '"' | '<' | '>' | '|' | ',' | '#' | ':')
            }
        }
    }

    fn may_begin(self, text: &str) -> bool {
        match self {
            Self::Topic => !matches!(text, "." | ".."),
            Self::Index => !text.starts_with(['-', '_', '+', '.']),
            Self::Key => !text.starts_with('/'),
        }
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Topic => 249,
            Self::Index => 255,
            Self::Key => 512,
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Topic => "topics are at most 249 letters, digits, `.`, `_` and `-`",
            Self::Index => {
                "indices are at most 255 bytes in lower case without blanks and any of \\ / * ? \" < > | , # : and do \
                 not begin with - _ + ."
            }
            Self::Key => {
                "a beginning of keys is at most 512 letters, digits and - _ . / = ! ' ( ) + , @, does not begin with /, and \
                 has no folders that are empty, . or .."
            }
        }
    }

    /// Appends a remote value.
    fn clean(self, value: &str, out: &mut String) {
        let start = out.len();
        for letter in value.chars() {
            let is_first = out.len() == start;
            let mut put = |letter: char| out.push(if self.has(letter) { letter } else { '_' });
            match self {
                Self::Topic => put(letter),
                // No folder that nobody gave, and none that is `.` or `..`.
                Self::Key => put(if letter == '/' || (letter == '.' && is_first) { ' ' } else { letter }),
                Self::Index => letter.to_lowercase().for_each(put),
            }
            if out.len() - start >= super::template::VALUE_BYTES_MAX {
                break;
            }
        }
        if out.len() == start {
            out.push('_');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Header, Origin, Timestamp, Value};

    fn name(template: &str, alphabet: Alphabet, channel: &str) -> String {
        let origin = Origin {
            source: "dc".into(),
            host: None,
            address: None,
            subscription: Some("logons".into()),
            file: None,
            received: Timestamp::parse(b"2026-01-02T03:04:05Z").unwrap(),
        };
        let header = Header { channel: Value::Text(channel.as_bytes()), ..Header::default() };
        let values = RouteValues { header: Some(&header), origin: &origin, time: origin.received };
        let mut out = String::new();
        NameTemplate::parse(template, alphabet).unwrap().write(&values, false, &mut out);
        out
    }

    #[test]
    fn values_are_brought_into_the_alphabet_of_the_far_end() {
        let sysmon = "Microsoft-Windows-Sysmon/Operational";
        assert_eq!(
            name("windows.{channel}", Alphabet::Topic, sysmon),
            "windows.Microsoft-Windows-Sysmon_Operational"
        );
        assert_eq!(
            name("logs-{channel}-{yyyy}.{mm}", Alphabet::Index, sysmon),
            "logs-microsoft-windows-sysmon_operational-2026.01"
        );
        assert_eq!(name("w-{subscription}", Alphabet::Index, ""), "w-logons");
        assert_eq!(
            name("w/{channel}/day={date:%Y-%m-%d}/", Alphabet::Key, sysmon),
            "w/Microsoft-Windows-Sysmon_Operational/day=2026-01-02/"
        );
        for hostile in ["../x", "a b", "*,-x", "\u{202e}ü\n", "", "#:|<>"] {
            let index = name("w-{channel}", Alphabet::Index, hostile);
            assert!(
                index.starts_with("w-") && index.chars().all(|letter| Alphabet::Index.has(letter)),
                "{index:?}"
            );
            let topic = name("w.{channel}", Alphabet::Topic, hostile);
            assert!(topic.bytes().all(|byte| Alphabet::Topic.has(byte as char)), "{topic:?}");
            let key = name("w/{channel}/x", Alphabet::Key, hostile);
            assert!(key.bytes().all(|byte| Alphabet::Key.has(byte as char)), "{key:?}");
            let folders: Vec<&str> = key.split('/').collect();
            assert!(folders.len() == 3 && !folders[1].is_empty() && !folders[1].starts_with('.'), "{key:?}");
        }
        assert!(name("w.{channel}{channel}{channel}", Alphabet::Topic, &"x".repeat(5000)).len() <= 249);
    }

    #[test]
    fn a_wrong_template_is_refused_in_words() {
        for (text, alphabet, part) in [
            ("{channel}", Alphabet::Topic, "must begin with text"),
            ("", Alphabet::Topic, "must begin with text"),
            ("win dows", Alphabet::Topic, "topics are"),
            ("Windows", Alphabet::Index, "lower case"),
            (".windows-{channel}", Alphabet::Index, "do not begin"),
            ("windows-{chanel}", Alphabet::Index, "{channel}"),
            ("windows-{date:%Y/%m}", Alphabet::Topic, "topics are"),
            ("{channel}/", Alphabet::Key, "must begin with text"),
            ("/w/{channel}/", Alphabet::Key, "does not begin"),
            ("w/../{channel}/", Alphabet::Key, "no folders"),
            ("w//{channel}/", Alphabet::Key, "no folders"),
            ("w?{channel}/", Alphabet::Key, "letters, digits"),
        ] {
            let error = NameTemplate::parse(text, alphabet).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
