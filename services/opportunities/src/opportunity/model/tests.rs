//! The rules, told as sentences and held against a naive model.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::TimeZone as _;
use proptest::prelude::*;

use super::*;
use crate::pipeline::model::{REQUIRABLE, default_stages};

const ZONE: Tz = chrono_tz::Asia::Taipei;

pub(crate) fn pipeline() -> Pipeline {
    Pipeline {
        id: 1,
        name: "銷售漏斗".into(),
        is_default: true,
        stages: default_stages(),
        version: 1,
    }
}

pub(crate) fn noon(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2025, 10, day, 4, 0, 0).unwrap()
}

pub(crate) fn at(day: u32) -> Moment<'static> {
    static DOLLARS: LazyLock<Exchange> = LazyLock::new(|| {
        let mut exchange = Exchange::of("TWD");
        for (day, rate) in [(2, "32.5"), (5, "30")] {
            let day = noon(day).date_naive();
            exchange.learn("USD".to_owned(), day, rate.parse().unwrap());
        }
        exchange
    });
    static ANY: LostReasons = LostReasons { items: Vec::new(), version: 0 };
    Moment { at: noon(day), by: 3, zone: ZONE, exchange: &DOLLARS, lost_reasons: &ANY }
}

pub(crate) fn lead(amount: Option<&str>) -> Opportunity {
    let mut opportunity = Opportunity {
        id: 1,
        opportunity_name: "軟體授權採購".into(),
        customer_id: 1,
        customer_name: "XYZ 公司".into(),
        contact_id: None,
        pipeline_id: 1,
        stage_key: String::new(),
        status: Kind::Open,
        amount: amount.map(|amount| amount.parse().unwrap()),
        currency: "TWD".into(),
        closed_amount: None,
        closed_rate: None,
        probability: 0,
        expected_close_date: None,
        actual_close_date: None,
        lost_reason: None,
        owner_id: 3,
        team_id: None,
        products: Vec::new(),
        notes: None,
        source: None,
        external_id: None,
        tags: Vec::new(),
        waiting_until: None,
        forecast_category: None,
        line_items: Vec::new(),
        custom_fields: BTreeMap::new(),
        created_by: 3,
        created_at: noon(1),
        updated_at: noon(1),
        stage_entered_at: noon(1),
        deleted_at: None,
        version: 0,
    };
    begin(&mut opportunity, &default_stages()[0], &Step::default(), 1, &at(1)).unwrap();
    opportunity
}

fn go(
    opportunity: &mut Opportunity,
    stage: &str,
    step: Step,
    moment: Moment<'_>,
) -> Result<Outcome, Vec<String>> {
    let pipeline = pipeline();
    let stage = pipeline.stage(stage).unwrap();
    advance(opportunity, &pipeline, stage, step, 2, &moment).map_err(|invalid| {
        let rpc::Error::Invalid(fields) = invalid.into() else { panic!("it is invalid") };
        fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    })
}

#[test]
fn a_new_opportunity_takes_the_probability_of_its_stage() {
    let opportunity = lead(Some("300000"));
    assert_eq!((opportunity.probability, opportunity.version), (10, 1));
    assert_eq!(opportunity.weighted_value().unwrap().to_string(), "30000");
}

#[test]
fn a_move_without_a_probability_takes_the_default_of_the_stage() {
    let mut opportunity = lead(None);
    let step = Step { probability: Some(77), ..Step::default() };
    go(&mut opportunity, "qualification", step, at(2)).unwrap();
    assert_eq!(opportunity.probability, 77);
    go(&mut opportunity, "proposal", Step::default(), at(3)).unwrap();
    assert_eq!(opportunity.probability, 50);
}

