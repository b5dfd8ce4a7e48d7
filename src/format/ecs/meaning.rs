//! What numbers of System mean in words: from RenderingInfo where the sender rendered them, else
//! the names that all of Windows shares (winmeta.xml of the Windows SDK).

use super::{comma, escaped, file, string};
use crate::event::{Header, Note, Value};
use crate::format::Meta;

const KEYWORDS: [(u64, &str); 7] = [
    (0x1_0000_0000_0000, "Response Time"),
    (0x4_0000_0000_0000, "WDI Diag"),
    (0x8_0000_0000_0000, "SQM"),
    (0x10_0000_0000_0000, "Audit Failure"),
    (0x20_0000_0000_0000, "Audit Success"),
    (0x40_0000_0000_0000, "Correlation Hint"),
    (0x80_0000_0000_0000, "Classic"),
];
const OPCODES: [&str; 10] =
    ["Info", "Start", "Stop", "DCStart", "DCStop", "Extension", "Reply", "Resume", "Suspend", "Send"];
/// Level 0 (log always) is what Event Viewer shows as Information.
const LEVELS: [&str; 6] = ["information", "critical", "error", "warning", "information", "verbose"];

/// Texts of one event, escaped for JSON; empty where nobody knows them.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) message: Vec<u8>,
    pub(super) level: Vec<u8>,
    pub(super) task: Vec<u8>,
    pub(super) opcode: Vec<u8>,
    /// Each in quotes, with commas between.
    pub(super) keywords: Vec<u8>,
    pub(super) error_code: Vec<u8>,
}

impl Rendered {
    pub(super) fn clear(&mut self) {
        let Self { message, level, task, opcode, keywords, error_code } = self;
        for text in [message, level, task, opcode, keywords, error_code] {
            text.clear();
        }
    }

    /// Fills in what was not rendered.
    pub(super) fn complete(&mut self, header: &Header<'_>) {
        let number = |value: Value<'_>| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let named = |text: &mut Vec<u8>, name: Option<&&str>| {
            if let (true, Some(name)) = (text.is_empty(), name) {
                text.extend_from_slice(name.as_bytes());
            }
        };
        lower(&mut self.level);
        named(&mut self.level, number(header.level).and_then(|level| LEVELS.get(level)));
        named(&mut self.opcode, number(header.opcode).and_then(|opcode| OPCODES.get(opcode)));
        named(&mut self.task, (number(header.task) == Some(0)).then_some(&"None"));
        if self.keywords.is_empty() {
            let bits = header.keywords.as_u64().unwrap_or(0);
            for (bit, name) in KEYWORDS {
                if bits & bit != 0 {
                    let comma = if self.keywords.is_empty() { "" } else { "," };
                    self.keywords.extend_from_slice(comma.as_bytes());
                    self.keywords.push(b'"');
                    self.keywords.extend_from_slice(name.as_bytes());
                    self.keywords.push(b'"');
                }
            }
        }
    }

    /// What stands in `winlog`.
    pub(super) fn write_winlog(&self, out: &mut Vec<u8>) {
        escaped("task", &self.task, out);
        escaped("opcode", &self.opcode, out);
        if !self.keywords.is_empty() {
            out.extend_from_slice(b",\"keywords\":[");
            out.extend_from_slice(&self.keywords);
            out.push(b']');
        }
    }

    /// `log`, `message` and `error`.
    pub(super) fn write_rest(&mut self, meta: &Meta<'_>, out: &mut Vec<u8>) {
        if self.level.is_empty() {
            file(meta, out);
        } else {
            out.extend_from_slice(b",\"log\":{");
            escaped("level", &self.level, out);
            if let Some(file) = meta.origin.and_then(|origin| origin.file.as_deref()) {
                comma(out);
                out.extend_from_slice(b"\"file\":{");
                string("path", Value::Text(file.as_bytes()), out);
                out.push(b'}');
            }
            out.push(b'}');
        }
        fold_line_ends(&mut self.message);
        escaped("message", &self.message, out);
        let told = |note: &&Note| !note.detail.is_empty();
        let several = meta.notes.iter().filter(told).count() > 1;
        if !self.error_code.is_empty() || meta.notes.iter().any(|note| told(&note)) {
            out.extend_from_slice(b",\"error\":{");
            escaped("code", &self.error_code, out);
            for (index, note) in meta.notes.iter().filter(told).enumerate() {
                match index {
                    0 => {
                        comma(out);
                        out.extend_from_slice(if several { b"\"message\":[\"" } else { b"\"message\":\"" });
                    }
                    _ => out.extend_from_slice(b",\""),
                }
                Value::Text(note.detail.as_bytes()).write_json(out);
                out.push(b'"');
            }
            out.extend_from_slice(if several { b"]}" } else { b"}" });
        }
    }
}

/// Lower case, of letters beyond ASCII as well; escapes hold none but lower-case ones. What is
/// lowered is put behind the text, whose place it then takes: some letters change their length.
fn lower(text: &mut Vec<u8>) {
    if text.is_ascii() {
        return text.make_ascii_lowercase();
    }
    let (mut at, end) = (0, text.len());
    while at < end {
        let bytes = match text[at] {
            ..0xc0 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        let mut letter = [0; 4];
        let bytes = bytes.min(end - at);
        letter[..bytes].copy_from_slice(&text[at..at + bytes]);
        match std::str::from_utf8(&letter[..bytes]) {
            Ok(letter) => {
                for lower in letter.chars().flat_map(char::to_lowercase) {
                    text.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            Err(_) => text.extend_from_slice(&letter[..bytes]),
        }
        at += bytes;
    }
    text.drain(..end);
}

/// `\r\n` to `\n`, in text escaped for JSON. A parser folds line ends, but not those that somebody
/// wrote as references.
fn fold_line_ends(text: &mut Vec<u8>) {
    if memchr::memmem::find(text, b"\\r\\n").is_none() {
        return;
    }
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        if text[from..].starts_with(b"\\r\\n") {
            from += 2;
            continue;
        }
        // Both bytes of an escape move together, so that `\\r` stays a backslash and a letter.
        let length = if text[from] == b'\\' { 2 } else { 1 };
        for _ in 0..length.min(text.len() - from) {
            text[to] = text[from];
            (from, to) = (from + 1, to + 1);
        }
    }
    text.truncate(to);
}
