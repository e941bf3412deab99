//! Every statement about second factors.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::Standing;

/// A second factor as it is kept.
#[derive(Clone, Debug)]
pub struct Factor {
    /// Encrypted.
    pub secret: Vec<u8>,
    /// When its owner showed the first code.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// The time step of the latest code that was taken.
    pub last_step: Option<i64>,
}

/// How a user stands; absent where there is none of that id.
pub async fn standing(pool: &PgPool, user_id: i64) -> sqlx::Result<Option<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"select u.has_second_factor as has,
                  exists (select from settings s where u.role = any (s.second_factor_roles)) as "must!",
                  (select count(*) from recovery_codes c where c.user_id = u.id and c.used_at is null) as "recovery_codes_left!"
           from users u where u.id = $1"#,
        user_id
    )
    .fetch_optional(pool)
    .await
}

/// Whether a user has a second factor, and whether their role must have one; absent where there is none of that id.
pub async fn guarded(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
) -> sqlx::Result<Option<(bool, bool)>> {
    let row = sqlx::query!(
        r#"select has_second_factor as has, exists (select from settings s where u.role = any (s.second_factor_roles)) as "must!"
           from users u where u.id = $1"#,
        user_id
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.has, row.must)))
}

/// The second factor of a user, confirmed or not, which nobody else may use until the transaction ends.
pub async fn lock(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
) -> sqlx::Result<Option<Factor>> {
    sqlx::query_as!(
        Factor,
        "select secret, confirmed_at, last_step from second_factors where user_id = $1 for update",
        user_id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Stores a secret that is to be confirmed, in place of another such. False where one is confirmed.
pub async fn begin(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    secret: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into second_factors as f (user_id, secret, created_at) values ($1, $2, $3)
         on conflict (user_id) do update set secret = excluded.secret, created_at = excluded.created_at where f.confirmed_at is null",
        user_id,
        secret,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Confirms a user's secret by the code of that time step.
pub async fn confirm(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    step: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update second_factors set confirmed_at = $3, last_step = $2 where user_id = $1",
        user_id,
        step,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that the code of that time step was taken.
pub async fn take(tx: &mut Transaction<'_, Postgres>, user_id: i64, step: i64) -> sqlx::Result<()> {
    sqlx::query!("update second_factors set last_step = $2 where user_id = $1", user_id, step)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Uses up a recovery code. False where it is none of the user's, or used.
pub async fn take_recovery_code(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    code_hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update recovery_codes set used_at = $3 where user_id = $1 and code_hash = $2 and used_at is null",
        user_id,
        code_hash,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a user's recovery codes.
pub async fn drop_recovery_codes(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
) -> sqlx::Result<()> {
    sqlx::query!("delete from recovery_codes where user_id = $1", user_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Stores new recovery codes.
pub async fn insert_recovery_codes(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    hashes: &[Vec<u8>],
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into recovery_codes (user_id, code_hash) select $1, hash from unnest($2::bytea[]) as hash",
        user_id,
        hashes
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes a user's second factor with its recovery codes. False where there is none, not even one to be confirmed.
pub async fn delete(tx: &mut Transaction<'_, Postgres>, user_id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!("delete from second_factors where user_id = $1", user_id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Some users whose secret is encrypted under another key than the one of this name, by id after that one.
pub async fn of_other_keys(
    pool: &PgPool,
    name: &[u8],
    after_id: i64,
    count: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select user_id from second_factors where user_id > $2 and substr(secret, 1, length($1::bytea)) <> $1 order by user_id limit $3",
        name,
        after_id,
        count
    )
    .fetch_all(pool)
    .await
}

/// Stores a user's secret as it is encrypted now.
pub async fn reseal(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    secret: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!("update second_factors set secret = $2 where user_id = $1", user_id, secret)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
