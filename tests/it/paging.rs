//! Pages by key, while others write.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use local::StackOptions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

const SORTS: [&str; 8] = [
    "amount",
    "probability",
    "weighted_value",
    "expected_close_date",
    "created_at",
    "updated_at",
    "opportunity_name",
    "customer_name",
];

#[tokio::test]
async fn pages_have_every_row_once_and_in_order_while_others_write() {
    let world = World::start(StackOptions::default()).await;
    let api = &world.admin;
    let there = fill(api).await;
    defaults_are_as_documented(api).await;
    a_cursor_continues_only_its_own_list(api).await;
    let mut written = there.clone();
    for sort in SORTS {
        for order in ["asc", "desc"] {
            let query = format!("sort_by={sort}&order={order}&limit=5");
            let (rows, more) = tokio::join!(walk(api, &query), write(api));
            is_ordered(&rows, sort, order);
            has_each_once(&rows, &written);
            written.extend(more);
        }
    }
    totals_and_filters_hold_on_every_page(api, &there).await;
}

#[tokio::test]
async fn what_administrators_manage_is_paged_in_its_own_order() {
    let world = World::start(StackOptions::default()).await;
    let api = &world.admin;
    for name in ["Partners", "Renewals"] {
        assert_eq!(api.post("/pipelines", &json!({"name": name})).await.status, 201);
        assert_eq!(api.post("/lost-reasons", &json!({"name": name})).await.status, 201);
        let field = json!({"key": name.to_lowercase(), "name": name, "type": "text"});
        assert_eq!(api.post("/custom-fields", &field).await.status, 201);
    }
    for code in ["USD", "EUR", "JPY"] {
        let rate = json!({"valid_from": "2026-01-01", "rate": 2}).to_string();
        let path = format!("/currencies/{code}/rates");
        assert_eq!(api.send(Method::PUT, &path, &[], &rate).await.status, 200);
    }
    let mut cursors = Vec::new();
    for (list, names, in_order) in [
        ("/pipelines?", "name", vec!["銷售漏斗", "Partners", "Renewals"]),
        ("/lost-reasons?", "name", vec!["Partners", "Renewals"]),
        ("/custom-fields?", "key", vec!["partners", "renewals"]),
        ("/currencies?", "code", vec!["TWD", "EUR", "JPY", "USD"]),
        (
            "/pipeline/stages?pipeline_id=1&",
            "key",
            vec!["lead", "qualification", "proposal", "negotiation", "contract", "won", "lost"],
        ),
    ] {
        let whole = walk_of(api, list).await;
        let found: Vec<_> = whole.iter().map(|it| it[names].as_str().unwrap()).collect();
        assert_eq!(found, in_order);
        for limit in 1..=whole.len() {
            assert_eq!(walk_of(api, &format!("{list}limit={limit}")).await, whole, "{list}");
        }
        for limit in [0, 201] {
            let refused = api.get(&format!("{list}limit={limit}")).await;
            assert_eq!(refused.bad_fields(), [("limit", "out_of_range")], "{list}");
        }
        let first = api.get(&format!("{list}limit=1")).await;
        cursors.push(first.body["next_cursor"].as_str().unwrap().to_owned());
        for (index, cursor) in cursors.iter().enumerate() {
            let asked = api.get(&format!("{list}cursor={cursor}")).await;
            let is_own = index + 1 == cursors.len();
            assert_eq!(asked.status, if is_own { 200 } else { 400 }, "{list} {index}");
        }
        let refused = api.get(&format!("{list}cursor=nonsense")).await;
        assert_eq!(refused.problem(), (400, "cursor_invalid"), "{list}");
    }
    a_stage_that_comes_before_shows_none_twice(api).await;
    what_changes_stages_has_no_pages(api).await;
}

async fn a_stage_that_comes_before_shows_none_twice(api: &Api) {
    let first = api.get("/pipeline/stages?limit=2").await.body;
    let new = json!({"key": "visit", "name": "Visit", "position": 1});
    assert_eq!(api.post("/pipeline/stages", &new).await.status, 201);
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = api.get(&format!("/pipeline/stages?limit=1&cursor={cursor}")).await.body;
    let told = (&next["items"][0]["key"], &next["items"][0]["position"]);
    assert_eq!(told, (&json!("proposal"), &json!(4)));
    // The default pipeline's by its number, too.
    let named = api.get(&format!("/pipeline/stages?pipeline_id=1&limit=1&cursor={cursor}")).await;
    assert_eq!(named.body["items"], next["items"]);
}

async fn what_changes_stages_has_no_pages(api: &Api) {
    let unknown = [("limit", "unknown_parameter")];
    let new = json!({"key": "x", "name": "X"});
    assert_eq!(api.post("/pipeline/stages?limit=1", &new).await.bad_fields(), unknown);
    let edit = json!({"name": "X"});
    assert_eq!(api.patch("/pipeline/stages/lead?limit=1", &edit).await.bad_fields(), unknown);
}

/// Rows with ties in every sort key, and without a key where there can be none. Their ids.
async fn fill(api: &Api) -> BTreeSet<i64> {
    let mut ids = BTreeSet::new();
    for index in 0..24_i64 {
        // By code point: B before a before é before 乙 before 甲.
        let name = pick(&["甲", "a", "B", "乙", "é"], index);
        let mut wanted = json!({
            "opportunity_name": name, "customer_name": pick(&["丙", "Z", "b"], index),
            "probability": (index % 4) * 10, "source": "old",
        });
        if index % 3 > 0 {
            wanted["amount"] = json!((index % 4) * 100);
            wanted["expected_close_date"] = json!(format!("2026-01-{:02}", index % 4 + 1));
        }
        ids.insert(api.create(&wanted).await["id"].as_i64().unwrap());
    }
    ids
}

