//! The columns of a sheet of opportunities: how each is called, what stands in it, and what it says of one that is brought in.
//!
//! Whoever adds a field to opportunities that files have adds it to [`COLUMNS`], and to [`Entry::edit`] where it can be brought in. The organisation's own fields are in [`own`].

use chrono::{DateTime, NaiveDate, Utc};
use money::{Money, ParseError};
use rpc::Invalid;
use unicode_normalization::UnicodeNormalization;

use super::cell::{Cell, split};
use super::past::{PAST, When};
use super::{lines, own};
use crate::custom_field::model::{CustomFields, Type};
use crate::directory::model::Settings;
use crate::import::model::Kind;
use crate::opportunity::Detail;
use crate::opportunity::draft::Wish;
use crate::opportunity::edit::EditWish;
use crate::opportunity::line_item;
use crate::opportunity::model::day;
use crate::pipeline::category::Category;
use crate::pipeline::model::Pipelines;
use crate::text::fold;

/// A column.
#[derive(Debug)]
pub struct Column {
    /// The field of the API; the header.
    pub name: &'static str,
    /// What else its header may be called, in any case and width.
    pub also: &'static [&'static str],
    /// What stands in it; nothing of what is not taken out.
    read: Option<fn(&Line<'_>) -> Cell>,
    /// What a text in it says of an opportunity that is brought in; nothing of what follows from others.
    pub write: Option<Write>,
}

/// Notes what a text says; whatever is wrong with it, too.
pub type Write = fn(&mut Entry, &mut Invalid, &str);

