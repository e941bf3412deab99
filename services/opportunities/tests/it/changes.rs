//! Changing fields, handing over, deleting and bringing back.

use std::sync::Arc;

use auth::{Caller, Role};
use events::Record;
use futures::future::join_all;
use idempotency::Outcome;
use opportunities::opportunity::bulk::{self, Update};
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::model::Step;
use opportunities::opportunity::{self, MoveWish};
use proto::events::v1::UserRecord;
use rpc::Error;

use crate::support::{ADMIN, World, caller, event, meta, now, person, wish};

const AMY: i64 = 1;
const BEN: i64 = 2;
/// Somebody who is not active any more.
const GONE: i64 = 3;
const NORTH: i64 = 7;
const SOUTH: i64 = 8;

/// Amy in the north, Ben in the south.
async fn world(visibility: &str) -> Arc<World> {
    let world = World::create(visibility).await;
    let people = [person(AMY, "rep", Some(NORTH)), person(BEN, "rep", Some(SOUTH))];
    world.tell(&people.map(|person| event(1, person))).await;
    Arc::new(world)
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, Some(NORTH))
}

fn ben() -> Caller {
    caller(BEN, Role::Rep, Some(SOUTH))
}

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

fn notes(text: &str) -> EditWish {
    EditWish { notes: Some(Some(text.to_owned())), ..EditWish::default() }
}

fn handed_to(owner_id: i64) -> EditWish {
    EditWish { owner_id: Some(Some(owner_id)), ..EditWish::default() }
}

/// The types of an opportunity's changes, with their versions.
async fn told(world: &World, id: i64) -> Vec<(String, i64)> {
    let sql = "select type, version from change where aggregate = 'opportunity' and aggregate_id = $1 order by version";
    sqlx::query_as(sql).bind(id).fetch_all(&world.state.reads).await.unwrap()
}

#[tokio::test]
async fn of_many_changes_of_one_version_one_is_made() {
    let world = world("everyone").await;
    let id = world.sale(&amy()).await.opportunity.id;
    let changes = (0..10).map(|number| {
        let world = Arc::clone(&world);
        async move { world.change(&amy(), (id, Some(1)), notes(&number.to_string())).await }
    });
    let answers = join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let stale =
        |answer: &Result<_, Error>| matches!(answer, Err(Error::Stale { current: Some(2) }));
    assert_eq!(answers.iter().filter(|answer| stale(answer)).count(), 9);
    let expected = [("opportunity.created".to_owned(), 1), ("opportunity.updated".to_owned(), 2)];
    assert_eq!(told(&world, id).await, expected);
    // To say what is so is no change, whatever the version.
    let same = world.find(id).await.notes.unwrap();
    let detail = world.change(&amy(), (id, Some(2)), notes(&same)).await.unwrap();
    assert_eq!(detail.opportunity.version, 2);
}

#[tokio::test]
async fn who_may_not_change_it_changes_nothing_and_who_may_not_see_it_finds_nothing() {
    let world = world("everyone").await;
    let id = world.sale(&amy()).await.opportunity.id;
    let refused = world.change(&ben(), (id, None), notes("mine")).await.unwrap_err();
    assert_eq!(refused.reason(), "NOT_YOURS");
    assert_eq!(world.delete(&ben(), id).await.unwrap_err().reason(), "NOT_YOURS");
    assert_eq!(world.restore(&ben(), id).await.unwrap_err().reason(), "NOT_YOURS");
    world.set_visibility("owner", 2).await;
    let hidden = |error: Error| assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    hidden(world.change(&ben(), (id, None), notes("mine")).await.unwrap_err());
    hidden(world.delete(&ben(), id).await.unwrap_err());
    hidden(world.restore(&ben(), id).await.unwrap_err());
    assert_eq!(world.find(id).await.version, 1);
}

#[tokio::test]
async fn what_is_handed_over_counts_for_the_new_owners_team_and_is_out_of_ones_hands() {
    let world = world("owner").await;
    let id = world.sale(&amy()).await.opportunity.id;
    let detail = world.change(&amy(), (id, None), handed_to(BEN)).await.unwrap();
    assert_eq!((detail.opportunity.team_id, &*detail.owner_name), (Some(SOUTH), "user 2"));
    assert!(matches!(
        world.change(&amy(), (id, None), notes("x")).await,
        Err(Error::NotFound { .. })
    ));
    world.change(&ben(), (id, None), notes("thanks")).await.unwrap();
    let kinds: Vec<_> = told(&world, id).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["opportunity.created", "opportunity.assigned", "opportunity.updated"]);
    // Whose a closed one is stays as it was.
    world.advance(&ben(), id, "won").await.unwrap();
    let refused = world.change(&ben(), (id, None), handed_to(AMY)).await.unwrap_err();
    let Error::Invalid(fields) = refused else { panic!("{refused:?}") };
    assert_eq!((fields[0].field.as_str(), &*fields[0].code), ("owner_id", "frozen_when_closed"));
}

