//! The advanced reports over random histories against what the test adds up by itself, each another way than the product, and the opportunities behind every number of every report.

mod activities;
mod book;
mod opened;

use std::collections::BTreeMap;

use analytics::ask::Ask;
use analytics::period::{Calendar, Cut};
use analytics::range::Range;
use analytics::report::advanced;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use money::Money;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rpc::{Error, Invalid};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::support::{AMY, BOB, PIPELINE, TEAM, World, caller, now, on};
use book::{Known, OTHER, STAGES, day};

const ADMIN: i64 = 99;

/// What is asked, and the part of the book that it is about.
struct Question {
    ask: Ask,
    range: Range,
    part: Vec<Known>,
}

impl Question {
    fn any(book: &[Known], random: &mut StdRng) -> Self {
        let maybe = |random: &mut StdRng, ids: &[i64]| {
            ids.choose(random).copied().filter(|_| random.random_bool(0.4))
        };
        let ask = Ask {
            owner_id: maybe(random, &[AMY, BOB]),
            team_id: maybe(random, &[TEAM, 8]),
            pipeline_id: maybe(random, &[PIPELINE, OTHER]),
            after: None,
        };
        let dates = ["2024-02-29", "2024-11-30", "2025-01-01", "2025-06-15", "2025-10-31"];
        let start = dates.choose(random).map(|it| on(it)).filter(|_| random.random_bool(0.5));
        let end = dates.choose(random).map(|it| on(it)).filter(|_| random.random_bool(0.3));
        let end = end.filter(|end| start.is_none_or(|start| start <= *end));
        let is_asked = |it: &&Known| {
            ask.owner_id.is_none_or(|id| it.owner_id == id)
                && ask.team_id.is_none_or(|id| it.team_id == Some(id))
                && ask.pipeline_id.is_none_or(|id| it.pipeline_id == id)
        };
        let part = book.iter().filter(is_asked).cloned().collect();
        Self { ask, range: Range { start, end }, part }
    }

    fn holds(&self, day: NaiveDate) -> bool {
        self.range.start.is_none_or(|start| start <= day)
            && self.range.end.is_none_or(|end| day <= end)
    }

    fn closed(&self, status: &str) -> Vec<&Known> {
        let is_so =
            |it: &&Known| it.status() == status && it.closed_on.is_some_and(|day| self.holds(day));
        self.part.iter().filter(is_so).collect()
    }
}

fn sum<'a>(of: impl IntoIterator<Item = &'a Known>) -> (i64, Money) {
    let of = of.into_iter();
    of.fold((0, Money::ZERO), |(count, sum), it| (count + 1, sum + it.value().unwrap_or_default()))
}

#[tokio::test]
async fn velocity_is_the_product_of_its_parts_over_what_closed() {
    for seed in 0..2 {
        let (world, book, mut random) = book::written(seed, 120).await;
        for _ in 0..25 {
            let it = Question::any(&book, &mut random);
            let (won, lost) = (it.closed("won"), it.closed("lost"));
            let (asked, by) = (Invalid::default(), caller(ADMIN));
            let found = advanced::velocity(&world.state, &by, &it.ask, it.range, asked, now());
            let found = found.await.unwrap();
            assert_eq!((found.won_count, found.won_value), sum(won.iter().copied()));
            assert_eq!(found.lost_count, sum(lost.iter().copied()).0);
            let days: i64 =
                won.iter().map(|it| (it.closed_on.unwrap() - it.created_on()).num_days()).sum();
            let count = Decimal::from(won.len());
            let with_value = Decimal::from(won.iter().filter(|it| it.value().is_some()).count());
            let value: Decimal = found.won_value.to_string().parse().unwrap();
            let expected = (!with_value.is_zero() && days > 0).then(|| {
                let per_day = count * count * value / (with_value * Decimal::from(days));
                per_day.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
            });
            let found = found.per_day().map(|it| it.to_string().parse::<Decimal>().unwrap());
            assert_eq!(found, expected, "seed {seed} {:?} {:?}", it.ask, it.range);
        }
    }
}

