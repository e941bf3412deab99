//! The rollups as they are kept, read whole: for verifying.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::{PgConnection, Row};

use crate::category::Category;
use crate::deal::Kind;
use crate::rollup::{
    CategoryKey, Conversion, ConversionKey, Flow, FlowKey, LossKey, Rollups, Standing, StandingKey,
    Unvalued, UnvaluedKey,
};
use crate::stay::{Length, StayKey, Stays};

/// All of them.
pub(crate) async fn rollups(tx: &mut PgConnection) -> sqlx::Result<Rollups> {
    Ok(Rollups {
        standing: standing(tx).await?,
        category: category(tx).await?,
        flow: flow(tx).await?,
        unvalued: unvalued(tx).await?,
        loss: loss(tx).await?,
        conversion: conversion(tx).await?,
        stays: stays(tx).await?,
    })
}

async fn standing(tx: &mut PgConnection) -> sqlx::Result<HashMap<StandingKey, Standing>> {
    let mut sums = HashMap::new();
    let rows = sqlx::query(
        "select pipeline_id, stage_key, status, owner_id, team_id, currency, nullif(close_month, '-infinity'), count, value_count, rate_missing, total_value, weighted_value
         from standing_rollup",
    );
    for row in rows.fetch_all(tx).await? {
        let key = StandingKey {
            pipeline_id: row.try_get(0)?,
            stage_key: row.try_get(1)?,
            status: Kind::parse(row.try_get(2)?).map_or("unknown", Kind::as_str),
            owner_id: row.try_get(3)?,
            team_id: row.try_get(4)?,
            currency: row.try_get(5)?,
            close_month: row.try_get(6)?,
        };
        let sum = Standing {
            count: row.try_get(7)?,
            value_count: row.try_get(8)?,
            rate_missing: row.try_get(9)?,
            total_value: row.try_get(10)?,
            weighted_value: row.try_get(11)?,
        };
        sums.insert(key, sum);
    }
    Ok(sums)
}

async fn category(tx: &mut PgConnection) -> sqlx::Result<HashMap<CategoryKey, Standing>> {
    let mut sums = HashMap::new();
    let rows = sqlx::query(
        "select pipeline_id, stage_key, owner_id, team_id, currency, nullif(close_month, '-infinity'), forecast_category, count, value_count, rate_missing, total_value, weighted_value
         from category_rollup",
    );
    for row in rows.fetch_all(tx).await? {
        let of = StandingKey {
            pipeline_id: row.try_get(0)?,
            stage_key: row.try_get(1)?,
            status: Kind::Open.as_str(),
            owner_id: row.try_get(2)?,
            team_id: row.try_get(3)?,
            currency: row.try_get(4)?,
            close_month: row.try_get(5)?,
        };
        let category = Category::parse(row.try_get(6)?);
        let broken = || sqlx::Error::Decode("category_rollup.forecast_category".into());
        let sum = Standing {
            count: row.try_get(7)?,
            value_count: row.try_get(8)?,
            rate_missing: row.try_get(9)?,
            total_value: row.try_get(10)?,
            weighted_value: row.try_get(11)?,
        };
        sums.insert(CategoryKey { of, category: category.ok_or_else(broken)? }, sum);
    }
    Ok(sums)
}

async fn flow(tx: &mut PgConnection) -> sqlx::Result<HashMap<FlowKey, Flow>> {
    let mut sums = HashMap::new();
    let rows = sqlx::query(
        "select grain, start_date, kind, pipeline_id, owner_id, team_id, currency, count, value_count, rate_missing, value, days_to_close from flow_rollup",
    );
    for row in rows.fetch_all(tx).await? {
        let key = FlowKey {
            grain: known(row.try_get(0)?, &["day", "month", "day_of_all", "month_of_all"]),
            start_date: row.try_get(1)?,
            kind: known(row.try_get(2)?, &["created", "won", "lost"]),
            pipeline_id: row.try_get(3)?,
            owner_id: row.try_get(4)?,
            team_id: row.try_get(5)?,
            currency: row.try_get(6)?,
        };
        let sum = Flow {
            count: row.try_get(7)?,
            value_count: row.try_get(8)?,
            rate_missing: row.try_get(9)?,
            value: row.try_get(10)?,
            days_to_close: row.try_get(11)?,
        };
        sums.insert(key, sum);
    }
    Ok(sums)
}

