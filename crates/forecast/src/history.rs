//! What is known of deals: when they were made, what they are worth, where they stood when, and how they ended.

use serde::{Deserialize, Serialize};

/// An instant, in seconds since 1970.
pub type Seconds = i64;

/// A day in seconds.
pub const DAY: f64 = 86_400.0;

/// How many days lie between two instants.
#[must_use]
pub fn days(from: Seconds, to: Seconds) -> f64 {
    (to - from) as f64 / DAY
}

/// Deals, and what is known of each by name.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The open stages, in their order.
    pub stages: Vec<String>,
    /// What each of [`Deal::values`] is.
    pub columns: Vec<Column>,
    /// The deals.
    pub deals: Vec<Deal>,
    /// Whether what deals are worth says nothing of how they end, because it is filled in when they do.
    pub ignores_amount: bool,
    /// When quarters begin where the deals are made.
    pub quarters: Quarters,
}

/// When quarters begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarters {
    /// By how many seconds the clocks are ahead of UTC.
    pub ahead: Seconds,
    /// The first month of a year, from 1 to 12.
    pub first_month: u8,
}

impl Default for Quarters {
    /// Those of the calendar, in UTC.
    fn default() -> Self {
        Self { ahead: 0, first_month: 1 }
    }
}

impl Quarters {
    /// Which month of a quarter it is, from nought.
    #[must_use]
    pub fn month(self, at: Seconds) -> u8 {
        // Days to months as in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms": a year begins in March there.
        let day = (at + self.ahead).div_euclid(86_400) + 719_468;
        let of_era = day.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let after_march = (5 * of_year + 2) / 153;
        let month = after_march + 3 - Seconds::from(self.first_month);
        u8::try_from(month.rem_euclid(3)).unwrap_or_default()
    }
}

impl History {
    /// As it was known at an instant: nothing that came later is in it, and a deal's value only if it had been won by then.
    #[must_use]
    pub fn as_of(&self, now: Seconds) -> Self {
        let known = self.deals.iter().filter(|deal| deal.created_at <= now);
        let deals = known.map(|deal| {
            let moves = deal.moves.partition_point(|it| it.at <= now);
            let activities = deal.activities.partition_point(|at| *at <= now);
            let is_won = deal.end(now).is_some_and(|end| end.is_won);
            let before = deal.before.partition_point(|it| it.until <= now);
            Deal {
                amount: deal.amount_at(now),
                moves: deal.moves[..moves].to_vec(),
                activities: deal.activities[..activities].to_vec(),
                won_value: deal.won_value.filter(|_| is_won),
                values: deal.values_at(now).to_vec(),
                before: deal.before[..before].to_vec(),
                created_at: deal.created_at,
                written_at: deal.written_at,
                is_brought_in: deal.is_brought_in,
                is_left_out: deal.is_left_out_at(now),
            }
        });
        let deals = deals.collect();
        let (stages, columns) = (self.stages.clone(), self.columns.clone());
        let Self { ignores_amount, quarters, .. } = *self;
        Self { stages, columns, deals, ignores_amount, quarters }
    }
}

/// Something known of every deal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What categories there are, by number; none where it is a number.
    pub categories: Vec<String>,
}

/// What is known of a deal in a column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Missing,
    /// One of the column's categories.
    Category(u32),
    /// A number.
    Number(f64),
}

/// A deal.
#[derive(Clone, Debug, Default)]
pub struct Deal {
    /// When it was made.
    pub created_at: Seconds,
    /// When it was written down, where that was only after it had ended: when it was made is not known then, and nobody saw it open.
    pub written_at: Option<Seconds>,
    /// Whether it was written down together with so many others that it was not then that they came ([`crate::brought_in`]).
    pub is_brought_in: bool,
    /// Whether no forecast counts it while it is like that: it has no date or no value.
    pub is_left_out: bool,
    /// What it is worth, if that is known.
    pub amount: Option<f64>,
    /// What it was won for, where that is other than the amount.
    pub won_value: Option<f64>,
    /// What else is known of it.
    pub values: Vec<Value>,
    /// Where it came to, in the order of time.
    pub moves: Vec<Move>,
    /// When somebody did something about it, in the order of time.
    pub activities: Vec<Seconds>,
    /// What was known before it changed, in the order of time.
    pub before: Vec<Before>,
}

/// What was known of a deal until it changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Before {
    /// When it changed.
    pub until: Seconds,
    /// Whether no forecast counted it then.
    pub is_left_out: bool,
    /// What it was worth.
    pub amount: Option<f64>,
    /// What else was known of it.
    pub values: Vec<Value>,
}

/// A deal came somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where to.
    pub to: Place,
    /// When.
    pub at: Seconds,
}

/// Where a deal may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an open stage, by number.
    Stage(u16),
    /// Won.
    Won,
    /// Lost.
    Lost,
}

/// An open deal at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its stage, if it is in one.
    pub stage: Option<u16>,
    /// Since when it has been there.
    pub since: Seconds,
    /// How many moves it has made since it came into its first stage.
    pub moves: usize,
}

/// How a deal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Won, or else lost.
    pub is_won: bool,
    /// When.
    pub at: Seconds,
}

