//! A new opportunity as it is asked for, read into types that are valid by construction.

use chrono::NaiveDate;
use money::Money;
use money::currency::is_known;
use rpc::Invalid;

use super::line_item::{self, LineItem, LineWish};
use super::model::Step;
use crate::contact::model::ContactWish;
use crate::custom_field::model::{CustomFields, ValueWishes, Values};
use crate::pipeline::category::Category;
use crate::pipeline::model::{Pipelines, Stage};
use crate::text;

/// What somebody asks for, as it came.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The customer by name.
    pub customer_name: Option<String>,
    /// The customer by id.
    pub customer_id: Option<i64>,
    /// The contact's name.
    pub contact_name: Option<String>,
    /// The contact's address.
    pub contact_email: Option<String>,
    /// What is to be sold.
    pub opportunity_name: String,
    /// Name or key of the stage.
    pub stage: Option<String>,
    /// For how much.
    pub amount: Option<Money>,
    /// Percent.
    pub probability: Option<i32>,
    /// The day it is expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// Names of products.
    pub products: Vec<String>,
    /// Free text.
    pub notes: Option<String>,
    /// Whose it is to be.
    pub owner_id: Option<i64>,
    /// Its id in another system.
    pub external_id: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// The pipeline.
    pub pipeline_id: Option<i64>,
    /// Where it came from.
    pub source: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Not stale before this day.
    pub waiting_until: Option<NaiveDate>,
    /// How sure a forecast may be of it, where it says so itself.
    pub forecast_category: Option<Category>,
    /// What is to be sold, line by line.
    pub line_items: Vec<LineWish>,
    /// What is to be said in the organisation's own fields.
    pub custom_fields: ValueWishes,
    /// Why it is lost, where it begins so.
    pub lost_reason: Option<String>,
    /// The day it closed, where it begins so.
    pub actual_close_date: Option<NaiveDate>,
    /// What is no value of its kind: nothing is made of a wish that has any.
    pub faults: Invalid,
}

/// Whose purchase it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerWish {
    /// The customer of that id.
    Id(i64),
    /// The customer of that name, or a new one.
    Name(String),
}

/// A wish that can be granted as far as it says itself: every text fits, every number is in range, the stage is there.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Whose purchase it is.
    pub customer: CustomerWish,
    /// The person asked.
    pub contact: Option<ContactWish>,
    /// What is to be sold.
    pub opportunity_name: String,
    /// The pipeline.
    pub pipeline_id: i64,
    /// The stage.
    pub stage: &'a Stage,
    /// Percent, if named.
    pub probability: Option<i32>,
    /// For how much.
    pub amount: Option<Money>,
    /// ISO 4217.
    pub currency: String,
    /// The day it is expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// Names of products.
    pub products: Vec<String>,
    /// Free text.
    pub notes: Option<String>,
    /// Whose it is to be, if named.
    pub owner_id: Option<i64>,
    /// Its id in another system.
    pub external_id: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Not stale before this day.
    pub waiting_until: Option<NaiveDate>,
    /// How sure a forecast may be of it, where it says so itself.
    pub forecast_category: Option<Category>,
    /// What is to be sold, line by line.
    pub line_items: Vec<LineItem>,
    /// What is said in the organisation's own fields.
    pub custom_fields: Values,
    lost_reason: Option<String>,
    actual_close_date: Option<NaiveDate>,
}

impl<'a> Draft<'a> {
    /// How it comes into its first stage.
    pub fn step(&self) -> Step {
        Step {
            probability: self.probability,
            lost_reason: self.lost_reason.clone(),
            actual_close_date: self.actual_close_date,
            notes: None,
        }
    }

    /// Reads a wish. Whatever is wrong with it is told at once.
    pub fn parse(
        wish: &Wish,
        pipelines: &'a Pipelines,
        custom_fields: &CustomFields,
        default_currency: &str,
    ) -> Result<Self, Invalid> {
        let (draft, invalid) = Self::read(wish, pipelines, custom_fields, default_currency)?;
        if invalid.is_empty() { Ok(draft) } else { Err(invalid) }
    }

