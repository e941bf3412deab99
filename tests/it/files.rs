//! Files over REST, as somebody who comes from another system brings them in: a look first, then all of it, watched to its end, and taken back.

use local::StackOptions;
use proto::identity::v1::Role;
use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

#[tokio::test]
async fn files_are_brought_in_watched_and_taken_back() {
    let world = World::start(StackOptions::default()).await;
    let amy = world.add("amy", Role::Rep, None).await.api;
    let ben = world.add("ben", Role::Rep, None).await.api;
    a_table_is_looked_at_before_it_is_brought_in(&amy).await;
    a_workbook_that_was_taken_out_comes_in_and_is_taken_back(&world.admin, &amy, &ben).await;
    what_cannot_be_read_is_refused_with_what_is_wrong(&world, &amy).await;
}

/// The import of an answer, once it is done; the events by which that was told.
async fn watched(api: &Api, begun: &Value) -> (Value, Vec<Value>) {
    let answer = api.get(&format!("/imports/{}/stream", begun["id"])).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    let told = answer.text.split("\n\n").filter(|it| !it.is_empty() && !it.starts_with(':'));
    let told: Vec<Value> = told
        .map(|event| {
            let data = event.strip_prefix("event: progress\ndata: ").unwrap();
            serde_json::from_str(data).unwrap()
        })
        .collect();
    let last = told.last().unwrap().clone();
    (last, told)
}

async fn a_table_is_looked_at_before_it_is_brought_in(amy: &Api) {
    let table = "商機名稱,客戶,金額,Colour\nA,甲公司,\"1,000.50\",red\nB,,2,blue\n".as_bytes();
    let look = amy.send_file("/imports", &[], &[("dry_run", "true")], table).await;
    assert_eq!(look.status, 202, "{}", look.text);
    assert_eq!(look.header("location"), format!("/api/v1/imports/{}", look.body["id"]));
    let (last, _) = watched(amy, &look.body).await;
    assert_eq!(last["status"], "done");
    let found = amy.get(&format!("/imports/{}", look.body["id"])).await.body;
    let fields: Vec<_> =
        found["columns"].as_array().unwrap().iter().map(|it| &it["field"]).collect();
    assert_eq!(
        fields,
        [&json!("opportunity_name"), &json!("customer_name"), &json!("amount"), &Value::Null]
    );
    assert_eq!(found["unmapped_columns"], json!(["Colour"]));
    assert_eq!((&found["created"], &found["failed"]), (&json!(1), &json!(1)));
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows[1]["errors"][0]["field"], "customer_name");
    assert!(amy.all("/opportunities").await.is_empty(), "nothing was written");

    // Once, however often it is sent.
    let key = [("idempotency-key", "table")];
    let mapping = r#"{"商機名稱":"opportunity_name","客戶":"customer_name","Colour":"tags"}"#;
    let fields = [("mapping", mapping)];
    let first = amy.send_file("/imports", &key, &fields, table).await;
    let again = amy.send_file("/imports", &key, &fields, table).await;
    assert_eq!((first.status, &first.text), (202, &again.text));
    let longer = [table, "C,丙公司,3,red\n".as_bytes()].concat();
    let other = amy.send_file("/imports", &key, &fields, &longer);
    assert_eq!(other.await.bad_fields(), [("Idempotency-Key", "idempotency_key_reused")]);
    let (last, _) = watched(amy, &first.body).await;
    assert_eq!((&last["created"], &last["unmapped_columns"]), (&json!(1), &json!(["金額"])));
    let sales = amy.all("/opportunities").await;
    assert_eq!((sales.len(), &sales[0]["tags"]), (1, &json!(["red"])));
    let undone = amy.post(&format!("/imports/{}/undo", first.body["id"]), &Value::Null).await;
    assert_eq!(undone.status, 202, "{}", undone.text);
    assert_eq!(watched(amy, &undone.body).await.0["status"], "undone");
}

