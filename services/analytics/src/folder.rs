//! Forecasting from a folder of files, with the same code as the running service and without a database: what is there to judge it by.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime};
use forecast::answer::{answer, even_ladder};
use forecast::backtest::{Record, backtest, fit};
use forecast::folder::{Folder, Names, end, read};
use forecast::history::{History, Seconds};
use forecast::measure;
use forecast::revenue::Window;

use crate::config::{BacktestArguments, Every, FolderArguments, ForecastArguments};

/// Learns from a folder what was known at an instant, and writes down what that foretells: `win.csv` with every open deal, `revenue.csv` with the window.
pub fn forecast(arguments: &ForecastArguments) -> Result<()> {
    let (as_of, until) = (end(&arguments.as_of)?, end(&arguments.until)?);
    ensure!(until > as_of, "--until is not later than --as-of");
    let Folder { ids, history } = open(&arguments.folder, Some(as_of))?;
    let ladder = even_ladder(history.stages.len());
    let window = Window { from: as_of, to: until };
    let told = answer(history, &ladder, as_of, window, arguments.folder.seed);
    let mut win = "cutoff,opportunity_id,win_probability,win_probability_horizon\n".to_owned();
    for deal in &told.deals {
        let id = quoted(&ids[deal.deal]);
        let (at_last, by_then) = (deal.win_probability, deal.win_probability_in_window);
        writeln!(win, "{},{id},{at_last:.6},{by_then:.6}", arguments.as_of)?;
    }
    let [p10, p50, p90] = told.revenue.percentiles;
    let revenue = format!("cutoff,p10,p50,p90\n{},{p10:.2},{p50:.2},{p90:.2}\n", arguments.as_of);
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("making {}", arguments.out.display()))?;
    write(&arguments.out.join("win.csv"), &win)?;
    write(&arguments.out.join("revenue.csv"), &revenue)?;
    let (won, lost) = told.learned.ended;
    say(&format!(
        "{} open deals; learned from {won} won and {lost} lost ones; model: {}\nP10 {p10:.2}  P50 {p50:.2}  P90 {p90:.2}",
        told.deals.len(),
        told.choice.voice.name()
    ));
    Ok(())
}

/// Forecasts a folder again and again from what was known then, and tells how good that was, beside forecasts that anybody could make.
pub fn back_test(arguments: &BacktestArguments) -> Result<()> {
    let Folder { history, .. } = open(&arguments.folder, None)?;
    let (first, last) = span(&history).context("there is no deal")?;
    let windows = fit(&history, &windows(first, last, arguments.every), last);
    ensure!(
        !windows.is_empty(),
        "too little has happened: a window has to end before the last event and begin when 20 deals had ended"
    );
    let tested = backtest(&history, &windows, last, arguments.folder.seed);
    let mut text = String::new();
    writeln!(
        text,
        "made at     model      open          P10          P50          P90       actual"
    )?;
    for round in &tested.rounds {
        let [p10, p50, p90] = round.revenue.percentiles;
        writeln!(
            text,
            "{:<11} {:<9} {:>5} {p10:>12.0} {p50:>12.0} {p90:>12.0} {:>12.0}",
            day(round.window.from),
            round.voice.name(),
            round.open,
            round.revenue.actual
        )?;
    }
    writeln!(
        text,
        "\n{} windows        log loss    AUC    ECE   log loss in window    MAPE    bias  pinball  P10-P90 holds",
        tested.rounds.len()
    )?;
    for record in &tested.records {
        writeln!(text, "{}", line(record))?;
    }
    say(text.trim_end());
    Ok(())
}

fn line(it: &Record) -> String {
    let mut text = format!("{:<18}", it.name);
    if it.outcomes.is_empty() {
        text += &" ".repeat(46);
    } else {
        let _ = write!(
            text,
            "{:>9.4} {:>6.3} {:>6.3} {:>20.4} ",
            measure::log_loss(&it.outcomes),
            measure::area(&it.outcomes),
            measure::calibration_error(&it.outcomes),
            measure::log_loss(&it.in_window)
        );
    }
    if !it.revenue.is_empty() {
        let told = &it.revenue;
        let _ = write!(
            text,
            "{:>7.3} {:>+7.3} {:>8.3}",
            measure::percentage_error(told),
            measure::bias(told),
            measure::pinball(told)
        );
        if told.iter().any(|it| it.percentiles[0] < it.percentiles[2]) {
            let _ = write!(text, " {:>13.0} %", 100.0 * measure::coverage(told));
        }
    }
    text
}

fn open(arguments: &FolderArguments, as_of: Option<Seconds>) -> Result<Folder> {
    let names = Names {
        won: arguments.won.clone(),
        lost: arguments.lost.clone(),
        stages: arguments.stages.clone(),
    };
    read(&arguments.history, &names, as_of)
}

/// The first and the last event.
fn span(history: &History) -> Option<(Seconds, Seconds)> {
    let events = history.deals.iter().flat_map(|deal| {
        let moves = deal.moves.iter().map(|it| it.at);
        moves.chain([deal.created_at]).chain(deal.activities.iter().copied())
    });
    let (first, last) = events
        .fold((Seconds::MAX, Seconds::MIN), |(first, last), at| (first.min(at), last.max(at)));
    (first <= last).then_some((first, last))
}

