//! Reports as JSON or as a table of comma-separated values, from the same message.

use std::collections::BTreeMap;
use std::fmt;

use axum::response::{IntoResponse, Response};
use cells::{BYTE_ORDER_MARK, guard, write_line};
use proto::analytics::v1::ReportFormat;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, RefOr, ResponsesBuilder, Type};
use utoipa::{IntoResponses, ToSchema};

use super::body::described;
use super::download::{CSV, Download, Kind};
use super::{Answer, Json, Problem};

/// 200 with a report: its JSON, or a line for each of its `items` as a file.
///
/// A column is a member of the rows, or of the whole report, whose members stand in every line, where the rows have none of that name. A member that is an object is a column for each of
/// its own, `name.member`; a list is one cell of JSON.
pub enum Table<T> {
    /// The message.
    Json(Json<T>),
    /// The file.
    Csv(Download),
}

impl<T: Serialize> Table<T> {
    /// Of a report with rows in `items`, each an `R`.
    pub fn of_rows<R: Serialize + Default>(
        report: T,
        format: ReportFormat,
        name: &'static str,
    ) -> Answer<Self> {
        Self::of_rows_like(report, &R::default(), format, name)
    }

    /// The same with the columns of such a row first, where one that says nothing would lack some.
    pub fn of_rows_like<R: Serialize>(
        report: T,
        row: &R,
        format: ReportFormat,
        name: &'static str,
    ) -> Answer<Self> {
        Self::of(report, format, name, |whole| rows(whole, row))
    }

    /// Of a report that is one object: a table of one line.
    pub fn of_one(report: T, format: ReportFormat, name: &'static str) -> Answer<Self> {
        Self::of(report, format, name, |whole| {
            let mut columns = Columns::default();
            let cells = columns.lay_out(whole)?;
            Ok(Written { names: columns.0, lines: vec![cells] })
        })
    }

    /// Of a report that is terms, each a `value` and a `count`: a line for each.
    pub fn of_terms(report: T, format: ReportFormat, name: &'static str) -> Answer<Self> {
        Self::of(report, format, name, terms)
    }

    fn of(
        report: T,
        format: ReportFormat,
        name: &'static str,
        lay_out: impl FnOnce(Members) -> serde_json::Result<Written>,
    ) -> Answer<Self> {
        if format != ReportFormat::Csv {
            return Ok(Self::Json(Json(report)));
        }
        let whole = members(&report).and_then(lay_out).map_err(|error| {
            tracing::error!(%error, "a report is no table");
            Problem::internal()
        })?;
        let mut file = BYTE_ORDER_MARK.to_owned();
        write_line(&mut file, &whole.names);
        for line in &whole.lines {
            write_line(&mut file, line);
        }
        Ok(Self::Csv(Download::whole(Kind { media_type: CSV, name }, file)))
    }
}

/// A table, its texts guarded.
struct Written {
    names: Vec<String>,
    lines: Vec<Vec<String>>,
}

fn rows<R: Serialize>(mut whole: Members, like: &R) -> serde_json::Result<Written> {
    let items = whole.0.iter().position(|(name, _)| name == "items");
    let items = items.map(|index| whole.0.remove(index).1);
    let items: Vec<Members> =
        items.map(|items| serde_json::from_str(items.get())).transpose()?.unwrap_or_default();
    let mut columns = Columns::default();
    // Without a row there are columns nevertheless.
    columns.lay_out(members(like)?)?;
    let mut lines = Vec::with_capacity(items.len());
    for item in items {
        lines.push(columns.lay_out(item)?);
    }
    let own = columns.0.len();
    whole.0.retain(|(name, _)| !columns.0.contains(name));
    let of_all = columns.lay_out(whole)?.split_off(own);
    for line in &mut lines {
        line.resize(own, String::new());
        line.extend_from_slice(&of_all);
    }
    Ok(Written { names: columns.0, lines })
}

