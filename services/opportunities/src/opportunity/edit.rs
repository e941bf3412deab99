//! A change of an opportunity's fields: what is asked for, and the rule by which it is made.

use std::sync::Arc;

use chrono::NaiveDate;
use money::Money;
use money::currency::is_known;
use rpc::{Invalid, mask::Wish};

use super::draft::{self, CustomerWish};
use super::line_item::{self, LineItem, LineWish};
use super::missing;
use super::model::{self, Moment, Moved, Opportunity, Step};
use crate::contact::model::ContactWish;
use crate::custom_field::model::{CustomFields, ValueWishes};
use crate::pipeline::category::Category;
use crate::pipeline::model::{Kind, Pipelines, Stage};
use crate::text;

/// What somebody wants to be other, as it came: of each field nothing, that it be cleared, or a value.
#[derive(Clone, Debug, Default)]
pub struct EditWish {
    /// What is no value of its kind: nothing is changed by a wish that has any.
    pub faults: Invalid,
    /// The customer by name.
    pub customer_name: Wish<String>,
    /// The customer by id.
    pub customer_id: Wish<i64>,
    /// The contact's name.
    pub contact_name: Wish<String>,
    /// The contact's address.
    pub contact_email: Wish<String>,
    /// What is to be sold.
    pub opportunity_name: Wish<String>,
    /// Name or key of the stage.
    pub stage: Wish<String>,
    /// For how much.
    pub amount: Wish<Money>,
    /// Percent.
    pub probability: Wish<i32>,
    /// The day it is expected to close.
    pub expected_close_date: Wish<NaiveDate>,
    /// The day it closed.
    pub actual_close_date: Wish<NaiveDate>,
    /// Why it was lost.
    pub lost_reason: Wish<String>,
    /// Names of products.
    pub products: Wish<Vec<String>>,
    /// Free text.
    pub notes: Wish<String>,
    /// Whose it is to be.
    pub owner_id: Wish<i64>,
    /// Its id in another system.
    pub external_id: Wish<String>,
    /// ISO 4217.
    pub currency: Wish<String>,
    /// The pipeline.
    pub pipeline_id: Wish<i64>,
    /// Where it came from.
    pub source: Wish<String>,
    /// Labels.
    pub tags: Wish<Vec<String>>,
    /// Not stale before this day.
    pub waiting_until: Wish<NaiveDate>,
    /// How sure a forecast may be of it.
    pub forecast_category: Wish<Category>,
    /// What is to be sold, line by line.
    pub line_items: Wish<Vec<LineWish>>,
    /// What is to be said in the organisation's own fields.
    pub custom_fields: Wish<ValueWishes>,
    /// A note for the history row of the move, if it is one.
    pub move_notes: Option<String>,
}

impl EditWish {
    /// Whether there is an amount after it that may not have been there before.
    pub(super) fn names_amount(&self) -> bool {
        self.amount.flatten().is_some() || self.line_items.as_ref().is_some_and(Option::is_some)
    }
}

/// What is to become of the contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContactEdit {
    /// It stays; with another customer there is none.
    #[default]
    Keep,
    /// There is none.
    Clear,
    /// It is of this name and address, as far as they are named.
    Of {
        /// The name.
        name: Option<String>,
        /// The address.
        email: Option<String>,
    },
}

impl ContactEdit {
    /// Who is meant, where the contact so far has that name: a person is known by their address, which an edit of the name alone does not name.
    pub fn wish(&self, name_so_far: Option<&str>) -> Option<ContactWish> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Of { name, email } => {
                let name = name.clone().or_else(|| name_so_far.map(str::to_owned));
                ContactWish::new(name, email.clone())
            }
        }
    }
}

/// A change that can be made as far as it says itself: every text fits, every number is in range.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Whose purchase it is to be.
    pub customer: Option<CustomerWish>,
    /// The person asked.
    pub contact: ContactEdit,
    /// Whose it is to be.
    pub owner_id: Option<i64>,
    /// For how much.
    pub amount: Wish<Money>,
    opportunity_name: Option<String>,
    pipeline_id: Option<i64>,
    stage: Option<String>,
    move_notes: Option<String>,
    probability: Wish<i32>,
    currency: Option<String>,
    expected_close_date: Wish<NaiveDate>,
    actual_close_date: Wish<NaiveDate>,
    lost_reason: Wish<String>,
    products: Option<Vec<String>>,
    notes: Wish<String>,
    external_id: Wish<String>,
    source: Wish<String>,
    tags: Option<Vec<String>>,
    waiting_until: Wish<NaiveDate>,
    forecast_category: Wish<Category>,
    line_items: Option<Vec<LineItem>>,
    custom_fields: Wish<ValueWishes>,
    /// What is wrong with it by itself, which [`revise`] tells with all else.
    pub(super) faults: Invalid,
}

