//! What a service keeps of training: whom to believe and all that it learned, how past forecasts would have done, and what new business brings; from these a forecast is made of the
//! deals that are open, without the history.

use serde::{Deserialize, Serialize};

use crate::brought_in;
use crate::business::Business;
use crate::choose::{Choice, choose};
use crate::column;
use crate::feature::Look;
use crate::history::{Column, History, Seconds, days};
use crate::learned::{Learned, Voice, is_enough, open_at};
use crate::outlook::Outlook;
use crate::reason::Reason;
use crate::revenue::{
    LOOKS as FEWER_LOOKS, Window, Worth, a_year_before, before, combine, first, won_in,
};
use crate::track::{Length, Track, track};

/// The form in which it is kept. One more with every change of what is kept: other builds cannot read it, and learn anew.
pub const FORMAT: i32 = 2;
/// From how many looks at deals is learned.
const LOOKS: usize = 60_000;
/// The seed by which looks are drawn.
const SEED: u64 = 1;
/// For how many days ahead the square of the error doubles.
const DOUBLES_IN: f64 = 365.0;

/// What was learned, and how good it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trained {
    /// The open stages, in their order.
    pub stages: Vec<String>,
    /// What each of a deal's values is, of those that are looked at.
    pub columns: Vec<Column>,
    /// What was learned.
    pub learned: Learned,
    /// Whom to believe.
    pub choice: Choice,
    /// How it would have done.
    pub track: Track,
    business: Business,
    worth: Worth,
}

/// What is expected of deals that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pipeline {
    /// What they bring in the window.
    pub mean: f64,
    /// The variance of that.
    pub variance: f64,
}

/// What a window will bring beside what is won.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rest {
    /// Of deals that are not made yet.
    pub new_business: f64,
    /// The middle of all, as a share of what is to be expected.
    pub middle: f64,
    /// The standard deviation of the logarithm.
    pub sigma: f64,
}

/// Windows that are to be forecast again as of an instant of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Then {
    /// When.
    pub at: Seconds,
    /// Of which windows; each begins then or later.
    pub windows: Vec<Window>,
}

/// What would have been told of a window then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replayed {
    /// What was open was to bring so much.
    pub pipeline: f64,
    /// And beside that.
    pub rest: Rest,
}

impl Trained {
    /// Learns from what is known as of an instant: nothing later may be in the history. The same history gives the same bytes.
    #[must_use]
    pub fn train(history: History, ladder: &[f64], now: Seconds) -> Self {
        Self::train_and_replay(history, ladder, now, &[]).0
    }

    /// The same, and what would have been told at instants of the past; nothing of those at which too little was known.
    #[must_use]
    pub fn train_and_replay(
        history: History,
        ladder: &[f64],
        now: Seconds,
        thens: &[Then],
    ) -> (Self, Vec<Vec<Replayed>>) {
        let history = brought_in::mark(column::choose(history, now), now);
        let choice = choose(&history, ladder, now, SEED);
        let learned = Learned::learn(&history, ladder, now, LOOKS, SEED);
        let track = track(&history, ladder, now, choice.voice, SEED);
        let business = Business::learn(&history, now).thinned();
        let worth = Worth::learn(&history, now);
        let replayed = thens.iter().map(|then| {
            if choice.voice != Voice::Ladder && is_enough(&history, then.at) {
                replay(&history, ladder, choice.voice, &track, then)
            } else {
                Vec::new()
            }
        });
        let replayed = replayed.collect();
        let (stages, columns) = (history.stages, history.columns);
        (Self { stages, columns, learned, choice, track, business, worth }, replayed)
    }

