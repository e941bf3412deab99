//! Every number of every report opens to as many opportunities, whose values add up to it.

use std::collections::BTreeSet;

use analytics::ask::Ask;
use analytics::period::Asked;
use analytics::range::Range;
use analytics::report::opened::model::{Opened, Wanted};
use analytics::report::{self, advanced, opened};
use chrono::NaiveDate;
use money::Money;
use rand::Rng as _;
use rpc::{Error, Invalid};

use super::{ADMIN, Question, book};
use crate::support::{AMY, BOB, Deal, World, at, caller, everything, now, on};

/// How many histories each of the four worlds has: 2,000 in all.
const HISTORIES: i64 = 500;

/// Who opens what.
struct Opener<'a> {
    world: &'a World,
    ask: Ask,
    /// How many a page has.
    limit: i32,
}

impl Opener<'_> {
    /// All pages.
    async fn all(&self, report: &str, wanted: &Wanted<'_>, ask: &Ask) -> Vec<Opened> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = (Some(self.limit), cursor.as_deref());
            let (state, by) = (&self.world.state, caller(ADMIN));
            let asked = Invalid::default();
            let listed =
                opened::opportunities(state, &by, ask, (report, wanted), page, asked, now()).await;
            let listed = listed.unwrap_or_else(|error| panic!("{report} {wanted:?}: {error:?}"));
            all.extend(listed.items);
            cursor = listed.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let ids: BTreeSet<_> = all.iter().map(|it| it.opportunity_id).collect();
        assert_eq!(ids.len(), all.len(), "one comes twice");
        let order = |it: &Opened| (it.created_at, it.opportunity_id);
        assert!(all.is_sorted_by(|a, b| order(a) > order(b)));
        all
    }

    async fn count(&self, report: &str, wanted: Wanted<'_>, expected: i64) {
        let found = self.all(report, &wanted, &self.ask).await;
        let found = i64::try_from(found.len()).unwrap();
        assert_eq!(found, expected, "{report} {wanted:?} {:?}", self.ask);
    }

    async fn sum(&self, report: &str, wanted: Wanted<'_>, expected: (i64, Money)) {
        self.sum_of(report, wanted, expected, &self.ask).await;
    }

    async fn sum_of(&self, report: &str, wanted: Wanted<'_>, expected: (i64, Money), ask: &Ask) {
        let all = self.all(report, &wanted, ask).await;
        let value = all.iter().filter_map(|it| it.value).fold(Money::ZERO, |sum, it| sum + it);
        let found = (i64::try_from(all.len()).unwrap(), value);
        assert_eq!(found, expected, "{report} {wanted:?} {ask:?}");
    }
}

fn of(term: &str) -> Wanted<'_> {
    Wanted { term: Some(term), ..Wanted::default() }
}

fn span(start: NaiveDate, end: NaiveDate) -> Range {
    Range { start: Some(start), end: Some(end) }
}

#[tokio::test]
async fn the_numbers_of_advanced_reports_open_to_as_many_that_add_up_to_them() {
    for seed in 10..12 {
        let (world, book, mut random) = book::written(seed, HISTORIES).await;
        for _ in 0..3 {
            let Question { ask, range, .. } = Question::any(&book, &mut random);
            let opener = Opener { world: &world, ask, limit: random.random_range(50..=200) };
            opener.velocity(range).await;
            opener.loss_reasons(range).await;
            opener.stage_durations(range).await;
            opener.cohorts(range).await;
        }
    }
}

#[tokio::test]
async fn the_numbers_of_every_day_open_to_as_many_that_add_up_to_them() {
    for seed in 12..14 {
        let (world, book, mut random) = book::written(seed, HISTORIES).await;
        for _ in 0..3 {
            let Question { ask, range, .. } = Question::any(&book, &mut random);
            let opener = Opener { world: &world, ask, limit: random.random_range(50..=200) };
            opener.conversion(range).await;
            opener.trend().await;
            opener.performance().await;
        }
    }
}

