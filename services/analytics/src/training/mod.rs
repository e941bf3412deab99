//! Training: a model learned from the facts, published for all replicas at once, and run over the open pipeline again and again, so that asking for a forecast costs the number of its
//! groups. One replica at a time does it, on a thread that stands back where others need its core.

pub(crate) mod fact;
pub(crate) mod history;
mod replay;
mod run;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use events::lock;
use forecast::trained::{Then, Trained};
use money::Money;
use process::{Secret, Work, postgres};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::State;
use crate::config::Config;
use crate::consumer::{NAME, OPPORTUNITIES};
use crate::directory::{self, model::Settings};
use crate::forecast::kept;
use crate::period::Calendar;
use crate::range::begin;
use crate::rollup::day;
use fact::{Chunk, Facts};
use history::{Growing, Here, Known};
use run::{Run, Won};
use store::{Counts, Latest, NewRun};

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_secs(20);
/// And after how many times as long as the look took, at least.
const PAUSE_TIMES: u32 = 4;
/// How long a run speaks, at least.
const RUN_FOR: TimeDelta = TimeDelta::minutes(15);
/// And how many times as long as it took.
const RUN_FOR_TIMES: u32 = 30;
/// How much what has closed, or what was won in all, may change until it is learned from, and what is open may change until it is run again, in parts of a hundred.
const GROWN: i64 = 10;
/// For how many days after the first forecast is kept those before it are told again as more of the past is brought in.
const BROUGHT_IN: TimeDelta = TimeDelta::days(7);
/// How many opportunities are read at a time, and how many such chunks wait to be looked at.
const CHUNK: i64 = 2_000;
const WAITING: usize = 2;
/// How far the thread stands back.
const NICE: i32 = 10;

/// The key of the lock that whoever learns holds.
pub(crate) fn lock_key() -> i64 {
    lock::key("training", OPPORTUNITIES)
}