#[tokio::test]
async fn loss_reasons_add_up_to_what_was_lost_and_its_stages_to_each() {
    for seed in 2..4 {
        let (world, book, mut random) = book::written(seed, 120).await;
        for _ in 0..25 {
            let it = Question::any(&book, &mut random);
            let lost = it.closed("lost");
            let (asked, by) = (Invalid::default(), caller(ADMIN));
            let found = advanced::loss_reasons(&world.state, &by, &it.ask, it.range, asked, now());
            let found = found.await.unwrap();
            let mut expected = BTreeMap::new();
            for deal in &lost {
                let is_open = |(key, _): &&(String, DateTime<Utc>)| key != "won" && key != "lost";
                let stage = deal.moves.iter().rev().find(is_open).map(|(key, _)| key.clone());
                let key = (deal.reason.clone(), stage.map(|key| (deal.pipeline_id, key)));
                let entry: &mut (i64, Money) = expected.entry(key).or_default();
                *entry = (entry.0 + 1, entry.1 + deal.value().unwrap_or_default());
            }
            let told = found.items.iter().flat_map(|row| {
                row.by_stage.iter().map(|part| {
                    let stage = part.stage.as_ref().map(|it| (it.pipeline_id, it.key.clone()));
                    ((row.lost_reason.clone(), stage), (part.count, part.value))
                })
            });
            assert_eq!(told.collect::<BTreeMap<_, _>>(), expected, "seed {seed} {:?}", it.ask);
            for row in &found.items {
                let of = lost.iter().copied().filter(|it| it.reason == row.lost_reason);
                assert_eq!((row.count, row.value), sum(of));
            }
            assert_eq!((found.count, found.value), sum(lost.iter().copied()));
            let left_out = lost.iter().filter(|it| it.value().is_none()).count();
            let told = found.not_covered.without_amount + found.not_covered.without_rate;
            assert_eq!(told, i64::try_from(left_out).unwrap());
            assert!(found.items.windows(2).all(|it| it[0].count >= it[1].count));
        }
    }
}

/// Within how many days a part of them leaves: each has the same mass, and one who is still there hands theirs on to all who stay longer (Efron's redistribution to the right),
/// which comes to the same as the product of Kaplan and Meier.
fn left_within(mut stays: Vec<(i64, bool)>, part: f64) -> Option<i64> {
    // At one time those leave first who leave.
    stays.sort_unstable();
    let all = stays.len();
    let mut masses = vec![1.0 / f64::from(u32::try_from(all).unwrap()); all];
    let mut gone = 0.0;
    for index in 0..all {
        let (days, is_open) = stays[index];
        if is_open {
            let rest = all - index - 1;
            let share = masses[index] / f64::from(u32::try_from(rest.max(1)).unwrap());
            for mass in &mut masses[index + 1..] {
                *mass += share;
            }
        } else {
            gone += masses[index];
            if gone >= part - 1e-9 {
                return Some(days);
            }
        }
    }
    None
}

#[tokio::test]
async fn stage_durations_take_those_still_there_for_as_long_as_they_have_been() {
    let mut unreached = 0;
    for seed in 4..6 {
        let (world, book, mut random) = book::written(seed, 150).await;
        for _ in 0..25 {
            let it = Question::any(&book, &mut random);
            let asked = Invalid::default();
            let by = caller(ADMIN);
            let found =
                advanced::stage_durations(&world.state, &by, &it.ask, it.range, asked, now());
            let found = found.await.unwrap().items;
            let pipelines =
                STAGES.iter().filter(|row| it.ask.pipeline_id.is_none_or(|id| id == row.0));
            let stages = pipelines.flat_map(|(id, keys)| keys.iter().map(|key| (*id, *key)));
            let stages: Vec<_> = stages.collect();
            assert_eq!(found.len(), stages.len());
            for (row, (pipeline_id, key)) in found.iter().zip(stages) {
                assert_eq!((row.pipeline_id, row.stage_key.as_str()), (pipeline_id, key));
                let of = it.part.iter().filter(|deal| {
                    deal.pipeline_id == pipeline_id
                        && deal.first_entry(key).is_some_and(|at| it.holds(day(at)))
                });
                let stays: Vec<_> =
                    of.map(|deal| (days_in(deal, key), deal.stage == key)).collect();
                let open = stays.iter().filter(|(_, is_open)| *is_open).count();
                assert_eq!(row.open, i64::try_from(open).unwrap());
                assert_eq!(row.ended + row.open, i64::try_from(stays.len()).unwrap());
                for (found, part) in row.percentiles.iter().zip([0.25, 0.5, 0.75, 0.9]) {
                    let expected = left_within(stays.clone(), part);
                    unreached += i64::from(expected.is_none() && !stays.is_empty());
                    #[expect(clippy::cast_possible_truncation, reason = "days of two years")]
                    let found = found.map(|days| days.round() as i64);
                    assert_eq!(found, expected, "seed {seed} {key} {part} {:?} {stays:?}", it.ask);
                }
            }
        }
    }
    assert!(unreached > 10, "{unreached}");
}

