//! Every statement about deliveries.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, Transaction};

use super::model::{Content, Due, Outcome, Recipient};

/// A mail that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// Where it goes; else to where its recipient has mail by then.
    pub fixed_address: Option<&'a str>,
    /// The same at every attempt.
    pub message_id: &'a str,
    /// The trace of the request that caused it; empty where there is none.
    pub traceparent: &'a str,
}

/// Queues a mail of a notification.
pub async fn queue(
    tx: &mut PgConnection,
    notification_id: i64,
    mail: New<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into deliveries (notification_id, channel, state, attempts, next_attempt_at, fixed_address, message_id, traceparent, created_at, updated_at)
         values ($1, 'email', 'queued', 0, $5, $2, $3, nullif($4, ''), $5, $5)",
        notification_id,
        mail.fixed_address,
        mail.message_id,
        mail.traceparent,
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Queues the mail that brings a link, unless it was queued before.
pub async fn queue_link(
    tx: &mut PgConnection,
    password_link_id: i64,
    (message_id, traceparent): (&str, &str),
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into deliveries (password_link_id, channel, state, attempts, next_attempt_at, message_id, traceparent, expires_at, created_at, updated_at)
         values ($1, 'email', 'queued', 0, $5, $2, nullif($3, ''), $4, $5, $5)
         on conflict on constraint deliveries_password_link_key do nothing",
        password_link_id,
        message_id,
        traceparent,
        expires_at,
        now
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes on up to `count` deliveries that are due, those included that another took on and did not settle by now. They are ours until
/// `until`.
pub async fn lease(
    tx: &mut Transaction<'_, Postgres>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    count: i64,
) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"with due as (
             select id from deliveries where next_attempt_at <= $1 order by next_attempt_at limit $3 for update skip locked
           ), leased as (
             update deliveries set state = 'sending', attempts = attempts + 1, next_attempt_at = $2, updated_at = $1
             from due where deliveries.id = due.id
             returning deliveries.id, notification_id, password_link_id, fixed_address, attempts, message_id, traceparent, created_at, expires_at
           )
           select leased.id, leased.attempts, leased.message_id, leased.traceparent, leased.created_at, leased.expires_at, password_link_id, title as "title?",
                  body as "body?", username as "username?", coalesce(leased.fixed_address, email) as "email?", is_active as "is_active?"
           from leased
           left join notifications on notifications.id = leased.notification_id
           left join people on people.user_id = notifications.recipient_user_id
           order by leased.id"#,
        now,
        until,
        count
    )
    .fetch_all(&mut **tx)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        id: row.id,
        attempts: row.attempts,
        message_id: row.message_id,
        traceparent: row.traceparent,
        created_at: row.created_at,
        expires_at: row.expires_at,
        content: match row.password_link_id {
            Some(link_id) => Content::PasswordLink(link_id),
            None => Content::Notification {
                title: row.title.unwrap_or_default(),
                body: row.body.unwrap_or_default(),
                recipient: match (row.username, row.email, row.is_active) {
                    (Some(username), Some(email), Some(is_active)) => {
                        Some(Recipient { username, email, is_active })
                    }
                    _ => None,
                },
            },
        },
    });
    Ok(due.collect())
}

/// Keeps what became of an attempt to that address, unless another took the delivery on meanwhile.
pub async fn settle(
    tx: &mut Transaction<'_, Postgres>,
    due: &Due,
    address: Option<&str>,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (state, next_attempt_at, error) = match outcome {
        Outcome::Delivered => ("delivered", None, None),
        Outcome::Retry { at, error } => ("retry", Some(*at), Some(error.as_str())),
        Outcome::Exhausted { error } => ("exhausted", None, Some(error.as_str())),
        Outcome::Cancelled { reason } => ("cancelled", None, Some(reason.as_str())),
    };
    sqlx::query!(
        "update deliveries set state = $3, next_attempt_at = $4, last_error = $5, address = $6, updated_at = $7
         where id = $1 and attempts = $2 and state = 'sending'",
        due.id,
        due.attempts,
        state,
        next_attempt_at,
        error,
        address,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
