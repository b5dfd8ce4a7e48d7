//! The header blocks of an envelope, both ways: read in any order, written in Windows' order.
//!
//! Blocks we do not know are skipped unless they must be understood; those with plain text in them
//! are kept as references, for that is how a host returns what its subscription told it to.

use super::bookmark::{BOOKMARK_BYTES_MAX, Bookmark};
use super::duration::{self, Seconds};
use super::fault::Refusal;
use super::ns::{self, Ns};
use super::put::{Attribute, Text, put};
use super::reference::{Endpoint, Reference};
use super::xml::{Element, Reader};
use std::borrow::Cow;
use std::time::Duration;

/// Longest header we read. A bookmark of 256 channels takes up to a quarter of it.
pub const HEADER_BYTES_MAX: usize = 192 * 1024;
/// Most blocks in one header; Windows sends 15.
pub const HEADER_BLOCKS_MAX: usize = 64;

const _: () = assert!(HEADER_BYTES_MAX > 2 * BOOKMARK_BYTES_MAX);

/// What stands above the body; None where a block is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    pub action: Option<Cow<'a, str>>,
    /// To be returned byte for byte as `RelatesTo`.
    pub message_id: Option<Cow<'a, str>>,
    pub to: Option<Cow<'a, str>>,
    pub reply_to: Option<Cow<'a, str>>,
    pub relates_to: Option<Cow<'a, str>>,
    pub resource: Option<Cow<'a, str>>,
    /// What the machine calls itself: nothing vouches for it.
    pub machine_id: Option<Cow<'a, str>>,
    pub max_envelope_size: Option<u32>,
    pub locale: Option<Cow<'a, str>>,
    pub data_locale: Option<Cow<'a, str>>,
    pub session_id: Option<Cow<'a, str>>,
    pub operation_id: Option<Cow<'a, str>>,
    /// 1 in all that Windows was seen to send.
    pub sequence_id: Option<u64>,
    pub operation_timeout: Option<Duration>,
    pub options: Vec<OptionValue<'a>>,
    pub references: Vec<Reference<'a>>,
    pub bookmark: Option<Bookmark<'a>>,
    pub ack_requested: bool,
}

