//! The SQL that adds changes to rollups: one statement each, and one that removes what has become nothing.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::rollup::{
    CategoryKey, Conversion, ConversionKey, Flow, FlowKey, LossKey, Standing, StandingKey,
    Unvalued, UnvaluedKey,
};
use crate::stay::{Length, StayKey, Stays};

/// A field of every entry.
fn all<'a, K, V, T>(sums: &[(&'a K, &'a V)], field: impl Fn(&'a K, &'a V) -> T) -> Vec<T> {
    sums.iter().map(|(key, sum)| field(key, sum)).collect()
}

/// In the order of the keys, so that two transactions never wait for each other in a circle.
fn sorted<K: Ord, V>(sums: &HashMap<K, V>) -> Vec<(&K, &V)> {
    let mut sums: Vec<_> = sums.iter().collect();
    sums.sort_by(|a, b| a.0.cmp(b.0));
    sums
}

/// The groups that became less, of which nothing may be left.
fn lessened<'a, K, V>(
    sums: &[(&'a K, &'a V)],
    count: impl Fn(&V) -> i64,
) -> impl Iterator<Item = &'a K> {
    sums.iter().filter(move |(_, sum)| count(sum) < 0).map(|(key, _)| *key)
}

pub(super) async fn standing(
    tx: &mut PgConnection,
    sums: &HashMap<StandingKey, Standing>,
) -> sqlx::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let sums = sorted(sums);
    sqlx::query(
        "insert into standing_rollup as r (pipeline_id, stage_key, status, owner_id, team_id, currency, close_month, count, value_count, rate_missing, total_value, weighted_value)
         select a, b, c, d, e, f, coalesce(g, '-infinity'), h, i, j, k, l
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::date[], $8::bigint[], $9::bigint[], $10::bigint[], $11::numeric[], $12::numeric[])
           as u (a, b, c, d, e, f, g, h, i, j, k, l)
         on conflict (pipeline_id, stage_key, status, owner_id, team_id, currency, close_month) do update
         set count = r.count + excluded.count, value_count = r.value_count + excluded.value_count, rate_missing = r.rate_missing + excluded.rate_missing,
             total_value = r.total_value + excluded.total_value, weighted_value = r.weighted_value + excluded.weighted_value",
    )
    .bind(all(&sums, |key, _| key.pipeline_id))
    .bind(all(&sums, |key, _| key.stage_key.as_str()))
    .bind(all(&sums, |key, _| key.status))
    .bind(all(&sums, |key, _| key.owner_id))
    .bind(all(&sums, |key, _| key.team_id))
    .bind(all(&sums, |key, _| key.currency.as_str()))
    .bind(all(&sums, |key, _| key.close_month))
    .bind(all(&sums, |_, sum| sum.count))
    .bind(all(&sums, |_, sum| sum.value_count))
    .bind(all(&sums, |_, sum| sum.rate_missing))
    .bind(all(&sums, |_, sum| sum.total_value))
    .bind(all(&sums, |_, sum| sum.weighted_value))
    .execute(&mut *tx)
    .await?;
    if sums.iter().any(|(_, sum)| sum.count < 0) {
        sqlx::query!(
            "delete from standing_rollup where count = 0 and value_count = 0 and rate_missing = 0 and total_value = 0 and weighted_value = 0"
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn category(
    tx: &mut PgConnection,
    sums: &HashMap<CategoryKey, Standing>,
) -> sqlx::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let sums = sorted(sums);
    sqlx::query(
        "insert into category_rollup as r (pipeline_id, stage_key, owner_id, team_id, currency, close_month, forecast_category, count, value_count, rate_missing, total_value, weighted_value)
         select a, b, c, d, e, coalesce(f, '-infinity'), g, h, i, j, k, l
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::date[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::numeric[], $12::numeric[])
           as u (a, b, c, d, e, f, g, h, i, j, k, l)
         on conflict (pipeline_id, stage_key, owner_id, team_id, currency, close_month, forecast_category) do update
         set count = r.count + excluded.count, value_count = r.value_count + excluded.value_count, rate_missing = r.rate_missing + excluded.rate_missing,
             total_value = r.total_value + excluded.total_value, weighted_value = r.weighted_value + excluded.weighted_value",
    )
    .bind(all(&sums, |key, _| key.of.pipeline_id))
    .bind(all(&sums, |key, _| key.of.stage_key.as_str()))
    .bind(all(&sums, |key, _| key.of.owner_id))
    .bind(all(&sums, |key, _| key.of.team_id))
    .bind(all(&sums, |key, _| key.of.currency.as_str()))
    .bind(all(&sums, |key, _| key.of.close_month))
    .bind(all(&sums, |key, _| key.category.as_str()))
    .bind(all(&sums, |_, sum| sum.count))
    .bind(all(&sums, |_, sum| sum.value_count))
    .bind(all(&sums, |_, sum| sum.rate_missing))
    .bind(all(&sums, |_, sum| sum.total_value))
    .bind(all(&sums, |_, sum| sum.weighted_value))
    .execute(&mut *tx)
    .await?;
    if sums.iter().any(|(_, sum)| sum.count < 0) {
        sqlx::query!(
            "delete from category_rollup where count = 0 and value_count = 0 and rate_missing = 0 and total_value = 0 and weighted_value = 0"
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn flow(tx: &mut PgConnection, sums: &HashMap<FlowKey, Flow>) -> sqlx::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let sums = sorted(sums);
    sqlx::query(
        "insert into flow_rollup as r (grain, start_date, kind, pipeline_id, owner_id, team_id, currency, count, value_count, rate_missing, value, days_to_close)
         select * from unnest($1::text[], $2::date[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::numeric[], $12::bigint[])
         on conflict (grain, start_date, kind, pipeline_id, owner_id, team_id, currency) do update
         set count = r.count + excluded.count, value_count = r.value_count + excluded.value_count, rate_missing = r.rate_missing + excluded.rate_missing,
             value = r.value + excluded.value, days_to_close = r.days_to_close + excluded.days_to_close",
    )
    .bind(all(&sums, |key, _| key.grain))
    .bind(all(&sums, |key, _| key.start_date))
    .bind(all(&sums, |key, _| key.kind))
    .bind(all(&sums, |key, _| key.pipeline_id))
    .bind(all(&sums, |key, _| key.owner_id))
    .bind(all(&sums, |key, _| key.team_id))
    .bind(all(&sums, |key, _| key.currency.as_str()))
    .bind(all(&sums, |_, sum| sum.count))
    .bind(all(&sums, |_, sum| sum.value_count))
    .bind(all(&sums, |_, sum| sum.rate_missing))
    .bind(all(&sums, |_, sum| sum.value))
    .bind(all(&sums, |_, sum| sum.days_to_close))
    .execute(&mut *tx)
    .await?;
    let (grains, starts): (Vec<_>, Vec<_>) =
        lessened(&sums, |sum| sum.count).map(|key| (key.grain, key.start_date)).unzip();
    if !grains.is_empty() {
        sqlx::query(
            "delete from flow_rollup where (grain, start_date) in (select * from unnest($1::text[], $2::date[])) and count = 0 and value_count = 0 and rate_missing = 0 and value = 0 and days_to_close = 0",
        )
        .bind(grains)
        .bind(starts)
        .execute(tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn unvalued(
    tx: &mut PgConnection,
    sums: &HashMap<UnvaluedKey, Unvalued>,
) -> sqlx::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let sums = sorted(sums);
    sqlx::query(
        "insert into unvalued_rollup as r (won_month, created_month, pipeline_id, owner_id, team_id, without_amount, without_rate)
         select * from unnest($1::date[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
         on conflict (won_month, created_month, pipeline_id, owner_id, team_id) do update
         set without_amount = r.without_amount + excluded.without_amount, without_rate = r.without_rate + excluded.without_rate",
    )
    .bind(all(&sums, |key, _| key.won_month))
    .bind(all(&sums, |key, _| key.created_month))
    .bind(all(&sums, |key, _| key.pipeline_id))
    .bind(all(&sums, |key, _| key.owner_id))
    .bind(all(&sums, |key, _| key.team_id))
    .bind(all(&sums, |_, sum| sum.without_amount))
    .bind(all(&sums, |_, sum| sum.without_rate))
    .execute(&mut *tx)
    .await?;
    if sums.iter().any(|(_, sum)| sum.without_amount < 0 || sum.without_rate < 0) {
        sqlx::query!("delete from unvalued_rollup where without_amount = 0 and without_rate = 0")
            .execute(tx)
            .await?;
    }
    Ok(())
}

pub(super) async fn loss(tx: &mut PgConnection, sums: &HashMap<LossKey, Flow>) -> sqlx::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let sums = sorted(sums);
    sqlx::query(
        "insert into loss_rollup as r (grain, start_date, pipeline_id, owner_id, team_id, lost_reason, stage_key, count, value_count, rate_missing, value)
         select * from unnest($1::text[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::numeric[])
         on conflict (grain, start_date, pipeline_id, owner_id, team_id, lost_reason, stage_key) do update
         set count = r.count + excluded.count, value_count = r.value_count + excluded.value_count, rate_missing = r.rate_missing + excluded.rate_missing,
             value = r.value + excluded.value",
    )
    .bind(all(&sums, |key, _| key.grain))
    .bind(all(&sums, |key, _| key.start_date))
    .bind(all(&sums, |key, _| key.pipeline_id))
    .bind(all(&sums, |key, _| key.owner_id))
    .bind(all(&sums, |key, _| key.team_id))
    .bind(all(&sums, |key, _| key.lost_reason.as_deref()))
    .bind(all(&sums, |key, _| key.stage_key.as_deref()))
    .bind(all(&sums, |_, sum| sum.count))
    .bind(all(&sums, |_, sum| sum.value_count))
    .bind(all(&sums, |_, sum| sum.rate_missing))
    .bind(all(&sums, |_, sum| sum.value))
    .execute(&mut *tx)
    .await?;
    let (grains, starts): (Vec<_>, Vec<_>) =
        lessened(&sums, |sum| sum.count).map(|key| (key.grain, key.start_date)).unzip();
    if !grains.is_empty() {
        sqlx::query(
            "delete from loss_rollup where (grain, start_date) in (select * from unnest($1::text[], $2::date[])) and count = 0 and value_count = 0 and rate_missing = 0 and value = 0",
        )
        .bind(grains)
        .bind(starts)
        .execute(tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn conversion(
    tx: &mut PgConnection,
    sums: &HashMap<ConversionKey, Conversion>,
) -> sqlx::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let sums = sorted(sums);
    sqlx::query(
        "insert into conversion_rollup as r (grain, start_date, pipeline_id, stage_key, owner_id, team_id, entered, advanced, lost, stays, stay_seconds)
         select a, coalesce(b, '-infinity'), c, d, e, f, g, h, i, j, k
         from unnest($1::text[], $2::date[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
           as u (a, b, c, d, e, f, g, h, i, j, k)
         on conflict (grain, start_date, pipeline_id, stage_key, owner_id, team_id) do update
         set entered = r.entered + excluded.entered, advanced = r.advanced + excluded.advanced, lost = r.lost + excluded.lost,
             stays = r.stays + excluded.stays, stay_seconds = r.stay_seconds + excluded.stay_seconds",
    )
    .bind(all(&sums, |key, _| key.grain))
    .bind(all(&sums, |key, _| key.start_date))
    .bind(all(&sums, |key, _| key.pipeline_id))
    .bind(all(&sums, |key, _| key.stage_key.as_str()))
    .bind(all(&sums, |key, _| key.owner_id))
    .bind(all(&sums, |key, _| key.team_id))
    .bind(all(&sums, |_, sum| sum.entered))
    .bind(all(&sums, |_, sum| sum.advanced))
    .bind(all(&sums, |_, sum| sum.lost))
    .bind(all(&sums, |_, sum| sum.stays))
    .bind(all(&sums, |_, sum| sum.stay_seconds))
    .execute(&mut *tx)
    .await?;
    let (grains, starts): (Vec<_>, Vec<_>) =
        lessened(&sums, |sum| sum.entered).map(|key| (key.grain, key.start_date)).unzip();
    if !grains.is_empty() {
        sqlx::query(
            "delete from conversion_rollup where (grain, start_date) in (select a, coalesce(b, '-infinity') from unnest($1::text[], $2::date[]) as u (a, b)) and entered = 0 and advanced = 0 and lost = 0 and stays = 0 and stay_seconds = 0",
        )
        .bind(grains)
        .bind(starts)
        .execute(tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn stays(
    tx: &mut PgConnection,
    sums: &HashMap<StayKey, Stays>,
) -> sqlx::Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let since = |key: &StayKey| match key.length {
        Length::Since(day) => Some(day),
        Length::Ended(_) => None,
    };
    let days = |key: &StayKey| match key.length {
        Length::Since(_) => 0,
        Length::Ended(days) => days,
    };
    let sums = sorted(sums);
    sqlx::query(
        "insert into stay_rollup as r (grain, start_date, pipeline_id, stage_key, owner_id, team_id, since, days, count)
         select a, coalesce(b, '-infinity'), c, d, e, f, coalesce(g, '-infinity'), h, i
         from unnest($1::text[], $2::date[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::date[], $8::bigint[], $9::bigint[])
           as u (a, b, c, d, e, f, g, h, i)
         on conflict (grain, start_date, pipeline_id, stage_key, owner_id, team_id, since, days) do update set count = r.count + excluded.count",
    )
    .bind(all(&sums, |key, _| key.grain))
    .bind(all(&sums, |key, _| key.start_date))
    .bind(all(&sums, |key, _| key.pipeline_id))
    .bind(all(&sums, |key, _| key.stage_key.as_str()))
    .bind(all(&sums, |key, _| key.owner_id))
    .bind(all(&sums, |key, _| key.team_id))
    .bind(all(&sums, |key, _| since(key)))
    .bind(all(&sums, |key, _| days(key)))
    .bind(all(&sums, |_, sum| sum.count))
    .execute(&mut *tx)
    .await?;
    let (mut grains, mut starts, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (key, _) in sums.iter().filter(|(_, sum)| sum.count < 0) {
        grains.push(key.grain);
        starts.push(key.start_date);
        keys.push((key.pipeline_id, key.stage_key.as_str()));
    }
    if !grains.is_empty() {
        let (pipelines, stages): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
        sqlx::query(
            "delete from stay_rollup where (grain, start_date, pipeline_id, stage_key) in (select a, coalesce(b, '-infinity'), c, d from unnest($1::text[], $2::date[], $3::bigint[], $4::text[]) as u (a, b, c, d)) and count = 0",
        )
        .bind(grains)
        .bind(starts)
        .bind(pipelines)
        .bind(stages)
        .execute(tx)
        .await?;
    }
    Ok(())
}