#[test]
fn a_won_opportunity_closes_on_the_day_it_was_won_where_the_organisation_is() {
    let mut opportunity = lead(Some("0.10"));
    // 17:00 in London is one in the morning of the next day in Taipei.
    let late = Moment { at: Utc.with_ymd_and_hms(2025, 10, 5, 17, 0, 0).unwrap(), ..at(5) };
    go(&mut opportunity, "won", Step::default(), late).unwrap();
    assert_eq!(opportunity.actual_close_date, NaiveDate::from_ymd_opt(2025, 10, 6));
    assert_eq!((opportunity.status, opportunity.probability), (Kind::Won, 100));
    assert_eq!(opportunity.closed_amount, opportunity.amount);
}

#[test]
fn what_is_closed_stays_as_it_closed_in_another_stage_of_that_kind() {
    let mut pipeline = pipeline();
    for (key, kind) in [("paid", Kind::Won), ("gone", Kind::Lost)] {
        let stage = pipeline.stages[0].clone();
        pipeline.stages.push(Stage { key: key.into(), name: key.into(), kind, ..stage });
    }
    let go = |it: &mut Opportunity, key: &str, step, day| {
        let stage = pipeline.stage(key).unwrap();
        advance(it, &pipeline, stage, step, 9, &at(day)).unwrap();
    };
    let mut it = lead(Some("5"));
    go(&mut it, "won", Step::default(), 2);
    go(&mut it, "paid", Step::default(), 5);
    assert_eq!(it.actual_close_date, NaiveDate::from_ymd_opt(2025, 10, 2));
    assert_eq!((it.closed_amount, it.probability), (it.amount, 100));
    let named = NaiveDate::from_ymd_opt(2025, 10, 3);
    go(&mut it, "won", Step { actual_close_date: named, ..Step::default() }, 6);
    assert_eq!(it.actual_close_date, named);
    let why = Some("價格過高".to_owned());
    go(&mut it, "lost", Step { lost_reason: why.clone(), ..Step::default() }, 7);
    assert_eq!(it.actual_close_date, NaiveDate::from_ymd_opt(2025, 10, 7));
    go(&mut it, "gone", Step::default(), 8);
    assert_eq!(it.actual_close_date, NaiveDate::from_ymd_opt(2025, 10, 7));
    assert_eq!(it.lost_reason, why);
}

#[test]
fn nothing_comes_into_a_stage_that_is_being_deleted() {
    let mut pipeline = pipeline();
    pipeline.stages[2].moving_to = Some("contract".to_owned());
    let mut it = lead(None);
    let stage = &pipeline.stages[2];
    let wrong = advance(&mut it, &pipeline, stage, Step::default(), 9, &at(2)).unwrap_err();
    let rpc::Error::Invalid(fields) = wrong.into() else { panic!("it is invalid") };
    assert_eq!((&*fields[0].field, &*fields[0].code), ("stage", "stage_closing"));
    assert_eq!(it, lead(None));
}

#[test]
fn what_a_stage_may_ask_for_is_what_an_opportunity_can_lack() {
    for field in REQUIRABLE {
        assert!(!lead(None).has(field), "{field}");
    }
}

#[test]
fn an_amount_in_a_currency_without_a_rate_has_no_value_when_it_closes() {
    let mut opportunity = lead(Some("5"));
    opportunity.currency = "EUR".into();
    go(&mut opportunity, "won", Step::default(), at(2)).unwrap();
    assert_eq!((opportunity.closed_amount, opportunity.closed_rate), (None, None));
}

#[test]
fn an_amount_is_frozen_by_the_rate_of_the_day_on_which_it_closes() {
    for (day, closed) in [(1, None), (2, Some(("162.5", "32.5"))), (9, Some(("150", "30")))] {
        let mut opportunity = lead(Some("5"));
        opportunity.currency = "USD".into();
        let named = Step { actual_close_date: Some(noon(day).date_naive()), ..Step::default() };
        go(&mut opportunity, "won", named, at(9)).unwrap();
        let frozen = opportunity.closed_amount.zip(opportunity.closed_rate);
        let frozen = frozen.map(|(amount, rate)| (amount.to_string(), rate.to_string()));
        let closed = closed.map(|(amount, rate)| (amount.to_owned(), rate.to_owned()));
        assert_eq!(frozen, closed, "{day}");
    }
}