impl Edit {
    /// Its id in another system, if it is to have one.
    pub fn external_id(&self) -> Option<&str> {
        self.external_id.as_ref()?.as_deref()
    }

    /// In which currency it is to be, if that is named.
    pub fn currency(&self) -> Option<&str> {
        self.currency.as_deref()
    }

    /// Reads what is wished. Whatever is wrong with it is told at once.
    pub fn parse(wish: EditWish, default_currency: &str) -> Result<Self, Invalid> {
        let edit = Self::read(wish, default_currency);
        if edit.faults.is_empty() { Ok(edit) } else { Err(edit.faults) }
    }

    /// Reads what is wished as far as it is good, and what is wrong with it.
    pub(super) fn read(wish: EditWish, default_currency: &str) -> Self {
        let mut invalid = wish.faults;
        let it = &mut invalid;
        let opportunity_name = needed_name(it, "opportunity_name", wish.opportunity_name);
        let customer = customer(it, wish.customer_id, wish.customer_name);
        let contact = contact(it, wish.contact_name, wish.contact_email);
        let probability = match wish.probability {
            Some(Some(percent)) => draft::percent(it, Some(percent)).map(Some),
            other => other,
        };
        draft::amount(it, "amount", wish.amount.flatten());
        let currency =
            wish.currency.map(|code| code.unwrap_or_else(|| default_currency.to_owned()));
        if currency.as_deref().is_some_and(|it| !is_known(it)) {
            it.add("currency", "unknown_currency", "is not an ISO 4217 code");
        }
        let mut edit = Self {
            customer,
            contact,
            owner_id: needed_id(it, "owner_id", wish.owner_id),
            amount: wish.amount,
            opportunity_name,
            pipeline_id: needed_id(it, "pipeline_id", wish.pipeline_id),
            stage: needed_name(it, "stage", wish.stage.map(|it| it.map(|it| it.trim().to_owned()))),
            move_notes: text::free(it, "notes", wish.move_notes.as_deref(), 20_000),
            probability,
            currency,
            expected_close_date: wish.expected_close_date,
            actual_close_date: wish.actual_close_date,
            lost_reason: named(it, "lost_reason", wish.lost_reason, 255),
            products: wish
                .products
                .map(Option::unwrap_or_default)
                .map(|names| text::names(it, "products", &names, line_item::MOST_NAMED)),
            notes: wish.notes.map(|notes| text::free(it, "notes", notes.as_deref(), 20_000)),
            external_id: wish
                .external_id
                .map(|id| text::external_id(it, "external_id", id.as_deref())),
            source: named(it, "source", wish.source, 255),
            tags: wish
                .tags
                .map(Option::unwrap_or_default)
                .map(|names| text::names(it, "tags", &names, 50)),
            waiting_until: wish.waiting_until,
            forecast_category: wish.forecast_category,
            line_items: wish
                .line_items
                .map(Option::unwrap_or_default)
                .map(|lines| line_item::parse(it, &lines)),
            custom_fields: wish.custom_fields,
            faults: Invalid::default(),
        };
        edit.faults = invalid;
        edit
    }
}

/// A name that is there always: cleared, or of nothing but space, it is missing.
fn needed_name(invalid: &mut Invalid, field: &str, wish: Wish<String>) -> Option<String> {
    let name = wish?.unwrap_or_default();
    if name.trim().is_empty() {
        invalid.add(field, "required", "cannot be cleared");
        return None;
    }
    text::name(invalid, field, Some(&name), 255)
}

fn needed_id(invalid: &mut Invalid, field: &str, wish: Wish<i64>) -> Option<i64> {
    let id = wish?;
    if id.is_none() {
        invalid.add(field, "required", "cannot be cleared");
    }
    id
}

fn named(invalid: &mut Invalid, field: &str, wish: Wish<String>, longest: usize) -> Wish<String> {
    wish.map(|name| text::name(invalid, field, name.as_deref(), longest))
}

