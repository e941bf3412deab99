//! What an activity is, what one must satisfy, whom it mentions, and when it is due.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, SubsecRound as _, TimeDelta, Utc};
use chrono_tz::Tz;
use rpc::mask;
use rpc::{Invalid, Span, start_of};

use crate::access::Rights;
use crate::access::model::{Owned, Sight};
use crate::text;

/// How many people one activity mentions at most.
const MOST_MENTIONED: usize = 20;
/// How far ahead of ours a caller's clock may be.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// What kind of thing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityType {
    /// A telephone call.
    Call,
    /// An e-mail.
    Email,
    /// A meeting.
    Meeting,
    /// Anything else to be done.
    Task,
    /// A comment.
    Note,
}

impl ActivityType {
    /// As it is stored and told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Email => "email",
            Self::Meeting => "meeting",
            Self::Task => "task",
            Self::Note => "note",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Call, Self::Email, Self::Meeting, Self::Task, Self::Note]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// An activity as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub id: i64,
    /// The opportunity it is about.
    pub opportunity_id: i64,
    /// What kind of thing it is.
    pub activity_type: ActivityType,
    /// What it is, in a line.
    pub subject: String,
    /// All that there is to say.
    pub description: Option<String>,
    /// When it is to be done.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub completed_at: Option<DateTime<Utc>>,
    /// Who is to do it.
    pub owner_id: i64,
    /// Who made it.
    pub created_by: i64,
    /// Who is mentioned, in the order of the text.
    pub mentions: Vec<i64>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Rises by one with every change.
    pub version: i64,
}

/// What is to be done next about an opportunity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The activity's id.
    pub id: i64,
    /// What kind of thing it is.
    pub activity_type: ActivityType,
    /// What it is, in a line.
    pub subject: String,
    /// When it is to be done.
    pub scheduled_at: DateTime<Utc>,
}

/// What somebody says of an activity, unchecked: of a new one all that it is, of another what is to change.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// What kind of thing it is.
    pub activity_type: mask::Wish<ActivityType>,
    /// What it is.
    pub subject: mask::Wish<String>,
    /// All that there is to say.
    pub description: mask::Wish<String>,
    /// When it is to be done.
    pub scheduled_at: mask::Wish<DateTime<Utc>>,
    /// When it was done.
    pub completed_at: mask::Wish<DateTime<Utc>>,
    /// Who is to do it; nobody is who made it.
    pub owner_id: mask::Wish<i64>,
}

impl Edit {
    /// The new activity that it describes, made by that person. Whether those it names are there is for the database to say.
    pub fn begin(
        self,
        id: i64,
        opportunity_id: i64,
        by: i64,
        at: DateTime<Utc>,
    ) -> Result<Activity, Invalid> {
        let blank = Activity {
            id,
            opportunity_id,
            activity_type: ActivityType::Note,
            subject: String::new(),
            description: None,
            scheduled_at: None,
            completed_at: None,
            owner_id: by,
            created_by: by,
            mentions: Vec::new(),
            created_at: at,
            updated_at: at,
            deleted_at: None,
            version: 1,
        };
        let all = Self {
            activity_type: Some(self.activity_type.flatten()),
            subject: Some(self.subject.flatten()),
            ..self
        };
        let mut invalid = Invalid::default();
        let activity = all.fill(blank, at, &mut invalid);
        if invalid.is_empty() { Ok(activity) } else { Err(invalid) }
    }

    /// The activity as it is to be, with the next version where anything is other. Whether those it names are there is for the database to say.
    pub fn apply(self, old: &Activity, at: DateTime<Utc>) -> Result<Activity, Invalid> {
        let mut invalid = Invalid::default();
        let mut new = self.fill(old.clone(), at, &mut invalid);
        if !invalid.is_empty() {
            return Err(invalid);
        }
        if new != *old {
            new.version += 1;
            new.updated_at = at.max(old.updated_at);
        }
        Ok(new)
    }