#[tokio::test]
async fn another_customer_has_other_contacts() {
    let world = world("everyone").await;
    let with_chen = Wish {
        contact_name: Some("Chen".to_owned()),
        contact_email: Some("chen@example.com".to_owned()),
        ..wish()
    };
    let made = world.make(&amy(), with_chen).await.unwrap();
    let (id, chen) = (made.opportunity.id, made.opportunity.contact_id.unwrap());
    let named = |text: &str| Some(Some(text.to_owned()));
    // The same person by their address, however it is written.
    let wish = EditWish { contact_email: named("CHEN@example.com"), ..EditWish::default() };
    assert_eq!(world.change(&amy(), (id, None), wish).await.unwrap().opportunity.version, 1);
    // Another address is another person, who is called the same until somebody says otherwise.
    let wish = EditWish { contact_email: named("lin@example.com"), ..EditWish::default() };
    let detail = world.change(&amy(), (id, None), wish).await.unwrap();
    assert_ne!(detail.opportunity.contact_id, Some(chen));
    assert_eq!(detail.contact_name.as_deref(), Some("Chen"));

    let wish = EditWish { customer_name: named("　abc "), ..EditWish::default() };
    let detail = world.change(&amy(), (id, None), wish.clone()).await.unwrap();
    assert_eq!((&*detail.opportunity.customer_name, detail.contact_name), ("abc", None));
    let wish = EditWish { contact_email: named("chen@example.com"), ..wish };
    let detail = world.change(&amy(), (id, None), wish).await.unwrap();
    assert_eq!(detail.contact_email.as_deref(), Some("chen@example.com"));
    assert_ne!(detail.opportunity.contact_id, Some(chen), "a person at another customer's");
    let unknown = EditWish { customer_id: Some(Some(99)), ..EditWish::default() };
    let refused = world.change(&amy(), (id, None), unknown).await.unwrap_err();
    let Error::Invalid(fields) = refused else { panic!("{refused:?}") };
    assert_eq!(&*fields[0].code, "unknown_customer");
}

#[tokio::test]
async fn an_external_id_is_unique_deleted_ones_included() {
    let world = world("everyone").await;
    let erp = || Some(Some("ERP-1".to_owned()));
    let of = |external_id| EditWish { external_id, ..EditWish::default() };
    let first = world.sale(&amy()).await.opportunity.id;
    world.change(&amy(), (first, None), of(erp())).await.unwrap();
    world.delete(&amy(), first).await.unwrap();
    let second = world.sale(&amy()).await.opportunity.id;
    let refused = world.change(&amy(), (second, None), of(erp())).await.unwrap_err();
    let Error::Conflict { reason, details, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "EXTERNAL_ID_TAKEN");
    assert_eq!(details["opportunity_id"], first.to_string());
    assert_eq!(world.find(second).await.version, 1);
}

#[tokio::test]
async fn what_is_deleted_is_gone_until_it_is_restored_for_the_team_of_the_day() {
    let world = world("everyone").await;
    let [open, closed] = [world.sale(&amy()).await, world.sale(&amy()).await];
    let [open, closed] = [open.opportunity.id, closed.opportunity.id];
    world.advance(&amy(), closed, "won").await.unwrap();
    for id in [open, closed] {
        world.delete(&amy(), id).await.unwrap();
        let gone = |error: Error| assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        gone(world.delete(&amy(), id).await.unwrap_err());
        gone(world.change(&amy(), (id, None), notes("x")).await.unwrap_err());
        gone(world.advance(&amy(), id, "proposal").await.unwrap_err());
    }
    world.tell(&[event(2, person(AMY, "rep", Some(SOUTH)))]).await;
    let back = world.restore(&amy(), open).await.unwrap().opportunity;
    assert_eq!((back.team_id, back.version, back.deleted_at), (Some(SOUTH), 3, None));
    let back = world.restore(&admin(), closed).await.unwrap().opportunity;
    assert_eq!((back.team_id, back.version), (Some(NORTH), 4), "where it was won");
    // To restore what is there changes nothing.
    assert_eq!(world.restore(&amy(), open).await.unwrap().opportunity.version, 3);
    let kinds: Vec<_> = told(&world, open).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["opportunity.created", "opportunity.deleted", "opportunity.restored"]);
}

