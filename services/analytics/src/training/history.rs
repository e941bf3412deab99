//! From facts to a history that can be learned from, and from an open opportunity to a deal that can be looked at.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Days, NaiveDate, Offset as _, Utc};
use chrono_tz::Tz;
use forecast::answer::even_ladder;
use forecast::history::{Before, Column, Deal, History, Move, Place, Quarters, Seconds, Value};
use forecast::trained::Trained;
use money::Money;

use super::fact::{Facts, Step, Told};
use crate::category::Category;
use crate::deal::Kind;
use crate::range::begin;
use crate::rollup::day;

/// Where and when it is looked at, and in which currency.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    pub(crate) zone: Tz,
    pub(crate) now: DateTime<Utc>,
    pub(crate) currency: String,
    /// In which month fiscal years begin.
    pub(crate) first_month: u32,
}

impl Here {
    /// When quarters begin, by the clocks as they are now.
    fn quarters(&self) -> Quarters {
        let ahead = self.now.with_timezone(&self.zone).offset().fix().local_minus_utc();
        let first_month = u8::try_from(self.first_month).unwrap_or(1);
        Quarters { ahead: ahead.into(), first_month }
    }
}

/// What is looked at of every deal beside what a model looks at anyway.
const OWNER: &str = "owner";
const SOURCE: &str = "source";
/// How often it was put off.
const CLOSE_DATE_MOVES: &str = "close_date_moves";

/// Where a stage is in a model.
#[derive(Clone, Debug, Default)]
struct Places {
    of: HashMap<(i64, String), Place>,
    /// Of a key in any pipeline: an opportunity may have come from another one.
    of_key: HashMap<String, Place>,
}

impl Places {
    fn of(steps: &[Step], mut open: impl FnMut(&Step) -> Option<Place>) -> Self {
        let mut places = Self::default();
        for step in steps {
            let place = match step.kind {
                Kind::Open => open(step),
                Kind::Won => Some(Place::Won),
                Kind::Lost => Some(Place::Lost),
            };
            let Some(place) = place else { continue };
            places.of.insert((step.pipeline_id, step.key.clone()), place);
            places.of_key.entry(step.key.clone()).or_insert(place);
        }
        places
    }

    fn find(&self, pipeline_id: i64, key: &str) -> Option<Place> {
        let own = self.of.get(&(pipeline_id, key.to_owned()));
        own.or_else(|| self.of_key.get(key)).copied()
    }
}

/// What a stage is called in a model.
fn name(step: &Step) -> String {
    format!("{}/{}", step.pipeline_id, step.key)
}

/// A history that grows.
pub(crate) struct Growing {
    history: History,
    places: Places,
    here: Here,
    owners: HashMap<i64, u32>,
    sources: HashMap<String, u32>,
    /// By stage, what it is said to promise.
    said: Vec<Option<i32>>,
    /// By stage, how often an opportunity came into it with each probability.
    promised: HashMap<u16, [u32; 101]>,
    closed: usize,
}

impl Growing {
    /// Nothing yet, of these stages in their order; as of an instant, later than which nothing is let in.
    pub(crate) fn new(steps: &[Step], here: Here) -> Self {
        let (mut stages, mut said) = (Vec::new(), Vec::new());
        let places = Places::of(steps, |step| {
            let place = u16::try_from(stages.len()).ok()?;
            stages.push(name(step));
            said.push(step.default_probability);
            Some(Place::Stage(place))
        });
        let column = |name: &str| Column { name: name.to_owned(), categories: Vec::new() };
        let columns = vec![column(OWNER), column(SOURCE), column(CLOSE_DATE_MOVES)];
        Self {
            history: History { stages, columns, quarters: here.quarters(), ..History::default() },
            places,
            here,
            owners: HashMap::new(),
            sources: HashMap::new(),
            said,
            promised: HashMap::new(),
            closed: 0,
        }
    }

