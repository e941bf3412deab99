//! The analytics service as a program.

use std::process::ExitCode;

use analytics::config::{Cli, Command};
use analytics::consumer::{CONSUMERS, apply_again};
use analytics::{MIGRATOR, folder, rebuild, serve, training, verify};
use clap::Parser;
use process::postgres;
use tokio::task::spawn_blocking;

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::run("analytics", &cli.telemetry, async |process| match cli.command {
        Command::Serve(config) => serve::serve(&process, *config).await,
        Command::Migrate(settings) => postgres::migrate(&settings.url, &MIGRATOR).await,
        Command::Healthcheck(settings) => process::healthcheck(&settings).await,
        Command::Rebuild(config) => rebuild::run(*config).await,
        Command::Verify(config) => verify::run(*config).await,
        Command::DeadLetters(settings) => {
            events::dead_letters::run(&settings, &CONSUMERS, &apply_again).await
        }
        Command::Train(config) => training::train_once(*config).await,
        Command::Forecast(arguments) => {
            spawn_blocking(move || folder::forecast(&arguments)).await?
        }
        Command::Backtest(arguments) => {
            spawn_blocking(move || folder::back_test(&arguments)).await?
        }
    })
}
