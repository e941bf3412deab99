//! What follows a person to another team.

use auth::{Caller, Role};
use events::{Event, Origin};
use opportunities::opportunity::draft::Wish;
use prost::Message as _;
use proto::events::v1::FieldChange;
use proto::identity::v1::User;

use crate::support::{ADMIN, World, caller, event, identity_that_knows, person, wish};

const AMY: i64 = 1;
const BOB: i64 = 2;
/// Amy's first team, and the one she goes to.
const NORTH: i64 = 7;
const SOUTH: i64 = 8;

async fn world() -> World {
    let world = World::create("everyone").await;
    let people = [AMY, BOB].map(|id| event(1, person(id, "rep", Some(NORTH))));
    world.tell(&people).await;
    world
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, Some(NORTH))
}

/// Amy goes south.
fn goes(version: i64) -> Event {
    event(version, person(AMY, "rep", Some(SOUTH)))
}

/// What the change log has of opportunities, in order.
async fn changes(world: &World) -> Vec<Event> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change join outbox using (change_id) where aggregate = 'opportunity' order by change_id",
    )
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    rows.iter().map(|payload| Event::decode(&**payload).unwrap()).collect()
}

#[tokio::test]
async fn what_is_open_follows_its_owner_and_what_is_closed_or_deleted_stays() {
    let world = world().await;
    let (open, other) =
        (world.sale(&amy()).await.opportunity, world.sale(&amy()).await.opportunity);
    let won = world.sale(&amy()).await.opportunity.id;
    let won = world.advance(&amy(), won, "won").await.unwrap().opportunity;
    let deleted = world.sale(&amy()).await.opportunity.id;
    world.sql("update opportunities set deleted_at = now() where id = $1", deleted).await;
    let bobs = world.sale(&caller(BOB, Role::Rep, Some(NORTH))).await.opportunity;
    let before = changes(&world).await.len();

    let cause = goes(2);
    world.tell(std::slice::from_ref(&cause)).await;

    for it in [&open, &other] {
        let after = world.find(it.id).await;
        assert_eq!((after.team_id, after.version), (Some(SOUTH), 2));
        assert!(after.updated_at > it.updated_at);
        assert_eq!(after.stage_entered_at, it.stage_entered_at);
    }
    assert_eq!(world.find(won.id).await, won);
    assert_eq!(world.find(bobs.id).await, bobs);
    world.sql("update opportunities set deleted_at = null where id = $1", deleted).await;
    assert_eq!(world.find(deleted).await.team_id, Some(NORTH));

    let told = changes(&world).await.split_off(before);
    assert_eq!(told.iter().map(|it| it.aggregate_id).collect::<Vec<_>>(), [open.id, other.id]);
    for it in told {
        assert_eq!((it.r#type.as_str(), it.version), ("opportunity.updated", 2));
        assert_eq!(it.actor.as_ref().unwrap().service, "opportunities");
        assert_eq!((it.origin(), &it.cause_id), (Origin::System, &cause.event_id));
        assert_eq!(it.request_id, cause.request_id);
        let team = FieldChange { field: "team_id".into(), old: "7".into(), new: "8".into() };
        assert_eq!(it.changes, [team]);
        assert!(it.stage_move.is_none());
    }
}

#[tokio::test]
async fn a_change_of_team_that_is_told_again_or_is_overtaken_changes_nothing() {
    let world = world().await;
    let id = world.sale(&amy()).await.opportunity.id;
    let cause = goes(3);
    world.tell(&[cause.clone(), cause.clone()]).await;
    let (after, told) = (world.find(id).await, changes(&world).await);
    assert_eq!((after.team_id, after.version, told.len()), (Some(SOUTH), 2, 2));
    let overtaken = event(2, person(AMY, "rep", None));
    world.tell(&[cause, overtaken]).await;
    assert_eq!((world.find(id).await, changes(&world).await), (after, told));
}

#[tokio::test]
async fn a_change_that_is_none_of_team_moves_nothing() {
    let world = world().await;
    let before = world.sale(&amy()).await.opportunity;
    world.tell(&[event(2, person(AMY, "manager", Some(NORTH)))]).await;
    assert_eq!(world.find(before.id).await, before);
}

#[tokio::test]
async fn who_leaves_every_team_takes_what_is_open_along() {
    let world = world().await;
    let id = world.sale(&amy()).await.opportunity.id;
    world.tell(&[event(2, person(AMY, "rep", None))]).await;
    assert_eq!(world.find(id).await.team_id, None);
    world.tell(&[event(3, person(AMY, "rep", Some(SOUTH)))]).await;
    assert_eq!(world.find(id).await.team_id, Some(SOUTH));
}

#[tokio::test]
async fn however_many_are_open_each_follows_once() {
    let world = world().await;
    let first = world.sale(&amy()).await.opportunity.id;
    world
        .sql(
            "insert into opportunities (opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, currency, probability,
                owner_id, team_id, created_by, created_at, updated_at, stage_entered_at, version)
             select 'x', customer_id, 'x', pipeline_id, 'lead', 'open', 'TWD', 10, owner_id, team_id, created_by, created_at, updated_at, created_at, 5
             from opportunities, generate_series(1, 800) where id = $1",
            first,
        )
        .await;
    world.tell(&[goes(2)]).await;
    let counted: (i64, i64) = sqlx::query_as(
        "select count(*) filter (where version = 6), count(*) from opportunities where team_id = 8",
    )
    .fetch_one(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(counted, (800, 801));
    assert_eq!(changes(&world).await.len(), 1 + 801);
}

#[tokio::test]
async fn what_is_reopened_is_with_its_owner_s_present_team() {
    let world = world().await;
    let id = world.sale(&amy()).await.opportunity.id;
    world.advance(&amy(), id, "lost").await.unwrap();
    world.tell(&[goes(2)]).await;
    let still = world.advance(&amy(), id, "won").await.unwrap().opportunity;
    assert_eq!(still.team_id, Some(NORTH), "it was not opened");
    let reopened = world.advance(&amy(), id, "proposal").await.unwrap().opportunity;
    assert_eq!(reopened.team_id, Some(SOUTH));
    assert_eq!(world.find(id).await, reopened);
    let told = changes(&world).await.pop().unwrap();
    assert_eq!(told.r#type, "opportunity.reopened");
    assert!(told.changes.iter().any(|it| it.field == "team_id" && it.new == "8"));
}

#[tokio::test]
async fn a_change_of_team_that_is_asked_of_identity_moves_what_is_open_too() {
    let cai = User { id: 5, team_id: Some(SOUTH), is_active: true, version: 4, ..User::default() };
    let world = World::beside(&identity_that_knows(cai).await, "everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    let open = world.sale(&admin).await.opportunity.id;
    world.sql("update opportunities set owner_id = 5, team_id = 7 where id = $1", open).await;
    let for_cai = Wish { owner_id: Some(5), ..wish() };
    assert_eq!(world.make(&admin, for_cai).await.unwrap().opportunity.team_id, Some(SOUTH));
    assert_eq!(world.find(open).await.team_id, Some(SOUTH));
    let told = changes(&world).await;
    let moved = told.iter().find(|it| it.r#type == "opportunity.updated").unwrap();
    assert_eq!((moved.aggregate_id, moved.version, &*moved.cause_id), (open, 2, ""));
    assert_eq!(moved.request_id, "request of the caller");
    // The event comes late, and has nothing to add.
    world.tell(&[event(4, person(5, "rep", Some(SOUTH)))]).await;
    assert_eq!(changes(&world).await.len(), told.len());
}
