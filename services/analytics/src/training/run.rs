//! A run: what a model says of the open pipeline as of an instant, as shares of the value of groups and as what each period will bring beside. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use forecast::feature::Look;
use forecast::history::{Seconds, days};
use forecast::revenue::Window;
use forecast::track::Length;
use forecast::trained::{Pipeline, Rest, Trained};

use super::fact::Facts;
use super::history::{Known, float};
use crate::period::{Calendar, Cut, Span};
use crate::range::begin;
use crate::rollup::{day, month};

/// Shares are told in so many parts.
const PARTS: f64 = 1e9;
/// How many months it looks ahead at least, the present one included.
const MONTHS: u32 = 18;

/// Of which opportunities a group is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slice {
    pub(crate) pipeline_id: i64,
    pub(crate) stage_key: String,
    /// 0 of a stage as a whole.
    pub(crate) owner_id: i64,
    /// 0 of none.
    pub(crate) team_id: i64,
}

/// What is expected of a group.
#[derive(Clone, Debug, Default)]
struct Group {
    value: f64,
    squares: f64,
    /// By the end of each month, what is expected to be won.
    won_by: Vec<f64>,
}

impl Group {
    fn add(&mut self, value: f64, won_by: &[f64]) {
        self.won_by.resize(won_by.len(), 0.0);
        self.value += value;
        self.squares += value * value;
        for (sum, chance) in self.won_by.iter_mut().zip(won_by) {
            *sum += value * chance;
        }
    }
}

/// Of the value of a group, which share is expected to be won by the end of each month, in [`PARTS`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Share {
    pub(crate) key: Slice,
    pub(crate) won_by: Vec<i32>,
    /// The sum of the squares of the values ÷ that of the values.
    pub(crate) typical_value: f64,
}

/// What a period will bring beside what is won in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rests {
    pub(crate) span: Span,
    pub(crate) rest: Rest,
    /// How many windows of that length were forecast again.
    pub(crate) tried: i32,
    /// How many of them were in their range.
    pub(crate) held: i32,
}

/// What was won on days.
#[derive(Clone, Debug, Default)]
pub(crate) struct Won {
    /// Since when it is known what was won.
    pub(crate) first: Seconds,
    /// By the instant at which a day is over.
    pub(crate) days: BTreeMap<Seconds, f64>,
}

impl Won {
    pub(crate) fn within(&self, window: Window) -> f64 {
        if window.to <= window.from {
            return 0.0;
        }
        self.days.range(window.from + 1..=window.to).map(|(_, won)| won).sum()
    }
}

/// A run in the making.
pub(crate) struct Run {
    trained: Arc<Trained>,
    known: Known,
    now: Seconds,
    pub(crate) today: NaiveDate,
    zone: Tz,
    calendar: Calendar,
    /// When each of the months is over, in days from now.
    month_ends: Vec<f64>,
    groups: HashMap<Slice, Group>,
    periods: Vec<Ahead>,
}

/// A period to come: its days, when it begins and ends, the places of the month before it, unless it has begun, and of its last one, and what open ones bring in it.
type Ahead = (Span, Window, (Option<usize>, usize), Pipeline);

impl Run {
    pub(crate) fn new(
        trained: Arc<Trained>,
        known: Known,
        calendar: Calendar,
        (zone, now): (Tz, DateTime<Utc>),
    ) -> Self {
        let today = day(now, zone);
        let mut run = Self {
            trained,
            known,
            now: now.timestamp(),
            today,
            zone,
            calendar,
            month_ends: Vec::new(),
            groups: HashMap::new(),
            periods: Vec::new(),
        };
        let count = run.count();
        let ends = (1..=count).map(|ahead| days(run.now, run.begin(run.month(ahead))));
        run.month_ends = ends.collect();
        run.periods = run.periods();
        run
    }

    /// The first day of a month, the present one being the first.
    fn month(&self, ahead: u32) -> NaiveDate {
        let first = month(self.today);
        first.checked_add_months(Months::new(ahead)).unwrap_or(NaiveDate::MAX)
    }

    fn begin(&self, date: NaiveDate) -> Seconds {
        begin(date, self.zone).timestamp()
    }

