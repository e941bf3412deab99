//! How a period stands to its target: one statement over the rollups, what is to be won, and a pure function from these.

pub mod model;
mod store;
pub(crate) mod words;

use std::collections::BTreeMap;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::{Error, Invalid};

use crate::ask::{Ask, calendar, prepare};
use crate::forecast::model::Phase;
use crate::period::Asked;
use crate::{State, target};
use model::Attainments;

/// How a period stands to its target. `by` may be `owner`: a row for each person, too.
pub async fn attainments(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (asked, by): (&Asked<'_>, Option<&str>),
    now: DateTime<Utc>,
) -> Result<Attainments, Error> {
    let mut invalid = Invalid::default();
    let (calendar, today) = calendar(state, now)?;
    let period = calendar.asked(asked, today, &mut invalid);
    if by.is_some_and(|by| by != "owner") {
        invalid.add("by", "unknown_value", "must be owner");
    }
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let period = period.ok_or_else(|| Error::internal("a period that is neither good nor bad"))?;
    let phase = Phase::of(period.span, today);
    let spans = (period.span, model::lately(today));
    let (rows, as_of) = store::numbers(&state.reads, &ground.scope, spans, phase).await?;
    let of = (calendar, &period);
    let target = target::of_scope(state, caller, ask, &ground.scope, of).await?;
    let targets = match by {
        Some(_) => target::of_people(state, ask, &ground.scope, of).await?,
        None => BTreeMap::new(),
    };
    let currency = state.settings.get()?.default_currency.clone();
    let read = (&*rows, as_of);
    let mut it = model::attainments((period, today), read, (target, &targets), &currency);
    if by.is_none() {
        it.items.clear();
    }
    Ok(it)
}