    /// As it is kept, in the form that [`FORMAT`] numbers.
    pub fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        Ok(postcard::to_stdvec(self)?)
    }

    /// As it was kept.
    pub fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        Ok(postcard::from_bytes(bytes)?)
    }

    /// Who speaks.
    #[must_use]
    pub fn voice(&self) -> Voice {
        self.choice.voice
    }

    /// Whether it has seen enough to say more than what the stages are said to promise.
    #[must_use]
    pub fn is_learned(&self) -> bool {
        self.voice() != Voice::Ladder
    }

    /// The chances of an open deal.
    #[must_use]
    pub fn outlook(&self, look: &Look<'_>) -> Outlook {
        self.learned.outlook(look, self.voice())
    }

    /// What is usual in its stage: its chance to be won at last.
    #[must_use]
    pub fn stage_average(&self, look: &Look<'_>) -> f64 {
        let voice = if self.voice() < Voice::Open { self.voice() } else { Voice::Stage };
        self.learned.outlook(look, voice).win_probability()
    }

    /// Why its chances are what they are.
    #[must_use]
    pub fn reasons(&self, look: &Look<'_>) -> Vec<Reason> {
        self.learned.reasons(look, self.voice())
    }

    /// The chance to be won within so many days.
    #[must_use]
    pub fn won_within(&self, outlook: &Outlook, days: f64) -> f64 {
        if days > 0.0 { outlook.won_within(&self.learned.intervals, days) } else { 0.0 }
    }

    /// After how many days a part of those like it that are won have been.
    #[must_use]
    pub fn won_after(&self, outlook: &Outlook, part: f64) -> f64 {
        const MOST: f64 = 3_650.0;
        let target = outlook.win_probability() * part;
        let (mut low, mut high) = (0.0, MOST);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if self.won_within(outlook, middle) < target {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// For how much of its amount a deal is won.
    #[must_use]
    pub fn share_of_amount(&self) -> f64 {
        self.worth.of(Some(1.0))
    }

    /// What a window will bring, from what is expected of open deals in it. What was won in the past is told by `won_in`, since `first`.
    pub fn rest(
        &self,
        now: Seconds,
        window: Window,
        pipeline: Pipeline,
        first: Seconds,
        won_in: impl Fn(Window) -> f64,
    ) -> Rest {
        rest(&self.business.at(now), &self.track, now, window, pipeline, first, won_in)
    }
}

/// Forecasts windows again from what was known then, and as wide as what had been tried by then was wrong.
fn replay(
    history: &History,
    ladder: &[f64],
    voice: Voice,
    track: &Track,
    then: &Then,
) -> Vec<Replayed> {
    let at = then.at;
    let learned = Learned::learn(history, ladder, at, FEWER_LOOKS, SEED);
    let (business, worth) = (Business::learn(history, at), Worth::learn(history, at));
    let track = track.as_of(at);
    let mut pipelines = vec![Pipeline::default(); then.windows.len()];
    for (_, look) in open_at(history, at, at).filter(|(_, look)| !look.is_left_out()) {
        let outlook = learned.outlook(&look, voice);
        let value = worth.of(look.amount());
        let by = |until: Seconds| {
            let days = days(at, until);
            if days > 0.0 { outlook.won_within(&learned.intervals, days) } else { 0.0 }
        };
        for (pipeline, window) in pipelines.iter_mut().zip(&then.windows) {
            let chance = (by(window.to) - by(window.from)).max(0.0);
            pipeline.mean += chance * value;
            pipeline.variance += chance * (1.0 - chance) * value * value;
        }
    }
    let first = first(history, at).unwrap_or(at);
    let both = pipelines.into_iter().zip(&then.windows);
    let told = both.map(|(pipeline, window)| {
        let won = |window| won_in(history, window, at);
        let rest = rest(&business, &track, at, *window, pipeline, first, won);
        Replayed { pipeline: pipeline.mean, rest }
    });
    told.collect()
}

fn rest(
    business: &Business,
    track: &Track,
    now: Seconds,
    window: Window,
    pipeline: Pipeline,
    first: Seconds,
    won_in: impl Fn(Window) -> f64,
) -> Rest {
    let coming = business.within(window.from, window.to);
    let mean = pipeline.mean + coming.mean();
    let variance = pipeline.variance + coming.variance();
    // Log-normal with that mean and variance.
    let spread = if mean > 0.0 { (1.0 + variance / (mean * mean)).ln().sqrt() } else { 1.0 };
    let spread = spread.min(1.0);
    let median = mean * (-spread * spread / 2.0).exp();
    let last = before(now, window, first).map(&won_in);
    let year_ago = a_year_before(now, window, first).map(&won_in);
    let (replays, share) = track.replays(Length::nearest(window.length()));
    let combined = combine([Some(median), last, year_ago], spread, &replays, share);
    let ahead = days(now, window.from).max(0.0);
    let sigma = combined.sigma * (1.0 + ahead / DOUBLES_IN).sqrt();
    let middle = if mean > 0.0 { combined.middle / mean } else { 0.0 };
    Rest { new_business: coming.mean(), middle, sigma }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::even_ladder;
    use crate::history::{Before, DAY};
    use crate::made_up::{Kind, make_up};
    use crate::revenue::{first, won_in};

    const NOW: Seconds = 900 * DAY as Seconds;

    fn trained(kind: Kind) -> (History, Trained) {
        let history = make_up(kind, 1_500, 900, 5);
        let ladder = even_ladder(history.stages.len());
        (history.clone(), Trained::train(history, &ladder, NOW))
    }

    #[test]
    fn what_is_kept_says_the_same_when_it_is_read_and_the_same_history_gives_the_same_bytes() {
        for kind in [Kind::Guided, Kind::NeverLost] {
            let (history, it) = trained(kind);
            let bytes = it.to_bytes().unwrap();
            assert_eq!(trained(kind).1.to_bytes().unwrap(), bytes);
            assert!(bytes.len() < 1_000_000, "{}", bytes.len());
            let read = Trained::from_bytes(&bytes).unwrap();
            let looks = history.deals.iter().filter_map(|deal| Look::of(deal, NOW));
            for look in looks.take(50) {
                assert_eq!(read.outlook(&look), it.outlook(&look));
                assert_eq!(read.reasons(&look), it.reasons(&look));
            }
            assert!(Trained::from_bytes(&bytes[..bytes.len() / 2]).is_err());
        }
    }

    #[test]
    fn the_middle_is_near_what_the_command_says_of_the_same_window() {
        let (history, it) = trained(Kind::Guided);
        let window = Window { from: NOW, to: NOW + Length::Quarter.seconds() };
        let mut pipeline = Pipeline::default();
        for look in history.deals.iter().filter_map(|deal| Look::of(deal, NOW)) {
            let chance = it.won_within(&it.outlook(&look), days(NOW, window.to));
            let value = look.amount().unwrap_or_default() * it.share_of_amount();
            pipeline.mean += chance * value;
            pipeline.variance += chance * (1.0 - chance) * value * value;
        }
        let first = first(&history, NOW).unwrap();
        let rest = it.rest(NOW, window, pipeline, first, |it| won_in(&history, it, NOW));
        let ladder = even_ladder(history.stages.len());
        let told = crate::answer::answer(history.clone(), &ladder, NOW, window, 1).revenue;
        let middle = rest.middle * (pipeline.mean + rest.new_business);
        let near = |one: f64, other: f64, by: f64| {
            assert!((one / other).ln().abs() < by, "{one} {other}");
        };
        near(middle, told.percentiles[1], 0.15);
        near(pipeline.mean, told.bottom_up.pipeline, 1e-6);
        near(rest.new_business, told.bottom_up.new_business, 0.05);
        near(rest.sigma, told.sigma, 0.5);
    }

    #[test]
    fn what_is_told_again_of_the_past_is_what_was_known_then() {
        let history = make_up(Kind::Guided, 1_500, 900, 5);
        let ladder = even_ladder(history.stages.len());
        let at = 700 * DAY as Seconds;
        let window = Window { from: at, to: at + Length::Quarter.seconds() };
        let then = [
            Then { at, windows: vec![window] },
            Then { at: 5 * DAY as Seconds, windows: vec![window] },
        ];
        let told = |history: History, now: Seconds| {
            Trained::train_and_replay(history, &ladder, now, &then).1
        };
        let [later, early] = &told(history.clone(), NOW)[..] else { panic!() };
        assert!(early.is_empty(), "nothing had ended");
        let before = &told(history.as_of(at), at)[0];
        assert!((later[0].pipeline / before[0].pipeline - 1.0).abs() < 0.25);
        assert!((later[0].rest.new_business - before[0].rest.new_business).abs() < 1e-6);
        let told = later[0].pipeline + later[0].rest.new_business;
        let actual = won_in(&history, window, NOW);
        assert!((told / actual).ln().abs() < 0.7, "{told} {actual}");
    }

    #[test]
    fn windows_of_the_past_count_what_was_dated_and_had_a_value_then() {
        let history = make_up(Kind::Guided, 1_500, 900, 5);
        let ladder = even_ladder(history.stages.len());
        let at = 700 * DAY as Seconds;
        let then =
            [Then { at, windows: vec![Window { from: at, to: at + Length::Quarter.seconds() }] }];
        // Of every second one the date was known only at the end.
        let told = |undated: &dyn Fn(usize) -> bool| {
            let mut history = history.clone();
            for (_, deal) in history.deals.iter_mut().enumerate().filter(|it| undated(it.0)) {
                let (amount, values) = (deal.amount, deal.values.clone());
                deal.before.push(Before { until: NOW, is_left_out: true, amount, values });
            }
            let (trained, told) = Trained::train_and_replay(history, &ladder, NOW, &then);
            let promised: Vec<f64> =
                trained.track.tries.iter().map(|it| it.replay.bottom_up).collect();
            (told[0][0], promised, trained.track.tries[0].stage_weighted)
        };
        let (all, half) = (told(&|_| false), told(&|it| it % 2 == 0));
        let near_half = |half: f64, all: f64| (0.2..0.8).contains(&(half / all));
        assert!(near_half(half.0.pipeline, all.0.pipeline), "{half:?} {all:?}");
        assert!((half.0.rest.new_business - all.0.rest.new_business).abs() < 1e-6);
        assert!(near_half(half.2, all.2));
        assert!(half.1.iter().zip(&all.1).all(|(half, all)| half < all));
    }

    #[test]
    fn half_of_those_like_it_are_won_before_the_middle_of_its_days() {
        let (history, it) = trained(Kind::Guided);
        for look in history.deals.iter().filter_map(|deal| Look::of(deal, NOW)).take(50) {
            let outlook = it.outlook(&look);
            let [early, middle, late] = [0.1, 0.5, 0.9].map(|part| it.won_after(&outlook, part));
            assert!(early <= middle && middle <= late);
            let half = it.won_within(&outlook, middle) / outlook.win_probability();
            assert!((half - 0.5).abs() < 1e-3, "{half}");
        }
    }

    #[test]
    fn a_window_that_begins_later_is_told_in_a_wider_range() {
        let (_, it) = trained(Kind::Guided);
        let quarter = Length::Quarter.seconds();
        let pipeline = Pipeline { mean: 1e6, variance: 1e10 };
        let at =
            |from| it.rest(NOW, Window { from, to: from + quarter }, pipeline, NOW, |_| 0.0).sigma;
        assert!(at(NOW) < at(NOW + quarter));
    }
}
