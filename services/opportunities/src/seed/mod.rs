//! The generator of large books: source, history and change log written by COPY, by the same rules as everything else.

mod copy;
pub mod tale;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use events::{Actor, Origin};
use process::{Work, postgres};
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::access::model::Sight;
use crate::config::Seed;
use crate::currency::model::Exchange;
use crate::directory::model::Settings;
use crate::lost_reason::model::LostReasons;
use crate::meta::Meta;
use crate::opportunity::model::{Moment, Opportunity, Step};
use crate::opportunity::past::{Story, Turn, relive};
use crate::opportunity::search::Indexed;
use crate::pipeline::model::{Kind, Pipeline};
use crate::{customer, directory, pipeline};
use copy::{Binary, Text};
use tale::{Cast, Tale, customer_name, tell};

/// How many opportunities go into one round of COPY.
const ROUND: u64 = 20_000;
const CUSTOMERS: usize = 2_000;
/// For how long it is waited for a service that has just ended.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);

/// Those who sell, as id and team.
type Owners = Vec<(i64, Option<i64>)>;

/// What stays the same for all tales.
#[derive(Clone)]
struct World {
    pipeline: Pipeline,
    settings: Settings,
    owners: Owners,
    customers: Vec<(i64, String)>,
    meta: Meta,
    random_seed: u64,
    count: u64,
}

/// Ids reserved for a round.
struct Ids {
    opportunities: i64,
    history: i64,
    changes: i64,
    positions: i64,
}

/// Adds opportunities with their past. The service must not run: positions are the relay's to give, and this stands in for it.
pub fn run(settings: &Seed, now: DateTime<Utc>) -> Work<'_> {
    Box::pin(async move {
        let pool = postgres::write_pool(&settings.database.url, 4, "opportunities-seed")?;
        let lock = events::lock::key("relay", "opportunities");
        let url = settings.database.url.expose();
        // A service that has just ended may still be connected for PostgreSQL.
        let deadline = Instant::now() + LEAVES_WITHIN;
        let mut connection = loop {
            if let Some(connection) = events::lock::try_hold(url, lock).await? {
                break connection;
            }
            if Instant::now() > deadline {
                bail!("the opportunities service is running on this database; stop it first");
            }
            sleep(Duration::from_millis(50)).await;
        };
        let world = world(&pool, settings, now).await?;
        let mut done = 0;
        let mut next = tokio::task::spawn_blocking({
            let world = world.clone();
            let range = 0..ROUND.min(settings.count);
            move || lives(&world, range)
        });
        while done < settings.count {
            let stories = next.await??;
            let start = done + ROUND.min(settings.count - done);
            let end = settings.count.min(start + ROUND);
            next = tokio::task::spawn_blocking({
                let world = world.clone();
                move || lives(&world, start..end)
            });
            write(&pool, &mut connection, stories).await?;
            done = start;
            info!(done, of = settings.count, "opportunities written");
        }
        next.await??;
        Ok(())
    })
}

async fn world(pool: &PgPool, settings: &Seed, now: DateTime<Utc>) -> Result<World> {
    let pipelines = pipeline::all(pool).await?;
    let pipeline = pipelines.default_one().context("there is no pipeline; run migrate")?.clone();
    let known = directory::store::settings(pool).await?;
    let owners = directory::store::sellers(pool).await?;
    let settings_known =
        known.context("the organisation's settings are not known yet; start the product once")?;
    if owners.is_empty() {
        bail!("there is nobody who sells; start the product with its demonstration once");
    }
    let meta = Meta {
        actor: Actor::Service("opportunities".to_owned()),
        origin: Origin::Seed,
        recorded_at: now,
        request_id: "seed".to_owned(),
        traceparent: String::new(),
    };
    let mut customers = Vec::with_capacity(CUSTOMERS);
    let mut tx = pool.begin().await?;
    for index in 0..CUSTOMERS {
        let mut changes = Vec::new();
        let (name, by) = (customer_name(index), owners[0].0);
        let customer =
            customer::find_or_create(&mut tx, &name, &Sight::All, by, now, &meta, &mut changes)
                .await?;
        events::outbox::append(&mut tx, &changes).await?;
        customers.push((customer.id, customer.name));
    }
    tx.commit().await?;
    let (random_seed, count) = (settings.random_seed, settings.count);
    let settings = settings_known;
    Ok(World { pipeline, settings, owners, customers, meta, random_seed, count })
}

