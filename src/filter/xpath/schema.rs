//! Where a step stands in an event, and the fields of System by their XPath names.

use super::ast::{Expr, Path, Test};
use crate::event::Header;
use crate::event::Value;
use crate::event::header::Seen;

/// What is known of a node by its way from the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The virtual parent of `Event`, where an expression starts.
    Root,
    Event,
    System,
    /// An element of System, an index into `FIELDS`.
    Field(usize),
    /// Anywhere else.
    Inside,
}

/// An element of System: its bit in `Header::seen`, its text and its attributes.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) seen: u32,
    pub(super) text: Option<Read>,
    pub(super) attributes: &'static [(&'static str, Read)],
}

pub(super) type Read = for<'h, 'a> fn(&'h Header<'a>) -> Value<'a>;

/// event.xsd, `SystemPropertiesType`.
pub(super) const FIELDS: [Field; 14] = [
    Field {
        name: "Provider",
        seen: Seen::PROVIDER,
        text: None,
        attributes: &[
            ("Name", |h| h.provider_name),
            ("Guid", |h| h.provider_guid),
            ("EventSourceName", |h| h.event_source_name),
        ],
    },
    Field {
        name: "EventID",
        seen: Seen::EVENT_ID,
        text: Some(|h| h.event_id),
        attributes: &[("Qualifiers", |h| h.qualifiers)],
    },
    Field { name: "Version", seen: Seen::VERSION, text: Some(|h| h.version), attributes: &[] },
    Field { name: "Level", seen: Seen::LEVEL, text: Some(|h| h.level), attributes: &[] },
    Field { name: "Task", seen: Seen::TASK, text: Some(|h| h.task), attributes: &[] },
    Field { name: "Opcode", seen: Seen::OPCODE, text: Some(|h| h.opcode), attributes: &[] },
    Field { name: "Keywords", seen: Seen::KEYWORDS, text: Some(|h| h.keywords), attributes: &[] },
    Field {
        name: "TimeCreated",
        seen: Seen::TIME_CREATED,
        text: None,
        attributes: &[("SystemTime", |h| h.time_created)],
    },
    Field { name: "EventRecordID", seen: Seen::RECORD_ID, text: Some(|h| h.record_id), attributes: &[] },
    Field {
        name: "Correlation",
        seen: Seen::CORRELATION,
        text: None,
        attributes: &[("ActivityID", |h| h.activity_id), ("RelatedActivityID", |h| h.related_activity_id)],
    },
    Field {
        name: "Execution",
        seen: Seen::EXECUTION,
        text: None,
        attributes: &[
            ("ProcessID", |h| h.process_id),
            ("ThreadID", |h| h.thread_id),
            ("ProcessorID", |h| h.processor_id),
            ("SessionID", |h| h.session_id),
            ("KernelTime", |h| h.kernel_time),
            ("UserTime", |h| h.user_time),
            ("ProcessorTime", |h| h.processor_time),
        ],
    },
    Field { name: "Channel", seen: Seen::CHANNEL, text: Some(|h| h.channel), attributes: &[] },
    Field { name: "Computer", seen: Seen::COMPUTER, text: Some(|h| h.computer), attributes: &[] },
    Field { name: "Security", seen: Seen::SECURITY, text: None, attributes: &[("UserID", |h| h.user_id)] },
];

/// event.xsd, `EventType`.
const EVENT_PARTS: [&str; 7] = [
    "System",
    "EventData",
    "UserData",
    "RenderingInfo",
    "DebugData",
    "BinaryEventData",
    "ProcessingErrorData",
];

impl Place {
    /// Where a child step leads; `*` from Event and System may lead anywhere below.
    pub(super) fn child(self, test: &Test) -> Self {
        match (self, test) {
            (Place::Root, _) => Place::Event,
            (Place::Event, Test::Name(name)) if &**name == "System" => Place::System,
            (Place::System, Test::Name(name)) => field(name).map_or(Place::Inside, Place::Field),
            _ => Place::Inside,
        }
    }

    /// Words for a name that Windows never writes at this place.
    pub(super) fn doubt(self, test: &Test) -> Option<String> {
        let (parent, known, name): (&str, Vec<&str>, &str) = match (self, test) {
            (Place::Event, Test::Name(name)) => ("Event", EVENT_PARTS.into(), name),
            (Place::System, Test::Name(name)) => {
                ("System", FIELDS.iter().map(|field| field.name).collect(), name)
            }
            (Place::Field(index), Test::Attribute(name)) => {
                let known = FIELDS[index].attributes.iter().map(|&(name, _)| name).collect();
                (FIELDS[index].name, known, name)
            }
            (Place::Field(index), Test::Name(name)) => (FIELDS[index].name, Vec::new(), name),
            _ => return None,
        };
        if known.contains(&name) {
            return None;
        }
        let what = if matches!(test, Test::Attribute(_)) { "attribute" } else { "element" };
        Some(match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            Some(known) => format!("Windows writes `{known}`, not `{name}`: this test never matches"),
            None => format!("`{parent}` has no {what} `{name}` in Windows' event schema"),
        })
    }
}

pub(super) fn field(name: &str) -> Option<usize> {
    FIELDS.iter().position(|field| field.name == name)
}

/// Whether evaluating from `place` may look beyond System.
pub(super) fn reads_body(expr: &Expr, place: Place) -> bool {
    match expr {
        Expr::Or(operands) | Expr::And(operands) => operands.iter().any(|operand| reads_body(operand, place)),
        Expr::Exists(path)
        | Expr::Compare { path, .. }
        | Expr::Band { path, .. }
        | Expr::TimeDiff { path, .. } => path_reads_body(path, place),
    }
}

fn path_reads_body(path: &Path, mut place: Place) -> bool {
    for step in &path.0 {
        let from = place;
        place = place.child(&step.test);
        let leaves = from == Place::Event && place == Place::Inside;
        if leaves || step.predicates.iter().any(|predicate| reads_body(predicate, place)) {
            return true;
        }
    }
    false
}

/// Puts what System decides first, so that the body is walked only when it must be.
pub(super) fn header_first(expr: &mut Expr, place: Place) {
    match expr {
        Expr::Or(operands) | Expr::And(operands) => {
            operands.iter_mut().for_each(|operand| header_first(operand, place));
            operands.sort_by_key(|operand| reads_body(operand, place));
        }
        Expr::Exists(path)
        | Expr::Compare { path, .. }
        | Expr::Band { path, .. }
        | Expr::TimeDiff { path, .. } => {
            let mut place = place;
            for step in &mut path.0 {
                place = place.child(&step.test);
                step.predicates.iter_mut().for_each(|predicate| header_first(predicate, place));
            }
        }
    }
}
