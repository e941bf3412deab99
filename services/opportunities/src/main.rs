//! The opportunities service as a program.

use std::process::ExitCode;

use clap::Parser;
use opportunities::config::{Cli, Command};
use opportunities::{MIGRATOR, demo, pipeline, seed, serve};
use process::postgres;

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::run("opportunities", &cli.telemetry, async |process| match cli.command {
        Command::Serve(config) => serve::serve(&process, *config).await,
        Command::Migrate(settings) => {
            postgres::migrate(&settings.url, &MIGRATOR).await?;
            let pool = postgres::write_pool(&settings.url, 1, "opportunities")?;
            pipeline::ensure_default(&pool, process::now()).await?;
            Ok(())
        }
        Command::Demo(settings) => demo::run(&settings, process::now()).await,
        Command::Seed(settings) => seed::run(&settings, process::now()).await,
    })
}
