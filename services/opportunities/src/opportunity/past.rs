//! Opportunities with their past: the same rules, applied at the times when things happened.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, Utc};
use events::{Change, Origin};
use rpc::{Error, Invalid};

use super::draft::{CustomerWish, Draft, Wish};
use super::model::{self, Moment, Moved, Opportunity, Outcome, Step};
use super::several::{self, Steps, Written, told};
use super::{blank, store, team_of};
use crate::access::model::Sight;
use crate::custom_field::model::CustomFields;
use crate::directory::model::{Person, Settings};
use crate::lost_reason::model::LostReasons;
use crate::meta::Meta;
use crate::pipeline::model::{Pipeline, Pipelines, Stage};
use crate::{State, directory, pipeline};
use crate::{contact, currency, customer};

/// An opportunity as it began, and what happened to it since.
pub struct Past {
    /// What it was when it was made.
    pub wish: Wish,
    /// When that was.
    pub created_at: DateTime<Utc>,
    /// Its moves in order of time.
    pub moves: Vec<PastMove>,
}

/// One move of the past.
pub struct PastMove {
    /// Name or key of the stage.
    pub stage: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who moved it; its owner where absent.
    pub by: Option<i64>,
    /// What else was said.
    pub step: Step,
}

/// Everything that an opportunity with its past leaves behind.
pub struct Story {
    /// What it is now.
    pub opportunity: Opportunity,
    /// Its whole history, the creation first.
    pub history: Vec<Moved>,
    /// Its changes, in order.
    pub changes: Vec<Change>,
}

/// A move whose stage is known.
pub struct Turn<'a> {
    /// The stage.
    pub stage: &'a Stage,
    /// When.
    pub at: DateTime<Utc>,
    /// Who moved it.
    pub by: i64,
    /// What else was said.
    pub step: Step,
}

/// Lives an opportunity's past again: what it is now, and how it came to be; or what is wrong, and with which turn, where it is not with the beginning. `beginning` holds all but what its first stage decides; `history_ids` has one id for the creation and one for each turn.
pub(super) fn live(
    mut beginning: Opportunity,
    pipeline: &Pipeline,
    (first, step): (&Stage, &Step),
    turns: Vec<Turn<'_>>,
    history_ids: &[i64],
    moment: &Moment<'_>,
) -> Result<(Opportunity, Steps), (Option<usize>, Invalid)> {
    let mut ids = history_ids.iter().copied();
    let mut next_id = || ids.next().unwrap_or_default();
    let begun = model::begin(&mut beginning, first, step, next_id(), moment);
    let moved = begun.map_err(|invalid| (None, invalid))?;
    let mut opportunity = beginning.clone();
    let mut steps = vec![(beginning, Some(moved))];
    for (index, turn) in turns.into_iter().enumerate() {
        let moment = Moment { at: turn.at, by: turn.by, ..*moment };
        let outcome =
            model::advance(&mut opportunity, pipeline, turn.stage, turn.step, next_id(), &moment)
                .map_err(|invalid| (Some(index), invalid))?;
        let moved = match outcome {
            Outcome::Unchanged => continue,
            Outcome::Adjusted => None,
            Outcome::Moved(moved) => Some(moved),
        };
        steps.push((opportunity.clone(), moved));
    }
    Ok((opportunity, steps))
}

/// What is wrong, by the place of the move.
fn in_place((index, invalid): (Option<usize>, Invalid)) -> Invalid {
    match index {
        Some(index) => invalid.within(&format!("moves[{index}]")),
        None => invalid,
    }
}

#[expect(clippy::too_many_arguments, reason = "each is a part of the past")]
/// The same with what is told of it.
pub fn relive(
    beginning: Opportunity,
    pipeline: &Pipeline,
    first: &Stage,
    probability: Option<i32>,
    turns: Vec<Turn<'_>>,
    history_ids: &[i64],
    moment: &Moment<'_>,
    meta: &Meta,
) -> Result<Story, Invalid> {
    let step = Step { probability, ..Step::default() };
    let (opportunity, steps) =
        live(beginning, pipeline, (first, &step), turns, history_ids, moment).map_err(in_place)?;
    let changes = told(None, &steps, meta);
    let history = steps.into_iter().filter_map(|(_, moved)| moved).collect();
    Ok(Story { opportunity, history, changes })
}