fn customer(invalid: &mut Invalid, id: Wish<i64>, name: Wish<String>) -> Option<CustomerWish> {
    match (id, name) {
        (Some(Some(_)), Some(Some(_))) => {
            let message = "cannot be given beside customer_id";
            invalid.add("customer_name", "ambiguous", message);
            None
        }
        (Some(Some(id)), _) => Some(CustomerWish::Id(id)),
        (Some(None), None | Some(None)) => {
            invalid.add("customer_id", "required", "cannot be cleared");
            None
        }
        (_, name) => needed_name(invalid, "customer_name", name).map(CustomerWish::Name),
    }
}

fn contact(invalid: &mut Invalid, name: Wish<String>, email: Wish<String>) -> ContactEdit {
    if name.is_none() && email.is_none() {
        return ContactEdit::Keep;
    }
    let name = name.map(|name| text::name(invalid, "contact_name", name.as_deref(), 255));
    let email = email.map(|email| text::email(invalid, "contact_email", email.as_deref()));
    match (name, email) {
        (Some(None), None | Some(None)) | (None, Some(None)) => ContactEdit::Clear,
        (name, email) => ContactEdit::Of { name: name.flatten(), email: email.flatten() },
    }
}

/// What a change speaks of, as it was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The customer that it names.
    pub customer: Option<(i64, String)>,
    /// The contact, where another or none is named.
    pub contact_id: Option<Option<i64>>,
    /// The team of whose it is to be.
    pub team_id: Option<i64>,
    /// The organisation's own fields.
    pub custom_fields: Arc<CustomFields>,
}

/// An opportunity with its change: the same where nothing is other. A change that names another stage, or another pipeline, is a move by the same rules as every
/// move. Whatever was wrong is told at once.
pub fn revise(
    before: &Opportunity,
    edit: &Edit,
    found: &Found,
    pipelines: &Pipelines,
    history_id: i64,
    moment: &Moment<'_>,
) -> Result<(Opportunity, Option<Moved>), Invalid> {
    let mut invalid = edit.faults.clone();
    let mut next = fill(&mut invalid, before, edit, found);
    let own = pipelines.get(Some(before.pipeline_id));
    let present = own.and_then(|pipeline| pipeline.stage(&before.stage_key));
    let pipeline = edit.pipeline_id.map_or(own, |id| pipelines.get(Some(id)));
    if pipeline.is_none() {
        invalid.add("pipeline_id", "unknown_pipeline", "there is no such pipeline");
    }
    let target = pipeline.and_then(|pipeline| match &edit.stage {
        Some(called) => {
            let stage = pipeline.find(called);
            if stage.is_none() {
                let message = "there is no such stage in the pipeline";
                invalid.add("stage", "unknown_stage", message);
            }
            Some((pipeline.id, stage?))
        }
        None if pipeline.id != before.pipeline_id => Some((pipeline.id, pipeline.first()?)),
        None => None,
    });
    if invalid.names("stage") || invalid.names("pipeline_id") {
        // What is asked for where it is to stand is not known.
        return Err(invalid);
    }
    let is_other = |(id, stage): &(i64, &Stage)| {
        (*id, &*stage.key) != (before.pipeline_id, &*before.stage_key)
    };
    let step = Step {
        probability: edit.probability.flatten(),
        notes: edit.move_notes.clone(),
        lost_reason: edit.lost_reason.clone().flatten(),
        actual_close_date: edit.actual_close_date.flatten(),
    };
    let mut moved = None;
    let to = target.filter(is_other);
    let comes_to = to.map_or(before.status, |(_, stage)| stage.kind);
    if let Some(to) = to {
        let from_name = present.map_or("", |stage| &stage.name);
        match model::transfer(&mut next, from_name, to, step, history_id, moment) {
            Ok(it) => moved = Some(it),
            Err(wrong) => missing::extend(&mut invalid, wrong),
        }
    } else if let Some(stage) = present {
        stay(&mut invalid, before, &mut next, edit, (stage, &step), moment);
    }
    correct(before, &mut next, edit, moment);
    let is_closed = |it: &Opportunity| it.status != Kind::Open;
    if next.owner_id != before.owner_id && is_closed(before) && comes_to != Kind::Open {
        let message = "of a closed one stays as it was when it closed";
        invalid.add("owner_id", "frozen_when_closed", message);
    }
    if !invalid.is_empty() {
        return Err(invalid);
    }
    if moved.is_none() && next != *before {
        next.version += 1;
        next.updated_at = moment.at;
    }
    next.updated_at = next.updated_at.max(before.updated_at);
    if next.owner_id != before.owner_id || is_closed(before) && !is_closed(&next) {
        // While it was closed it did not follow its owner.
        next.team_id = found.team_id;
    }
    Ok((next, moved))
}

