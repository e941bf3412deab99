//! Customers as records: other names, deleting and bringing back, lists, likely duplicates.

use std::sync::Arc;

use auth::{Caller, Role};
use futures::future::join_all;
use opportunities::customer;
use opportunities::customer::duplicates;
use opportunities::customer::list::{self, Ask, Filter};
use opportunities::customer::model::{Customer, Draft, Edit, Likeness};
use opportunities::opportunity;
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::search::Query;
use rpc::{Error, Invalid};

use crate::support::{ADMIN, World, caller, event, meta, person, wish};

const AMY: i64 = 1;

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, None)
}

async fn world() -> Arc<World> {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", None))]).await;
    Arc::new(world)
}

fn for_customer(id: i64) -> Wish {
    Wish { customer_name: None, customer_id: Some(id), ..wish() }
}

async fn listed(world: &World, filter: &Filter, sort_by: &str, limit: usize) -> Vec<Customer> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let sort = list::sort(&mut Invalid::default(), Some(sort_by), None);
        let ask = Ask { filter, sort, limit, cursor: cursor.as_deref() };
        let (page, next) = list::page(&world.state, &admin(), &ask).await.unwrap();
        assert!(page.len() <= limit && (next.is_none() || page.len() == limit));
        all.extend(page);
        match next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

#[tokio::test]
async fn however_many_opportunities_a_customer_has_each_carries_its_new_name_and_tells_of_it() {
    let world = world().await;
    let first = world.sale(&amy()).await.opportunity;
    let deleted = world.sale(&amy()).await.opportunity.id;
    world.delete(&amy(), deleted).await.unwrap();
    world
        .sql(
            "insert into opportunities (opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, currency, probability,
                owner_id, team_id, created_by, created_at, updated_at, stage_entered_at, version)
             select 'x', customer_id, customer_name, pipeline_id, 'lead', 'open', 'TWD', 10, owner_id, team_id, created_by, created_at, updated_at, created_at, 5
             from opportunities, generate_series(1, 1200) where id = $1",
            first.id,
        )
        .await;
    world.rename(first.customer_id, "ABC 公司").await.unwrap();

    let counted: (i64, i64) = sqlx::query_as(
        "select count(*) filter (where customer_name = 'ABC 公司' and version = 6), count(*) filter (where customer_name <> 'ABC 公司') from opportunities",
    )
    .fetch_one(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(counted, (1200, 0));
    let told: i64 = sqlx::query_scalar(
        "select count(*) from change where type = 'opportunity.updated' and actor_user_id = $1",
    )
    .bind(ADMIN)
    .fetch_one(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(told, 1202);
    let after = world.find(first.id).await;
    assert_eq!((after.customer_name.as_str(), after.version), ("ABC 公司", 2));
    assert_eq!(after.stage_entered_at, first.stage_entered_at);
    let found = async |q: &str| {
        let text = Query::parse(&mut Invalid::default(), Some(q));
        let filter = opportunity::list::Filter { query: text, ..Default::default() };
        let sort = opportunity::list::sort(&mut Invalid::default(), None, None);
        let (limit, cursor) = (1, None);
        let ask =
            opportunity::list::Ask { filter: &filter, sort, limit, cursor, include_total: true };
        opportunity::list(&world.state, &admin(), &ask).await.unwrap().total
    };
    assert_eq!((found("abc").await, found("xyz").await), (Some(1201), Some(0)));
    // What is so already changes nothing.
    assert_eq!(world.rename(first.customer_id, "ABC 公司").await.unwrap().version, 2);
}

#[tokio::test]
async fn whoever_creates_while_a_customer_is_called_something_else_has_the_right_name_copied() {
    let world = world().await;
    let id = world.customer(Draft::of("old")).await.id;
    let creations = (0..20).map(|_| {
        let world = Arc::clone(&world);
        async move { world.make(&amy(), for_customer(id)).await.unwrap() }
    });
    let renames = async {
        for number in 0..10 {
            world.rename(id, &format!("name {number}")).await.unwrap();
        }
    };
    tokio::join!(join_all(creations), renames);
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from opportunities o join customers c on c.id = o.customer_id where o.customer_name <> c.name",
    )
    .fetch_one(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    world.everything_is_told().await;
}

#[tokio::test]
async fn a_customer_with_opportunities_is_not_deleted_and_one_that_is_can_be_brought_back() {
    let world = world().await;
    let sale = world.sale(&amy()).await.opportunity;
    let id = sale.customer_id;
    let delete = async || customer::delete(&world.state, &amy(), id, None, meta(AMY)).await;
    assert_eq!(delete().await.unwrap_err().reason(), "CUSTOMER_HAS_OPPORTUNITIES");
    world.delete(&amy(), sale.id).await.unwrap();
    delete().await.unwrap();
    assert!(matches!(customer::get(&world.state, &amy(), id).await, Err(Error::NotFound { .. })));
    assert_eq!(world.restore(&amy(), sale.id).await.unwrap_err().reason(), "CUSTOMER_DELETED");
    // The name is free.
    assert_ne!(world.sale(&amy()).await.opportunity.customer_id, id);
    let restored = customer::restore(&world.state, &amy(), id, None, meta(AMY)).await.unwrap();
    let idempotency::Outcome::New(restored) = restored else { panic!("there was no key") };
    assert_eq!((restored.deleted_at, restored.version), (None, 3));
    assert_eq!(world.restore(&amy(), sale.id).await.unwrap().opportunity.customer_id, id);
    world.everything_is_told().await;
}

#[tokio::test]
async fn of_a_deletion_and_a_creation_at_once_one_fails() {
    let world = world().await;
    for _ in 0..10 {
        let id = world.customer(Draft::of("XYZ")).await.id;
        let (amy, admin) = (amy(), admin());
        let (deleted, made) = tokio::join!(
            customer::delete(&world.state, &admin, id, None, meta(ADMIN)),
            world.make(&amy, for_customer(id)),
        );
        assert_ne!(deleted.is_ok(), made.is_ok(), "{deleted:?} {made:?}");
    }
}

#[tokio::test]
async fn lists_are_paged_by_every_order_and_searched_by_name_and_company() {
    let world = world().await;
    for number in 0..25 {
        let company = (number % 5 == 0).then(|| format!("大同 {number}"));
        let name = format!("Customer {}", number % 7);
        world.customer(Draft { company, ..Draft::of(&name) }).await;
    }
    let everything = Filter::default();
    let by_time = listed(&world, &everything, "created_at", 4).await;
    assert!(by_time.is_sorted_by(|a, b| (a.created_at, a.id) > (b.created_at, b.id)));
    let by_name = listed(&world, &everything, "name", 4).await;
    assert!(by_name.is_sorted_by(|a, b| (&a.name, a.id) < (&b.name, b.id)));
    assert_eq!((by_time.len(), by_name.len()), (25, 25));
    let text = Query::parse(&mut Invalid::default(), Some("大同"));
    let found = listed(&world, &Filter { text, ..Filter::default() }, "updated_at", 2).await;
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|it| it.company.is_some()));
}