/// Lives a range of tales by the rules, with ids that are filled in when they are written.
fn lives(world: &World, range: Range<u64>) -> Result<Vec<Story>> {
    let cast = Cast { owners: world.owners.len(), customers: world.customers.len() };
    range
        .map(|index| {
            let now = world.meta.recorded_at;
            live(world, tell(world.random_seed, index, world.count, cast, now))
        })
        .collect()
}

fn live(world: &World, tale: Tale) -> Result<Story> {
    let (owner_id, team_id) = world.owners[tale.owner];
    let (customer_id, customer_name) = world.customers[tale.customer].clone();
    let first = world.pipeline.first().context("a pipeline without stages")?;
    let beginning = Opportunity {
        id: 0,
        opportunity_name: tale.name,
        customer_id,
        customer_name,
        contact_id: None,
        pipeline_id: world.pipeline.id,
        stage_key: String::new(),
        status: Kind::Open,
        amount: tale.amount,
        currency: world.settings.default_currency.clone(),
        closed_amount: None,
        closed_rate: None,
        probability: 0,
        expected_close_date: Some(tale.expected_close_date),
        actual_close_date: None,
        lost_reason: None,
        owner_id,
        team_id,
        products: tale.products,
        notes: tale.notes,
        source: Some(tale.source.to_owned()),
        external_id: None,
        tags: Vec::new(),
        waiting_until: None,
        forecast_category: None,
        line_items: Vec::new(),
        custom_fields: BTreeMap::new(),
        created_by: owner_id,
        created_at: tale.created_at,
        updated_at: tale.created_at,
        stage_entered_at: tale.created_at,
        deleted_at: None,
        version: 0,
    };
    let turns = tale.moves.into_iter().map(|it| {
        let stage = world.pipeline.stage(it.stage).context("a stage of the tale is missing")?;
        let step = Step {
            probability: it.probability,
            notes: it.notes.map(str::to_owned),
            lost_reason: it.lost_reason.map(str::to_owned),
            actual_close_date: None,
        };
        Ok(Turn { stage, at: it.at, by: owner_id, step })
    });
    let turns = turns.collect::<Result<Vec<_>>>()?;
    let exchange = Exchange::of(&world.settings.default_currency);
    let (at, zone, lost_reasons) = (tale.created_at, world.settings.zone, &LostReasons::default());
    let moment = Moment { at, by: owner_id, zone, exchange: &exchange, lost_reasons };
    relive(beginning, &world.pipeline, first, None, turns, &[], &moment, &world.meta)
        .map_err(|invalid| anyhow::anyhow!("a tale breaks the rules: {invalid:?}"))
}

