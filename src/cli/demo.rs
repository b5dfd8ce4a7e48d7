//! `forebay demo`: a collector on loopback, simulated Windows hosts, a filter, JSON in a folder, and whether
//! all that was acknowledged is there, letter by letter. No configuration; the pipeline it runs is left in the
//! folder, to be read and changed.
//!
//! A second demo in the same folder goes on where the first one ended, as hosts and collector do.
//! Must not know: how hosts speak, how a pipeline runs.

use super::Shape;
use super::fleet::{json, progress, verdict};
use super::{Exit, Failure, check, print, run};
use crate::config::Severity;
use crate::fleet::{self, Mint, Names, Origin, Pace, Plan, Pool, Schedule, Settings};
use crate::pipeline::{self, Options, Order};
use crate::telemetry::{Status, logs};
use serde::Serialize;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Level;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long hosts send
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many hosts
    #[arg(long, default_value_t = 20)]
    hosts: u32,
    /// Events per second of all hosts together
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Folder for everything that is written
    #[arg(long, value_name = "DIR", default_value = "forebay-demo")]
    dir: PathBuf,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
}

/// What a demo comes to.
#[derive(Debug, Serialize)]
struct Outcome {
    seconds: f64,
    hosts: u32,
    sent: u64,
    acknowledged: u64,
    delivered: u64,
    lost: u64,
    duplicated: u64,
    altered: u64,
    ack_ms_p99: f64,
    folder: PathBuf,
}

const SEED: u64 = 1;
const VARIANTS: usize = 512;
/// How long outputs may take at the end.
const DRAIN: Duration = Duration::from_secs(30);

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let dir = &args.dir;
    fs::create_dir_all(dir).map_err(|error| Failure::io("make", dir, &error))?;
    let settings = settings(&args)?;
    let port = free_port()?;
    write_pipeline(dir, port)?;
    let mint = Mint::of_folder(&dir.join("certificates"), "127.0.0.1");
    let mint = mint.map_err(|error| Failure::new(Exit::CantCreate, error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, format!("no runtime: {error}")))?;
    let report = runtime.block_on(live(&args, settings, port, mint));
    runtime.shutdown_background();
    let report = report?;
    let verdict = verdict(&dir.join("ledger"), &[dir.join("all")])?;
    let result = Outcome {
        seconds: report.seconds,
        hosts: report.hosts,
        sent: verdict.sent,
        acknowledged: verdict.acknowledged,
        delivered: verdict.delivered,
        lost: verdict.lost,
        duplicated: verdict.duplicated,
        altered: verdict.altered,
        ack_ms_p99: report.latency_ms.p99,
        folder: dir.clone(),
    };
    let page = dir.join("report.html");
    fs::write(&page, fleet::page(&report, "Forebay demo"))
        .map_err(|error| Failure::io("write", &page, &error))?;
    let text = match args.output {
        Shape::Json => json(&result)?,
        Shape::Text => format!("{report}\n{verdict}{}", where_to_look(dir)),
    };
    print(text.as_bytes())?;
    if verdict.is_good() { Ok(()) } else { Err(Failure::told(Exit::Failed)) }
}

/// Collector and hosts, until the hosts have sent for long enough and the outputs have everything.
async fn live(args: &Args, settings: Settings, port: u16, mint: Mint) -> Result<fleet::Report, Failure> {
    let path = args.dir.join("pipeline.toml");
    let checked = check::load(Some(&path), Severity::Error)?;
    let Some(pipeline) = checked.pipeline else {
        check::tell(&checked);
        return Err(Failure::told(Exit::Config));
    };
    logs::start(false, Level::WARN);
    run::raise_open_files();
    let (orders, received) = mpsc::channel(4);
    let reload = || None;
    let options = Options { once: false, drain: DRAIN };
    let collecting = pipeline::run(pipeline, options, &reload, received, Arc::new(Status::default()));
    let sending = async {
        reachable(port).await?;
        let pool = Arc::new(Pool::generated(SEED, VARIANTS, settings.first_record));
        let url = format!("https://127.0.0.1:{port}/wsman/SubscriptionManager/WEC");
        let plan = Plan::new(&url, Some(mint), None, pool, settings)
            .map_err(|error| Failure::new(Exit::Software, error))?;
        let stop = CancellationToken::new();
        let running = fleet::run(plan, stop.clone(), progress(args.output == Shape::Text));
        tokio::pin!(running);
        let told = super::fleet::stop_when_told(Some(Duration::from_secs(args.seconds)));
        let report = tokio::select! {
            report = &mut running => report,
            () = told => {
                stop.cancel();
                running.await
            }
        };
        report.map_err(super::fleet::failure)
    };
    tokio::pin!(collecting, sending);
    let report = tokio::select! {
        ended = &mut collecting => {
            ended.map_err(run::failure)?;
            return Err(Failure::new(Exit::Software, "the collector stopped on its own"));
        }
        report = &mut sending => report,
    };
    // The channel has room: nobody else gives orders.
    let _ = orders.try_send(Order::Stop);
    collecting.await.map_err(run::failure)?;
    report
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    if args.hosts == 0 || !(args.rate > 0.0 && args.rate.is_finite()) {
        return Err(Failure::new(Exit::Usage, "there is at least one host, and a rate above 0"));
    }
    // About two deliveries a second of each host.
    let batch = (args.rate / f64::from(args.hosts) / 2.0).ceil().clamp(1.0, 50.0) as u64;
    Ok(Settings {
        hosts: args.hosts,
        names: Names { prefix: "ws-".into(), domain: "demo.example".into() },
        seed: SEED,
        origin: Origin::Generated { variants: VARIANTS },
        pace: Pace::Open(Schedule::steady(args.rate)),
        batch,
        refresh: Duration::from_secs(30),
        retry: Some(Duration::from_secs(1)),
        ledger: Some(args.dir.join("ledger")),
        pid: Some(std::process::id()),
        ..Settings::default()
    })
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Failure> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| Failure::new(Exit::Unavailable, error))
}

/// Waits until the collector listens.
async fn reachable(port: u16) -> Result<(), Failure> {
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Failure::new(Exit::Unavailable, "the collector does not listen after ten seconds"))
}

fn write_pipeline(dir: &Path, port: u16) -> Result<(), Failure> {
    let shown = dir.to_str().filter(|dir| !dir.contains(['"', '\\', '{', '}', '$'])).ok_or_else(|| {
        let what =
            format!("the name `{}` cannot stand in a pipeline file; choose another --dir", dir.display());
        Failure::new(Exit::Usage, what)
    })?;
    let text = include_str!("demo.toml")
        .replace("127.0.0.1:5986", &format!("127.0.0.1:{port}"))
        .replace("\"DIR/", &format!("\"{shown}/"));
    let path = dir.join("pipeline.toml");
    fs::write(&path, text).map_err(|error| Failure::io("write", &path, &error))
}

fn where_to_look(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "\n{dir}/all/      every event as JSON\n{dir}/alerts/   what the filter lets through\n\
         {dir}/pipeline.toml and {dir}/report.html tell the rest\n"
    )
}
