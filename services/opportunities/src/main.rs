//! The opportunities service as a program.

use std::process::ExitCode;

use clap::Parser;
use opportunities::config::{Cli, Command};
use opportunities::{demo, seed, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::run("opportunities", &cli.telemetry, async |process| match cli.command {
        Command::Serve(config) => serve::serve(&process, *config).await,
        Command::Migrate(settings) => serve::migrate(&settings, process::now()).await,
        Command::Demo(settings) => demo::run(&settings, process::now()).await,
        Command::Seed(settings) => seed::run(&settings, process::now()).await,
    })
}