/// Whole weeks, months or quarters, as far as they lie between two instants; each is forecast as it begins.
fn windows(first: Seconds, last: Seconds, every: Every) -> Vec<Window> {
    let Some(mut day) = DateTime::from_timestamp(first, 0).map(|it| it.date_naive()) else {
        return Vec::new();
    };
    day = match every {
        Every::Week => day - Days::new(u64::from(day.weekday().num_days_from_monday())),
        Every::Month => day.with_day(1).unwrap_or(day),
        Every::Quarter => {
            let month = day.month0() / 3 * 3 + 1;
            NaiveDate::from_ymd_opt(day.year(), month, 1).unwrap_or(day)
        }
    };
    let next = |day: NaiveDate| match every {
        Every::Week => day + Days::new(7),
        Every::Month => day + Months::new(1),
        Every::Quarter => day + Months::new(3),
    };
    // The last second of the day before belongs to what is known.
    let instant = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp() - 1;
    let mut found = Vec::new();
    loop {
        let window = Window { from: instant(day), to: instant(next(day)) };
        if window.to > last {
            return found;
        }
        found.push(window);
        day = next(day);
    }
}

/// The day that begins after an instant.
fn day(at: Seconds) -> String {
    let day = DateTime::from_timestamp(at + 1, 0).unwrap_or_default();
    day.format("%Y-%m-%d").to_string()
}

fn quoted(id: &str) -> String {
    if id.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", id.replace('"', "\"\""))
    } else {
        id.to_owned()
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use forecast::folder::instant;
    use forecast::history::{Place, Value};
    use forecast::made_up::{Kind, make_up};

    use super::*;

    /// A folder with a history that is made up.
    fn folder(history: &History, name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let stamp = |at: Seconds| DateTime::from_timestamp(at, 0).unwrap().to_rfc3339();
        let mut deals = "opportunity_id,created_at,amount,owner,source\n".to_owned();
        let mut moves = "opportunity_id,stage,entered_at\n".to_owned();
        for (id, deal) in history.deals.iter().enumerate() {
            let said = deal.values.iter().map(|it| match it {
                Value::Category(category) => format!(",c{category}"),
                _ => ",".to_owned(),
            });
            let amount = deal.amount.map(|it| it.to_string()).unwrap_or_default();
            let said: String = said.collect();
            writeln!(deals, "\"D,{id}\",{},{amount}{said}", stamp(deal.created_at)).unwrap();
            for it in &deal.moves {
                let stage = match it.to {
                    Place::Stage(stage) => history.stages[usize::from(stage)].as_str(),
                    Place::Won => "Won",
                    Place::Lost => "Lost",
                };
                writeln!(moves, "\"D,{id}\",{stage},{}", stamp(it.at)).unwrap();
            }
        }
        fs::write(folder.join("opportunities.csv"), deals).unwrap();
        fs::write(folder.join("stage_history.csv"), moves).unwrap();
        folder
    }

    fn arguments(folder: &Path, as_of: &str, out: &str) -> ForecastArguments {
        let out = folder.join(out);
        let folder = FolderArguments {
            history: folder.to_owned(),
            won: "Won".into(),
            lost: "Lost".into(),
            stages: Vec::new(),
            seed: 1,
        };
        ForecastArguments { folder, as_of: as_of.into(), until: "1971-09-01".into(), out }
    }

    #[test]
    fn a_folder_is_forecast_alike_each_time_and_nothing_later_is_let_in() {
        let history = make_up(Kind::Guided, 400, 500, 4);
        let folder = folder(&history, "forecast");
        let ask = |as_of, out| super::forecast(&arguments(&folder, as_of, out));
        ask("1971-05-16 00:00:00", "one").unwrap();
        ask("1971-05-16 00:00:00", "other").unwrap();
        let read = |file| fs::read_to_string(folder.join(file)).unwrap();
        let win = read("one/win.csv");
        assert_eq!(
            (&win, read("one/revenue.csv")),
            (&read("other/win.csv"), read("other/revenue.csv"))
        );
        let end = instant("1971-05-16").unwrap();
        let open = history.deals.iter().filter(|deal| deal.standing(end).is_some()).count();
        assert_eq!(win.lines().count(), open + 1);
        assert!(win.lines().nth(1).unwrap().starts_with("1971-05-16 00:00:00,\"D,"));
        let refused = format!("{:#}", ask("1971-05-01", "none").unwrap_err());
        assert!(refused.contains("is later than the forecast is made"), "{refused}");
        assert!(!folder.join("none").exists());
        let tested =
            BacktestArguments { folder: arguments(&folder, "", "").folder, every: Every::Month };
        back_test(&tested).unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn windows_are_whole_and_end_before_the_last_event() {
        let at = |text| instant(text).unwrap();
        let found = windows(at("2024-01-17"), at("2024-04-30 23:59:59"), Every::Month);
        let days: Vec<_> = found.iter().map(|it| day(it.from)).collect();
        assert_eq!(days, ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]);
        let found = windows(at("2024-05-17"), at("2025-01-01"), Every::Quarter);
        assert_eq!(found.len(), 3);
        assert_eq!(
            day(windows(at("2024-02-29"), at("2024-03-15"), Every::Week)[0].from),
            "2024-02-26"
        );
    }
}
