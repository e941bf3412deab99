//! Links by which somebody sets a password: they go by mail alone, and nothing that is secret is kept of them.

pub mod model;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use self::model::News;
use crate::delivery;

/// Has a link mailed, once however often it is told to us, unless it is of no use any more.
pub async fn announce(
    tx: &mut PgConnection,
    news: &News,
    mail_domain: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if news.expires_at <= now {
        return Ok(());
    }
    let message_id = format!("<{}.{}@{mail_domain}>", news.event_id, news.user_id);
    let mail = (&*message_id, &*news.traceparent);
    delivery::store::queue_link(tx, news.link_id, mail, news.expires_at, now).await
}
