//! The results as Markdown, for `bench/RESULTS.md` and for whoever waits for them.

use std::fmt::Write as _;

use crate::guesses::{ADDRESSES, Guesses, READERS, TRIES};
use crate::lag::Lag;
use crate::matrix::{Cell, Plan, Row};
use crate::usage::Memory;
use crate::verify::Verify;

/// Of a machine that was quiet while it was measured, others took no more of the processors than this.
const QUIET: f64 = 0.05;

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    /// The day.
    pub(crate) day: String,
    /// The machine.
    pub(crate) machine: String,
    /// The share of its processor time that others took meanwhile, 0 to 1.
    pub(crate) others: f64,
    /// The commit.
    pub(crate) commit: String,
    /// The command that did it.
    pub(crate) command: String,
    /// PostgreSQL's version.
    pub(crate) postgres: String,
    /// How many opportunities.
    pub(crate) count: u64,
    /// How it was measured.
    pub(crate) plan: Plan,
    /// The programs' names, the product's first.
    pub(crate) programs: Vec<&'static str>,
    /// Every request with every number of connections.
    pub(crate) rows: Vec<Row>,
    /// From an acknowledged write to the read model, on the idle product.
    pub(crate) idle: Lag,
    /// The same while others write.
    pub(crate) busy: Lag,
    /// Reads while an account is being guessed at.
    pub(crate) guesses: Guesses,
    /// What a service pays for verifying a token.
    pub(crate) verify: Verify,
    /// Of each program and each of its processes: idle, and after all the load.
    pub(crate) memory: Vec<(&'static str, String, Memory, Memory)>,
}

impl Report {
    /// As Markdown.
    pub(crate) fn text(&self) -> String {
        let mut out = self.head();
        self.lag(&mut out);
        for connections in &self.plan.connections {
            self.speed(&mut out, *connections);
        }
        self.processor(&mut out);
        self.signing_in(&mut out);
        self.memory(&mut out);
        out
    }

    fn signing_in(&self, out: &mut String) {
        let Guesses { checked, took, without, with, ratio } = self.guesses;
        let Verify { bytes, first, again } = self.verify;
        let _ = writeln!(
            out,
            "## Signing in\n\n\
             {TRIES} wrong sign-ins on one account from {ADDRESSES} addresses at once took {took:.0} ms; {checked} at most were checked against a password, the others refused. Meanwhile\n\
             {READERS} other connections read one opportunity after the other: p99 {with:.2} ms instead of {without:.2} ms, {ratio:.2} ×.\n\n\
             An access token of {bytes} bytes costs a service {first:.1} µs the first time and {again:.2} µs from then on, on one thread and among a thousand others.\n",
            first = first / 1_000.0,
            again = again / 1_000.0,
        );
    }

    fn head(&self) -> String {
        let Self { day, machine, commit, command, postgres, count, plan, .. } = self;
        let others = match self.programs.get(2) {
            None => "*bare* is",
            Some(_) => {
                "*FastAPI* is a tuned FastAPI + SQLAlchemy + asyncpg with two workers, *bare* is"
            }
        };
        format!(
            "# Measured\n\n\
             {day}, commit {commit}, `{command}`: {count} opportunities, each load {span} s after a fifth of that to warm up, {rounds} rounds.\n\
             Machine: {machine}; PostgreSQL {postgres} that syncs every commit, NATS, the programs and the load all on it. Others took {theirs:.0} % of its processor time\n\
             meanwhile{verdict}.\n\n\
             Only ratios mean something elsewhere. The programs are asked in turn within every round; a figure is the median of the rounds, a ratio the median of\n\
             the rounds' ratios. {others} a gateway and a gRPC service with the same messages, rows and kind of SQL, and nothing else: no token, no validation, no\n\
             idempotency, no events sent, no indexes but those that these requests need. Reads come first, at exactly {count} opportunities; creates come last.\n\
             An answer that is no success, or not what was asked for, ends the measuring.\n\n",
            theirs = self.others * 100.0,
            verdict = if self.others > QUIET {
                ", which is too much: the figures are not to be relied on"
            } else {
                ""
            },
            span = plan.span.as_secs_f32(),
            rounds = plan.rounds,
        )
    }

    fn lag(&self, out: &mut String) {
        out.push_str(
            "## From an acknowledged write to the read model\n\n\
             After each write's answer the overview is asked for until it shows the write, one try after the other: stage moves on the idle product, then\n\
             creates while 100 stage moves a second are made. An overview's own time is part of it.\n\n\
             | the product | tries | p50 ms | p99 ms | longest ms |",
        );
        line(out, 5);
        for (what, lag) in [("idle", &self.idle), ("100 writes a second", &self.busy)] {
            let Lag { tries, p50, p99, longest } = lag;
            let _ = writeln!(out, "| {what} | {tries} | {p50:.1} | {p99:.1} | {longest:.1} |");
        }
        out.push('\n');
    }

