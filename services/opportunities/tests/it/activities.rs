//! Activities: who may what with them, what is to be done and when, and what an opportunity says of them.

use std::sync::Arc;

use auth::{Caller, Role, Scope};
use chrono::{DateTime, TimeDelta, Utc};
use events::{Event, Record};
use futures::future::join_all;
use idempotency::Outcome;
use opportunities::activity::list::{self, Ask};
use opportunities::activity::model::{ActivityType, Due, Edit};
use opportunities::activity::{self, Detail, Filter};
use opportunities::opportunity;
use opportunities::opportunity::edit::EditWish;
use prost::Message as _;
use proto::events::v1::{ActivityRecord, UserRecord};
use rpc::Error;

use crate::support::{ADMIN, World, caller, event, identity_that_knows, meta, now, person};

const AMY: i64 = 1;
const BEN: i64 = 2;
const CAT: i64 = 3;
const NORTH: i64 = 7;
const SOUTH: i64 = 8;

/// Amy and Cat in the north, Ben in the south.
async fn world(visibility: &str) -> Arc<World> {
    let world = World::create(visibility).await;
    meet(&world).await;
    Arc::new(world)
}

async fn meet(world: &World) {
    let people = [(AMY, NORTH), (BEN, SOUTH), (CAT, NORTH)];
    world.tell(&people.map(|(id, team)| event(1, person(id, "rep", Some(team))))).await;
}

fn rep(id: i64) -> Caller {
    caller(id, Role::Rep, Some(if id == BEN { SOUTH } else { NORTH }))
}

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

fn task(subject: &str) -> Edit {
    let activity_type = Some(Some(ActivityType::Task));
    Edit { activity_type, subject: Some(Some(subject.to_owned())), ..Edit::default() }
}

fn due_at(at: DateTime<Utc>) -> Edit {
    Edit { scheduled_at: Some(Some(at)), ..task("due") }
}

fn owned_by(owner_id: i64) -> Edit {
    Edit { owner_id: Some(Some(owner_id)), ..Edit::default() }
}

fn done() -> Edit {
    Edit { completed_at: Some(Some(now())), ..Edit::default() }
}

