//! The advanced reports of 2025 and what is behind their numbers, added up by hand from [`super::past`], and reports as files.

use serde_json::{Value, json};

use super::without;
use crate::world::World;

const YEAR: &str = "start_date=2025-01-01&end_date=2025-12-31";

pub(super) async fn velocity_is_what_is_won_a_day(world: &World) {
    let report = world.admin.get(&format!("/reports/velocity?{YEAR}")).await;
    assert_eq!(report.status, 200, "{}", report.text);
    assert_eq!(
        without(&report.body, &["as_of"]),
        json!({
            "start_date": "2025-01-01", "end_date": "2025-12-31", "closed_count": 5, "won_count": 3, "lost_count": 2,
            "won_value": 3500.55, "win_rate": 0.6, "average_deal_size": 1750.28, "average_days_to_close": 77.7,
            // 3 × 3 × 3500.55 ÷ 2 ÷ 233: of 83, 80 and 70 days, and two that have a value.
            "velocity_per_day": 67.61,
            "not_covered": {"without_amount": 0, "without_rate": 1, "without_date": 0},
        })
    );
}

pub(super) async fn what_was_lost_is_told_by_reason_and_stage(world: &World) {
    let report = world.admin.get(&format!("/reports/loss-reasons?{YEAR}")).await;
    let row = |reason: Value, value: i64, (stage, key): (&str, &str)| {
        let stage =
            json!({"pipeline_id": 1, "stage": stage, "stage_key": key, "count": 1, "value": value});
        json!({"lost_reason": reason, "count": 1, "value": value, "share": 0.5, "by_stage": [stage]})
    };
    assert_eq!(
        without(&report.body, &["as_of"]),
        json!({
            "items": [
                row(json!("價格"), 700, ("需求確認", "qualification")),
                row(Value::Null, 0, ("潛在客戶", "lead")),
            ],
            "lost_count": 2, "lost_value": 700, "start_date": "2025-01-01", "end_date": "2025-12-31",
            "not_covered": {"without_amount": 1, "without_rate": 0, "without_date": 0},
        })
    );
}

pub(super) async fn durations_count_the_one_that_is_still_there(world: &World) {
    let report = world.admin.get(&format!("/reports/stage-duration?{YEAR}")).await;
    // Stays of 10, 10, 10, 27, 30, 70 and 80 days have ended; the eighth is there since November.
    assert_eq!(
        report.body["items"][0],
        json!({
            "pipeline_id": 1, "stage": "潛在客戶", "stage_key": "lead", "entered": 8, "ended": 7, "open": 1,
            "p25_days": 10.0, "median_days": 27.0, "p75_days": 70.0, "p90_days": null,
        })
    );
    assert_eq!(report.body["items"].as_array().unwrap().len(), 5);
}

pub(super) async fn a_cohort_is_followed_month_by_month(world: &World) {
    let path =
        "/reports/cohorts?period=quarterly&start_date=2025-07-01&end_date=2025-09-30&months=2";
    let report = world.admin.get(path).await;
    let row = |month: i64, until: &str, won: Value, open: Value, share: f64| {
        json!({
            "period": "2025-Q3", "start_date": "2025-07-01", "end_date": "2025-09-30", "month": month, "until": until,
            "created_count": 3, "created_value": 3500.55, "won_count": won[0], "won_value": won[1], "lost_count": 1,
            "lost_value": 0, "open_count": open[0], "open_value": open[1], "won_share": share,
        })
    };
    assert_eq!(
        without(&report.body, &["as_of"]),
        json!({
            "items": [
                row(0, "2025-09-30", json!([0, 0]), json!([2, 3500.55]), 0.0),
                row(1, "2025-10-31", json!([1, 1000.1]), json!([1, 2500.45]), 0.3333),
                row(2, "2025-11-30", json!([2, 3500.55]), json!([0, 0]), 0.6667),
            ],
            "not_covered": {"without_amount": 1, "without_rate": 0, "without_date": 0},
        })
    );
}

pub(super) async fn a_number_opens_to_its_opportunities(world: &World) {
    for (path, expected) in [
        ("sales-trend/opportunities?period=2025-10", json!([["won 1000.10", 1000.1]])),
        (
            "sales-trend/opportunities?period=2025-08&term=lost",
            json!([["lost without an amount", null]]),
        ),
        (
            "sales-performance/opportunities?period=quarter&year=2025&quarter=4",
            json!([["won in dollars", null], ["won 2500.45", 2500.45], ["won 1000.10", 1000.1]]),
        ),
        (
            "conversion-rate/opportunities?start_date=2025-01-01&end_date=2025-12-31&stage=需求確認&term=lost",
            json!([["lost 700", 700]]),
        ),
        (
            "loss-reasons/opportunities?end_date=2025-12-31&lost_reason=價格",
            json!([["lost 700", 700]]),
        ),
        (
            "cohorts/opportunities?period=2025-Q3&until=2025-10-31&term=open",
            json!([["won 2500.45", 2500.45]]),
        ),
        (
            "stage-duration/opportunities?end_date=2025-12-31&start_date=2025-01-01&stage_key=lead&term=open",
            json!([["open without an amount", null]]),
        ),
    ] {
        let answer = world.admin.get(&format!("/reports/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let items = answer.body["items"].as_array().unwrap();
        let told: Vec<_> =
            items.iter().map(|it| json!([it["opportunity_name"], it["value"]])).collect();
        assert_eq!(json!(told), expected, "{path}");
    }
    let path = format!("/reports/velocity/opportunities?{YEAR}&limit=2");
    let first = world.admin.get(&path).await.body;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(world.admin.all(&format!("/reports/velocity/opportunities?{YEAR}")).await.len(), 5);
    let unknown = world.admin.get("/reports/profit/opportunities").await;
    assert_eq!(unknown.status, 404);
}

pub(super) async fn every_report_comes_as_a_file(world: &World) {
    for (name, columns) in [
        ("conversion-rate", "stage,stage_key,entered,advanced,lost,in_progress,conversion_rate,"),
        ("sales-trend", "period,start_date,end_date,won_count,won_value,"),
        ("sales-performance", "owner_id,owner_name,team_id,won_count,won_value,"),
        ("loss-reasons", "lost_reason,count,value,share,by_stage,lost_count,lost_value,"),
        ("velocity", "start_date,end_date,closed_count,"),
        ("stage-duration", "pipeline_id,stage,stage_key,entered,ended,open,p25_days,"),
        ("cohorts", "period,start_date,end_date,month,until,created_count,created_value,"),
        ("activities", "owner_id,owner_name,team_id,created.call,created.email,"),
        ("pipeline-changes", "term,value,count,from,to,"),
    ] {
        let file = world.admin.get(&format!("/reports/{name}?format=csv")).await;
        assert_eq!(file.status, 200, "{name}: {}", file.text);
        assert_eq!(file.header("content-type"), "text/csv; charset=utf-8; header=present");
        let disposition = format!("attachment; filename=\"{name}.csv\"");
        assert_eq!(file.header("content-disposition"), disposition);
        let text = file.text.trim_start_matches('\u{feff}');
        let (header, lines) = text.split_once("\r\n").unwrap();
        assert!(header.starts_with(columns) && header.ends_with("as_of"), "{name}: {header}");
        assert!(lines.ends_with("Z\r\n"), "{name}: {lines}");
    }
    let path = format!("/reports/loss-reasons?{YEAR}&format=csv");
    let file = world.admin.get(&path).await.text;
    let line = file.lines().nth(1).unwrap();
    assert!(line.starts_with("價格,1,700,0.5,\"[{\"\"pipeline_id\"\":1,"), "{line}");
}
