//! The reader: limits, names, text in pieces, places.

use super::*;

/// Reads the text of the first element.
fn field(text: &str) -> Result<String, XmlError> {
    let mut reader = Reader::new(text);
    reader.child()?.expect("an element");
    Ok(reader.field()?.into_owned())
}

fn walk(text: &str) -> Result<usize, XmlError> {
    let (mut reader, mut nodes) = (Reader::new(text), 0);
    while !matches!(reader.next()?, Node::Eof) {
        nodes += 1;
    }
    Ok(nodes)
}

#[test]
fn a_field_is_joined_from_its_pieces() {
    assert_eq!(field("<a> b&amp;<![CDATA[c<d]]>&#x65;<!-- no -->\r\nf </a>"), Ok("b&c<de\nf".into()));
    assert_eq!(field("<a/>"), Ok(String::new()));
    assert_eq!(field("\u{feff}<a>b</a>"), Ok("b".into()));
}

#[test]
fn a_field_holds_no_element_and_nothing_that_is_no_character() {
    assert!(field("<a><b/></a>").unwrap_err().to_string().contains("`b` stands where text belongs"));
    assert!(field("<a>&b;</a>").unwrap_err().to_string().contains("`&b;` is no character"));
    assert!(field("<a>\u{1}</a>").unwrap_err().to_string().contains("U+0001"));
    assert!(field("<a>&#1;</a>").unwrap_err().to_string().contains("U+0001"));
    let long = format!("<a>{}</a>", "x".repeat(FIELD_BYTES_MAX + 1));
    assert!(field(&long).unwrap_err().to_string().contains("longer than 4096 bytes"));
}

#[test]
fn what_is_open_at_the_end_of_the_text_is_an_error() {
    for text in ["<a>", "<a><b></b>", "<a", "<a>&", "<a><![CDATA[", "<a></b>", "</a>", "<a><!-- "] {
        assert!(walk(text).is_err(), "{text}");
    }
}

#[test]
fn declarations_of_a_document_type_and_instructions_are_refused() {
    assert!(walk("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").unwrap_err().to_string().contains("DOCTYPE"));
    assert!(walk("<a><?php b?></a>").unwrap_err().to_string().contains("instruction"));
    assert_eq!(walk("<?xml version='1.0' encoding='utf-16'?><a/>"), Ok(2));
}

#[test]
fn depth_attributes_and_declarations_have_limits() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(walk(&nested(DEPTH_MAX)).is_ok());
    assert!(walk(&nested(DEPTH_MAX + 1)).unwrap_err().to_string().contains("96 elements inside"));
    let names = |count: usize, name: &str| -> String {
        (0..count).map(|number| format!(" {name}{number}='u'")).collect()
    };
    let attribute = |attributes: String| {
        let text = format!("<a{attributes}/>");
        let mut reader = Reader::new(&text);
        let element = reader.child()?.expect("an element");
        reader.check_attributes(&element)
    };
    assert_eq!(attribute(names(ATTRIBUTES_MAX, "b")), Ok(()));
    assert!(attribute(names(ATTRIBUTES_MAX + 1, "b")).is_err());
    assert_eq!(attribute(names(NAMESPACES_PER_ELEMENT_MAX, "xmlns:b")), Ok(()));
    assert!(attribute(names(NAMESPACES_PER_ELEMENT_MAX + 1, "xmlns:b")).is_err());
}

#[test]
fn names_are_known_by_their_namespace_only() {
    let text = "<x:a xmlns:x='http://www.w3.org/2003/05/soap-envelope' x:b='1' b='2'>\
        <a xmlns='http://schemas.xmlsoap.org/ws/2004/08/addressing'/><a xmlns='other'/></x:a>";
    let mut reader = Reader::new(text);
    let root = reader.child().unwrap().unwrap();
    assert!(root.is(Ns::Soap, "a"));
    assert_eq!(reader.attribute(&root, Ns::Soap, "b").unwrap().as_deref(), Some("1"));
    assert_eq!(reader.attribute(&root, Ns::None, "b").unwrap().as_deref(), Some("2"));
    assert_eq!(reader.attribute(&root, Ns::None, "c").unwrap(), None);
    assert!(reader.child().unwrap().unwrap().is(Ns::Addressing, "a"));
    reader.skip().unwrap();
    let other = reader.child().unwrap().unwrap();
    assert_eq!((other.ns, reader.namespace_of(&other)), (Ns::Other, Ok("other".into())));
}

#[test]
fn a_namespace_is_text_as_any_other() {
    let of = |text: &str| {
        let mut reader = Reader::new(text);
        let element = reader.child()?.expect("an element");
        reader.namespace_of(&element)
    };
    assert_eq!(of("<a xmlns='u&amp;v'/>"), Ok("u&v".into()));
    assert!(of("<a xmlns='u\0'/>").unwrap_err().to_string().contains("U+0000"));
}

#[test]
fn a_prefix_nobody_declared_and_a_name_that_is_none_are_errors() {
    for text in ["<x:a/>", "<:a/>", "<x:/>", "<x:a:b xmlns:x='u'/>", "<a\"b/>", "<1/>"] {
        assert!(walk(text).is_err(), "{text}");
    }
    let twice = "<a xmlns:x='http://www.w3.org/XML/1998/namespace' b='1' b='2'/>";
    let mut reader = Reader::new(twice);
    assert!(reader.child().is_err(), "`xml` has one prefix");
    let mut reader = Reader::new("<a b='1' b='2'/>");
    let element = reader.child().unwrap().unwrap();
    assert!(reader.attribute(&element, Ns::None, "b").unwrap_err().to_string().contains("twice"));
}

#[test]
fn what_stands_in_an_element_comes_as_it_is_written() {
    let text = "\u{feff}<a><b c='d'>&amp;<e/>\r\n</b><f></f></a>";
    let mut reader = Reader::new(text);
    reader.child().unwrap();
    reader.child().unwrap();
    assert_eq!(reader.raw().unwrap(), "&amp;<e/>\r\n");
    reader.child().unwrap();
    assert_eq!(reader.raw().unwrap(), "");
    assert_eq!(&text[reader.position()..], "</a>");
}

#[test]
fn nothing_is_read_behind_the_limit() {
    let mut reader = Reader::new("<a><b/><b/><b/></a>");
    reader.child().unwrap();
    reader.limit(5);
    assert!(reader.child().unwrap().is_some());
    reader.skip().unwrap();
    assert!(reader.child().unwrap().is_some());
    assert!(reader.skip().is_err());
}
