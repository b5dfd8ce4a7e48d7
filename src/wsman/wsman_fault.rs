//! `f:WSManFault`: the number a Windows administrator searches for, in a fault's detail, in a
//! SubscriptionEnd, and escaped in the text of event 105. Errors of providers nest in it.
//!
//! Source: MS-WSMV 2.2.4.43, 2.2.4.30; captured messages.

use super::ns::{self, Ns};
use super::put::{Attribute, Text, put};
use super::xml::{Element, Node, Reader, XmlError};

/// Most faults inside each other.
pub const NESTED_MAX: usize = 8;
/// Longest text of a message; what Windows writes is below 2 KiB.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WsmanFault {
    /// As written; see [`WsmanFault::number`].
    pub code: u32,
    pub machine: String,
    pub message: String,
    pub provider: Option<Box<ProviderFault>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderFault {
    pub provider: String,
    pub path: String,
    /// What the provider says in words.
    pub error: Option<String>,
    pub nested: Option<WsmanFault>,
}

impl WsmanFault {
    pub fn new(code: u32, machine: &str, message: &str) -> Self {
        Self { code, machine: machine.into(), message: message.into(), provider: None }
    }

    /// The number to look up: old peers send the low half only.
    pub fn number(&self) -> u32 {
        match self.code {
            0x8000..=0x81ff => self.code + 0x8033_0000,
            code => code,
        }
    }

    /// The number of the innermost fault, which is the cause.
    pub fn innermost(&self) -> u32 {
        let mut fault = self;
        while let Some(nested) = fault.provider.as_ref().and_then(|provider| provider.nested.as_ref()) {
            fault = nested;
        }
        fault.number()
    }

    pub(super) fn write(&self, out: &mut String) {
        put(
            out,
            format_args!(
                r#"<f:WSManFault xmlns:f="{}" Code="{}" Machine="{}"><f:Message>{}"#,
                ns::WSMAN_FAULT,
                self.code,
                Attribute(&self.machine),
                Text(&self.message)
            ),
        );
        if let Some(fault) = &self.provider {
            put(
                out,
                format_args!(
                    r#"<f:ProviderFault provider="{}" path="{}">"#,
                    Attribute(&fault.provider),
                    Attribute(&fault.path)
                ),
            );
            if let Some(error) = &fault.error {
                let (uri, text) = (ns::EVENT_LOG, Text(error));
                put(out, format_args!(r#"<t:ProviderError xmlns:t="{uri}">{text}</t:ProviderError>"#));
            }
            if let Some(nested) = &fault.nested {
                nested.write(out);
            }
            out.push_str("</f:ProviderFault>");
        }
        out.push_str("</f:Message></f:WSManFault>");
    }

    /// Reads the element whose start was just read.
    pub(super) fn read<'a>(reader: &mut Reader<'a>, element: &Element<'a>) -> Result<Self, XmlError> {
        Self::read_nested(reader, element, NESTED_MAX)
    }

    fn read_nested<'a>(
        reader: &mut Reader<'a>,
        element: &Element<'a>,
        deeper: usize,
    ) -> Result<Self, XmlError> {
        let attribute = |name| reader.attribute(element, Ns::None, name);
        let mut fault = Self {
            code: attribute("Code")?.and_then(|code| code.trim().parse().ok()).unwrap_or_default(),
            machine: attribute("Machine")?.unwrap_or_default(),
            ..Self::default()
        };
        while let Some(part) = reader.child()? {
            if part.is(Ns::WsmanFault, "Message") {
                fault.read_message(reader, deeper)?;
            } else {
                reader.skip()?;
            }
        }
        Ok(fault)
    }

    /// Text and provider faults, mixed.
    fn read_message(&mut self, reader: &mut Reader<'_>, deeper: usize) -> Result<(), XmlError> {
        let mut raw = String::new();
        loop {
            match reader.next()? {
                Node::Text(text) | Node::Reference(text) => raw.push_str(text),
                Node::CData(text) => super::put::put(&mut raw, format_args!("{}", Text(text))),
                Node::Start(element) if element.is(Ns::WsmanFault, "ProviderFault") => {
                    let fault = ProviderFault::read(reader, &element, deeper)?;
                    self.provider = Some(Box::new(fault));
                }
                Node::Start(_) => reader.skip()?,
                Node::End | Node::Eof => break,
            }
            if raw.len() > MESSAGE_BYTES_MAX {
                return reader.error(format!("a message is longer than {MESSAGE_BYTES_MAX} bytes"));
            }
        }
        self.message = Reader::new(&raw).field_within(MESSAGE_BYTES_MAX)?.into_owned();
        Ok(())
    }
}

impl ProviderFault {
    fn read<'a>(reader: &mut Reader<'a>, element: &Element<'a>, deeper: usize) -> Result<Self, XmlError> {
        let attribute = |name| reader.attribute(element, Ns::None, name);
        let provider = match attribute("provider")? {
            Some(name) => name,
            None => attribute("providerId")?.unwrap_or_default(),
        };
        let path = attribute("path")?.unwrap_or_default();
        let mut fault = Self { provider, path, error: None, nested: None };
        loop {
            match reader.next()? {
                Node::Start(part) if part.is(Ns::WsmanFault, "WSManFault") => {
                    if deeper == 0 {
                        return reader.error(format!("more than {NESTED_MAX} faults inside each other"));
                    }
                    fault.nested = Some(WsmanFault::read_nested(reader, &part, deeper - 1)?);
                }
                Node::Start(part) if part.local == "ProviderError" => {
                    fault.error = Some(reader.field_within(MESSAGE_BYTES_MAX)?.into_owned());
                }
                Node::Start(_) => reader.skip()?,
                // Some providers write words without an element of their own.
                Node::Text(_) | Node::CData(_) | Node::Reference(_) => {}
                Node::End | Node::Eof => return Ok(fault),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WsmanFault, XmlError> {
        let mut reader = Reader::new(text);
        let element = reader.child()?.unwrap();
        WsmanFault::read(&mut reader, &element)
    }

    #[test]
    fn the_innermost_number_is_the_cause() {
        let inner = WsmanFault::new(5004, "pc1", "rights");
        let provider = ProviderFault {
            provider: "Event Forwarding Plugin".into(),
            path: "C:\\w<>".into(),
            error: Some("no & no".into()),
            nested: Some(inner),
        };
        let fault = WsmanFault {
            provider: Some(Box::new(provider)),
            ..WsmanFault::new(2_150_858_755, "pc1", "a provider failed")
        };
        let mut text = String::new();
        fault.write(&mut text);
        assert_eq!(read(&text).as_ref(), Ok(&fault));
        assert_eq!(fault.innermost(), 5004);
    }

    #[test]
    fn the_low_half_of_a_number_is_completed() {
        assert_eq!(WsmanFault::new(32_768, "", "").number(), 2_150_858_752);
        assert_eq!(WsmanFault::new(5, "", "").number(), 5);
    }

    #[test]
    fn faults_nest_to_a_limit() {
        let text = |depth: usize| {
            let open =
                format!("<f:WSManFault xmlns:f='{}' Code='1'><f:Message><f:ProviderFault>", ns::WSMAN_FAULT);
            format!("{}{}", open.repeat(depth), "</f:ProviderFault></f:Message></f:WSManFault>".repeat(depth))
        };
        assert!(read(&text(NESTED_MAX)).is_ok());
        assert!(read(&text(NESTED_MAX + 2)).unwrap_err().to_string().contains("8 faults"));
    }
}
