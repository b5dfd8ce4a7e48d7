//! From a checked pipeline to the parts of a life: basin open, sinks and listeners ready, nothing
//! running yet.
//!
//! Must not know: tasks, orders.

use super::RunError;
use super::batch::{Encoder, Placer};
use super::fill::Filler;
use super::gate::Gate;
use super::lane::Lane;
use super::letter::{Letter, Letters};
use super::retry::Backoff;
use super::shape::Shaper;
use super::shelf::{Place, Shelf};
use crate::basin::{Basin, Budget, Handover};
use crate::config::{DeadLetter, Output, Pipeline, Shares, shapes, targets};
use crate::finding::Finding;
use crate::sink::Attachment;
use crate::source::Source;
use crate::telemetry::control::Control;
use crate::telemetry::{Status, metrics};
use crate::units::{ByteSize, Span};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Everything a life starts.
pub(super) struct Parts {
    pub(super) basin: Basin,
    pub(super) budgets: Budgets,
    pub(super) sources: Vec<Source>,
    pub(super) lanes: Vec<Lane>,
    pub(super) gate: Gate,
    pub(super) http: Option<(TcpListener, Vec<String>)>,
    pub(super) control: Option<Control>,
}

/// How `memory_max` is shared out.
pub(super) struct Budgets {
    /// What comes in, until the basin has answered for it; the basin's tail.
    pub(super) intake: Budget,
    /// Each output's own, which intake cannot take.
    pub(super) shares: Vec<Budget>,
    /// Where outputs of the same shape share what they encode, of each such shape.
    pub(super) shelves: Vec<Budget>,
    /// Bytes that each sink may hold batches in, beside its share.
    pub(super) holds: Vec<u64>,
}

impl Budgets {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        let Shares { batches, shelves, holds, .. } =
            Shares::of(pipeline.limits.memory_max, &pipeline.outputs);
        let intake = Budget::new(pipeline.limits.memory_max);
        let carve = |share: ByteSize| intake.carve(share).unwrap_or_else(|| Budget::new(share));
        let shares = batches.into_iter().map(carve).collect();
        let shelves = shelves.into_iter().map(carve).collect();
        let hold = |hold: ByteSize| {
            if hold.0 > 0 {
                // Nobody else has it, however much of it is used.
                intake.carve(hold);
            }
            hold.0
        };
        let holds = holds.into_iter().map(hold).collect();
        Self { shelves, holds, intake, shares }
    }

    pub(super) fn used(&self) -> u64 {
        self.intake.used() + self.own().map(Budget::used).sum::<u64>() + self.holds.iter().sum::<u64>()
    }

    pub(super) fn max(&self) -> u64 {
        let own: u64 = self.own().map(|share| share.max().0).sum();
        self.intake.max().0 + own + self.holds.iter().sum::<u64>()
    }

    fn own(&self) -> impl Iterator<Item = &Budget> {
        self.shares.iter().chain(&self.shelves)
    }
}

pub(super) async fn build(
    pipeline: Pipeline,
    handover: &Handover,
    status: &Arc<Status>,
) -> Result<Parts, RunError> {
    let http = match &pipeline.http {
        Some(http) => Some((listen(http.listen).await?, http.hosts.clone())),
        None => None,
    };
    let (config, specs) = (pipeline.basin.clone(), pipeline.output_specs());
    let budgets = Budgets::new(&pipeline);
    let budget = budgets.intake.clone();
    let opened = tokio::task::spawn_blocking(move || Basin::open(&config, &specs, &budget)).await;
    let (basin, findings) = opened.map_err(|panic| RunError::Bug(panic.to_string()))??;
    findings.into_iter().for_each(|finding| status.finding(finding));
    basin.take_over(handover);
    // After the basin: its folder is where the socket stands, and its lock keeps others out.
    let control = match &pipeline.control {
        Some(path) => match Control::bind(path) {
            Ok(control) => Some(control),
            Err(finding) => {
                status.finding(finding);
                None
            }
        },
        None => None,
    };
    let mut inboxes: BTreeMap<String, (mpsc::Sender<Letter>, mpsc::Receiver<Letter>)> =
        pipeline.outputs.iter().map(|output| (output.name.clone(), mpsc::channel(1))).collect();
    let senders: BTreeMap<String, mpsc::Sender<Letter>> =
        inboxes.iter().map(|(name, (sender, _))| (name.clone(), sender.clone())).collect();
    let dead_letters: BTreeMap<String, DeadLetter> =
        pipeline.outputs.iter().map(|output| (output.name.clone(), output.dead_letter.clone())).collect();
    let gate = Gate::default();
    let targets = targets(&pipeline.outputs);
    let wait = if pipeline.basin.disk.is_some() { DISK_WAIT } else { Span::secs(0) };
    let mut sharing = sharing(&pipeline.outputs, &budgets);
    let mut lanes = Vec::with_capacity(pipeline.outputs.len());
    for (number, mut output) in pipeline.outputs.into_iter().enumerate() {
        output.batch.wait.get_or_insert(wait);
        let inbox = inboxes.remove(&output.name).map(|(_, inbox)| inbox);
        let takes_letters = targets.contains(&output.name);
        let memory = (&budgets.shares[number], budgets.holds[number]);
        let sharing = sharing.remove(&number);
        let letters = letters(&output.dead_letter, &dead_letters, &senders);
        lanes.push(lane(output, inbox, takes_letters, letters, (&basin, memory, sharing, &gate, status))?);
    }
    Ok(Parts { basin, budgets, sources: pipeline.sources, lanes, gate, http, control })
}

