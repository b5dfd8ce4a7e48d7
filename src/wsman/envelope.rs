//! The frame of every message: Envelope, Header, Body.

use super::fault::Refusal;
use super::header::Header;
use super::ns::{self, Ns};
use super::put::put;
use super::xml::{Element, Node, Reader};

/// Longest text of an envelope: positions in it are 32 bits wide. Who reads it from a socket takes less.
pub const ENVELOPE_BYTES_MAX: usize = 64 << 20;

const FRAME: Refusal = Refusal::InvalidBody("an envelope holds one Header and one Body");

/// Reads from the start of the text to the first element of the body.
pub(super) fn read_start<'a>(
    reader: &mut Reader<'a>,
    header: &mut Header<'a>,
) -> Result<Option<Element<'a>>, Refusal> {
    if reader.text().len() > ENVELOPE_BYTES_MAX {
        return Err(reader.wrong(format!("an envelope has at most {ENVELOPE_BYTES_MAX} bytes")).into());
    }
    match reader.child()? {
        Some(envelope) if envelope.is(Ns::Soap, "Envelope") => read_head(reader, header),
        Some(envelope) if reader.namespace_of(&envelope)? == ns::SOAP_1_1 => Err(Refusal::SoapVersion),
        _ => Err(FRAME),
    }
}

/// The same, of an envelope whose start was just read.
pub(super) fn read_head<'a>(
    reader: &mut Reader<'a>,
    header: &mut Header<'a>,
) -> Result<Option<Element<'a>>, Refusal> {
    let mut has_header = false;
    loop {
        match reader.child()? {
            Some(part) if part.is(Ns::Soap, "Header") && !has_header => {
                has_header = true;
                header.read(reader)?;
            }
            Some(part) if part.is(Ns::Soap, "Body") => break,
            _ => return Err(FRAME),
        }
    }
    Ok(reader.child()?)
}

/// Reads the ends of Body and Envelope, after the body's one element.
pub(super) fn read_tail(reader: &mut Reader<'_>) -> Result<(), Refusal> {
    if reader.child()?.is_some() {
        return Err(Refusal::InvalidBody("a body holds one element"));
    }
    read_end(reader)
}

/// Reads the end of Envelope, after that of Body.
pub(super) fn read_end(reader: &mut Reader<'_>) -> Result<(), Refusal> {
    if reader.child()?.is_some() { Err(FRAME) } else { Ok(()) }
}

/// Reads on to the end of the text; nothing but white space may follow.
pub(super) fn read_eof(reader: &mut Reader<'_>) -> Result<(), Refusal> {
    loop {
        match reader.next()? {
            Node::Eof => return Ok(()),
            Node::Text(text) if text.trim().is_empty() => {}
            _ => return Err(FRAME),
        }
    }
}

/// The start of an envelope with the namespaces that Windows declares there, up to its header blocks.
pub(super) fn open(out: &mut String, attributes: &str, namespaces: &[Ns]) {
    open_with(out, attributes, namespaces, "");
}

/// The same, with declarations of other prefixes.
pub(super) fn open_with(out: &mut String, attributes: &str, namespaces: &[Ns], others: &str) {
    put(out, format_args!("<s:Envelope{attributes}"));
    for ns in namespaces {
        put(out, format_args!(r#" xmlns:{}="{}""#, ns.prefix(), ns.uri()));
    }
    put(out, format_args!("{others}><s:Header>"));
}

pub(super) const CLOSE: &str = "</s:Body></s:Envelope>";