#[test]
fn what_is_closed_keeps_what_it_was_worth_in_another_stage_of_that_kind_unless_it_closed_on_another_day()
 {
    let mut pipeline = pipeline();
    let paid = Stage { key: "paid".into(), kind: Kind::Won, ..pipeline.stages[0].clone() };
    pipeline.stages.push(paid);
    let mut it = lead(Some("5"));
    it.currency = "USD".into();
    go(&mut it, "won", Step::default(), at(3)).unwrap();
    let unaware = Exchange::of("TWD");
    let stage = pipeline.stage("paid").unwrap();
    let moment = Moment { exchange: &unaware, ..at(9) };
    advance(&mut it, &pipeline, stage, Step::default(), 9, &moment).unwrap();
    assert_eq!(it.closed_amount, Some("162.5".parse().unwrap()));
    let named = Step { actual_close_date: Some(noon(6).date_naive()), ..Step::default() };
    advance(&mut it, &pipeline, pipeline.stage("won").unwrap(), named, 9, &at(9)).unwrap();
    assert_eq!(it.closed_amount, Some("150".parse().unwrap()));
}

#[test]
fn reopening_clears_the_close_date_the_reason_and_the_frozen_amount() {
    let mut opportunity = lead(Some("5"));
    let step = Step { lost_reason: Some("價格過高".into()), ..Step::default() };
    go(&mut opportunity, "lost", step, at(2)).unwrap();
    assert_eq!(opportunity.lost_reason.as_deref(), Some("價格過高"));
    go(&mut opportunity, "negotiation", Step::default(), at(3)).unwrap();
    assert_eq!((opportunity.actual_close_date, opportunity.closed_amount), (None, None));
    assert_eq!((opportunity.lost_reason.clone(), opportunity.probability), (None, 70));
}

