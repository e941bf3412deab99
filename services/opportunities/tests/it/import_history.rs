//! Files that bring their past.

use auth::Role;
use chrono::{DateTime, Utc};
use opportunities::currency;
use opportunities::import::model::Status;
use opportunities::import::{self, Options};

use crate::imports::{admin, all, bring, history, words, work_off};
use crate::support::{ADMIN, World, caller, event, meta, now, person};

const HEADER: &str = "opportunity_name,customer_name,external_id,amount,currency,stage,owner_id,actual_close_date,created_at,stage_history,lost_reason\r\n";

/// When something occurred and was recorded, where it comes from and who did it.
type Told = (DateTime<Utc>, DateTime<Utc>, String, Option<i64>);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_past_comes_in_as_if_it_had_been_written_down_then() {
    let world = World::create("everyone").await;
    // Who sold it is not there any more.
    world.tell(&[event(1, person(1, "rep", Some(7)))]).await;
    let proto::events::v1::event::Record::User(gone) = person(2, "rep", Some(8)) else {
        panic!("a person is a user")
    };
    let gone = proto::events::v1::UserRecord { is_active: false, ..gone };
    world.tell(&[event(1, proto::events::v1::event::Record::User(gone))]).await;
    for (valid_from, rate) in [("2025-01-01", "30"), ("2025-03-05", "32"), ("2025-03-06", "33")] {
        let wish = currency::Wish {
            currency: "USD".to_owned(),
            valid_from: Some(valid_from.parse().unwrap()),
            rate: Some(rate.parse().unwrap()),
            expected_version: None,
        };
        currency::set(&world.state, &admin(), wish, meta(ADMIN)).await.unwrap();
    }
    let story = "lead@2025-01-03T09:00:00+08:00; qualification@2025-02-01; 成交@2025-03-05 10:30; won@2025-03-06";
    let rows = format!(
        "A,X,a,100,USD,won,2,,,{story},\r\nB,X,b,5,,lost,1,2025-05-04,2025-04-01,,Price\r\nC,X,c,5,,proposal,1,,2025-06-01 08:00,negotiation@2025-07-01;proposal@2025-08-01,\r\n"
    );
    let before = now();
    let (found, rows) = all(&world, &admin(), &format!("{HEADER}{rows}"), history()).await;
    assert_eq!(
        (found.status, words(&rows)),
        (Status::Done, ["2 created", "3 created", "4 created"].map(str::to_owned).to_vec())
    );
    let ids: Vec<_> = rows.iter().map(|it| it.outcome.opportunity_id.unwrap()).collect();
    let won = world.find(ids[0]).await;
    assert_eq!(won.created_at, at("2025-01-03T01:00:00Z"));
    assert_eq!(won.stage_entered_at, at("2025-03-05T02:30:00Z"));
    assert_eq!((won.updated_at, won.version), (won.stage_entered_at, 3));
    assert_eq!((won.owner_id, won.team_id, won.created_by), (2, Some(8), 2));
    assert_eq!(won.actual_close_date.unwrap().to_string(), "2025-03-05");
    assert_eq!(won.closed_rate, Some("32".parse().unwrap()), "the rate of the day it closed");
    let lost = world.find(ids[1]).await;
    assert_eq!(lost.actual_close_date.unwrap().to_string(), "2025-05-04");
    assert_eq!(lost.lost_reason.as_deref(), Some("Price"));
    let moves = async |id: i64| -> Vec<(Option<String>, String, DateTime<Utc>, i64)> {
        sqlx::query_as(
            "select from_stage_key, to_stage_key, changed_at, changed_by from stage_history where opportunity_id = $1 order by changed_at",
        )
        .bind(id)
        .fetch_all(&world.state.reads)
        .await
        .unwrap()
    };
    let expected = [
        (None, "lead", "2025-01-03T01:00:00Z"),
        (Some("lead"), "qualification", "2025-01-31T16:00:00Z"),
        (Some("qualification"), "won", "2025-03-05T02:30:00Z"),
    ];
    let expected =
        expected.map(|(from, to, when)| (from.map(str::to_owned), to.to_owned(), at(when), 2));
    assert_eq!(moves(ids[0]).await, expected);
    let stages = async |id| moves(id).await.into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(stages(ids[1]).await, ["lead", "lost"]);
    // Until it came into the first stage that is told it stood where all begin.
    assert_eq!(stages(ids[2]).await, ["lead", "negotiation", "proposal"]);
    let told: Vec<Told> = sqlx::query_as(
        "select occurred_at, recorded_at, origin, actor_user_id from change
         where aggregate = 'opportunity' and aggregate_id = $1 order by version",
    )
    .bind(ids[0])
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    let occurred: Vec<_> = told.iter().map(|it| it.0).collect();
    assert_eq!(occurred, moves(ids[0]).await.iter().map(|it| it.2).collect::<Vec<_>>());
    assert!(told.iter().all(|it| it.1 >= before && it.2 == "import" && it.3 == Some(ADMIN)));
    world.everything_is_told().await;

    // It is safe to repeat, and can be undone.
    let again = format!("{HEADER}Other,X,a,1,,,,,2025-01-01,,\r\n");
    let (_, rows) = all(&world, &admin(), &again, history()).await;
    assert_eq!(words(&rows), ["2 skipped"]);
    import::undo(&world.state, &admin(), found.id, None, meta(ADMIN)).await.unwrap();
    let (found, _) = work_off(&world, &admin(), found.id).await;
    assert_eq!(found.counts.undone, 3);
    let (_, rows) = all(&world, &admin(), &again, history()).await;
    assert_eq!(words(&rows), ["2 created"]);
    assert_eq!(world.find(ids[0]).await.opportunity_name, "A", "as it was");
    world.everything_is_told().await;
}

