//! Which events it applies: people, teams, links to set a password and what happened to accounts from identity, won, lost and mentioned from
//! opportunities.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use events::{ApplyError, ChangeSource, Event, Origin, Record, consumer::Applying};
use proto::events::v1::{OpportunityRecord, PasswordLinkRecord};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    IDENTITY, PEOPLE,
    directory::{
        self,
        model::{Person, Team},
    },
    notification::{
        self,
        mention::{self, Mention},
        model::{Closing, Outcome},
        notice::{self, Kind, Notice},
    },
    password_link::{self, model::News},
};

/// Applies events of a source that were put aside.
pub fn apply_again<'a>(
    tx: &'a mut PgConnection,
    source: &'static str,
    events: &'a [Event],
    identity: ChangeSource,
    mail_domain: Option<Arc<str>>,
) -> Applying<'a> {
    match source {
        IDENTITY => apply_identity(tx, events, mail_domain, process::now()),
        _ => apply_opportunities(tx, events, identity, mail_domain, process::now()),
    }
}

/// Applies events of identity. With a mail domain, links to set a password are mailed, and what happened to an account is told by mail too.
pub fn apply_identity<'a>(
    tx: &'a mut PgConnection,
    events: &'a [Event],
    mail_domain: Option<Arc<str>>,
    now: DateTime<Utc>,
) -> Applying<'a> {
    Box::pin(async move {
        for event in events {
            match &event.record {
                Some(Record::User(user)) => {
                    let person = Person {
                        user_id: user.id,
                        username: user.username.clone(),
                        email: user.email.clone(),
                        language: user.language.clone(),
                        role: user.role.clone(),
                        is_active: user.is_active,
                        version: user.version,
                    };
                    directory::store::put_person(tx, &person).await?;
                }
                Some(Record::Team(team)) => {
                    let team = Team {
                        team_id: team.id,
                        manager_id: team.manager_id,
                        is_deleted: team.deleted_at.is_some(),
                        version: team.version,
                    };
                    directory::store::put_team(tx, &team).await?;
                }
                Some(Record::PasswordLink(link)) => {
                    if let (Some(news), Some(domain)) = (link_made(event, link)?, &mail_domain) {
                        password_link::announce(tx, &news, domain, now).await?;
                    }
                }
                _ => {}
            }
            if let Some(notice) = notice(event)? {
                notice::announce(tx, &notice, mail_domain.as_deref(), now).await?;
            }
        }
        Ok(())
    })
}

/// Applies events of opportunities: whoever is to know of a closing or was mentioned is told, as people and teams are once all is known that identity has told.
/// With a mail domain, by mail too.
pub fn apply_opportunities<'a>(
    tx: &'a mut PgConnection,
    events: &'a [Event],
    identity: ChangeSource,
    mail_domain: Option<Arc<str>>,
    now: DateTime<Utc>,
) -> Applying<'a> {
    Box::pin(async move {
        let mut is_known = false;
        for event in events {
            let (closing, mention) = (closing(event)?, mentioned(event)?);
            if closing.is_none() && mention.is_none() {
                continue;
            }
            if !is_known {
                directory::catch_up(tx, PEOPLE, &identity).await?;
                is_known = true;
            }
            if let Some(closing) = closing {
                notification::announce(tx, &closing, mail_domain.as_deref(), now).await?;
            }
            if let Some(mention) = mention {
                mention::announce(tx, &mention, mail_domain.as_deref(), now).await?;
            }
        }
        Ok(())
    })
}

/// Whether people are told of it: what an import or a seed did is no news.
fn is_news(event: &Event) -> bool {
    matches!(event.origin(), Origin::User | Origin::Bulk | Origin::System | Origin::Unspecified)
}

fn event_id(event: &Event) -> Result<Uuid, ApplyError> {
    Uuid::parse_str(&event.event_id).map_err(|error| ApplyError::Poison(error.into()))
}

fn instant(at: Option<proto::Timestamp>) -> DateTime<Utc> {
    at.map(DateTime::from).unwrap_or_default()
}

/// The link that an event tells of, if it tells that one was made.
fn link_made(event: &Event, record: &PasswordLinkRecord) -> Result<Option<News>, ApplyError> {
    if !is_news(event) || event.r#type != "password_link.created" {
        return Ok(None);
    }
    Ok(Some(News {
        event_id: event_id(event)?,
        traceparent: event.traceparent.clone(),
        link_id: record.id,
        user_id: record.user_id,
        expires_at: instant(record.expires_at),
    }))
}

