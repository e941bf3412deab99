//! Every statement about sessions as their owners see them, and about what tokens no longer stand for.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{Rights, Session};
use crate::{page::Page, user::model::Role};

/// A user's live sessions, the newest first.
pub async fn list(
    pool: &PgPool,
    user_id: i64,
    page: Page,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        "select id, user_id, method, address, created_at, refreshed_at, expires_at, ended_at, end_reason, version,
                (select name from clients c where c.id = sessions.client_id) as client
         from sessions
         where user_id = $1 and ended_at is null and expires_at > $2 and (created_at, id) < ($3, $4)
         order by created_at desc, id desc limit $5",
        user_id,
        now,
        page.before.0,
        page.before.1,
        page.count()
    )
    .fetch_all(pool)
    .await
}

/// From where a session was opened, if there is one of that id and it is known.
pub async fn address(pool: &PgPool, id: i64) -> sqlx::Result<Option<String>> {
    let address = sqlx::query_scalar!("select address from sessions where id = $1", id)
        .fetch_optional(pool)
        .await?;
    Ok(address.flatten())
}

/// Ends sessions of a user that are not over: one, or all but one, or all. Answers them as they are now. They are taken in the order of their ids, as everywhere.
pub async fn end(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    only: Option<i64>,
    except: Option<i64>,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        "update sessions set ended_at = $5, end_reason = $4, version = version + 1
         where id in (
             select id from sessions
             where user_id = $1 and ($2::bigint is null or id = $2) and ($3::bigint is null or id <> $3) and ended_at is null and expires_at > $5
             order by id for update
         )
         returning id, user_id, method, address, created_at, refreshed_at, expires_at, ended_at, end_reason, version,
                   (select name from clients c where c.id = sessions.client_id) as client",
        user_id,
        only,
        except,
        reason,
        now
    )
    .fetch_all(&mut **tx)
    .await
}

/// Ends the sessions of a client that are not over. Answers them as they are now.
pub async fn end_of_client(
    tx: &mut Transaction<'_, Postgres>,
    client_id: i64,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        "update sessions set ended_at = $3, end_reason = $2, version = version + 1
         where id in (select id from sessions where client_id = $1 and ended_at is null and expires_at > $3 order by id for update)
         returning id, user_id, method, address, created_at, refreshed_at, expires_at, ended_at, end_reason, version,
                   (select name from clients c where c.id = sessions.client_id) as client",
        client_id,
        reason,
        now
    )
    .fetch_all(&mut **tx)
    .await
}

/// Notes that tokens of these sessions, or of what stands for one, are no longer good.
pub async fn revoke(
    tx: &mut Transaction<'_, Postgres>,
    session_ids: &[i64],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into revocations (session_id, revoked_at) select id, $2 from unnest($1::bigint[]) as id on conflict (session_id) do nothing",
        session_ids,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The rights of users after that one, by id.
pub async fn rights(pool: &PgPool, after_id: i64, count: i64) -> sqlx::Result<Vec<Rights>> {
    sqlx::query_as!(
        Rights,
        r#"select id as user_id, rights_version, is_active, role as "role: Role", team_id from users where id > $1 order by id limit $2"#,
        after_id,
        count
    )
    .fetch_all(pool)
    .await
}

/// What was revoked since then, by id after that one.
pub async fn revoked(
    pool: &PgPool,
    since: DateTime<Utc>,
    after_id: i64,
    count: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select session_id from revocations where revoked_at > $1 and session_id > $2 order by session_id limit $3",
        since,
        after_id,
        count
    )
    .fetch_all(pool)
    .await
}

/// Forgets what was revoked before then, and sessions that have been over for long.
pub async fn forget(
    pool: &PgPool,
    revoked_before: DateTime<Utc>,
    over_before: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("delete from revocations where revoked_at < $1", revoked_before)
        .execute(pool)
        .await?;
    sqlx::query!("delete from sessions where expires_at < $1", over_before).execute(pool).await?;
    Ok(())
}