#[tokio::test]
async fn likely_duplicates_are_grouped_by_why_among_those_in_sight() {
    let world = world().await;
    let made = async |name: &str, email: Option<&str>, phone: Option<&str>| {
        let (email, phone) = (email.map(str::to_owned), phone.map(str::to_owned));
        world.customer(Draft { email, phone, ..Draft::of(name) }).await.id
    };
    let xyz = made("XYZ 公司", Some("a@x.tw"), None).await;
    let wide = made("ｘｙｚ 公司", Some("A@x.tw"), None).await;
    let short = made("X.Y.Z.", None, Some("+886 2 2345-6789")).await;
    let other = made("ABC", None, Some("886223456789")).await;
    made("DEF", None, None).await;
    let deleted = made("DEF", None, None).await;
    customer::delete(&world.state, &admin(), deleted, None, meta(ADMIN)).await.unwrap();

    let (mut groups, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let (page, next) =
            duplicates::page(&world.state, &admin(), 1, cursor.as_deref()).await.unwrap();
        groups.extend(page);
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let mut told: Vec<_> = groups
        .iter()
        .map(|it| {
            let ids: Vec<_> = it.customers.iter().map(|it| it.id).collect();
            assert_eq!(usize::try_from(it.count).unwrap(), ids.len());
            (ids, it.reasons.clone())
        })
        .collect();
    told.sort_by_key(|(ids, _)| ids.clone());
    let expected = [
        (vec![xyz, wide], vec![Likeness::Name, Likeness::Email]),
        (vec![xyz, wide, short], vec![Likeness::SimilarName]),
        (vec![short, other], vec![Likeness::Phone]),
    ];
    assert_eq!(told, expected);

    world.set_visibility("owner", 2).await;
    let (unseen, _) = duplicates::page(&world.state, &amy(), 50, None).await.unwrap();
    assert!(unseen.is_empty());
}

#[tokio::test]
async fn what_is_missing_of_older_customers_is_filled_in() {
    let world = world().await;
    world
        .sql(
            "insert into customers (name, folded_name, created_by, version, created_at, updated_at)
             select 'Old ' || n || ' Ltd', 'old ' || n || ' ltd', $1, 1, now(), now() from generate_series(1, 700) n",
            AMY,
        )
        .await;
    assert_eq!(customer::catch_up(&world.state.writes).await.unwrap(), 700);
    assert_eq!(customer::catch_up(&world.state.writes).await.unwrap(), 0);
    let text = Query::parse(&mut Invalid::default(), Some("old 700"));
    let found = listed(&world, &Filter { text, ..Filter::default() }, "name", 50).await;
    assert_eq!(found.len(), 1);
    let edit = Edit { phone: Some(Some("12345".to_owned())), ..Edit::default() };
    customer::update(&world.state, &amy(), found[0].id, Some(1), edit, meta(AMY)).await.unwrap();
}
