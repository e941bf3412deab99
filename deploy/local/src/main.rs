//! The launcher as a program: `local run`, `local with-servers -- …` and what the Makefile needs besides.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs the whole product on this machine.
#[derive(Parser, Debug)]
#[command(name = "local")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start everything on this machine and run until Ctrl-C.
    Run,
    /// Run a command with throw-away servers, which it finds in TEST_POSTGRES_URL and TEST_NATS_URL.
    WithServers {
        /// With servers that sync to disk, as in production: for measurements.
        #[arg(long)]
        durable: bool,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Write many opportunities for measurements, and make analytics anew from them.
    Seed {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        count: u64,
    },
    /// Check every SQL statement against a migrated database and write down what builds without one need.
    Prepare {
        /// Only say whether what is written down is true.
        #[arg(long)]
        check: bool,
    },
    /// Run a tool for developers (buf, cargo-deny) that is fetched and pinned by hash.
    Tool {
        /// Which.
        name: String,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Delete the local database, the broker's store, logs and secrets. Fetched programs stay.
    CleanData,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // On this thread, which lives as long as the process: children are told when the thread that started them ends.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended =
        runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(cli.command)));
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            local::say(format_args!("local: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Run => local::run::run().await,
        Command::Seed { count } => local::seed::seed(count).await,
        Command::Prepare { check } => local::prepare::prepare(check).await,
        Command::Tool { name, arguments } => local::tools::run(&name, &arguments).await,
        Command::CleanData => local::run::clean(),
        Command::WithServers { durable, command } => {
            local::servers::run_with(&command, durable).await
        }
    }
}
