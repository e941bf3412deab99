//! The gateway's process: `gateway serve`.

use std::process::ExitCode;

use clap::Parser as _;
use gateway::config::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::run(gateway::SERVICE, &cli.telemetry, async |process| match cli.command {
        Command::Serve(config) => gateway::serve(&process, *config).await,
        Command::Healthcheck(settings) => process::healthcheck(&settings).await,
        Command::Openapi => gateway::document::print(),
    })
}
