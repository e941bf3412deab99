//! The product, as the launcher starts it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use local::{SERVICES, Stack, StackOptions};
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use super::{Program, book};
use crate::target::Target;
use crate::usage::Tree;

/// How long analytics may take until it has all that was written.
const PATIENCE: Duration = Duration::from_mins(5);

/// The running product with its opportunities.
#[derive(Debug)]
pub(crate) struct Product {
    stack: Stack,
}

impl Product {
    /// Starts it, and writes that many opportunities.
    pub(crate) async fn start(count: u64) -> Result<Self> {
        let stack = Stack::start(StackOptions::default()).await?;
        let secrets = stack.secrets();
        let settings = [
            ("ADMIN_EMAIL", secrets.admin_email.as_str()),
            ("ADMIN_PASSWORD", &secrets.admin_password),
            ("DEMO_PASSWORD", &secrets.demo_password),
        ];
        // The people who sell, without any opportunity.
        let answer = stack.run_with("opportunities", &["demo", "--count", "0"], &settings).await?;
        local::stack::succeeded("opportunities", "demo", &answer)?;
        let product = Self { stack };
        // What was told of the people must be known before there is somebody to sell.
        product.settle().await?;
        let Self { mut stack } = product;
        stack.seed(count).await?;
        let mut connection = stack.database().connect().await?;
        local::provision::execute(&mut connection, "vacuum (freeze, analyze)").await?;
        connection.close().await?;
        Ok(Self { stack })
    }

    /// The product as a program to be measured.
    pub(crate) async fn program(&mut self) -> Result<Program> {
        let mut processes = Vec::new();
        for service in ["gateway"].iter().chain(&SERVICES) {
            let ids = self.stack.process_ids(service).into_iter();
            processes.extend(ids.map(|root| Tree { name: (*service).to_owned(), root }));
        }
        let url = self.stack.base_url();
        let address: SocketAddr =
            url.trim_start_matches("http://").parse().context("the gateway's address")?;
        let mut connection = self.stack.database().connect().await?;
        let book = book(
            &mut connection,
            "/healthz",
            [
                "select id from opportunities.opportunities order by id",
                "select o.id, s.ordinal - 1 from opportunities.opportunities o
                 join opportunities.stages s on s.pipeline_id = o.pipeline_id and s.key = o.stage_key
                 where o.status = 'open' order by o.id",
                "select name from opportunities.customers order by id limit 500",
            ],
        );
        let book = book.await?;
        connection.close().await?;
        let secrets = self.stack.secrets();
        let account = (secrets.admin_email.clone(), secrets.admin_password.clone());
        Ok(Program {
            name: "product",
            target: Target::new(address, Some(account), book).into(),
            processes,
            without: &[],
        })
    }

    /// Waits until every service has what the others told, and tells how long that took.
    pub(crate) async fn settle(&self) -> Result<Duration> {
        let begun = Instant::now();
        let mut connection = self.stack.database().connect().await?;
        while !is_settled(&mut connection).await? {
            ensure!(begun.elapsed() < PATIENCE, "the services do not come to rest");
            sleep(Duration::from_millis(5)).await;
        }
        connection.close().await?;
        Ok(begun.elapsed())
    }

    /// The database that it is on.
    pub(crate) fn database(&self) -> &local::provision::Database {
        self.stack.database()
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        self.stack.stop().await;
    }
}

/// Whether nothing is left to publish and every consumer stands at the end of its source.
async fn is_settled(connection: &mut PgConnection) -> Result<bool> {
    let settled = sqlx::query_scalar(
        "with ends as (
           select 'identity' as source, coalesce(max(position), 0) as position from identity.change_position
           union all select 'opportunities', coalesce(max(position), 0) from opportunities.change_position
         ), places as (
           select source, position from opportunities.inbox
           union all select source, position from analytics.inbox
           union all select source, position from notifier.inbox
         )
         select not exists (select from identity.outbox) and not exists (select from opportunities.outbox)
            and not exists (select from places join ends using (source) where places.position < ends.position)
            and (select count(*) from places where source = 'identity') >= 3",
    );
    Ok(settled.fetch_one(connection).await?)
}

/// A program of the product's, or one built beside it.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    let path = local::stack::programs()?.join(name);
    ensure!(path.is_file(), "{name} is not built: `cargo build --workspace --bins`");
    Ok(path)
}
