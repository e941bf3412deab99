//! The overview, the forecast and the reports, each added up by hand from what was made in [`super::past`] and [`super::records`].

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::past::Team;
use super::without;
use crate::world::World;

/// The stages' names and keys in order.
const OPEN: [(&str, &str); 5] = [
    ("潛在客戶", "lead"),
    ("需求確認", "qualification"),
    ("方案提案", "proposal"),
    ("商務談判", "negotiation"),
    ("合約簽訂", "contract"),
];

pub(super) async fn the_overview_adds_up(world: &World, team: &Team, won: &Value) {
    let path = format!("/pipeline/overview?after={}:{}", won["id"], won["version"]);
    let overview = world.admin.eventually(&path, |it| it["total_opportunities"] == 11).await;
    let stage = |(name, key): (&str, &str), kind: &str, numbers: Value| {
        json!({
            "name": name, "key": key, "kind": kind, "count": numbers[0], "total_value": numbers[1],
            "weighted_value": numbers[2], "conversion_rate": numbers[3],
        })
    };
    assert_eq!(
        without(&overview.body, &["as_of"]),
        json!({
            "stages": [
                // Without an amount. Ten entered: eight went further, one was lost, one is there.
                stage(OPEN[0], "open", json!([1, 0, 0, 0.8889])),
                // 300000 at 40, 333.33 at 40, 10.01 at 30: each rounded by itself.
                stage(OPEN[1], "open", json!([3, 300_343.34, 120_136.33, 0.5])),
                // Fifty dollars, for which there is no rate.
                stage(OPEN[2], "open", json!([1, 0, 0, 1.0])),
                stage(OPEN[3], "open", json!([0, 0, 0, null])),
                stage(OPEN[4], "open", json!([0, 0, 0, null])),
                // 1000.10, 2500.45, 88.88, and dollars.
                stage(("成交", "won"), "won", json!([4, 3589.43, 3589.43, null])),
                stage(("失敗", "lost"), "lost", json!([2, 700, 0, null])),
            ],
            "total_opportunities": 11,
            "open_opportunities": 5,
            "total_pipeline_value": 300_343.34,
            "weighted_pipeline_value": 120_136.33,
            "not_covered": {"without_amount": 2, "without_rate": 2, "without_date": 0},
        })
    );
    assert_eq!(overview.raw("/total_pipeline_value"), "300343.34");

    let of_team = world.admin.get(&format!("/pipeline/overview?team_id={}", team.id)).await;
    assert_eq!(of_team.body, overview.body);
    let of_chen = world.admin.get(&format!("/pipeline/overview?owner_id={}", team.chen.id)).await;
    assert_eq!(of_chen.body["total_opportunities"], 4);
    assert_eq!(of_chen.body["total_pipeline_value"], 333.33);
    let of_lin = world.admin.get(&format!("/pipeline/overview?owner_id={}", team.lin.id)).await;
    assert_eq!(of_lin.body["total_opportunities"], 0);
}

pub(super) async fn a_forecast_of_a_period_gone_by_is_what_was_won_in_it(
    world: &World,
    team: &Team,
) {
    let path = "/forecast?period=quarter&year=2025&quarter=4";
    let forecast = world.admin.get(path).await;
    assert_eq!(forecast.status, 200, "{}", forecast.text);
    let won = json!(3500.55);
    let nothing = |(stage, key): (&str, &str)| {
        json!({
            "stage": stage, "stage_key": key, "count": 0, "total_value": 0, "weighted_value": 0,
            "predicted_value": 0,
        })
    };
    let categories = ["commit", "best_case", "pipeline", "omitted"];
    let none_of = |category: &str| {
        json!({
            "forecast_category": category, "count": 0, "total_value": 0, "weighted_value": 0,
        })
    };
    assert_eq!(
        without(&forecast.body, &["as_of", "model"]),
        json!({
            "period": "Q4 2025", "start_date": "2025-10-01", "end_date": "2025-12-31",
            "forecast": {"optimistic": won, "realistic": won, "pessimistic": won},
            "expected": won, "closed_won": won, "from_pipeline": 0, "from_new_business": 0,
            "target": null, "by_stage": OPEN.map(nothing), "percentiles_add_up": false,
            // The one that was won in dollars.
            "not_covered": {"without_amount": 0, "without_rate": 1, "without_date": 0},
            "target_source": null, "target_is_partial": null, "track_record": null,
            "adjustment": null, "adjusted_expected": null,
            "by_category": categories.map(none_of),
        })
    );
    let of_chen = world.admin.get(&format!("{path}&owner_id={}", team.chen.id)).await;
    assert_eq!(of_chen.body["closed_won"], 2500.45);
    let october = world.admin.get("/forecast?period=month&year=2025&month=10").await;
    assert_eq!(
        json!([october.body["period"], october.body["closed_won"]]),
        json!(["2025-10", 1000.1])
    );
    let year = world.admin.get("/forecast?period=year&year=2025").await;
    assert_eq!(json!([year.body["period"], year.body["closed_won"]]), json!(["2025", 3500.55]));
}