    /// Reads a wish as far as it is good, and what is wrong with it, so that what its stage says of the rest can be told as well. Fails where there is no such stage.
    pub fn read(
        wish: &Wish,
        pipelines: &'a Pipelines,
        custom_fields: &CustomFields,
        default_currency: &str,
    ) -> Result<(Self, Invalid), Invalid> {
        let mut invalid = wish.faults.clone();
        let it = &mut invalid;
        let opportunity_name = if wish.opportunity_name.trim().is_empty() {
            it.add("opportunity_name", "required", "is required");
            None
        } else {
            text::name(it, "opportunity_name", Some(&wish.opportunity_name), 255)
        };
        let customer = customer(it, wish);
        let contact_name = text::name(it, "contact_name", wish.contact_name.as_deref(), 255);
        let contact_email = text::email(it, "contact_email", wish.contact_email.as_deref());
        let pipeline = pipelines.get(wish.pipeline_id);
        if pipeline.is_none() {
            it.add("pipeline_id", "unknown_pipeline", "there is no such pipeline");
        }
        let stage = pipeline.and_then(|pipeline| match &wish.stage {
            None => pipeline.first(),
            Some(called) => {
                let stage = pipeline.find(called);
                if stage.is_none() {
                    it.add("stage", "unknown_stage", "there is no such stage in the pipeline");
                }
                stage
            }
        });
        let probability = percent(it, wish.probability);
        amount(it, "amount", wish.amount);
        let line_items = line_item::parse(it, &wish.line_items);
        let custom_fields = custom_fields.merge(it, &Values::new(), Some(&wish.custom_fields));
        let currency = wish.currency.as_deref().unwrap_or(default_currency);
        if !is_known(currency) {
            it.add("currency", "unknown_currency", "is not an ISO 4217 code");
        }
        let draft = (|it: &mut Invalid| {
            Some(Self {
                contact: ContactWish::new(contact_name, contact_email),
                expected_close_date: wish.expected_close_date,
                products: {
                    let named = text::names(it, "products", &wish.products, line_item::MOST_NAMED);
                    line_item::products(it, Some(named), (&[], &[]), &line_items)
                },
                notes: text::free(it, "notes", wish.notes.as_deref(), 20_000),
                external_id: text::external_id(it, "external_id", wish.external_id.as_deref()),
                source: text::name(it, "source", wish.source.as_deref(), 255),
                tags: text::names(it, "tags", &wish.tags, 50),
                customer: customer.unwrap_or(CustomerWish::Id(0)),
                opportunity_name: opportunity_name.unwrap_or_default(),
                pipeline_id: pipeline?.id,
                stage: stage?,
                probability,
                amount: wish.amount.or(line_item::sum(&line_items)),
                line_items,
                custom_fields,
                currency: currency.to_owned(),
                owner_id: wish.owner_id,
                waiting_until: wish.waiting_until,
                forecast_category: wish.forecast_category,
                lost_reason: text::name(it, "lost_reason", wish.lost_reason.as_deref(), 255),
                actual_close_date: wish.actual_close_date,
            })
        })(it);
        match draft {
            Some(draft) => Ok((draft, invalid)),
            None => Err(invalid),
        }
    }
}

fn customer(invalid: &mut Invalid, wish: &Wish) -> Option<CustomerWish> {
    let given = wish.customer_name.as_deref();
    if wish.customer_id.is_none() && given.is_none_or(|name| name.trim().is_empty()) {
        invalid.add("customer_name", "required", "customer_name or customer_id is required");
        return None;
    }
    match (wish.customer_id, text::name(invalid, "customer_name", given, 255)) {
        (Some(_), Some(_)) => {
            invalid.add("customer_name", "ambiguous", "cannot be given beside customer_id");
            None
        }
        (Some(id), None) => Some(CustomerWish::Id(id)),
        (None, Some(name)) => Some(CustomerWish::Name(name)),
        (None, None) => None,
    }
}

/// A named probability, if it can be one in any stage.
pub(crate) fn percent(invalid: &mut Invalid, percent: Option<i32>) -> Option<i32> {
    let sound = percent.filter(|percent| (0..=100).contains(percent));
    if sound != percent {
        invalid.add("probability", "out_of_range", "is not between 0 and 100");
    }
    sound
}

/// An amount of one opportunity.
pub(crate) fn amount(invalid: &mut Invalid, field: &str, amount: Option<Money>) {
    if amount.is_some_and(|amount| amount < Money::ZERO || amount > Money::MAX_AMOUNT) {
        invalid.add(field, "out_of_range", "is not between 0 and 9999999999999.99");
    }
}
