//! The opportunities service as a program.

use std::process::ExitCode;

use clap::Parser;
use opportunities::config::{Cli, Command, Task};
use opportunities::consumer::{CONSUMERS, apply_again};
use opportunities::import::workbook::child;
use opportunities::{demo, seed, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let task = match cli.command {
        Command::Run(task) => task,
        Command::ReadWorkbook => return child::run(),
    };
    process::run("opportunities", &cli.telemetry, async |process| match *task {
        Task::Serve(config) => serve::serve(&process, *config).await,
        Task::Migrate(settings) => serve::migrate(&settings, process::now()).await,
        Task::Healthcheck(settings) => process::healthcheck(&settings).await,
        Task::DeadLetters(settings) => {
            events::dead_letters::run(&settings, &CONSUMERS, &apply_again).await
        }
        Task::Demo(settings) => demo::run(&settings, process::now()).await,
        Task::Seed(settings) => seed::run(&settings, process::now()).await,
    })
}