/// One after the other, and again.
fn pick<'a>(all: &[&'a str], index: i64) -> &'a str {
    all[usize::try_from(index).unwrap() % all.len()]
}

/// Inserts at every place of every order; the new ids.
async fn write(api: &Api) -> BTreeSet<i64> {
    let mut ids = BTreeSet::new();
    for index in 0..8 {
        let mut wanted = json!({
            "opportunity_name": pick(&["A", "aa", "c", "丁"], index),
            "customer_name": pick(&["Y", "丙"], index),
            "probability": index * 5, "source": "new",
        });
        if index % 4 > 0 {
            wanted["amount"] = json!(index * 50);
            wanted["expected_close_date"] = json!(format!("2026-01-0{}", index % 5 + 1));
        }
        ids.insert(api.create(&wanted).await["id"].as_i64().unwrap());
    }
    ids
}

/// All opportunities from the first page to the one that says it is the last.
async fn walk(api: &Api, query: &str) -> Vec<Value> {
    walk_of(api, &format!("/opportunities?{query}")).await
}

/// All rows of a list with a query string, from the first page to the one that says it is the last.
async fn walk_of(api: &Api, list: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    for _ in 0..200 {
        let page = api.get(&format!("{list}{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let items = page.body["items"].as_array().unwrap();
        rows.extend(items.iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
        assert!(!items.is_empty(), "an empty page that is not the last");
    }
    panic!("no last page of {list}")
}

fn is_ordered(rows: &[Value], sort: &str, order: &str) {
    for pair in rows.windows(2) {
        let found = compare(&pair[0], &pair[1], sort, order);
        let told = [&pair[0][sort], &pair[0]["id"], &pair[1][sort], &pair[1]["id"]];
        assert_eq!(found, Ordering::Less, "{sort} {order}: {told:?}");
    }
}

/// How two rows have to stand: by the key, those without one last; ties by id.
fn compare(one: &Value, other: &Value, sort: &str, order: &str) -> Ordering {
    let by_key = match (&one[sort], &other[sort]) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => return Ordering::Greater,
        (_, Value::Null) => return Ordering::Less,
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().unwrap().total_cmp(&other.as_f64().unwrap())
        }
        (Value::String(one), Value::String(other)) if sort.ends_with("_at") => {
            instant(one).cmp(&instant(other))
        }
        // Bytes of UTF-8 are in the order of code points.
        (Value::String(one), Value::String(other)) => one.as_bytes().cmp(other.as_bytes()),
        other => panic!("{other:?}"),
    };
    let by_id = one["id"].as_i64().cmp(&other["id"].as_i64());
    let ascending = by_key.then(by_id);
    if order == "asc" { ascending } else { ascending.reverse() }
}

fn instant(text: &str) -> chrono::DateTime<chrono::FixedOffset> {
    chrono::DateTime::parse_from_rfc3339(text).unwrap()
}

fn has_each_once(rows: &[Value], there: &BTreeSet<i64>) {
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    let unique: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "a row came twice");
    assert!(there.is_subset(&unique), "{:?} are missing", there.difference(&unique));
}

async fn defaults_are_as_documented(api: &Api) {
    for (query, sort, order) in [
        ("", "created_at", "desc"),
        ("sort_by=amount", "amount", "desc"),
        ("sort_by=expected_close_date", "expected_close_date", "desc"),
        ("sort_by=probability", "probability", "desc"),
        ("sort_by=opportunity_name", "opportunity_name", "asc"),
        ("sort_by=customer_name", "customer_name", "asc"),
        ("order=asc", "created_at", "asc"),
    ] {
        let page = api.get(&format!("/opportunities?{query}")).await;
        let items = page.body["items"].as_array().unwrap();
        assert_eq!((items.len(), &page.body["next_cursor"]), (24, &Value::Null), "{query}");
        is_ordered(items, sort, order);
    }
}

async fn a_cursor_continues_only_its_own_list(api: &Api) {
    let page = api.get("/opportunities?limit=5&sort_by=amount").await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    let more = api.get(&format!("/opportunities?limit=6&sort_by=amount&cursor={cursor}")).await;
    assert_eq!((more.status, more.body["items"].as_array().unwrap().len()), (200, 6));
    for other in ["sort_by=probability", "sort_by=amount&order=asc", "sort_by=amount&source=old"] {
        let refused = api.get(&format!("/opportunities?{other}&cursor={cursor}")).await;
        assert_eq!(refused.problem(), (400, "cursor_invalid"), "{other}");
    }
}

async fn totals_and_filters_hold_on_every_page(api: &Api, there: &BTreeSet<i64>) {
    let rows = walk(api, "source=old&limit=5&include_total=true&sort_by=weighted_value").await;
    let ids: BTreeSet<_> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    assert_eq!((&ids, rows.len()), (there, there.len()));
    let page = api.get("/opportunities?source=old&limit=5&include_total=true").await;
    assert_eq!(page.body["total_count"], 24);
    let without = api.get("/opportunities?limit=5").await;
    assert_eq!(without.body["total_count"], Value::Null);
    let last = api.get("/opportunities?source=old&limit=24").await;
    assert_eq!(last.body["next_cursor"], Value::Null, "a full page that is the last");
    let users = api.get("/users?limit=1").await;
    assert_eq!(users.body["items"].as_array().unwrap().len(), 1);
}
