//! The bare program, on a database of its own with a copy of the product's rows.

use std::path::Path;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use local::child::command;
use local::folder::Scratch;
use local::provision::Database;
use local::service::Service;
use sqlx::postgres::{PgConnection, PgPoolCopyExt as _};
use sqlx::{Connection as _, PgPool};

use super::product::program;
use super::{Program, book};
use crate::request::Request;
use crate::target::Target;
use crate::usage::Tree;

/// Tables of the bare program, and from which rows of the product each is filled.
const TABLES: [(&str, &str); 4] = [
    ("people (user_id, username)", "select user_id, username from opportunities.people"),
    (
        "stages (key, name, kind, default_probability, ordinal)",
        "select key, name, kind, default_probability, ordinal from opportunities.stages",
    ),
    (
        "opportunities (id, opportunity_name, customer_id, customer_name, contact_id, pipeline_id, stage_key, status, amount, currency, probability, \
         weighted_value, expected_close_date, actual_close_date, lost_reason, owner_id, team_id, products, notes, source, external_id, tags, waiting_until, \
         created_at, updated_at, stage_entered_at, version)",
        "select id, opportunity_name, customer_id, customer_name, contact_id, pipeline_id, stage_key, status, amount, currency, probability, \
         weighted_value, expected_close_date, actual_close_date, lost_reason, owner_id, team_id, products, notes, source, external_id, tags, waiting_until, \
         created_at, updated_at, stage_entered_at, version from opportunities.opportunities order by id",
    ),
    (
        "stage_history (id, opportunity_id, from_stage_key, from_stage, to_stage_key, to_stage, probability, notes, changed_by, changed_at, seconds_in_from_stage)",
        "select id, opportunity_id, from_stage_key, from_stage, to_stage_key, to_stage, probability, notes, changed_by, changed_at, seconds_in_from_stage \
         from opportunities.stage_history order by id",
    ),
];

/// The rollup and the sequences follow from the rows.
const AFTERWARDS: &str = "
    insert into standing_rollup (stage_key, count, total_value, weighted_value, advanced, lost)
    select s.key, count(o.id), coalesce(sum(o.amount), 0), coalesce(sum(o.weighted_value), 0), count(o.id) / 2, count(o.id) / 3
    from stages s left join opportunities o on o.stage_key = s.key group by s.key;
    select setval('opportunities_id_seq', (select max(id) from opportunities));
    select setval('stage_history_id_seq', (select max(id) from stage_history));";

/// The running bare program.
#[derive(Debug)]
pub(crate) struct Bare {
    database: Database,
    gateway: Service,
    service: Service,
    _logs: Scratch,
}

impl Bare {
    /// Copies the product's rows and starts both processes.
    pub(crate) async fn start(of: &Database) -> Result<Self> {
        let database = of.named(&format!("bare_{}", local::random::word(8)));
        database.create().await?;
        match Self::start_on(of, &database).await {
            Ok(bare) => Ok(bare),
            Err(error) => {
                let _ = drop_database(&database).await;
                Err(error)
            }
        }
    }

    async fn start_on(of: &Database, database: &Database) -> Result<Self> {
        fill(of, database).await.context("copy the product's rows")?;
        let logs = Scratch::create()?;
        let log = |name: &str| logs.path().join(name);
        let url = database.superuser_url();
        let service = start(&["service", "--database-url", &url], &log("service")).await?;
        let url = format!("http://{}", service.place.listen);
        let mut gateway = start(&["gateway", "--service-url", &url], &log("gateway")).await?;
        gateway.wait_until_ready(std::time::Duration::from_secs(10)).await?;
        Ok(Self { database: database.clone(), gateway, service, _logs: logs })
    }

    /// The bare program as one to be measured.
    pub(crate) async fn program(&mut self) -> Result<Program> {
        let mut processes = Vec::new();
        for (name, service) in [("gateway", &mut self.gateway), ("service", &mut self.service)] {
            let root = service.child().and_then(|child| child.id());
            let root = root.with_context(|| format!("the bare {name} has ended"))?;
            processes.push(Tree { name: name.to_owned(), root });
        }
        let mut connection = self.database.connect().await?;
        let book = book(
            &mut connection,
            "/readyz",
            [
                "select id from opportunities order by id",
                "select o.id, s.ordinal - 1 from opportunities o join stages s on s.key = o.stage_key where o.status = 'open' order by o.id",
                "select distinct customer_name from opportunities order by 1 limit 500",
            ],
        );
        let book = book.await?;
        connection.close().await?;
        Ok(Program {
            name: "bare",
            target: Target::new(self.gateway.place.listen, None, book).into(),
            processes,
            without: &[
                Request::Forecast,
                Request::Conversion,
                Request::Trend,
                Request::Performance,
            ],
        })
    }

    /// Ends it and deletes its database.
    pub(crate) async fn stop(mut self) -> Result<()> {
        for service in [&mut self.gateway, &mut self.service] {
            if let Some(mut child) = service.take() {
                child.kill().await;
            }
        }
        drop_database(&self.database).await
    }
}

async fn start(arguments: &[&str], log: &Path) -> Result<Service> {
    let mut command = command(&program("bare")?, None, "TERM");
    command.args(arguments);
    Service::start("bare", command, log).await
}

async fn fill(of: &Database, database: &Database) -> Result<()> {
    let mut to = database.connect().await?;
    local::provision::execute(&mut to, include_str!("../bare/schema.sql")).await?;
    let from = PgPool::connect(&of.superuser_url()).await?;
    for (table, rows) in TABLES {
        copy(&from, rows, &mut to, table).await.context(table)?;
    }
    from.close().await;
    local::provision::execute(&mut to, AFTERWARDS).await?;
    local::provision::execute(&mut to, "vacuum (freeze, analyze)").await?;
    Ok(to.close().await?)
}

/// Brings rows from one database into a table of another.
async fn copy(from: &PgPool, rows: &str, to: &mut PgConnection, table: &str) -> Result<()> {
    let out = format!("copy ({rows}) to stdout (format binary)");
    let mut out = from.copy_out_raw(&out).await?;
    let sink = format!("copy {table} from stdin (format binary)");
    let mut sink = to.copy_in_raw(&sink).await?;
    while let Some(chunk) = out.next().await {
        sink.send(chunk?).await?;
    }
    sink.finish().await?;
    Ok(())
}

/// Deletes a database that has no roles of its own, whoever is connected.
pub(super) async fn drop_database(database: &Database) -> Result<()> {
    let mut connection = database.named("postgres").connect().await?;
    let name = local::provision::identifier(database.name());
    let sql = format!("drop database if exists {name} with (force)");
    local::provision::execute(&mut connection, &sql).await
}
