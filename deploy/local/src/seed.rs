//! `local seed`: a large number of opportunities for measurements, written into the database that `local run` uses.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::provision::execute;
use crate::run::while_running;
use crate::stack::Stack;
use crate::{demo, folder, say};

/// Starts the product and fills it.
pub async fn seed(count: u64) -> Result<u8> {
    while_running(async |stack| {
        // With it come the people whose the opportunities are.
        demo::fill(stack, &folder::base()?).await?;
        stack.seed(count).await
    })
    .await
}

impl Stack {
    /// Writes opportunities with their past straight into the tables, and has analytics made anew from them. What they say goes to
    /// our standard error.
    pub async fn seed(&mut self, count: u64) -> Result<()> {
        let begun = Instant::now();
        // It writes where the service would give out numbers.
        self.terminate("opportunities").await;
        self.show("opportunities", &["seed", "--count", &count.to_string()]).await?;
        self.restart("opportunities").await?;
        self.show("analytics", &["rebuild"]).await?;
        // The planner knows nothing of so many new rows, and only owners may tell it.
        let mut connection = self.database().connect().await?;
        execute(&mut connection, "analyze").await?;
        say(format_args!("{count} opportunities in {:.0} s", begun.elapsed().as_secs_f32()));
        Ok(())
    }

    async fn show(&self, service: &str, arguments: &[&str]) -> Result<()> {
        let what = format!("{service} {}", arguments.join(" "));
        let mut command = self.command(service, arguments)?;
        let status = command
            .env("LOG_FORMAT", "text")
            .status()
            .await
            .with_context(|| format!("run {what}"))?;
        ensure!(status.success(), "{what} failed ({status})");
        Ok(())
    }
}
