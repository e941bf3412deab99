//! Every statement about clients.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{Client, Kind, NewClient};
use crate::page::Page;

/// The client of that id.
pub async fn get(pool: &PgPool, id: i64) -> sqlx::Result<Option<Client>> {
    sqlx::query_as!(
        Client,
        r#"select id, client_id, name, kind as "kind: Kind", secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at, deleted_at
           from clients where id = $1 and deleted_at is null"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// The client that asks by that name.
pub async fn by_name(pool: &PgPool, client_id: &str) -> sqlx::Result<Option<Client>> {
    sqlx::query_as!(
        Client,
        r#"select id, client_id, name, kind as "kind: Kind", secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at, deleted_at
           from clients where client_id = $1 and deleted_at is null"#,
        client_id
    )
    .fetch_optional(pool)
    .await
}

/// The same, kept as it is until the transaction ends.
pub async fn hold(
    tx: &mut Transaction<'_, Postgres>,
    client_id: &str,
) -> sqlx::Result<Option<Client>> {
    sqlx::query_as!(
        Client,
        r#"select id, client_id, name, kind as "kind: Kind", secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at, deleted_at
           from clients where client_id = $1 and deleted_at is null for share"#,
        client_id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A client of that id, deleted or not.
pub async fn any(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<Client>> {
    sqlx::query_as!(
        Client,
        r#"select id, client_id, name, kind as "kind: Kind", secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at, deleted_at
           from clients where id = $1"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A client, which nobody else may change until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<Client>> {
    sqlx::query_as!(
        Client,
        r#"select id, client_id, name, kind as "kind: Kind", secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at, deleted_at
           from clients where id = $1 and deleted_at is null for update"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A page of clients, the newest first.
pub async fn list(pool: &PgPool, page: Page) -> sqlx::Result<Vec<Client>> {
    sqlx::query_as!(
        Client,
        r#"select id, client_id, name, kind as "kind: Kind", secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at, deleted_at
           from clients where deleted_at is null and (created_at, id) < ($1, $2) order by created_at desc, id desc limit $3"#,
        page.before.0,
        page.before.1,
        page.count()
    )
    .fetch_all(pool)
    .await
}

/// Stores a new client. Violates `clients_user_id_fkey` where there is no such user.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    new: &NewClient,
    client_id: &str,
    secret_hash: Option<&[u8]>,
    now: DateTime<Utc>,
) -> sqlx::Result<Client> {
    sqlx::query_as!(
        Client,
        r#"insert into clients (client_id, name, kind, secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9)
           returning id, client_id, name, kind as "kind: Kind", secret_hash, redirect_uris, may_write, user_id, is_built_in, version, created_at, deleted_at"#,
        client_id,
        new.name,
        new.kind as Kind,
        secret_hash,
        &new.redirect_uris,
        new.may_write,
        new.user_id,
        new.is_built_in,
        now
    )
    .fetch_one(&mut **tx)
    .await
}

/// Stores a client as it is to be: where it sends people, and whether it is there.
pub async fn update(tx: &mut Transaction<'_, Postgres>, client: &Client) -> sqlx::Result<()> {
    sqlx::query!(
        "update clients set redirect_uris = $2, version = $3, deleted_at = $4 where id = $1",
        client.id,
        &client.redirect_uris,
        client.version,
        client.deleted_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