async fn a_workbook_that_was_taken_out_comes_in_and_is_taken_back(
    admin: &Api,
    amy: &Api,
    ben: &Api,
) {
    let seats = json!({"key": "seats", "name": "席次", "type": "number"});
    assert_eq!(admin.post("/custom-fields", &seats).await.status, 201);
    let sale = json!({
        "customer_name": "乙公司", "opportunity_name": "=授權", "stage": "won", "products": ["X"],
        "line_items": [{"name": "授權", "quantity": 3, "unit_price": 99.99}],
        "custom_fields": {"seats": 12.5}, "notes": "'quoted'",
    });
    let sale = amy.create(&sale).await;
    let book = amy.file("/opportunities/export?format=xlsx").await;
    let begun = amy.send_file("/imports", &[], &[("mode", "all_or_nothing")], &book).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let (last, told) = watched(amy, &begun.body).await;
    assert_eq!((&last["status"], &last["created"]), (&json!("done"), &json!(1)), "{told:?}");
    assert_eq!((&last["rows"], &last["total_rows"]), (&json!([]), &json!(1)));
    let unmapped = last["unmapped_columns"].as_array().unwrap();
    assert!(unmapped.contains(&json!("closed_amount")) && !unmapped.contains(&json!("stage")));
    let sales = amy.all("/opportunities").await;
    let twin = sales.iter().find(|it| it["id"] != sale["id"]).unwrap();
    for field in [
        "opportunity_name",
        "customer_id",
        "stage_key",
        "amount",
        "closed_amount",
        "products",
        "line_items",
        "custom_fields",
        "notes",
        "actual_close_date",
    ] {
        assert_eq!(twin[field], sale[field], "{field}");
    }

    // Whoever may not see it does not hear of it.
    let path = format!("/imports/{}/stream", begun.body["id"]);
    assert_eq!(ben.get(&path).await.problem(), (404, "not_found"));
    let undone = amy.post(&format!("/imports/{}/undo", begun.body["id"]), &Value::Null).await;
    let (last, _) = watched(amy, &undone.body).await;
    assert_eq!((&last["status"], &last["undone"]), (&json!("undone"), &json!(1)));
    assert_eq!(amy.get(&format!("/opportunities/{}", twin["id"])).await.status, 404);
}

async fn what_cannot_be_read_is_refused_with_what_is_wrong(world: &World, amy: &Api) {
    let send = async |fields: &[(&str, &str)], file: &[u8]| {
        amy.send_file("/imports", &[], fields, file).await
    };
    let old = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    for file in [&old[..], b"%PDF-1.7", &[0x1f, 0x8b, 8, 0]] {
        assert_eq!(send(&[], file).await.problem(), (415, "unsupported_media_type"));
    }
    assert_eq!(amy.post("/imports", &json!({})).await.problem(), (415, "unsupported_media_type"));
    let long = "x".repeat(300_000);
    assert_eq!(send(&[("mapping", &long)], b"a\nb\n").await.problem(), (413, "too_large"));
    for (file, code) in [
        (&b"PK\x03\x04 and no more"[..], "broken_workbook"),
        (b"", "required"),
        (b"opportunity_name,customer_name\n", "no_rows"),
        (b"opportunity_name,customer_name\n\xff,A\n", "invalid_encoding"),
    ] {
        assert_eq!(send(&[], file).await.bad_fields(), [("file", code)]);
    }
    let table = b"a,b\n1,2\n";
    let mapping = r#"{"a":"custom_fields.nothing","c":"notes"}"#;
    let expected = [
        ("mapping", "required"),
        ("mapping", "required"),
        ("mapping.a", "unknown_field"),
        ("mapping.c", "unknown_column"),
    ];
    assert_eq!(send(&[("mapping", mapping)], table).await.bad_fields(), expected);
    let shape = send(&[("mapping", r#"{"a":["notes"]}"#)], table).await;
    assert_eq!(shape.bad_fields(), [("mapping", "wrong_type")]);
    for broken in ["a=notes", "[1, oops"] {
        let refused = send(&[("mapping", broken), ("mode", "some")], table).await;
        assert_eq!(refused.problem(), (400, "malformed"), "{broken}");
    }
    assert_eq!(send(&[("colour", "red")], table).await.bad_fields(), [("colour", "unknown_field")]);
    let viewer = world.add("viewer", Role::Viewer, None).await.api;
    assert_eq!(viewer.send_file("/imports", &[], &[], table).await.problem().0, 403);
    assert_eq!(world.nobody.get("/imports/1/stream").await.problem().0, 401);
}
