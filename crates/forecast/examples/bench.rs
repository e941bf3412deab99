//! `make bench-forecast`: how good the forecast is on histories whose truth is known, beside forecasts that anybody could make, and how long it takes.

#![expect(clippy::print_stdout, reason = "the answer")]

use std::time::Instant;

use forecast::answer::{answer, even_ladder};
use forecast::backtest::{Record, backtest, fit};
use forecast::history::{History, Seconds};
use forecast::learned::Learned;
use forecast::made_up::{Kind, make_up};
use forecast::measure::{Told, calibration_error, coverage, log_loss, percentage_error, pinball};
use forecast::revenue::Window;

/// How many histories of each kind.
const SEEDS: u64 = 6;
/// How long each is, in days.
const DAYS: i64 = 1_095;
/// How many deals each has.
const DEALS: usize = 4_000;
/// A quarter, in days.
const QUARTER: i64 = 91;

fn day(day: i64) -> Seconds {
    day * 86_400
}

fn main() {
    println!(
        "{SEEDS} histories of {DEALS} deals in {DAYS} days of each kind; every quarter from the second year on is forecast as it begins.\n"
    );
    println!(
        "| history | who | log loss | ÷ constant | ÷ stage rate | calibration error | error of the quarter | ÷ stage-weighted | pinball | P10 to P90 holds |"
    );
    println!("|--|--|--:|--:|--:|--:|--:|--:|--:|--:|");
    for kind in Kind::ALL {
        let mut records: Vec<Record> = Vec::new();
        for seed in 1..=SEEDS {
            let history = make_up(kind, DEALS, usize::try_from(DAYS).unwrap_or_default(), seed);
            let windows = (4..DAYS / QUARTER)
                .map(|it| Window { from: day(it * QUARTER), to: day((it + 1) * QUARTER) });
            let windows = fit(&history, &windows.collect::<Vec<_>>(), day(DAYS));
            let tested = backtest(&history, &windows, day(DAYS), seed);
            if records.is_empty() {
                records = tested.records.to_vec();
                continue;
            }
            for (all, more) in records.iter_mut().zip(tested.records) {
                all.outcomes.extend(more.outcomes);
                all.in_window.extend(more.in_window);
                all.revenue.extend(more.revenue);
            }
        }
        table(kind, &records);
    }
    println!();
    speed(100_000, 0);
    speed(1_000_000, 1);
}

fn table(kind: Kind, records: &[Record]) {
    let loss = |index: usize| log_loss(&records[index].outcomes);
    let error = |told: &[Told]| percentage_error(told);
    for (index, it) in records.iter().enumerate() {
        let mut cells = vec![kind.name().to_owned(), it.name.to_owned()];
        if it.outcomes.is_empty() {
            cells.extend([""; 4].map(str::to_owned));
        } else {
            cells.push(format!("{:.4}", loss(index)));
            cells.push(format!("{:.3}", loss(index) / loss(1)));
            cells.push(format!("{:.3}", loss(index) / loss(2)));
            cells.push(format!("{:.3}", calibration_error(&it.outcomes)));
        }
        if it.revenue.is_empty() {
            cells.extend([""; 4].map(str::to_owned));
        } else {
            cells.push(format!("{:.3}", error(&it.revenue)));
            cells.push(format!("{:.3}", error(&it.revenue) / error(&records[3].revenue)));
            cells.push(format!("{:.3}", pinball(&it.revenue)));
            let is_range = it.revenue[0].percentiles[0] < it.revenue[0].percentiles[2];
            cells.push(if is_range {
                format!("{:.0} %", 100.0 * coverage(&it.revenue))
            } else {
                String::new()
            });
        }
        println!("| {} |", cells.join(" | "));
    }
}

/// How long it takes to learn from that many deals, and to forecast all that are open.
fn speed(count: usize, seed: u64) {
    let history: History = make_up(Kind::Guided, count, 1_095, seed);
    let (now, ladder) = (day(1_095), even_ladder(4));
    let before = resident();
    let begun = Instant::now();
    let learned = Learned::learn(&history, &ladder, now, 60_000, 1);
    let learning = begun.elapsed();
    let begun = Instant::now();
    let told = answer(history.clone(), &ladder, now, Window { from: now, to: now + day(90) }, 1);
    println!(
        "{} deals, {} won, {} lost, {} open: learned once in {:.1} s, everything in {:.1} s (whom to believe, {} replayed windows, the simulation); memory went from {before} to {} MiB at most",
        history.deals.len(),
        learned.ended.0,
        learned.ended.1,
        told.deals.len(),
        learning.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
        told.revenue.replays.len(),
        peak()
    );
}

/// What this process holds, in MiB.
fn resident() -> u64 {
    status("VmRSS:")
}

/// The most it ever held.
fn peak() -> u64 {
    status("VmHWM:")
}

fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() / 1024
}