async fn unvalued(tx: &mut PgConnection) -> sqlx::Result<HashMap<UnvaluedKey, Unvalued>> {
    let mut sums = HashMap::new();
    let rows = sqlx::query(
        "select won_month, created_month, pipeline_id, owner_id, team_id, without_amount, without_rate from unvalued_rollup",
    );
    for row in rows.fetch_all(tx).await? {
        let key = UnvaluedKey {
            won_month: row.try_get(0)?,
            created_month: row.try_get(1)?,
            pipeline_id: row.try_get(2)?,
            owner_id: row.try_get(3)?,
            team_id: row.try_get(4)?,
        };
        let sum = Unvalued { without_amount: row.try_get(5)?, without_rate: row.try_get(6)? };
        sums.insert(key, sum);
    }
    Ok(sums)
}

async fn loss(tx: &mut PgConnection) -> sqlx::Result<HashMap<LossKey, Flow>> {
    let mut sums = HashMap::new();
    let rows = sqlx::query(
        "select grain, start_date, pipeline_id, owner_id, team_id, lost_reason, stage_key, count, value_count, rate_missing, value from loss_rollup",
    );
    for row in rows.fetch_all(tx).await? {
        let key = LossKey {
            grain: known(row.try_get(0)?, &["day", "month"]),
            start_date: row.try_get(1)?,
            pipeline_id: row.try_get(2)?,
            owner_id: row.try_get(3)?,
            team_id: row.try_get(4)?,
            lost_reason: row.try_get(5)?,
            stage_key: row.try_get(6)?,
        };
        let sum = Flow {
            count: row.try_get(7)?,
            value_count: row.try_get(8)?,
            rate_missing: row.try_get(9)?,
            value: row.try_get(10)?,
            days_to_close: 0,
        };
        sums.insert(key, sum);
    }
    Ok(sums)
}

async fn conversion(tx: &mut PgConnection) -> sqlx::Result<HashMap<ConversionKey, Conversion>> {
    let mut sums = HashMap::new();
    let rows = sqlx::query(
        "select grain, nullif(start_date, '-infinity'), pipeline_id, stage_key, owner_id, team_id, entered, advanced, lost, stays, stay_seconds from conversion_rollup",
    );
    for row in rows.fetch_all(tx).await? {
        let key = ConversionKey {
            grain: known(row.try_get(0)?, &["day", "month", "all"]),
            start_date: row.try_get(1)?,
            pipeline_id: row.try_get(2)?,
            stage_key: row.try_get(3)?,
            owner_id: row.try_get(4)?,
            team_id: row.try_get(5)?,
        };
        let sum = Conversion {
            entered: row.try_get(6)?,
            advanced: row.try_get(7)?,
            lost: row.try_get(8)?,
            stays: row.try_get(9)?,
            stay_seconds: row.try_get(10)?,
        };
        sums.insert(key, sum);
    }
    Ok(sums)
}

async fn stays(tx: &mut PgConnection) -> sqlx::Result<HashMap<StayKey, Stays>> {
    let mut sums = HashMap::new();
    let rows = sqlx::query(
        "select grain, nullif(start_date, '-infinity'), pipeline_id, stage_key, owner_id, team_id, nullif(since, '-infinity'), days, count from stay_rollup",
    );
    for row in rows.fetch_all(tx).await? {
        let days = row.try_get(7)?;
        let key = StayKey {
            grain: known(row.try_get(0)?, &["day", "month", "all"]),
            start_date: row.try_get(1)?,
            pipeline_id: row.try_get(2)?,
            stage_key: row.try_get(3)?,
            owner_id: row.try_get(4)?,
            team_id: row.try_get(5)?,
            length: row
                .try_get::<Option<NaiveDate>, _>(6)?
                .map_or(Length::Ended(days), Length::Since),
        };
        sums.insert(key, Stays { count: row.try_get(8)? });
    }
    Ok(sums)
}

/// The name among those that there are.
fn known(name: &str, names: &[&'static str]) -> &'static str {
    names.iter().find(|known| **known == name).copied().unwrap_or("unknown")
}