impl Deal {
    /// How it stood at an instant; none where it was not there yet or had ended.
    #[must_use]
    pub fn standing(&self, at: Seconds) -> Option<Standing> {
        if self.created_at > at {
            return None;
        }
        let moves = self.moves.partition_point(|it| it.at <= at);
        let Some(last) = moves.checked_sub(1).map(|index| self.moves[index]) else {
            return Some(Standing { stage: None, since: self.created_at, moves });
        };
        // The first is where it was made.
        let moves = moves - 1;
        match last.to {
            Place::Stage(stage) => Some(Standing { stage: Some(stage), since: last.at, moves }),
            Place::Won | Place::Lost => None,
        }
    }

    /// How it had ended by an instant; none where it was open then.
    #[must_use]
    pub fn end(&self, by: Seconds) -> Option<End> {
        let moves = self.moves.partition_point(|it| it.at <= by);
        let last = self.moves[..moves].last()?;
        match last.to {
            Place::Stage(_) => None,
            place => Some(End { is_won: place == Place::Won, at: last.at }),
        }
    }

    /// When somebody wrote it down.
    #[must_use]
    pub fn written(&self) -> Seconds {
        self.written_at.unwrap_or(self.created_at)
    }

    /// For how many days it lived, if it had ended by an instant. Of one that had ended when it was written down, or within the hour in which much was brought in, nobody knows.
    #[must_use]
    pub fn life(&self, by: Seconds) -> Option<f64> {
        const HOUR: Seconds = 3_600;
        let end = self.end(by)?;
        let is_unknown =
            self.written_at.is_some() || (self.is_brought_in && end.at - self.created_at <= HOUR);
        (!is_unknown).then(|| days(self.created_at, end.at))
    }

    fn before(&self, at: Seconds) -> Option<&Before> {
        self.before.get(self.before.partition_point(|it| it.until <= at))
    }

    /// What it was worth at an instant.
    #[must_use]
    pub fn amount_at(&self, at: Seconds) -> Option<f64> {
        self.before(at).map_or(self.amount, |before| before.amount)
    }

    /// Whether no forecast counted it at an instant.
    #[must_use]
    pub fn is_left_out_at(&self, at: Seconds) -> bool {
        self.before(at).map_or(self.is_left_out, |before| before.is_left_out)
    }

    /// What else was known of it at an instant.
    #[must_use]
    pub fn values_at(&self, at: Seconds) -> &[Value] {
        self.before(at).map_or(&self.values, |before| &before.values)
    }

    /// What it was won for, or would be.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.won_value.or(self.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deal_is_where_it_last_came_to() {
        let to = |place, at| Move { to: place, at };
        let deal = Deal {
            created_at: 10,
            moves: vec![to(Place::Stage(0), 10), to(Place::Lost, 20), to(Place::Stage(1), 30)],
            ..Deal::default()
        };
        assert_eq!(deal.standing(9), None);
        let first = Standing { stage: Some(0), since: 10, moves: 0 };
        assert_eq!(deal.standing(19), Some(first));
        assert_eq!((deal.standing(20), deal.end(29)), (None, Some(End { is_won: false, at: 20 })));
        let reopened = Standing { stage: Some(1), since: 30, moves: 2 };
        assert_eq!((deal.standing(30), deal.end(30)), (Some(reopened), None));
        let bare = Deal { created_at: 5, ..Deal::default() };
        assert_eq!((bare.amount_at(6), bare.values_at(6)), (None, &[][..]));
        assert_eq!(bare.standing(6), Some(Standing { stage: None, since: 5, moves: 0 }));
    }

    #[test]
    fn quarters_begin_where_the_year_does_and_days_where_the_deals_are_made() {
        // 2024-11-30 20:00 in UTC, which is the 1st of December in Taipei.
        let at = 1_732_996_800;
        for (ahead, first_month, month) in
            [(0, 1, 1), (8 * 3_600, 1, 2), (8 * 3_600, 3, 0), (0, 2, 0), (0, 12, 2), (0, 4, 1)]
        {
            assert_eq!(Quarters { ahead, first_month }.month(at), month, "{ahead} {first_month}");
        }
        let day = DAY as Seconds;
        let months: Vec<u8> =
            (0..12).map(|it| Quarters::default().month(it * 30 * day + 15 * day)).collect();
        assert_eq!(months, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn what_was_known_at_an_instant_is_what_had_not_changed_by_then() {
        let before = |until, amount, owner| Before {
            until,
            is_left_out: owner == 1,
            amount: Some(amount),
            values: vec![Value::Category(owner)],
        };
        let deal = Deal {
            amount: Some(30.0),
            values: vec![Value::Category(3)],
            before: vec![before(10, 10.0, 1), before(20, 20.0, 2)],
            ..Deal::default()
        };
        for (at, amount, owner) in [(9, 10.0, 1), (10, 20.0, 2), (19, 20.0, 2), (20, 30.0, 3)] {
            assert_eq!(deal.amount_at(at), Some(amount));
            assert_eq!(deal.values_at(at), [Value::Category(owner)]);
            assert_eq!(deal.is_left_out_at(at), owner == 1);
            let history = History { deals: vec![deal.clone()], ..History::default() };
            let then = &history.as_of(at).deals[0];
            assert_eq!((then.amount, &then.values[..]), (Some(amount), deal.values_at(at)));
            assert_eq!(then.is_left_out, owner == 1);
            assert_eq!(then.before.len(), usize::try_from(owner).unwrap() - 1);
        }
    }
}
