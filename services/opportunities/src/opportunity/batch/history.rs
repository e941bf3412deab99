//! Rows that bring their past: the same rules, applied when things happened.

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use rpc::{Error, Invalid};

use super::{Faults, New, Plan, draft};
use crate::State;
use crate::currency::model::Exchange;
use crate::directory::model::Person;
use crate::lost_reason::model::LostReasons;
use crate::meta::Meta;
use crate::opportunity::blank;
use crate::opportunity::model::{Moment, Step, day};
use crate::opportunity::past::{Turn, live};
use crate::pipeline::model::{Kind, Pipeline, Stage};
use crate::sheet::column::Entry;
use crate::sheet::past::When;
use crate::state::Rules;

/// By what the way is told that an opportunity went.
const WAY: [&str; 4] = ["pipeline_id", "stage", "created_at", "stage_history"];

/// An opportunity that began in the past, and went on as its row says.
pub(super) fn begin(
    state: &State,
    owner: &Person,
    mut entry: Entry,
    exchange: &Exchange,
    mut faults: Faults,
    meta: &Meta,
) -> Result<Plan, Error> {
    let (Rules { pipelines, custom_fields, .. }, settings) =
        (state.rules()?, state.settings.get()?);
    let currency = &settings.default_currency;
    let draft = draft(&mut entry, &pipelines, &custom_fields, currency, &mut faults);
    let (now, zone) = (meta.recorded_at, settings.zone);
    let mut invalid = Invalid::default();
    let begun =
        entry.created_at.and_then(|when| instant(&mut invalid, "created_at", when, zone, now));
    let pipeline = pipelines.get(entry.wish.pipeline_id);
    let pipeline = pipeline.filter(|_| !faults.are_about(&["pipeline_id", "stage_history"]));
    let told = pipeline.map(|it| told(&mut invalid, it, &entry, zone, now)).unwrap_or_default();
    faults.add(invalid);
    let known = draft.zip(pipeline).filter(|_| !faults.are_about(&WAY));
    let Some((draft, pipeline)) = known else { return Ok(Plan::Fail(faults)) };
    let mut invalid = Invalid::default();
    let way = way(&mut invalid, pipeline, draft.stage, &entry, (told, begun), (zone, now));
    faults.add(invalid);
    if faults.are_about(&WAY) {
        return Ok(Plan::Fail(faults));
    }
    let mut stands: Vec<_> = way
        .into_iter()
        .map(|(stage, at)| Turn { stage, at, by: owner.user_id, step: Step::default() })
        .collect();
    if let Some(last) = stands.last_mut() {
        last.step = Step { actual_close_date: entry.actual_close_date, ..draft.step() };
    }
    let first = stands.remove(0);
    let mut beginning = blank(&draft, 0, owner, owner.user_id);
    beginning.created_at = first.at;
    // What a stage asks for of the contact is met by a contact that will be made.
    beginning.contact_id = draft.contact.as_ref().map(|_| 0);
    let moment = Moment {
        at: first.at,
        by: owner.user_id,
        zone,
        exchange,
        // Why something was lost in the past is what was said then.
        lost_reasons: &LostReasons::default(),
    };
    let lived = live(beginning, pipeline, (first.stage, &first.step), stands, &[], &moment);
    // What was wrong with its last step is wrong with the row.
    let lived = faults.check(lived.map_err(|(_, invalid)| invalid))?;
    match lived.filter(|_| faults.is_empty()) {
        Some((_, steps)) => New::of(draft, steps, owner),
        None => Ok(Plan::Fail(faults)),
    }
}

/// Stages, each with when it was come into.
type Way<'a> = Vec<(&'a Stage, DateTime<Utc>)>;

/// The stages of its history, each with when it came into it.
fn told<'a>(
    invalid: &mut Invalid,
    pipeline: &'a Pipeline,
    entry: &Entry,
    zone: Tz,
    now: DateTime<Utc>,
) -> Way<'a> {
    let mut way = Vec::with_capacity(entry.stage_history.len() + 1);
    for (called, when) in &entry.stage_history {
        let at = instant(invalid, "stage_history", *when, zone, now);
        let stage = pipeline.find(called);
        if stage.is_none() {
            let message = format!("there is no stage {} in the pipeline", short(called));
            invalid.add("stage_history", "unknown_stage", message);
        }
        let Some((stage, at)) = stage.zip(at) else { continue };
        if way.last().is_some_and(|(_, before)| *before > at) {
            let message = format!("{} comes before what stands before it", short(called));
            invalid.add("stage_history", "not_in_order", message);
        }
        // To where it is already nothing went.
        if way.last().is_none_or(|(last, _): &(&Stage, _)| last.key != stage.key) {
            way.push((stage, at));
        }
    }
    way
}

/// The stages through which it went, each with when it came into it; the first is where it began.
fn way<'a>(
    invalid: &mut Invalid,
    pipeline: &'a Pipeline,
    stands_in: &'a Stage,
    entry: &Entry,
    (mut way, begun): (Way<'a>, Option<DateTime<Utc>>),
    (zone, now): (Tz, DateTime<Utc>),
) -> Way<'a> {
    match (way.first().map(|it| it.1), begun) {
        (Some(first), Some(begun)) if first < begun => {
            invalid.add("stage_history", "before_creation", "begins before created_at");
        }
        // Until it came into the first stage that is told it stood where all begin.
        (Some(first), Some(begun)) if first > begun => {
            let first = pipeline.first().map(|stage| (stage, begun));
            if way.first().map(|it| &it.0.key) == first.map(|it| &it.0.key) {
                way.remove(0);
            }
            way.splice(0..0, first);
        }
        (Some(_), _) => {}
        (None, Some(begun)) => {
            way = without_history(invalid, pipeline, stands_in, entry, (begun, now, zone));
        }
        (None, None) => {
            invalid.add("created_at", "required", "created_at or stage_history is required");
        }
    }
    if entry.wish.stage.is_some() && way.last().is_some_and(|(last, _)| last.key != stands_in.key) {
        invalid.add("stage", "differs_from_history", "is not the last of stage_history");
    }
    way
}

fn short(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Of one whose stages are not told: an open one has stood in its stage from the beginning, a closed one where all begin until the day it closed.
fn without_history<'a>(
    invalid: &mut Invalid,
    pipeline: &'a Pipeline,
    stands_in: &'a Stage,
    entry: &Entry,
    (begun, now, zone): (DateTime<Utc>, DateTime<Utc>, Tz),
) -> Way<'a> {
    let whole = vec![(stands_in, begun)];
    if stands_in.kind == Kind::Open {
        return whole;
    }
    let Some(closed_on) = entry.actual_close_date else {
        let message = "is required of what is closed, where there is no stage_history";
        invalid.add("actual_close_date", "required", message);
        return whole;
    };
    if closed_on > day(now, zone) {
        invalid.add("actual_close_date", "in_the_future", "is after today");
    }
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default();
    let closed_at = When::Local(closed_on.and_time(noon)).instant(zone);
    match (pipeline.first(), closed_at) {
        (Some(first), Some(closed_at)) if closed_on > day(begun, zone) => {
            vec![(first, begun), (stands_in, closed_at.min(now))]
        }
        _ => whole,
    }
}

fn instant(
    invalid: &mut Invalid,
    field: &str,
    when: When,
    zone: Tz,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let at = when.instant(zone);
    match at {
        None => invalid.add(field, "invalid_time", "is no time in the organisation's zone"),
        Some(at) if at > now => invalid.add(field, "in_the_future", "is in the future"),
        Some(_) => {}
    }
    at
}