pub(super) async fn a_forecast_of_the_present_period_takes_what_is_open(world: &World) {
    let forecast = world.admin.get("/forecast").await;
    let it = &forecast.body;
    let (year, month) = it["start_date"].as_str().unwrap().split_once('-').unwrap();
    let quarter = match &month[..2] {
        "01" => 1,
        "04" => 2,
        "07" => 3,
        "10" => 4,
        other => panic!("a quarter does not begin in month {other}"),
    };
    assert_eq!(it["period"], format!("Q{quarter} {year}"));
    assert_eq!(it["closed_won"], 88.88);
    // What is overdue counts now: 333.33 at 40 and 300000 at 40, and fifty dollars without a rate.
    let rows: Vec<_> = it["by_stage"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([row["stage_key"], row["count"], row["total_value"], row["weighted_value"]])
        })
        .collect();
    assert_eq!(
        json!(rows),
        json!([
            ["lead", 0, 0, 0],
            ["qualification", 2, 300_333.33, 120_133.33],
            ["proposal", 1, 0, 0],
            ["negotiation", 0, 0, 0],
            ["contract", 0, 0, 0],
        ])
    );
    assert_eq!(
        it["not_covered"],
        json!({"without_amount": 0, "without_rate": 1, "without_date": 2})
    );
    let cents = |pointer: &str| cents(&forecast.raw(pointer));
    assert_eq!(
        cents("/expected"),
        cents("/closed_won") + cents("/from_pipeline") + cents("/from_new_business")
    );
    let range = ["/forecast/pessimistic", "/forecast/realistic", "/forecast/optimistic"].map(cents);
    assert!(
        cents("/closed_won") < range[0] && range.is_sorted() && range[0] < range[2],
        "{range:?}"
    );
    assert!(it["model"]["name"].is_string() && it["model"]["explanation"].is_string());
}

/// An amount in hundredths, from its digits.
fn cents(digits: &str) -> i64 {
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    format!("{whole}{decimals:0<2}").parse().unwrap()
}

pub(super) async fn conversion_says_how_many_went_further(world: &World) {
    conversion_of_the_year(world).await;
    let ever = world.admin.get("/reports/conversion-rate").await;
    assert_eq!(ever.body["win_rate"], 0.6667);
    let rates: Vec<_> =
        ever.body["items"].as_array().unwrap().iter().map(|it| &it["conversion_rate"]).collect();
    let overview = world.admin.get("/pipeline/overview").await;
    let stages = overview.body["stages"].as_array().unwrap();
    let same: Vec<_> = stages[..5].iter().map(|stage| &stage["conversion_rate"]).collect();
    assert_eq!(rates, same, "the definition is the same everywhere");
}

pub(super) async fn conversion_of_the_year(world: &World) {
    let report =
        world.admin.get("/reports/conversion-rate?start_date=2025-01-01&end_date=2025-12-31").await;
    assert_eq!(report.status, 200, "{}", report.text);
    let row = |(stage, key): (&str, &str), numbers: Value| {
        json!({
            "stage": stage, "stage_key": key, "entered": numbers[0], "advanced": numbers[1],
            "lost": numbers[2], "in_progress": numbers[3], "conversion_rate": numbers[4],
            "average_days_in_stage": numbers[5],
        })
    };
    assert_eq!(
        without(&report.body, &["as_of"]),
        json!({
            "items": [
                // Stays of 10, 80, 10, 70, 10, 27 and 30 days have ended.
                row(OPEN[0], json!([8, 6, 1, 1, 0.8571, 33.9])),
                // Of 12 and 51 days.
                row(OPEN[1], json!([4, 1, 1, 2, 0.5, 31.5])),
                // Of 60 days and twelve and a half hours.
                row(OPEN[2], json!([2, 1, 0, 1, 1.0, 60.5])),
                row(OPEN[3], json!([0, 0, 0, 0, null, null])),
                row(OPEN[4], json!([0, 0, 0, 0, null, null])),
            ],
            // Three won, two lost; the one that was lost and reopened is neither.
            "win_rate": 0.6, "start_date": "2025-01-01", "end_date": "2025-12-31",
        })
    );
}

