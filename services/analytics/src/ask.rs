//! What every report and forecast is asked: which part of the pipeline, and what it has to know.

use std::sync::Arc;
use std::time::Duration;

use auth::Caller;
use chrono::{DateTime, NaiveDate, Utc};
use rpc::{Error, Invalid};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::State;
use crate::period::Calendar;
use crate::pipeline::{Pipeline, Pipelines};
use crate::rollup::day;
use crate::visibility::{Scope, Sight, sight};

/// How long an answer waits for a write.
const WITHIN: Duration = Duration::from_millis(250);
/// How often it looks.
const EVERY: Duration = Duration::from_millis(10);

/// As it comes from outside.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Of this owner.
    pub owner_id: Option<i64>,
    /// Of this team.
    pub team_id: Option<i64>,
    /// In this pipeline.
    pub pipeline_id: Option<i64>,
    /// `<opportunity id>:<version>`.
    pub after: Option<String>,
}

/// A write that has to be in the answer: this opportunity has this version or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct After {
    opportunity_id: i64,
    version: i64,
}

impl After {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| plain && *number > 0)
        };
        let (id, version) = text.split_once(':')?;
        Some(Self { opportunity_id: number(id)?, version: number(version)? })
    }
}

/// What an answer stands on.
pub(crate) struct Ground {
    pub(crate) pipelines: Arc<Pipelines>,
    pub(crate) scope: Scope,
}

impl Ground {
    /// The pipeline that is asked for, the default one where none is.
    pub(crate) fn pipeline(&self) -> Result<&Pipeline, Error> {
        let pipeline = self.pipelines.get(self.scope.pipeline_id);
        pipeline.ok_or_else(|| Error::unavailable(anyhow::anyhow!("no pipeline is known yet")))
    }
}

/// The organisation's calendar, and which day it is.
pub(crate) fn calendar(state: &State, now: DateTime<Utc>) -> Result<(Calendar, NaiveDate), Error> {
    let settings = state.settings.get()?;
    Ok((Calendar { first_month: settings.fiscal_year_start }, day(now, settings.zone)))
}

/// Fails with every bad field, those noted before too; then has what is open valued by the rates of today, and waits for the write that has to be in the answer, though not
/// for long.
pub(crate) async fn prepare(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Ground, Error> {
    let settings = state.settings.get()?;
    let after = ask.after.as_deref().map(After::parse);
    if after == Some(None) {
        invalid.add("after", "invalid", "must be <opportunity id>:<version>, such as 1024:3");
    }
    if state.pipelines.get()?.get(ask.pipeline_id).is_none() {
        state.refresh_pipelines().await?;
    }
    if ask.pipeline_id.is_some() && state.pipelines.get()?.get(ask.pipeline_id).is_none() {
        invalid.add("pipeline_id", "unknown_pipeline", "there is no such pipeline");
    }
    invalid.into_result()?;
    state.value_on(day(now, settings.zone)).await?;
    let sight = sight(&state.reads, caller, &settings).await?;
    if let Some(after) = after.flatten() {
        wait_for(&state.reads, after, &sight).await?;
        // It may be in a stage that is as new.
        state.refresh_pipelines().await?;
    }
    Ok(Ground {
        pipelines: state.pipelines.get()?,
        scope: Scope::new(sight, ask.owner_id, ask.team_id, ask.pipeline_id),
    })
}

/// What is out of sight is waited for like what is not there: the time that an answer takes tells nobody of it.
async fn wait_for(pool: &PgPool, after: After, sight: &Sight) -> Result<(), Error> {
    let until = Instant::now() + WITHIN;
    while !is_known(pool, after, sight).await? && Instant::now() + EVERY <= until {
        sleep(EVERY).await;
    }
    Ok(())
}

async fn is_known(pool: &PgPool, after: After, sight: &Sight) -> sqlx::Result<bool> {
    let (is_all, owner_id, team_ids) = sight.parts();
    sqlx::query_scalar!(
        r#"select exists (
               select from opportunity_facts
               where opportunity_id = $1 and version >= $2 and ($3 or owner_id = $4 or team_id = any($5))
           ) as "is_known!""#,
        after.opportunity_id,
        after.version,
        is_all,
        owner_id,
        team_ids
    )
    .fetch_one(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_named_by_its_opportunity_and_version() {
        let after = After { opportunity_id: 1024, version: 3 };
        assert_eq!(After::parse("1024:3"), Some(after));
        for text in ["", "1024", "1024:", ":3", "1024:0", "-1:3", "+1:3", "1:2:3", "a:b", "1 :3"] {
            assert_eq!(After::parse(text), None, "{text}");
        }
    }
}
