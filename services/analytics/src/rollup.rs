//! Rollups: sums over deals of a pure function, so that they can be kept by adding what is new and taking away what was.

use std::collections::HashMap;
use std::hash::Hash;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use money::Money;

use crate::category::Category;
use crate::deal::{Deal, Fact, Kind, Ladders};
use crate::stay::{StayKey, Stays, stays};
use crate::valuation::Valuation;
use crate::version::Version;

/// By what facts are summed up: the same as long as they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stages of all pipelines, in order.
    pub ladders: Ladders,
    /// In which days are cut.
    pub zone: Tz,
    /// By which open ones are worth what they are.
    pub valuation: Valuation,
}

/// By what deals are grouped that stand somewhere now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StandingKey {
    /// The pipeline.
    pub pipeline_id: i64,
    /// The stage.
    pub stage_key: String,
    /// `open`, `won`, `lost`.
    pub status: &'static str,
    /// Whose.
    pub owner_id: i64,
    /// Of which team; 0 of none.
    pub team_id: i64,
    /// Of open ones, whose value is by its rate; empty for closed ones, whose value is frozen.
    pub currency: String,
    /// First day of the month in which an open one is expected to close.
    pub close_month: Option<NaiveDate>,
}

/// By what those are grouped, too, that are open and have a forecast category of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CategoryKey {
    /// The group of those that stand in the same place, with a category or without.
    pub of: StandingKey,
    /// The category.
    pub category: Category,
}

/// What is summed of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many.
    pub count: i64,
    /// How many have a value.
    pub value_count: i64,
    /// How many have an amount and lack a rate.
    pub rate_missing: i64,
    /// Their value in the organisation's currency, each rounded to the hundredth.
    pub total_value: Money,
    /// Their value by their probabilities.
    pub weighted_value: Money,
}

/// By what things that happened are grouped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// `day` or `month`; of everybody together, which costs as many rows however many sell, `day_of_all` or `month_of_all`.
    pub grain: &'static str,
    /// Its first day.
    pub start_date: NaiveDate,
    /// `created`, `won`, `lost`.
    pub kind: &'static str,
    /// The pipeline.
    pub pipeline_id: i64,
    /// Whose; 0 of everybody.
    pub owner_id: i64,
    /// Of which team; 0 of none, and of everybody.
    pub team_id: i64,
    /// Of created ones still open; otherwise empty.
    pub currency: String,
}

/// What is summed of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// How many.
    pub count: i64,
    /// How many have a value.
    pub value_count: i64,
    /// How many have an amount and lack a rate.
    pub rate_missing: i64,
    /// Their value in the organisation's currency, each rounded to the hundredth.
    pub value: Money,
    /// Of won ones: days from the day of creation to the day they closed.
    pub days_to_close: i64,
}

/// By what was won without a value is grouped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnvaluedKey {
    /// First day of the month in which it was won.
    pub won_month: NaiveDate,
    /// First day of the month in which it was created.
    pub created_month: NaiveDate,
    /// The pipeline.
    pub pipeline_id: i64,
    /// Whose.
    pub owner_id: i64,
    /// Of which team; 0 of none.
    pub team_id: i64,
}

/// How many those are, by what they lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unvalued {
    /// An amount.
    pub without_amount: i64,
    /// A rate.
    pub without_rate: i64,
}

/// By what was lost is grouped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LossKey {
    /// `day` or `month`.
    pub grain: &'static str,
    /// Its first day.
    pub start_date: NaiveDate,
    /// The pipeline.
    pub pipeline_id: i64,
    /// Whose.
    pub owner_id: i64,
    /// Of which team; 0 of none.
    pub team_id: i64,
    /// Why, as it is written.
    pub lost_reason: Option<String>,
    /// The last open stage in which it stood.
    pub stage_key: Option<String>,
}

/// By what entries into stages are grouped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversionKey {
    /// `day`, `month` or `all`.
    pub grain: &'static str,
    /// Its first day; none of `all`.
    pub start_date: Option<NaiveDate>,
    /// The pipeline.
    pub pipeline_id: i64,
    /// The stage; empty for the pipeline as a whole.
    pub stage_key: String,
    /// Whose.
    pub owner_id: i64,
    /// Of which team; 0 of none.
    pub team_id: i64,
}

/// What is summed of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// How many entered.
    pub entered: i64,
    /// How many of them went further.
    pub advanced: i64,
    /// How many of them fell out.
    pub lost: i64,
    /// How many stays have ended.
    pub stays: i64,
    /// How long those were.
    pub stay_seconds: i64,
}

/// Something that can be added and taken away.
trait Sum: Default + Copy + PartialEq {
    fn add(&mut self, other: Self, sign: i64);
}

