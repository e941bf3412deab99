//! The rollups as they are stored, row by row.

use std::collections::BTreeMap;

use chrono::{Datelike as _, NaiveDate};
use money::Money;
use rust_decimal::Decimal;

use super::reference::{Life, Reference, Sum, sum};
use crate::changes::reference::decimal;
use crate::support::World;

/// By what a row sums up, as text; and what it sums up to, with the days from creation to winning.
type Rows = BTreeMap<String, (Sum, i64)>;

/// The rows of a statement: their key, how many, how many have a value and lack a rate, value, weighted value, days.
async fn kept(world: &World, sql: &'static str) -> Rows {
    let rows = sqlx::query_as::<_, (String, i64, i64, i64, Money, Money, i64)>(sql);
    let rows = rows.fetch_all(&world.state.reads).await.unwrap().into_iter();
    let rows = rows.map(|(key, count, with_value, without_rate, value, weighted, days)| {
        let without_amount = count - with_value - without_rate;
        let (value, weighted) = (decimal(value), decimal(weighted));
        (key, (Sum { count, value, weighted, without_amount, without_rate }, days))
    });
    rows.collect()
}

fn sums(groups: BTreeMap<String, Vec<&Life>>) -> Rows {
    groups.into_iter().map(|(key, lives)| (key, (sum(lives), 0))).collect()
}

fn month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap()
}

/// Whose an opportunity is.
fn whose(it: &Life) -> String {
    let record = &it.record;
    format!("{} {} {}", record.pipeline_id, record.owner_id, record.team_id.unwrap_or(0))
}

/// Whose it is, and where it stands.
fn place(it: &Life) -> String {
    let record = &it.record;
    let is_open = it.is("open");
    let currency = if is_open { &record.currency } else { "" };
    let expected = it.expected_on.filter(|_| is_open);
    let expected = expected.map_or("-infinity".to_owned(), |day| month(day).to_string());
    format!("{} {} {currency} {expected}", whose(it), record.stage_key)
}

/// Each row is the sum of its opportunities, and there is none besides.
pub(super) async fn are_what_lives_add_up_to(world: &World, reference: &Reference) {
    let lives = &reference.lives;
    let mut standing = BTreeMap::<_, Vec<_>>::new();
    for it in lives {
        standing.entry(format!("{} {}", place(it), it.record.status)).or_default().push(it);
    }
    let found = kept(
        world,
        "select format('%s %s %s %s %s %s %s', pipeline_id, owner_id, team_id, stage_key, currency, close_month, status),
                count, value_count, rate_missing, total_value, weighted_value, 0::bigint
         from standing_rollup",
    );
    assert_eq!(found.await, sums(standing));

    let mut categories = BTreeMap::<_, Vec<_>>::new();
    for it in lives.iter().filter(|it| it.is("open")) {
        if let Some(category) = &it.record.forecast_category {
            categories.entry(format!("{} {category}", place(it))).or_default().push(it);
        }
    }
    let found = kept(
        world,
        "select format('%s %s %s %s %s %s %s', pipeline_id, owner_id, team_id, stage_key, currency, close_month, forecast_category),
                count, value_count, rate_missing, total_value, weighted_value, 0::bigint
         from category_rollup",
    );
    assert_eq!(found.await, sums(categories));

    let found = kept(
        world,
        "select format('%s %s %s %s %s %s %s', pipeline_id, owner_id, team_id, kind, currency, grain, start_date),
                count, value_count, rate_missing, value, 0::numeric, days_to_close
         from flow_rollup",
    );
    assert_eq!(found.await, flow(lives));

    let found = kept(
        world,
        "select format('%s %s %s %s %s', pipeline_id, owner_id, team_id, won_month, created_month), without_amount + without_rate, 0::bigint,
                without_rate, 0::numeric, 0::numeric, 0::bigint
         from unvalued_rollup",
    );
    assert_eq!(found.await, unvalued(lives));

    let found = kept(
        world,
        "select format('%s %s %s %s %s %s %s', pipeline_id, owner_id, team_id, grain, start_date, coalesce(lost_reason, 'none'), coalesce(stage_key, 'none')),
                count, value_count, rate_missing, value, 0::numeric, 0::bigint
         from loss_rollup",
    );
    assert_eq!(found.await, loss(reference));
}

/// What was lost on each day and in each month, why, and where it stood last.
fn loss(reference: &Reference) -> Rows {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for it in reference.lives.iter().filter(|it| it.is("lost")) {
        let Some(lost_on) = it.closed_on else { continue };
        let stages = &reference.stages[&it.record.pipeline_id];
        let open = stages.iter().filter(|stage| stage.kind == "open");
        let open: Vec<_> = open.map(|stage| stage.key.as_str()).collect();
        // The latest; of some at once the one that was told of last.
        let stood = it.moves.iter().filter(|(key, _)| open.contains(&key.as_str()));
        let stood = stood.max_by_key(|(_, at)| *at).map_or("none", |(key, _)| key);
        let reason = it.record.lost_reason.as_deref().unwrap_or("none");
        for grain in [format!("day {lost_on}"), format!("month {}", month(lost_on))] {
            groups.entry(format!("{} {grain} {reason} {stood}", whose(it))).or_default().push(it);
        }
    }
    sums(groups)
}

/// What was won without a value, by the months in which it was and was made.
fn unvalued(lives: &[Life]) -> Rows {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for it in lives.iter().filter(|it| it.is("won")) {
        let one = sum([it]);
        if one.without_amount + one.without_rate > 0 {
            let (won, created) = (month(it.closed_on.unwrap()), month(it.created_on));
            groups.entry(format!("{} {won} {created}", whose(it))).or_default().push(it);
        }
    }
    sums(groups)
}

/// What happened on each day and in each month, of each person and of everybody together.
fn flow(lives: &[Life]) -> Rows {
    let mut rows = Rows::new();
    for it in lives {
        let status = it.record.status.as_str();
        let closed = it.closed_on.filter(|_| !it.is("open")).map(|day| (status, day));
        for (kind, day) in [("created", it.created_on)].into_iter().chain(closed) {
            // What is open is worth something else by another rate.
            let is_revalued = kind == "created" && it.is("open");
            let currency = if is_revalued { it.record.currency.as_str() } else { "" };
            let days = if kind == "won" { (day - it.created_on).num_days() } else { 0 };
            let (own, everybody) = (whose(it), format!("{} 0 0", it.record.pipeline_id));
            for (whose, grain) in [
                (&own, format!("day {day}")),
                (&own, format!("month {}", month(day))),
                (&everybody, format!("day_of_all {day}")),
                (&everybody, format!("month_of_all {}", month(day))),
            ] {
                let key = format!("{whose} {kind} {currency} {grain}");
                let (all, all_days) = rows.entry(key).or_default();
                let one = sum([it]);
                *all = Sum {
                    count: all.count + 1,
                    value: all.value + one.value,
                    weighted: Decimal::ZERO,
                    without_amount: all.without_amount + one.without_amount,
                    without_rate: all.without_rate + one.without_rate,
                };
                *all_days += days;
            }
        }
    }
    rows
}