impl Opener<'_> {
    async fn velocity(&self, range: Range) {
        let asked = Invalid::default();
        let (state, by) = (&self.world.state, caller(ADMIN));
        let it = advanced::velocity(state, &by, &self.ask, range, asked, now()).await.unwrap();
        let won = (it.won_count, it.won_value);
        self.sum("velocity", Wanted { range, ..of("won") }, won).await;
        self.count("velocity", Wanted { range, ..of("lost") }, it.lost_count).await;
        self.count("velocity", Wanted { range, ..Wanted::default() }, it.closed_count()).await;
    }

    async fn loss_reasons(&self, range: Range) {
        let asked = Invalid::default();
        let (state, by) = (&self.world.state, caller(ADMIN));
        let it = advanced::loss_reasons(state, &by, &self.ask, range, asked, now()).await.unwrap();
        let all = Wanted { range, ..Wanted::default() };
        self.sum("loss-reasons", all, (it.count, it.value)).await;
        for row in &it.items {
            let lost_reason = Some(row.lost_reason.as_deref().unwrap_or_default());
            let all = Wanted { lost_reason, ..all };
            self.sum("loss-reasons", all, (row.count, row.value)).await;
            for part in &row.by_stage {
                let key = part.stage.as_ref().map_or("", |stage| &stage.key);
                let pipeline_id = part.stage.as_ref().map(|stage| stage.pipeline_id);
                let ask =
                    Ask { pipeline_id: pipeline_id.or(self.ask.pipeline_id), ..self.ask.clone() };
                let wanted = Wanted { stage_key: Some(key), ..all };
                self.sum_of("loss-reasons", wanted, (part.count, part.value), &ask).await;
            }
        }
    }

    async fn stage_durations(&self, range: Range) {
        let asked = Invalid::default();
        let (state, by) = (&self.world.state, caller(ADMIN));
        let it = advanced::stage_durations(state, &by, &self.ask, range, asked, now());
        for row in &it.await.unwrap().items {
            let ask = Ask { pipeline_id: Some(row.pipeline_id), ..self.ask.clone() };
            for (term, count) in
                [("entered", row.ended + row.open), ("ended", row.ended), ("open", row.open)]
            {
                let wanted = Wanted { range, stage: Some(&row.stage), ..of(term) };
                let found = self.all("stage-duration", &wanted, &ask).await;
                assert_eq!(i64::try_from(found.len()).unwrap(), count, "{term} {row:?} {ask:?}");
            }
        }
    }

    async fn cohorts(&self, range: Range) {
        let asked = (Some("quarterly"), Some(3));
        let (state, by) = (&self.world.state, caller(ADMIN));
        let invalid = Invalid::default();
        let it = advanced::cohorts(state, &by, &self.ask, asked, range, invalid, now()).await;
        for row in &it.unwrap().items {
            let whole = Wanted {
                range,
                asked: Asked { period: Some(&row.period.label), ..Asked::default() },
                until: Some(row.until),
                ..Wanted::default()
            };
            self.sum("cohorts", whole, row.created).await;
            self.sum("cohorts", Wanted { term: Some("won"), ..whole }, row.won).await;
            self.sum("cohorts", Wanted { term: Some("lost"), ..whole }, row.lost).await;
            let days = span(row.period.span.start, row.period.span.end);
            let open = Wanted { range: days, until: Some(row.until), ..of("open") };
            self.sum("cohorts", open, row.open()).await;
            if row.until == book::day(now()) {
                let now = Wanted { range: days, ..of("open") };
                self.sum("cohorts", now, row.open()).await;
            }
        }
    }

    async fn conversion(&self, range: Range) {
        let days = (range.start, range.end);
        let (state, by) = (&self.world.state, caller(ADMIN));
        let asked = Invalid::default();
        let it = report::conversion(state, &by, &self.ask, days, asked, now()).await.unwrap();
        for row in &it.items {
            let wanted = Wanted { range, stage_key: Some(&row.stage_key), ..Wanted::default() };
            for (term, count) in [
                ("entered", row.entered),
                ("advanced", row.advanced),
                ("lost", row.lost),
                ("in_progress", row.in_progress),
            ] {
                self.count("conversion-rate", Wanted { term: Some(term), ..wanted }, count).await;
            }
        }
        let ask = &self.ask;
        let won = self.all("conversion-rate", &Wanted { range, ..of("advanced") }, ask).await.len();
        let lost = self.all("conversion-rate", &Wanted { range, ..of("lost") }, ask).await.len();
        let closed = f64::from(u32::try_from(won + lost).unwrap());
        let rate = it.win_rate.unwrap_or(0.0) * closed;
        assert!((rate - f64::from(u32::try_from(won).unwrap())).abs() < 0.01, "{won} {lost}");
    }

    async fn trend(&self) {
        for (period, year) in [("monthly", 2025), ("quarterly", 2024)] {
            let asked = (Some(period), Some(year));
            let (state, by) = (&self.world.state, caller(ADMIN));
            let it = report::trend(state, &by, &self.ask, asked, now()).await.unwrap();
            let mut won = 0;
            for row in &it.items {
                let label = Asked { period: Some(&row.period.label), ..Asked::default() };
                let whole = Wanted { asked: label, ..Wanted::default() };
                self.sum("sales-trend", whole, (row.won_count, row.won_value)).await;
                let lost = Wanted { term: Some("lost"), ..whole };
                self.count("sales-trend", lost, row.lost_count).await;
                let range = span(row.period.span.start, row.period.span.end);
                let created = (row.created_count, row.created_value);
                self.sum("sales-trend", Wanted { range, ..of("created") }, created).await;
                won += row.won_count;
            }
            let all = Asked { period: Some(period), year: Some(year), ..Asked::default() };
            self.count("sales-trend", Wanted { asked: all, ..of("won") }, won).await;
        }
    }

    async fn performance(&self) {
        let asked =
            Asked { period: Some("quarter"), year: Some(2025), quarter: Some(3), month: None };
        let (state, by) = (&self.world.state, caller(ADMIN));
        let it = report::performance(state, &by, &self.ask, &asked, now()).await.unwrap();
        let label = Asked { period: Some(&it.period.label), ..Asked::default() };
        for row in &it.items {
            let ask = Ask { owner_id: Some(row.owner_id), ..self.ask.clone() };
            for asked in [asked, label] {
                let whole = Wanted { asked, ..Wanted::default() };
                let won = (row.won_count, row.won_value);
                self.sum_of("sales-performance", whole, won, &ask).await;
                let open = (row.open_count, row.open_pipeline_value);
                let wanted = Wanted { term: Some("open"), ..whole };
                self.sum_of("sales-performance", wanted, open, &ask).await;
                let wanted = Wanted { term: Some("lost"), ..whole };
                let lost = self.all("sales-performance", &wanted, &ask).await;
                assert_eq!(i64::try_from(lost.len()).unwrap(), row.lost_count);
            }
        }
    }
}

