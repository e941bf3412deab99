//! Every statement about deliveries.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, Transaction};

use super::model::{Due, Outcome, Recipient};

/// Queues the mail of a notification.
pub async fn queue(
    tx: &mut PgConnection,
    notification_id: i64,
    message_id: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into deliveries (notification_id, channel, state, attempts, next_attempt_at, message_id, created_at, updated_at)
         values ($1, 'email', 'queued', 0, $3, $2, $3, $3)",
        notification_id,
        message_id,
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
             returning deliveries.id, notification_id, attempts, message_id, created_at
           )
           select leased.id, leased.attempts, leased.message_id, leased.created_at, title, body, username as "username?", email as "email?",
                  is_active as "is_active?"
           from leased
           join notifications on notifications.id = leased.notification_id
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
        created_at: row.created_at,
        title: row.title,
        body: row.body,
        recipient: match (row.username, row.email, row.is_active) {
            (Some(username), Some(email), Some(is_active)) => {
                Some(Recipient { username, email, is_active })
            }
            _ => None,
        },
    });
    Ok(due.collect())
}

/// Keeps what became of an attempt, unless another took the delivery on meanwhile.
pub async fn settle(
    tx: &mut Transaction<'_, Postgres>,
    due: &Due,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (state, next_attempt_at, error) = match outcome {
        Outcome::Delivered => ("delivered", None, None),
        Outcome::Retry { at, error } => ("retry", Some(*at), Some(error.as_str())),
        Outcome::Exhausted { error } => ("exhausted", None, Some(error.as_str())),
    };
    sqlx::query!(
        "update deliveries set state = $3, next_attempt_at = $4, last_error = $5, address = $6, updated_at = $7
         where id = $1 and attempts = $2 and state = 'sending'",
        due.id,
        due.attempts,
        state,
        next_attempt_at,
        error,
        due.recipient.as_ref().map(|recipient| recipient.email.as_str()),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
