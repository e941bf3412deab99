//! Every statement about notifications.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::model::Notification;

/// A notification to be stored.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// Who is told.
    pub recipient_user_id: i64,
    /// Of what.
    pub event: &'a str,
    /// In one line.
    pub title: &'a str,
    /// A few lines more.
    pub body: &'a str,
    /// The opportunity it is about.
    pub opportunity_id: Option<i64>,
    /// The event that told so.
    pub source_event_id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

/// Stores a notification and answers its id; nothing where the person was told of that event before.
pub async fn insert(
    tx: &mut PgConnection,
    new: &New<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "insert into notifications (recipient_user_id, event, title, body, opportunity_id, source_event_id, occurred_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict on constraint notifications_once_key do nothing
         returning id",
        new.recipient_user_id,
        new.event,
        new.title,
        new.body,
        new.opportunity_id,
        new.source_event_id,
        new.occurred_at,
        now
    )
    .fetch_optional(tx)
    .await
}

/// A person's notifications before that place, newest first, `count` at most.
pub async fn list(
    pool: &PgPool,
    recipient_user_id: i64,
    before: (DateTime<Utc>, i64),
    count: i64,
) -> sqlx::Result<Vec<Notification>> {
    sqlx::query_as!(
        Notification,
        "select id, event, title, body, opportunity_id, occurred_at, created_at, read_at
         from notifications
         where recipient_user_id = $1 and (created_at, id) < ($2, $3)
         order by created_at desc, id desc limit $4",
        recipient_user_id,
        before.0,
        before.1,
        count
    )
    .fetch_all(pool)
    .await
}

/// As [`list`], and only those that were not read.
pub async fn list_unread(
    pool: &PgPool,
    recipient_user_id: i64,
    before: (DateTime<Utc>, i64),
    count: i64,
) -> sqlx::Result<Vec<Notification>> {
    sqlx::query_as!(
        Notification,
        "select id, event, title, body, opportunity_id, occurred_at, created_at, read_at
         from notifications
         where recipient_user_id = $1 and (created_at, id) < ($2, $3) and read_at is null
         order by created_at desc, id desc limit $4",
        recipient_user_id,
        before.0,
        before.1,
        count
    )
    .fetch_all(pool)
    .await
}