#[tokio::test]
async fn nobody_opens_what_they_may_not_see() {
    let mut world = World::create("owner").await;
    for (id, owner_id) in [(1, AMY), (2, BOB)] {
        let (mut deal, mut events) = Deal::begin(id, owner_id, Some(5), "2025-10-01T01:00:00Z");
        events.push(deal.move_to("won", at("2025-10-03T01:00:00Z")));
        world.tell(events).await;
    }
    let state = &world.state;
    for (user_id, expected) in [(AMY, vec![1]), (BOB, vec![2]), (ADMIN, vec![2, 1])] {
        for (report, wanted) in [
            ("velocity", Wanted::default()),
            ("cohorts", Wanted::default()),
            ("conversion-rate", Wanted { stage: Some("LEAD"), ..Wanted::default() }),
        ] {
            let by = caller(user_id);
            let number = (report, &wanted);
            let (ask, asked) = (everything(), Invalid::default());
            let it =
                opened::opportunities(state, &by, &ask, number, (None, None), asked, now()).await;
            let it = it.unwrap();
            let ids: Vec<_> = it.items.iter().map(|it| it.opportunity_id).collect();
            assert_eq!((ids, it.as_of), (expected.clone(), now()), "{user_id} {report}");
        }
    }
}

async fn refused(
    world: &World,
    report: &str,
    wanted: &Wanted<'_>,
    page: (Option<i32>, Option<&str>),
) -> Error {
    let (by, ask, asked) = (caller(ADMIN), everything(), Invalid::default());
    let number = (report, wanted);
    let it = opened::opportunities(&world.state, &by, &ask, number, page, asked, now()).await;
    it.unwrap_err()
}

#[tokio::test]
async fn a_number_that_there_is_not_is_refused_with_what_is_wrong() {
    let world = World::create("everyone").await;
    let anything = Wanted::default();
    let it = refused(&world, "pipeline", &anything, (None, None)).await;
    assert!(matches!(it, Error::NotFound { .. }), "{it:?}");
    for cursor in ["", "x", "1", "1.x", "9223372036854775807.1", "1.2.3"] {
        let it = refused(&world, "velocity", &anything, (None, Some(cursor))).await;
        assert!(matches!(it, Error::Malformed { .. }), "{cursor} {it:?}");
    }
    let told = async |report: &str, wanted: Wanted<'_>, limit| {
        let it = refused(&world, report, &wanted, (limit, None)).await;
        let Error::Invalid(fields) = it else { panic!("{it:?}") };
        let told = fields.iter().map(|it| format!("{} {}", it.field, it.code));
        told.collect::<Vec<_>>()
    };
    let range = span(on("2025-02-01"), on("2025-01-01"));
    let wanted = Wanted { range, until: Some(on("2025-01-01")), ..of("open") };
    assert_eq!(
        told("velocity", wanted, Some(0)).await,
        [
            "limit out_of_range",
            "until unknown_parameter",
            "end_date before_start",
            "term unknown_value"
        ]
    );
    let wanted = Wanted { stage: Some("nowhere"), stage_key: Some("none"), ..of("entered") };
    assert_eq!(
        told("conversion-rate", wanted, None).await,
        ["stage unknown_stage", "stage_key unknown_stage"]
    );
    let wanted = Wanted { stage_key: Some("a\0"), lost_reason: Some("\0"), ..anything };
    assert_eq!(
        told("loss-reasons", wanted, None).await,
        ["stage_key invalid_character", "lost_reason invalid_character"]
    );
    assert_eq!(told("stage-duration", anything, None).await, ["stage required"]);
    let asked = Asked { period: Some("2025-Q1"), year: Some(2025), ..Asked::default() };
    let wanted = Wanted { asked, ..anything };
    assert_eq!(told("sales-trend", wanted, None).await, ["year not_for_this_period"]);
    let asked = Asked { period: Some("2025-Q9"), ..Asked::default() };
    for report in ["sales-trend", "sales-performance", "cohorts"] {
        let wanted = Wanted { asked, ..anything };
        assert_eq!(told(report, wanted, None).await, ["period unknown_value"], "{report}");
    }
}
