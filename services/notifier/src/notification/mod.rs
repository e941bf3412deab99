//! Notifications: making them of what happened, and reading one's own.

pub mod mention;
pub mod model;
pub mod notice;
pub mod store;

use chrono::{DateTime, TimeDelta, Utc};
use rpc::Error;
use sqlx::{PgConnection, PgPool};

use self::model::{Closing, Names, Notification, recipients, words};
use crate::{
    delivery,
    directory::{self, model::Language},
    page::Page,
};

/// A mail about something older than this is more of a riddle than of news. It can be that old where the service was away.
const NEWS: TimeDelta = TimeDelta::days(1);

/// A person's own notifications, newest first.
pub async fn list(
    pool: &PgPool,
    user_id: i64,
    unread: bool,
    page: Page,
) -> Result<(Vec<Notification>, Option<String>), Error> {
    let rows = if unread {
        store::list_unread(pool, user_id, page.before, page.count()).await?
    } else {
        store::list(pool, user_id, page.before, page.count()).await?
    };
    Ok(page.cut(rows, |notification| (notification.created_at, notification.id)))
}

/// Tells of a closing whoever is to know, once however often it is told to us. With a mail domain, by mail too.
pub async fn announce(
    tx: &mut PgConnection,
    closing: &Closing,
    mail_domain: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let manager_id = match closing.team_id {
        Some(team_id) => directory::store::manager_of(tx, team_id).await?,
        None => None,
    };
    let named: Vec<i64> =
        [closing.owner_id].into_iter().chain(manager_id).chain(closing.closed_by).collect();
    let people = directory::store::people(tx, &named).await?;
    let person = |id: i64| people.iter().find(|person| person.user_id == id);
    let name = |id: i64| person(id).map(|person| person.username.as_str());
    let names =
        Names { owner: name(closing.owner_id), closed_by: closing.closed_by.and_then(name) };
    for user_id in recipients(closing, manager_id, &people) {
        let language =
            person(user_id).map(|person| Language::of(&person.language)).unwrap_or_default();
        let (title, body) = words(closing, names, language);
        let new = store::New {
            recipient_user_id: user_id,
            event: closing.outcome.event(),
            title: &title,
            body: &body,
            opportunity_id: Some(closing.opportunity_id),
            source_event_id: closing.event_id,
            occurred_at: closing.occurred_at,
        };
        let Some(id) = store::insert(tx, &new, now).await? else { continue };
        if let Some(domain) = mail_domain
            && closing.recorded_at > now - NEWS
        {
            let message_id = format!("<{}.{user_id}@{domain}>", closing.event_id);
            let mail = delivery::store::New {
                fixed_address: None,
                message_id: &message_id,
                traceparent: &closing.traceparent,
            };
            delivery::store::queue(tx, id, mail, now).await?;
        }
    }
    Ok(())
}
