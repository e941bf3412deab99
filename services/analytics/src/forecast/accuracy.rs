//! How past forecasts would have done: what training found when it forecast the past again.

use auth::Caller;
use chrono::{DateTime, Utc};
use forecast::measure::{Told, bias, coverage, percentage_error, pinball, rounded};
use forecast::track::{Calibration, Length, Try};
use rpc::{Error, Invalid};

use super::speaker::Model;
use crate::State;
use crate::training::speaking;
use crate::visibility::{Sight, sight};

/// How it did with windows of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// How long they are.
    pub length: Length,
    /// The latest first.
    pub tries: Vec<Try>,
    /// The forecast.
    pub forecast: Measures,
    /// The open pipeline by the shares won in its stages.
    pub stage_weighted: Measures,
    /// What the window before brought.
    pub last_period: Measures,
    /// Chances by what was told.
    pub by_chance: Vec<Calibration>,
    /// And by what opportunities are worth.
    pub by_amount: Vec<Calibration>,
    /// Of chances, where any were told.
    pub log_loss: Option<f64>,
    /// Which model was tried.
    pub model: Model,
    /// When, if there is one.
    pub tried_at: Option<DateTime<Utc>>,
}

/// How good forecasts were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// The mean absolute percentage error, as a share.
    pub mape: Option<f64>,
    /// How much too high they were, as a share.
    pub bias: Option<f64>,
    /// The share inside the range, of what has one.
    pub coverage: Option<f64>,
    /// The mean pinball loss, as a share.
    pub pinball: Option<f64>,
}

impl Measures {
    fn of(told: &[Told], has_range: bool) -> Self {
        let brought = told.iter().any(|it| it.actual > 0.0);
        let of_some = |measure: fn(&[Told]) -> f64| brought.then(|| rounded(measure(told)));
        Self {
            mape: of_some(percentage_error),
            bias: of_some(bias),
            coverage: (has_range && !told.is_empty()).then(|| rounded(coverage(told))),
            pinball: of_some(pinball),
        }
    }
}

/// How past forecasts would have done; told to who sees everything, as it is about everything.
pub async fn accuracy(
    state: &State,
    caller: &Caller,
    period: Option<&str>,
) -> Result<Accuracy, Error> {
    let mut invalid = Invalid::default();
    let length = match period {
        Some("month") => Length::Month,
        None | Some("quarter") => Length::Quarter,
        Some("year") => Length::Year,
        Some(_) => {
            invalid.add("period", "unknown_value", "must be month, quarter or year");
            Length::Quarter
        }
    };
    invalid.into_result()?;
    if sight(&state.reads, caller, &*state.settings.get()?).await? != Sight::All {
        return Err(Error::denied("it is told to who sees every opportunity"));
    }
    let speaking = speaking(state).await.map_err(Error::unavailable)?;
    let track = speaking.as_ref().map(|it| it.trained.track.clone()).unwrap_or_default();
    let tries: Vec<Try> = track.tries.into_iter().filter(|it| it.length == length).collect();
    let told = |of: fn(&Try) -> [f64; 3]| -> Vec<Told> {
        let told = |it: &Try| Told { percentiles: of(it), actual: it.replay.actual };
        tries.iter().map(told).collect()
    };
    let model = speaking.as_ref().filter(|it| it.trained.is_learned()).map(|it| {
        let (won, lost) = it.trained.learned.ended;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Model::learned(it.trained.voice().name(), it.version, (count(won), count(lost)))
    });
    Ok(Accuracy {
        length,
        forecast: Measures::of(&told(|it| it.percentiles), true),
        stage_weighted: Measures::of(&told(|it| [it.stage_weighted; 3]), false),
        last_period: Measures::of(&told(|it| [it.replay.last; 3]), false),
        log_loss: (!track.by_chance.is_empty()).then_some(track.log_loss),
        by_chance: track.by_chance,
        by_amount: track.by_amount,
        model: model.unwrap_or_else(Model::stage_weighted),
        tried_at: speaking.map(|it| it.trained_at),
        tries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_told_of_what_can_be_measured() {
        let told = |middle: f64, actual: f64| Told {
            percentiles: [middle * 0.8, middle, middle * 1.2],
            actual,
        };
        let measures = Measures::of(&[told(110.0, 100.0), told(50.0, 100.0)], true);
        assert_eq!((measures.mape, measures.bias), (Some(0.3), Some(-0.2)));
        assert_eq!(measures.coverage, Some(0.5));
        assert!(measures.pinball.is_some_and(|it| it > 0.0));
        assert_eq!(Measures::of(&[], true), Measures::default());
        let nothing = Measures::of(&[told(1.0, 0.0)], false);
        assert_eq!((nothing.mape, nothing.coverage), (None, None));
    }
}