#[test]
fn a_close_date_lies_between_creation_and_today() {
    for (day, code) in [(30, "before_creation"), (3, "in_the_future")] {
        let mut opportunity = lead(None);
        let date = if day == 30 {
            NaiveDate::from_ymd_opt(2025, 9, 30)
        } else {
            NaiveDate::from_ymd_opt(2025, 10, day)
        };
        let step = Step { actual_close_date: date, ..Step::default() };
        let wrong = go(&mut opportunity, "won", step, at(2)).unwrap_err();
        assert_eq!(wrong, [format!("actual_close_date {code}")]);
        assert_eq!(opportunity, lead(None), "nothing was changed");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut opportunity = lead(None);
    let step = Step {
        probability: Some(40),
        lost_reason: Some("x".into()),
        actual_close_date: NaiveDate::from_ymd_opt(2026, 1, 1),
        notes: None,
    };
    let wrong = go(&mut opportunity, "won", step, at(2)).unwrap_err();
    assert_eq!(
        wrong,
        ["probability fixed_by_stage", "lost_reason not_lost", "actual_close_date in_the_future"]
    );
}

#[test]
fn a_stage_that_asks_for_fields_refuses_who_has_them_not() {
    let mut pipeline = pipeline();
    pipeline.stages[2].required_fields = vec!["amount".into(), "expected_close_date".into()];
    let stage = pipeline.stages[2].clone();
    let mut opportunity = lead(None);
    let refused = advance(&mut opportunity, &pipeline, &stage, Step::default(), 2, &at(2));
    let rpc::Error::Invalid(fields) = refused.unwrap_err().into() else { panic!("it is invalid") };
    assert_eq!(fields.len(), 2);
    assert!(fields.iter().all(|it| it.code == "required_for_stage"));
    assert_eq!(opportunity, lead(None));
}

#[test]
fn a_move_to_the_stage_it_is_in_changes_nothing_but_a_named_probability() {
    let mut opportunity = lead(None);
    let step = Step { notes: Some("still here".into()), ..Step::default() };
    assert_eq!(go(&mut opportunity, "lead", step, at(2)), Ok(Outcome::Unchanged));
    assert_eq!(opportunity, lead(None));
    let step = Step { probability: Some(15), ..Step::default() };
    assert_eq!(go(&mut opportunity, "lead", step, at(2)), Ok(Outcome::Adjusted));
    assert_eq!((opportunity.probability, opportunity.version), (15, 2));
    assert_eq!(opportunity.stage_entered_at, lead(None).stage_entered_at);
}

#[test]
fn it_is_stale_after_the_stages_days_unless_it_waits() {
    let mut stage = default_stages()[0].clone();
    stage.rotting_days = Some(7);
    let mut opportunity = lead(None);
    let day = |day| NaiveDate::from_ymd_opt(2025, 10, day).unwrap();
    assert!(!opportunity.is_stale(&stage, day(8), ZONE));
    assert!(opportunity.is_stale(&stage, day(9), ZONE));
    opportunity.waiting_until = Some(day(20));
    assert!(!opportunity.is_stale(&stage, day(19), ZONE));
    assert!(opportunity.is_stale(&stage, day(20), ZONE));
    assert_eq!(opportunity.days_in_stage(day(20), ZONE), 19);
}

proptest! {
    /// Whatever is asked, in whatever order: the history is a chain, the record is its last row, and the invariants of every stage hold.
    #[test]
    fn any_sequence_of_moves_leaves_a_chain(
        steps in prop::collection::vec((0..7_usize, prop::option::of(-5..110_i32), -1..100_i64), 0..30)
    ) {
        let pipeline = pipeline();
        let mut opportunity = lead(Some("1234.56"));
        let mut clock = noon(1);
        let mut chain = vec![("lead".to_owned(), 10)];
        for (stage, probability, minutes) in steps {
            clock += TimeDelta::minutes(minutes);
            let before = opportunity.clone();
            let stage = &pipeline.stages[stage];
            let step = Step { probability, ..Step::default() };
            let moment = Moment { at: clock, ..at(1) };
            match advance(&mut opportunity, &pipeline, stage, step, 2, &moment) {
                Err(_) => prop_assert_eq!(&opportunity, &before),
                Ok(Outcome::Unchanged) => prop_assert_eq!(&opportunity, &before),
                Ok(Outcome::Adjusted) => {
                    prop_assert_eq!(&before.stage_key, &opportunity.stage_key);
                    chain.last_mut().unwrap().1 = opportunity.probability;
                }
                Ok(Outcome::Moved(moved)) => {
                    prop_assert_eq!(&moved.from.unwrap().0, &chain.last().unwrap().0);
                    prop_assert!(moved.changed_at > before.stage_entered_at);
                    prop_assert_eq!(moved.changed_at, opportunity.stage_entered_at);
                    chain.push((moved.to.0, moved.probability));
                }
            }
            prop_assert!(opportunity.version == before.version || opportunity.version == before.version + 1);
            let (stage, probability) = chain.last().unwrap();
            prop_assert_eq!(stage, &opportunity.stage_key);
            prop_assert_eq!(*probability, opportunity.probability);
            match opportunity.status {
                Kind::Open => prop_assert!(opportunity.actual_close_date.is_none() && (0..=100).contains(&opportunity.probability)),
                Kind::Won => prop_assert!(opportunity.actual_close_date.is_some() && opportunity.probability == 100),
                Kind::Lost => prop_assert!(opportunity.actual_close_date.is_some() && opportunity.probability == 0),
            }
        }
    }
}

#[test]
fn one_that_follows_its_owner_changes_team_version_and_time_alone() {
    let before = lead(None);
    let after = follow(&before, Some(8), noon(2));
    let expected = Opportunity {
        team_id: Some(8),
        version: before.version + 1,
        updated_at: noon(2),
        ..before.clone()
    };
    assert_eq!(after, expected);
    // A clock that was set back does not set the record back.
    assert_eq!(follow(&after, None, noon(1)).updated_at, noon(2));
}
