//! What was won, lost and made in periods, and by whom.

use analytics::period;
use analytics::report;
use analytics::report::opened::model::Wanted;
use chrono::Datelike as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rust_decimal::Decimal;

use super::Asked;
use super::reference::{Life, Sum, number, quotient, share, sum};
use crate::changes::reference::decimal;
use crate::histories::now;
use crate::support::caller;

/// The mean of those that have a value.
fn average(sum: &Sum) -> Option<Decimal> {
    quotient(sum.value, sum.with_value().into(), 2)
}

/// Those that were won, or lost, in a period.
pub(super) fn closed<'a>(
    part: &[&'a Life],
    status: &str,
    is_in: impl Fn(chrono::NaiveDate) -> bool,
) -> Vec<&'a Life> {
    let so = |it: &&&Life| it.is(status) && it.closed_on.is_some_and(&is_in);
    part.iter().filter(so).copied().collect()
}

impl Asked<'_> {
    pub(super) async fn trend(&self, random: &mut StdRng) {
        let cut = ["daily", "weekly", "monthly", "quarterly", "yearly"];
        let cut = *cut.choose(random).unwrap();
        let year = random.random_range(2023..=2025);
        let (question, reference) = (&self.question, self.reference);
        let told = format!("{cut} {year} {question:?}");
        let (state, by) = (&self.world.state, caller(question.by));
        let asked = (Some(cut), Some(year));
        let it = report::trend(state, &by, &question.ask, asked, now()).await.unwrap();
        let periods = reference.periods(cut, year);
        assert_eq!(it.items.len(), periods.len(), "{told}");
        let mut before: Option<Decimal> = None;
        for (row, (label, start, end)) in it.items.iter().zip(&periods) {
            let span = row.period.span;
            assert_eq!((&row.period.label, span.start, span.end), (label, *start, *end));
            let is_in = |day| reference.label(cut, day) == *label;
            let (won, lost) = (closed(&self.part, "won", is_in), closed(&self.part, "lost", is_in));
            let made = self.part.iter().copied().filter(|it| is_in(it.created_on));
            let made: Vec<_> = made.collect();
            let sum_of = |of: &[&Life]| sum(of.iter().copied());
            let (of_won, of_made) = (sum_of(&won), sum_of(&made));
            let lost_count = i64::try_from(lost.len()).unwrap();
            let found = (row.won_count, row.lost_count, row.created_count);
            assert_eq!(found, (of_won.count, lost_count, of_made.count), "{label} {told}");
            let found = (decimal(row.won_value), decimal(row.created_value));
            assert_eq!(found, (of_won.value, of_made.value), "{label} {told}");
            assert_eq!(row.win_rate(), share(of_won.count, lost_count), "{label} {told}");
            assert_eq!(row.average_deal_size().map(decimal), average(&of_won), "{label} {told}");
            let change = before.and_then(|before| number(of_won.value - before, before, 4));
            assert_eq!(row.won_value_change, change, "{label} {told}");
            before = Some(of_won.value);
            self.seen.note("won in a period", of_won.count);
            self.seen.note("made in a period", of_made.count);
            if of_won.count + lost_count + of_made.count == 0 || random.random_bool(0.7) {
                continue;
            }
            let asked = period::Asked { period: Some(label), ..period::Asked::default() };
            for (term, behind) in [("won", won), ("lost", lost), ("created", made)] {
                let wanted = Wanted { term: Some(term), asked, ..Wanted::default() };
                self.opens_to(("sales-trend", &wanted), None, behind.into_iter()).await;
            }
        }
        let in_any = |day| periods.iter().any(|it| it.1 <= day && day <= it.2);
        let counted =
            self.part.iter().copied().filter(|it| {
                in_any(it.created_on) || it.is("won") && it.closed_on.is_some_and(in_any)
            });
        let counted = sum(counted);
        let found = (it.not_covered.without_amount, it.not_covered.without_rate);
        assert_eq!(found, (counted.without_amount, counted.without_rate), "{told}");
    }

    pub(super) async fn performance(&self, random: &mut StdRng) {
        let (question, reference) = (&self.question, self.reference);
        let unit = *["month", "quarter", "year"].choose(random).unwrap();
        let days: Vec<_> = self.part.iter().filter_map(|it| it.closed_on).collect();
        let day = days.choose(random).copied().unwrap_or(reference.today);
        let (year, quarter) = reference.fiscal(day);
        let month = i32::try_from(day.month()).unwrap();
        let asked = period::Asked {
            period: Some(unit),
            year: Some(year),
            quarter: Some(quarter).filter(|_| unit == "quarter"),
            month: Some(month).filter(|_| unit == "month"),
        };
        let (state, by) = (&self.world.state, caller(question.by));
        let it = report::performance(state, &by, &question.ask, &asked, now()).await.unwrap();
        let label = reference.label(unit, day);
        let told = format!("{label} {question:?}");
        assert_eq!(it.period.label, label);
        let is_in = |day| reference.label(unit, day) == label;
        let (won, lost) = (closed(&self.part, "won", is_in), closed(&self.part, "lost", is_in));
        let made = self.part.iter().copied().filter(|it| is_in(it.created_on));
        let made: Vec<_> = made.collect();
        let open: Vec<_> = self.part.iter().copied().filter(|it| it.is("open")).collect();
        let of =
            |all: &[&Life], id: i64| sum(all.iter().copied().filter(|it| it.record.owner_id == id));
        let is_seller = |id: i64| question.sellers().into_iter().any(|(seller, ..)| seller == id);
        let has_row =
            |id: i64| is_seller(id) || [&won, &lost, &made].iter().any(|all| of(all, id).count > 0);
        let people = [(1, "Amy", Some(7)), (2, "Bob", None), (3, "Mei", None)];
        let mut people: Vec<_> = people.into_iter().filter(|it| has_row(it.0)).collect();
        people.sort_by_key(|(id, name, _)| (-of(&won, *id).value, *name));
        assert_eq!(it.items.len(), people.len(), "{told}");
        let mut left_out = (0, 0);
        for (row, (id, name, team_id)) in it.items.iter().zip(&people) {
            assert_eq!(
                (row.owner_id, row.owner_name.as_str(), row.team_id),
                (*id, *name, *team_id)
            );
            let (of_won, of_open) = (of(&won, *id), of(&open, *id));
            let lost_count = of(&lost, *id).count;
            assert_eq!((row.won_count, row.lost_count), (of_won.count, lost_count), "{told}");
            assert_eq!(decimal(row.won_value), of_won.value, "{told}");
            assert_eq!(row.win_rate(), share(of_won.count, lost_count), "{told}");
            assert_eq!(row.average_deal_size().map(decimal), average(&of_won), "{told}");
            let theirs = won.iter().filter(|it| it.record.owner_id == *id);
            let days = theirs.map(|it| (it.closed_on.unwrap() - it.created_on).num_days());
            let days: Decimal = days.map(Decimal::from).sum();
            let days = number(days, of_won.count.into(), 1);
            assert_eq!(row.average_days_to_close(), days, "{told}");
            let found = (row.open_count, decimal(row.open_pipeline_value));
            assert_eq!(found, (of_open.count, of_open.value), "{told}");
            let better = people.iter().filter(|it| of(&won, it.0).value > of_won.value).count();
            assert_eq!(row.rank, i32::try_from(better + 1).unwrap(), "{told}");
            assert_eq!((row.target, row.attainment()), (None, None));
            self.seen.note("won by somebody", of_won.count);
            left_out.0 += of_won.without_amount + of_open.without_amount;
            left_out.1 += of_won.without_rate + of_open.without_rate;
            for (term, all) in [("won", &won), ("lost", &lost), ("open", &open)] {
                let wanted = Wanted { term: Some(term), asked, ..Wanted::default() };
                let theirs = all.iter().copied().filter(|it| it.record.owner_id == *id);
                self.opens_to(("sales-performance", &wanted), Some(*id), theirs).await;
            }
        }
        assert_eq!(
            (it.not_covered.without_amount, it.not_covered.without_rate),
            left_out,
            "{told}"
        );
    }
}
