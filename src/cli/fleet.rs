//! `forebay fleet URL`: simulated Windows hosts against a collector; `forebay fleet verify LEDGER OUTPUT…`:
//! what an output made of what they sent.
//!
//! Must not know: how hosts speak.

mod member;
mod options;

use super::test::events;
use super::{Exit, Failure, Shape, print};
use crate::fleet::{
    self, DomainError, FleetError, Mint, Plan, PlanError, Pool, Report, Second, Verdict, Verify,
};
use member::Member;
use options::Options;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Option<Options>,
    #[command(flatten)]
    member: Member,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Hold a ledger against what an output wrote: lost, duplicated, out of order, altered
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// The ledger that the fleet wrote
    ledger: PathBuf,
    /// Files of the output, or folders of them: JSON or ECS lines, XML in any framing, or `.evtx`
    #[arg(required = true)]
    outputs: Vec<PathBuf>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match (args.command, args.run) {
        (Some(Command::Verify(args)), _) => verify(&args),
        (None, Some(options)) => fleet(options, &args.member),
        (None, None) => Err(Failure::new(Exit::Usage, "name the collector's address, or `verify`")),
    }
}

fn fleet(options: Options, member: &Member) -> Result<(), Failure> {
    let (shape, page, mint_only) = (options.output, options.html.clone(), options.mint_only);
    let url = options.url.clone();
    let mint = options.mint()?;
    if mint_only {
        return Ok(());
    }
    let plan = plan(&options, member, mint)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads.max(1))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, format!("no runtime: {error}")))?;
    super::run::raise_open_files();
    let stop = CancellationToken::new();
    let report = runtime.block_on(async {
        let stopping = async {
            stop_when_told(options.duration.map(|span| span.0)).await;
            stop.cancel();
        };
        let running = fleet::run(plan, stop.clone(), progress(shape == Shape::Text));
        tokio::pin!(running);
        tokio::select! {
            report = &mut running => report,
            () = stopping => running.await,
        }
    });
    // A handshake may still wait for a key distribution centre that is away.
    runtime.shutdown_background();
    let report = report.map_err(failure)?;
    if let Some(path) = page {
        let title = format!("{} simulated Windows hosts against {url}", report.hosts);
        std::fs::write(&path, fleet::page(&report, &title))
            .map_err(|error| Failure::io("write", &path, &error))?;
    }
    tell(&report, shape)
}

fn plan(options: &Options, member: &Member, mint: Option<Mint>) -> Result<Plan, Failure> {
    let settings = options.settings(member)?;
    let pool = pool(&settings.origin, settings.seed, settings.first_record)?;
    Plan::new(&options.url, mint, options.server_ca.as_deref(), Arc::new(pool), settings).map_err(|error| {
        let exit = match &error {
            PlanError::Url(_) | PlanError::NoMint | PlanError::NoServerCa => Exit::Usage,
            PlanError::Domain(DomainError::Library(_)) => Exit::Unavailable,
            PlanError::Domain(DomainError::Read { source, .. }) => Exit::of_io(source),
            PlanError::NoEvents | PlanError::Mint(_) | PlanError::Domain(_) => Exit::Data,
        };
        Failure::new(exit, error)
    })
}

/// The events of a fleet.
pub(super) fn pool(origin: &fleet::Origin, seed: u64, first_record: u64) -> Result<Pool, Failure> {
    match origin {
        fleet::Origin::Generated { variants } => Ok(Pool::generated(seed, *variants, first_record)),
        fleet::Origin::Replayed { files } => {
            let mut texts = Vec::new();
            for file in files {
                let read = events::read(file).map_err(|why| Failure::new(Exit::Data, why))?;
                texts.extend(read.into_iter().filter_map(|text| String::from_utf8(text).ok()));
            }
            let (pool, left_out) = Pool::replayed(&texts, first_record);
            if left_out > 0 {
                let all = texts.len();
                warn(&format!("{left_out} of {all} events are left out: no host has such in a log"));
            }
            Ok(pool)
        }
    }
}

/// Until Ctrl-C, SIGTERM, or the time is over.
pub(super) async fn stop_when_told(after: Option<std::time::Duration>) {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    let time = async {
        match after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
        () = time => {}
    }
}

/// A line a second, on a terminal.
pub(super) fn progress(wanted: bool) -> impl FnMut(&Second) {
    let shows = wanted && io::stderr().is_terminal();
    move |second: &Second| {
        if !shows {
            return;
        }
        let latency =
            |value: Option<f64>| value.map_or_else(|| "-".into(), |millis| format!("{millis:.1} ms"));
        let mut err = io::stderr().lock();
        let _ = write!(
            err,
            "\r\x1b[K{:>5.0} s  {} hosts  {} events/s  ack p50 {}  p99 {}  {} failed",
            second.at,
            second.hosts,
            second.events,
            latency(second.p50),
            latency(second.p99),
            second.failures
        );
        let _ = err.flush();
    }
}

fn tell(report: &Report, shape: Shape) -> Result<(), Failure> {
    let text = match shape {
        Shape::Json => json(report)?,
        Shape::Text => {
            if io::stderr().is_terminal() {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
            report.to_string()
        }
    };
    print(text.as_bytes())
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::new(Exit::Software, error))?;
    Ok(text + "\n")
}

fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let verdict = verdict(&args.ledger, &args.outputs)?;
    let text = match args.output {
        Shape::Json => json(&verdict)?,
        Shape::Text => verdict.to_string(),
    };
    print(text.as_bytes())?;
    if verdict.is_good() { Ok(()) } else { Err(Failure::told(Exit::Failed)) }
}

pub(super) fn verdict(ledger: &Path, outputs: &[PathBuf]) -> Result<Verdict, Failure> {
    let mut wrong = None;
    let opened = Verify::open(ledger, |head| {
        pool(&head.origin, head.seed, head.first_record).map_err(|failure| {
            wrong = Some(failure);
            io::ErrorKind::Other.into()
        })
    });
    let mut verify = match (opened, wrong) {
        (Ok(verify), _) => verify,
        (Err(_), Some(failure)) => return Err(failure),
        (Err(error), None) => return Err(Failure::io("read", ledger, &error)),
    };
    for output in outputs {
        verify.output(output, &log).map_err(|error| Failure::io("read", output, &error))?;
    }
    Ok(verify.finish())
}

/// The events of an event log.
fn log(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let wrong = |why| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
    events::log(&std::fs::read(path)?).map_err(wrong)
}

fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "warning: {text}");
}

pub(super) fn failure(error: FleetError) -> Failure {
    let exit = match &error {
        FleetError::Ledger(error) => Exit::of_io(error),
        FleetError::Mint(_) => Exit::Data,
    };
    Failure::new(exit, error)
}