/// What became of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// How many were made.
    pub created: i32,
    /// How many were there already.
    pub skipped: i32,
    /// Their ids in the order asked.
    pub ids: Vec<i64>,
}

/// Brings opportunities with their past; for admins. One whose `external_id` is known is left as it is.
pub async fn import(
    state: &State,
    caller: &auth::Caller,
    pasts: Vec<Past>,
    mut meta: Meta,
    seed: bool,
) -> Result<Imported, Error> {
    if caller.role != auth::Role::Admin {
        return Err(super::denied("ADMIN_ONLY", "only an admin may bring history"));
    }
    if pasts.len() > 500 {
        return Err(Invalid::default()
            .field("opportunities", "too_many", "are more than 500")
            .into());
    }
    meta.origin = if seed { Origin::Seed } else { Origin::Import };
    let (pipelines, custom_fields) = (state.pipelines.get()?, state.custom_fields.get()?);
    let settings = state.settings.get()?;
    let mut invalid = Invalid::default();
    for (index, past) in pasts.iter().enumerate() {
        if let Err(wrong) = read(past, &pipelines, &custom_fields, &settings, meta.recorded_at) {
            invalid.extend(wrong.within(&format!("opportunities[{index}]")));
        }
    }
    if !invalid.is_empty() {
        return Err(invalid.into());
    }
    if pasts.iter().any(|past| past.wish.amount.is_some() || !past.wish.line_items.is_empty()) {
        state.settings_for_amounts().await?;
    }
    let mut imported = Imported::default();
    for past in pasts {
        let past = Arc::new(past);
        let one =
            || rpc::write(one(state.clone(), caller.user_id, Arc::clone(&past), meta.clone()));
        let (id, is_new) = pipeline::by_present_stages(state, one).await?;
        imported.ids.push(id);
        *(if is_new { &mut imported.created } else { &mut imported.skipped }) += 1;
    }
    state.wake.wake();
    Ok(imported)
}

type Ready<'a> = (Draft<'a>, &'a Pipeline, Vec<Turn<'a>>);

/// A past that can be lived again as far as it says itself.
fn read<'a>(
    past: &Past,
    pipelines: &'a Pipelines,
    custom_fields: &CustomFields,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<Ready<'a>, Invalid> {
    let mut invalid = Invalid::default();
    let draft = match Draft::parse(&past.wish, pipelines, custom_fields, &settings.default_currency)
    {
        Ok(draft) => Some(draft),
        Err(wrong) => {
            invalid.extend(wrong.within("opportunity"));
            None
        }
    };
    for (field, missing) in [
        ("opportunity.owner_id", past.wish.owner_id.is_none()),
        ("opportunity.external_id", past.wish.external_id.is_none()),
    ] {
        if missing {
            invalid.add(field, "required", "is required");
        }
    }
    if past.created_at > now {
        invalid.add("created_at", "in_the_future", "is in the future");
    }
    // Earlier its day is in no year that can be told, in some zone.
    if past.created_at.year() < 2 {
        invalid.add("created_at", "out_of_range", "must be of the year 2 or later");
    }
    let pipeline = draft.as_ref().and_then(|draft| pipelines.get(Some(draft.pipeline_id)));
    let mut turns = Vec::with_capacity(past.moves.len());
    let mut last = past.created_at;
    for (index, it) in past.moves.iter().enumerate() {
        if it.at <= last {
            invalid.add(
                format!("moves[{index}].changed_at"),
                "not_in_order",
                "is not after what was before",
            );
        } else if it.at > now {
            invalid.add(format!("moves[{index}].changed_at"), "in_the_future", "is in the future");
        }
        last = it.at;
        let by = it.by.or(past.wish.owner_id).unwrap_or_default();
        match pipeline.map(|pipeline| pipeline.find(&it.stage)) {
            Some(Some(stage)) => turns.push(Turn { stage, at: it.at, by, step: it.step.clone() }),
            Some(None) => invalid.add(
                format!("moves[{index}].stage"),
                "unknown_stage",
                "there is no such stage in the pipeline",
            ),
            None => {}
        }
    }
    match (draft, pipeline) {
        (Some(draft), Some(pipeline)) if invalid.is_empty() => Ok((draft, pipeline, turns)),
        _ => Err(invalid),
    }
}

