//! Events told again, doubled and out of order: the same tables.

use analytics::activity::TYPES;
use analytics::reconcile::reconcile;
use chrono::TimeDelta;
use events::Event;
use proto::events::v1::ActivityRecord;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};

use crate::owner;
use crate::support::{AMY, BOB, Deal, World, activity, at, rate};

/// What is done about opportunities up to an id, and about some that are not known; written down, done, put off, deleted and restored.
pub(crate) fn activities(random: &mut StdRng, opportunities: i64) -> Vec<Event> {
    let mut all = Vec::new();
    for id in 1..=40 {
        let created_at = at("2025-03-01T01:00:00Z") + TimeDelta::hours(random.random_range(0..900));
        let mut it = ActivityRecord {
            id,
            opportunity_id: random.random_range(1..=opportunities + 2),
            activity_type: (*TYPES.choose(random).unwrap()).to_owned(),
            created_by: *[AMY, BOB].choose(random).unwrap(),
            owner_id: *[AMY, BOB].choose(random).unwrap(),
            created_at: Some(created_at.into()),
            ..ActivityRecord::default()
        };
        for version in 1..random.random_range(2..7) {
            let now = created_at + TimeDelta::hours(version * 30);
            all.push(activity(version, it.clone()));
            match random.random_range(0..4) {
                0 => it.scheduled_at = Some(now.into()),
                1 => it.completed_at = Some(now.into()),
                2 => it.deleted_at = it.deleted_at.map_or(Some(now.into()), |_| None),
                _ => (*TYPES.choose(random).unwrap()).clone_into(&mut it.activity_type),
            }
        }
    }
    all
}

/// What happens to some opportunities, each in order.
fn lives(random: &mut StdRng) -> Vec<Event> {
    let mut all = Vec::new();
    for id in 1..=30 {
        let owner = if random.random() { AMY } else { BOB };
        let units = random.random_bool(0.9).then(|| random.random_range(0..5_000));
        let (mut deal, events) = Deal::begin(id, owner, units, "2025-03-01T01:00:00Z");
        all.extend(events);
        let mut now = at("2025-03-01T01:00:00Z");
        for _ in 0..random.random_range(0..8) {
            now += TimeDelta::hours(random.random_range(0..2_000));
            deal.later(now);
            all.push(match random.random_range(0..6) {
                0 => deal.change(|it| it.owner_id = if it.owner_id == AMY { BOB } else { AMY }),
                1 => deal.change(|it| {
                    it.deleted_at = it.deleted_at.map_or_else(|| Some(now.into()), |_| None);
                }),
                2 => deal.change(|it| {
                    let other = if it.currency == "TWD" { "USD" } else { "TWD" };
                    other.clone_into(&mut it.currency);
                }),
                3 => deal.change(|it| {
                    let said = [None, Some("commit"), Some("omitted")];
                    it.forecast_category = said.choose(random).unwrap().map(str::to_owned);
                }),
                _ => {
                    let stages = ["lead", "proposal", "won", "lost"];
                    deal.move_to(stages.choose(random).unwrap(), now)
                }
            });
        }
    }
    // One that is won for nobody knows how much.
    let (mut deal, events) = Deal::begin(31, AMY, None, "2025-03-01T01:00:00Z");
    all.extend(events);
    all.push(deal.move_to("won", at("2025-05-01T01:00:00Z")));
    all.extend(activities(random, 30));
    for version in 1..=3 {
        let worth = random.random_range(1..50).to_string();
        all.push(rate(1, version, ("USD", "0001-01-01"), &worth));
    }
    all
}

/// Every derived table as text.
pub(crate) async fn tables(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for table in [
        "exchange_rates",
        "opportunity_facts",
        "stage_move_facts",
        "opportunity_versions",
        "activity_facts",
        "standing_rollup",
        "category_rollup",
        "flow_rollup",
        "unvalued_rollup",
        "loss_rollup",
        "conversion_rollup",
        "stay_rollup",
    ] {
        let sql = format!("select row_to_json(t)::text from {table} t order by 1");
        let rows = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql));
        let rows = rows.fetch_all(&world.state.reads).await.unwrap();
        assert!(!rows.is_empty(), "{table}");
        // 0 and 0.00 are the same amount; all others here are whole.
        all.extend(rows.into_iter().map(|row| format!("{table} {}", row.replace(".00", ""))));
    }
    all
}

#[tokio::test]
async fn events_doubled_and_out_of_order_give_the_same_tables() {
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        let events = lives(&mut random);
        let mut in_order = World::create("everyone").await;
        in_order.tell(events.clone()).await;

        let mut jumbled = World::create("everyone").await;
        let doubled = events.choose_multiple(&mut random, events.len() / 2);
        let mut again: Vec<_> = events.iter().chain(doubled).cloned().collect();
        again.shuffle(&mut random);
        let mut rest = &again[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(random.random_range(1..=rest.len()));
            jumbled.tell(now.to_vec()).await;
            rest = later;
        }
        let (expected, found) = (tables(&in_order).await, tables(&jumbled).await);
        let wrong: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
        let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        assert!(expected == found, "seed {seed}: wrong {wrong:#?}, missing {missing:#?}");
    }
}

#[tokio::test]
async fn rollups_made_anew_are_those_that_were_kept() {
    let mut world = World::create("everyone").await;
    world.tell(lives(&mut StdRng::seed_from_u64(7))).await;
    let kept = tables(&world).await;
    let mut tx = world.state.writes.begin().await.unwrap();
    analytics::projection::remake_rollups(&mut tx, &world.state.settings.get().unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(tables(&world).await, kept);
}

#[tokio::test]
async fn what_was_lost_on_the_way_is_told_again() {
    let events = lives(&mut StdRng::seed_from_u64(11));
    let mut complete = World::create("everyone").await;
    complete.tell(events.clone()).await;
    let owner = owner::having(events.clone()).await;
    assert_eq!(reconcile(&complete.state.writes, &owner).await.unwrap().left, 0);

    let mut incomplete = World::create("everyone").await;
    let some = events.iter().enumerate().filter(|(number, _)| number % 3 != 0);
    incomplete.tell(some.map(|(_, event)| event.clone()).collect()).await;
    assert_ne!(tables(&incomplete).await, tables(&complete).await);
    assert_eq!(reconcile(&incomplete.state.writes, &owner).await.unwrap().left, 0);
    assert_eq!(tables(&incomplete).await, tables(&complete).await);
}
