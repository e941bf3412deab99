//! Opportunities: making them, changing them, moving them through their stages, listing them, and the history of it all.

mod advance;
pub(crate) mod along;
pub(crate) mod batch;
pub mod bulk;
mod change;
pub mod draft;
pub mod edit;
pub(crate) mod event;
pub(crate) mod follow;
pub mod line_item;
pub mod list;
mod missing;
pub mod model;
pub mod past;
pub(crate) mod relocate;
pub mod search;
mod several;
mod store;
pub(crate) mod takeback;
mod upsert;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};
use sqlx::{PgConnection, PgPool};

use crate::access::model::{Owned, Sight};
use crate::activity::model::Next;
use crate::contact::{self, model::ContactWish};
use crate::directory::model::Person;
use crate::meta::Meta;
use crate::text::fold;
use crate::{State, access, directory, pipeline};
use crate::{currency, customer};
use draft::{CustomerWish, Draft, Wish};
use list::{Ask, Page};
use model::{Moment, Opportunity};

pub use advance::{MoveWish, change_stage};
pub use change::{delete, restore, update};
pub use upsert::upsert;

/// An opportunity with the names that go with it.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The record.
    pub opportunity: Opportunity,
    /// Its contact's name.
    pub contact_name: Option<String>,
    /// Its contact's address.
    pub contact_email: Option<String>,
    /// Its owner's name.
    pub owner_name: String,
    /// What is to be done next.
    pub next_activity: Option<Next>,
}

/// One row of the history, with the name of who moved it.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// Its id.
    pub id: i64,
    /// Name of the stage before.
    pub from_stage: Option<String>,
    /// Key of the stage before.
    pub from_stage_key: Option<String>,
    /// Name of the stage after.
    pub to_stage: String,
    /// Key of the stage after.
    pub to_stage_key: String,
    /// Who moved it.
    pub changed_by: i64,
    /// That user's name.
    pub changed_by_name: String,
    /// What was noted.
    pub notes: Option<String>,
    /// Probability after the move.
    pub probability: i32,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// How long it stood in the stage before.
    pub seconds_in_from_stage: Option<i64>,
}

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateOpportunity";

/// Before anything that an opportunity can have been through: the last second before the year 1.
pub(crate) const BEGINNING: DateTime<Utc> = match DateTime::from_timestamp(-62_135_596_801, 0) {
    Some(at) => at,
    None => DateTime::UNIX_EPOCH,
};

/// After anything that is written down: the first second of the year 10000.
pub(crate) const END_OF_TIME: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_800, 0) {
    Some(at) => at,
    None => DateTime::<Utc>::MAX_UTC,
};

/// The reason of a conflict over an `external_id`.
pub(crate) const EXTERNAL_ID_TAKEN: &str = "EXTERNAL_ID_TAKEN";

/// Whether any opportunity has an amount.
pub(crate) async fn are_amounts(pool: &PgPool) -> sqlx::Result<bool> {
    store::are_amounts(pool).await
}

