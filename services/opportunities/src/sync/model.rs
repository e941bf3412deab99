//! What somebody who keeps a copy is told: where they are, and what follows for them from the change log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::{Event, Record};
use rpc::Error;
use serde::{Deserialize, Serialize};

use crate::access::model::{Owned, Sight};
use crate::cursor;

/// What kind of record, in the order in which all are told at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A pipeline with its stages.
    #[serde(rename = "p")]
    Pipeline,
    /// A customer.
    #[serde(rename = "c")]
    Customer,
    /// A person at a customer's.
    #[serde(rename = "n")]
    Contact,
    /// An opportunity.
    #[serde(rename = "o")]
    Opportunity,
    /// An activity of an opportunity.
    #[serde(rename = "a")]
    Activity,
}

impl Kind {
    /// The kind that is told after this one at first.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Pipeline => Some(Self::Customer),
            Self::Customer => Some(Self::Contact),
            Self::Contact => Some(Self::Opportunity),
            Self::Opportunity => Some(Self::Activity),
            Self::Activity => None,
        }
    }
}

/// Where somebody is. All of it but `position` is how far they are with what comes before what changed after that. Who makes one up gains nothing: what is told
/// follows from the change log and from the present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What was committed up to this position of the change log is told.
    #[serde(rename = "p")]
    pub position: i64,
    /// What they could see, as it is written down.
    #[serde(rename = "s")]
    pub sight_id: i64,
    /// What they could see before, as far as something of it may have to be taken back.
    #[serde(rename = "f", default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<i64>,
    /// All records are being told: those of this kind after this id come next.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub walk: Option<(Kind, i64)>,
    /// In the middle of what follows from some changes.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
}

/// In the middle of what follows from the next changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// How many changes.
    #[serde(rename = "n")]
    pub changes: i32,
    /// How many tasks are done.
    #[serde(rename = "d")]
    pub done: usize,
    /// The next task is done up to this id.
    #[serde(rename = "a")]
    pub after: i64,
}

/// The reason of an answer to a place that is none.
const INVALID: &str = "CURSOR_INVALID";

/// The answer to a place that is none, or somebody else's.
pub(super) fn invalid() -> Error {
    Error::Malformed {
        reason: INVALID.into(),
        message: "`since` is not from an answer to this caller: begin anew without it".to_owned(),
    }
}

impl Place {
    /// The beginning, where all there is comes first.
    pub fn start(position: i64, sight_id: i64) -> Self {
        let walk = Some((Kind::Pipeline, 0));
        Self { position, sight_id, former: Vec::new(), walk, within: None }
    }

    /// As a caller gets it.
    pub fn write(&self) -> String {
        cursor::write(self)
    }

    /// As a caller gives it back.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let place: Self = cursor::read(text).ok_or_else(invalid)?;
        let is_possible = place.position >= 0
            && place.former.len() <= 100
            && place.within.is_none_or(|it| it.changes > 0);
        if is_possible { Ok(place) } else { Err(invalid()) }
    }

    /// The same for somebody who sees something else by now: all they may see comes once more, and what they could see before is taken back.
    #[must_use]
    pub fn seeing(mut self, sight_id: i64) -> Self {
        if self.sight_id != sight_id {
            self.former.push(self.sight_id);
            self.sight_id = sight_id;
            self.walk = Some((Kind::Pipeline, 0));
            self.within = None;
        }
        self
    }
}

/// What somebody could see until something changed that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// What it was.
    pub sight: Sight,
    /// It was so up to this position of the change log.
    pub until_position: i64,
    /// It was so until then.
    pub until: DateTime<Utc>,
}

/// What somebody can see and could see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eyes {
    /// Now.
    pub now: Sight,
    /// Before.
    pub former: Vec<Former>,
}

impl Eyes {
    /// Whether they see a record, or saw it at a position.
    fn saw(&self, record: Owned, position: i64) -> bool {
        let saw = |it: &Former| it.until_position >= position && it.sight.covers(record);
        self.now.covers(record) || self.former.iter().any(saw)
    }
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A record, as it is now.
    Record(Wanted),
    /// Those that go with a record: the contacts of a customer, the activities of an opportunity.
    Along(Kind, i64),
}

/// A record that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: i64,
    /// The version at which they may have had it: if they do not see it, it is taken back. 0 where the present one says nothing new.
    pub had: Option<i64>,
    /// Of a contact that went to another customer: they may have had it if they see this one.
    pub through: Option<i64>,
}