    /// How many months: to the end of the next fiscal year, and no fewer than eighteen.
    fn count(&self) -> u32 {
        let end = self.calendar.year(self.calendar.year_of(self.today) + 1).span.end;
        let mut count = MONTHS;
        while self.month(count) <= end {
            count += 1;
        }
        count
    }

    /// Those that end with one of these months.
    fn periods(&self) -> Vec<Ahead> {
        let year = self.calendar.year_of(self.today);
        let place_of = |date: NaiveDate| {
            let mut aheads = (1..).take(self.month_ends.len());
            aheads.position(|ahead| self.month(ahead) == date)
        };
        let years = (year..=year + 2).flat_map(|year| {
            let of = |cut| self.calendar.cut(year, cut);
            let parts = of(Cut::Monthly).into_iter().chain(of(Cut::Quarterly));
            parts.chain([self.calendar.year(year)])
        });
        let found = years.filter_map(|period| {
            let span = period.span;
            let end = place_of(next(span.end))?;
            let begun = span.start <= self.today;
            let before = place_of(span.start);
            let from = if begun { self.now } else { self.begin(span.start) };
            let window = Window { from, to: self.begin(next(span.end)) };
            Some((span, window, (before.filter(|_| !begun), end), Pipeline::default()))
        });
        found.collect()
    }

    /// How many months it looks ahead.
    pub(crate) fn months(&self) -> usize {
        self.month_ends.len()
    }

    /// One that is open. What has no date is in no period, what has no value adds nothing, and nobody expects anything of what is left out of the forecast.
    pub(crate) fn add(&mut self, facts: Facts<'_>) {
        let it = facts.told;
        if self.known.is_omitted(it) {
            return;
        }
        let (Some(_), Some(value)) = (it.expected_close_date, it.value) else { return };
        let deal = self.known.deal(facts);
        let Some(look) = Look::of(&deal, self.now) else { return };
        let outlook = self.trained.outlook(&look);
        let share = self.trained.share_of_amount();
        let chances: Vec<f64> =
            self.month_ends.iter().map(|days| self.trained.won_within(&outlook, *days)).collect();
        let value = float(value);
        let won_by: Vec<f64> = chances.iter().map(|chance| chance * share).collect();
        let key = Slice {
            pipeline_id: it.pipeline_id,
            stage_key: it.stage_key.clone(),
            owner_id: it.owner_id,
            team_id: it.team_id.unwrap_or_default(),
        };
        let whole = Slice { owner_id: 0, team_id: 0, ..key.clone() };
        for key in [key, whole] {
            self.groups.entry(key).or_default().add(value, &won_by);
        }
        for (_, _, (before, end), sum) in &mut self.periods {
            let chance = chances[*end] - before.map_or(0.0, |before| chances[before]);
            let value = value * share;
            sum.mean += chance * value;
            sum.variance += chance * (1.0 - chance) * value * value;
        }
    }

    /// The shares of all groups.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let mut shares: Vec<Share> = self
            .groups
            .iter()
            .filter(|(_, group)| group.value > 0.0)
            .map(|(key, group)| Share {
                key: key.clone(),
                won_by: group.won_by.iter().map(|won| parts(won / group.value)).collect(),
                typical_value: group.squares / group.value,
            })
            .collect();
        shares.sort_by(|one, other| one.key.cmp(&other.key));
        shares
    }

    /// What each period will bring beside what is won in it.
    pub(crate) fn rests(&self, won: &Won) -> Vec<Rests> {
        let rests = self.periods.iter().map(|(span, window, _, pipeline)| {
            let within = |window| won.within(window);
            let rest = self.trained.rest(self.now, *window, *pipeline, won.first, within);
            let length = Length::nearest(self.begin(next(span.end)) - self.begin(span.start));
            let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
            let (tried, held) = self.trained.track.held(length);
            Rests { span: *span, rest, tried: count(tried), held: count(held) }
        });
        rests.collect()
    }
}

/// No group is won for more than twice its value: no deal is.
#[expect(clippy::cast_possible_truncation, reason = "2,000,000,000 at most")]
fn parts(share: f64) -> i32 {
    (share.clamp(0.0, 2.0) * PARTS).round() as i32
}

fn next(date: NaiveDate) -> NaiveDate {
    date.succ_opt().unwrap_or(date)
}
