//! The forecast of a period: what is asked, one statement over the rollups and the latest run, the model's answer, and beside it what is to be won and what managers expect.
//!
//! [`model`] (what is known, and what follows), [`stage`] (by stage and category), [`part`] (by owner and team, and ranges), [`speaker`] (which model, in words), [`outlook`] (of
//! each opportunity), [`kept`] (as it was given, day by day), [`accuracy`] (how it would have done).

pub mod accuracy;
pub mod kept;
pub mod model;
pub mod outlook;
pub mod part;
pub mod speaker;
pub mod stage;
mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use futures::TryFutureExt as _;
use rpc::{Error, Invalid};

use crate::State;
use crate::ask::{Ask, Ground, calendar, prepare};
use crate::period::{Asked, Calendar, Period};
use crate::visibility::{Scope, Sight};
use crate::{adjustment, target};
use model::{Forecast, Phase, Whose};
use part::{Part, Pieces, pieces};
use speaker::Model;
use stage::Stages;

/// Whether it is everything there is: opportunities not made yet have no owner, team or pipeline.
fn is_whole(scope: &Scope) -> bool {
    scope.sight == Sight::All
        && scope.owner_id.is_none()
        && scope.team_id.is_none()
        && scope.pipeline_id.is_none()
}

/// What is asked of a period, checked.
struct Heard {
    calendar: Calendar,
    period: Period,
    phase: Phase,
    ground: Ground,
}

/// Fails with every bad field, those noted before too.
async fn hear(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    asked: &Asked<'_>,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Heard, Error> {
    let (calendar, today) = calendar(state, now)?;
    let period = calendar.asked(asked, today, &mut invalid);
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let period = period.ok_or_else(|| Error::internal("a period that is neither good nor bad"))?;
    let phase = Phase::of(period.span, today);
    Ok(Heard { calendar, period, phase, ground })
}

/// What will have been won in a period.
pub async fn forecast(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> Result<Forecast, Error> {
    let Heard { calendar, period, phase, ground } =
        hear(state, caller, ask, asked, Invalid::default(), now).await?;
    let of = (calendar, &period);
    let (known, target, adjustment) = tokio::try_join!(
        store::known(&state.reads, &ground.scope, (period.span, phase), false).map_err(Error::from),
        target::of_scope(state, caller, ask, &ground.scope, of),
        adjustment::of_scope(state, caller, ask, of),
    )?;
    let pipelines = ground.pipelines.iter();
    let pipelines = pipelines.filter(|it| ask.pipeline_id.is_none_or(|id| it.id == id));
    let whole = is_whole(&ground.scope);
    let it = model::forecast(period, phase, pipelines, &known, whole);
    let model = it.model.clone().seen(&ground.scope.sight);
    Ok(Forecast { target, adjustment, model, ..it })
}

/// By what a forecast is cut into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Whose they are.
    Owner,
    /// Of which team they are.
    Team,
}

impl By {
    /// The cut of that name, by owner where none is named; another one is noted.
    fn parse(name: Option<&str>, invalid: &mut Invalid) -> Self {
        match name {
            None | Some("owner") => Self::Owner,
            Some("team") => Self::Team,
            Some(_) => {
                invalid.add("by", "unknown_value", "must be owner or team");
                Self::Owner
            }
        }
    }

    fn id(self, whose: Whose) -> i64 {
        match self {
            Self::Owner => whose.owner_id,
            Self::Team => whose.team_id,
        }
    }
}

/// A forecast in parts, which add up to the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Breakdown {
    /// Of which period.
    pub period: Period,
    /// By owner or team, by id; without an id where there is none.
    pub items: Vec<(Option<i64>, Option<String>, Part)>,
    /// All of it; what belongs to nobody yet is its new business.
    pub whole: Part,
    /// Which model spoke.
    pub model: Model,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// What will have been won in a period, by owner or team.
pub async fn breakdown(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (asked, by): (&Asked<'_>, Option<&str>),
    now: DateTime<Utc>,
) -> Result<Breakdown, Error> {
    let mut invalid = Invalid::default();
    let by = By::parse(by, &mut invalid);
    let Heard { period, phase, ground, .. } = hear(state, caller, ask, asked, invalid, now).await?;
    let (known, mut names) = tokio::try_join!(
        store::known(&state.reads, &ground.scope, (period.span, phase), true),
        store::names(&state.reads, by == By::Team),
    )?;
    let stages = Stages::of(ground.pipelines.iter(), &known);
    let whole = Pieces::of(&known.won, &stages.counted);
    let whole = whole.part(known.ahead, is_whole(&ground.scope));
    let parts = pieces(&known.won, &stages.counted, |whose| by.id(whose));
    let items = parts.into_iter().map(|(id, pieces)| {
        let part = pieces.part(known.ahead, false);
        (Some(id).filter(|id| *id > 0), names.remove(&id), part)
    });
    let model = Model::of(phase, &known).seen(&ground.scope.sight);
    let items = items.collect();
    Ok(Breakdown { period, items, whole, model, as_of: known.as_of })
}
