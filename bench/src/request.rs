//! The documented requests, the same to every program.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

/// The open stages in order.
pub(crate) const STAGES: [&str; 5] = ["潛在客戶", "需求確認", "方案提案", "商務談判", "合約簽訂"];
/// 需求確認 in a query string.
const QUALIFICATION: &str = "%E9%9C%80%E6%B1%82%E7%A2%BA%E8%AA%8D";

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// What costs nothing but the hop.
    Floor,
    /// The funnel.
    Overview,
    /// 50 of a stage by amount.
    List,
    /// One opportunity.
    One,
    /// One opportunity's moves.
    History,
    /// A quarter's forecast.
    Forecast,
    /// A year's conversion by stage.
    Conversion,
    /// A year by month.
    Trend,
    /// The quarter by salesperson.
    Performance,
    /// A move to the next open stage.
    Move,
    /// A new opportunity of a known customer.
    Create,
}

impl Request {
    /// In the order in which they are measured: what writes comes last, because it changes what there is to read.
    pub(crate) const ALL: [Self; 11] = [
        Self::Floor,
        Self::Overview,
        Self::List,
        Self::One,
        Self::History,
        Self::Forecast,
        Self::Conversion,
        Self::Trend,
        Self::Performance,
        Self::Move,
        Self::Create,
    ];

