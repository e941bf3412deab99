//! All SQL about rates.

use chrono::{DateTime, NaiveDate, Utc};
use money::Rate;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::Currency;
use super::model::ExchangeRate;

/// Currencies that have a rate, after a code, each with the one that is valid on a day, by code; one more than the limit.
pub(super) async fn currencies(
    pool: &PgPool,
    on: NaiveDate,
    after: Option<&str>,
    limit: usize,
) -> sqlx::Result<Vec<Currency>> {
    let rows = sqlx::query!(
        r#"select distinct on (r.currency) r.currency, v.valid_from as "valid_from?", v.rate as "rate?: Rate"
           from exchange_rates r
           left join exchange_rates v on v.id = r.id and v.valid_from <= $1
           where r.deleted_at is null and ($2::text is null or r.currency > $2)
           order by r.currency, v.valid_from desc nulls last limit $3"#,
        on,
        after,
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
    )
    .fetch_all(pool)
    .await?;
    let currency = |(code, valid)| Currency { code, is_default: false, valid };
    Ok(rows.into_iter().map(|it| currency((it.currency, it.valid_from.zip(it.rate)))).collect())
}

/// The rates of a currency, the latest day first, after one day; one more than the limit.
pub(super) async fn page(
    pool: &PgPool,
    currency: &str,
    after: Option<&str>,
    limit: usize,
) -> sqlx::Result<Vec<ExchangeRate>> {
    sqlx::query_as!(
        ExchangeRate,
        r#"select id, currency, valid_from, rate as "rate: Rate", updated_at, deleted_at, version from exchange_rates
           where currency = $1 and deleted_at is null and ($2::text is null or valid_from < $2::text::date)
           order by valid_from desc limit $3"#,
        currency,
        after,
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
    )
    .fetch_all(pool)
    .await
}

/// The rates of these currencies that count.
pub(super) async fn known(
    db: impl PgExecutor<'_>,
    currencies: &[&str],
) -> sqlx::Result<Vec<(String, NaiveDate, Rate)>> {
    let rows = sqlx::query!(
        r#"select currency, valid_from, rate as "rate: Rate" from exchange_rates where currency = any($1) and deleted_at is null"#,
        currencies as &[&str]
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|it| (it.currency, it.valid_from, it.rate)).collect())
}

/// Adds a row of version 0 for a day that has none: what is to be changed in the same transaction.
pub(super) async fn ensure(
    tx: &mut PgConnection,
    currency: &str,
    valid_from: NaiveDate,
    rate: Rate,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into exchange_rates (currency, valid_from, rate, version, updated_at) values ($1, $2, $3, 0, $4)
         on conflict on constraint exchange_rates_day_key do nothing",
        currency,
        valid_from,
        rate as _,
        at
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The rate of a currency from a day on, removed or not, which nobody else changes until this transaction ends.
pub(super) async fn lock(
    tx: &mut PgConnection,
    currency: &str,
    valid_from: NaiveDate,
) -> sqlx::Result<Option<ExchangeRate>> {
    sqlx::query_as!(
        ExchangeRate,
        r#"select id, currency, valid_from, rate as "rate: Rate", updated_at, deleted_at, version from exchange_rates
           where currency = $1 and valid_from = $2 for update"#,
        currency,
        valid_from
    )
    .fetch_optional(tx)
    .await
}

/// Writes what a change made of a rate.
pub(super) async fn update(tx: &mut PgConnection, it: &ExchangeRate) -> sqlx::Result<()> {
    sqlx::query!(
        "update exchange_rates set rate = $2, version = $3, updated_at = $4, deleted_at = $5 where id = $1",
        it.id,
        it.rate as _,
        it.version,
        it.updated_at,
        it.deleted_at
    )
    .execute(tx)
    .await?;
    Ok(())
}