    /// One more.
    pub(crate) fn add(&mut self, it: Facts<'_>) {
        let told = it.told;
        if told.created_at > self.here.now {
            return;
        }
        for moved in it.moves {
            if let Some(Place::Stage(stage)) =
                self.places.find(told.pipeline_id, &moved.to_stage_key)
            {
                let of = self.promised.entry(stage).or_insert([0; 101]);
                of[usize::try_from(moved.probability).unwrap_or(0).min(100)] += 1;
            }
        }
        let [owners, sources, _] = &mut self.history.columns[..] else { return };
        let source = told.source.as_deref().filter(|source| !source.is_empty()).map(|source| {
            if let Some(known) = self.sources.get(source) {
                return *known;
            }
            sources.categories.push(source.to_owned());
            self.sources.insert(source.to_owned(), last(sources));
            last(sources)
        });
        let source = source.map_or(Value::Missing, Value::Category);
        let mut values = |owner_id: i64, moves: u32| {
            let owner = *self.owners.entry(owner_id).or_insert_with(|| {
                owners.categories.push(owner_id.to_string());
                last(owners)
            });
            vec![Value::Category(owner), source, Value::Number(moves.into())]
        };
        let deal = deal(it, &self.places, &mut values, &self.here);
        self.closed += usize::from(told.status != Kind::Open.as_str());
        self.history.deals.push(deal);
    }

    /// How many have closed.
    pub(crate) fn closed(&self) -> usize {
        self.closed
    }

    /// The history, and what each of its stages promises: its default, or else the probability with which opportunities come into it, in the middle.
    pub(crate) fn finish(self) -> (History, Vec<f64>) {
        let even = even_ladder(self.history.stages.len());
        let ladder = self.said.iter().enumerate().map(|(stage, said)| {
            let even = even.get(stage).copied().unwrap_or_default();
            let promised = u16::try_from(stage).ok().and_then(|stage| self.promised.get(&stage));
            let came = || promised.map_or(even, middle);
            said.map_or_else(came, |said| f64::from(said) / 100.0)
        });
        let ladder = ladder.collect();
        (self.history, ladder)
    }
}

fn last(column: &Column) -> u32 {
    u32::try_from(column.categories.len() - 1).unwrap_or(u32::MAX)
}

/// The probability that half of them are below or at.
fn middle(counts: &[u32; 101]) -> f64 {
    let all: u32 = counts.iter().sum();
    let mut sum = 0;
    let place = counts.iter().position(|count| {
        sum += count;
        2 * sum >= all
    });
    place.and_then(|place| u8::try_from(place).ok()).map_or(0.0, |place| f64::from(place) / 100.0)
}

/// What a model calls the things that an open opportunity has.
pub(crate) struct Known {
    places: Places,
    here: Here,
    /// By column of the model: what it is called, and its categories.
    columns: Vec<(String, HashMap<String, u32>)>,
    /// The stages of pipelines whose opportunities are left out of the forecast, unless they say otherwise themselves.
    omitted: HashSet<(i64, String)>,
}

impl Known {
    /// Of a model, over stages as they are now; those that it does not know are none to it.
    pub(crate) fn new(trained: &Trained, steps: &[Step], here: Here) -> Self {
        let of_name: HashMap<&str, u16> =
            trained.stages.iter().map(String::as_str).zip(0..).collect();
        let places =
            Places::of(steps, |step| of_name.get(&*name(step)).map(|stage| Place::Stage(*stage)));
        let columns = trained.columns.iter().map(|column| {
            (column.name.clone(), column.categories.iter().cloned().zip(0..).collect())
        });
        let omitted = steps.iter().filter(|step| step.category == Category::Omitted);
        let omitted = omitted.map(|step| (step.pipeline_id, step.key.clone()));
        Self { places, here, columns: columns.collect(), omitted: omitted.collect() }
    }

    /// Whether it is left out of the forecast, by its own category or that of its stage.
    pub(crate) fn is_omitted(&self, told: &Told) -> bool {
        let own = told.forecast_category.as_deref().and_then(Category::parse);
        let of_stage = || self.omitted.contains(&(told.pipeline_id, told.stage_key.clone()));
        own.map_or_else(of_stage, |own| own == Category::Omitted)
    }

    /// As the model looks at it.
    pub(crate) fn deal(&self, it: Facts<'_>) -> Deal {
        let value = |(name, categories): &(String, HashMap<String, u32>), owner_id: i64, moves| {
            // One that was not there then is as rare as can be.
            let category =
                |said: &str| Value::Category(categories.get(said).copied().unwrap_or(u32::MAX));
            let source = it.told.source.as_deref().filter(|source| !source.is_empty());
            match &**name {
                OWNER => category(&owner_id.to_string()),
                SOURCE => source.map_or(Value::Missing, category),
                _ => Value::Number(f64::from(moves)),
            }
        };
        let mut values = |owner_id, moves: u32| {
            self.columns.iter().map(|column| value(column, owner_id, moves)).collect()
        };
        deal(it, &self.places, &mut values, &self.here)
    }
}

