//! Lists of opportunities: what may be asked, and the pages by key that answer it.

mod read;
mod store;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use money::Money;
use rpc::{Error, Invalid, Span, start_of};
use sqlx::PgPool;

use super::Detail;
use super::search::Query;
use crate::access::model::Sight;
use crate::cursor::Cursor;
use crate::page::{Key, Sort};
use crate::pipeline::category::Category;
use crate::pipeline::model::{Kind, Pipelines, Stage};
use read::Reader;
use store::{Place, Range, Row};

/// What a list may be narrowed to. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In any of these stages, as pipeline id and key; none means any.
    pub stages: Option<Vec<(i64, String)>>,
    /// Any of these.
    pub statuses: Vec<Kind>,
    /// Of this owner.
    pub owner_id: Option<i64>,
    /// Of this team.
    pub team_id: Option<i64>,
    /// Of this customer.
    pub customer_id: Option<i64>,
    /// In this pipeline.
    pub pipeline_id: Option<i64>,
    /// With this product.
    pub product: Option<String>,
    /// With this label.
    pub tag: Option<String>,
    /// From this source.
    pub source: Option<String>,
    /// Lost for this reason.
    pub lost_reason: Option<String>,
    /// At least this.
    pub min_amount: Option<Money>,
    /// At most this.
    pub max_amount: Option<Money>,
    /// Expected to close on these days.
    pub expected_close: (Option<NaiveDate>, Option<NaiveDate>),
    /// Closed on these days.
    pub closed: (Option<NaiveDate>, Option<NaiveDate>),
    /// With these words.
    pub query: Option<Query>,
    /// Of this forecast category.
    pub category: Option<Categorized>,
    /// Whether it has stood in its stage for longer than the stage allows.
    pub stale: Option<Staleness>,
    /// Has come into a stage of one of these keys, within that time.
    pub entered: Option<(Vec<String>, Span)>,
    /// Made from this instant until before that one.
    pub created: Span,
    /// Saying this in the organisation's own fields, each as JSON that a row's contain.
    pub custom_fields: Vec<String>,
    /// Last changed from this instant until before that one.
    pub updated: Span,
}

/// Which opportunities are of a forecast category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Categorized {
    /// What is won or lost.
    Closed,
    /// What is open and says so itself, or stands in a stage that does.
    Open {
        /// The category.
        category: Category,
        /// Each stage that says so, as pipeline id and key.
        stages: Vec<(i64, String)>,
    },
}

impl Categorized {
    /// Of a category of what is open, as the stages say.
    pub fn open(category: Category, pipelines: &Pipelines) -> Self {
        let stages = pipelines.iter().flat_map(|pipeline| {
            let of = pipeline.stages.iter().filter(|it| it.category() == Some(category));
            of.map(|stage| (pipeline.id, stage.key.clone())).collect::<Vec<_>>()
        });
        Self::Open { category, stages: stages.collect() }
    }

    /// The same without what the stages say.
    fn alone(&self) -> Self {
        match self {
            Self::Closed => Self::Closed,
            Self::Open { category, .. } => Self::Open { category: *category, stages: Vec::new() },
        }
    }
}

/// Which opportunities are stale, as of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// Whether these are wanted, or all others.
    pub is_wanted: bool,
    /// The day it is.
    pub today: NaiveDate,
    /// Each stage that has a limit, as pipeline id and key, and before when what is stale in it has come into it.
    pub limits: Vec<(i64, String, DateTime<Utc>)>,
}

impl Staleness {
    /// As the stages say on that day.
    pub fn new(is_wanted: bool, pipelines: &Pipelines, today: NaiveDate, zone: Tz) -> Self {
        let limits = pipelines.iter().flat_map(|pipeline| {
            let limited = |stage: &Stage| {
                let first =
                    today.checked_sub_days(Days::new(u64::try_from(stage.rotting_days?).ok()?))?;
                (stage.kind == Kind::Open)
                    .then(|| (pipeline.id, stage.key.clone(), start_of(first, zone)))
            };
            pipeline.stages.iter().filter_map(limited).collect::<Vec<_>>()
        });
        Self { is_wanted, today, limits: limits.collect() }
    }
}

