//! The usual way: a DOM (roxmltree), a value tree (serde_json), text.
//!
//! Says the JSON shape a second time, independently: the writer is checked with it.

use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};

/// The event as the native JSON shape has it; None where the parser refuses it.
pub(crate) fn to_value(text: &str) -> Option<Value> {
    let document = Document::parse(text).ok()?;
    let mut root = Map::new();
    let mut others = Vec::new();
    for child in document.root_element().children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let value = match name {
            _ if root.contains_key(name) => {
                others.push(json!({ name: generic(child) }));
                continue;
            }
            "System" => system(child),
            "EventData" => event_data(child),
            "RenderingInfo" => rendering(child),
            _ => generic(child),
        };
        root.insert(name.into(), value);
    }
    if !others.is_empty() {
        root.insert("#elements".into(), others.into());
    }
    Some(root.into())
}

fn system(node: Node<'_, '_>) -> Value {
    let mut fields = Map::new();
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        match name {
            "Provider" | "Correlation" => {
                fields.insert(name.into(), attributes(child, |text| text.into()));
            }
            "Execution" => {
                fields.insert(name.into(), attributes(child, number));
            }
            "TimeCreated" => {
                fields.insert(name.into(), child.attribute("SystemTime").unwrap_or_default().into());
            }
            "Security" => {
                match child.attribute("UserID") {
                    Some(user) => fields.insert("UserID".into(), user.into()),
                    None => fields.insert(name.into(), json!({})),
                };
            }
            "Keywords" | "Channel" | "Computer" => {
                fields.insert(name.into(), text_of(child).into());
            }
            _ => {
                fields.insert(name.into(), number(&text_of(child)));
                if let Some(qualifiers) = child.attribute("Qualifiers") {
                    fields.insert("Qualifiers".into(), number(qualifiers));
                }
            }
        }
    }
    fields.into()
}

fn attributes(node: Node<'_, '_>, value: impl Fn(&str) -> Value) -> Value {
    node.attributes().map(|a| (a.name().to_owned(), value(a.value()))).collect::<Map<_, _>>().into()
}

fn number(text: &str) -> Value {
    match text.parse::<u64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

fn event_data(node: Node<'_, '_>) -> Value {
    let mut fields = Map::new();
    let (mut data, mut complex, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for a in node.attributes() {
        fields.insert(format!("@{}", a.name()), a.value().into());
    }
    for child in node.children().filter(Node::is_element) {
        let plain = !child.children().any(|inner| inner.is_element());
        match child.tag_name().name() {
            "Data" => match child.attribute("Name") {
                None if plain && child.attributes().len() == 0 => data.push(text_of(child).into()),
                Some(name) if plain && child.attributes().len() == 1 && free(&fields, name) => {
                    fields.insert(name.into(), text_of(child).into());
                }
                _ => data.push(listed(child)),
            },
            "ComplexData" => complex.push(generic(child)),
            "Binary" if !fields.contains_key("Binary") => {
                fields.insert("Binary".into(), generic(child));
            }
            name => others.push(json!({ name: generic(child) })),
        }
    }
    for (name, list) in [("Data", data), ("ComplexData", complex), ("#elements", others)] {
        if !list.is_empty() {
            fields.insert(name.into(), list.into());
        }
    }
    let text = text_of(node);
    if !text.trim().is_empty() {
        fields.insert("#text".into(), text.into());
    }
    fields.into()
}

fn free(fields: &Map<String, Value>, name: &str) -> bool {
    let reserved = ["", "Data", "ComplexData", "Binary"].contains(&name) || name.starts_with(['@', '#']);
    !reserved && !fields.contains_key(name)
}

fn listed(node: Node<'_, '_>) -> Value {
    let mut item = Map::new();
    for a in node.attributes() {
        let key =
            if matches!(a.name(), "Name" | "Type") { a.name().into() } else { format!("@{}", a.name()) };
        item.insert(key, a.value().into());
    }
    let value = if node.children().any(|child| child.is_element()) {
        let mut content = Map::new();
        content_of(node, &mut content);
        content.into()
    } else {
        text_of(node).into()
    };
    item.insert("Value".into(), value);
    item.into()
}

fn rendering(node: Node<'_, '_>) -> Value {
    let mut value = generic(node);
    let Some(fields) = value.as_object_mut() else { return json!({}) };
    if let Some(culture) = fields.remove("@Culture") {
        fields.insert("Culture".into(), culture);
    }
    if let Some(keywords) = node.children().find(|child| child.has_tag_name("Keywords")) {
        let list: Vec<_> = keywords.children().filter(Node::is_element).map(text_of).collect();
        fields.insert("Keywords".into(), list.into());
    }
    value
}

fn generic(node: Node<'_, '_>) -> Value {
    let mut fields = Map::new();
    let namespace = node
        .default_namespace()
        .filter(|space| node.parent_element().and_then(|parent| parent.default_namespace()) != Some(*space));
    if let Some(namespace) = namespace {
        fields.insert("@xmlns".into(), namespace.into());
    }
    let above = |prefix| node.parent_element().and_then(|parent| parent.lookup_namespace_uri(prefix));
    for declared in node.namespaces().filter(|declared| declared.name().is_some_and(|name| name != "xml")) {
        if above(declared.name()) != Some(declared.uri()) {
            fields.insert(format!("@xmlns:{}", declared.name().unwrap_or_default()), declared.uri().into());
        }
    }
    for a in node.attributes() {
        fields.insert(format!("@{}", a.name()), a.value().into());
    }
    if fields.is_empty() && !node.children().any(|child| child.is_element()) {
        return text_of(node).into();
    }
    content_of(node, &mut fields);
    fields.into()
}

fn content_of(node: Node<'_, '_>, fields: &mut Map<String, Value>) {
    let text = text_of(node);
    let has_elements = node.children().any(|child| child.is_element());
    if !(text.is_empty() || has_elements && text.trim_matches([' ', '\t', '\r', '\n']).is_empty()) {
        fields.insert("#text".into(), text.into());
    }
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let twins: Vec<_> = node.children().filter(|twin| twin.has_tag_name(child.tag_name())).collect();
        if twins.len() == 1 {
            fields.insert(name.into(), generic(child));
        } else if !fields.contains_key(name) {
            fields.insert(name.into(), twins.into_iter().map(generic).collect());
        }
    }
}

/// All text of a node; white space beside child elements is layout.
fn text_of(node: Node<'_, '_>) -> String {
    let layout = node.children().any(|child| child.is_element());
    let texts = node.children().filter(Node::is_text).filter_map(|text| text.text());
    texts.filter(|text| !(layout && text.trim_ascii().is_empty())).collect()
}
