//! What others learn of activities.

use chrono::{DateTime, Utc};
use events::{Change, FieldChange, field_change};
use proto::events::v1::{ActivityRecord, event::Record};

use super::model::Activity;
use crate::meta::Meta;

/// What an activity was before and is now. `told` are those whom it mentions now first and who may see it.
pub(super) fn change(
    meta: &Meta,
    before: Option<&Activity>,
    after: &Activity,
    opportunity_name: &str,
    told: Vec<i64>,
) -> Change {
    let record = Record::Activity(ActivityRecord {
        id: after.id,
        opportunity_id: after.opportunity_id,
        activity_type: after.activity_type.as_str().to_owned(),
        subject: after.subject.clone(),
        scheduled_at: after.scheduled_at.map(Into::into),
        completed_at: after.completed_at.map(Into::into),
        created_by: after.created_by,
        created_at: Some(after.created_at.into()),
        deleted_at: after.deleted_at.map(Into::into),
        version: after.version,
        description: after.description.clone(),
        owner_id: after.owner_id,
        mentions: after.mentions.clone(),
        newly_mentioned: told,
        opportunity_name: opportunity_name.to_owned(),
        updated_at: Some(after.updated_at.into()),
    });
    meta.change(
        "activity",
        after.id,
        after.version,
        kind(before, after),
        after.updated_at,
        record,
        changes(before, after),
    )
}

/// What happened, by name.
fn kind(before: Option<&Activity>, after: &Activity) -> &'static str {
    let Some(before) = before else { return "activity.created" };
    match (before.deleted_at, after.deleted_at) {
        (None, Some(_)) => "activity.deleted",
        (Some(_), None) => "activity.restored",
        _ if before.completed_at.is_none() && after.completed_at.is_some() => "activity.completed",
        _ => "activity.updated",
    }
}

/// The fields that differ; of a new record every field that has a value.
fn changes(before: Option<&Activity>, after: &Activity) -> Vec<FieldChange> {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let told = |at: fn(&Activity) -> Option<DateTime<Utc>>, field: &str| {
        let (old, new) = (before.and_then(at).map(instant), at(after).map(instant));
        field_change(field, old.as_ref(), new.as_ref())
    };
    let kind = before.map(|it| it.activity_type.as_str());
    let description = before.and_then(|it| it.description.as_ref());
    let mentions = before.map(|it| &it.mentions).filter(|ids| !ids.is_empty());
    let mentions_now = Some(&after.mentions).filter(|ids| !ids.is_empty());
    [
        field_change("activity_type", kind.as_ref(), Some(&after.activity_type.as_str())),
        field_change("subject", before.map(|it| &it.subject), Some(&after.subject)),
        field_change("description", description, after.description.as_ref()),
        told(|it| it.scheduled_at, "scheduled_at"),
        told(|it| it.completed_at, "completed_at"),
        field_change("owner_id", before.map(|it| &it.owner_id), Some(&after.owner_id)),
        field_change("mentions", mentions, mentions_now),
        told(|it| it.deleted_at, "deleted_at"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