#[tokio::test]
async fn a_past_that_cannot_have_been_is_told_row_by_row_and_only_admins_bring_one() {
    let world = World::create("everyone").await;
    let tomorrow = (now() + chrono::TimeDelta::days(2)).date_naive();
    let rows = [
        "A,X,,,,,,,,,",
        &format!("A,X,,,,,,,{tomorrow},,"),
        &format!("A,X,,,,,,,,lead@2025-01-01;won@{tomorrow},"),
        "A,X,,,,,,,,lead@2025-01-02;won@2025-01-01,",
        "A,X,,,,,,,2025-01-02,lead@2025-01-01,",
        "A,X,,,,,,,,nowhere@2025-01-01,",
        "A,X,,,,,,,,lead 2025-01-01,",
        "A,X,,,,lost,,,,lead@2025-01-01;won@2025-01-02,",
        "A,X,,,,won,,,2025-01-01,,",
        "A,X,,,,won,,2024-12-31,2025-01-01,,",
        &format!("A,X,,,,won,,{tomorrow},2025-01-01,,"),
        "A,X,,,,,,,yesterday,,",
        "A,X,,,,,,,2025-01-01,,",
    ];
    let file = format!("{HEADER}{}", rows.join("\r\n"));
    let (_, found) = all(&world, &admin(), &file, history()).await;
    let expected = [
        "2 failed created_at required",
        "3 failed created_at in_the_future",
        "4 failed stage_history in_the_future",
        "5 failed stage_history not_in_order",
        "6 failed stage_history before_creation",
        "7 failed stage_history unknown_stage",
        "8 failed stage_history invalid_time",
        "9 failed stage differs_from_history",
        "10 failed actual_close_date required",
        "11 failed actual_close_date before_creation",
        "12 failed actual_close_date in_the_future",
        "13 failed created_at invalid_time",
        "14 created",
    ];
    assert_eq!(words(&found), expected);
    // Elsewhere nobody says when something happened.
    let (_, found) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(found[12].outcome.errors, []);
    let made = world.find(found[12].outcome.opportunity_id.unwrap()).await;
    assert!(made.created_at > at("2026-01-01T00:00:00Z"));
    world.tell(&[event(1, person(3, "manager", None))]).await;
    let max = caller(3, Role::Manager, None);
    let refused = bring(&world, &max, file.as_bytes(), history()).await.unwrap_err();
    assert_eq!(refused.reason(), "ADMIN_ONLY");
}
