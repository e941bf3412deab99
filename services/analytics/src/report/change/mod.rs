//! How the open pipeline changed between two days or instants, adding up to the cent, and the opportunities behind each term.

pub mod model;
mod store;

use auth::Caller;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use rpc::{Error, Invalid};

use crate::State;
use crate::ask::{Ask, Ground, prepare};
use crate::page;
use crate::rollup::day;
use model::{Behind, Lens, Page, PipelineChanges, Rates, Term};

/// How many days are looked at where no first one is named.
const WEEK: Days = Days::new(7);

/// What is compared, as it comes from outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Between<'a> {
    /// The first end: a whole day, as it stood when it was over, or an instant. A week before the other where absent.
    pub from: Option<&'a str>,
    /// The last end, likewise. Today where absent.
    pub to: Option<&'a str>,
    /// Of those expected to close on this day or later.
    pub close_from: Option<NaiveDate>,
    /// Of those expected to close on this day or earlier.
    pub close_to: Option<NaiveDate>,
}

/// An end of what is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    /// As it was asked.
    text: String,
    /// What happened before this instant is known at it.
    before: DateTime<Utc>,
    /// By whose rates amounts are worth what they are.
    day: NaiveDate,
}

impl End {
    /// A day that is to come has the rates of today, as what is open is valued everywhere.
    fn at(text: String, before: DateTime<Utc>, zone: Tz, today: NaiveDate) -> Self {
        let last = before.checked_sub_signed(TimeDelta::microseconds(1)).unwrap_or(before);
        Self { text, before, day: day(last, zone).min(today) }
    }

    fn of_day(of: NaiveDate, zone: Tz, today: NaiveDate) -> Self {
        let next = of.succ_opt().unwrap_or(NaiveDate::MAX);
        Self::at(of.to_string(), rpc::start_of(next, zone), zone, today)
    }
}

/// Both ends, with every bad field.
fn ends(
    asked: &Between<'_>,
    zone: Tz,
    today: NaiveDate,
    invalid: &mut Invalid,
) -> Option<(End, End)> {
    let mut read = |field: &str, text: Option<&str>| match text {
        None => Ok(None),
        Some(text) => {
            let (_, before) = rpc::span(invalid, ("", None), (field, Some(text)), zone);
            before.map(|before| Some(End::at(text.to_owned(), before, zone, today))).ok_or(())
        }
    };
    let (from, to) = (read("from", asked.from), read("to", asked.to));
    if asked.close_from.zip(asked.close_to).is_some_and(|(from, to)| from > to) {
        invalid.add("close_to", "before_start", "must not be before close_from");
    }
    let to = to.ok()?.unwrap_or_else(|| End::of_day(today, zone, today));
    let from = from.ok()?.unwrap_or_else(|| {
        End::of_day(to.day.checked_sub_days(WEEK).unwrap_or(NaiveDate::MIN), zone, today)
    });
    if from.before > to.before {
        invalid.add("to", "before_start", "must not be before from");
    }
    Some((from, to))
}

/// What a report stands on.
struct Prepared {
    ground: Ground,
    lens: Lens,
    from: End,
    to: End,
    rates: Rates,
}

async fn prepared(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    asked: &Between<'_>,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Prepared, Error> {
    let settings = state.settings.get()?;
    let ends = ends(asked, settings.zone, day(now, settings.zone), &mut invalid);
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let (from, to) = ends.ok_or_else(|| Error::internal("ends that are neither good nor bad"))?;
    let lens = Lens {
        owner_id: ground.scope.owner_id,
        team_id: ground.scope.team_id,
        pipeline_id: ground.scope.pipeline_id,
        close_from: asked.close_from,
        close_to: asked.close_to,
    };
    let rates = store::rates(&state.reads, &settings.default_currency, from.day, to.day).await?;
    Ok(Prepared { ground, lens, from, to, rates })
}

impl Prepared {
    fn question(&self, before_id: Option<i64>) -> store::Question<'_> {
        store::Question {
            sight: &self.ground.scope.sight,
            lens: &self.lens,
            start: self.from.before,
            end: self.to.before,
            before_id,
        }
    }
}

/// How the open pipeline changed.
pub async fn changes(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    asked: &Between<'_>,
    invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<PipelineChanges, Error> {
    let it = prepared(state, caller, ask, asked, invalid, now).await?;
    let settings = state.settings.get()?;
    let currency = &settings.default_currency;
    let (sums, as_of) = store::sums(&state.reads, &it.question(None), currency, &it.rates).await?;
    Ok(PipelineChanges { from: it.from.text, to: it.to.text, lens: it.lens, sums, as_of })
}

/// Which page of which term.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The name of the term.
    pub term: Option<&'a str>,
    /// How many rows, 1 to 200.
    pub limit: Option<i32>,
    /// Where the page begins.
    pub cursor: Option<&'a str>,
}