    fn fill(self, mut it: Activity, at: DateTime<Utc>, invalid: &mut Invalid) -> Activity {
        match self.activity_type {
            Some(Some(kind)) => it.activity_type = kind,
            Some(None) => invalid.add("activity_type", "required", "is required"),
            None => {}
        }
        if let Some(subject) = self.subject {
            let given = subject.filter(|text| !text.trim().is_empty());
            if given.is_none() {
                invalid.add("subject", "required", "is required");
            }
            if let Some(subject) = text::name(invalid, "subject", given.as_deref(), 255) {
                it.subject = subject;
            }
        }
        if let Some(description) = self.description {
            it.description = text::free(invalid, "description", description.as_deref(), 20_000);
        }
        // The database keeps microseconds.
        if let Some(scheduled_at) = self.scheduled_at {
            it.scheduled_at = scheduled_at.map(|at| at.trunc_subsecs(6));
        }
        if let Some(completed_at) = self.completed_at {
            if completed_at.is_some_and(|done| done > at + AHEAD) {
                invalid.add("completed_at", "in_the_future", "is in the future");
            }
            it.completed_at = completed_at.map(|at| at.trunc_subsecs(6));
        }
        if let Some(owner_id) = self.owner_id {
            it.owner_id = owner_id.unwrap_or(it.created_by);
        }
        it.mentions = mentioned(&it.subject);
        for user_id in it.description.iter().flat_map(|text| mentioned(text)) {
            if !it.mentions.contains(&user_id) {
                it.mentions.push(user_id);
            }
        }
        if it.mentions.len() > MOST_MENTIONED {
            let message = format!("mentions more than {MOST_MENTIONED} people");
            invalid.add("description", "too_many", message);
        }
        it
    }
}

impl Activity {
    /// As it is once it is deleted.
    #[must_use]
    pub fn deleted(&self, at: DateTime<Utc>) -> Self {
        self.with_deleted_at(Some(at), at)
    }

    /// As it is once it is back.
    #[must_use]
    pub fn restored(&self, at: DateTime<Utc>) -> Self {
        self.with_deleted_at(None, at)
    }

    fn with_deleted_at(&self, deleted_at: Option<DateTime<Utc>>, at: DateTime<Utc>) -> Self {
        let updated_at = at.max(self.updated_at);
        Self { deleted_at, updated_at, version: self.version + 1, ..self.clone() }
    }

    /// Whether it is one of those of which the earliest is to be done next.
    pub fn is_to_be_done(&self) -> bool {
        self.scheduled_at.is_some() && self.completed_at.is_none() && self.deleted_at.is_none()
    }

    /// The field that names somebody.
    pub fn field_naming(&self, user_id: i64) -> &'static str {
        if self.owner_id == user_id {
            "owner_id"
        } else if mentioned(&self.subject).contains(&user_id) {
            "subject"
        } else {
            "description"
        }
    }

    /// Whom it names that the version before did not: its owner and who is mentioned, each once.
    pub fn newly_named(&self, before: Option<&Self>) -> Vec<i64> {
        let owner = before.is_none_or(|before| before.owner_id != self.owner_id);
        let mut named = self.newly_mentioned(before);
        if owner && !named.contains(&self.owner_id) {
            named.push(self.owner_id);
        }
        named
    }

    /// Whom it mentions that the version before did not.
    pub fn newly_mentioned(&self, before: Option<&Self>) -> Vec<i64> {
        let is_new = |id: &&i64| before.is_none_or(|before| !before.mentions.contains(id));
        self.mentions.iter().filter(is_new).copied().collect()
    }
}

/// Who is mentioned in a text, `@[3]` for user 3, in the order of the text, each once; of more than an activity may mention, one more.
pub fn mentioned(text: &str) -> Vec<i64> {
    let mut found = Vec::new();
    for after in text.split("@[").skip(1) {
        let Some((id, _)) = after.split_once(']') else { continue };
        let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(id) = id.parse().ok().filter(|id| is_number && *id > 0 && !found.contains(id)) {
            found.push(id);
        }
        if found.len() > MOST_MENTIONED {
            break;
        }
    }
    found
}

/// Whether somebody may change an activity that they may see: who may change its opportunity, and of those who change anything at all who made it and
/// whose it is.
pub(crate) fn may_change(rights: &Rights, by: i64, activity: &Activity, of: Owned) -> bool {
    rights.write.covers(of)
        || rights.write != Sight::Nothing && [activity.created_by, activity.owner_id].contains(&by)
}

/// When something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Before today.
    Overdue,
    /// Today.
    Today,
    /// This week, from Monday to Sunday.
    Week,
}

impl Due {
    /// From when until when that is, as of a day of that zone.
    pub fn span(self, today: NaiveDate, zone: Tz) -> Span {
        let start = |day: NaiveDate| start_of(day, zone);
        let after = |day: NaiveDate, days| day.checked_add_days(Days::new(days)).map(start);
        match self {
            Self::Overdue => (None, Some(start(today))),
            Self::Today => (Some(start(today)), after(today, 1)),
            Self::Week => {
                let gone = u64::from(today.weekday().num_days_from_monday());
                let monday = today.checked_sub_days(Days::new(gone)).unwrap_or(today);
                (Some(start(monday)), after(monday, 7))
            }
        }
    }
}

#[cfg(test)]
mod tests;
