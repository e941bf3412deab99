//! What a version before wrote beside this one, and left out, is made anew.

use std::time::Duration;

use analytics::form::{FORM, Renewal, run};
use events::Record;
use process::Secret;
use proto::events::v1::{SettingsRecord, TeamRecord};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::owner;
use crate::support::{AMY, Deal, TEAM, World, now, told};

/// What is derived of events, and how, when [`FORM`] was this.
const TABLES: (i32, &str) = (1, include_str!("derived_tables.txt"));

async fn form(world: &World) -> i32 {
    let form = "select form from progress";
    sqlx::query_scalar(form).fetch_one(&world.state.reads).await.unwrap()
}

async fn set(world: &World, form: i32) {
    let set = sqlx::query("update progress set form = $1").bind(form);
    set.execute(&world.state.writes).await.unwrap();
}

async fn renewal(world: &World) -> Renewal {
    Renewal {
        pool: world.state.writes.clone(),
        database_url: Secret::from(world.database.url.clone()),
        identity: owner::having(world.log.clone()).await,
        opportunities: owner::having(world.log.clone()).await,
    }
}

/// The facts, and the sums of what happened.
async fn facts(world: &World) -> Vec<String> {
    let sql = "select row_to_json(t)::text from opportunity_facts t union all
        select row_to_json(t)::text from flow_rollup t order by 1";
    sqlx::query_scalar(sql).fetch_all(&world.state.reads).await.unwrap()
}

/// As it is where the version before filled neither a column nor sums that it does not know.
async fn leave_out(world: &World) {
    for forget in ["update opportunity_facts set customer_name = null", "delete from flow_rollup"] {
        sqlx::query(forget).execute(&world.state.writes).await.unwrap();
    }
    set(world, FORM - 1).await;
}

#[tokio::test]
async fn what_a_version_before_left_out_is_made_anew_once() {
    let mut world = World::create("everyone").await;
    let (mut deal, events) = Deal::begin(1, AMY, Some(100), "2025-11-18T01:00:00Z");
    world.tell(events).await;
    assert_eq!(form(&world).await, FORM);
    let whole = facts(&world).await;
    leave_out(&world).await;
    let renewal = renewal(&world).await;
    assert!(renewal.renew().await.unwrap());
    assert_eq!((facts(&world).await, form(&world).await), (whole, FORM));
    assert!(!renewal.renew().await.unwrap(), "once");

    // What this version applies afterwards makes nothing whole that is not.
    set(&world, FORM - 1).await;
    world.tell(vec![deal.change(|it| "甲公司".clone_into(&mut it.customer_name))]).await;
    assert_eq!(form(&world).await, FORM - 1);
}

#[tokio::test]
async fn the_process_that_applies_makes_anew_and_no_other() {
    let mut world = World::create("everyone").await;
    world.tell(Deal::begin(1, AMY, Some(100), "2025-11-18T01:00:00Z").1).await;
    let whole = facts(&world).await;
    leave_out(&world).await;
    let left_out = facts(&world).await;
    let (applies, hears_applies) = watch::channel(false);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(renewal(&world).await, hears_applies, shutdown.clone()));
    tokio::task::yield_now().await;
    assert_eq!(facts(&world).await, left_out);
    applies.send_replace(true);
    let made = async {
        while form(&world).await < FORM {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), made).await.unwrap();
    assert_eq!(facts(&world).await, whole);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn whatever_this_version_writes_beside_a_later_one_is_told_to_that() {
    let mut world = World::create("everyone").await;
    let (mut deal, events) = Deal::begin(1, AMY, Some(100), "2025-11-18T01:00:00Z");
    world.tell(events).await;
    set(&world, FORM + 1).await;
    world.tell(vec![deal.change(|it| "甲公司".clone_into(&mut it.customer_name))]).await;
    assert_eq!(form(&world).await, FORM, "events of opportunities");

    set(&world, FORM + 1).await;
    let renamed = TeamRecord { id: TEAM, name: "North".to_owned(), ..TeamRecord::default() };
    world.learn(&[told(9, Record::Team(renamed))]).await;
    assert_eq!(form(&world).await, FORM, "events of identity");

    set(&world, FORM + 1).await;
    let elsewhere = SettingsRecord {
        time_zone: "America/New_York".to_owned(),
        default_currency: "TWD".to_owned(),
        visibility: "everyone".to_owned(),
        fiscal_year_start: 1,
        ..SettingsRecord::default()
    };
    world.learn(&[told(2, Record::Settings(elsewhere))]).await;
    assert_eq!(form(&world).await, FORM, "days of another zone");

    set(&world, FORM + 1).await;
    let take =
        async || analytics::snapshot::take_missing(&world.state.writes, now()).await.unwrap();
    assert!(take().await > 0);
    assert_eq!(form(&world).await, FORM, "days gone by");
    set(&world, FORM + 1).await;
    assert_eq!(take().await, 0);
    assert_eq!(form(&world).await, FORM + 1, "where nothing is written, nothing is told");
}

#[tokio::test]
async fn whoever_derives_more_raises_the_form() {
    let world = World::create("everyone").await;
    let sql = "select table_name || ': ' || string_agg(column_name, ' ' order by column_name)
        from information_schema.columns join information_schema.tables using (table_schema, table_name)
        where table_schema = current_schema() and table_type = 'BASE TABLE' and table_name = any($1)
        group by table_name order by table_name";
    let names: Vec<_> = TABLES.1.lines().filter_map(|it| Some(it.split_once(':')?.0)).collect();
    let found = sqlx::query_scalar::<_, String>(sql).bind(&names);
    let found = found.fetch_all(&world.state.reads).await.unwrap();
    let written: Vec<_> = TABLES.1.lines().collect();
    assert_eq!(
        (FORM, &found[..]),
        (TABLES.0, &written.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
        "raise FORM, and write the columns and the form down here"
    );
}
