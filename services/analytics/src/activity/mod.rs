//! Activities: what is known of each, as of its latest version.

pub(crate) mod store;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{ApplyError, Event, Record};
use sqlx::PgConnection;

/// What kinds there are, as they are told.
pub const TYPES: [&str; 5] = ["call", "email", "meeting", "task", "note"];

/// An activity as of a version, as far as numbers need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub activity_id: i64,
    /// Its version.
    pub version: i64,
    /// The opportunity that it is about.
    pub opportunity_id: i64,
    /// What kind of thing it is, one of [`TYPES`].
    pub activity_type: String,
    /// Who is to do it, or did it.
    pub owner_id: i64,
    /// Who wrote it down.
    pub created_by: i64,
    /// When it is to be done.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it was written down.
    pub created_at: DateTime<Utc>,
    /// Whether it was deleted by itself; with its opportunity it is gone without that.
    pub is_deleted: bool,
}

/// The record of an activity's event. What cannot be read is the event's fault.
pub fn read(event: &Event) -> Result<Activity, ApplyError> {
    let Some(Record::Activity(it)) = &event.record else { return Err(poison("not an activity")) };
    if !TYPES.contains(&&*it.activity_type) {
        return Err(poison("an unknown kind of activity"));
    }
    let created_at = it.created_at.ok_or_else(|| poison("an instant is missing"))?;
    Ok(Activity {
        activity_id: event.aggregate_id,
        version: event.version,
        opportunity_id: it.opportunity_id,
        activity_type: it.activity_type.clone(),
        // Before it was told, whoever wrote one down was to do it.
        owner_id: if it.owner_id == 0 { it.created_by } else { it.owner_id },
        created_by: it.created_by,
        scheduled_at: it.scheduled_at.map(Into::into),
        completed_at: it.completed_at.map(Into::into),
        created_at: created_at.into(),
        is_deleted: it.deleted_at.is_some(),
    })
}

fn poison(what: &'static str) -> ApplyError {
    ApplyError::Poison(anyhow::Error::msg(what))
}

/// Activities as of the latest versions that were told, in whatever order.
#[derive(Debug, Default)]
pub(crate) struct Latest(BTreeMap<i64, Activity>);

impl Latest {
    /// One more change.
    pub(crate) fn tell(&mut self, event: &Event) -> Result<(), ApplyError> {
        let told = read(event)?;
        let known = self.0.get(&told.activity_id);
        if known.is_none_or(|known| known.version < told.version) {
            self.0.insert(told.activity_id, told);
        }
        Ok(())
    }

    /// How many have been told of.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What has been told to its end where it is told by id and version: all but the last, of which there may be more.
    pub(crate) fn take(&mut self) -> Vec<Activity> {
        let last = self.0.pop_last();
        let done = self.finish();
        self.0.extend(last);
        done
    }

    /// All, by id, when nothing more is told.
    pub(crate) fn finish(&mut self) -> Vec<Activity> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

/// Applies changes of activities that may have been applied before, in any order.
pub(crate) async fn apply<'a>(
    tx: &mut PgConnection,
    events: impl IntoIterator<Item = &'a Event>,
) -> Result<(), ApplyError> {
    let mut latest = Latest::default();
    for event in events {
        latest.tell(event)?;
    }
    store::upsert(tx, &latest.finish()).await?;
    Ok(())
}