/// What was known of it before each of its changes, and how often it was put off in all.
fn before(
    it: Facts<'_>,
    values: &mut dyn FnMut(i64, u32) -> Vec<Value>,
    here: &Here,
) -> (Vec<Before>, u32) {
    let told = it.told;
    let known = told.value.zip(told.amount).filter(|(_, amount)| *amount > Money::ZERO);
    let rate = match known {
        Some((value, amount)) => Some(float(value) / float(amount)),
        None => (told.currency == here.currency).then_some(1.0),
    };
    let mut moves = 0;
    let changes = it.changes.iter().take_while(|it| it.at <= here.now);
    let before = changes.map(|changed| {
        let was_of = changed.currency == told.currency;
        let amount = match changed.amount {
            // In another currency it was worth what it is worth now, as far as anybody knows.
            Some(_) if !was_of => told.value.map(float),
            amount => amount.zip(rate).map(|(amount, rate)| float(amount) * rate),
        };
        let before = Before {
            until: changed.at.timestamp(),
            is_left_out: changed.expected_close_date.is_none() || amount.is_none(),
            amount,
            values: values(changed.owner_id, moves),
        };
        let dates = changed.expected_close_date.zip(changed.expected_since);
        moves += u32::from(dates.is_some_and(|(was, is)| is > was));
        before
    });
    let before = before.collect();
    (before, moves)
}

fn deal(
    facts: Facts<'_>,
    places: &Places,
    values: &mut dyn FnMut(i64, u32) -> Vec<Value>,
    here: &Here,
) -> Deal {
    let (it, zone, now) = (facts.told, here.zone, here.now);
    let known = facts.moves.iter().filter(|moved| moved.changed_at <= now);
    let mut way: Vec<Move> = known
        .filter_map(|moved| {
            let to = places.find(it.pipeline_id, &moved.to_stage_key)?;
            Some(Move { to, at: moved.changed_at.timestamp() })
        })
        .collect();
    let written_at = it.created_at.timestamp();
    let mut created_at = written_at;
    let end = match Kind::parse(&it.status) {
        Some(Kind::Won) => Some(Place::Won),
        Some(Kind::Lost) => Some(Place::Lost),
        _ => None,
    };
    let is_end = |place: Place| !matches!(place, Place::Stage(_));
    if let Some(end) = end {
        let last = way.last().filter(|it| is_end(it.to)).map(|it| it.at);
        let closed_at = closed_at(it.actual_close_date, last, (zone, now));
        // The day on which it closed is what reports go by: of one that was written down later it is the earlier one.
        way.retain(|it| it.at <= closed_at && (!is_end(it.to) || it.at < closed_at));
        created_at = written_at.min(closed_at);
        way.push(Move { to: end, at: closed_at });
    } else if way.last().is_some_and(|it| is_end(it.to)) {
        way.pop();
    }
    let (before, moves) = before(facts, values, here);
    let activities = facts.done.iter().map(|done| done.at.timestamp());
    Deal {
        created_at,
        written_at: Some(written_at).filter(|at| *at > created_at),
        is_brought_in: false,
        is_left_out: it.expected_close_date.is_none() || it.value.is_none(),
        amount: it.value.map(float),
        won_value: None,
        values: values(it.owner_id, moves),
        moves: way,
        activities: activities.take_while(|at| *at <= now.timestamp()).collect(),
        before,
    }
}

/// When it closed: at its last move if that was on that day, otherwise as that day ended.
fn closed_at(
    on: Option<NaiveDate>,
    last: Option<Seconds>,
    (zone, now): (Tz, DateTime<Utc>),
) -> Seconds {
    let is_on = |at: &Seconds| {
        let at = DateTime::from_timestamp(*at, 0);
        on.is_none() || at.map(|at| day(at, zone)) == on
    };
    if let Some(last) = last.filter(is_on) {
        return last;
    }
    let next = on.and_then(|on| on.checked_add_days(Days::new(1)));
    let end = next.map(|next| begin(next, zone).timestamp() - 1);
    end.or(last).unwrap_or(Seconds::MAX).min(now.timestamp())
}

/// Into the model's arithmetic.
#[expect(clippy::cast_precision_loss, reason = "what is learned from is no money any more")]
pub(crate) fn float(money: Money) -> f64 {
    money.hundredths() as f64 / 100.0
}

/// And back, rounded half up to the hundredth.
#[expect(clippy::cast_possible_truncation, reason = "it is no larger than an i128 holds")]
pub(crate) fn money(value: f64) -> Money {
    // Larger than any sum there is, and exact where sums are.
    const MOST: f64 = 1e30;
    Money::from_hundredths((value * 100.0).clamp(-MOST, MOST).round() as i128)
}

