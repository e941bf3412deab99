//! Finding opportunities by their text, by how long they stand, and by where they have been.

use auth::{Caller, Role};
use money::Money;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::list::{self, Ask, Filter, Staleness};
use opportunities::opportunity::search::{self, Query};
use opportunities::opportunity::{self, draft::Wish};
use rpc::Invalid;

use crate::support::{ADMIN, World, caller, now, wish};

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

/// What is found, by id.
async fn found(world: &World, filter: Filter) -> Vec<i64> {
    let mut invalid = Invalid::default();
    let sort = list::sort(&mut invalid, Some("created_at"), Some("asc"));
    let ask = Ask { filter: &filter, sort, limit: 50, cursor: None, include_total: true };
    let page = opportunity::list(&world.state, &admin(), &ask).await.unwrap();
    let ids: Vec<_> = page.items.into_iter().map(|it| it.opportunity.id).collect();
    assert_eq!(page.total, i64::try_from(ids.len()).ok());
    ids
}

async fn looked_for(world: &World, q: &str) -> Vec<i64> {
    let mut invalid = Invalid::default();
    let query = Query::parse(&mut invalid, Some(q));
    found(world, Filter { query, ..Filter::default() }).await
}

async fn make(world: &World, customer: &str, name: &str, notes: Option<&str>) -> i64 {
    let wish = Wish {
        customer_name: Some(customer.to_owned()),
        opportunity_name: name.to_owned(),
        notes: notes.map(str::to_owned),
        ..wish()
    };
    world.make(&admin(), wish).await.unwrap().opportunity.id
}

#[tokio::test]
async fn words_are_found_in_name_customer_and_notes_as_they_are_now() {
    let world = World::create("everyone").await;
    let erp = make(&world, "遠東科技", "ERP 系統採購", None).await;
    let crm = make(&world, "Straße 50%", "ＣＲＭ 模組", Some("問 erp 系統的價格\n下週")).await;
    assert_eq!(looked_for(&world, "系統").await, [erp, crm]);
    assert_eq!(looked_for(&world, "統").await, [erp, crm]);
    assert_eq!(looked_for(&world, "遠東科技 系統").await, [erp]);
    assert_eq!(looked_for(&world, "crm STRASSE").await, [crm]);
    assert_eq!(looked_for(&world, "0%").await, [crm]);
    // Pairs that all are there, but not one after the other; and what a pattern would mean.
    assert_eq!(looked_for(&world, "系統採").await, [erp]);
    assert_eq!(looked_for(&world, "購erp").await, [0; 0]);
    assert_eq!(looked_for(&world, "_").await, [0; 0]);
    assert_eq!(looked_for(&world, "價格 模組").await, [crm]);

    let renamed = EditWish {
        opportunity_name: Some(Some("報表".to_owned())),
        customer_name: Some(Some("台北".to_owned())),
        ..EditWish::default()
    };
    world.change(&admin(), (erp, None), renamed).await.unwrap();
    assert_eq!(looked_for(&world, "系統").await, [crm]);
    assert_eq!(looked_for(&world, "台北 報表").await, [erp]);
    world.advance(&admin(), erp, "won").await.unwrap();
    assert_eq!(looked_for(&world, "報表").await, [erp]);
    world.delete(&admin(), erp).await.unwrap();
    assert_eq!(looked_for(&world, "報表").await, [0; 0]);
}

#[tokio::test]
async fn what_was_made_before_there_was_a_search_is_found_once_the_service_has_started() {
    let world = World::create("everyone").await;
    let old = make(&world, "遠東", "系統", None).await;
    world.sql("delete from opportunity_search where opportunity_id = $1", old).await;
    assert_eq!(looked_for(&world, "系統").await, [0; 0]);
    assert_eq!(search::catch_up(&world.state.writes).await.unwrap(), 1);
    assert_eq!(looked_for(&world, "系統").await, [old]);
    assert_eq!(search::catch_up(&world.state.writes).await.unwrap(), 0);
}