/// Opportunities by id, deleted ones too, whoever may see them.
pub(crate) async fn of_ids(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<Detail>> {
    store::of_ids(pool, ids).await
}

/// Makes an opportunity, its customer and contact where they are new, and the first row of its history.
pub async fn create(
    state: &State,
    caller: &auth::Caller,
    wish: Wish,
    once: Option<Once<Detail>>,
    meta: Meta,
) -> Result<Outcome<Detail>, Error> {
    caller.require_write()?;
    caller.require_role(&[auth::Role::Admin, auth::Role::Manager, auth::Role::Rep])?;
    let once = Arc::new(once);
    let attempt = || attempt(state, caller, &wish, Arc::clone(&once), meta.clone());
    let refused = match pipeline::by_present_stages(state, attempt).await {
        Err(Error::Invalid(fields)) => Error::Invalid(fields),
        made => return made,
    };
    // What was good when it was made, and is sent again, may not be good any more: its stage is gone, or its owner.
    let (by, at) = (caller.user_id, meta.recorded_at);
    match idempotency::kept(&state.reads, by, CREATE, Option::as_ref(&once), at).await {
        Ok(Some(response)) => Ok(Outcome::Replay(response)),
        _ => Err(refused),
    }
}

async fn attempt(
    state: &State,
    caller: &auth::Caller,
    wish: &Wish,
    once: Arc<Option<Once<Detail>>>,
    meta: Meta,
) -> Result<Outcome<Detail>, Error> {
    let pipelines = state.pipelines.get()?;
    let (mut settings, custom_fields) = (state.settings.get()?, state.custom_fields.get()?);
    let owner_id = wish.owner_id.unwrap_or(caller.user_id);
    if caller.role == auth::Role::Rep && owner_id != caller.user_id {
        return Err(denied("OWNER_NOT_SELF", "a rep creates for themselves only"));
    }
    let read = Draft::read(wish, &pipelines, &custom_fields, &settings.default_currency);
    let (mut draft, mut invalid) = match read {
        Ok(read) => read,
        Err(mut invalid) => {
            if let Some(owner_id) = wish.owner_id {
                invalid.check(owner_of(state, caller, owner_id, None, &meta).await)?;
            }
            return Err(invalid.into());
        }
    };
    let sight = access::sight(&state.reads, caller, settings.visibility).await?;
    let (customer_id, folded) = match &draft.customer {
        CustomerWish::Id(id) => (Some(*id), None),
        CustomerWish::Name(name) => (None, Some(fold(name))),
    };
    let by = caller.user_id;
    let found =
        store::prepare(&state.reads, owner_id, customer_id, folded.as_deref(), &sight, by).await?;
    if customer_id.is_some() && found.customer.is_none() && invalid.is_empty() {
        invalid.extend(unknown_customer());
    }
    let owner = owner_of(state, caller, owner_id, found.owner, &meta).await;
    let owner = invalid.check(owner)?.unwrap_or_default();
    if invalid.is_empty() && draft.amount.is_some() && !settings.currency_fixed {
        settings = state.settings_for_amounts().await?;
        draft = Draft::parse(wish, &pipelines, &custom_fields, &settings.default_currency)?;
    }
    let exchange =
        currency::exchange(&state.reads, &settings.default_currency, [&*draft.currency]).await?;
    let moment = Moment {
        at: meta.recorded_at,
        by,
        zone: settings.zone,
        exchange: &exchange,
        lost_reasons: &*state.lost_reasons.get()?,
    };
    let mut opportunity = blank(&draft, found.opportunity_id, &owner, by);
    // What the stage asks for of the contact is met by a contact that will be made.
    opportunity.contact_id = draft.contact.as_ref().map(|_| 0);
    let begun =
        model::begin(&mut opportunity, draft.stage, &draft.step(), found.history_id, &moment);
    let begun = begun.map_err(|wrong| missing::extend(&mut invalid, wrong));
    let Some(moved) = begun.ok().filter(|_| invalid.is_empty()) else {
        return Err(invalid.into());
    };

    let customer_name = match draft.customer {
        CustomerWish::Name(name) => Some(name),
        CustomerWish::Id(_) => None,
    };
    let external_id = opportunity.external_id.clone();
    let creation = Creation {
        opportunity,
        moved,
        customer_id: found.customer.map(|(id, _)| id),
        customer_name,
        contact: draft.contact,
        owner_name: owner.username,
        sight: sight.clone(),
        by,
    };
    let answer = rpc::write(record(state.clone(), creation, once, meta)).await;
    match (answer, external_id) {
        (Err(error), Some(taken)) if error.reason() == EXTERNAL_ID_TAKEN => {
            Err(name_the_taker(state, error, &taken, &sight).await)
        }
        (answer, _) => answer,
    }
}

fn unknown_customer() -> Invalid {
    Invalid::default().field("customer_id", "unknown_customer", "there is no such customer")
}

/// A creation that follows the rules, ready to be written.
struct Creation {
    opportunity: Opportunity,
    moved: model::Moved,
    /// The customer that was found.
    customer_id: Option<i64>,
    /// How it was called, if it was.
    customer_name: Option<String>,
    contact: Option<ContactWish>,
    owner_name: String,
    sight: Sight,
    by: i64,
}

/// Writes a creation in one transaction, unless its idempotency key was answered before.
async fn record(
    state: State,
    creation: Creation,
    once: Arc<Option<Once<Detail>>>,
    meta: Meta,
) -> Result<Outcome<Detail>, Error> {
    let Creation { mut opportunity, moved, contact, owner_name, sight, by, .. } = creation;
    let (customer_id, customer_name) = (creation.customer_id, creation.customer_name.as_deref());
    let mut tx = state.writes.begin().await?;
    let (at, mut changes) = (meta.recorded_at, Vec::new());
    let once = (*once).as_ref();
    if let Some(response) = idempotency::answered(&mut tx, by, CREATE, once, at).await? {
        return Ok(Outcome::Replay(response));
    }
    let customer =
        customer::settle(&mut tx, customer_id, customer_name, &sight, by, &meta, &mut changes);
    let customer = customer.await?.ok_or_else(unknown_customer)?;
    (opportunity.customer_id, opportunity.customer_name) = (customer.id, customer.name);
    let contact = match contact {
        None => None,
        Some(wish) => {
            let id = opportunity.customer_id;
            let contact = contact::find_or_create(&mut tx, id, &wish, at, &meta, &mut changes);
            Some(contact.await?)
        }
    };
    opportunity.contact_id = contact.as_ref().map(|contact| contact.id);
    if !changes.is_empty() {
        events::outbox::append(&mut tx, &changes).await?;
    }
    insert(&mut tx, &mut opportunity, &moved, &meta).await?;
    let (contact_name, contact_email) =
        contact.map(|contact| (contact.name, contact.email)).unzip();
    let contact_email = contact_email.flatten();
    let next_activity = None;
    let detail = Detail { opportunity, contact_name, contact_email, owner_name, next_activity };
    idempotency::keep(&mut tx, by, CREATE, once, &detail).await?;
    tx.commit().await?;
    state.wake.wake();
    Ok(Outcome::New(detail))
}

/// Adds an opportunity for the team that its owner is in now: they may have changed teams since they were read.
async fn insert(
    tx: &mut PgConnection,
    opportunity: &mut Opportunity,
    moved: &model::Moved,
    meta: &Meta,
) -> Result<(), Error> {
    let change = meta.moved(None, opportunity, Some(moved));
    if store::insert(tx, opportunity, moved, &events::encode(&change)).await? {
        return Ok(());
    }
    opportunity.team_id = team_of(tx, opportunity.owner_id).await?;
    let change = meta.moved(None, opportunity, Some(moved));
    if store::insert(tx, opportunity, moved, &events::encode(&change)).await? {
        return Ok(());
    }
    Err(Error::internal("an owner changed teams who was held in theirs"))
}

/// The team of a person who is known, in which they are held until the end of this transaction.
async fn team_of(tx: &mut PgConnection, user_id: i64) -> Result<Option<i64>, Error> {
    let team = directory::store::hold_team(tx, user_id).await?;
    team.ok_or_else(|| Error::internal("an owner who is not known"))
}

/// An `external_id` is unique, deleted ones included; who may see the opportunity that has it is told which it is.
async fn name_the_taker(state: &State, error: Error, taken: &str, sight: &Sight) -> Error {
    match store::find_external(&state.reads, taken).await {
        Ok(Some((id, owned))) if sight.covers(owned) => error.about("opportunity_id", id),
        _ => error,
    }
}

/// The person to own a new opportunity: there, active, and within the caller's reach.
async fn owner_of(
    state: &State,
    caller: &auth::Caller,
    owner_id: i64,
    found: Option<Person>,
    meta: &Meta,
) -> Result<Person, Error> {
    let owner = match found {
        Some(owner) => Some(owner),
        None => directory::person(state, owner_id, meta).await?,
    };
    let invalid = |code, message| Invalid::default().field("owner_id", code, message).into();
    let Some(owner) = owner else {
        return Err(invalid("unknown_user", "there is no such user"));
    };
    if !owner.is_active {
        return Err(invalid("inactive_user", "this user is not active"));
    }
    if owner.user_id != caller.user_id && caller.role == auth::Role::Manager {
        let visibility = state.settings.get()?.visibility;
        let rights = access::rights(&state.reads, caller, visibility).await?;
        let theirs = Owned { owner_id: owner.user_id, team_id: owner.team_id };
        if !rights.write.covers(theirs) {
            return Err(denied("OWNER_OUT_OF_REACH", "this user is not in the caller's teams"));
        }
    }
    Ok(owner)
}

/// All of a new opportunity but what its stage decides.
fn blank(draft: &Draft<'_>, id: i64, owner: &Person, by: i64) -> Opportunity {
    Opportunity {
        id,
        opportunity_name: draft.opportunity_name.clone(),
        customer_id: 0,
        customer_name: String::new(),
        contact_id: None,
        pipeline_id: draft.pipeline_id,
        stage_key: String::new(),
        status: draft.stage.kind,
        amount: draft.amount,
        currency: draft.currency.clone(),
        closed_amount: None,
        closed_rate: None,
        probability: 0,
        expected_close_date: draft.expected_close_date,
        actual_close_date: None,
        lost_reason: None,
        owner_id: owner.user_id,
        team_id: owner.team_id,
        products: draft.products.clone(),
        notes: draft.notes.clone(),
        source: draft.source.clone(),
        external_id: draft.external_id.clone(),
        tags: draft.tags.clone(),
        waiting_until: draft.waiting_until,
        forecast_category: draft.forecast_category,
        line_items: draft.line_items.clone(),
        custom_fields: draft.custom_fields.clone(),
        created_by: by,
        created_at: DateTime::<Utc>::MIN_UTC,
        updated_at: DateTime::<Utc>::MIN_UTC,
        stage_entered_at: DateTime::<Utc>::MIN_UTC,
        deleted_at: None,
        version: 0,
    }
}

/// An opportunity that the caller may see.
pub async fn get(state: &State, caller: &auth::Caller, id: i64) -> Result<Detail, Error> {
    caller.require_read()?;
    let detail = store::find(&state.reads, id).await?;
    visible(state, caller, detail, id).await
}

async fn visible(
    state: &State,
    caller: &auth::Caller,
    detail: Option<Detail>,
    id: i64,
) -> Result<Detail, Error> {
    let settings = state.settings.get()?;
    let sight = access::sight(&state.reads, caller, settings.visibility).await?;
    detail.filter(|it| sight.covers(it.opportunity.owned())).ok_or_else(|| not_found(id))
}

pub(crate) fn denied(reason: &'static str, message: &str) -> Error {
    Error::Denied { reason: reason.into(), message: message.to_owned() }
}

fn not_found(id: i64) -> Error {
    Error::not_found("opportunity", id)
}

/// A page of the opportunities that the caller may see.
pub async fn list(state: &State, caller: &auth::Caller, ask: &Ask<'_>) -> Result<Page, Error> {
    caller.require_read()?;
    let settings = state.settings.get()?;
    let sight = access::sight(&state.reads, caller, settings.visibility).await?;
    list::page(&state.reads, &sight, ask).await
}

/// A page of the history of an opportunity that the caller may see, oldest first.
pub async fn history(
    state: &State,
    caller: &auth::Caller,
    id: i64,
    after: Option<DateTime<Utc>>,
    limit: usize,
) -> Result<(Vec<HistoryRow>, bool), Error> {
    caller.require_read()?;
    let settings = state.settings.get()?;
    let sight = access::sight(&state.reads, caller, settings.visibility).await?;
    let after = after.unwrap_or(BEGINNING);
    let history = store::history(&state.reads, id, after).await?;
    let history = history.filter(|it| sight.covers(it.owned));
    let mut rows = history.ok_or_else(|| not_found(id))?.rows;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok((rows, more))
}