static KEYS: [Key; 8] = [
    Key::new("created_at", "o.created_at", "timestamptz"),
    Key { nullable: true, ..Key::new("amount", "o.amount", "numeric") },
    Key::new("probability", "o.probability", "integer"),
    Key { nullable: true, ..Key::new("weighted_value", "o.weighted_value", "numeric") },
    Key { nullable: true, ..Key::new("expected_close_date", "o.expected_close_date", "date") },
    Key::new("updated_at", "o.updated_at", "timestamptz"),
    Key { descending: false, ..Key::new("opportunity_name", "o.opportunity_name", "text") },
    Key { descending: false, ..Key::new("customer_name", "o.customer_name", "text") },
];

/// Reads `sort_by` and `order`; what is unknown is told by field.
pub fn sort(invalid: &mut Invalid, sort_by: Option<&str>, order: Option<&str>) -> Sort {
    Sort::parse(&KEYS, invalid, sort_by, order)
}

/// A page of a list.
pub struct Page {
    /// The rows.
    pub items: Vec<Detail>,
    /// Continues after the last of them.
    pub next_cursor: Option<String>,
    /// How many there are in all, if asked.
    pub total: Option<i64>,
}

/// What a caller asks of a list.
pub struct Ask<'a> {
    /// Which rows.
    pub filter: &'a Filter,
    /// In which order.
    pub sort: Sort,
    /// How many.
    pub limit: usize,
    /// After which.
    pub cursor: Option<&'a str>,
    /// Whether to count them all.
    pub include_total: bool,
}

/// A page of the rows in sight.
pub(super) async fn page(pool: &PgPool, sight: &Sight, ask: &Ask<'_>) -> Result<Page, Error> {
    let listing = listing(ask);
    let cursor = ask.cursor.map(|text| Cursor::parse(text, &listing)).transpose()?;
    // Those with a key come first in both orders; those without are a range of their own.
    let in_keys = cursor.as_ref().is_none_or(|cursor| cursor.key().is_some());
    let wanted = ask.limit + 1;
    let place = cursor.as_ref().map_or(Place::Start, Place::After);
    let reader = Reader { pool, sight, ask };
    let mut rows: Vec<Row> = Vec::with_capacity(wanted);
    if in_keys {
        rows = reader.rows(Range { is_keyed: true, ..Range::from(place) }, wanted).await?;
    }
    if ask.sort.key.nullable && rows.len() < wanted {
        let place = if in_keys { Place::Start } else { place };
        rows.extend(reader.rows(Range::from(place), wanted - rows.len()).await?);
    }
    let next_cursor = (rows.len() > ask.limit).then(|| {
        rows.truncate(ask.limit);
        let last = &rows[ask.limit - 1];
        Cursor::new(&listing, last.key.clone(), last.detail.opportunity.id).write()
    });
    let total =
        if ask.include_total { Some(store::count(pool, sight, ask.filter).await?) } else { None };
    Ok(Page { items: rows.into_iter().map(|row| row.detail).collect(), next_cursor, total })
}

/// Its filters and its order in words, which stay the same in every replica and version of the product.
fn listing(ask: &Ask<'_>) -> String {
    // The same tomorrow, too.
    let undated = |it: &Staleness| Staleness { today: NaiveDate::MIN, limits: Vec::new(), ..*it };
    let stale = ask.filter.stale.as_ref().map(undated);
    // Whatever stages say of it meanwhile.
    let category = ask.filter.category.as_ref().map(Categorized::alone);
    let filter = Filter { category, stale, ..ask.filter.clone() };
    format!("{filter:?} {} {}", ask.sort.key.name, ask.sort.descending)
}