async fn add(world: &World, who: &Caller, id: i64, wish: Edit) -> Result<Detail, Error> {
    match activity::create(&world.state, who, id, wish, None, meta(who.user_id)).await? {
        Outcome::New(detail) => Ok(detail),
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

async fn change(world: &World, who: &Caller, id: i64, edit: Edit) -> Result<Detail, Error> {
    activity::update(&world.state, who, id, None, edit, meta(who.user_id)).await
}

async fn delete(world: &World, who: &Caller, id: i64) -> Result<(), Error> {
    activity::delete(&world.state, who, id, None, meta(who.user_id)).await
}

async fn restore(world: &World, who: &Caller, id: i64) -> Result<Detail, Error> {
    match activity::restore(&world.state, who, id, None, meta(who.user_id)).await? {
        Outcome::New(detail) => Ok(detail),
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

/// The id of what is to be done next, as a read and as a list of opportunities say.
async fn next(world: &World, id: i64) -> Option<i64> {
    let read = opportunity::get(&world.state, &admin(), id).await.unwrap().next_activity;
    let (filter, sort) = (
        opportunity::list::Filter::default(),
        opportunity::list::sort(&mut rpc::Invalid::default(), None, None),
    );
    let ask = opportunity::list::Ask {
        filter: &filter,
        sort,
        limit: 50,
        cursor: None,
        include_total: false,
    };
    let page = opportunity::list(&world.state, &admin(), &ask).await.unwrap();
    let listed = page.items.into_iter().find(|it| it.opportunity.id == id).unwrap();
    assert_eq!(listed.next_activity, read);
    read.map(|it| it.id)
}

/// The changes of an activity, as others learn of them.
async fn told(world: &World, id: i64) -> Vec<(String, ActivityRecord)> {
    let sql = "select payload from change where aggregate = 'activity' and aggregate_id = $1 order by version";
    let rows: Vec<Vec<u8>> =
        sqlx::query_scalar(sql).bind(id).fetch_all(&world.state.reads).await.unwrap();
    let events = rows.into_iter().map(|payload| Event::decode(&*payload).unwrap());
    let read = events.map(|event| match event.record {
        Some(Record::Activity(record)) => (event.r#type, record),
        other => panic!("{other:?}"),
    });
    read.collect()
}

fn is_gone<T: std::fmt::Debug>(answer: Result<T, Error>) {
    match answer {
        Err(Error::NotFound { .. }) => {}
        other => panic!("{other:?}"),
    }
}

fn is_refused<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert_eq!(answer.unwrap_err().reason(), "NOT_YOURS");
}

fn bad_fields<T: std::fmt::Debug>(answer: Result<T, Error>) -> Vec<(String, String)> {
    let Error::Invalid(fields) = answer.unwrap_err() else { panic!("it is invalid") };
    fields.into_iter().map(|it| (it.field, it.code.into_owned())).collect()
}

#[tokio::test]
async fn who_sees_the_opportunity_sees_its_activities_and_its_maker_and_owner_change_theirs() {
    let world = world("team").await;
    let id = world.sale(&rep(AMY)).await.opportunity.id;
    // A colleague sees it and adds nothing; who does not see it is told that there is nothing.
    is_refused(add(&world, &rep(CAT), id, task("x")).await);
    is_gone(add(&world, &rep(BEN), id, task("x")).await);
    is_gone(add(&world, &rep(AMY), 1_000_000, task("x")).await);
    let made = add(&world, &rep(AMY), id, task("call them")).await.unwrap();
    let activity = made.activity.id;
    assert_eq!((&*made.owner_name, &*made.created_by_name), ("user 1", "user 1"));
    assert!(activity::get(&world.state, &rep(CAT), activity).await.is_ok());
    is_gone(activity::get(&world.state, &rep(BEN), activity).await);
    is_refused(change(&world, &rep(CAT), activity, done()).await);
    is_refused(delete(&world, &rep(CAT), activity).await);
    is_gone(change(&world, &rep(BEN), activity, done()).await);
    let filter = Filter { kinds: Vec::new(), completed: None };
    let of = async |who| list::of_opportunity(&world.state, &who, id, &filter, 50, None).await;
    assert_eq!(of(rep(CAT)).await.unwrap().items.len(), 1);
    is_gone(of(rep(BEN)).await.map(|page| page.items));

    // Once it is hers, she may change it; but neither may one who only reads.
    change(&world, &rep(AMY), activity, owned_by(CAT)).await.unwrap();
    let only_reads = Caller { scope: Scope::READ, ..rep(CAT) };
    is_refused(change(&world, &only_reads, activity, done()).await);
    is_refused(change(&world, &caller(CAT, Role::Viewer, Some(NORTH)), activity, done()).await);
    change(&world, &rep(CAT), activity, done()).await.unwrap();
    // It goes to the south: who made it does not see it any more, and its owner neither.
    let handed = EditWish { owner_id: Some(Some(BEN)), ..EditWish::default() };
    world.change(&rep(AMY), (id, None), handed).await.unwrap();
    is_gone(change(&world, &rep(AMY), activity, task("y")).await);
    is_gone(change(&world, &rep(CAT), activity, task("y")).await);
    change(&world, &rep(BEN), activity, task("y")).await.unwrap();
    // Only who sees the opportunity can be given anything to do about it.
    let refused = change(&world, &rep(BEN), activity, owned_by(AMY)).await;
    assert_eq!(bad_fields(refused), [("owner_id".to_owned(), "may_not_see".to_owned())]);
}

#[tokio::test]
async fn an_opportunity_says_what_is_to_be_done_next_and_does_not_change_by_it() {
    let world = world("everyone").await;
    let sale = world.sale(&rep(AMY)).await.opportunity;
    let id = sale.id;
    assert_eq!(next(&world, id).await, None);
    add(&world, &rep(AMY), id, task("some day")).await.unwrap();
    assert_eq!(next(&world, id).await, None);
    let tomorrow = now() + TimeDelta::days(1);
    let add_due = async |at| add(&world, &rep(AMY), id, due_at(at)).await.unwrap().activity.id;
    let later = add_due(tomorrow + TimeDelta::hours(1)).await;
    let sooner = add_due(tomorrow).await;
    assert_eq!(next(&world, id).await, Some(sooner));
    let read = opportunity::get(&world.state, &rep(AMY), id).await.unwrap().next_activity.unwrap();
    assert_eq!((read.activity_type, &*read.subject), (ActivityType::Task, "due"));
    assert_eq!(read.scheduled_at.timestamp_micros(), tomorrow.timestamp_micros());
    change(&world, &rep(AMY), sooner, done()).await.unwrap();
    assert_eq!(next(&world, id).await, Some(later));
    let open = Edit { completed_at: Some(None), ..Edit::default() };
    change(&world, &rep(AMY), sooner, open).await.unwrap();
    delete(&world, &rep(AMY), sooner).await.unwrap();
    assert_eq!(next(&world, id).await, Some(later));
    restore(&world, &rep(AMY), sooner).await.unwrap();
    assert_eq!(next(&world, id).await, Some(sooner));
    let put_off = Edit { scheduled_at: Some(Some(tomorrow + TimeDelta::days(9))), ..task("late") };
    change(&world, &rep(AMY), sooner, put_off).await.unwrap();
    assert_eq!(next(&world, id).await, Some(later));
    change(&world, &rep(AMY), later, task("now")).await.unwrap();
    let read = opportunity::get(&world.state, &rep(AMY), id).await.unwrap();
    assert_eq!(read.next_activity.unwrap().subject, "now");
    assert_eq!(read.opportunity, sale, "an activity is no change of it");
    // A move is none of what is to be done.
    let moved = world.advance(&rep(AMY), id, "proposal").await.unwrap();
    assert_eq!(moved.next_activity.map(|it| it.id), Some(later));
}

#[tokio::test]
async fn of_many_who_write_at_once_the_earliest_is_next_and_each_version_is_made_once() {
    let world = world("everyone").await;
    let id = world.sale(&rep(AMY)).await.opportunity.id;
    let soon = now() + TimeDelta::hours(1);
    let adding = (0..10).map(|minutes| {
        let (world, at) = (Arc::clone(&world), soon + TimeDelta::minutes((minutes * 7) % 10));
        async move { add(&world, &rep(AMY), id, due_at(at)).await.unwrap().activity }
    });
    let made = join_all(adding).await;
    let first = made.iter().min_by_key(|it| it.scheduled_at).unwrap();
    assert_eq!(next(&world, id).await, Some(first.id));
    let changes = (0..10).map(|number| {
        let (world, edit, id) = (Arc::clone(&world), task(&number.to_string()), first.id);
        async move { activity::update(&world.state, &rep(AMY), id, Some(1), edit, meta(AMY)).await }
    });
    let answers = join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let stale =
        |answer: &Result<_, Error>| matches!(answer, Err(Error::Stale { current: Some(2) }));
    assert_eq!(answers.iter().filter(|answer| stale(answer)).count(), 9);
}

#[tokio::test]
async fn what_is_due_is_cut_in_the_organisations_days_and_paged_without_gap() {
    let world = world("team").await;
    let [mine, theirs] = [world.sale(&rep(AMY)).await, world.sale(&rep(BEN)).await];
    let [mine, theirs] = [mine.opportunity.id, theirs.opportunity.id];
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    // In Taipei it is the 4th, a Wednesday, at eight in the morning, and in UTC midnight.
    let morning = at("2026-03-04T00:00:00Z");
    let mut ids = Vec::new();
    for text in [
        "2026-03-01T15:59:59Z", // Sunday, the last second
        "2026-03-01T16:00:00Z", // Monday
        "2026-03-03T15:59:59Z", // Tuesday, the last second
        "2026-03-03T16:00:00Z", // Wednesday, which has begun
        "2026-03-04T15:59:59Z", // Wednesday, the last second
        "2026-03-08T15:59:59Z", // Sunday, the last second
        "2026-03-08T16:00:00Z", // the Monday after
    ] {
        ids.push(add(&world, &rep(AMY), mine, due_at(at(text))).await.unwrap().activity.id);
    }
    add(&world, &rep(BEN), theirs, due_at(morning)).await.unwrap();
    let finished = add(&world, &rep(AMY), mine, due_at(morning)).await.unwrap().activity.id;
    change(&world, &rep(AMY), finished, done()).await.unwrap();
    let walk = async |who: Caller, due, owner_id, limit| {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let ask = Ask { due, owner_id, limit, cursor: cursor.as_deref(), include_total: true };
            // A day passes with each page: it stays the day of the first.
            let now = morning + TimeDelta::days(i64::from(cursor.is_some()));
            let page = list::list(&world.state, &who, &ask, now).await.unwrap();
            found.extend(page.items.iter().map(|it| it.activity.id));
            let Some(next) = page.next_cursor else {
                assert_eq!(page.total, i64::try_from(found.len()).ok());
                return found;
            };
            cursor = Some(next);
        }
    };
    for limit in [1, 2, 50] {
        assert_eq!(walk(rep(AMY), Some(Due::Overdue), None, limit).await, ids[..3]);
        assert_eq!(walk(rep(AMY), Some(Due::Today), None, limit).await, ids[3..5]);
        assert_eq!(walk(rep(AMY), Some(Due::Week), None, limit).await, ids[1..6]);
    }
    assert_eq!(walk(rep(BEN), Some(Due::Week), None, 50).await.len(), 1, "others are out of sight");
    assert_eq!(walk(admin(), Some(Due::Week), None, 3).await.len(), 6);
    // Who is to do it, whosever the opportunity is.
    change(&world, &rep(AMY), ids[0], owned_by(CAT)).await.unwrap();
    assert_eq!(walk(rep(AMY), Some(Due::Overdue), Some(CAT), 50).await, ids[..1]);
    // With the opportunity it is gone, and back with it.
    world.delete(&rep(AMY), mine).await.unwrap();
    is_gone(activity::get(&world.state, &rep(AMY), ids[0]).await);
    is_gone(change(&world, &rep(AMY), ids[0], task("x")).await);
    is_gone(restore(&world, &rep(AMY), ids[0]).await);
    assert!(walk(rep(AMY), Some(Due::Week), None, 50).await.is_empty());
    world.restore(&rep(AMY), mine).await.unwrap();
    assert_eq!(walk(rep(AMY), Some(Due::Week), None, 50).await, ids[1..6]);
    // A cursor is of its own listing.
    for due in [None, Some(Due::Overdue)] {
        let ask = Ask { due, limit: 1, ..Ask::default() };
        let first = list::list(&world.state, &rep(AMY), &ask, morning).await.unwrap();
        let cursor = first.next_cursor.as_deref();
        assert!(cursor.is_some());
        let ask = Ask { due: Some(Due::Week), limit: 1, cursor, ..Ask::default() };
        let other = list::list(&world.state, &rep(AMY), &ask, morning).await;
        assert_eq!(other.map(|page| page.items).unwrap_err().reason(), "CURSOR_INVALID");
    }
}

#[tokio::test]
async fn all_activities_in_sight_come_newest_first_done_or_not_with_a_time_or_without() {
    let world = world("team").await;
    let [mine, theirs] = [world.sale(&rep(AMY)).await, world.sale(&rep(BEN)).await];
    let [mine, theirs] = [mine.opportunity.id, theirs.opportunity.id];
    let made = async |who, id, wish| add(&world, &who, id, wish).await.unwrap().activity.id;
    let untimed = made(rep(AMY), mine, task("some day")).await;
    let finished = made(rep(AMY), mine, task("done")).await;
    change(&world, &rep(AMY), finished, done()).await.unwrap();
    let other = made(rep(BEN), theirs, task("theirs")).await;
    let late = made(rep(AMY), mine, due_at(now() + TimeDelta::days(9))).await;
    let soon = made(rep(AMY), mine, due_at(now() + TimeDelta::days(1))).await;
    let gone = made(rep(AMY), mine, task("gone")).await;
    delete(&world, &rep(AMY), gone).await.unwrap();
    change(&world, &rep(AMY), late, owned_by(CAT)).await.unwrap();
    let walk = async |who: Caller, owner_id, limit| {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor.as_deref();
            let ask = Ask { due: None, owner_id, limit, cursor: after, include_total: true };
            let page = list::list(&world.state, &who, &ask, now()).await.unwrap();
            found.extend(page.items.iter().map(|it| it.activity.id));
            let Some(next) = page.next_cursor else {
                assert_eq!(page.total, i64::try_from(found.len()).ok());
                return found;
            };
            cursor = Some(next);
        }
    };
    for limit in [1, 2, 3] {
        assert_eq!(walk(rep(AMY), None, limit).await, [soon, late, finished, untimed]);
    }
    assert_eq!(walk(rep(AMY), None, 50).await, [soon, late, finished, untimed]);
    assert_eq!(walk(rep(BEN), None, 50).await, [other]);
    assert_eq!(walk(rep(AMY), Some(CAT), 50).await, [late]);
    assert!(walk(rep(BEN), Some(CAT), 50).await.is_empty());
    assert_eq!(walk(admin(), None, 50).await, [soon, late, other, finished, untimed]);
    assert_eq!(walk(rep(AMY), Some(AMY), 50).await, [soon, finished, untimed]);
    // With its opportunity all of it is gone.
    world.delete(&rep(AMY), mine).await.unwrap();
    assert_eq!(walk(admin(), None, 50).await, [other]);
    world.restore(&rep(AMY), mine).await.unwrap();
    // What is written meanwhile is newer: it is on no page that comes.
    let ask = |cursor| Ask { limit: 3, cursor, ..Ask::default() };
    let first = list::list(&world.state, &rep(AMY), &ask(None), now()).await.unwrap();
    made(rep(AMY), mine, task("new")).await;
    let cursor = first.next_cursor.as_deref();
    let rest = list::list(&world.state, &rep(AMY), &ask(cursor), now()).await.unwrap();
    assert_eq!(rest.items.iter().map(|it| it.activity.id).collect::<Vec<_>>(), [untimed]);
}

#[tokio::test]
async fn an_opportunitys_activities_come_newest_first_by_kind_and_by_whether_they_are_done() {
    let world = world("everyone").await;
    let id = world.sale(&rep(AMY)).await.opportunity.id;
    let mut ids = Vec::new();
    for number in 0..5 {
        let kind = if number % 2 == 0 { ActivityType::Note } else { ActivityType::Call };
        let wish = Edit { activity_type: Some(Some(kind)), ..task(&number.to_string()) };
        let wish =
            if number < 2 { Edit { completed_at: done().completed_at, ..wish } } else { wish };
        ids.insert(0, add(&world, &rep(AMY), id, wish).await.unwrap().activity.id);
    }
    let walk = async |kinds: Vec<ActivityType>, completed| {
        let (ben, filter) = (rep(BEN), Filter { kinds, completed });
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor.as_deref();
            let page = list::of_opportunity(&world.state, &ben, id, &filter, 2, after);
            let page = page.await.unwrap();
            found.extend(page.items.iter().map(|it| it.activity.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return found;
            }
        }
    };
    assert_eq!(walk(Vec::new(), None).await, ids);
    assert_eq!(walk(vec![ActivityType::Note], None).await, [ids[0], ids[2], ids[4]]);
    assert_eq!(walk(Vec::new(), Some(true)).await, ids[3..]);
    assert_eq!(walk(vec![ActivityType::Note], Some(false)).await, [ids[0], ids[2]]);
    delete(&world, &rep(AMY), ids[0]).await.unwrap();
    assert_eq!(walk(Vec::new(), None).await, ids[1..]);
}

#[tokio::test]
async fn who_is_mentioned_is_told_once_if_they_may_see_it_and_are_there() {
    // Identity knows of Dan, of whom no event has told yet.
    let dan = proto::identity::v1::User {
        id: 4,
        username: "Dan".to_owned(),
        role: proto::identity::v1::Role::Rep.into(),
        is_active: true,
        version: 1,
        ..Default::default()
    };
    let world = World::beside(&identity_that_knows(dan).await, "team").await;
    meet(&world).await;
    let gone = UserRecord { id: 5, role: "admin".to_owned(), ..UserRecord::default() };
    world.tell(&[event(1, Record::User(gone))]).await;
    let id = world.sale(&rep(AMY)).await.opportunity.id;
    let wish = Edit {
        description: Some(Some(format!("@[{CAT}] @[{BEN}] @[{AMY}] @[5]"))),
        ..task(&format!("for @[4] and @[{ADMIN}]"))
    };
    let made = add(&world, &rep(AMY), id, wish).await.unwrap();
    let names: Vec<_> = made.mentions.iter().map(|(id, name)| (*id, &**name)).collect();
    let expected = [
        (4, "Dan"),
        (ADMIN, "user 99"),
        (CAT, "user 3"),
        (BEN, "user 2"),
        (AMY, "user 1"),
        (5, ""),
    ];
    assert_eq!(names, expected);
    let activity = made.activity.id;
    // Not who may not see it (Ben and Dan), who is not active, and who wrote it.
    let (kind, record) = told(&world, activity).await.remove(0);
    assert_eq!((&*kind, record.newly_mentioned), ("activity.created", vec![ADMIN, CAT]));
    assert_eq!(record.mentions, [4, ADMIN, CAT, BEN, AMY, 5]);
    assert_eq!(record.opportunity_name, made.opportunity_name);
    // Who was mentioned before is not told once more.
    let edit = Edit { description: Some(Some(format!("@[{CAT}]"))), ..Edit::default() };
    change(&world, &rep(AMY), activity, edit).await.unwrap();
    change(&world, &rep(AMY), activity, done()).await.unwrap();
    let same = done();
    let at = change(&world, &rep(AMY), activity, same).await.unwrap().activity.version;
    delete(&world, &rep(AMY), activity).await.unwrap();
    let back = restore(&world, &rep(AMY), activity).await.unwrap().activity;
    assert_eq!(back.version, at + 2);
    assert_eq!(restore(&world, &rep(AMY), activity).await.unwrap().activity, back);
    let told = told(&world, activity).await;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| &**kind).collect();
    let expected = ["created", "updated", "completed", "updated", "deleted", "restored"];
    assert_eq!(kinds, expected.map(|kind| format!("activity.{kind}")));
    assert!(told[1..].iter().all(|(_, record)| record.newly_mentioned.is_empty()));
}

#[tokio::test]
async fn nobody_is_named_who_is_not_there() {
    let world = world("everyone").await;
    let gone = UserRecord { id: 5, role: "rep".to_owned(), ..UserRecord::default() };
    world.tell(&[event(1, Record::User(gone))]).await;
    let id = world.sale(&rep(AMY)).await.opportunity.id;
    let refused = add(&world, &rep(AMY), id, owned_by(5)).await;
    let expected = [("activity_type", "required"), ("subject", "required")];
    let told = |fields: [(&str, &str); 2]| fields.map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(bad_fields(refused), told(expected));
    let owned = Edit { owner_id: Some(Some(5)), ..task("x") };
    let refused = add(&world, &rep(AMY), id, owned).await;
    assert_eq!(bad_fields(refused), [("owner_id".to_owned(), "inactive_user".to_owned())]);
    // Whoever identity would have to be asked for is not known while it is away: nothing is written.
    let refused = add(&world, &rep(AMY), id, task("@[77]")).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    let filter = Filter { kinds: Vec::new(), completed: None };
    let page = list::of_opportunity(&world.state, &rep(AMY), id, &filter, 50, None).await.unwrap();
    assert!(page.items.is_empty());
}
