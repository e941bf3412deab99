//! Events that were put aside: listed, and applied again when that is asked for.

use analytics::consumer::{CONSUMERS, IDENTITY, NAME, OPPORTUNITIES, apply_again};
use auth::Caller;
use events::dead_letters::{DeadLetters, Replayed, replay};
use events::{Event, inbox};
use proto::dead_letter::v1 as pb;
use proto::dead_letter::v1::dead_letter_service_server::DeadLetterService as _;
use proto::events::v1::ActivityRecord;
use tonic::{Code, Request};

use crate::support::{AMY, Deal, MEI, World, activity, caller, now};

const ADMIN: i64 = 99;

async fn put_aside(world: &World, source: &str, position: i64, event: &Event) {
    let event = Event { position, ..event.clone() };
    let mut connection = world.state.writes.acquire().await.unwrap();
    let why = ("the table was not there", 3);
    inbox::begin(&mut connection, NAME, source, now()).await.unwrap();
    inbox::dead_letter(&mut connection, NAME, source, &event, why, now()).await.unwrap();
}

/// Two opportunities and an activity between them that nobody can apply; their ids.
async fn three_aside(world: &World) -> Vec<i64> {
    let (_, first) = Deal::begin(1, AMY, Some(1), "2025-10-01T00:00:00Z");
    let (_, second) = Deal::begin(2, AMY, Some(1), "2025-10-01T00:00:00Z");
    let fax = ActivityRecord { id: 5, activity_type: "fax".to_owned(), ..Default::default() };
    for (position, event) in [(7, &first[0]), (8, &activity(1, fax)), (9, &second[0])] {
        put_aside(world, OPPORTUNITIES, position, event).await;
    }
    let mut connection = world.state.writes.acquire().await.unwrap();
    let letters = inbox::dead_letters(&mut connection, &[NAME], 0, 10).await.unwrap();
    let told: Vec<_> = letters.iter().map(|it| (it.position, it.attempts)).collect();
    assert_eq!(told, [(7, 3), (8, 3), (9, 3)]);
    assert!(letters.iter().all(|it| it.error == "the table was not there"));
    letters.iter().map(|it| it.dead_letter_id).collect()
}

async fn known(world: &World) -> i64 {
    let count = sqlx::query_scalar("select count(*) from opportunity_facts");
    count.fetch_one(&world.state.reads).await.unwrap()
}

async fn replayed(world: &World, id: Option<i64>) -> Result<Replayed, rpc::Error> {
    let mut connection = world.state.writes.acquire().await.unwrap();
    replay(&mut connection, &CONSUMERS, id, &apply_again, now()).await
}

#[tokio::test]
async fn what_can_be_applied_now_is_applied_and_the_rest_stays_aside_with_what_is_wrong() {
    let world = World::create("everyone").await;
    let ids = three_aside(&world).await;
    let last = replayed(&world, Some(ids[2])).await.unwrap();
    assert_eq!((last.applied, last.left.len(), known(&world).await), (1, 0, 1));
    let all = replayed(&world, None).await.unwrap();
    assert_eq!((all.applied, known(&world).await), (1, 2));
    assert_eq!(all.left, [(ids[1], "an unknown kind of activity".to_owned())]);
    let mut connection = world.state.writes.acquire().await.unwrap();
    let letters = inbox::dead_letters(&mut connection, &[NAME], 0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].attempts), (1, 4));
    assert_eq!(letters[0].error, "an unknown kind of activity");
    assert!(replayed(&world, Some(i64::MAX)).await.is_err());
}

fn by<T>(caller: Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller);
    request
}

fn served(
    world: &World,
) -> DeadLetters<
    impl for<'a> Fn(
        &'a mut sqlx::PgConnection,
        &'static str,
        &'a [Event],
    ) -> events::consumer::Applying<'a>
    + Send
    + Sync
    + 'static,
> {
    let (reads, writes) = (world.state.reads.clone(), world.state.writes.clone());
    DeadLetters::new(reads, writes, &CONSUMERS, apply_again)
}

#[tokio::test]
async fn an_administrator_pages_through_them_and_has_them_applied_longest_ago_first() {
    let world = World::create("everyone").await;
    let ids = three_aside(&world).await;
    let served = served(&world);
    let admin = || caller(ADMIN);
    let page = async |cursor: Option<String>| {
        let request = pb::ListDeadLettersRequest { limit: Some(2), cursor };
        served.list_dead_letters(by(admin(), request)).await.unwrap().into_inner()
    };
    let first = page(None).await;
    assert_eq!(first.items.iter().map(|it| it.id).collect::<Vec<_>>(), ids[..2]);
    assert!(first.items.iter().all(|it| it.content.is_none() && it.source == OPPORTUNITIES));
    let rest = page(first.next_cursor).await;
    assert_eq!((rest.items.len(), rest.items[0].id, rest.next_cursor), (1, ids[2], None));
    let get = async |id| served.get_dead_letter(by(admin(), pb::GetDeadLetterRequest { id })).await;
    let one = get(ids[0]).await.unwrap().into_inner().dead_letter.unwrap();
    assert!(one.content.unwrap().contains("OpportunityRecord"));
    assert_eq!((one.record_id, one.version), (Some(1), Some(1)));

    let again = async |id| {
        let request = pb::ReplayDeadLettersRequest { id };
        served.replay_dead_letters(by(admin(), request)).await.map(tonic::Response::into_inner)
    };
    let it = again(Some(ids[0])).await.unwrap();
    assert_eq!((it.applied, it.left.len(), it.remaining), (1, 0, 2));
    assert_eq!(again(Some(ids[0])).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(get(ids[0]).await.unwrap_err().code(), Code::NotFound);
    let it = again(None).await.unwrap();
    assert_eq!((it.applied, it.left[0].id, it.remaining), (1, ids[1], 1));
    // One that cannot be applied comes after those that were not tried since.
    let (_, third) = Deal::begin(3, AMY, Some(1), "2025-10-01T00:00:00Z");
    put_aside(&world, IDENTITY, 1, &third[0]).await;
    let mut connection = world.state.reads.acquire().await.unwrap();
    let order = inbox::longest_ago(&mut connection, &[NAME], 10).await.unwrap();
    assert_eq!(order.iter().map(|it| it.position).collect::<Vec<_>>(), [1, 8]);
}

#[tokio::test]
async fn nobody_else_is_told_of_them_or_has_them_applied() {
    let world = World::create("everyone").await;
    let ids = three_aside(&world).await;
    let served = served(&world);
    for user_id in [AMY, MEI] {
        let who = || caller(user_id);
        let listed = served.list_dead_letters(by(who(), pb::ListDeadLettersRequest::default()));
        assert_eq!(listed.await.unwrap_err().code(), Code::PermissionDenied);
        let found = served.get_dead_letter(by(who(), pb::GetDeadLetterRequest { id: ids[0] }));
        assert_eq!(found.await.unwrap_err().code(), Code::PermissionDenied);
        let request = pb::ReplayDeadLettersRequest { id: None };
        let applied = served.replay_dead_letters(by(who(), request));
        assert_eq!(applied.await.unwrap_err().code(), Code::PermissionDenied);
    }
    assert_eq!(known(&world).await, 0);
    for (limit, cursor) in [(Some(0), None), (Some(201), None), (None, Some("+1"))] {
        let request = pb::ListDeadLettersRequest { limit, cursor: cursor.map(str::to_owned) };
        let refused = served.list_dead_letters(by(caller(ADMIN), request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{limit:?} {cursor:?}");
    }
}