#[cfg(test)]
mod tests {
    use super::super::fact::{Changed, Done, Moved, Told};
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn steps() -> Vec<Step> {
        let step = |pipeline_id, key: &str, kind| {
            let default_probability = (key == "trial").then_some(25);
            let category = Category::of_stage(None, default_probability);
            Step { pipeline_id, key: key.into(), kind, default_probability, category }
        };
        vec![
            step(1, "lead", Kind::Open),
            step(1, "won", Kind::Won),
            step(1, "lost", Kind::Lost),
            step(2, "trial", Kind::Open),
        ]
    }

    fn here() -> Here {
        let (zone, currency) = (chrono_tz::Asia::Taipei, "TWD".to_owned());
        Here { zone, now: at("2025-06-01T00:00:00Z"), currency, first_month: 5 }
    }

    fn told(status: &str, stage_key: &str, closed: Option<&str>) -> Told {
        Told {
            opportunity_id: 1,
            pipeline_id: 1,
            stage_key: stage_key.into(),
            status: status.into(),
            owner_id: 7,
            team_id: None,
            source: None,
            forecast_category: None,
            currency: "USD".to_owned(),
            amount: Some(Money::from_hundredths(400)),
            value: Some(Money::from_hundredths(12_400)),
            expected_close_date: None,
            actual_close_date: closed.map(|day| day.parse().unwrap()),
            created_at: at("2025-03-01T00:00:00Z"),
        }
    }

    fn moved(key: &str, changed_at: &str, probability: i32) -> Moved {
        let (to_stage_key, changed_at) = (key.to_owned(), at(changed_at));
        Moved { opportunity_id: 1, to_stage_key, probability, changed_at }
    }

    fn one(told: &Told, moves: &[Moved]) -> (Deal, Vec<f64>) {
        let (mut history, ladder) = all(Facts { told, moves, changes: &[], done: &[] });
        assert_eq!(history.stages, ["1/lead", "2/trial"]);
        assert_eq!(history.quarters, Quarters { ahead: 8 * 3_600, first_month: 5 });
        (history.deals.pop().unwrap(), ladder)
    }

    fn all(facts: Facts<'_>) -> (History, Vec<f64>) {
        let mut growing = Growing::new(&steps(), here());
        growing.add(facts);
        growing.finish()
    }

    #[test]
    fn an_opportunity_is_a_deal_with_its_moves_and_its_end() {
        let moves = [
            moved("trial", "2025-03-01T00:00:00Z", 20),
            moved("lead", "2025-03-05T00:00:00Z", 10),
            moved("won", "2025-04-01T10:00:00Z", 100),
        ];
        let (deal, ladder) = one(&told("won", "won", Some("2025-04-01")), &moves);
        let places: Vec<_> = deal.moves.iter().map(|it| it.to).collect();
        assert_eq!(places, [Place::Stage(1), Place::Stage(0), Place::Won]);
        assert_eq!(deal.moves[2].at, at("2025-04-01T10:00:00Z").timestamp());
        // Of the lead nobody said what it promises.
        assert_eq!((deal.amount, ladder), (Some(124.0), vec![0.1, 0.25]));
        assert_eq!(deal.written_at, None);
    }

    #[test]
    fn what_changed_later_is_known_as_it_was_and_how_often_it_was_put_off() {
        let day = |text: &str| Some(text.parse().unwrap());
        let changed = |at_: &str, owner_id, currency: &str, amount, dates: [&str; 2]| Changed {
            opportunity_id: 1,
            at: at(at_),
            owner_id,
            currency: currency.to_owned(),
            amount: Some(Money::from_hundredths(amount)),
            expected_close_date: day(dates[0]),
            expected_since: day(dates[1]),
        };
        let changes = [
            changed("2025-03-02T00:00:00Z", 5, "USD", 100, ["2025-05-01", "2025-06-01"]),
            changed("2025-03-03T00:00:00Z", 5, "EUR", 900, ["2025-06-01", "2025-05-20"]),
            changed("2025-03-04T00:00:00Z", 7, "USD", 200, ["2025-05-20", "2025-05-21"]),
            changed("2025-07-01T00:00:00Z", 7, "USD", 300, ["2025-05-20", "2025-05-21"]),
        ];
        let done = ["2025-03-05T00:00:00Z", "2025-06-02T00:00:00Z"];
        let done = done.map(|text| Done { opportunity_id: 1, at: at(text) });
        let told = told("open", "lead", None);
        let (history, _) = all(Facts { told: &told, moves: &[], changes: &changes, done: &done });
        let deal = &history.deals[0];
        let said: Vec<_> = deal.before.iter().map(|it| (it.amount, it.values.clone())).collect();
        let values =
            |owner, moves: f64| vec![Value::Category(owner), Value::Missing, Value::Number(moves)];
        let expected = [
            (Some(31.0), values(0, 0.0)),
            (Some(124.0), values(0, 1.0)),
            (Some(62.0), values(1, 1.0)),
        ];
        assert_eq!(said, expected);
        assert_eq!(deal.values, values(1, 2.0));
        assert_eq!(deal.activities, [at("2025-03-05T00:00:00Z").timestamp()]);
    }

