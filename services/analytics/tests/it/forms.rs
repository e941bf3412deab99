//! What a version before wrote beside this one, and left out, is made anew.

use analytics::form::{FORM, renew};
use analytics::owners::Owner;
use events::Record;
use proto::events::v1::SettingsRecord;

use crate::owner;
use crate::support::{AMY, Deal, World, told};

async fn form(world: &World) -> i32 {
    let form = "select form from progress";
    sqlx::query_scalar(form).fetch_one(&world.state.reads).await.unwrap()
}

async fn set(world: &World, form: i32) {
    let set = sqlx::query("update progress set form = $1").bind(form);
    set.execute(&world.state.writes).await.unwrap();
}

async fn owners(world: &World) -> (Owner, Owner) {
    (owner::having(world.log.clone()).await, owner::having(world.log.clone()).await)
}

#[tokio::test]
async fn what_a_version_before_left_out_is_made_anew_once() {
    let mut world = World::create("everyone").await;
    let (mut deal, events) = Deal::begin(1, AMY, Some(100), "2025-11-18T01:00:00Z");
    world.tell(events).await;
    assert_eq!(form(&world).await, FORM);
    let whole = facts(&world).await;
    // As it is where the version before filled neither a column nor sums that it does not know.
    for forget in ["update opportunity_facts set customer_name = null", "delete from flow_rollup"] {
        sqlx::query(forget).execute(&world.state.writes).await.unwrap();
    }
    set(&world, FORM - 1).await;
    let mut connection = world.state.writes.acquire().await.unwrap();
    let (people, deals) = owners(&world).await;
    assert!(renew(&mut connection, &people, &deals).await.unwrap());
    assert_eq!((facts(&world).await, form(&world).await), (whole, FORM));
    assert!(!renew(&mut connection, &people, &deals).await.unwrap(), "once");

    // What this version applies afterwards makes nothing whole that is not.
    set(&world, FORM - 1).await;
    world.tell(vec![deal.change(|it| "甲公司".clone_into(&mut it.customer_name))]).await;
    assert_eq!(form(&world).await, FORM - 1);
}

/// The facts, and the sums of what happened.
async fn facts(world: &World) -> Vec<String> {
    let sql = "select row_to_json(t)::text from opportunity_facts t union all
        select row_to_json(t)::text from flow_rollup t order by 1";
    sqlx::query_scalar(sql).fetch_all(&world.state.reads).await.unwrap()
}

#[tokio::test]
async fn whatever_this_version_writes_beside_a_later_one_is_told_to_that() {
    let mut world = World::create("everyone").await;
    let (mut deal, events) = Deal::begin(1, AMY, Some(100), "2025-11-18T01:00:00Z");
    world.tell(events).await;
    set(&world, FORM + 1).await;
    world.tell(vec![deal.change(|it| "甲公司".clone_into(&mut it.customer_name))]).await;
    assert_eq!(form(&world).await, FORM, "events");

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
    analytics::snapshot::take_missing(&world.state.writes, crate::support::now()).await.unwrap();
    assert_eq!(form(&world).await, FORM, "days gone by");
}