/// What an event tells of an account, if anything that its owner is told of.
fn notice(event: &Event) -> Result<Option<Notice>, ApplyError> {
    let email = event.changes.iter().find(|change| change.field == "email");
    let (user_id, detail) = match &event.record {
        Some(Record::User(user)) => (user.id, email.map(|change| &*change.field)),
        Some(Record::Session(session)) => (session.user_id, session.end_reason.as_deref()),
        _ => return Ok(None),
    };
    let Some(kind) = Kind::of(&event.r#type, detail).filter(|_| is_news(event)) else {
        return Ok(None);
    };
    Ok(Some(Notice {
        event_id: event_id(event)?,
        occurred_at: instant(event.occurred_at),
        recorded_at: instant(event.recorded_at),
        traceparent: event.traceparent.clone(),
        user_id,
        kind,
        old_email: email.and_then(|change| serde_json::from_str(&change.old).unwrap_or_default()),
    }))
}

/// The closing that an event tells of, if it tells of one that people are told of.
fn closing(event: &Event) -> Result<Option<Closing>, ApplyError> {
    if !is_news(event) {
        return Ok(None);
    }
    let Some(Record::Opportunity(record)) = &event.record else { return Ok(None) };
    let Some(outcome) = outcome(event, record) else { return Ok(None) };
    Ok(Some(Closing {
        event_id: event_id(event)?,
        occurred_at: instant(event.occurred_at),
        recorded_at: instant(event.recorded_at),
        traceparent: event.traceparent.clone(),
        outcome,
        opportunity_id: record.id,
        opportunity_name: record.opportunity_name.clone(),
        customer_name: record.customer_name.clone(),
        amount: record.amount.map(Into::into),
        currency: record.currency.clone(),
        owner_id: record.owner_id,
        team_id: record.team_id,
        closed_by: event.actor.as_ref().and_then(|actor| actor.user_id),
    }))
}

/// Who is to be told that an activity mentions them, if an event tells of anybody.
fn mentioned(event: &Event) -> Result<Option<Mention>, ApplyError> {
    let Some(Record::Activity(record)) = &event.record else { return Ok(None) };
    if !is_news(event) || record.newly_mentioned.is_empty() {
        return Ok(None);
    }
    Ok(Some(Mention {
        event_id: event_id(event)?,
        occurred_at: instant(event.occurred_at),
        recorded_at: instant(event.recorded_at),
        traceparent: event.traceparent.clone(),
        told: record.newly_mentioned.clone(),
        mentions: record.mentions.clone(),
        by: event.actor.as_ref().and_then(|actor| actor.user_id),
        opportunity_id: record.opportunity_id,
        opportunity_name: record.opportunity_name.clone(),
        subject: record.subject.clone(),
        description: record.description.clone(),
    }))
}

/// How it ended, if this is the event with which it did. One that is made in a closing stage is closed by its creation.
fn outcome(event: &Event, record: &OpportunityRecord) -> Option<Outcome> {
    match (event.r#type.as_str(), record.status.as_str()) {
        ("opportunity.won" | "opportunity.created", "won") => Some(Outcome::Won),
        ("opportunity.lost" | "opportunity.created", "lost") => {
            Some(Outcome::Lost { reason: record.lost_reason.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: &str, status: &str, origin: Origin) -> Event {
        Event {
            event_id: Uuid::nil().to_string(),
            r#type: event_type.to_owned(),
            origin: origin.into(),
            record: Some(Record::Opportunity(OpportunityRecord {
                status: status.to_owned(),
                ..OpportunityRecord::default()
            })),
            ..Event::default()
        }
    }

    fn news(event_type: &str, status: &str, origin: Origin) -> Option<&'static str> {
        closing(&event(event_type, status, origin)).unwrap().map(|closing| closing.outcome.event())
    }

    #[test]
    fn only_the_event_that_closed_it_is_news() {
        assert_eq!(news("opportunity.won", "won", Origin::User), Some("opportunity.won"));
        assert_eq!(news("opportunity.lost", "lost", Origin::Bulk), Some("opportunity.lost"));
        assert_eq!(news("opportunity.created", "won", Origin::User), Some("opportunity.won"));
        assert_eq!(news("opportunity.created", "open", Origin::User), None);
        assert_eq!(news("opportunity.updated", "won", Origin::User), None);
        assert_eq!(news("opportunity.reopened", "open", Origin::User), None);
    }

    #[test]
    fn nobody_is_told_what_an_import_or_a_seed_did() {
        assert_eq!(news("opportunity.won", "won", Origin::Import), None);
        assert_eq!(news("opportunity.won", "won", Origin::Seed), None);
    }

    #[test]
    fn an_event_without_an_id_is_to_blame_itself() {
        let broken =
            Event { event_id: "x".to_owned(), ..event("opportunity.won", "won", Origin::User) };
        assert!(matches!(closing(&broken), Err(ApplyError::Poison(_))));
    }
}