/// Trains and runs when that is due, for ever, one replica at a time.
pub async fn run(database_url: Secret, pool: PgPool, shutdown: CancellationToken) -> Result<()> {
    let key = lock_key();
    let mut took = Duration::ZERO;
    loop {
        let began = Instant::now();
        let look = async {
            let Some(_held) = lock::try_hold(database_url.expose(), key).await? else {
                return Ok(Duration::ZERO);
            };
            let speaks = RUN_FOR.max(TimeDelta::from_std(took * RUN_FOR_TIMES)?);
            do_what_is_due(&pool, process::now(), speaks).await
        };
        match shutdown.run_until_cancelled(look).await {
            Some(Ok(Duration::ZERO)) | None => {}
            Some(Ok(run)) => took = run,
            Some(Err(error)) => {
                warn!(error = format!("{error:#}"), "the forecast was not renewed");
            }
        }
        // While a large past is brought in, others need the machine too.
        let pause = EVERY.max(began.elapsed() * PAUSE_TIMES);
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

/// The command `train`: once, due or not.
pub fn train_once(config: Config) -> Work<'static> {
    Box::pin(async move {
        let pool = postgres::write_pool(&config.database.url, 1, NAME)?;
        let now = process::now();
        let version = train(&pool, now).await?;
        make_run(&pool, now).await?;
        info!(version, "trained");
        Ok(())
    })
}

/// Trains where there is no model, once a day, and after a large change; runs after that, again when a run has spoken for so long, after a large change of what is open, and when a day
/// begins. How long the run took, nothing where none was due. Nothing is while there are no opportunities and were none.
pub async fn do_what_is_due(
    pool: &PgPool,
    now: DateTime<Utc>,
    speaks: TimeDelta,
) -> Result<Duration> {
    let mut connection = pool.acquire().await?;
    let Some(settings) = directory::store::settings(&mut connection).await? else {
        return Ok(Duration::ZERO);
    };
    let latest = store::latest(&mut connection).await?;
    let counts = store::counts(&mut connection).await?;
    drop(connection);
    let Counts { open, closed, .. } = counts;
    let was_empty = |it: &Latest| it.closed == 0 && it.open == Some(0);
    if open + closed == 0 && latest.as_ref().is_none_or(was_empty) {
        return Ok(Duration::ZERO);
    }
    let is_due = latest.as_ref().is_none_or(|latest| is_due(latest, &counts, (&settings, now)));
    let mut now = now;
    if is_due {
        let began = Instant::now();
        match train(pool, now).await {
            Ok(version) => {
                let seconds = began.elapsed().as_secs();
                info!(version, closed, seconds, "a model was trained");
            }
            // The one before goes on.
            Err(error) if latest.is_some() => {
                warn!(error = format!("{error:#}"), "no model was trained");
            }
            Err(error) => return Err(error),
        }
        let later = now + TimeDelta::from_std(began.elapsed())?;
        if day(later, settings.zone) > day(now, settings.zone) {
            // What was told on a day that has ended meanwhile stays as it was told.
            now = later;
        }
    }
    let run = latest.and_then(|latest| latest.made_at.zip(latest.open));
    let is_fresh = |(at, was_open): &(DateTime<Utc>, i64)| {
        let is_of_today = day(*at, settings.zone) == day(now, settings.zone);
        now - at < speaks && is_of_today && (open - was_open).abs() <= was_open / GROWN
    };
    if !is_due && run.as_ref().is_some_and(is_fresh) {
        return Ok(Duration::ZERO);
    }
    let began = Instant::now();
    make_run(pool, now).await?;
    Ok(began.elapsed())
}

fn is_due(latest: &Latest, now_are: &Counts, (settings, now): (&Settings, DateTime<Utc>)) -> bool {
    let is_of_today = day(latest.trained_at, settings.zone) >= day(now, settings.zone);
    let has_changed = (now_are.closed - latest.closed).abs() > latest.closed / GROWN;
    let [won, was_won] = [now_are.won_value, latest.won_value].map(Money::hundredths);
    let is_worth_another = (won - was_won).abs() > was_won / i128::from(GROWN);
    !is_of_today || has_changed || is_worth_another
}

/// Learns from all that is known as of now, and publishes it; its version. The same facts as of the same instant give the same model. It is told what the forecast would have been on
/// days before the first that is kept, again while that is not long ago.
pub async fn train(pool: &PgPool, now: DateTime<Utc>) -> Result<i64> {
    let mut connection = pool.acquire().await?;
    let settings = settings(&mut connection).await?;
    let steps = store::steps(&mut connection).await?;
    let first = kept::first_kept(&mut connection).await?.unwrap_or(day(now, settings.zone));
    let won_value = store::counts(&mut connection).await?.won_value;
    let past = if day(now - BROUGHT_IN, settings.zone) <= first {
        replay::past(calendar(&settings), (settings.zone, now), first)
    } else {
        Vec::new()
    };
    drop(connection);
    let growing = Growing::new(&steps, here(&settings, now));
    let thens: Vec<Then> = past.iter().map(|it| it.then.clone()).collect();
    let learn = move |growing: Growing| {
        let closed = growing.closed();
        let (history, ladder) = growing.finish();
        let now = now.timestamp();
        let (trained, replayed) = Trained::train_and_replay(history, &ladder, now, &thens);
        (closed, trained.voice().name(), trained.to_bytes(), replayed)
    };
    let (closed, voice, bytes, replayed) = over(pool, false, growing, Growing::add, learn).await?;
    let mut connection = pool.acquire().await?;
    let won = won(&mut connection, settings.zone, now).await?;
    drop(connection);
    let mut tx = pool.begin().await?;
    let version =
        store::publish(&mut tx, now, (i64::try_from(closed)?, won_value), &bytes?).await?;
    let model = (voice, i32::try_from(version).unwrap_or(i32::MAX));
    if !past.is_empty() {
        kept::forget_replayed(&mut tx).await?;
    }
    for given in replay::given(&past, &replayed, &won, (model, now)) {
        kept::keep(&mut tx, &given).await?;
    }
    tx.commit().await?;
    Ok(version)
}

/// Runs the latest model over what is open. What the last run of a day says is kept of that day.
pub async fn make_run(pool: &PgPool, now: DateTime<Utc>) -> Result<()> {
    let mut connection = pool.acquire().await?;
    let settings = settings(&mut connection).await?;
    let latest = store::latest(&mut connection).await?.context("there is no model")?;
    let bytes = store::bytes(&mut connection, latest.version).await?;
    let trained = Arc::new(Trained::from_bytes(&bytes.context("the model is gone")?)?);
    let won = won(&mut connection, settings.zone, now).await?;
    let steps = store::steps(&mut connection).await?;
    let open = store::counts(&mut connection).await?.open;
    drop(connection);
    let known = Known::new(&trained, &steps, here(&settings, now));
    let mut run = Run::new(Arc::clone(&trained), known, calendar(&settings), (settings.zone, now));
    let (mut shares, mut rests) = (Vec::new(), Vec::new());
    if trained.is_learned() {
        run = over(pool, true, run, Run::add, |run| run).await?;
        shares = run.shares();
        rests = run.rests(&won);
    }
    let mut tx = pool.begin().await?;
    let ended = trained.learned.ended;
    let made = NewRun {
        model_version: latest.version,
        made_at: now,
        made_on: run.today,
        voice: trained.voice().name(),
        is_learned: trained.is_learned(),
        won: i64::try_from(ended.0)?,
        lost: i64::try_from(ended.1)?,
        months: i32::try_from(run.months())?,
        open,
    };
    let run_id = store::begin_run(&mut tx, &made).await?;
    store::keep_shares(&mut tx, run_id, &shares).await?;
    store::keep_periods(&mut tx, run_id, &rests).await?;
    tx.commit().await?;
    kept::keep_day(pool, calendar(&settings), (settings.zone, now)).await
}

/// The model that speaks, and when it was trained: that of the latest run, in this process too. Nothing where there is none.
pub(crate) async fn speaking(state: &State) -> Result<Option<Arc<Speaking>>> {
    let Some((version, trained_at)) = store::speaking(&state.reads).await? else {
        return Ok(None);
    };
    if let Some(known) = state.speaking.get().ok().filter(|known| known.version == version) {
        return Ok(Some(known));
    }
    let bytes = store::bytes(&mut *state.reads.acquire().await?, version).await?;
    let Some(bytes) = bytes else { return Ok(None) };
    let trained = Trained::from_bytes(&bytes)?;
    state.speaking.set(Speaking { version, trained_at, trained });
    Ok(state.speaking.get().ok())
}

/// A model that speaks.
#[derive(Debug)]
pub struct Speaking {
    pub(crate) version: i64,
    pub(crate) trained_at: DateTime<Utc>,
    pub(crate) trained: Trained,
}

async fn settings(connection: &mut PgConnection) -> Result<Settings> {
    let settings = directory::store::settings(connection).await?;
    settings.context("the organisation's settings are not known yet")
}

fn calendar(settings: &Settings) -> Calendar {
    Calendar { first_month: settings.fiscal_year_start }
}

pub(crate) fn here(settings: &Settings, now: DateTime<Utc>) -> Here {
    let (currency, first_month) = (settings.default_currency.clone(), settings.fiscal_year_start);
    Here { zone: settings.zone, now, currency, first_month }
}

/// What was won on days, in the arithmetic of models.
async fn won(connection: &mut PgConnection, zone: Tz, now: DateTime<Utc>) -> Result<Won> {
    let (first, days) = store::won(connection).await?;
    let mut won = Won {
        first: first.map_or(now, |first| begin(first, zone)).timestamp(),
        days: BTreeMap::new(),
    };
    for (date, value) in days {
        let next = date.succ_opt().unwrap_or(date);
        // What was won today was won by now.
        let over = begin(next, zone).timestamp().min(now.timestamp());
        *won.days.entry(over).or_default() += history::float(value);
    }
    Ok(won)
}

/// Adds every opportunity by id, all or those that are open, on a thread of its own that stands back, and finishes there.
async fn over<T: Send + 'static, R: Send + 'static>(
    pool: &PgPool,
    is_open: bool,
    mut start: T,
    mut add: impl FnMut(&mut T, Facts<'_>) + Send + 'static,
    finish: impl FnOnce(T) -> R + Send + 'static,
) -> Result<R> {
    let (send, mut chunks) = mpsc::channel::<Chunk>(WAITING);
    let (tell, told) = oneshot::channel();
    let (is_all, hear_all) = std::sync::mpsc::channel::<()>();
    let work = move || {
        // Of this thread alone. Where it may not, it works as others do.
        let _ = rustix::process::setpriority_process(None, NICE);
        while let Some(chunk) = chunks.blocking_recv() {
            chunk.each().for_each(|facts| add(&mut start, facts));
        }
        // Reading may have ended early.
        if hear_all.recv().is_ok() {
            // Whoever waited may be gone.
            let _ = tell.send(finish(start));
        }
    };
    std::thread::Builder::new().name("training".to_owned()).spawn(work)?;
    let mut after = 0;
    loop {
        let chunk = store::chunk(&mut *pool.acquire().await?, after, is_open, CHUNK).await?;
        let Some(last) = chunk.told.last() else { break };
        after = last.opportunity_id;
        send.send(chunk).await.context("training failed")?;
    }
    is_all.send(()).context("training failed")?;
    drop(send);
    told.await.context("training failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::model::Visibility;

    #[test]
    fn it_is_due_once_a_day_and_after_a_large_change() {
        let settings = Settings {
            zone: chrono_tz::Asia::Taipei,
            default_currency: "TWD".to_owned(),
            visibility: Visibility::Everyone,
            fiscal_year_start: 1,
        };
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        let latest = Latest {
            version: 1,
            trained_at: at("2025-11-20T15:59:00Z"),
            closed: 100,
            won_value: Money::from_hundredths(1_000),
            made_at: None,
            open: None,
        };
        let due_with = |closed, won_value, now| {
            let won_value = Money::from_hundredths(won_value);
            is_due(&latest, &Counts { open: 0, closed, won_value }, (&settings, at(now)))
        };
        let due = |closed, now| due_with(closed, 1_000, now);
        assert!(!due(110, "2025-11-20T15:59:59Z"));
        assert!(due(111, "2025-11-20T15:59:59Z"));
        // Many were deleted.
        assert!(!due(90, "2025-11-20T15:59:59Z"));
        assert!(due(89, "2025-11-20T15:59:59Z"));
        // One was won that was worth a tenth of all, or was not worth that after all.
        assert!(!due_with(101, 1_100, "2025-11-20T15:59:59Z"));
        assert!(due_with(101, 1_101, "2025-11-20T15:59:59Z"));
        assert!(due_with(100, 899, "2025-11-20T15:59:59Z"));
        // Midnight in Taipei.
        assert!(due(100, "2025-11-20T16:00:00Z"));
    }
}
