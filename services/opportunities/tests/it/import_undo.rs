//! Imports that are taken back: by somebody, or because they could not be ended.

use std::fmt::Write as _;

use auth::{Caller, Role};
use opportunities::customer;
use opportunities::import::model::Status;
use opportunities::import::work::Worker;
use opportunities::import::{self, Options};
use opportunities::meta::Meta;
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::model::Opportunity;
use proto::events::v1::{TeamRecord, UserRecord, event::Record};

use crate::imports::{HEADER, admin, all, bring, go_on, refuse, words, work_off};
use crate::support::{ADMIN, World, caller, event, meta, now, person, wish};

const WHOLE: Options = Options {
    all_or_nothing: true,
    dry_run: false,
    kind: import::model::Kind::Sales,
    mapping: std::collections::BTreeMap::new(),
};

/// The ids of opportunities that are there.
async fn there(world: &World) -> Vec<i64> {
    sqlx::query_scalar("select id from opportunities where deleted_at is null order by id")
        .fetch_all(&world.state.reads)
        .await
        .unwrap()
}

/// A file that is written in two steps, the last row of which is called so; the first is of what is there already.
fn two_steps(last: &str) -> String {
    let mut file = format!("{HEADER}Changed,Other,old,5,won,\r\n");
    for number in 1..1_000 {
        writeln!(file, "Deal {number},X,n{number},1,,").unwrap();
    }
    writeln!(file, "{last},X,last,1,,").unwrap();
    file
}

/// Works an import off until what its first step writes is written.
async fn first_step(world: &World, worker: &mut Worker, who: &Caller, id: i64) {
    loop {
        assert!(worker.step(&world.state, now()).await.unwrap());
        let found = import::get(&world.state, who, id).await.unwrap();
        if found.phase == import::model::Phase::Write && found.counts.created > 0 {
            return;
        }
    }
}

#[tokio::test]
async fn all_or_nothing_that_cannot_be_ended_leaves_nothing_whatever_somebody_did_meanwhile() {
    let world = World::create("everyone").await;
    let before = Wish { external_id: Some("old".into()), ..wish() };
    let old = world.make(&admin(), before).await.unwrap().opportunity;
    refuse(&world, "Poison").await;
    let file = two_steps("Poison");
    let id = bring(&world, &admin(), file.as_bytes(), WHOLE).await.unwrap();
    let mut worker = Worker::default();
    first_step(&world, &mut worker, &admin(), id).await;
    let made = there(&world).await;
    assert_eq!(made.len(), 1_000);
    let edit = EditWish { notes: Some(Some("mine".to_owned())), ..EditWish::default() };
    world.change(&admin(), (made[7], None), edit).await.unwrap();
    go_on(&world, &mut worker).await;
    let found = import::get(&world.state, &admin(), id).await.unwrap();
    assert_eq!(found.status, Status::Failed);
    assert_eq!((found.counts.undone, found.counts.kept, found.undone_by), (1_000, 0, None));
    assert_eq!(there(&world).await, [old.id]);
    let back = world.find(old.id).await;
    assert_eq!((back.opportunity_name, back.amount), (old.opportunity_name, old.amount));
    let by: Vec<Option<String>> = sqlx::query_scalar(
        "select distinct actor_service from change where type = 'opportunity.deleted'",
    )
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(by, [Some("opportunities".to_owned())]);
    let refused = import::undo(&world.state, &admin(), id, None, meta(ADMIN)).await;
    assert_eq!(refused.unwrap_err().reason(), "NOTHING_TO_UNDO");
    world.everything_is_told().await;
}

#[tokio::test]
async fn who_may_write_no_more_leaves_nothing_of_all_or_nothing_and_what_was_good_of_each_row() {
    for (options, left) in [(WHOLE, 0), (Options::default(), 1_000)] {
        let world = World::create("everyone").await;
        world.tell(&[event(1, person(1, "rep", None))]).await;
        let amy = caller(1, Role::Rep, None);
        let mut file = HEADER.to_owned();
        for number in 0..1_001 {
            writeln!(file, "Deal {number},X,n{number},1,,").unwrap();
        }
        let id = bring(&world, &amy, file.as_bytes(), options).await.unwrap();
        let mut worker = Worker::default();
        first_step(&world, &mut worker, &amy, id).await;
        let left_us = UserRecord { id: 1, role: "rep".to_owned(), ..UserRecord::default() };
        world.tell(&[event(2, Record::User(left_us))]).await;
        go_on(&world, &mut worker).await;
        let found = import::get(&world.state, &admin(), id).await.unwrap();
        assert_eq!((found.status, there(&world).await.len()), (Status::Failed, left));
        if left > 0 {
            import::undo(&world.state, &admin(), id, None, meta(ADMIN)).await.unwrap();
            go_on(&world, &mut worker).await;
            let found = import::get(&world.state, &admin(), id).await.unwrap();
            assert_eq!((found.status, there(&world).await.len()), (Status::Undone, 0));
        }
    }
}