pub(super) async fn the_trend_has_a_row_for_every_period(world: &World) {
    let report = world.admin.get("/reports/sales-trend?period=monthly&year=2025").await;
    assert_eq!(report.status, 200, "{}", report.text);
    // Won (count, value), lost, made (count, value), win rate, average deal, change.
    let numbers = [
        json!([0, 0, 0, 1, 10.01, null, null, null]),
        json!([0, 0, 0, 0, 0, null, null, null]),
        json!([0, 0, 0, 0, 0, null, null, null]),
        json!([0, 0, 0, 0, 0, null, null, null]),
        json!([0, 0, 0, 0, 0, null, null, null]),
        json!([0, 0, 0, 0, 0, null, null, null]),
        json!([0, 0, 0, 1, 1000.1, null, null, null]),
        json!([0, 0, 1, 1, 0, 0.0, null, null]),
        json!([0, 0, 0, 1, 2500.45, null, null, null]),
        json!([1, 1000.1, 0, 2, 700, 1.0, 1000.1, null]),
        json!([1, 2500.45, 0, 2, 333.33, 1.0, 2500.45, 1.5002]),
        json!([1, 0, 1, 1, 0, 0.5, null, -1.0]),
    ];
    let last_days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let rows = numbers.iter().zip(last_days).enumerate().map(|(index, (numbers, last))| {
        let month = format!("2025-{:02}", index + 1);
        json!({
            "start_date": format!("{month}-01"), "end_date": format!("{month}-{last}"), "period": month,
            "won_count": numbers[0], "won_value": numbers[1], "lost_count": numbers[2],
            "created_count": numbers[3], "created_value": numbers[4], "win_rate": numbers[5],
            "average_deal_size": numbers[6], "won_value_change": numbers[7],
        })
    });
    assert_eq!(report.body["items"], json!(rows.collect::<Vec<_>>()));
    assert_eq!(
        report.body["not_covered"],
        json!({"without_amount": 2, "without_rate": 2, "without_date": 0})
    );
    for (period, rows, first) in [
        ("daily", 365, "2025-01-01"),
        ("weekly", 52, "2025-W01"),
        ("quarterly", 4, "2025-Q1"),
        ("yearly", 5, "2021"),
    ] {
        let path = format!("/reports/sales-trend?period={period}&year=2025");
        let report = world.admin.get(&path).await;
        let items = report.body["items"].as_array().unwrap();
        assert_eq!((items.len(), &items[0]["period"]), (rows, &json!(first)), "{period}");
        let won: i64 = items.iter().map(|item| item["won_count"].as_i64().unwrap()).sum();
        assert_eq!(won, 3, "{period}");
    }
}

