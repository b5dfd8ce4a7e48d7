//! Endpoint references: an address, and what is to be sent back with each message to it.

use super::fault::Refusal;
use super::ns::{self, Ns};
use super::put::{Attribute, Text, put};
use super::xml::{Element, Reader, XmlError};
use std::borrow::Cow;

/// Most children of an endpoint's reference properties.
pub const REFERENCES_MAX: usize = 16;

/// An element with text in it that is none of the protocol's own: what a subscription tells the host to
/// return as a header block of each message, and that block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    pub prefix: Cow<'a, str>,
    /// Empty for none.
    pub namespace: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub text: Cow<'a, str>,
}

impl<'a> Reference<'a> {
    /// `e:Identifier`, which is what Windows' collector has its hosts return.
    pub fn identifier(text: impl Into<Cow<'a, str>>) -> Self {
        Self {
            prefix: Ns::Eventing.prefix().into(),
            namespace: ns::EVENTING.into(),
            name: "Identifier".into(),
            text: text.into(),
        }
    }

    /// Reads the element whose start was just read; none when it holds more than text.
    pub(super) fn read(reader: &mut Reader<'a>, element: &Element<'a>) -> Result<Option<Self>, XmlError> {
        let namespace = reader.namespace_of(element)?;
        let Some(text) = plain(reader.raw()?)? else { return Ok(None) };
        let (prefix, name) = (element.prefix().into(), element.local.into());
        Ok(Some(Self { prefix, namespace: namespace.into(), name, text }))
    }

    /// As a header block it declares its prefix itself; in `ReferenceProperties` the eventing one
    /// is declared at the envelope, as Windows does it.
    pub(super) fn write(&self, block: bool, out: &mut String) {
        let Self { prefix, namespace, name, text } = self;
        let colon = if prefix.is_empty() { "" } else { ":" };
        put(out, format_args!("<{prefix}{colon}{name}"));
        let bare = prefix.is_empty() && namespace.is_empty();
        let at_envelope = !block && prefix == Ns::Eventing.prefix() && namespace == ns::EVENTING;
        if !(bare || at_envelope) {
            put(out, format_args!(r#" xmlns{colon}{prefix}="{}""#, Attribute(namespace)));
        }
        put(out, format_args!(">{}</{prefix}{colon}{name}>", Text(text)));
    }
}

/// An address with its references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint<'a> {
    pub address: Option<Cow<'a, str>>,
    pub references: Vec<Reference<'a>>,
}

impl<'a> Endpoint<'a> {
    /// Takes a child that belongs to an endpoint; false when it is something else, and not read.
    pub(super) fn take(&mut self, reader: &mut Reader<'a>, child: &Element<'a>) -> Result<bool, Refusal> {
        match (child.ns, child.local) {
            (Ns::Addressing, "Address") => self.address = Some(reader.field()?),
            (Ns::Addressing, "ReferenceProperties" | "ReferenceParameters") => {
                while let Some(child) = reader.child()? {
                    if self.references.len() == REFERENCES_MAX {
                        return Err(Refusal::InvalidBody("an endpoint has too many reference properties"));
                    }
                    let reference = Reference::read(reader, &child)?;
                    self.references
                        .push(reference.ok_or(Refusal::InvalidBody("a reference property holds text"))?);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads the element whose start was just read.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let mut endpoint = Self::default();
        while let Some(child) = reader.child()? {
            if !endpoint.take(reader, &child)? {
                reader.skip()?;
            }
        }
        Ok(endpoint)
    }

    pub(super) fn write(&self, out: &mut String) {
        if let Some(address) = &self.address {
            put(out, format_args!("<a:Address>{}</a:Address>", Text(address)));
        }
        if !self.references.is_empty() {
            out.push_str("<a:ReferenceProperties>");
            self.references.iter().for_each(|reference| reference.write(false, out));
            out.push_str("</a:ReferenceProperties>");
        }
    }
}

/// The text of an element's content when it is nothing but text.
pub(super) fn plain(raw: &str) -> Result<Option<Cow<'_, str>>, XmlError> {
    if raw.contains('<') {
        return Ok(None);
    }
    Reader::new(raw).field_to_eof().map(Some)
}
