//! What is told, to whom and in which words.

use chrono::{DateTime, Utc};
use money::Money;
use uuid::Uuid;

use crate::{
    directory::model::{Language, Person},
    text::one_line,
};

/// One thing that somebody is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its id.
    pub id: i64,
    /// `opportunity.won`, `opportunity.lost`, `activity.mentioned`, or what happened to the recipient's account: `account.password_changed`, ….
    pub event: String,
    /// In one line.
    pub title: String,
    /// A few lines more.
    pub body: String,
    /// The opportunity it is about.
    pub opportunity_id: Option<i64>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When the notification was made.
    pub created_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

/// How an opportunity closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was won.
    Won,
    /// It was lost, for that reason if one was given.
    Lost {
        /// Why.
        reason: Option<String>,
    },
}

impl Outcome {
    /// The event's name for rules and integrations.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Won => "opportunity.won",
            Self::Lost { .. } => "opportunity.lost",
        }
    }
}

/// An opportunity was won or lost, and somebody may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The event that told so.
    pub event_id: Uuid,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// The trace of the request that caused it; empty where there is none.
    pub traceparent: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The opportunity.
    pub opportunity_id: i64,
    /// Its name.
    pub opportunity_name: String,
    /// Whose purchase it is.
    pub customer_name: String,
    /// Its amount, if known.
    pub amount: Option<Money>,
    /// ISO 4217.
    pub currency: String,
    /// Whose it is.
    pub owner_id: i64,
    /// The team it counts for.
    pub team_id: Option<i64>,
    /// The user who closed it; absent where a service did.
    pub closed_by: Option<i64>,
}

/// Who is told of a closing: its owner and who leads its team, each once, and nobody of what they did themselves. Only who is still there, and who may see
/// it whatever the organisation's setting: one's own is seen by everyone, a team's by who leads it as a manager. `people` are those who are known.
pub fn recipients(closing: &Closing, manager_id: Option<i64>, people: &[Person]) -> Vec<i64> {
    let known = |id: i64| people.iter().find(|person| person.user_id == id);
    let owner = Some(closing.owner_id);
    let owner = owner.filter(|id| known(*id).is_none_or(|owner| owner.is_active));
    let manager = manager_id.filter(|id| {
        *id != closing.owner_id
            && known(*id).is_some_and(|it| it.is_active && it.sees_what_they_lead())
    });
    let told = owner.into_iter().chain(manager);
    told.filter(|user| Some(*user) != closing.closed_by).collect()
}

/// The people who are named in a notification.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The owner, if known.
    pub owner: Option<&'a str>,
    /// Who closed it; absent where a service did or where they are not known yet.
    pub closed_by: Option<&'a str>,
}

/// The title and the body of the notification.
pub fn words(closing: &Closing, names: Names<'_>, language: Language) -> (String, String) {
    let zh = language == Language::ZhTw;
    let pick = |chinese: &'static str, english: &'static str| if zh { chinese } else { english };
    let outcome = match closing.outcome {
        Outcome::Won => pick("成交：", "Won: "),
        Outcome::Lost { .. } => pick("失敗：", "Lost: "),
    };
    let title = format!("{outcome}{}", one_line(&closing.opportunity_name));
    let amount = match closing.amount {
        Some(amount) => format!("{} {}", grouped(amount), closing.currency),
        None => pick("未填", "not given").to_owned(),
    };
    let mut lines = vec![
        format!("{}{}", pick("客戶：", "Customer: "), one_line(&closing.customer_name)),
        format!("{}{amount}", pick("金額：", "Amount: ")),
    ];
    if let Some(owner) = names.owner {
        lines.push(format!("{}{}", pick("負責人：", "Owner: "), one_line(owner)));
    }
    match names.closed_by {
        Some(who) => lines.push(format!("{}{}", pick("更新者：", "Moved by: "), one_line(who))),
        None if closing.closed_by.is_none() => {
            lines.push(pick("更新者：系統", "Moved by: the system").to_owned());
        }
        None => {}
    }
    if let Outcome::Lost { reason: Some(reason) } = &closing.outcome {
        lines.push(format!("{}{}", pick("失敗原因：", "Reason: "), one_line(reason)));
    }
    (title, lines.join("\n"))
}