/// Every column, in order.
pub static COLUMNS: [Column; 41] = [
    told("id", |it| it.detail.opportunity.id.into()),
    both(
        "opportunity_name",
        &["opportunity", "deal", "deal name", "商機", "商機名稱", "機會名稱", "銷售機會"],
        |it| (&*it.detail.opportunity.opportunity_name).into(),
        |entry, _, text| text.trim().clone_into(&mut entry.wish.opportunity_name),
    ),
    told("customer_id", |it| it.detail.opportunity.customer_id.into()),
    both(
        "customer_name",
        &["customer", "company", "account", "account name", "客戶", "客戶名稱", "公司", "公司名稱"],
        |it| (&*it.detail.opportunity.customer_name).into(),
        |entry, _, text| entry.wish.customer_name = Some(text.trim().to_owned()),
    ),
    told("contact_id", |it| it.detail.opportunity.contact_id.into()),
    both(
        "contact_name",
        &["contact", "contact person", "聯絡人", "聯絡人姓名", "聯絡人名稱", "窗口"],
        |it| (&it.detail.contact_name).into(),
        |entry, _, text| entry.wish.contact_name = Some(text.trim().to_owned()),
    ),
    both(
        "contact_email",
        &[
            "email",
            "e-mail",
            "contact e-mail",
            "電子郵件",
            "聯絡人電子郵件",
            "聯絡人 email",
            "信箱",
        ],
        |it| (&it.detail.contact_email).into(),
        |entry, _, text| entry.wish.contact_email = Some(text.trim().to_owned()),
    ),
    both(
        "pipeline_id",
        &["管道編號", "漏斗編號"],
        |it| it.detail.opportunity.pipeline_id.into(),
        |entry, invalid, text| entry.wish.pipeline_id = integer(invalid, "pipeline_id", text),
    ),
    both(
        "stage",
        &["stage_key", "stage name", "階段", "銷售階段", "商機階段"],
        |it| it.stage.into(),
        |entry, _, text| entry.wish.stage = Some(text.trim().to_owned()),
    ),
    told("stage_key", |it| (&*it.detail.opportunity.stage_key).into()),
    told("status", |it| it.detail.opportunity.status.as_str().into()),
    both(
        "amount",
        &["value", "deal value", "金額", "預估金額", "商機金額"],
        |it| it.detail.opportunity.amount.into(),
        |entry, invalid, text| entry.wish.amount = amount(invalid, "amount", text),
    ),
    both(
        "currency",
        &["幣別", "貨幣"],
        |it| (&*it.detail.opportunity.currency).into(),
        |entry, _, text| entry.wish.currency = Some(text.trim().to_owned()),
    ),
    both(
        "probability",
        &["win probability", "probability (%)", "機率", "成交機率", "成功率", "贏率"],
        |it| i64::from(it.detail.opportunity.probability).into(),
        |entry, invalid, text| entry.wish.probability = percent(invalid, "probability", text),
    ),
    told("weighted_value", |it| it.detail.opportunity.weighted_value().into()),
    both(
        "expected_close_date",
        &[
            "close date",
            "expected close",
            "預計成交日",
            "預計成交日期",
            "預計結案日",
            "預計結案日期",
        ],
        |it| it.detail.opportunity.expected_close_date.into(),
        |entry, invalid, text| {
            entry.wish.expected_close_date = date(invalid, "expected_close_date", text);
        },
    ),
    both(
        "actual_close_date",
        &[
            "closed on",
            "actual close",
            "實際成交日",
            "實際成交日期",
            "實際結案日",
            "實際結案日期",
            "成交日期",
        ],
        |it| it.detail.opportunity.actual_close_date.into(),
        |entry, invalid, text| {
            entry.actual_close_date = date(invalid, "actual_close_date", text);
        },
    ),
    told("closed_amount", |it| it.detail.opportunity.closed_amount.into()),
    told("closed_rate", |it| {
        let rate = it.detail.opportunity.closed_rate;
        rate.map_or(Cell::Empty, |rate| Cell::Number(rate.to_string()))
    }),
    both(
        "lost_reason",
        &["loss reason", "失敗原因", "丟單原因"],
        |it| (&it.detail.opportunity.lost_reason).into(),
        |entry, _, text| entry.wish.lost_reason = Some(text.trim().to_owned()),
    ),
    both(
        "owner_id",
        &["負責人編號"],
        |it| it.detail.opportunity.owner_id.into(),
        |entry, invalid, text| entry.wish.owner_id = integer(invalid, "owner_id", text),
    ),
    brought(
        "owner_email",
        &["owner", "owner e-mail", "sales rep", "負責人電子郵件", "負責人 email", "業務電子郵件"],
        |entry, _, text| entry.owner_email = Some(text.trim().to_owned()),
    ),
    told("owner_name", |it| (&*it.detail.owner_name).into()),
    told("team_id", |it| it.detail.opportunity.team_id.into()),
    both(
        "products",
        &["product", "產品", "商品", "品項"],
        |it| (&*it.detail.opportunity.products).into(),
        |entry, _, text| entry.wish.products = split(text),
    ),
    both(
        "line_items",
        &["line items", "品項明細", "明細"],
        |it| (&line_item::json(&it.detail.opportunity.line_items)).into(),
        |entry, invalid, text| entry.wish.line_items = lines::read(invalid, text),
    ),
    both(
        "notes",
        &["note", "description", "備註", "說明", "附註"],
        |it| (&it.detail.opportunity.notes).into(),
        |entry, _, text| entry.wish.notes = Some(text.to_owned()),
    ),
    both(
        "source",
        &["lead source", "來源", "商機來源"],
        |it| (&it.detail.opportunity.source).into(),
        |entry, _, text| entry.wish.source = Some(text.trim().to_owned()),
    ),
    both(
        "external_id",
        &["external id", "reference", "外部編號", "外部 id", "外部識別碼"],
        |it| (&it.detail.opportunity.external_id).into(),
        |entry, _, text| entry.wish.external_id = Some(text.trim().to_owned()),
    ),
    both(
        "tags",
        &["tag", "labels", "標籤"],
        |it| (&*it.detail.opportunity.tags).into(),
        |entry, _, text| entry.wish.tags = split(text),
    ),
    both(
        "waiting_until",
        &["snoozed until", "等待至", "暫緩至"],
        |it| it.detail.opportunity.waiting_until.into(),
        |entry, invalid, text| entry.wish.waiting_until = date(invalid, "waiting_until", text),
    ),
    both(
        "forecast_category",
        &["forecast", "預測類別", "預測分類"],
        |it| it.detail.opportunity.forecast_category.map_or("", Category::as_str).into(),
        |entry, invalid, text| entry.wish.forecast_category = category(invalid, text),
    ),
    told("stale", |it| Cell::Flag(it.stale)),
    told("days_in_stage", |it| i64::from(it.days_in_stage).into()),
    told("created_at", |it| Cell::Instant(it.detail.opportunity.created_at)),
    told("updated_at", |it| Cell::Instant(it.detail.opportunity.updated_at)),
    told("version", |it| it.detail.opportunity.version.into()),
    told("next_activity_id", |it| it.detail.next_activity.as_ref().map(|next| next.id).into()),
    told("next_activity_type", |it| {
        it.detail.next_activity.as_ref().map_or("", |next| next.activity_type.as_str()).into()
    }),
    told("next_activity_subject", |it| {
        it.detail.next_activity.as_ref().map_or("", |next| &*next.subject).into()
    }),
    told("next_activity_at", |it| {
        it.detail
            .next_activity
            .as_ref()
            .map_or(Cell::Empty, |next| Cell::Instant(next.scheduled_at))
    }),
];