/// The bad fields of a refusal, in order of their names.
fn bad_fields<T: std::fmt::Debug>(answer: Result<T, Error>) -> Vec<String> {
    let Err(Error::Invalid(fields)) = answer else { panic!("{answer:?}") };
    let mut fields: Vec<_> = fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect();
    fields.sort_unstable();
    fields
}

#[tokio::test]
async fn what_is_wrong_by_itself_and_what_a_stage_says_of_it_are_told_at_once_on_every_path() {
    let world = world("everyone").await;
    let Record::User(gone) = person(GONE, "rep", None) else { panic!("a person is a user") };
    world.tell(&[event(1, Record::User(UserRecord { is_active: false, ..gone }))]).await;
    let id = world.sale(&amy()).await.opportunity.id;
    let tomorrow = (now() + chrono::TimeDelta::days(2)).date_naive();
    let edit = || EditWish {
        stage: Some(Some("won".to_owned())),
        probability: Some(Some(101)),
        lost_reason: Some(Some("Price".to_owned())),
        owner_id: Some(Some(GONE)),
        ..EditWish::default()
    };
    let whole = ["lost_reason not_lost", "owner_id inactive_user", "probability out_of_range"];
    assert_eq!(bad_fields(world.change(&amy(), (id, None), edit()).await), whole);
    let update = Update { id, expected_version: None, wish: edit() };
    let answer = bulk::update(&world.state, &amy(), vec![update], None, meta(AMY)).await.unwrap();
    let Outcome::New(mut done) = answer else { panic!("there was no key") };
    assert_eq!(bad_fields(done.remove(0).outcome), whole);

    let step = Step {
        probability: Some(-1),
        lost_reason: Some("Price".to_owned()),
        actual_close_date: Some(tomorrow),
        notes: Some("\0".to_owned()),
    };
    let wish = MoveWish {
        stage: "won".to_owned(),
        step,
        expected_version: None,
        faults: rpc::Invalid::default(),
    };
    let moved = opportunity::change_stage(&world.state, &amy(), id, wish, meta(AMY)).await;
    let told = [
        "actual_close_date in_the_future",
        "lost_reason not_lost",
        "notes invalid_character",
        "probability out_of_range",
    ];
    assert_eq!(bad_fields(moved), told);
    assert_eq!(world.find(id).await.version, 1, "nothing came of it");

    let new = Wish {
        stage: Some("won".to_owned()),
        lost_reason: Some("Price".to_owned()),
        currency: Some("XXZ".to_owned()),
        owner_id: Some(GONE),
        ..self::wish()
    };
    let told = ["currency unknown_currency", "lost_reason not_lost", "owner_id inactive_user"];
    assert_eq!(bad_fields(world.make(&admin(), new.clone()).await), told);
    let nowhere = Wish { stage: Some("nowhere".to_owned()), ..new };
    let told = ["currency unknown_currency", "owner_id inactive_user", "stage unknown_stage"];
    assert_eq!(bad_fields(world.make(&admin(), nowhere).await), told);
}

#[tokio::test]
async fn what_is_made_by_its_external_id_closes_on_the_day_that_is_named_or_says_why_not() {
    let world = world("everyone").await;
    let today = now().with_timezone(&chrono_tz::Asia::Taipei).date_naive();
    let put = async |external_id: &str, stage: &str, day| {
        let wish = Wish {
            external_id: Some(external_id.to_owned()),
            stage: Some(stage.to_owned()),
            actual_close_date: Some(day),
            ..wish()
        };
        let asked = (wish, EditWish::default());
        opportunity::upsert(&world.state, &amy(), asked, None, meta(AMY)).await
    };
    let (won, is_new) = put("A", "won", today).await.unwrap();
    assert_eq!((won.opportunity.actual_close_date, is_new), (Some(today), true));
    for (stage, day, told) in [
        ("lead", today, "actual_close_date not_closed"),
        ("won", today.succ_opt().unwrap(), "actual_close_date in_the_future"),
        ("won", today.pred_opt().unwrap(), "actual_close_date before_creation"),
    ] {
        assert_eq!(bad_fields(put("B", stage, day).await), [told]);
    }
}
