//! The identity service's process: `identity serve`, `identity migrate`, `identity create-admin`.

use std::process::ExitCode;

use clap::Parser as _;
use identity::config::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::run(identity::SERVICE, &cli.telemetry, async |process| match cli.command {
        Command::Serve(config) => identity::serve(*config, &process).await,
        Command::Migrate(settings) => identity::migrate(&settings.url).await,
        Command::Healthcheck(settings) => process::healthcheck(&settings).await,
        Command::CreateAdmin(wanted) => identity::create_admin(*wanted).await,
    })
}