    /// As it stands in the results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "health",
            Self::Overview => "overview",
            Self::List => "list of 50 by stage and amount",
            Self::One => "one opportunity",
            Self::History => "history of one",
            Self::Forecast => "forecast",
            Self::Conversion => "conversion-rate",
            Self::Trend => "sales-trend",
            Self::Performance => "sales-performance",
            Self::Move => "stage move",
            Self::Create => "create",
        }
    }

    /// Whether it changes something.
    pub(crate) const fn is_write(self) -> bool {
        matches!(self, Self::Move | Self::Create)
    }

    /// The next one of its kind.
    pub(crate) fn next(self, book: &Book) -> Ask {
        match self {
            Self::Floor => Ask::get(book.floor),
            Self::Overview => Ask::get("/api/v1/pipeline/overview"),
            Self::List => {
                Ask::get(format!("/api/v1/opportunities?stage={QUALIFICATION}&sort_by=amount"))
            }
            Self::One => Ask::get(format!("/api/v1/opportunities/{}", book.next_id())),
            Self::History => Ask::get(format!("/api/v1/opportunities/{}/history", book.next_id())),
            Self::Forecast => Ask::get("/api/v1/forecast?period=quarter&year=2026&quarter=4"),
            Self::Conversion => Ask::get(
                "/api/v1/reports/conversion-rate?start_date=2026-01-01&end_date=2026-12-31",
            ),
            Self::Trend => Ask::get("/api/v1/reports/sales-trend?period=monthly&year=2026"),
            Self::Performance => Ask::get("/api/v1/reports/sales-performance?period=quarter"),
            Self::Move => {
                let (id, stage) = book.next_move();
                Ask::json(
                    Method::PATCH,
                    format!("/api/v1/opportunities/{id}/stage"),
                    &json!({ "stage": STAGES[stage], "notes": "需求訪談完成，預算確認" }),
                )
            }
            Self::Create => Ask::json(Method::POST, "/api/v1/opportunities".into(), &book.create()),
        }
    }

    /// Whether an answer is what was asked for: a fast answer that says nothing is no answer.
    pub(crate) fn check(self, answer: &[u8]) -> Result<()> {
        if self == Self::Floor {
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(answer)?;
        let rows = |names: &[&str]| {
            names.iter().find_map(|name| answer[*name].as_array()).map_or(0, Vec::len)
        };
        let is_right = match self {
            Self::Floor => true,
            Self::Overview => rows(&["stages"]) == 7,
            Self::List => rows(&["items"]) == 50,
            Self::One | Self::Create | Self::Move => answer["id"].is_i64(),
            Self::History => rows(&["items", "history"]) > 0,
            Self::Forecast => answer["forecast"]["realistic"].is_number(),
            Self::Conversion => rows(&["items", "stages"]) == 5,
            Self::Trend => rows(&["items", "data"]) == 12,
            Self::Performance => rows(&["items", "data"]) > 0,
        };
        let said = || answer.to_string().chars().take(400).collect::<String>();
        ensure!(is_right, "not the answer that was asked for: {}", said());
        Ok(())
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Its method.
    pub(crate) method: Method,
    /// Its path and query.
    pub(crate) path: String,
    /// Its content type and body.
    pub(crate) body: Option<(&'static str, Bytes)>,
}

impl Ask {
    /// A GET.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }

    fn json(method: Method, path: String, body: &Value) -> Self {
        Self { method, path, body: Some(("application/json", body.to_string().into())) }
    }
}

/// What a program's data has, and how far the requests have gone through it.
#[derive(Debug)]
pub(crate) struct Book {
    /// Where the program answers without doing anything.
    pub(crate) floor: &'static str,
    /// Ids of opportunities.
    pub(crate) ids: Vec<i64>,
    /// Ids of open ones, each with the index of its stage.
    pub(crate) open: Vec<(i64, usize)>,
    /// Names of customers.
    pub(crate) customers: Vec<String>,
    asked: AtomicU64,
    moved: AtomicU64,
    created: AtomicU64,
}

impl Book {
    /// Nothing asked yet.
    pub(crate) fn new(
        floor: &'static str,
        ids: Vec<i64>,
        open: Vec<(i64, usize)>,
        customers: Vec<String>,
    ) -> Result<Self> {
        ensure!(
            open.len() >= 64 && !ids.is_empty() && !customers.is_empty(),
            "too little to ask about: take a larger --count"
        );
        let [asked, moved, created] = [const { AtomicU64::new(0) }; 3];
        Ok(Self { floor, ids, open, customers, asked, moved, created })
    }

    fn next_id(&self) -> i64 {
        // A prime apart, so that neighbours in time are none in the table.
        let turn = self.asked.fetch_add(1, Ordering::Relaxed);
        self.ids[index(turn.wrapping_mul(7_919), self.ids.len())]
    }

    /// An open opportunity and the index of the stage after its own. One comes again only after all the others.
    pub(crate) fn next_move(&self) -> (i64, usize) {
        let turn = self.moved.fetch_add(1, Ordering::Relaxed);
        let (id, stage) = self.open[index(turn, self.open.len())];
        let times = index(turn / self.open.len() as u64 + 1, STAGES.len());
        (id, (stage + times) % STAGES.len())
    }

    fn create(&self) -> Value {
        let turn = self.created.fetch_add(1, Ordering::Relaxed);
        json!({
            "opportunity_name": format!("軟體授權採購 {turn}"),
            "customer_name": self.customers[index(turn, self.customers.len())],
            "stage": STAGES[0],
            "amount": 300_000 + turn % 1_000 * 1_000,
            "probability": 25,
            "expected_close_date": "2026-12-31",
            "products": ["CRM 模組", "教育訓練"],
            "notes": "初步接觸，對產品有興趣",
        })
    }
}

/// A number as an index below a length.
fn index(number: u64, length: usize) -> usize {
    usize::try_from(number % length.max(1) as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_is_to_another_stage_than_the_one_before() {
        let open: Vec<_> = (0..64).map(|id| (id, usize::try_from(id).unwrap() % 5)).collect();
        let book = Book::new("/", vec![1], open.clone(), vec!["XYZ".into()]).unwrap();
        let mut stands: std::collections::HashMap<_, _> = open.into_iter().collect();
        for _ in 0..1_000 {
            let (id, stage) = book.next_move();
            assert_ne!(stands.insert(id, stage), Some(stage));
        }
    }
}