#[tokio::test]
async fn those_that_stand_too_long_are_listed_by_the_rule_that_says_so_of_each() {
    let world = World::create("everyone").await;
    world.sql("update stages set rotting_days = $1 where key in ('lead', 'won')", 7).await;
    world.state.load().await.unwrap();
    let mut made = Vec::new();
    for name in ["fresh", "old", "waiting", "won"] {
        made.push(make(&world, "遠東", name, None).await);
    }
    let [fresh, old, waiting, won] = made[..] else { panic!("{made:?}") };
    world.advance(&admin(), won, "won").await.unwrap();
    let tomorrow = now().date_naive() + chrono::Days::new(2);
    let waits = EditWish { waiting_until: Some(Some(tomorrow)), ..EditWish::default() };
    world.change(&admin(), (waiting, None), waits).await.unwrap();
    let back = "update opportunities set stage_entered_at = stage_entered_at - interval '9 days', created_at = created_at - interval '9 days' where id > $1";
    world.sql(back, fresh).await;
    let (pipelines, settings) =
        (world.state.pipelines.get().unwrap(), world.state.settings.get().unwrap());
    let today = opportunity::model::day(now(), settings.zone);
    let stale = |is_wanted| {
        let stale = Staleness::new(is_wanted, &pipelines, today, settings.zone);
        Filter { stale: Some(stale), ..Filter::default() }
    };
    assert_eq!(found(&world, stale(true)).await, [old]);
    let mut others = found(&world, stale(false)).await;
    others.sort_unstable();
    assert_eq!(others, [fresh, waiting, won]);
}

#[tokio::test]
async fn who_has_been_in_a_stage_is_found_though_they_went_on() {
    let world = World::create("everyone").await;
    let (went, stayed) =
        (make(&world, "遠東", "went", None).await, make(&world, "遠東", "stayed", None).await);
    world.advance(&admin(), went, "proposal").await.unwrap();
    world.advance(&admin(), went, "lost").await.unwrap();
    let entered = |key: &str, from| Filter {
        entered: Some((vec![key.to_owned()], (from, None))),
        ..Filter::default()
    };
    assert_eq!(found(&world, entered("proposal", None)).await, [went]);
    assert_eq!(found(&world, entered("lead", None)).await, [went, stayed]);
    let later = now() + chrono::TimeDelta::minutes(1);
    assert_eq!(found(&world, entered("proposal", Some(later))).await, [0; 0]);
}

/// Ids in the order of a list, page by page.
async fn pages(world: &World, q: &str, sort_by: &str, order: &str) -> Vec<(i64, Option<Money>)> {
    let mut invalid = Invalid::default();
    let query = Query::parse(&mut invalid, Some(q));
    let filter = Filter { query, ..Filter::default() };
    let sort = list::sort(&mut invalid, Some(sort_by), Some(order));
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let cursor_text = cursor.as_deref();
        let ask =
            Ask { filter: &filter, sort, limit: 60, cursor: cursor_text, include_total: false };
        let page = opportunity::list(&world.state, &admin(), &ask).await.unwrap();
        assert!(page.items.len() == 60 || page.next_cursor.is_none());
        found.extend(page.items.iter().map(|it| (it.opportunity.id, it.opportunity.amount)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn among_many_words_are_found_however_frequent_they_are_and_in_every_order() {
    let world = World::create("everyone").await;
    let first = make(&world, "遠東", "first", None).await;
    // The nth was made n minutes before; every third, 97th and 700th has a word of its own, and half of them have no amount.
    let many = "insert into opportunities (id, opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, amount, currency, probability,
          weighted_value, owner_id, team_id, products, tags, created_by, created_at, updated_at, stage_entered_at, version)
        select 1000000 + n, concat_ws(' ', 'n', case when n % 3 = 0 then '每三' end, case when n % 97 = 0 then '罕見的' end, case when n % 700 = 0 then '極少' end),
          customer_id, customer_name, pipeline_id, stage_key, status, case when n % 2 = 0 then n % 50 end, currency, probability, null, owner_id, team_id,
          products, tags, created_by, created_at - n * interval '1 minute', updated_at, stage_entered_at, version
        from opportunities, generate_series(1, 1600) n where id = $1";
    world.sql(many, first).await;
    assert_eq!(search::catch_up(&world.state.writes).await.unwrap(), 1_600);
    for (q, every) in [("三", 3), ("罕見", 97), ("極少", 700), ("罕見的 極少", 67_900)] {
        let mut expected: Vec<i64> =
            (1..=1_600).filter(|n| n % every == 0).map(|n| 1_000_000 + n).collect();
        let ids = |found: &[(i64, Option<Money>)]| found.iter().map(|it| it.0).collect::<Vec<_>>();
        assert_eq!(ids(&pages(&world, q, "created_at", "desc").await), expected, "{q}");
        expected.reverse();
        assert_eq!(ids(&pages(&world, q, "created_at", "asc").await), expected, "{q}");
        let by_amount = pages(&world, q, "amount", "desc").await;
        let mut sorted = by_amount.clone();
        sorted.sort_by_key(|(id, amount)| std::cmp::Reverse((*amount, *id)));
        assert_eq!(by_amount, sorted, "{q}");
        sorted.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        assert_eq!(ids(&sorted), expected, "{q}");
    }
}