/// A line for each member that is a term, with what the others say.
fn terms(whole: Members) -> serde_json::Result<Written> {
    let (mut lines, mut of_all) = (Vec::new(), Vec::new());
    for (name, value) in whole.0 {
        let is_object = value.get().starts_with('{');
        let term = is_object.then(|| serde_json::from_str::<Members>(value.get())).transpose()?;
        match term.as_ref().map(|it| it.0.as_slice()) {
            Some([(value, sum), (count, many)]) if value == "value" && count == "count" => {
                lines.push(vec![name, cell(sum)?, cell(many)?]);
            }
            _ => of_all.push((name, value)),
        }
    }
    let mut columns = Columns(["term", "value", "count"].map(str::to_owned).to_vec());
    let own = columns.0.len();
    let of_all = columns.lay_out(Members(of_all))?.split_off(own);
    for line in &mut lines {
        line.extend_from_slice(&of_all);
    }
    Ok(Written { names: columns.0, lines })
}

/// The names of columns in the order in which they first came.
#[derive(Default)]
struct Columns(Vec<String>);

impl Columns {
    /// The cells of an object, each in the column of its name, which is made where there is none.
    fn lay_out(&mut self, object: Members) -> serde_json::Result<Vec<String>> {
        let mut line = vec![String::new(); self.0.len()];
        for (name, value) in object.0 {
            if value.get().starts_with('{') {
                let inner: Members = serde_json::from_str(value.get())?;
                for (member, value) in inner.0 {
                    self.put(&mut line, format!("{name}.{member}"), cell(&value)?);
                }
            } else {
                self.put(&mut line, name, cell(&value)?);
            }
        }
        Ok(line)
    }

    fn put(&mut self, line: &mut Vec<String>, name: String, cell: String) {
        let place = self.0.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        });
        line.resize(line.len().max(place + 1), String::new());
        line[place] = cell;
    }
}

/// A value as it stands in a cell: numbers with all their digits, nothing for null, a list as JSON.
fn cell(value: &RawValue) -> serde_json::Result<String> {
    let json = value.get();
    Ok(match json.as_bytes().first() {
        Some(b'"') => guard(&serde_json::from_str::<String>(json)?).into_owned(),
        Some(b'n') => String::new(),
        _ => json.to_owned(),
    })
}

/// The members of a JSON object in order, numbers untouched.
struct Members(Vec<(String, Box<RawValue>)>);

fn members<T: Serialize>(value: &T) -> serde_json::Result<Members> {
    serde_json::from_str(&serde_json::to_string(value)?)
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        json.deserialize_map(InOrder)
    }
}

impl<T: Serialize> IntoResponse for Table<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Json(json) => json.into_response(),
            Self::Csv(file) => file.into_response(),
        }
    }
}