/// Brings one in, in one transaction; its id, and whether it is new.
async fn one(state: State, by: i64, past: Arc<Past>, meta: Meta) -> Result<(i64, bool), Error> {
    let external_id = past.wish.external_id.as_deref().unwrap_or_default().trim();
    if let Some((id, _)) = store::find_external(&state.reads, external_id).await? {
        return Ok((id, false));
    }
    let (pipelines, custom_fields) = (state.pipelines.get()?, state.custom_fields.get()?);
    let settings = state.settings.get()?;
    let (draft, pipeline, turns) =
        read(&past, &pipelines, &custom_fields, &settings, meta.recorded_at)?;
    let owner = owner(&state, draft.owner_id, &meta).await?;
    let customer_id = match &draft.customer {
        CustomerWish::Id(id) => Some(*id),
        CustomerWish::Name(_) => None,
    };
    let found =
        store::prepare(&state.reads, owner.user_id, customer_id, None, &Sight::All, by).await?;
    let mut history_ids = vec![found.history_id];
    let more = i64::try_from(turns.len()).unwrap_or_default();
    history_ids.extend(store::history_ids(&state.reads, more).await?);
    let at = past.created_at;
    let exchange =
        currency::exchange(&state.reads, &settings.default_currency, [&*draft.currency]).await?;
    let moment = Moment {
        at,
        by: owner.user_id,
        zone: settings.zone,
        exchange: &exchange,
        // Why something was lost in the past is what was said then.
        lost_reasons: &LostReasons::default(),
    };
    let id = found.opportunity_id;
    let mut tx = state.writes.begin().await?;
    let mut beginning = blank(&draft, id, &owner, owner.user_id);
    beginning.created_at = at;
    let mut changes = Vec::new();
    let customer = match &draft.customer {
        CustomerWish::Id(_) => match found.customer {
            Some((id, _)) => customer::hold(&mut tx, id).await?,
            None => None,
        },
        CustomerWish::Name(name) => {
            let all = Sight::All;
            let customer =
                customer::find_or_create(&mut tx, name, &all, by, at, &meta, &mut changes);
            Some(customer.await?)
        }
    };
    let unknown = || {
        let field = "opportunity.customer_id";
        Invalid::default().field(field, "unknown_customer", "there is no such customer")
    };
    let customer = customer.ok_or_else(unknown)?;
    (beginning.customer_id, beginning.customer_name) = (customer.id, customer.name);
    if let Some(wish) = &draft.contact {
        let customer_id = beginning.customer_id;
        let contact = contact::find_or_create(&mut tx, customer_id, wish, at, &meta, &mut changes);
        beginning.contact_id = Some(contact.await?.id);
    }
    // As in every creation, after the customer and before the opportunity.
    beginning.team_id = team_of(&mut tx, owner.user_id).await?;
    let step = Step { probability: draft.probability, ..Step::default() };
    let (_, steps) = live(beginning, pipeline, (draft.stage, &step), turns, &history_ids, &moment)
        .map_err(in_place)?;
    let written = Written::of(None, steps, &meta);
    // The row as it is now; its changes tell how it came to be.
    several::write(&mut tx, written.into_iter().collect(), changes).await?;
    tx.commit().await?;
    Ok((id, true))
}

async fn owner(state: &State, owner_id: Option<i64>, meta: &Meta) -> Result<Person, Error> {
    let unknown = || {
        Invalid::default().field("opportunity.owner_id", "unknown_user", "there is no such user")
    };
    let owner_id = owner_id.ok_or_else(unknown)?;
    Ok(directory::person(state, owner_id, meta).await?.ok_or_else(unknown)?)
}