async fn write(
    pool: &PgPool,
    connection: &mut PgConnection,
    mut stories: Vec<Story>,
) -> Result<()> {
    let changes: usize = stories.iter().map(|story| story.changes.len()).sum();
    let history: usize = stories.iter().map(|story| story.history.len()).sum();
    let ids = reserve(connection, stories.len(), history, changes).await?;
    number(&mut stories, &ids);
    let Rows { opportunities, search, history, changes, positions } =
        tokio::task::spawn_blocking(move || rows(&stories, &ids)).await?;
    let mut tx = pool.begin().await?;
    for (statement, rows) in [
        (
            "copy opportunities (id, opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, amount, currency, closed_amount, probability, weighted_value, expected_close_date, actual_close_date, lost_reason, owner_id, team_id, products, notes, source, created_by, created_at, updated_at, stage_entered_at, version) from stdin",
            opportunities,
        ),
        ("copy opportunity_search (opportunity_id, folded, grams, created_at) from stdin", search),
        (
            "copy stage_history (id, opportunity_id, from_stage_key, from_stage, to_stage_key, to_stage, probability, notes, changed_by, changed_at, seconds_in_from_stage) from stdin",
            history,
        ),
        (
            "copy change (change_id, event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id, actor_service, origin, request_id, payload) from stdin (format binary)",
            changes,
        ),
        ("copy change_position (position, change_id) from stdin", positions),
    ] {
        let mut copy = tx.copy_in_raw(statement).await?;
        copy.send(rows).await?;
        copy.finish().await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Takes ids out of the sequences, and the positions after the last.
async fn reserve(
    connection: &mut PgConnection,
    opportunities: usize,
    history: usize,
    changes: usize,
) -> Result<Ids> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (opportunities, history, changes, positions): (i64, i64, i64, i64) = sqlx::query_as(
        "select (select min(nextval('opportunities_id_seq')) from generate_series(1, $1)),
                (select min(nextval('stage_history_id_seq')) from generate_series(1, $2)),
                (select min(nextval('change_change_id_seq')) from generate_series(1, $3)),
                (select coalesce(max(position), 0) + 1 from change_position)",
    )
    .bind(count(opportunities))
    .bind(count(history))
    .bind(count(changes))
    .fetch_one(connection)
    .await?;
    Ok(Ids { opportunities, history, changes, positions })
}

/// Gives every opportunity and history row its id, also in what is told of it.
fn number(stories: &mut [Story], ids: &Ids) {
    let mut history_id = ids.history;
    for (story, id) in stories.iter_mut().zip(ids.opportunities..) {
        story.opportunity.id = id;
        let mut rows = story.history.iter_mut();
        for change in &mut story.changes {
            change.aggregate_id = id;
            if let events::Record::Opportunity(record) = &mut change.record {
                record.id = id;
            }
            if let (Some(told), Some(row)) = (&mut change.stage_move, rows.next()) {
                (told.history_id, row.id) = (history_id, history_id);
                history_id += 1;
            }
        }
    }
}

/// What a round of COPY sends, a table each.
struct Rows {
    opportunities: Vec<u8>,
    search: Vec<u8>,
    history: Vec<u8>,
    changes: Vec<u8>,
    positions: Vec<u8>,
}

fn rows(stories: &[Story], ids: &Ids) -> Rows {
    let (mut opportunities, mut history) = (Text::default(), Text::default());
    let mut search = Text::default();
    let (mut changes, mut positions) = (Binary::new(), Text::default());
    let mut next = (ids.changes..).zip(ids.positions..);
    for story in stories {
        opportunity(&mut opportunities, &story.opportunity);
        let indexed = Indexed::of(&story.opportunity);
        search.row(|row| {
            row.int(story.opportunity.id);
            row.text(&indexed.folded);
            row.list(&indexed.grams);
            row.at(story.opportunity.created_at);
        });
        for moved in &story.history {
            history.row(|row| {
                row.int(moved.id);
                row.int(story.opportunity.id);
                row.text_or_null(moved.from.as_ref().map(|from| &*from.0));
                row.text_or_null(moved.from.as_ref().map(|from| &*from.1));
                row.text(&moved.to.0);
                row.text(&moved.to.1);
                row.int(moved.probability);
                row.text_or_null(moved.notes.as_deref());
                row.int(moved.changed_by);
                row.at(moved.changed_at);
                row.int_or_null(moved.seconds_in_from_stage);
            });
        }
        for (change, (change_id, position)) in story.changes.iter().zip(&mut next) {
            let it = events::encode(change);
            changes.row(13);
            changes.int(change_id);
            changes.bytes(it.event_id.as_bytes());
            changes.bytes(it.aggregate.as_bytes());
            changes.int(it.aggregate_id);
            changes.int(it.version);
            changes.bytes(it.event_type.as_bytes());
            changes.at(it.occurred_at);
            changes.at(it.recorded_at);
            changes.null();
            changes.bytes(it.actor_service.as_deref().unwrap_or_default().as_bytes());
            changes.bytes(it.origin.as_bytes());
            changes.bytes(it.request_id.as_bytes());
            changes.bytes(&it.payload);
            positions.row(|row| {
                row.int(position);
                row.int(change_id);
            });
        }
    }
    Rows {
        opportunities: opportunities.into_bytes(),
        search: search.into_bytes(),
        history: history.into_bytes(),
        changes: changes.into_bytes(),
        positions: positions.into_bytes(),
    }
}

fn opportunity(out: &mut Text, it: &Opportunity) {
    out.row(|row| {
        row.int(it.id);
        row.text(&it.opportunity_name);
        row.int(it.customer_id);
        row.text(&it.customer_name);
        row.int(it.pipeline_id);
        row.text(&it.stage_key);
        row.text(it.status.as_str());
        row.money(it.amount);
        row.text(&it.currency);
        row.money(it.closed_amount);
        row.int(it.probability);
        row.money(it.weighted_value());
        row.day(it.expected_close_date);
        row.day(it.actual_close_date);
        row.text_or_null(it.lost_reason.as_deref());
        row.int(it.owner_id);
        row.int_or_null(it.team_id);
        row.list(&it.products);
        row.text_or_null(it.notes.as_deref());
        row.text_or_null(it.source.as_deref());
        row.int(it.created_by);
        row.at(it.created_at);
        row.at(it.updated_at);
        row.at(it.stage_entered_at);
        row.int(it.version);
    });
}