impl<T: ToSchema> IntoResponses for Table<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let file = ContentBuilder::new().schema(Some(text)).build();
        let response = described::<T>("The report.").content(CSV, file);
        ResponsesBuilder::new().response("200", response).build().into()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use http::header::CONTENT_DISPOSITION;
    use proto::Decimal;
    use proto::analytics::v1::{
        GetLossReasonsResponse, GetPipelineChangesResponse, GetSalesTrendResponse,
        GetSalesVelocityResponse, LossReason, LossStage, NotCovered, PipelineChangeTerm,
        TrendPeriod,
    };

    use super::*;

    async fn text<T: Serialize>(table: Answer<Table<T>>) -> String {
        let body = table.ok().unwrap().into_response().into_body();
        String::from_utf8(to_bytes(body, 10_000).await.unwrap().to_vec()).unwrap()
    }

    fn amount(hundredths: i128) -> Decimal {
        Decimal::from_hundredths(hundredths)
    }

    #[tokio::test]
    async fn a_line_is_a_row_with_what_the_whole_report_says_and_no_text_is_a_formula() {
        let stage = LossStage { stage: Some("A,B".into()), count: 2, ..LossStage::default() };
        let row = LossReason {
            lost_reason: Some("=cmd".into()),
            count: 2,
            value: Some(amount(999_999_999_999_999)),
            share: Some(0.5),
            by_stage: vec![stage],
        };
        let report = GetLossReasonsResponse {
            items: vec![
                row,
                LossReason { count: 2, value: Some(amount(10)), ..LossReason::default() },
            ],
            lost_count: 4,
            not_covered: Some(NotCovered { without_amount: 1, ..NotCovered::default() }),
            ..GetLossReasonsResponse::default()
        };
        let table = Table::of_rows::<LossReason>(report, ReportFormat::Csv, "a.csv");
        let told = text(table).await;
        let lines: Vec<_> = told.trim_start_matches('\u{feff}').lines().collect();
        assert_eq!(
            lines[0],
            "lost_reason,count,value,share,by_stage,lost_count,lost_value,not_covered.without_amount,\
             not_covered.without_rate,not_covered.without_date,start_date,end_date,as_of"
        );
        assert!(lines[1].starts_with("'=cmd,2,9999999999999.99,0.5,\"[{\"\"pipeline_id\"\":null,"));
        assert!(lines[1].ends_with("}]\",4,,1,0,0,,,"), "{}", lines[1]);
        assert_eq!(lines[2], ",2,0.1,,[],4,,1,0,0,,,");
    }

    #[tokio::test]
    async fn a_report_without_rows_has_its_columns_and_one_without_items_a_line() {
        let empty = GetSalesTrendResponse::default();
        let table = Table::of_rows::<TrendPeriod>(empty, ReportFormat::Csv, "a.csv");
        let told = text(table).await;
        assert_eq!(told.lines().count(), 1);
        assert!(told.contains(",won_value_change,"), "{told}");
        let one = GetSalesVelocityResponse { closed_count: 3, ..Default::default() };
        let table = Table::of_one(one, ReportFormat::Csv, "b.csv");
        let lines: Vec<_> = text(table).await.lines().map(str::to_owned).collect();
        assert!(lines[0].contains("start_date,end_date,closed_count,"), "{}", lines[0]);
        assert!(lines[1].starts_with(",,3,"), "{}", lines[1]);
    }

    #[tokio::test]
    async fn a_report_of_terms_has_a_line_for_each_that_it_has() {
        let term = |value, count| Some(PipelineChangeTerm { value: Some(amount(value)), count });
        let report = GetPipelineChangesResponse {
            from: "2025-09-30".to_owned(),
            start_value: term(100, 1),
            won: term(-2_050, 3),
            end_value: term(0, 0),
            not_covered: Some(NotCovered { without_rate: 2, ..NotCovered::default() }),
            ..GetPipelineChangesResponse::default()
        };
        let told = text(Table::of_terms(report, ReportFormat::Csv, "a.csv")).await;
        let lines: Vec<_> = told.trim_start_matches('\u{feff}').lines().collect();
        assert!(lines[0].starts_with("term,value,count,from,to,"), "{}", lines[0]);
        assert!(lines[0].contains("not_covered.without_rate"), "{}", lines[0]);
        let terms: Vec<_> = lines[1..].iter().map(|it| it.split(",2025-09-30,").next()).collect();
        assert_eq!(terms, ["start_value,1,1", "won,-20.5,3", "end_value,0,0"].map(Some));
    }

    #[tokio::test]
    async fn a_file_has_a_name_and_without_a_format_it_is_json() {
        let report = GetSalesVelocityResponse::default;
        let file = Table::of_one(report(), ReportFormat::Csv, "velocity.csv").ok().unwrap();
        let file = file.into_response();
        assert_eq!(file.headers()[CONTENT_DISPOSITION], "attachment; filename=\"velocity.csv\"");
        let json = text(Table::of_one(report(), ReportFormat::Unspecified, "velocity.csv")).await;
        assert!(json.starts_with('{'), "{json}");
    }
}