/// The days in a stage, all stays together, each night that it was there.
fn days_in(deal: &Known, stage: &str) -> i64 {
    let ends = deal.moves.iter().skip(1).map(|(_, at)| *at).chain([now()]);
    let stays = deal.moves.iter().zip(ends).filter(|((key, _), _)| key == stage);
    let nights =
        stays.map(|((_, at), end)| day(*at).iter_days().take_while(|it| *it < day(end)).count());
    i64::try_from(nights.sum::<usize>()).unwrap()
}

#[tokio::test]
async fn a_cohort_is_followed_by_the_days_on_which_its_opportunities_closed() {
    for seed in 6..8 {
        let (world, book, mut random) = book::written(seed, 120).await;
        for (by, cut) in [("monthly", Cut::Monthly), ("quarterly", Cut::Quarterly)].repeat(10) {
            let it = Question::any(&book, &mut random);
            let (asked, by) = ((Some(by), Some(6)), caller(ADMIN));
            let invalid = Invalid::default();
            let found =
                advanced::cohorts(&world.state, &by, &it.ask, asked, it.range, invalid, now());
            let found = found.await.unwrap();
            let made: Vec<_> = it.part.iter().filter(|deal| it.holds(deal.created_on())).collect();
            let mut months = BTreeMap::new();
            for row in &found.items {
                let of = |deal: &&&Known| row.period.span.contains(deal.created_on());
                let of: Vec<_> = made.iter().filter(of).copied().collect();
                let by_then = |status: &str| {
                    let is_so = |deal: &&&Known| {
                        deal.status() == status
                            && deal.closed_on.is_some_and(|day| day <= row.until)
                    };
                    sum(of.iter().filter(is_so).copied())
                };
                let told = format!("seed {seed} {} +{} {:?}", row.period.label, row.month, it.ask);
                assert_eq!(row.created, sum(of.iter().copied()), "{told}");
                assert_eq!((row.won, row.lost), (by_then("won"), by_then("lost")), "{told}");
                assert_eq!(row.open().0 + row.won.0 + row.lost.0, row.created.0, "{told}");
                months.insert(row.period.label.clone(), (row.created.0, row.month, row.until));
            }
            // Every one that was made is in one of the cohorts, and each is followed to today or for six months.
            let counted: i64 = months.values().map(|it| it.0).sum();
            assert_eq!(counted, i64::try_from(made.len()).unwrap(), "seed {seed} {:?}", it.range);
            let today = day(now());
            assert!(months.values().all(|it| it.1 == 6 || it.2 == today), "{months:?}");
            if let Some(first) = made.iter().map(|deal| deal.created_on()).min() {
                let periods = Calendar { first_month: 1 }.cut(first.year(), cut);
                let first = periods.into_iter().find(|it| it.span.contains(first)).unwrap();
                assert_eq!(months.keys().next(), Some(&first.label));
            }
        }
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named_at_once() {
    let world = World::create("everyone").await;
    let range = Range { start: Some(on("2025-02-01")), end: Some(on("2025-01-01")) };
    let ask = Ask { pipeline_id: Some(9), ..Ask::default() };
    let asked = (Some("daily"), Some(37));
    let by = caller(ADMIN);
    let refused =
        advanced::cohorts(&world.state, &by, &ask, asked, range, Invalid::default(), now()).await;
    let Err(Error::Invalid(fields)) = refused else { panic!("it is invalid") };
    let told: Vec<_> = fields.iter().map(|it| (it.field.as_str(), &*it.code)).collect();
    assert_eq!(
        told,
        [
            ("end_date", "before_start"),
            ("period", "unknown_value"),
            ("months", "out_of_range"),
            ("pipeline_id", "unknown_pipeline"),
        ]
    );
}