impl Sum for Standing {
    fn add(&mut self, other: Self, sign: i64) {
        self.count += sign * other.count;
        self.value_count += sign * other.value_count;
        self.rate_missing += sign * other.rate_missing;
        self.total_value += signed(other.total_value, sign);
        self.weighted_value += signed(other.weighted_value, sign);
    }
}

impl Sum for Flow {
    fn add(&mut self, other: Self, sign: i64) {
        self.count += sign * other.count;
        self.value_count += sign * other.value_count;
        self.rate_missing += sign * other.rate_missing;
        self.value += signed(other.value, sign);
        self.days_to_close += sign * other.days_to_close;
    }
}

impl Sum for Unvalued {
    fn add(&mut self, other: Self, sign: i64) {
        self.without_amount += sign * other.without_amount;
        self.without_rate += sign * other.without_rate;
    }
}

impl Sum for Conversion {
    fn add(&mut self, other: Self, sign: i64) {
        self.entered += sign * other.entered;
        self.advanced += sign * other.advanced;
        self.lost += sign * other.lost;
        self.stays += sign * other.stays;
        self.stay_seconds += sign * other.stay_seconds;
    }
}

impl Sum for Stays {
    fn add(&mut self, other: Self, sign: i64) {
        self.count += sign * other.count;
    }
}

fn signed(money: Money, sign: i64) -> Money {
    Money::from_hundredths(money.hundredths() * i128::from(sign))
}

/// All rollups, or a change of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollups {
    /// What stands where.
    pub standing: HashMap<StandingKey, Standing>,
    /// What of that is open and has a forecast category of its own.
    pub category: HashMap<CategoryKey, Standing>,
    /// What happened when.
    pub flow: HashMap<FlowKey, Flow>,
    /// What was won without a value.
    pub unvalued: HashMap<UnvaluedKey, Unvalued>,
    /// Why what was lost was.
    pub loss: HashMap<LossKey, Flow>,
    /// Who entered which stage.
    pub conversion: HashMap<ConversionKey, Conversion>,
    /// Who is how long in which stage.
    pub stays: HashMap<StayKey, Stays>,
}

impl Rollups {
    /// Adds a deal.
    pub fn add(&mut self, deal: &Deal, frame: &Frame) {
        self.count(deal, frame, 1);
    }

    /// Takes a deal away that was added as it is.
    pub fn take_away(&mut self, deal: &Deal, frame: &Frame) {
        self.count(deal, frame, -1);
    }

    /// Adds what a deal is worth, and not how far it went.
    pub fn add_values(&mut self, fact: &Fact, frame: &Frame) {
        self.count_values(fact, frame, 1);
    }

    /// Adds what an opportunity that was open was worth.
    pub fn add_open(&mut self, it: &Version, valuation: &Valuation) {
        let worth = Worth::open(it.amount, &it.currency, it.probability, valuation);
        let key = StandingKey {
            pipeline_id: it.pipeline_id,
            stage_key: it.stage_key.clone(),
            status: it.status.as_str(),
            owner_id: it.owner_id,
            team_id: it.team_id.unwrap_or(0),
            currency: it.currency.clone(),
            close_month: it.expected_close_date.map(month),
        };
        put(&mut self.standing, key, worth.standing(), 1);
    }

    /// Forgets groups of which nothing is left.
    pub fn tidy(&mut self) {
        self.standing.retain(|_, it| *it != Standing::default());
        self.category.retain(|_, it| *it != Standing::default());
        self.flow.retain(|_, it| *it != Flow::default());
        self.unvalued.retain(|_, it| *it != Unvalued::default());
        self.loss.retain(|_, it| *it != Flow::default());
        self.conversion.retain(|_, it| *it != Conversion::default());
        self.stays.retain(|_, it| *it != Stays::default());
    }

    fn count(&mut self, deal: &Deal, frame: &Frame, sign: i64) {
        let Some(fact) = deal.fact.as_ref().filter(|fact| !fact.is_deleted) else { return };
        self.count_values(fact, frame, sign);
        self.count_loss(deal, fact, frame, sign);
        self.count_entries(deal, fact, frame, sign);
        self.count_stays(deal, fact, frame, sign);
    }

