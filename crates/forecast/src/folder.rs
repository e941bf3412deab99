//! A history as a folder of CSV files: `opportunities.csv`, `stage_history.csv` and, where there are any, `activities.csv`.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use csv::{Reader, StringRecord};

use crate::history::{Column, Deal, History, Move, Place, Seconds, Value};

/// How many different numbers a column has to have to be one of numbers.
const NUMBERS: usize = 12;

/// Amounts are less.
const LARGEST: f64 = 1e15;

/// What the stages are called.
#[derive(Clone, Debug)]
pub struct Names {
    /// Of those that win a deal.
    pub won: String,
    /// Of those that lose it.
    pub lost: String,
    /// The open ones in their order; learned where there are none.
    pub stages: Vec<String>,
}

impl Default for Names {
    fn default() -> Self {
        Self { won: "Won".into(), lost: "Lost".into(), stages: Vec::new() }
    }
}

/// A history that was read, with the name of each deal.
#[derive(Clone, Debug)]
pub struct Folder {
    /// What each deal is called.
    pub ids: Vec<String>,
    /// The deals.
    pub history: History,
}

/// Reads a folder of which nothing may be later than an instant.
pub fn read(folder: &Path, names: &Names, as_of: Option<Seconds>) -> Result<Folder> {
    let (ids, mut history) = deals(&folder.join("opportunities.csv"), as_of)?;
    let places: HashMap<&str, usize> =
        ids.iter().enumerate().map(|(index, id)| (id.as_str(), index)).collect();
    moves(&folder.join("stage_history.csv"), names, as_of, &places, &mut history)?;
    let path = folder.join("activities.csv");
    if path.exists() {
        activities(&path, as_of, &places, &mut history)?;
    }
    Ok(Folder { ids, history })
}

/// Reads an instant: a day (its first second), a day with a time, or RFC 3339; without a zone it is UTC.
pub fn instant(text: &str) -> Result<Seconds> {
    let text = text.trim();
    if let Ok(it) = DateTime::parse_from_rfc3339(text) {
        return Ok(it.timestamp());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(it) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(it.and_utc().timestamp());
        }
    }
    if let Ok(it) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z") {
        return Ok(it.timestamp());
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| anyhow!("{text:?} is no instant (YYYY-MM-DD HH:MM:SS)"))?;
    Ok(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp())
}

/// The same for the end of something: a day is its last second.
pub fn end(text: &str) -> Result<Seconds> {
    let is_day = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").is_ok();
    Ok(instant(text)? + if is_day { 86_399 } else { 0 })
}

/// A file, row by row, with the places of its columns.
struct Sheet {
    name: String,
    headers: Vec<String>,
    reader: Reader<File>,
}

impl Sheet {
    fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut reader = Reader::from_path(path).with_context(|| format!("opening {name}"))?;
        let headers = reader.headers().with_context(|| format!("reading {name}"))?;
        let headers = headers.iter().map(|it| it.trim_start_matches('\u{feff}').to_owned());
        Ok(Self { name, headers: headers.collect(), reader })
    }

    fn column(&self, header: &str) -> Result<usize> {
        let found = self.headers.iter().position(|it| it == header);
        found.with_context(|| format!("{} has no column {header}", self.name))
    }

    /// Calls for every row, and says where it was if that fails.
    fn rows(mut self, mut row: impl FnMut(&StringRecord) -> Result<()>) -> Result<()> {
        let mut record = StringRecord::new();
        loop {
            let line = self.reader.position().line();
            let read = self.reader.read_record(&mut record);
            if !read.with_context(|| format!("{} line {line}", self.name))? {
                return Ok(());
            }
            let line = record.position().map_or(line, csv::Position::line);
            row(&record).with_context(|| format!("{} line {line}", self.name))?;
        }
    }
}

fn cell(record: &StringRecord, column: usize) -> &str {
    record.get(column).unwrap_or_default()
}

fn until(text: &str, as_of: Option<Seconds>) -> Result<Seconds> {
    let at = instant(text)?;
    ensure!(as_of.is_none_or(|as_of| at <= as_of), "{text} is later than the forecast is made");
    Ok(at)
}

/// An amount, if there is one.
fn amount(text: &str) -> Result<Option<f64>> {
    let text = text.trim();
    if is_nothing(text) {
        return Ok(None);
    }
    let amount: f64 = text.parse().map_err(|_| anyhow!("{text:?} is no amount"))?;
    ensure!((0.0..LARGEST).contains(&amount), "{text:?} is no amount");
    Ok(Some(amount))
}

