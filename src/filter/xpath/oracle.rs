//! The slow, obvious meaning of an expression, over a DOM that somebody else built: what the
//! compiled form is compared with.

use super::ast::{Expr, Step, Test};
use super::lex::Op;
use crate::event::Timestamp;
use roxmltree::Node;
use std::cmp::Ordering;

#[derive(Clone)]
enum Found<'d, 'i> {
    Node(Node<'d, 'i>),
    Text(String),
}

/// `context` is the document's root node.
pub(super) fn holds(expr: &Expr, context: Node<'_, '_>, now: Timestamp) -> bool {
    match expr {
        Expr::Or(operands) => operands.iter().any(|operand| holds(operand, context, now)),
        Expr::And(operands) => operands.iter().all(|operand| holds(operand, context, now)),
        Expr::Exists(path) => !select(&path.0, context, now).is_empty(),
        Expr::Compare { path, op, right } => {
            texts(&path.0, context, now).iter().any(|text| compares(text, *op, &right.to_string()))
        }
        Expr::Band { path, mask } => {
            let mask = whole(&mask.to_string()).unwrap();
            texts(&path.0, context, now)
                .iter()
                .any(|text| whole(text.trim()).is_some_and(|bits| is_bits(bits) && bits & mask != 0))
        }
        Expr::TimeDiff { path, until, op, right } => {
            let until = match until {
                Some(literal) => Timestamp::parse(literal.to_string().trim_matches('\'').as_bytes()).unwrap(),
                None => now,
            };
            texts(&path.0, context, now).iter().any(|text| {
                Timestamp::parse(text.trim().as_bytes()).is_some_and(|time| {
                    let millis = (until.0 - time.0) / 1_000_000;
                    compares(&millis.to_string(), *op, &right.to_string())
                })
            })
        }
    }
}

fn select<'d, 'i>(steps: &[Step], context: Node<'d, 'i>, now: Timestamp) -> Vec<Found<'d, 'i>> {
    let mut nodes = vec![Found::Node(context)];
    for step in steps {
        let children = |found: &Found<'d, 'i>| match found {
            Found::Node(node) => step_from(*node, &step.test),
            Found::Text(_) => panic!("the parser lets nothing follow text"),
        };
        nodes = nodes.iter().flat_map(children).collect();
        nodes.retain(|found| match found {
            Found::Node(node) => step.predicates.iter().all(|predicate| holds(predicate, *node, now)),
            Found::Text(_) => true,
        });
    }
    nodes
}

fn step_from<'d, 'i>(node: Node<'d, 'i>, test: &Test) -> Vec<Found<'d, 'i>> {
    match test {
        Test::Any => node.children().filter(Node::is_element).map(Found::Node).collect(),
        Test::Name(name) => node
            .children()
            .filter(|child| child.is_element() && child.tag_name().name() == &**name)
            .map(Found::Node)
            .collect(),
        Test::Attribute(name) => node
            .attributes()
            .filter(|attribute| attribute.name() == &**name)
            .map(|attribute| Found::Text(attribute.value().into()))
            .collect(),
        Test::AnyAttribute => {
            node.attributes().map(|attribute| Found::Text(attribute.value().into())).collect()
        }
        Test::Text => node
            .children()
            .filter(Node::is_text)
            .filter_map(|text| text.text().map(|text| Found::Text(text.into())))
            .collect(),
    }
}

fn texts(steps: &[Step], context: Node<'_, '_>, now: Timestamp) -> Vec<String> {
    select(steps, context, now)
        .into_iter()
        .map(|found| match found {
            Found::Text(text) => text,
            Found::Node(node) => {
                node.children().filter(Node::is_text).filter_map(|text| text.text()).collect()
            }
        })
        .collect()
}

fn compares(left: &str, op: Op, right: &str) -> bool {
    let Some(quoted) = right.strip_prefix(['\'', '"']) else {
        let left = left.trim();
        let ordering = match (whole(left), whole(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            (left_whole, right_whole) => {
                let left = left_whole.map_or_else(|| real(left), |whole| Some(whole as f64));
                let right = right_whole.map_or_else(|| real(right), |whole| Some(whole as f64));
                left.zip(right).and_then(|(left, right)| left.partial_cmp(&right))
            }
        };
        return ordering.is_some_and(|ordering| op.holds(ordering));
    };
    let right = &quoted[..quoted.len() - 1];
    let typed = |equal: bool| if equal { Ordering::Equal } else { Ordering::Less };
    let ordering = if let Some(right) = guid(right) {
        guid(left).map(|left| typed(left == right))
    } else if let Some(right) = Timestamp::parse(right.as_bytes()).filter(|_| right.ends_with('Z')) {
        Timestamp::parse(left.trim().as_bytes()).map(|left| left.cmp(&right))
    } else if is_sid(right) {
        is_sid(left).then(|| typed(left.eq_ignore_ascii_case(right)))
    } else if right == "true" || right == "false" {
        match left.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(typed(right == "true")),
            "false" | "0" => Some(typed(right == "false")),
            _ => None,
        }
    } else {
        Some(typed(left == right))
    };
    ordering.is_some_and(|ordering| op.holds(ordering))
}

/// Bit fields are unsigned and have 64 bits (HexInt64, the widest type that Windows has).
fn is_bits(number: i128) -> bool {
    (0..1 << 64).contains(&number)
}

/// `S-1-` authority and sub-authorities (MS-DTYP 2.4.2.1).
fn is_sid(text: &str) -> bool {
    let lower = text.to_lowercase();
    let Some(parts) = lower.strip_prefix("s-1-") else { return false };
    let decimal = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let hex = |part: &str| {
        part.strip_prefix("0x")
            .is_some_and(|hex| !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit()))
    };
    parts.split('-').enumerate().all(|(index, part)| decimal(part) || index == 0 && hex(part))
}

fn whole(text: &str) -> Option<i128> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.starts_with(['+', '-']) || hex.len() > 16 => None,
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

fn real(text: &str) -> Option<f64> {
    let plain = text.strip_prefix('-').unwrap_or(text);
    let digits = plain.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| digits)
}

fn guid(text: &str) -> Option<String> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let parts: Vec<&str> = bare.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let hex = parts.iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()));
    (lengths == [8, 4, 4, 4, 12] && hex).then(|| bare.to_lowercase())
}