    fn count_values(&mut self, fact: &Fact, frame: &Frame, sign: i64) {
        let worth = Worth::of(fact, &frame.valuation);
        let (key, sum) = standing(fact, worth);
        if let Some(category) = fact.forecast_category.filter(|_| fact.status == Kind::Open) {
            let key = CategoryKey { of: key.clone(), category };
            put(&mut self.category, key, sum, sign);
        }
        put(&mut self.standing, key, sum, sign);
        if let Some((key, sum)) = unvalued(fact, worth, frame.zone) {
            put(&mut self.unvalued, key, sum, sign);
        }
        for (kind, day, sum) in flows(fact, worth, frame.zone) {
            let is_open = fact.status == Kind::Open && kind == "created";
            let currency = if is_open { fact.currency.as_str() } else { "" };
            let whose = (fact.owner_id, fact.team_id.unwrap_or(0));
            for (grain, start_date, (owner_id, team_id)) in [
                ("day", day, whose),
                ("day_of_all", day, (0, 0)),
                ("month", month(day), whose),
                ("month_of_all", month(day), (0, 0)),
            ] {
                let key = FlowKey {
                    grain,
                    start_date,
                    kind,
                    pipeline_id: fact.pipeline_id,
                    owner_id,
                    team_id,
                    currency: currency.to_owned(),
                };
                put(&mut self.flow, key, sum, sign);
            }
        }
    }

    fn count_loss(&mut self, deal: &Deal, fact: &Fact, frame: &Frame, sign: i64) {
        let is_lost = fact.status == Kind::Lost;
        let Some(lost_on) = fact.actual_close_date.filter(|_| is_lost) else { return };
        let sum = Worth::of(fact, &frame.valuation).flow();
        let stage_key = last_open_stage(deal, frame.ladders.stages(fact.pipeline_id));
        for (grain, start_date) in [("day", lost_on), ("month", month(lost_on))] {
            let key = LossKey {
                grain,
                start_date,
                pipeline_id: fact.pipeline_id,
                owner_id: fact.owner_id,
                team_id: fact.team_id.unwrap_or(0),
                lost_reason: fact.lost_reason.clone(),
                stage_key: stage_key.map(str::to_owned),
            };
            put(&mut self.loss, key, sum, sign);
        }
    }

    fn count_entries(&mut self, deal: &Deal, fact: &Fact, frame: &Frame, sign: i64) {
        for (stage_key, day, sum) in conversions(deal, fact, &frame.ladders, frame.zone) {
            let starts = [("day", Some(day)), ("month", Some(month(day))), ("all", None)];
            for (grain, start_date) in starts {
                let key = ConversionKey {
                    grain,
                    start_date,
                    pipeline_id: fact.pipeline_id,
                    stage_key: stage_key.to_owned(),
                    owner_id: fact.owner_id,
                    team_id: fact.team_id.unwrap_or(0),
                };
                put(&mut self.conversion, key, sum, sign);
            }
        }
    }

    fn count_stays(&mut self, deal: &Deal, fact: &Fact, frame: &Frame, sign: i64) {
        for (stage_key, day, length) in stays(deal, fact, &frame.ladders, frame.zone) {
            let starts = [("day", Some(day)), ("month", Some(month(day))), ("all", None)];
            for (grain, start_date) in starts {
                let key = StayKey {
                    grain,
                    start_date,
                    pipeline_id: fact.pipeline_id,
                    stage_key: stage_key.to_owned(),
                    owner_id: fact.owner_id,
                    team_id: fact.team_id.unwrap_or(0),
                    length,
                };
                put(&mut self.stays, key, Stays { count: 1 }, sign);
            }
        }
    }
}

fn put<K: Eq + Hash, S: Sum>(sums: &mut HashMap<K, S>, key: K, sum: S, sign: i64) {
    sums.entry(key).or_default().add(sum, sign);
}

/// What a deal is worth in the organisation's currency.
#[derive(Clone, Copy)]
struct Worth {
    /// Of an open one by the day's rate, of a closed one as it was frozen.
    value: Option<Money>,
    /// The same by its probability.
    weighted: Option<Money>,
    /// It has an amount, and no rate.
    is_rate_missing: bool,
}

impl Worth {
    fn of(fact: &Fact, valuation: &Valuation) -> Self {
        let (value, weighted) = match fact.status {
            Kind::Open => {
                return Self::open(fact.amount, &fact.currency, fact.probability, valuation);
            }
            Kind::Won => (fact.closed_amount, fact.closed_amount),
            Kind::Lost => (fact.closed_amount, None),
        };
        Self { value, weighted, is_rate_missing: fact.amount.is_some() && value.is_none() }
    }

    fn open(
        amount: Option<Money>,
        currency: &str,
        probability: i32,
        valuation: &Valuation,
    ) -> Self {
        let worth = |amount| valuation.value(amount, currency, probability);
        let (value, weighted) = amount.and_then(worth).unzip();
        Self { value, weighted, is_rate_missing: amount.is_some() && value.is_none() }
    }

    fn standing(self) -> Standing {
        Standing {
            count: 1,
            value_count: self.value.is_some().into(),
            rate_missing: self.is_rate_missing.into(),
            total_value: self.value.unwrap_or_default(),
            weighted_value: self.weighted.unwrap_or_default(),
        }
    }