fn deals(path: &Path, as_of: Option<Seconds>) -> Result<(Vec<String>, History)> {
    let sheet = Sheet::open(path)?;
    let (id, created) = (sheet.column("opportunity_id")?, sheet.column("created_at")?);
    let worth = sheet.column("amount")?;
    let won_value = sheet.column("won_value").ok();
    let known = [Some(id), Some(created), Some(worth), won_value];
    let others: Vec<usize> =
        (0..sheet.headers.len()).filter(|it| !known.contains(&Some(*it))).collect();
    let names: Vec<String> = others.iter().map(|it| sheet.headers[*it].clone()).collect();
    let mut ids = Vec::new();
    let mut deals = Vec::new();
    let mut said: Vec<Said> = others.iter().map(|_| Said::default()).collect();
    sheet.rows(|record| {
        let deal = Deal {
            created_at: until(cell(record, created), as_of)?,
            amount: amount(cell(record, worth))?,
            won_value: won_value.map_or(Ok(None), |it| amount(cell(record, it)))?,
            values: Vec::with_capacity(others.len()),
            ..Deal::default()
        };
        ids.push(cell(record, id).to_owned());
        deals.push(deal);
        for (said, column) in said.iter_mut().zip(&others) {
            said.push(cell(record, *column))?;
        }
        Ok(())
    })?;
    let mut columns = Vec::new();
    for (name, said) in names.into_iter().zip(said) {
        let (column, values) = said.column(name);
        columns.push(column);
        for (deal, value) in deals.iter_mut().zip(values) {
            deal.values.push(value);
        }
    }
    let mut sorted: Vec<&String> = ids.iter().collect();
    sorted.sort_unstable();
    if let Some([twice, _]) = sorted.windows(2).find(|it| it[0] == it[1]) {
        bail!("opportunities.csv has {twice:?} twice");
    }
    Ok((ids, History { columns, deals, ..History::default() }))
}

/// What a column says, row by row: each text once.
#[derive(Default)]
struct Said {
    places: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
    rows: Vec<Option<u32>>,
}

impl Said {
    fn push(&mut self, text: &str) -> Result<()> {
        let text = text.trim();
        if is_nothing(text) {
            self.rows.push(None);
            return Ok(());
        }
        let place = if let Some(place) = self.places.get(text) {
            *place
        } else {
            let place = u32::try_from(self.texts.len()).context("too many rows")?;
            self.texts.push(text.into());
            self.places.insert(text.into(), place);
            place
        };
        self.rows.push(Some(place));
        Ok(())
    }

    /// Numbers where all that is said are numbers, there are many, and they count something; categories otherwise.
    fn column(self, name: String) -> (Column, Vec<Value>) {
        let number = |text: &str| text.parse::<f64>().ok().filter(|it| it.is_finite());
        let numbers: Option<Vec<f64>> = self.texts.iter().map(|text| number(text)).collect();
        let rows = self.rows.iter().flatten().count();
        let numbers = numbers.filter(|it| it.len() >= NUMBERS && !are_names(&name, it, rows));
        let Some(numbers) = numbers else {
            let value = |it: &Option<u32>| it.map_or(Value::Missing, Value::Category);
            let values = self.rows.iter().map(value).collect();
            let categories = self.texts.into_iter().map(Into::into).collect();
            return (Column { name, categories }, values);
        };
        let value =
            |it: &Option<u32>| it.map_or(Value::Missing, |it| Value::Number(numbers[it as usize]));
        (Column { name, categories: Vec::new() }, self.rows.iter().map(value).collect())
    }
}

/// What programs write where nothing is known.
fn is_nothing(text: &str) -> bool {
    ["", "nan", "null", "none", "n/a", "na", "nat", "<na>"]
        .iter()
        .any(|nothing| text.eq_ignore_ascii_case(nothing))
}

/// Whether numbers are names of something: whole, and said again and again, or called so.
fn are_names(name: &str, numbers: &[f64], rows: usize) -> bool {
    const MOST: usize = 200;
    const OFTEN: usize = 20;
    let name = name.to_ascii_lowercase();
    let is_called_so = name == "id" || name.ends_with("_id") || name.ends_with(" id");
    let are_whole = numbers.iter().all(|it| it.fract() == 0.0);
    let are_said_often = numbers.len() <= MOST && rows / numbers.len() >= OFTEN;
    let owners = ["owner", "source", "product", "type", "account"];
    are_whole && (is_called_so || (are_said_often && owners.contains(&name.as_str())))
}