/// A column that is only told.
const fn told(name: &'static str, read: fn(&Line<'_>) -> Cell) -> Column {
    Column { name, also: &[], read: Some(read), write: None }
}

/// A column that is only brought in.
pub(super) const fn brought(
    name: &'static str,
    also: &'static [&'static str],
    write: Write,
) -> Column {
    Column { name, also, read: None, write: Some(write) }
}

const fn both(
    name: &'static str,
    also: &'static [&'static str],
    read: fn(&Line<'_>) -> Cell,
    write: Write,
) -> Column {
    Column { name, also, read: Some(read), write: Some(write) }
}

/// An opportunity as a row, as of an instant.
pub struct Line<'a> {
    detail: &'a Detail,
    stage: &'a str,
    stale: bool,
    days_in_stage: i32,
}

impl<'a> Line<'a> {
    /// Of an opportunity.
    pub fn of(
        detail: &'a Detail,
        pipelines: &'a Pipelines,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Self {
        let (it, zone) = (&detail.opportunity, settings.zone);
        let today = day(now, zone);
        let stage = pipelines.stage(it.pipeline_id, &it.stage_key);
        Self {
            detail,
            // One that was made a moment ago elsewhere is found by its key, too.
            stage: stage.map_or(&it.stage_key, |stage| &stage.name),
            stale: stage.is_some_and(|stage| it.is_stale(stage, today, zone)),
            days_in_stage: it.days_in_stage(today, zone),
        }
    }

    /// Its cells, one for each column that is taken out.
    pub fn cells(&self, own: &Own) -> impl Iterator<Item = Cell> {
        let values = &self.detail.opportunity.custom_fields;
        let own = own.0.iter().map(|(key, kind)| own::cell(values, key, *kind));
        COLUMNS.iter().filter_map(|column| column.read).map(|read| read(self)).chain(own)
    }
}

/// The organisation's own fields that a file has, after all others: those that there were when it was begun.
pub struct Own(Vec<(String, Type)>);

impl Own {
    /// Those that there are.
    pub fn of(fields: &CustomFields) -> Self {
        Self(fields.living().map(|it| (it.key.clone(), it.kind)).collect())
    }
}

/// The headers of what is taken out.
pub fn headers(own: &Own) -> Vec<String> {
    let columns = COLUMNS.iter().filter(|column| column.read.is_some());
    let own = own.0.iter().map(|(key, _)| own::header(key));
    columns.map(|column| column.name.to_owned()).chain(own).collect()
}

/// The column of a field that can be brought in with rows of a kind.
pub fn named(name: &str, kind: Kind) -> Option<&'static Column> {
    writable(kind).find(|column| column.name == name)
}

/// The columns that can be brought in with rows of a kind.
fn writable(kind: Kind) -> impl Iterator<Item = &'static Column> {
    let past = if kind == Kind::History { &PAST[..] } else { &[] };
    COLUMNS.iter().chain(past).filter(|column| column.write.is_some())
}

/// Whether a column is called so.
type Called = fn(&Column, &str) -> bool;

/// For each header the column that it most likely means: the one of that very name, else one that may be called so and is not taken. Only columns that can be brought in.
pub fn propose(headers: &[String], kind: Kind) -> Vec<Option<&'static Column>> {
    let folded: Vec<_> = headers.iter().map(|header| loose(header)).collect();
    let mut found: Vec<Option<&'static Column>> = vec![None; headers.len()];
    let ways: [Called; 2] = [
        |column, header| loose(column.name) == header,
        |column, header| column.also.iter().any(|also| loose(also) == header),
    ];
    for is_called in ways {
        for (index, header) in folded.iter().enumerate() {
            let column = writable(kind).find(|it| is_called(it, header));
            let is_taken = |it: &Column| found.iter().flatten().any(|taken| taken.name == it.name);
            if found[index].is_none() && column.is_some_and(|it| !is_taken(it)) {
                found[index] = column;
            }
        }
    }
    // One owner is enough.
    if found.iter().flatten().any(|it| it.name == "owner_id") {
        for it in &mut found {
            it.take_if(|it| it.name == "owner_email");
        }
    }
    found
}

/// A header as it is compared: without case and width, and with spaces for what stands between words.
pub(super) fn loose(header: &str) -> String {
    fold(&header.replace(['_', '-'], " "))
}