    fn speed(&self, out: &mut String, connections: usize) {
        let of_all = if connections == 1 { "connection" } else { "connections" };
        let _ = write!(out, "## {connections} {of_all}\n\n| request | bytes |");
        for name in &self.programs {
            let _ = write!(out, " {name}: answers/s | p50 ms | p99 ms |");
        }
        for name in &self.programs[1..] {
            let _ = write!(out, " answers/s ÷ {name} | p99 ÷ {name} |");
        }
        line(out, 2 + self.programs.len() * 3 + (self.programs.len() - 1) * 2);
        for row in self.rows.iter().filter(|row| row.connections == connections) {
            let bytes = (0..self.programs.len()).map(|program| {
                row.median(program).map_or_else(|| "–".to_owned(), |it| format!("{:.0}", it.bytes))
            });
            let bytes = bytes.collect::<Vec<_>>().join(" / ");
            let _ = write!(out, "| {} | {bytes} |", row.request.name());
            for program in 0..self.programs.len() {
                let _ = match row.median(program) {
                    None => write!(out, " – | – | – |"),
                    Some(Cell { rate, p50, p99, .. }) => {
                        write!(out, " {rate:.0} | {p50:.2} | {p99:.2} |")
                    }
                };
            }
            for program in 1..self.programs.len() {
                let ratios =
                    [row.ratio(program, |cell| cell.rate), row.ratio(program, |cell| cell.p99)];
                for ratio in ratios {
                    let _ = write!(out, " {} |", ratio_text(ratio));
                }
            }
            out.push('\n');
        }
        out.push('\n');
    }

    fn processor(&self, out: &mut String) {
        out.push_str(
            "## Processor time of an answer\n\n\
             Microseconds of the program's own processes + of PostgreSQL and NATS. A write's are counted until every service has applied its event.\n\n\
             | request | connections |",
        );
        for name in &self.programs {
            let _ = write!(out, " {name} |");
        }
        for name in &self.programs[1..] {
            let _ = write!(out, " ÷ {name} |");
        }
        line(out, 2 + self.programs.len() * 2 - 1);
        for row in &self.rows {
            let _ = write!(out, "| {} | {} |", row.request.name(), row.connections);
            for program in 0..self.programs.len() {
                let _ = match row.median(program) {
                    None => write!(out, " – |"),
                    Some(cell) => write!(out, " {:.0} + {:.0} |", cell.own, cell.servers),
                };
            }
            for program in 1..self.programs.len() {
                let ratio = row.ratio(program, |cell| cell.own + cell.servers);
                let _ = write!(out, " {} |", ratio_text(ratio));
            }
            out.push('\n');
        }
        out.push('\n');
    }

    fn memory(&self, out: &mut String) {
        out.push_str(
            "## Memory\n\n\
             Resident MiB of each process: idle with its data, after all the load, and the most there ever was.\n\n\
             | program | process | idle | after load | most |",
        );
        line(out, 5);
        for program in &self.programs {
            let mut sums = [0.0; 3];
            for (_, process, idle, loaded) in self.memory.iter().filter(|(it, ..)| it == program) {
                let mebibytes = [idle.resident, loaded.resident, loaded.peak].map(mebibytes);
                let [idle, after, most] = mebibytes;
                let _ =
                    writeln!(out, "| {program} | {process} | {idle:.0} | {after:.0} | {most:.0} |");
                sums.iter_mut().zip(mebibytes).for_each(|(sum, it)| *sum += it);
            }
            let [idle, after, most] = sums;
            let _ = writeln!(
                out,
                "| {program} | **all** | **{idle:.0}** | **{after:.0}** | **{most:.0}** |"
            );
        }
    }
}

/// Ends a table's head: the first column is text.
fn line(out: &mut String, columns: usize) {
    let _ = writeln!(out, "\n|--|{}", "--:|".repeat(columns - 1));
}

fn ratio_text(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some(large) if large >= 10.0 => format!("{large:.0}"),
        Some(small) => format!("{small:.2}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no memory is that large")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::request::Request;

    #[test]
    fn every_row_of_a_table_has_the_columns_of_its_head() {
        let cell = Cell { rate: 2_971.0, p99: 12.5, ..Cell::default() };
        let row = |request, without_rival: bool| Row {
            request,
            connections: 16,
            rounds: vec![vec![cell], vec![cell], if without_rival { vec![] } else { vec![cell] }],
        };
        let memory = Memory { resident: 12 << 20, peak: 40 << 20 };
        let lag = Lag { tries: 1_000, p50: 3.0, p99: 9.0, longest: 12.0 };
        let report = Report {
            day: "22 November 2026".into(),
            machine: "a machine".into(),
            others: 0.02,
            commit: "0123".into(),
            command: "make bench".into(),
            postgres: "15.18".into(),
            count: 10_000,
            plan: Plan { connections: vec![16], span: Duration::from_secs(5), rounds: 1 },
            programs: vec!["product", "bare", "FastAPI"],
            rows: vec![row(Request::List, false), row(Request::One, true)],
            idle: lag,
            busy: lag,
            guesses: Guesses { checked: 9, took: 800.0, without: 1.0, with: 2.0, ratio: 2.0 },
            verify: Verify { bytes: 600, first: 40_000.0, again: 300.0 },
            memory: vec![("product", "gateway".into(), memory, memory)],
        };
        let text = report.text();
        let mut columns = 0;
        for line in text.lines() {
            let found = line.matches('|').count();
            assert!(columns == 0 || found == 0 || found == columns, "{line}\n{text}");
            columns = found;
        }
        assert!(text.contains("| 2971 | 0.00 | 12.50 | 1.00 | 1.00 | 1.00 | 1.00 |"), "{text}");
        assert!(text.contains("| **12** | **12** | **40** |"), "{text}");
    }
}