    fn flow(self) -> Flow {
        Flow {
            count: 1,
            value_count: self.value.is_some().into(),
            rate_missing: self.is_rate_missing.into(),
            value: self.value.unwrap_or_default(),
            days_to_close: 0,
        }
    }
}

fn standing(fact: &Fact, worth: Worth) -> (StandingKey, Standing) {
    let is_open = fact.status == Kind::Open;
    let key = StandingKey {
        pipeline_id: fact.pipeline_id,
        stage_key: fact.stage_key.clone(),
        status: fact.status.as_str(),
        owner_id: fact.owner_id,
        team_id: fact.team_id.unwrap_or(0),
        currency: if is_open { fact.currency.clone() } else { String::new() },
        close_month: fact.expected_close_date.filter(|_| is_open).map(month),
    };
    (key, worth.standing())
}

/// A deal that was won without a value.
fn unvalued(fact: &Fact, worth: Worth, zone: Tz) -> Option<(UnvaluedKey, Unvalued)> {
    let won_on = fact.actual_close_date.filter(|_| fact.status == Kind::Won)?;
    if worth.value.is_some() {
        return None;
    }
    let key = UnvaluedKey {
        won_month: month(won_on),
        created_month: month(day(fact.created_at, zone)),
        pipeline_id: fact.pipeline_id,
        owner_id: fact.owner_id,
        team_id: fact.team_id.unwrap_or(0),
    };
    let is_rate_missing = worth.is_rate_missing;
    let (without_amount, without_rate) = ((!is_rate_missing).into(), is_rate_missing.into());
    Some((key, Unvalued { without_amount, without_rate }))
}

/// The open stage into which a deal came last.
fn last_open_stage<'a>(deal: &'a Deal, stages: &[(String, Kind)]) -> Option<&'a str> {
    let mut keys = deal.moves.iter().rev().map(|moved| moved.to_stage_key.as_str());
    keys.find(|key| stages.iter().any(|(it, kind)| it == key && *kind == Kind::Open))
}

/// What happened to a deal, on which day: its creation, and how it closed.
fn flows(
    fact: &Fact,
    worth: Worth,
    zone: Tz,
) -> impl Iterator<Item = (&'static str, NaiveDate, Flow)> {
    let created_on = day(fact.created_at, zone);
    let sum = worth.flow();
    let closed = fact.actual_close_date.and_then(|closed_on| match fact.status {
        Kind::Open => None,
        Kind::Won => {
            let days_to_close = (closed_on - created_on).num_days();
            Some(("won", closed_on, Flow { days_to_close, ..sum }))
        }
        Kind::Lost => Some(("lost", closed_on, sum)),
    });
    std::iter::once(("created", created_on, sum)).chain(closed)
}

/// The open stages that a deal has entered, each once by the day of the first entry, and what became of it since; and the pipeline as a whole,
/// under no key, by the day of creation.
fn conversions<'a>(
    deal: &'a Deal,
    fact: &'a Fact,
    ladders: &'a Ladders,
    zone: Tz,
) -> impl Iterator<Item = (&'a str, NaiveDate, Conversion)> {
    let is_won = fact.status == Kind::Won;
    let is_lost = fact.status == Kind::Lost;
    let whole = Conversion {
        entered: 1,
        advanced: is_won.into(),
        lost: is_lost.into(),
        ..Conversion::default()
    };
    let whole = ("", day(fact.created_at, zone), whole);
    let stages = ladders.stages(fact.pipeline_id);
    let open = |(_, (_, kind)): &(usize, &(String, Kind))| *kind == Kind::Open;
    let entered = stages.iter().enumerate().filter(open).filter_map(move |(rank, (key, _))| {
        let first = deal.moves.iter().position(|moved| moved.to_stage_key == *key)?;
        let later = |moved: &crate::deal::Move| {
            let reached = stages.iter().position(|(key, _)| *key == moved.to_stage_key);
            reached.is_some_and(|reached| reached > rank && stages[reached].1 == Kind::Open)
        };
        let went_further = is_won || deal.moves[first..].iter().any(later);
        let stays = deal.moves.windows(2).filter(|pair| pair[0].to_stage_key == *key);
        let stays = stays.map(|pair| (pair[1].changed_at - pair[0].changed_at).num_seconds());
        let (stays, stay_seconds) = stays.fold((0, 0), |(n, all), stay| (n + 1, all + stay));
        let sum = Conversion {
            entered: 1,
            advanced: went_further.into(),
            lost: (is_lost && !went_further).into(),
            stays,
            stay_seconds,
        };
        Some((key.as_str(), day(deal.moves[first].changed_at, zone), sum))
    });
    std::iter::once(whole).chain(entered)
}

/// The day on which an instant falls in a zone.
pub fn day(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// The first day of a day's month.
pub fn month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}