/// Exactly the opportunities behind a term, each with what it contributes, the newest first by id.
pub async fn opportunities(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (asked, wanted): (&Between<'_>, &Wanted<'_>),
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Page, Error> {
    let term = wanted.term.and_then(Term::parse);
    match wanted.term {
        None => invalid.add("term", "required", "is required"),
        Some(_) if term.is_none() => {
            let known = Term::ALL.map(Term::as_str).join(", ");
            invalid.add("term", "unknown_value", format!("is none of {known}"));
        }
        Some(_) => {}
    }
    let size = page::size(wanted.limit, &mut invalid);
    let it = prepared(state, caller, ask, asked, invalid, now).await?;
    let term = term.ok_or_else(|| Error::internal("a term that is neither good nor bad"))?;
    let listing = format!("{} {:?} {:?} {:?}", term.as_str(), it.lens, it.from, it.to);
    let page = page::Page::parse(size, wanted.cursor, &listing)?;
    let before_id = page.after.map(|(_, id)| id);
    let mut found = Vec::new();
    let tell = |pair: model::Pair| {
        model::contribute(&pair, &it.lens, &it.rates, |of, value| {
            if of == term {
                found.push((pair.opportunity_id, value));
            }
        });
        found.len() <= page.size
    };
    let question = it.question(before_id);
    let as_of = store::each(&state.reads, &question, term.is_of_steady(), tell).await?;
    let (found, next_cursor) = page.cut(found, |(id, _)| (0, *id));
    let ids: Vec<i64> = found.iter().map(|(id, _)| *id).collect();
    let mut present = store::present(&state.reads, &ids).await?;
    let items = found.into_iter().map(|(opportunity_id, value)| {
        let present = present.remove(&opportunity_id).unwrap_or_default();
        Behind { opportunity_id, value, present }
    });
    Ok(Page { items: items.collect(), next_cursor, as_of })
}

#[cfg(test)]
mod tests {
    use chrono_tz::America::Sao_Paulo;
    use chrono_tz::Asia::Taipei;

    use super::*;
    use crate::report::tests::on;

    fn told(from: Option<&str>, to: Option<&str>, zone: Tz) -> Vec<String> {
        let mut invalid = Invalid::default();
        let asked = Between { from, to, ..Between::default() };
        let ends = ends(&asked, zone, on("2024-03-01"), &mut invalid);
        let Err(Error::Invalid(fields)) = invalid.into_result() else {
            let (from, to) = ends.unwrap();
            return [from, to]
                .map(|it| format!("{} {} {}", it.text, it.before.to_rfc3339(), it.day))
                .to_vec();
        };
        fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    #[test]
    fn a_day_is_as_it_stood_when_it_was_over_and_an_instant_as_it_stood_then() {
        assert_eq!(
            told(None, None, Taipei),
            [
                "2024-02-23 2024-02-23T16:00:00+00:00 2024-02-23",
                "2024-03-01 2024-03-01T16:00:00+00:00 2024-03-01"
            ]
        );
        assert_eq!(
            told(Some("2024-02-29"), Some("2024-12-31"), Taipei),
            [
                "2024-02-29 2024-02-29T16:00:00+00:00 2024-02-29",
                // It is to come: valued as today.
                "2024-12-31 2024-12-31T16:00:00+00:00 2024-03-01"
            ]
        );
        assert_eq!(
            told(Some("2024-02-28T15:59:59Z"), Some("2024-02-28T16:00:00Z"), Taipei),
            [
                "2024-02-28T15:59:59Z 2024-02-28T15:59:59.000001+00:00 2024-02-28",
                "2024-02-28T16:00:00Z 2024-02-28T16:00:00.000001+00:00 2024-02-29"
            ]
        );
        // The day after it had no midnight.
        assert_eq!(
            told(Some("2018-11-03"), Some("2018-11-03"), Sao_Paulo)[0],
            "2018-11-03 2018-11-04T03:00:00+00:00 2018-11-03"
        );
    }

    #[test]
    fn ends_that_are_none_or_in_the_wrong_order_are_bad_fields() {
        assert_eq!(
            told(Some("2024-02-30"), Some("x"), Taipei),
            ["from invalid_date", "to invalid_date"]
        );
        assert_eq!(told(Some("2024-02-02"), Some("2024-02-01"), Taipei), ["to before_start"]);
        assert_eq!(told(Some("2024-03-02"), None, Taipei), ["to before_start"]);
    }
}
