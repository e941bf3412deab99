//! The open pipeline of every day, as it is kept: what the report on two days says of it, whenever it was taken.

use analytics::rebuild::rebuild;
use analytics::snapshot::take_missing;
use chrono::NaiveDate;
use money::Money;

use crate::changes::reference::Question;
use crate::changes::report;
use crate::histories::{ADMIN, TAIPEI, filled, is_of_identity, now};
use crate::owner;
use crate::support::{AMY, PIPELINE, World};

/// Every row that is kept of days, as text.
async fn kept(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["snapshot_days", "pipeline_snapshots"] {
        let sql = format!("select row_to_json(t)::text from {table} t order by 1");
        let rows = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql));
        all.extend(rows.fetch_all(&world.state.reads).await.unwrap());
    }
    all
}

/// What is kept of a day: how many, how many without a rate, and their value.
async fn sum(world: &World, day: NaiveDate, owner_id: Option<i64>) -> (i64, i64, Money) {
    sqlx::query_as(
        "select coalesce(sum(count), 0)::bigint, coalesce(sum(rate_missing), 0)::bigint, coalesce(sum(total_value), 0)
         from pipeline_snapshots where taken_on = $1 and pipeline_id = $2 and ($3::bigint is null or owner_id = $3)",
    )
    .bind(day)
    .bind(PIPELINE)
    .bind(owner_id)
    .fetch_one(&world.state.reads)
    .await
    .unwrap()
}

#[tokio::test]
async fn every_day_is_kept_once_and_is_what_the_report_says_of_it() {
    let (world, book) = filled(21, TAIPEI, 150).await;
    let pool = &world.state.writes;
    let taken = take_missing(pool, now()).await.unwrap();
    assert!(taken > 300, "{taken}");
    assert_eq!(take_missing(pool, now()).await.unwrap(), 0);
    let (mut some, mut lacking) = (0, 0);
    for day in book.first_day.iter_days().take(28) {
        for owner_id in [None, Some(AMY)] {
            let asked = Question {
                from: day,
                to: day,
                owner_id,
                team_id: None,
                pipeline_id: Some(PIPELINE),
                window: None,
            };
            let it = report(&world, &asked, ADMIN).await;
            let end = it.sums.of(analytics::report::change::model::Term::EndValue);
            let (count, rate_missing, value) = sum(&world, day, owner_id).await;
            let expected = (end.count, it.sums.not_covered.without_rate, end.value);
            assert_eq!((count, rate_missing, value), expected, "{day} {owner_id:?}");
            some += count;
            lacking += rate_missing;
        }
    }
    assert!(some > 1_000 && lacking > 3, "{some} {lacking}");
}

#[tokio::test]
async fn days_that_learn_of_something_late_are_made_anew_and_are_as_if_it_had_been_known_in_time() {
    let (complete, _) = filled(22, TAIPEI, 60).await;
    take_missing(&complete.state.writes, now()).await.unwrap();
    let expected = kept(&complete).await;

    let mut late = World::create("everyone").await;
    let (identity, events): (Vec<_>, Vec<_>) =
        complete.log.iter().cloned().partition(is_of_identity);
    late.learn(&identity).await;
    late.state.load().await.unwrap();
    // Rates and the earliest changes come last.
    for piece in events.rchunks(events.len() / 4 + 1) {
        late.tell(piece.to_vec()).await;
        assert!(take_missing(&late.state.writes, now()).await.unwrap() > 0);
    }
    assert_eq!(kept(&late).await, expected);
    late.tell(events).await;
    assert_eq!(take_missing(&late.state.writes, now()).await.unwrap(), 0);

    let log = late.log.clone();
    let (people, deals) = (owner::having(log.clone()).await, owner::having(log).await);
    let mut connection = late.state.writes.acquire().await.unwrap();
    rebuild(&mut connection, &people, &deals, now()).await.unwrap();
    assert!(kept(&late).await.is_empty());
    take_missing(&late.state.writes, now()).await.unwrap();
    assert_eq!(kept(&late).await, expected);
}