    #[test]
    fn what_had_no_date_or_no_value_at_a_time_is_left_out_of_forecasts_of_then() {
        let changed = |hour, amount: Option<i128>, date: Option<&str>| Changed {
            opportunity_id: 1,
            at: at("2025-03-02T00:00:00Z") + chrono::TimeDelta::hours(hour),
            owner_id: 7,
            currency: "USD".to_owned(),
            amount: amount.map(Money::from_hundredths),
            expected_close_date: date.map(|day| day.parse().unwrap()),
            expected_since: None,
        };
        let day = Some("2025-05-01");
        let changes =
            [changed(1, Some(400), None), changed(2, None, day), changed(3, Some(400), day)];
        let left_out = |told: &Told| {
            let (history, _) = all(Facts { told, moves: &[], changes: &changes, done: &[] });
            let deal = &history.deals[0];
            let before = deal.before.iter().map(|it| it.is_left_out);
            before.chain([deal.is_left_out]).collect::<Vec<_>>()
        };
        let undated = told("open", "lead", None);
        assert_eq!(left_out(&undated), [true, true, false, true]);
        let dated = Told { expected_close_date: Some("2025-06-01".parse().unwrap()), ..undated };
        assert_eq!(left_out(&dated), [true, true, false, false]);
        let without_rate = Told { value: None, ..dated };
        assert_eq!(left_out(&without_rate), [true; 4]);
    }

    #[test]
    fn what_is_left_out_of_the_forecast_says_so_itself_or_by_its_stage() {
        let trained = Trained::train(History::default(), &[], 0);
        let mut steps = steps();
        steps[3].category = Category::Omitted;
        let known = Known::new(&trained, &steps, here());
        let of = |pipeline_id, stage_key: &str, own: Option<Category>| {
            let forecast_category = own.map(|own| own.as_str().to_owned());
            let told = Told { pipeline_id, forecast_category, ..told("open", stage_key, None) };
            known.is_omitted(&told)
        };
        assert!(of(1, "lead", Some(Category::Omitted)) && of(2, "trial", None));
        assert!(!of(1, "lead", None) && !of(2, "trial", Some(Category::Commit)));
        assert!(!of(1, "trial", None) && !of(2, "gone", None));
    }

    #[test]
    fn one_that_was_written_down_after_it_had_closed_closed_on_its_day() {
        let moves =
            [moved("lead", "2025-03-01T00:00:00Z", 10), moved("lost", "2025-03-01T00:00:01Z", 0)];
        let (deal, _) = one(&told("lost", "lost", Some("2024-12-31")), &moves);
        let end = at("2024-12-31T15:59:59Z").timestamp();
        assert_eq!((deal.created_at, deal.moves), (end, vec![Move { to: Place::Lost, at: end }]));
        assert_eq!(deal.written_at, Some(at("2025-03-01T00:00:00Z").timestamp()));
    }

    #[test]
    fn nothing_later_is_let_in_and_what_is_open_has_not_ended() {
        let moves =
            [moved("lead", "2025-03-01T00:00:00Z", 10), moved("won", "2025-03-02T00:00:00Z", 100)];
        let (deal, _) = one(&told("open", "lead", None), &moves);
        assert!(deal.standing(at("2025-06-01T00:00:00Z").timestamp()).is_some());
        let mut late = told("open", "lead", None);
        late.created_at = at("2025-06-01T00:00:01Z");
        let facts = Facts { told: &late, moves: &[], changes: &[], done: &[] };
        assert!(all(facts).0.deals.is_empty());
    }

    #[test]
    fn money_goes_through_the_arithmetic_and_back_to_the_cent() {
        for hundredths in [0, 1, 5, 12_345, 999_999_999_999_999, -7] {
            let it = Money::from_hundredths(hundredths);
            assert_eq!(money(float(it)), it);
        }
    }
}