/// `w:Option`; without a value it is `xsi:nil`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionValue<'a> {
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// The subscription as the host was told to call it.
    pub fn identifier(&self) -> Option<&str> {
        self.reference(ns::EVENTING, "Identifier")
    }

    /// The subscription's version, from collectors that ask for it apart from the identifier.
    pub fn version(&self) -> Option<&str> {
        self.reference("", "Version")
    }

    fn reference(&self, namespace: &str, name: &str) -> Option<&str> {
        let found = self.references.iter().find(|one| one.namespace == namespace && one.name == name);
        found.map(|one| one.text.as_ref())
    }

    /// Reads the blocks up to the end of Header. One that is wrong does not keep the others from being
    /// read, so that the fault can say which message it is about.
    pub(super) fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), Refusal> {
        reader.limit(HEADER_BYTES_MAX);
        let mut blocks = 0;
        let mut first = None;
        while let Some(block) = reader.child()? {
            blocks += 1;
            if blocks > HEADER_BLOCKS_MAX {
                return Err(reader.wrong(format!("more than {HEADER_BLOCKS_MAX} header blocks")).into());
            }
            let must = reader.attribute(&block, Ns::Soap, "mustUnderstand")?;
            let must = matches!(must.as_deref(), Some("true" | "1"));
            let known = match self.block(reader, &block, must) {
                Ok(known) => known,
                Err(error @ Refusal::InvalidXml(_)) => return Err(error),
                Err(refusal) => {
                    first.get_or_insert(refusal);
                    continue;
                }
            };
            if !known && must {
                first.get_or_insert_with(|| Refusal::NotUnderstood(block.name.to_owned()));
            }
            if !known {
                self.references.extend(Reference::read(reader, &block)?);
            }
        }
        reader.lift_limit();
        first.map_or(Ok(()), Err)
    }

    /// Reads a block to its end when it is known, whether or not it is right; else leaves it.
    fn block(&mut self, reader: &mut Reader<'a>, block: &Element<'a>, must: bool) -> Result<bool, Refusal> {
        match block.ns {
            Ns::Addressing => self.addressing(reader, block),
            Ns::Wsman => self.wsman(reader, block, must),
            Ns::MsWsman => self.microsoft(reader, block, must),
            Ns::MachineId if block.local == "MachineID" => once(&mut self.machine_id, "MachineID", reader),
            _ => Ok(false),
        }
    }

    fn addressing(&mut self, reader: &mut Reader<'a>, block: &Element<'a>) -> Result<bool, Refusal> {
        match block.local {
            "Action" => once(&mut self.action, "Action", reader),
            "MessageID" => once(&mut self.message_id, "MessageID", reader),
            "To" => once(&mut self.to, "To", reader),
            "RelatesTo" => once(&mut self.relates_to, "RelatesTo", reader),
            "ReplyTo" => {
                let address = Endpoint::read(reader)?.address;
                if self.reply_to.is_some() {
                    return Err(Refusal::header("ReplyTo", "it stands twice"));
                }
                self.reply_to = Some(address.ok_or_else(|| Refusal::header("ReplyTo", "it has no Address"))?);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn wsman(&mut self, reader: &mut Reader<'a>, block: &Element<'a>, must: bool) -> Result<bool, Refusal> {
        match block.local {
            "ResourceURI" => once(&mut self.resource, "ResourceURI", reader),
            "MaxEnvelopeSize" => number(&mut self.max_envelope_size, "MaxEnvelopeSize", reader),
            "OperationTimeout" => {
                let text = reader.field()?;
                let parsed = duration::parse(&text)
                    .ok_or_else(|| Refusal::header("OperationTimeout", "it is no duration"))?;
                self.operation_timeout = Some(parsed);
                Ok(true)
            }
            "Locale" => {
                self.locale = reader.attribute(block, Ns::Xml, "lang")?.map(Cow::Owned);
                reader.skip()?;
                if must { Err(Refusal::LocaleMustBeUnderstood) } else { Ok(true) }
            }
            "Bookmark" => {
                self.bookmark = Some(Bookmark::read(reader)?);
                Ok(true)
            }
            "AckRequested" => {
                self.ack_requested = true;
                reader.skip()?;
                Ok(true)
            }
            "OptionSet" => {
                self.options(reader)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn microsoft(
        &mut self,
        reader: &mut Reader<'a>,
        block: &Element<'a>,
        must: bool,
    ) -> Result<bool, Refusal> {
        match block.local {
            "DataLocale" => {
                self.data_locale = reader.attribute(block, Ns::Xml, "lang")?.map(Cow::Owned);
                reader.skip()?;
                Ok(true)
            }
            "SessionId" => once(&mut self.session_id, "SessionId", reader),
            // Then it asks for an answer we once gave, and we keep none (MS-WSMV 3.1.4.1.39).
            "OperationID" if must => Ok(false),
            "OperationID" => once(&mut self.operation_id, "OperationID", reader),
            "SequenceId" => number(&mut self.sequence_id, "SequenceId", reader),
            _ => Ok(false),
        }
    }

    fn options(&mut self, reader: &mut Reader<'a>) -> Result<(), Refusal> {
        while let Some(option) = reader.child()? {
            if self.options.len() >= HEADER_BLOCKS_MAX {
                return Err(reader.wrong("too many options").into());
            }
            let name = reader.attribute(&option, Ns::None, "Name")?;
            let nil = reader.attribute(&option, Ns::SchemaInstance, "nil")?;
            let value = reader.field()?;
            let Some(name) = name.filter(|_| option.is(Ns::Wsman, "Option")) else { continue };
            let value = (!matches!(nil.as_deref(), Some("true" | "1"))).then_some(value);
            self.options.push(OptionValue { name: name.into(), value });
        }
        Ok(())
    }

    /// The blocks of a request, of each that is there.
    pub(super) fn write_request(&self, out: &mut String) {
        let end = self.action.as_deref() == Some(ns::action::END);
        element(out, "a:To", "", &self.to);
        element(out, "w:ResourceURI", MUST, &self.resource);
        if let Some(machine) = &self.machine_id {
            put(
                out,
                format_args!(
                    r#"<m:MachineID xmlns:m="{}"{MUST_NOT}>{}</m:MachineID>"#,
                    ns::MACHINE_ID,
                    Text(machine)
                ),
            );
        }
        if let Some(address) = &self.reply_to {
            put(out, format_args!("<a:ReplyTo><a:Address{MUST}>{}</a:Address></a:ReplyTo>", Text(address)));
        }
        element(out, "a:Action", MUST, &self.action);
        if let Some(bytes) = self.max_envelope_size {
            put(out, format_args!("<w:MaxEnvelopeSize{MUST}>{bytes}</w:MaxEnvelopeSize>"));
        }
        element(out, "a:MessageID", "", &self.message_id);
        locale(out, "w:Locale", self.locale.as_deref());
        locale(out, "p:DataLocale", self.data_locale.as_deref());
        element(out, "p:SessionId", MUST_NOT, &self.session_id);
        element(out, "p:OperationID", if end { "" } else { MUST_NOT }, &self.operation_id);
        if let Some(number) = self.sequence_id {
            put(out, format_args!("<p:SequenceId{MUST_NOT}>{number}</p:SequenceId>"));
        }
        self.write_options(out);
        if let Some(timeout) = self.operation_timeout {
            put(out, format_args!("<w:OperationTimeout>{}</w:OperationTimeout>", Seconds(timeout)));
        }
        for reference in &self.references {
            reference.write(true, out);
        }
        if let Some(bookmark) = &self.bookmark {
            bookmark.write(out);
        }
        if self.ack_requested {
            out.push_str("<w:AckRequested/>");
        }
        element(out, "a:RelatesTo", "", &self.relates_to);
    }

    fn write_options(&self, out: &mut String) {
        if self.options.is_empty() {
            return;
        }
        put(out, format_args!(r#"<w:OptionSet xmlns:xsi="{}">"#, ns::SCHEMA_INSTANCE));
        for OptionValue { name, value } in &self.options {
            match value {
                Some(value) => put(
                    out,
                    format_args!(r#"<w:Option Name="{}">{}</w:Option>"#, Attribute(name), Text(value)),
                ),
                None => put(out, format_args!(r#"<w:Option Name="{}" xsi:nil="true"/>"#, Attribute(name))),
            }
        }
        out.push_str("</w:OptionSet>");
    }

    /// The blocks of an answer. Windows writes those of an Ack in an order of their own.
    pub(super) fn write_answer(&self, out: &mut String) {
        let ack = self.action.as_deref() == Some(ns::action::ACK);
        element(out, "a:Action", "", &self.action);
        element(out, "a:MessageID", "", &self.message_id);
        if !ack {
            element(out, "a:To", "", &self.to);
        }
        element(out, "p:OperationID", MUST_NOT, &self.operation_id);
        if let Some(number) = self.sequence_id {
            put(out, format_args!("<p:SequenceId>{number}</p:SequenceId>"));
        }
        if ack {
            element(out, "a:To", "", &self.to);
        }
        element(out, "a:RelatesTo", "", &self.relates_to);
    }
}

pub(super) const MUST: &str = r#" s:mustUnderstand="true""#;
pub(super) const MUST_NOT: &str = r#" s:mustUnderstand="false""#;

fn element(out: &mut String, name: &str, attributes: &str, value: &Option<Cow<'_, str>>) {
    if let Some(value) = value {
        put(out, format_args!("<{name}{attributes}>{}</{name}>", Text(value)));
    }
}

pub(super) fn locale(out: &mut String, name: &str, language: Option<&str>) {
    if let Some(language) = language {
        put(out, format_args!(r#"<{name} xml:lang="{}"{MUST_NOT} />"#, Attribute(language)));
    }
}

fn once<'a>(
    slot: &mut Option<Cow<'a, str>>,
    name: &'static str,
    reader: &mut Reader<'a>,
) -> Result<bool, Refusal> {
    let value = reader.field()?;
    if slot.is_some() {
        return Err(Refusal::header(name, "it stands twice"));
    }
    *slot = Some(value);
    Ok(true)
}

fn number<N: std::str::FromStr>(
    slot: &mut Option<N>,
    name: &'static str,
    reader: &mut Reader<'_>,
) -> Result<bool, Refusal> {
    let value = reader.field()?;
    *slot = Some(value.parse().map_err(|_| Refusal::header(name, "it is no number"))?);
    Ok(true)
}
