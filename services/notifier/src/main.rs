//! The notifier service's process: `notifier serve`, `notifier migrate`, `notifier dead-letters`.

use std::process::ExitCode;

use clap::Parser as _;
use notifier::config::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::run(notifier::SERVICE, &cli.telemetry, async |process| match cli.command {
        Command::Serve(config) => notifier::serve(*config, &process).await,
        Command::DeadLetters(config) => notifier::dead_letters(&config).await,
        Command::Migrate(settings) => notifier::migrate(&settings.url).await,
        Command::Healthcheck(settings) => process::healthcheck(&settings).await,
    })
}
