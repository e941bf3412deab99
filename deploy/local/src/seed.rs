//! `local seed`: a large number of opportunities for measurements, into the product that runs, or started for it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::child::bound;
use crate::run::{Running, running, while_running};
use crate::{say, settings};

/// Writes them and has analytics made anew from them.
pub async fn seed(count: u64) -> Result<u8> {
    match running()? {
        Some(it) => {
            fill(count, |service| {
                let mut command = program(&it, service);
                command.envs(settings::only_in_file());
                command.envs(it.environment.get(service).into_iter().flatten());
                command
            })
            .await?;
            Ok(0)
        }
        None => {
            while_running(async |stack| {
                let it = Running {
                    programs: crate::stack::programs()?,
                    environment: std::collections::BTreeMap::new(),
                };
                fill(count, |service| {
                    let mut command = program(&it, service);
                    command.envs(settings::only_in_file()).envs(stack.environment(service));
                    command
                })
                .await
            })
            .await
        }
    }
}

fn program(running: &Running, service: &str) -> Command {
    bound(&running.programs.join(service) as &Path, None, "TERM")
}

async fn fill(count: u64, command: impl Fn(&str) -> Command) -> Result<()> {
    let begun = Instant::now();
    let count = count.to_string();
    for (service, arguments) in
        [("opportunities", &["seed", "--count", &count][..]), ("analytics", &["rebuild"])]
    {
        let mut command = command(service);
        command.env("LOG_FORMAT", "text").args(arguments);
        let status = command.status().await.with_context(|| format!("run {service}"))?;
        anyhow::ensure!(status.success(), "{service} {} failed ({status})", arguments.join(" "));
    }
    say(format_args!("{count} opportunities after {:.0} s", begun.elapsed().as_secs_f32()));
    Ok(())
}
