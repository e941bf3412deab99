//! What somebody is told who was mentioned in an activity.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{NEWS, store};
use crate::{
    delivery,
    directory::{
        self,
        model::{Language, Person},
    },
    text::one_line,
};

/// The event's name for who reads notifications.
pub const EVENT: &str = "activity.mentioned";
/// How much is told of a long text, in characters.
const EXCERPT: usize = 300;

/// Somebody was mentioned in an activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The event that told so.
    pub event_id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// The trace of the request that caused it; empty where there is none.
    pub traceparent: String,
    /// Whom to tell: who was mentioned first by this change, and may see the opportunity, as its owner says.
    pub told: Vec<i64>,
    /// Who is mentioned in the texts.
    pub mentions: Vec<i64>,
    /// Who wrote it; absent where a service did.
    pub by: Option<i64>,
    /// The opportunity.
    pub opportunity_id: i64,
    /// Its name.
    pub opportunity_name: String,
    /// The activity in a line.
    pub subject: String,
    /// All that it says.
    pub description: Option<String>,
}

/// Tells those who were mentioned, once however often it is told to us, and nobody of what they wrote themselves. With a mail domain, by mail too.
pub async fn announce(
    tx: &mut PgConnection,
    mention: &Mention,
    mail_domain: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let named: Vec<i64> = mention.mentions.iter().copied().chain(mention.by).collect();
    let people = directory::store::people(tx, &named).await?;
    for person in recipients(mention, &people) {
        let (title, body) = words(mention, &people, Language::of(&person.language));
        let new = store::New {
            recipient_user_id: person.user_id,
            event: EVENT,
            title: &title,
            body: &body,
            opportunity_id: Some(mention.opportunity_id),
            source_event_id: mention.event_id,
            occurred_at: mention.occurred_at,
        };
        let Some(id) = store::insert(tx, &new, now).await? else { continue };
        if let Some(domain) = mail_domain
            && mention.recorded_at > now - NEWS
        {
            let message_id = format!("<{}.{}@{domain}>", mention.event_id, person.user_id);
            let mail = delivery::store::New {
                fixed_address: None,
                message_id: &message_id,
                traceparent: &mention.traceparent,
            };
            delivery::store::queue(tx, id, mail, now).await?;
        }
    }
    Ok(())
}

/// Who is told: those of the people who are known, still there, and did not write it.
fn recipients<'a>(mention: &Mention, people: &'a [Person]) -> Vec<&'a Person> {
    let told = people.iter().filter(|it| mention.told.contains(&it.user_id));
    told.filter(|it| it.is_active && Some(it.user_id) != mention.by).collect()
}

/// The title and the body of the notification.
fn words(mention: &Mention, people: &[Person], language: Language) -> (String, String) {
    let zh = language == Language::ZhTw;
    let pick = |chinese: &'static str, english: &'static str| if zh { chinese } else { english };
    let by = people.iter().find(|it| Some(it.user_id) == mention.by);
    let opportunity = one_line(&mention.opportunity_name);
    let title = match (by.map(|it| one_line(&it.username)), zh) {
        (Some(who), true) => format!("{who} 在「{opportunity}」提到您"),
        (Some(who), false) => format!("{who} mentioned you in {opportunity}"),
        (None, true) => format!("「{opportunity}」提到您"),
        (None, false) => format!("You were mentioned in {opportunity}"),
    };
    let mut lines =
        vec![format!("{}{}", pick("主旨：", "Subject: "), plain(&mention.subject, people))];
    if let Some(description) = &mention.description {
        let text = plain(description, people);
        let mut excerpt: String = text.chars().take(EXCERPT).collect();
        if excerpt.len() < text.len() {
            excerpt.push('…');
        }
        lines.push(format!("{}{excerpt}", pick("內容：", "Text: ")));
    }
    (title, lines.join("\n"))
}

/// A text in one line, with names where it mentions people who are known.
fn plain(text: &str, people: &[Person]) -> String {
    let mut plain = one_line(text);
    for person in people {
        let name = format!("@{}", one_line(&person.username));
        plain = plain.replace(&format!("@[{}]", person.user_id), &name);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(user_id: i64, username: &str) -> Person {
        Person {
            user_id,
            username: username.to_owned(),
            email: String::new(),
            language: String::new(),
            role: "rep".to_owned(),
            is_active: true,
            version: 1,
        }
    }

    fn mention() -> Mention {
        Mention {
            event_id: Uuid::nil(),
            occurred_at: DateTime::UNIX_EPOCH,
            recorded_at: DateTime::UNIX_EPOCH,
            traceparent: String::new(),
            told: vec![2, 3],
            mentions: vec![2, 3, 4],
            by: Some(1),
            opportunity_id: 9,
            opportunity_name: "軟體授權採購".to_owned(),
            subject: "報價".to_owned(),
            description: Some("@[2] 請看\n@[4] 的信".to_owned()),
        }
    }

    #[test]
    fn told_are_those_to_be_told_who_are_there_and_did_not_write_it() {
        let ids = |mention: &Mention, people: &[Person]| -> Vec<i64> {
            recipients(mention, people).iter().map(|it| it.user_id).collect()
        };
        let people = [person(1, "Amy"), person(2, "Bob"), person(3, "Mei"), person(4, "Dan")];
        assert_eq!(ids(&mention(), &people), [2, 3]);
        assert_eq!(ids(&Mention { by: Some(2), ..mention() }, &people), [3]);
        let gone = Person { is_active: false, ..person(2, "Bob") };
        assert_eq!(ids(&mention(), &[gone, person(3, "Mei")]), [3]);
    }

    #[test]
    fn what_was_written_is_told_with_names_in_one_line_each() {
        let people = [person(1, "Amy"), person(2, "Bo\r\nb"), person(4, "王 小明")];
        let (title, body) = words(&mention(), &people, Language::ZhTw);
        assert_eq!(title, "Amy 在「軟體授權採購」提到您");
        assert_eq!(body, "主旨：報價\n內容：@Bo b 請看 @王 小明 的信");
        let long = Mention { description: Some("x".repeat(400)), by: None, ..mention() };
        let (title, body) = words(&long, &people, Language::En);
        assert_eq!(title, "You were mentioned in 軟體授權採購");
        assert_eq!(body, format!("Subject: 報價\nText: {}…", "x".repeat(300)));
    }
}