fn moves(
    path: &Path,
    names: &Names,
    as_of: Option<Seconds>,
    places: &HashMap<&str, usize>,
    history: &mut History,
) -> Result<()> {
    let sheet = Sheet::open(path)?;
    let (id, stage) = (sheet.column("opportunity_id")?, sheet.column("stage")?);
    let entered = sheet.column("entered_at")?;
    let mut stages = names.stages.clone();
    let mut numbers: HashMap<String, u16> = stages.iter().cloned().zip(0..).collect();
    sheet.rows(|record| {
        let deal = *places.get(cell(record, id)).context("no such opportunity")?;
        let at = until(cell(record, entered), as_of)?;
        let name = cell(record, stage).trim();
        let to = if name.eq_ignore_ascii_case(&names.won) {
            Place::Won
        } else if name.eq_ignore_ascii_case(&names.lost) {
            Place::Lost
        } else if let Some(number) = numbers.get(name) {
            Place::Stage(*number)
        } else {
            ensure!(names.stages.is_empty(), "{name:?} is none of the stages");
            let number = u16::try_from(stages.len()).context("too many stages")?;
            stages.push(name.to_owned());
            numbers.insert(name.to_owned(), number);
            Place::Stage(number)
        };
        history.deals[deal].moves.push(Move { to, at });
        Ok(())
    })?;
    for deal in &mut history.deals {
        // At the same second an end comes last.
        deal.moves.sort_by_key(|it| (it.at, !matches!(it.to, Place::Stage(_))));
    }
    history.stages = stages;
    if names.stages.is_empty() {
        order(history);
    }
    Ok(())
}

/// Puts the stages into the order in which most deals went through them.
fn order(history: &mut History) {
    let count = history.stages.len();
    let mut before = vec![vec![0_i64; count]; count];
    for deal in &history.deals {
        let mut seen: Vec<usize> = Vec::new();
        for it in &deal.moves {
            if let Place::Stage(stage) = it.to {
                let stage = usize::from(stage);
                if !seen.contains(&stage) {
                    for earlier in &seen {
                        before[*earlier][stage] += 1;
                    }
                    seen.push(stage);
                }
            }
        }
    }
    let score = |stage: &usize| -> i64 {
        (0..count).map(|other| (before[*stage][other] - before[other][*stage]).signum()).sum()
    };
    let mut ordered: Vec<usize> = (0..count).collect();
    ordered.sort_by_key(|stage| -score(stage));
    let mut number_of = vec![0_u16; count];
    for (number, stage) in (0_u16..).zip(&ordered) {
        number_of[*stage] = number;
    }
    history.stages = ordered.iter().map(|stage| history.stages[*stage].clone()).collect();
    for deal in &mut history.deals {
        for it in &mut deal.moves {
            if let Place::Stage(stage) = &mut it.to {
                *stage = number_of[usize::from(*stage)];
            }
        }
    }
}

fn activities(
    path: &Path,
    as_of: Option<Seconds>,
    places: &HashMap<&str, usize>,
    history: &mut History,
) -> Result<()> {
    let sheet = Sheet::open(path)?;
    let (id, at) = (sheet.column("opportunity_id")?, sheet.column("at")?);
    sheet.rows(|record| {
        let deal = *places.get(cell(record, id)).context("no such opportunity")?;
        history.deals[deal].activities.push(until(cell(record, at), as_of)?);
        Ok(())
    })?;
    for deal in &mut history.deals {
        deal.activities.sort_unstable();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_other_programs_write_them() {
        for text in [
            "1970-01-02",
            "1970-01-02 00:00:00",
            "1970-01-02T00:00:00.5",
            "1970-01-02T08:00:00+08:00",
        ] {
            assert_eq!(instant(text).unwrap(), 86_400, "{text}");
        }
        assert!(instant("yesterday").is_err());
    }

    #[test]
    fn a_column_of_many_numbers_is_one_of_numbers_and_few_or_names_are_categories() {
        let read = |name: &str, texts: &mut dyn Iterator<Item = String>| {
            let mut said = Said::default();
            for text in texts {
                said.push(&text).unwrap();
            }
            said.column(name.to_owned())
        };
        let few = ["1", "2", "", "1"].map(str::to_owned);
        let (column, values) = read("x", &mut few.into_iter());
        assert_eq!(column.categories, ["1", "2"]);
        assert_eq!(values[2..], [Value::Missing, Value::Category(0)]);
        let mut many = (0..20).map(|it| it.to_string()).chain(["NaN".to_owned()]);
        let (column, values) = read("seats", &mut many);
        assert!(column.categories.is_empty());
        assert_eq!(values[3], Value::Number(3.0));
        assert_eq!(values[20], Value::Missing);
        let (column, _) = read("owner_id", &mut (0..20).map(|it| it.to_string()));
        assert_eq!(column.categories.len(), 20);
        let (column, _) = read("owner", &mut (0..400).map(|it| (it % 20).to_string()));
        assert_eq!(column.categories.len(), 20);
    }

    #[test]
    fn the_end_of_a_day_is_its_last_second() {
        assert_eq!(end("1970-01-01").unwrap(), 86_399);
        assert_eq!(end("1970-01-01 10:00:00").unwrap(), 36_000);
        assert!(amount("1e300").is_err() && amount("-1").is_err());
        assert_eq!(amount(" NaN ").unwrap(), None);
    }
}