impl Wanted {
    /// A record that is told if it is seen.
    pub(super) fn new(kind: Kind, id: i64) -> Self {
        Self { kind, id, had: None, through: None }
    }
}

/// What follows from changes, in their order, each record once and as late as it changed.
pub fn tasks(events: &[Event], eyes: &Eyes) -> Vec<Task> {
    let mut list = List::default();
    for event in events {
        match &event.record {
            Some(Record::Opportunity(_)) => of_opportunity(event, eyes, &mut list),
            Some(Record::Customer(_)) => {
                list.add(Wanted::new(Kind::Customer, event.aggregate_id));
                if old(event, "deleted_at").is_some() {
                    list.along(Kind::Contact, event.aggregate_id);
                }
            }
            Some(Record::Contact(_)) => list.add(Wanted {
                through: old(event, "customer_id").and_then(|id| id.parse().ok()),
                ..Wanted::new(Kind::Contact, event.aggregate_id)
            }),
            Some(Record::Activity(_)) => list.add(Wanted::new(Kind::Activity, event.aggregate_id)),
            Some(Record::Pipeline(_)) => list.add(Wanted::new(Kind::Pipeline, event.aggregate_id)),
            _ => {}
        }
    }
    list.tasks.into_iter().flatten().collect()
}

#[derive(Default)]
struct List {
    tasks: Vec<Option<Task>>,
    places: HashMap<(Kind, i64), usize>,
}

impl List {
    fn add(&mut self, mut wanted: Wanted) {
        let place = self.places.insert((wanted.kind, wanted.id), self.tasks.len());
        if let Some(Task::Record(before)) = place.and_then(|place| self.tasks[place].take()) {
            wanted.had = wanted.had.or(before.had);
            wanted.through = wanted.through.or(before.through);
        }
        self.tasks.push(Some(Task::Record(wanted)));
    }

    fn along(&mut self, kind: Kind, id: i64) {
        let task = Some(Task::Along(kind, id));
        if !self.tasks.contains(&task) {
            self.tasks.push(task);
        }
    }
}

/// An opportunity comes, changes and goes, and with it its activities, its customer and that one's contacts.
fn of_opportunity(event: &Event, eyes: &Eyes, list: &mut List) {
    let Some(Record::Opportunity(record)) = &event.record else { return };
    let after = Owned { owner_id: record.owner_id, team_id: record.team_id };
    let before = before(event, after).filter(|_| old(event, "deleted_at").is_none());
    let had = before.is_some_and(|before| eyes.saw(before, event.position));
    let has = record.deleted_at.is_none() && eyes.now.covers(after);
    if !had && !has {
        return;
    }
    let customer_before = old(event, "customer_id").and_then(|id| id.parse().ok());
    // Who sees all sees every customer, whosever the opportunities are.
    if eyes.now != Sight::All {
        if has && (!had || customer_before.is_some()) {
            list.add(Wanted::new(Kind::Customer, record.customer_id));
            list.along(Kind::Contact, record.customer_id);
        }
        if had && (!has || customer_before.is_some()) {
            let id = customer_before.unwrap_or(record.customer_id);
            list.add(Wanted { had: Some(0), ..Wanted::new(Kind::Customer, id) });
        }
    }
    let had_at = had.then_some(event.version);
    list.add(Wanted { had: had_at, ..Wanted::new(Kind::Opportunity, event.aggregate_id) });
    if has && !had && event.version > 1 {
        list.along(Kind::Activity, event.aggregate_id);
    }
}

/// Whose an opportunity was before a change; nobody's where it was made by it.
fn before(event: &Event, after: Owned) -> Option<Owned> {
    let is_new = event.version == 1;
    let owner_id = old(event, "owner_id").and_then(|id| id.parse().ok());
    let change = event.changes.iter().find(|change| change.field == "team_id");
    let team_id = change.map_or(after.team_id, |change| change.old.parse().ok());
    (!is_new).then(|| Owned { owner_id: owner_id.unwrap_or(after.owner_id), team_id })
}

/// The value of a field before a change, as JSON text; nothing where it did not change or was empty.
fn old<'a>(event: &'a Event, field: &str) -> Option<&'a str> {
    let change = event.changes.iter().find(|change| change.field == field);
    change.map(|change| change.old.as_str()).filter(|old| *old != "null")
}

#[cfg(test)]
mod tests;
