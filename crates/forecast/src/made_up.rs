//! Histories that are made up, to test and measure with: what is behind them is known.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Gamma, LogNormal, Normal, Poisson};

use crate::history::{Column, DAY, Deal, History, Move, Place, Seconds, Value};
use crate::logistic::sigmoid;

/// What is behind a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Four stages; owner, source and amount help or hinder, and lost deals linger.
    Guided,
    /// Two stages; whether a deal is won depends on nothing at all.
    Blind,
    /// No stages; many categories, and amounts of which a few are most of it.
    Scattered,
    /// One stage; lost deals are never written down as lost.
    NeverLost,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Guided, Self::Blind, Self::Scattered, Self::NeverLost];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guided => "guided",
            Self::Blind => "blind",
            Self::Scattered => "scattered",
            Self::NeverLost => "never lost",
        }
    }
}

/// A history of about `count` deals in `days` days, the same for the same seed. Nothing of it is later than the last day.
#[must_use]
pub fn make_up(kind: Kind, count: usize, days: usize, seed: u64) -> History {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new(kind, &mut rng);
    let a_day = count as f64 / days as f64;
    let mut history =
        History { stages: world.stages(), columns: world.columns(), ..History::default() };
    for day in 0..days {
        let mean = a_day * gamma(&mut rng, 12.0, 1.0 / 12.0);
        let made = Poisson::new(mean.max(1e-9)).map_or(0.0, |it| it.sample(&mut rng)) as usize;
        for _ in 0..made {
            let at = day as f64 + rng.random::<f64>();
            history.deals.push(world.deal(at, &mut rng));
        }
    }
    let end = days as f64 * DAY;
    history.as_of(end as Seconds)
}

struct World {
    kind: Kind,
    /// By column, what each category does to the log-odds.
    effects: Vec<Vec<f64>>,
}

impl World {
    fn new(kind: Kind, rng: &mut StdRng) -> Self {
        let sizes: &[(usize, f64)] = match kind {
            Kind::Guided => &[(12, 0.45), (4, 0.35)],
            Kind::Blind => &[(30, 0.0), (7, 0.0), (85, 0.0)],
            Kind::Scattered => &[(150, 1.3), (40, 0.8), (12, 0.5)],
            Kind::NeverLost => &[(8, 0.0)],
        };
        let effects = sizes
            .iter()
            .map(|(size, spread)| (0..*size).map(|_| normal(rng, 0.0, *spread)).collect());
        Self { kind, effects: effects.collect() }
    }

    fn stages(&self) -> Vec<String> {
        let count = match self.kind {
            Kind::Guided => 4,
            Kind::Blind => 2,
            Kind::Scattered => 0,
            Kind::NeverLost => 1,
        };
        (1..=count).map(|it| format!("stage {it}")).collect()
    }

    fn columns(&self) -> Vec<Column> {
        let column = |(index, effects): (usize, &Vec<f64>)| Column {
            name: format!("column {index}"),
            categories: (0..effects.len()).map(|it| it.to_string()).collect(),
        };
        self.effects.iter().enumerate().map(column).collect()
    }

    fn deal(&self, at: f64, rng: &mut StdRng) -> Deal {
        let mut effect = 0.0;
        let mut values = Vec::new();
        for effects in &self.effects {
            // The first ones come more often.
            let category = (effects.len() as f64 * rng.random::<f64>().powf(1.6)) as usize;
            effect += effects[category];
            values.push(Value::Category(u32::try_from(category).unwrap_or_default()));
        }
        let spread = if self.kind == Kind::Scattered { 1.9 } else { 1.1 };
        let amount: f64 = LogNormal::new(9.2, spread).map_or(1.0, |it| it.sample(rng));
        let amount = (amount * 100.0).round() / 100.0;
        let large = amount.ln() - 9.2;
        let mut moves = Vec::new();
        let mut to = |place, at: f64| moves.push(Move { to: place, at: (at * DAY) as Seconds });
        let mut now = at;
        match self.kind {
            Kind::Guided => {
                for (stage, (chance, mean)) in
                    (0..).zip([(0.55, 14.0), (0.62, 18.0), (0.66, 24.0), (0.72, 16.0)])
                {
                    to(Place::Stage(stage), now);
                    let chance: f64 = chance;
                    let odds = (chance / (1.0 - chance)).ln() + 0.6 * (effect - 0.18 * large);
                    let goes_on = rng.random_bool(sigmoid(odds));
                    now += gamma(rng, 1.6, mean / 1.6) * if goes_on { 1.0 } else { 1.9 };
                    if !goes_on {
                        to(Place::Lost, now);
                        break;
                    }
                    if stage == 3 {
                        to(Place::Won, now);
                    }
                }
            }
            Kind::Blind => {
                to(Place::Stage(0), now);
                now += gamma(rng, 2.0, 10.0);
                to(Place::Stage(1), now);
                now += if rng.random_bool(0.5) {
                    gamma(rng, 1.2, 10.0)
                } else {
                    gamma(rng, 8.0, 11.0)
                };
                to(if rng.random_bool(0.63) { Place::Won } else { Place::Lost }, now);
            }
            Kind::Scattered => {
                let is_won = rng.random_bool(sigmoid(0.2 + effect - 0.35 * large));
                now += gamma(rng, 1.3, 40.0) * if is_won { 1.0 } else { 1.6 };
                to(if is_won { Place::Won } else { Place::Lost }, now);
            }
            Kind::NeverLost => {
                to(Place::Stage(0), now);
                if rng.random_bool(0.35) {
                    to(Place::Won, now + gamma(rng, 1.5, 30.0));
                }
            }
        }
        let created_at = (at * DAY) as Seconds;
        Deal { created_at, amount: Some(amount), values, moves, ..Deal::default() }
    }
}

fn gamma(rng: &mut StdRng, shape: f64, scale: f64) -> f64 {
    Gamma::new(shape, scale).map_or(1.0, |it| it.sample(rng))
}

fn normal(rng: &mut StdRng, mean: f64, spread: f64) -> f64 {
    Normal::new(mean, spread).map_or(mean, |it| it.sample(rng))
}
