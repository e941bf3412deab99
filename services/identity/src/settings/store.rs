//! Every statement about the settings.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{Settings, Visibility};
use crate::user::model::Role;

/// The settings; absent before the first start.
pub async fn get(pool: &PgPool) -> sqlx::Result<Option<Settings>> {
    sqlx::query_as!(
        Settings,
        r#"select time_zone, default_currency, visibility as "visibility: Visibility", fiscal_year_start,
                  second_factor_roles as "second_factor_roles: Vec<Role>", version, currency_fixed
           from settings"#
    )
    .fetch_optional(pool)
    .await
}

/// Stores the first settings; false where there are some already.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    settings: &Settings,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into settings (time_zone, default_currency, visibility, fiscal_year_start, version, updated_at, second_factor_roles)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do nothing",
        settings.time_zone,
        settings.default_currency,
        settings.visibility as Visibility,
        settings.fiscal_year_start,
        settings.version,
        now,
        &settings.second_factor_roles as &[Role]
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The settings, which nobody else may change until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>) -> sqlx::Result<Option<Settings>> {
    sqlx::query_as!(
        Settings,
        r#"select time_zone, default_currency, visibility as "visibility: Visibility", fiscal_year_start,
                  second_factor_roles as "second_factor_roles: Vec<Role>", version, currency_fixed
           from settings for update"#
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Stores what is other about the settings.
pub async fn update(
    tx: &mut Transaction<'_, Postgres>,
    settings: &Settings,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update settings set time_zone = $1, default_currency = $2, visibility = $3, fiscal_year_start = $4, version = $5,
                             currency_fixed = $6, updated_at = $7, second_factor_roles = $8",
        settings.time_zone,
        settings.default_currency,
        settings.visibility as Visibility,
        settings.fiscal_year_start,
        settings.version,
        settings.currency_fixed,
        now,
        &settings.second_factor_roles as &[Role]
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