pub(super) async fn performance_has_a_row_for_everyone_who_sells(world: &World, team: &Team) {
    let path = "/reports/sales-performance?period=quarter&year=2025&quarter=4";
    let named = |it: &Value| {
        let items = it["items"].as_array().unwrap();
        items.len() == 3 && items.iter().all(|item| item["team_id"] == team.id)
    };
    let report = world.admin.eventually(path, named).await;
    let row = |id: i64, name: &str, numbers: Value| {
        json!({
            "owner_id": id, "owner_name": name, "team_id": team.id, "won_count": numbers[0],
            "won_value": numbers[1], "lost_count": numbers[2], "win_rate": numbers[3],
            "average_deal_size": numbers[4], "average_days_to_close": numbers[5], "open_count": numbers[6],
            "open_pipeline_value": numbers[7], "rank": numbers[8], "target": null, "attainment": null,
        })
    };
    assert_eq!(
        without(&report.body, &["as_of"]),
        json!({
            "period": "2025-Q4", "start_date": "2025-10-01", "end_date": "2025-12-31",
            "items": [
                row(team.chen.id, "chen", json!([1, 2500.45, 0, 1.0, 2500.45, 80.0, 2, 333.33, 1])),
                // 83 days to the first of October in Taipei, and 70; the mean is of what has a value.
                row(team.wang.id, "wang", json!([2, 1000.1, 1, 0.6667, 1000.1, 76.5, 3, 300_010.01, 2])),
                row(team.lin.id, "lin", json!([0, 0, 0, null, null, null, 0, 0, 3])),
            ],
            "not_covered": {"without_amount": 1, "without_rate": 2, "without_date": 0},
        })
    );
    let present = world.admin.get("/reports/sales-performance?period=quarter").await;
    let first = &present.body["items"][0];
    assert_eq!(
        json!([first["owner_id"], first["won_value"], first["rank"]]),
        json!([team.wang.id, 88.88, 1])
    );
}

pub(super) async fn the_open_pipeline_changed_as_the_year_went_by(world: &World) {
    let of = async |query: &str| {
        let report = world.admin.get(&format!("/reports/pipeline-changes?{query}")).await;
        assert_eq!(report.status, 200, "{}", report.text);
        report.body
    };
    let missing = |amount: i64, rate: i64, date: i64| json!({"without_amount": amount, "without_rate": rate, "without_date": date});
    // What was won or lost on the way by the middle of November was never open at either end.
    let it = of("from=2025-02-15&to=2025-11-15").await;
    let expected = [
        ("created", json!({"value": 3533.78, "count": 5})),
        ("reopened", json!({"value": 10.01, "count": 1})),
        ("end_value", json!({"value": 3543.79, "count": 6})),
    ];
    are_the_only_ones(&it, &expected);
    assert_eq!(it["not_covered"], missing(1, 1, 0));
    assert!(it["pulled_in"].is_null() && it.get("pushed_out").is_none(), "{it}");
    let year = "from=2025-11-15&to=2025-12-31";
    let it = of(year).await;
    let expected = [
        ("start_value", json!({"value": 3543.79, "count": 6})),
        ("created", json!({"value": 0, "count": 1})),
        ("won", json!({"value": -2500.45, "count": 2})),
        ("lost", json!({"value": -700, "count": 1})),
        ("end_value", json!({"value": 343.34, "count": 4})),
    ];
    are_the_only_ones(&it, &expected);
    assert_eq!(it["not_covered"], missing(1, 2, 0));
    let it = of(&format!("{year}&close_from=2025-12-01&close_to=2025-12-31")).await;
    let expected = [
        ("start_value", json!({"value": 333.33, "count": 1})),
        ("created", json!({"value": 0, "count": 1})),
        ("end_value", json!({"value": 333.33, "count": 2})),
    ];
    are_the_only_ones(&it, &expected);
    assert_eq!(it["pulled_in"], json!({"value": 0, "count": 0}));
    assert_eq!(it["not_covered"], missing(0, 1, 5));

    let path = format!("/reports/pipeline-changes/opportunities?term=won&{year}");
    let page = world.admin.get(&format!("{path}&limit=1")).await;
    assert_eq!((page.status, &page.body["items"][0]["value"]), (200, &json!(0)), "{}", page.text);
    let cursor = page.body["next_cursor"].as_str().unwrap();
    let page = world.admin.get(&format!("{path}&limit=1&cursor={cursor}")).await;
    let last = &page.body["items"][0];
    assert_eq!(
        (&last["opportunity_name"], &last["value"]),
        (&json!("won 2500.45"), &json!(-2500.45))
    );
    assert!(page.body["next_cursor"].is_null(), "{}", page.text);
}

/// These terms are as they are here, and nothing is behind any other.
fn are_the_only_ones(report: &Value, expected: &[(&str, Value)]) {
    let terms = report.as_object().unwrap().iter();
    let found = terms.filter(|(_, it)| it["count"].as_i64().is_some_and(|count| count != 0));
    let found: BTreeMap<_, _> = found.map(|(name, it)| (&**name, it)).collect();
    let expected = expected.iter().map(|(name, it)| (*name, it)).collect();
    assert_eq!(found, expected, "{report}");
}
