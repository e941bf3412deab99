//! The opportunities behind the numbers of reports.

pub mod model;
mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::{Error, Invalid};

use crate::State;
use crate::ask::{Ask, calendar, prepare};
use crate::page::{self, Page};
use crate::pipeline::Pipelines;
use model::{Done, Opened, Report, Wanted, selection};

/// A page of opportunities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The newest first.
    pub items: Vec<Opened>,
    /// Of the next page.
    pub next_cursor: Option<String>,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// The opportunities that a number of a report counts, or adds up, a page at a time.
pub async fn opportunities(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (report, wanted): (&str, &Wanted<'_>),
    (limit, cursor): (Option<i32>, Option<&str>),
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Listed, Error> {
    let report = Report::parse(report).ok_or_else(|| Error::not_found("report", report))?;
    let size = page::size(limit, &mut invalid);
    let whose = (ask.owner_id, ask.team_id, ask.pipeline_id);
    let page = Page::parse(size, cursor, &format!("{report:?} {wanted:?} {whose:?}"))?;
    let texts = [("stage_key", wanted.stage_key), ("lost_reason", wanted.lost_reason)];
    for (field, _) in texts.iter().filter(|(_, it)| it.is_some_and(|it| it.contains('\0'))) {
        invalid.add(*field, "invalid_character", "must not contain NUL");
    }
    let pipelines = state.pipelines.get()?;
    let stage_key = stage(state, &pipelines, ask.pipeline_id, report, wanted, &mut invalid).await?;
    let today = calendar(state, now)?;
    let selection = selection(report, wanted, stage_key, today, &mut invalid);
    let mut ground = prepare(state, caller, ask, invalid, now).await?;
    if report == Report::ConversionRate {
        ground.scope.pipeline_id = Some(ground.pipeline()?.id);
    }
    let is_of_person = selection.done.as_ref().is_some_and(Done::is_of_person);
    let person = ground.scope.owner_id.take_if(|_| is_of_person);
    let zone = state.settings.get()?.zone;
    let read = store::selected(&state.reads, &ground.scope, &selection, person, zone, page).await?;
    let place = |it: &Opened| (it.created_at.timestamp_micros(), it.opportunity_id);
    let (items, next_cursor) = page.cut(read.rows, place);
    Ok(Listed { items, next_cursor, as_of: read.as_of })
}

/// The key of the stage that is meant; one that there is not is noted. A stage that was deleted is known by its key alone.
async fn stage(
    state: &State,
    pipelines: &Pipelines,
    pipeline_id: Option<i64>,
    report: Report,
    wanted: &Wanted<'_>,
    invalid: &mut Invalid,
) -> Result<Option<String>, Error> {
    let is_default = report == Report::ConversionRate && pipeline_id.is_none();
    let asked = pipelines.iter().filter(|it| match pipeline_id {
        Some(id) => it.id == id,
        None => !is_default || it.is_default,
    });
    let by_name = wanted.stage.and_then(|text| {
        let mut keys: Vec<_> = asked
            .flat_map(|it| &it.stages)
            .filter(|it| it.name == text.trim() || it.key.eq_ignore_ascii_case(text.trim()))
            .map(|it| it.key.clone())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        match keys.len() {
            0 => invalid.add("stage", "unknown_stage", "there is no such stage"),
            1 => {}
            _ => invalid.add("stage", "ambiguous", "name the pipeline, or the stage by its key"),
        }
        keys.pop()
    });
    let Some(key) = wanted.stage_key else { return Ok(by_name) };
    if by_name.as_ref().is_some_and(|named| named != key) {
        invalid.add("stage_key", "inconsistent", "is not the key of the stage");
    }
    let is_none = report == Report::LossReasons && key.is_empty();
    // A text with NUL was noted, and is none that PostgreSQL reads.
    if !is_none && !key.contains('\0') && !store::is_stage(&state.reads, key, pipeline_id).await? {
        invalid.add("stage_key", "unknown_stage", "there is no such stage");
    }
    Ok(Some(key.to_owned()))
}