/// What a row says, as far as it says anything: an empty cell says nothing.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// As a new opportunity.
    pub wish: Wish,
    /// The day it closed.
    pub actual_close_date: Option<NaiveDate>,
    /// Whose it is to be, by address.
    pub owner_email: Option<String>,
    /// When it was made; of history.
    pub created_at: Option<When>,
    /// The stages through which it went, by name or key; of history.
    pub stage_history: Vec<(String, When)>,
}

impl Entry {
    /// As a change of one that is there.
    pub fn edit(&self) -> EditWish {
        fn some<T: Clone>(value: Option<&T>) -> rpc::mask::Wish<T> {
            value.cloned().map(Some)
        }
        fn names(names: &[String]) -> rpc::mask::Wish<Vec<String>> {
            (!names.is_empty()).then(|| Some(names.to_vec()))
        }
        let wish = &self.wish;
        let name = Some(wish.opportunity_name.clone()).filter(|name| !name.is_empty());
        let (lines, own) = (&wish.line_items, &wish.custom_fields);
        EditWish {
            faults: wish.faults.clone(),
            customer_name: some(wish.customer_name.as_ref()),
            customer_id: some(wish.customer_id.as_ref()),
            contact_name: some(wish.contact_name.as_ref()),
            contact_email: some(wish.contact_email.as_ref()),
            opportunity_name: some(name.as_ref()),
            stage: some(wish.stage.as_ref()),
            amount: some(wish.amount.as_ref()),
            probability: some(wish.probability.as_ref()),
            expected_close_date: some(wish.expected_close_date.as_ref()),
            actual_close_date: some(self.actual_close_date.as_ref()),
            lost_reason: some(wish.lost_reason.as_ref()),
            products: names(&wish.products),
            notes: some(wish.notes.as_ref()),
            owner_id: some(wish.owner_id.as_ref()),
            external_id: None,
            currency: some(wish.currency.as_ref()),
            pipeline_id: some(wish.pipeline_id.as_ref()),
            source: some(wish.source.as_ref()),
            tags: names(&wish.tags),
            waiting_until: some(wish.waiting_until.as_ref()),
            forecast_category: some(wish.forecast_category.as_ref()),
            line_items: (!lines.is_empty()).then(|| Some(lines.clone())),
            custom_fields: (!own.is_empty()).then(|| Some(own.clone())),
            move_notes: None,
        }
    }
}

/// A forecast category by its name, with spaces or lines between its words, in any case; another is noted.
fn category(invalid: &mut Invalid, text: &str) -> Option<Category> {
    let named = text.trim().to_lowercase().replace([' ', '-'], "_");
    let category = Category::parse(&named);
    if category.is_none() {
        let message = "is none of commit, best_case, pipeline, omitted";
        invalid.add("forecast_category", "unknown_value", message);
    }
    category
}

/// A number as people write it: of any width, with commas between thousands.
pub(super) fn plain(text: &str) -> Option<String> {
    let text: String = text.nfkc().collect();
    let text = text.trim();
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let whole = whole.trim_start_matches(['-', '+']);
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let is_grouped = groups.all(|group| group.len() == 3) && (first.len() <= 3 || first == whole);
    is_grouped.then(|| text.replacen(whole, &whole.replace(',', ""), 1))
}

fn amount(invalid: &mut Invalid, field: &str, text: &str) -> Option<Money> {
    let parsed = plain(text).ok_or(ParseError::NotANumber).and_then(|text| Money::parse(&text));
    let (code, message) = match parsed {
        Ok(amount) => return Some(amount),
        Err(ParseError::NotANumber) => ("wrong_type", "is not a number such as 1200 or 1,200.50"),
        Err(ParseError::TooManyDecimals) => ("too_many_decimals", "has more than two decimals"),
        Err(ParseError::OutOfRange) => ("out_of_range", "is not between 0 and 9999999999999.99"),
    };
    invalid.add(field, code, message);
    None
}

fn integer<T: TryFrom<i64>>(invalid: &mut Invalid, field: &str, text: &str) -> Option<T> {
    let number = plain(text).and_then(|text| Money::parse(&text).ok());
    let number = number.filter(|it| it.hundredths() % 100 == 0).map(|it| it.hundredths() / 100);
    let number = number.and_then(|it| i64::try_from(it).ok()).and_then(|it| T::try_from(it).ok());
    if number.is_none() {
        invalid.add(field, "wrong_type", "is not a whole number");
    }
    number
}

