//! What rates do to the rollups: open opportunities are kept at what they are worth on a day, and valued anew when that becomes something else.

use chrono::NaiveDate;
use events::{ApplyError, Event, Record};
use sqlx::{PgConnection, PgPool};

use super::record::{self, ExchangeRate};
use super::{CHUNK, Frame, store};
use crate::directory::model::Settings;
use crate::rollup::Rollups;
use crate::{directory, form, snapshot};

/// Applies those of the events that tell of rates. The currencies whose amounts are worth something else by them.
pub(super) async fn apply(
    tx: &mut PgConnection,
    settings: &Settings,
    events: &[Event],
) -> Result<Vec<String>, ApplyError> {
    let is_rate = |event: &&Event| matches!(event.record, Some(Record::ExchangeRate(_)));
    let rates = events.iter().filter(is_rate).map(record::rate).collect::<Result<Vec<_>, _>>()?;
    Ok(learn(tx, settings, rates).await?)
}

async fn learn(
    tx: &mut PgConnection,
    settings: &Settings,
    rates: Vec<ExchangeRate>,
) -> sqlx::Result<Vec<String>> {
    if rates.is_empty() {
        return Ok(Vec::new());
    }
    let before = store::valuation(tx, settings).await?;
    for rate in &rates {
        if store::upsert_rate(tx, rate).await? {
            snapshot::store::note_late(tx, rate.valid_from).await?;
        }
    }
    Ok(before.differing(&store::valuation(tx, settings).await?))
}

/// Applies rates that may have been applied before.
pub(crate) async fn tell_again(
    tx: &mut PgConnection,
    settings: &Settings,
    rates: Vec<ExchangeRate>,
) -> sqlx::Result<()> {
    let revalued = learn(tx, settings, rates).await?;
    let frame = Frame::read(tx, settings).await?;
    revalue(tx, &frame, &revalued).await
}

/// Values what is open in these currencies anew; what is closed is as it was frozen.
pub(super) async fn revalue(
    tx: &mut PgConnection,
    frame: &Frame,
    currencies: &[String],
) -> sqlx::Result<()> {
    if currencies.is_empty() {
        return Ok(());
    }
    let mut rollups = Rollups::default();
    let mut after = i64::MIN;
    loop {
        let facts = store::open_facts_after(tx, currencies, after, CHUNK).await?;
        let Some(last) = facts.last() else { break };
        after = last.opportunity_id;
        for fact in &facts {
            rollups.add_values(fact, frame);
        }
    }
    store::clear_values(tx, currencies).await?;
    store::add(tx, &rollups).await
}

/// Has the rollups value what is open by the rates of a day, unless they are as far already; the day by which they do.
pub(crate) async fn value_on(pool: &PgPool, day: NaiveDate) -> sqlx::Result<NaiveDate> {
    let mut tx = pool.begin().await?;
    // Nothing is applied beside it: who applies waits for this row.
    form::hold(&mut tx).await?;
    let valued_on = store::lock_valued_on(&mut tx).await?;
    let Some(settings) = directory::store::settings(&mut tx).await? else { return Ok(valued_on) };
    if valued_on >= day {
        return Ok(valued_on);
    }
    let before = store::valuation(&mut tx, &settings).await?;
    store::set_valued_on(&mut tx, day).await?;
    let frame = Frame::read(&mut tx, &settings).await?;
    let differing = before.differing(&frame.valuation);
    store::take_time(&mut tx).await?;
    revalue(&mut tx, &frame, &differing).await?;
    tx.commit().await?;
    Ok(day)
}

/// The day by whose rates the rollups value what is open.
pub(crate) async fn valued_on(pool: &PgPool) -> sqlx::Result<NaiveDate> {
    store::valued_on(pool).await
}

/// The same where it makes a difference: who reads need not wait for anybody else. The day up to which they may be read.
pub(crate) async fn value_if_due(
    reads: &PgPool,
    writes: &PgPool,
    day: NaiveDate,
) -> sqlx::Result<NaiveDate> {
    let (valued_on, is_due) = store::due(reads, day).await?;
    if is_due { value_on(writes, day).await } else { Ok(valued_on) }
}
