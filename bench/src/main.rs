//! `make bench`: the product beside a bare program of the same shape and, where it is there, the rival, in alternation.

mod guesses;
mod lag;
mod load;
mod machine;
mod matrix;
mod programs;
mod report;
mod request;
mod target;
mod usage;
mod verify;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use local::say;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use lag::Lag;
use matrix::Plan;
use programs::{Bare, Peer, Product, Program};
use report::Report;
use usage::{Memory, Tree};

/// Measures the product on servers that `local with-servers --durable` started, and writes bench/RESULTS.md.
#[derive(Parser, Clone, Debug)]
#[command(name = "bench")]
struct Cli {
    /// Only this, which needs no server.
    #[command(subcommand)]
    only: Option<Only>,
    /// How many opportunities there are.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// How many connections ask at once; each number is measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    connections: Vec<usize>,
    /// How long each load lasts.
    #[arg(long, default_value_t = 5.0)]
    seconds: f32,
    /// How often each is repeated; the results are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How often the way of a write into the read model is timed.
    #[arg(long, default_value_t = 1_000)]
    lag_tries: usize,
    /// Without the rival, though it is there.
    #[arg(long)]
    no_peer: bool,
    /// Only whether it works: a minute, and the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Write bench/RESULTS.md even if --quick.
    #[arg(long)]
    write: bool,
}

/// A measurement by itself.
#[derive(Subcommand, Clone, Copy, Debug)]
enum Only {
    /// What it costs a service to verify an access token: the first time, and from then on.
    VerifyToken,
}

fn main() -> ExitCode {
    let command = command();
    let mut cli = Cli::parse();
    if cli.quick {
        cli = Cli { count: 5_000, seconds: 0.3, rounds: 1, lag_tries: 50, ..cli };
    }
    // On this thread, which lives as long as the process: children are told when the thread that started them ends. It also is all
    // that the load may take of the machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(until_interrupted(&cli, command)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What somebody has to type to do the same.
fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        "make bench".to_owned()
    } else {
        format!("make bench ARGS=\"{}\"", arguments.join(" "))
    }
}

/// What is dropped half-way deletes its database and ends its processes.
async fn until_interrupted(cli: &Cli, command: String) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut asked_to_end = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = run(cli, command) => ended,
        _ = interrupted.recv() => anyhow::bail!("interrupted"),
        _ = asked_to_end.recv() => anyhow::bail!("asked to end"),
    }
}

async fn run(cli: &Cli, command: String) -> Result<()> {
    if let Some(Only::VerifyToken) = cli.only {
        return verify::run(process::now()).await;
    }
    let mut product = Product::start(cli.count).await.context("start the product")?;
    let mut bare = Bare::start(product.database()).await.context("start the bare program")?;
    let mut peer = peer(cli, &product).await;
    let mut programs = vec![product.program().await?, bare.program().await?];
    if let Some(peer) = &mut peer {
        programs.push(peer.program().await?);
    }
    let measured = measure(cli, command, &product, &programs).await;
    if let Some(peer) = peer {
        peer.stop().await?;
    }
    bare.stop().await?;
    product.stop().await;
    let text = measured?.text();
    say(format_args!("\n{text}"));
    if !cli.quick || cli.write {
        let file = local::folder::repository().join("bench/RESULTS.md");
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// The rival, where it is wanted and there. The product is measured all the same where it cannot be had.
async fn peer(cli: &Cli, product: &Product) -> Option<Peer> {
    let folder = programs::peer_folder().filter(|_| !cli.no_peer)?;
    match Peer::start(&folder, product.database(), cli.count).await {
        Ok(peer) => Some(peer),
        Err(error) => {
            say(format_args!("Without the rival, which could not be started: {error:#}"));
            None
        }
    }
}

async fn measure(
    cli: &Cli,
    command: String,
    product: &Product,
    programs: &[Program],
) -> Result<Report> {
    let plan = Plan {
        connections: cli.connections.clone(),
        span: Duration::from_secs_f32(cli.seconds),
        rounds: cli.rounds,
    };
    // Now: somebody may commit while this runs.
    let commit = machine::commit();
    let (servers, postgres) = machine::servers(product.database()).await?;
    product.settle().await?;
    sleep(Duration::from_secs(2)).await;
    let at_rest = memory(programs);
    let others = machine::Others::watch(&servers);
    let product_itself = &programs[0].target;
    let idle = lag::idle(product_itself, cli.lag_tries).await.context("measure the idle lag")?;
    tell("idle", &idle);
    let rows = matrix::run(&plan, product, programs, &servers).await?;
    let busy = lag::busy(product_itself, cli.lag_tries).await.context("measure the busy lag")?;
    tell("100 writes a second", &busy);
    let guesses =
        guesses::measure(product_itself, cli.rounds).await.context("measure wrong sign-ins")?;
    let verify = verify::measure(process::now()).await.context("measure verifying")?;
    let loaded = memory(programs);
    Ok(Report {
        others: others.share(),
        day: process::now().format("%-d %B %Y").to_string(),
        machine: machine::description(),
        commit,
        command,
        postgres,
        count: cli.count,
        plan,
        programs: programs.iter().map(|program| program.name).collect(),
        rows,
        idle,
        busy,
        guesses,
        verify,
        memory: at_rest
            .into_iter()
            .zip(loaded)
            .map(|((program, process, idle), (.., loaded))| (program, process, idle, loaded))
            .collect(),
    })
}

fn tell(when: &str, lag: &Lag) {
    let Lag { p50, p99, longest, .. } = lag;
    say(format_args!(
        "read model after a write, {when}: p50 {p50:.1} p99 {p99:.1} longest {longest:.1} ms"
    ));
}

/// Of each process of each program.
fn memory(programs: &[Program]) -> Vec<(&'static str, String, Memory)> {
    let of = |program: &Program, tree: &Tree| {
        (program.name, tree.name.clone(), usage::memory(std::slice::from_ref(tree)))
    };
    let all = programs
        .iter()
        .flat_map(|program| program.processes.iter().map(move |tree| of(program, tree)));
    all.collect()
}