#[tokio::test]
async fn an_import_is_taken_back_by_what_who_takes_it_back_may_do_then_and_as_their_act() {
    let world = World::create("everyone").await;
    let team = |manager_id| {
        let name = "North".to_owned();
        Record::Team(TeamRecord { id: 7, name, manager_id, ..TeamRecord::default() })
    };
    let people = [person(1, "rep", Some(7)), person(2, "manager", Some(7))];
    world.tell(&people.map(|it| event(1, it))).await;
    world.tell(&[event(1, team(Some(2)))]).await;
    let max = caller(2, Role::Manager, Some(7));
    let file = format!("{HEADER}A,X,a,1,,1\r\nB,X,b,1,,\r\n");
    let (found, rows) = all(&world, &max, &file, Options::default()).await;
    assert_eq!(words(&rows), ["2 created", "3 created"]);
    // Amy's are none of Max's business any more.
    world.tell(&[event(2, team(None))]).await;
    let asked = Meta { request_id: "the undo".to_owned(), ..meta(2) };
    import::undo(&world.state, &max, found.id, None, asked).await.unwrap();
    let (found, rows) = work_off(&world, &max, found.id).await;
    assert_eq!(words(&rows), ["2 kept  not_yours", "3 undone"]);
    assert_eq!((found.status, found.undone_by), (Status::Undone, Some(2)));
    let deleted: Vec<(Option<i64>, String)> = sqlx::query_as(
        "select actor_user_id, request_id from change where type = 'opportunity.deleted'",
    )
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(deleted, [(Some(2), "the undo".to_owned())]);
}

#[tokio::test]
async fn what_was_taken_back_is_there_again_when_its_file_comes_in_again() {
    let world = World::create("everyone").await;
    let file = format!("{HEADER}A,X,a,1,won,\r\nB,Y,b,,,\r\n");
    let (found, rows) = all(&world, &admin(), &file, Options::default()).await;
    let ids: Vec<_> = rows.iter().map(|it| it.outcome.opportunity_id).collect();
    import::undo(&world.state, &admin(), found.id, None, meta(ADMIN)).await.unwrap();
    work_off(&world, &admin(), found.id).await;
    // Until then its id is taken.
    let taken = Wish { external_id: Some("a".into()), ..wish() };
    let refused = world.make(&admin(), taken).await.unwrap_err();
    assert_eq!(refused.reason(), "EXTERNAL_ID_TAKEN");
    // The customer of the second was deleted meanwhile: the row makes it anew.
    let customer_id: i64 =
        sqlx::query_scalar("select customer_id from opportunities where id = $1")
            .bind(ids[1])
            .fetch_one(&world.state.reads)
            .await
            .unwrap();
    customer::delete(&world.state, &admin(), customer_id, None, meta(ADMIN)).await.unwrap();
    let dry = Options { dry_run: true, ..Options::default() };
    let corrected = file.replace("a,1,won", "a,2,won");
    let (_, rows) = all(&world, &admin(), &corrected, dry).await;
    assert_eq!(words(&rows), ["2 created", "3 created"]);
    let (again, rows) = all(&world, &admin(), &corrected, Options::default()).await;
    assert_eq!(words(&rows), ["2 created", "3 created"]);
    assert_eq!(rows.iter().map(|it| it.outcome.opportunity_id).collect::<Vec<_>>(), ids);
    let back = world.find(ids[0].unwrap()).await;
    assert_eq!((back.amount, back.version), (Some(money::Money::from_hundredths(200)), 4));
    assert_ne!(world.find(ids[1].unwrap()).await.customer_id, customer_id);
    let (_, rows) = all(&world, &admin(), &corrected, Options::default()).await;
    assert_eq!(words(&rows), ["2 skipped", "3 skipped"]);
    // And it can be taken back once more.
    import::undo(&world.state, &admin(), again.id, None, meta(ADMIN)).await.unwrap();
    let (_, rows) = work_off(&world, &admin(), again.id).await;
    assert_eq!(words(&rows), ["2 undone", "3 undone"]);
    assert_eq!(there(&world).await, [0; 0]);
    world.everything_is_told().await;
}

#[tokio::test]
async fn an_undone_import_leaves_things_as_they_were_but_for_what_was_changed_since() {
    let world = World::create("everyone").await;
    let before = Wish { external_id: Some("old".into()), notes: Some("before".into()), ..wish() };
    let old = world.make(&admin(), before).await.unwrap().opportunity;
    let file = format!("{HEADER}New,Other,old,5,won,\r\nA,X,a,,,\r\nB,X,b,,,\r\n");
    let (found, rows) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(words(&rows), ["2 updated", "3 created", "4 created"]);
    let ids: Vec<_> = rows.iter().map(|it| it.outcome.opportunity_id.unwrap()).collect();
    let edit = EditWish { notes: Some(Some("mine".to_owned())), ..EditWish::default() };
    world.change(&admin(), (ids[2], None), edit).await.unwrap();

    world.tell(&[event(1, person(1, "rep", None))]).await;
    let amy = caller(1, Role::Rep, None);
    let hidden = import::undo(&world.state, &amy, found.id, None, meta(1)).await.unwrap_err();
    assert_eq!(hidden.reason(), "NOT_FOUND");
    import::undo(&world.state, &admin(), found.id, None, meta(ADMIN)).await.unwrap();
    let (found, rows) = work_off(&world, &admin(), found.id).await;
    assert_eq!(found.status, Status::Undone);
    assert_eq!(words(&rows), ["2 undone", "3 undone", "4 kept  changed_since"]);
    assert_eq!((found.counts.undone, found.counts.kept), (2, 1));
    let back = world.find(ids[0]).await;
    let expected = Opportunity {
        version: back.version,
        updated_at: back.updated_at,
        stage_entered_at: back.stage_entered_at,
        ..old
    };
    assert_eq!(back, expected);
    let stages: Vec<String> = sqlx::query_scalar(
        "select to_stage_key from stage_history where opportunity_id = $1 order by changed_at",
    )
    .bind(ids[0])
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(stages, ["lead", "won", "lead"]);
    let gone: Vec<i64> =
        sqlx::query_scalar("select id from opportunities where deleted_at is not null")
            .fetch_all(&world.state.reads)
            .await
            .unwrap();
    assert_eq!(gone, [ids[1]]);
    world.everything_is_told().await;
}
