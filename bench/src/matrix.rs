//! Every request to every program, the programs in turn, round after round.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::load::{self, Load};
use crate::programs::{Product, Program};
use crate::request::Request;
use crate::usage::{self, Tree};

/// What is measured how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many connections, one after the other.
    pub(crate) connections: Vec<usize>,
    /// How long each load lasts.
    pub(crate) span: Duration,
    /// How often each is repeated.
    pub(crate) rounds: usize,
}

/// One load on one program, or the median of several.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    /// Answers a second.
    pub(crate) rate: f64,
    /// In milliseconds.
    pub(crate) p50: f64,
    /// In milliseconds.
    pub(crate) p99: f64,
    /// Bytes of an answer.
    pub(crate) bytes: f64,
    /// Processor time of the program's processes for an answer, in microseconds; of a write until every service has it.
    pub(crate) own: f64,
    /// The same of PostgreSQL and NATS.
    pub(crate) servers: f64,
}

/// One request with so many connections.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Which.
    pub(crate) request: Request,
    /// With how many connections.
    pub(crate) connections: usize,
    /// For each program the rounds; none where it lacks the request.
    pub(crate) rounds: Vec<Vec<Cell>>,
}

impl Row {
    /// The median of a program's rounds, each number by itself.
    pub(crate) fn median(&self, program: usize) -> Option<Cell> {
        let rounds = self.rounds.get(program).filter(|rounds| !rounds.is_empty())?;
        let of = |number: fn(&Cell) -> f64| median(rounds.iter().map(number));
        Some(Cell {
            rate: of(|cell| cell.rate),
            p50: of(|cell| cell.p50),
            p99: of(|cell| cell.p99),
            bytes: of(|cell| cell.bytes),
            own: of(|cell| cell.own),
            servers: of(|cell| cell.servers),
        })
    }

    /// The median over the rounds of a number of the first program divided by that of another, each pair of one round.
    pub(crate) fn ratio(&self, other: usize, number: fn(&Cell) -> f64) -> Option<f64> {
        let others = self.rounds.get(other).filter(|rounds| !rounds.is_empty())?;
        let pairs = self.rounds.first()?.iter().zip(others);
        Some(median(pairs.map(|(ours, theirs)| number(ours) / number(theirs))))
    }
}

/// The middle one of some numbers, or the mean of the two in the middle.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(numbers[middle - 1], numbers[middle]),
        _ => numbers[middle],
    }
}

/// Measures all of it. The product is the first of the programs.
pub(crate) async fn run(
    plan: &Plan,
    product: &Product,
    programs: &[Program],
    servers: &[Tree],
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for request in Request::ALL {
        for &connections in &plan.connections {
            let mut rounds = vec![Vec::new(); programs.len()];
            for _ in 0..plan.rounds {
                for (program, rounds) in programs.iter().zip(&mut rounds) {
                    if program.has(request) {
                        let cell = measure(plan, product, program, servers, request, connections);
                        let what = || format!("{}, {}", program.name, request.name());
                        rounds.push(cell.await.with_context(what)?);
                    }
                }
            }
            let row = Row { request, connections, rounds };
            tell(&row, programs);
            rows.push(row);
        }
    }
    Ok(rows)
}

async fn measure(
    plan: &Plan,
    product: &Product,
    program: &Program,
    servers: &[Tree],
    request: Request,
    connections: usize,
) -> Result<Cell> {
    let before = [&program.processes, servers].map(usage::processor_time);
    let load = load::run(&program.target, request, connections, plan.span).await?;
    if request.is_write() {
        // What a write sets off belongs to it, and must not run beside the next program.
        product.settle().await?;
    }
    let after = [&program.processes, servers].map(usage::processor_time);
    let [own, shared] =
        [0, 1].map(|which| per_answer(after[which].saturating_sub(before[which]), &load));
    Ok(Cell {
        rate: load.rate(),
        p50: load.within(0.5),
        p99: load.within(0.99),
        bytes: load.answer_bytes(),
        own,
        servers: shared,
    })
}

/// Microseconds for each answer.
#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
fn per_answer(time: Duration, load: &Load) -> f64 {
    time.as_secs_f64() * 1e6 / load.answers.max(1) as f64
}

fn tell(row: &Row, programs: &[Program]) {
    let said = programs.iter().enumerate().filter_map(|(index, program)| {
        let Cell { rate, p50, p99, .. } = row.median(index)?;
        Some(format!("{} {rate:.0}/s p50 {p50:.2} p99 {p99:.2} ms", program.name))
    });
    let said = said.collect::<Vec<_>>().join("; ");
    local::say(format_args!("{}, {} at once: {said}", row.request.name(), row.connections));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_pairs_and_medians_of_the_middle() {
        let cell = |rate| Cell { rate, ..Cell::default() };
        let ours = vec![cell(1.0), cell(4.0), cell(9.0)];
        let theirs = vec![cell(2.0), cell(2.0), cell(2.0)];
        let row =
            Row { request: Request::List, connections: 1, rounds: vec![ours, theirs, Vec::new()] };
        let is = |found: Option<f64>, expected: f64| {
            found.is_some_and(|it| it.total_cmp(&expected).is_eq())
        };
        assert!(is(row.ratio(1, |cell| cell.rate), 2.0));
        assert!(is(row.median(0).map(|cell| cell.rate), 4.0));
        assert!(row.ratio(2, |cell| cell.rate).is_none());
        assert!(is(Some(median([1.0, 2.0].into_iter())), 1.5));
    }
}