fn percent(invalid: &mut Invalid, field: &str, text: &str) -> Option<i32> {
    integer(invalid, field, text.trim_end().trim_end_matches(['%', '％']))
}

/// A day: year, month and day, as numbers with `-`, `/` or `.` between them.
pub(super) fn date(invalid: &mut Invalid, field: &str, text: &str) -> Option<NaiveDate> {
    let text: String = text.nfkc().collect();
    let text = text.trim();
    // A time of day after it is of no account where it is midnight: so spreadsheets write days.
    let text = text.split_once([' ', 'T']).map_or(text, |(day, time)| {
        if time.chars().all(|it| "0:.Z".contains(it)) { day } else { text }
    });
    let day = ymd(text);
    if day.is_none() {
        invalid.add(field, "invalid_date", "is not a day as YYYY-MM-DD or YYYY/M/D");
    }
    day
}

/// Year, month and day.
pub(super) fn ymd(text: &str) -> Option<NaiveDate> {
    let parts: Vec<_> = text.split(['-', '/', '.']).collect();
    match parts[..] {
        [year, month, day] if year.len() == 4 && month.len() <= 2 && day.len() <= 2 => {
            match (year.parse(), month.parse(), day.parse()) {
                (Ok(year), Ok(month), Ok(day)) if year > 0 => {
                    NaiveDate::from_ymd_opt(year, month, day)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(headers: &[&str]) -> Vec<Option<&'static str>> {
        let headers: Vec<_> = headers.iter().map(|it| (*it).to_owned()).collect();
        propose(&headers, Kind::Sales).into_iter().map(|it| it.map(|it| it.name)).collect()
    }

    #[test]
    fn headers_are_known_in_both_languages_and_in_any_case_and_width() {
        let found = proposed(&[
            "商機名稱",
            "ＣＵＳＴＯＭＥＲ",
            "Deal Value",
            "預計成交日",
            "Colour",
            "external-id",
        ]);
        let expected = [
            Some("opportunity_name"),
            Some("customer_name"),
            Some("amount"),
            Some("expected_close_date"),
            None,
            Some("external_id"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_field_is_proposed_once_and_what_follows_from_others_never() {
        assert_eq!(
            proposed(&["stage_key", "Stage", "status", "id"]),
            [None, Some("stage"), None, None]
        );
        assert_eq!(proposed(&["stage_key", "customer"]), [Some("stage"), Some("customer_name")]);
        assert_eq!(proposed(&["owner_id", "owner_email"]), [Some("owner_id"), None]);
        let own: Vec<_> = COLUMNS.iter().map(|it| it.name).collect();
        for (name, found) in own.iter().zip(proposed(&own)) {
            let is_brought_in = named(name, Kind::Sales).is_some() && *name != "owner_email";
            assert_eq!(found, is_brought_in.then_some(*name));
        }
    }

    #[test]
    fn only_history_says_when_things_happened() {
        let headers = ["created_at", "階段歷程", "stage"].map(str::to_owned);
        let found = |kind| propose(&headers, kind).into_iter().map(|it| it.map(|it| it.name));
        assert_eq!(found(Kind::Sales).collect::<Vec<_>>(), [None, None, Some("stage")]);
        let expected = [Some("created_at"), Some("stage_history"), Some("stage")];
        assert_eq!(found(Kind::History).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn numbers_and_days_are_read_as_people_write_them() {
        let mut invalid = Invalid::default();
        let it = &mut invalid;
        for (text, hundredths) in
            [("1,234,567.5", 123_456_750), ("１２", 1200), (" 7 ", 700), ("1234.50", 123_450)]
        {
            assert_eq!(
                amount(it, "amount", text),
                Some(Money::from_hundredths(hundredths)),
                "{text}"
            );
        }
        assert_eq!(percent(it, "probability", "30%"), Some(30));
        assert_eq!(percent(it, "probability", "30.0"), Some(30));
        let day = NaiveDate::from_ymd_opt(2026, 1, 5);
        for text in ["2026-01-05", "2026/1/5", "2026.01.05", "2026-01-05 00:00:00"] {
            assert_eq!(date(it, "waiting_until", text), day, "{text}");
        }
        assert!(invalid.is_empty());
        for text in ["1,5", "12,34", "1.234,5", "abc", "1.005"] {
            assert_eq!(amount(&mut invalid, "amount", text), None, "{text}");
        }
        for text in ["5/1/2026", "2026-02-30", "2026-01-05 10:00", "115-01-05"] {
            assert_eq!(date(&mut invalid, "waiting_until", text), None, "{text}");
        }
    }
}