/// How an output shares its shape with others.
struct Sharing {
    place: Place,
    /// Whether any of them wants ids.
    ids: bool,
}

/// Of each output that shares its shape, by its place in the list.
fn sharing(outputs: &[Output], budgets: &Budgets) -> BTreeMap<usize, Sharing> {
    let shared = shapes(outputs).into_iter().filter(|outputs| outputs.len() > 1);
    let mut sharing = BTreeMap::new();
    for (numbers, room) in shared.zip(&budgets.shelves) {
        let wants_ids = |number: &usize| outputs[*number].sink.open().is_ok_and(|sink| sink.wants_ids());
        let ids = numbers.iter().any(wants_ids);
        let own = Shelf::places(numbers.len(), room.clone()).into_iter().map(|place| Sharing { place, ids });
        sharing.extend(numbers.into_iter().zip(own));
    }
    sharing
}

/// Where dead letters go, and from there. They never go round: `check` refuses that.
fn letters(
    place: &DeadLetter,
    all: &BTreeMap<String, DeadLetter>,
    senders: &BTreeMap<String, mpsc::Sender<Letter>>,
) -> Letters {
    match place {
        DeadLetter::Folder { path, size_max } => {
            Letters::Folder { path: path.clone(), bytes_max: size_max.map_or(u64::MAX, |size| size.0) }
        }
        DeadLetter::Output(name) => match (senders.get(name), all.get(name)) {
            (Some(lane), Some(next)) => Letters::Lane {
                output: name.clone(),
                lane: lane.clone(),
                beyond: Box::new(letters(next, all, senders)),
            },
            _ => Letters::Nowhere,
        },
        DeadLetter::Wait => Letters::Nowhere,
    }
}

fn lane(
    output: Output,
    inbox: Option<mpsc::Receiver<Letter>>,
    takes_letters: bool,
    letters: Letters,
    (basin, (share, hold), sharing, gate, status): (
        &Basin,
        (&Budget, u64),
        Option<Sharing>,
        &Gate,
        &Arc<Status>,
    ),
) -> Result<Lane, RunError> {
    let wrong = |reason: String| RunError::Output { output: output.name.clone(), reason };
    let reader = basin.reader(&output.name).ok_or_else(|| wrong("the basin has no cursor for it".into()))?;
    let mut sink = output.sink.open().map_err(|error| wrong(error.to_string()))?;
    let format = output.format.open().map_err(|error| wrong(error.to_string()))?;
    let others_want_ids = sharing.as_ref().is_some_and(|sharing| sharing.ids);
    let placer = Placer::new(sink.framing(format.framing()), sink.router(), sink.head());
    let shaper = Shaper {
        filter: output.filter.clone(),
        undecodable: output.undecodable,
        takes_letters,
        ids: format.writes_id() || sink.wants_ids() || others_want_ids,
        format,
    };
    let encoder = Encoder { shaper, placer, place: sharing.map(|sharing| sharing.place) };
    let status = Arc::clone(status);
    let of_sink = Arc::clone(&status);
    let of_sink: Arc<dyn Fn(Finding) + Send + Sync> = Arc::new(move |finding| of_sink.finding(finding));
    let metrics = metrics().output(&output.name);
    sink.hold(hold);
    sink.attach(Attachment {
        output: output.name.as_str().into(),
        metrics: metrics.clone(),
        report: of_sink,
    });
    let inbox = inbox.ok_or_else(|| wrong("there are two outputs of this name".into()))?;
    Ok(Lane {
        cursor: reader.cursor(),
        filler: Filler::new(reader, inbox, encoder, (output.batch, sink.tick_every()), share.clone()),
        sink,
        backoff: Backoff::new(output.retry.pause_min.0, output.retry.pause_max.0),
        letters,
        metrics,
        gate: gate.clone(),
        report: Arc::new(move |finding, times| status.findings_of(finding, times)),
        output: output.name,
    })
}

/// What an output waits for more when nobody waits for it: each batch it sends is a sync of its own, which
/// those of the basin would have to share the disk with.
const DISK_WAIT: Span = Span::millis(50);

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, RunError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| RunError::Listen(super::probe::not_served(address, &error)))
}
