//! Currencies: which there are, what they are worth in the organisation's from which day on, and who may say so.

pub(crate) mod event;
pub mod model;
pub(crate) mod store;

use auth::Caller;
use chrono::NaiveDate;
use money::Rate;
use money::currency::is_known;
use rpc::Error;
use sqlx::{PgConnection, PgExecutor};

use crate::State;
use crate::cursor::{Cursor, wrong_key};
use crate::meta::Meta;
use crate::opportunity::model::day;
use crate::page::Asked;
use model::{Exchange, ExchangeRate};

/// A currency as it is today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency {
    /// ISO 4217.
    pub code: String,
    /// Whether it is the organisation's.
    pub is_default: bool,
    /// The rate that is valid, and from which day on.
    pub valid: Option<(NaiveDate, Rate)>,
}

/// A page of the organisation's currency, and every other that has a rate, by code; and what continues after it.
pub async fn list(
    state: &State,
    caller: &Caller,
    (limit, cursor): Asked<'_>,
    meta: &Meta,
) -> Result<(Vec<Currency>, Option<String>), Error> {
    const LISTING: &str = "currencies";
    caller.require_read()?;
    let settings = state.settings.get()?;
    let today = day(meta.recorded_at, settings.zone);
    // After the organisation's own there is no code.
    let after = cursor.map(|text| Cursor::parse(text, LISTING)).transpose()?;
    let code = after.as_ref().and_then(Cursor::key);
    let page = store::currencies(&state.reads, today, code.as_deref(), limit).await;
    let mut currencies = page.map_err(|error| wrong_key(error, after.as_ref()))?;
    if after.is_none() {
        let code = settings.default_currency.clone();
        currencies.insert(0, Currency { code, is_default: true, valid: None });
    }
    let more = currencies.len() > limit;
    currencies.truncate(limit);
    let last = currencies.last().filter(|_| more);
    let key = |last: &Currency| (!last.is_default).then(|| last.code.clone());
    let next = last.map(|last| Cursor::new(LISTING, key(last), 0).write());
    Ok((currencies, next))
}

/// A page of the rates of a currency, the latest day first, and what continues after it.
pub async fn rates(
    state: &State,
    caller: &Caller,
    code: &str,
    (limit, cursor): Asked<'_>,
) -> Result<(Vec<ExchangeRate>, Option<String>), Error> {
    caller.require_read()?;
    let code = &*known(code)?;
    let listing = format!("exchange_rates {code}");
    let after = cursor.map(|text| Cursor::parse(text, &listing)).transpose()?;
    let key = after.as_ref().and_then(Cursor::key);
    let page = store::page(&state.reads, code, key.as_deref(), limit).await;
    let mut rates = page.map_err(|error| wrong_key(error, after.as_ref()))?;
    let more = rates.len() > limit;
    rates.truncate(limit);
    let last = rates.last().filter(|_| more);
    let next = last.map(|it| Cursor::new(&listing, Some(it.valid_from.to_string()), it.id).write());
    Ok((rates, next))
}

/// What is wanted of a rate.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Of which currency.
    pub currency: String,
    /// From which day on.
    pub valid_from: Option<NaiveDate>,
    /// What a unit is worth.
    pub rate: Option<Rate>,
    /// Only if the one from that day has this version.
    pub expected_version: Option<i64>,
}

/// Sets a rate from a day on; to set what is so already changes nothing.
pub async fn set(
    state: &State,
    caller: &Caller,
    mut wish: Wish,
    meta: Meta,
) -> Result<ExchangeRate, Error> {
    caller.require_admin()?;
    wish.currency = known(&wish.currency)?;
    model::check(&wish, &state.settings.get()?.default_currency)?;
    // What rates are against stays what it is from the first one on.
    let settings = state.settings_for_amounts().await?;
    let (valid_from, rate) = model::check(&wish, &settings.default_currency)?;
    let mut tx = state.writes.begin().await?;
    let before = hold(&mut tx, (&wish.currency, valid_from), rate, &meta).await?;
    let version = before.version;
    if wish.expected_version.is_some_and(|expected| expected != version) {
        return Err(Error::Stale { current: Some(version).filter(|version| *version > 0) });
    }
    if before.version > 0 && before.deleted_at.is_none() && before.rate == rate {
        return Ok(before);
    }
    let after = before.clone().set(rate, meta.recorded_at);
    write(state, tx, &before, after, &meta).await
}

/// Removes a rate that was wrong.
pub async fn remove(
    state: &State,
    caller: &Caller,
    (currency, valid_from): (&str, NaiveDate),
    expected_version: Option<i64>,
    meta: Meta,
) -> Result<(), Error> {
    caller.require_admin()?;
    let currency = &*currency.to_ascii_uppercase();
    let not_found = || Error::not_found("exchange rate", format!("{currency} {valid_from}"));
    let mut tx = state.writes.begin().await?;
    let before = store::lock(&mut tx, currency, valid_from).await?;
    let before = before.filter(|it| it.deleted_at.is_none()).ok_or_else(not_found)?;
    if expected_version.is_some_and(|version| version != before.version) {
        return Err(Error::Stale { current: Some(before.version) });
    }
    let after = before.clone().remove(meta.recorded_at);
    write(state, tx, &before, after, &meta).await.map(drop)
}

/// The row of a day, which nobody else changes until this transaction ends; of version 0 where there was none.
async fn hold(
    tx: &mut PgConnection,
    (currency, valid_from): (&str, NaiveDate),
    rate: Rate,
    meta: &Meta,
) -> Result<ExchangeRate, Error> {
    store::ensure(tx, currency, valid_from, rate, meta.recorded_at).await?;
    let found = store::lock(tx, currency, valid_from).await?;
    found.ok_or_else(|| Error::internal("a rate that was there is gone"))
}

async fn write(
    state: &State,
    mut tx: sqlx::Transaction<'static, sqlx::Postgres>,
    before: &ExchangeRate,
    after: ExchangeRate,
    meta: &Meta,
) -> Result<ExchangeRate, Error> {
    store::update(&mut tx, &after).await?;
    events::outbox::append(&mut tx, &[event::changed(before, &after, meta)]).await?;
    tx.commit().await?;
    state.wake.wake();
    Ok(after)
}

/// The currency that is meant by a code in any case.
fn known(code: &str) -> Result<String, Error> {
    let known = Some(code.to_ascii_uppercase()).filter(|code| is_known(code));
    known.ok_or_else(|| Error::not_found("currency", code))
}

/// What amounts in these currencies are worth in the organisation's. Asks for nothing where there is no other.
pub(crate) async fn exchange<'a>(
    db: impl PgExecutor<'_>,
    default_currency: &str,
    codes: impl IntoIterator<Item = &'a str>,
) -> sqlx::Result<Exchange> {
    let others: Vec<_> = codes.into_iter().filter(|code| *code != default_currency).collect();
    let mut exchange = Exchange::of(default_currency);
    if !others.is_empty() {
        for (code, valid_from, rate) in store::known(db, &others).await? {
            exchange.learn(code, valid_from, rate);
        }
    }
    Ok(exchange)
}