/// `2500000.5` as `2,500,000.5`.
fn grouped(amount: Money) -> String {
    let text = amount.to_string();
    let (whole, cents) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, cents)| (whole, Some(cents)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match cents {
        Some(cents) => format!("{grouped}.{cents}"),
        None => grouped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing() -> Closing {
        Closing {
            event_id: Uuid::nil(),
            occurred_at: DateTime::UNIX_EPOCH,
            recorded_at: DateTime::UNIX_EPOCH,
            traceparent: String::new(),
            outcome: Outcome::Won,
            opportunity_id: 9,
            opportunity_name: "軟體授權採購".to_owned(),
            customer_name: "XYZ 公司".to_owned(),
            amount: Some(Money::from_hundredths(250_000_050)),
            currency: "TWD".to_owned(),
            owner_id: 1,
            team_id: Some(5),
            closed_by: Some(3),
        }
    }

    const NAMES: Names<'_> = Names { owner: Some("陳愛美"), closed_by: Some("Bob") };

    fn person(user_id: i64, role: &str) -> Person {
        Person {
            user_id,
            username: String::new(),
            email: String::new(),
            language: String::new(),
            role: role.to_owned(),
            is_active: true,
            version: 1,
        }
    }

    #[test]
    fn nobody_is_told_of_their_own_acts() {
        let people = [person(1, "rep"), person(2, "manager")];
        let told = |closed_by, manager_id| {
            recipients(&Closing { closed_by, ..closing() }, manager_id, &people)
        };
        assert_eq!(told(Some(3), Some(2)), [1, 2]);
        assert_eq!(told(Some(1), Some(2)), [2]);
        assert_eq!(told(Some(2), Some(2)), [1]);
        assert!(told(Some(1), None).is_empty());
    }

    #[test]
    fn a_manager_who_owns_it_is_told_once() {
        assert_eq!(recipients(&closing(), Some(1), &[person(1, "manager")]), [1]);
    }

    #[test]
    fn who_leads_the_team_is_told_only_where_they_may_see_it() {
        let told = |leader: Person| recipients(&closing(), Some(2), &[leader]);
        assert_eq!(told(person(2, "manager")), [1, 2]);
        assert_eq!(told(person(2, "admin")), [1, 2]);
        assert_eq!(told(person(2, "rep")), [1]);
        assert_eq!(told(person(2, "viewer")), [1]);
        assert_eq!(told(Person { is_active: false, ..person(2, "manager") }), [1]);
        assert_eq!(recipients(&closing(), Some(2), &[]), [1], "nobody knows what they may see");
    }

    #[test]
    fn an_owner_who_left_is_told_nothing() {
        let gone = Person { is_active: false, ..person(1, "rep") };
        assert!(recipients(&closing(), None, &[gone]).is_empty());
    }

    #[test]
    fn a_win_is_told_in_the_language_of_whom_it_is_told_to() {
        let (title, body) = words(&closing(), NAMES, Language::ZhTw);
        assert_eq!(title, "成交：軟體授權採購");
        assert_eq!(body, "客戶：XYZ 公司\n金額：2,500,000.5 TWD\n負責人：陳愛美\n更新者：Bob");
        let (title, body) = words(&closing(), NAMES, Language::En);
        assert_eq!(title, "Won: 軟體授權採購");
        assert_eq!(
            body,
            "Customer: XYZ 公司\nAmount: 2,500,000.5 TWD\nOwner: 陳愛美\nMoved by: Bob"
        );
    }

    #[test]
    fn a_loss_is_told_with_its_reason() {
        let lost = Closing {
            outcome: Outcome::Lost { reason: Some("價格\r\n太高".to_owned()) },
            amount: None,
            closed_by: None,
            ..closing()
        };
        let (title, body) = words(&lost, Names { owner: None, closed_by: None }, Language::En);
        assert_eq!(title, "Lost: 軟體授權採購");
        assert_eq!(
            body,
            "Customer: XYZ 公司\nAmount: not given\nMoved by: the system\nReason: 價格 太高"
        );
    }

    #[test]
    fn a_name_with_line_breaks_stays_in_its_line() {
        let sly = Closing { opportunity_name: "a\r\nBcc: x@y.z\0".to_owned(), ..closing() };
        assert_eq!(words(&sly, NAMES, Language::En).0, "Won: a Bcc: x@y.z");
    }
}