/// One that was closed and stays so is frozen anew where what it was worth is corrected: another amount by the rate that it was frozen by, another currency or day by
/// the one that is known for that. One that was closed without a rate takes the one that is known by now when
/// amount, currency or close date are named, though they are what they were.
fn correct(before: &Opportunity, next: &mut Opportunity, edit: &Edit, moment: &Moment<'_>) {
    if next.status == Kind::Open || next.status != before.status {
        return;
    }
    let by_what = |it: &Opportunity| (it.currency.clone(), it.actual_close_date);
    if let (Some(amount), Some(rate)) = (next.amount, before.closed_rate)
        && by_what(before) == by_what(next)
        && next.amount != before.amount
    {
        // What a rate became meanwhile is no matter.
        next.closed_amount = rate.convert(amount);
        next.closed_rate = next.closed_amount.map(|_| rate);
        return;
    }
    let worth = |it: &Opportunity| (it.amount, by_what(it));
    let is_named =
        edit.amount.is_some() || edit.currency.is_some() || edit.actual_close_date.is_some();
    if worth(before) != worth(next) || is_named && before.closed_amount.is_none() {
        next.freeze(moment.exchange);
    }
}

/// What the edit names and no stage decides.
fn fill(invalid: &mut Invalid, before: &Opportunity, edit: &Edit, found: &Found) -> Opportunity {
    let mut it = before.clone();
    if let Some((id, name)) = &found.customer {
        (it.customer_id, it.customer_name) = (*id, name.clone());
    }
    set(&mut it.contact_id, found.contact_id);
    set(&mut it.owner_id, edit.owner_id);
    set(&mut it.opportunity_name, edit.opportunity_name.clone());
    set(&mut it.amount, edit.amount);
    set(&mut it.currency, edit.currency.clone());
    set(&mut it.expected_close_date, edit.expected_close_date);
    set(&mut it.notes, edit.notes.clone());
    set(&mut it.external_id, edit.external_id.clone());
    set(&mut it.source, edit.source.clone());
    set(&mut it.tags, edit.tags.clone());
    set(&mut it.waiting_until, edit.waiting_until);
    set(&mut it.forecast_category, edit.forecast_category);
    set(&mut it.line_items, edit.line_items.clone());
    if let Some(wishes) = &edit.custom_fields {
        let said = found.custom_fields.merge(invalid, &before.custom_fields, wishes.as_ref());
        it.custom_fields = said;
    }
    let come_to = line_item::sum(&it.line_items);
    if edit.amount == Some(None) || edit.amount.is_none() && it.line_items != before.line_items {
        it.amount = come_to.or(it.amount);
    }
    let so_far = (&*before.products, &*before.line_items);
    it.products = line_item::products(invalid, edit.products.clone(), so_far, &it.line_items);
    it
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// What an edit may say of an opportunity that stays in its stage.
fn stay(
    invalid: &mut Invalid,
    before: &Opportunity,
    next: &mut Opportunity,
    edit: &Edit,
    (stage, step): (&Stage, &Step),
    moment: &Moment<'_>,
) {
    model::check(invalid, before, stage, step, moment);
    match (edit.probability, stage.kind) {
        (Some(Some(probability)), _) => next.probability = probability,
        (Some(None), Kind::Open) => next.probability = stage.default_probability,
        (Some(None) | None, _) => {}
    }
    if let Some(named) = edit.lost_reason.as_ref().filter(|_| stage.kind == Kind::Lost) {
        let so_far = before.lost_reason.as_deref();
        next.lost_reason = moment.lost_reasons.settle(invalid, named.as_deref(), so_far);
    }
    match edit.actual_close_date {
        Some(None) if stage.kind != Kind::Open => {
            invalid.add("actual_close_date", "required", "cannot be cleared while it is closed");
        }
        Some(day) => next.actual_close_date = day,
        None => {}
    }
    let mut lost = Invalid::default();
    for field in stage.required_fields.iter().filter(|it| before.has(it) && !next.has(it)) {
        lost.add(field, "required_for_stage", format!("is needed in stage {}", stage.name));
    }
    missing::extend(invalid, lost);
}

#[cfg(test)]
mod tests;
