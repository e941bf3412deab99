//! A task and a comment over REST: made once, changed, done, and told of.

use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Person, World};

#[tokio::test]
async fn a_task_is_given_done_and_undone_and_who_is_mentioned_hears_of_it() {
    let world = World::with("VISIBILITY", "team").await;
    let (north, south) = (world.add_team("North").await, world.add_team("South").await);
    let amy = world.add("amy", Role::Rep, Some(north)).await;
    let cat = world.add("cat", Role::Rep, Some(north)).await;
    let ben = world.add("ben", Role::Rep, Some(south)).await;
    let said = json!({"customer_name": "XYZ 公司", "opportunity_name": "軟體授權採購"});
    let sale = amy.api.create(&said).await;
    let task = a_task_is_made_once_and_is_what_is_to_be_done_next(&amy, &cat, &sale).await;
    it_is_changed_only_as_the_version_that_was_seen(&amy, &task).await;
    it_is_on_the_list_of_whom_it_was_given_to(&cat, &task).await;
    what_is_wrong_with_it_is_said_by_field(&amy, &sale).await;
    a_comment_is_told_to_those_mentioned_who_may_see_it(&world, &amy, &cat, &ben, &sale).await;
    it_is_in_the_audit(&world, &task).await;
}

async fn a_task_is_made_once_and_is_what_is_to_be_done_next(
    amy: &Person,
    cat: &Person,
    sale: &Value,
) -> Value {
    let path = format!("/opportunities/{}/activities", sale["id"]);
    let said = json!({
        "activity_type": "call", "subject": " 電話確認預算 ", "owner_id": cat.id,
        "scheduled_at": "2020-01-01T09:00:00+08:00",
    });
    let key = [("idempotency-key", "k1")];
    let made = amy.api.send(Method::POST, &path, &key, &said.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("location"), format!("/api/v1/activities/{}", made.body["id"]));
    assert_eq!(made.header("etag"), "\"v1\"");
    let again = amy.api.send(Method::POST, &path, &key, &said.to_string()).await;
    assert_eq!((again.status, &again.body), (201, &made.body));
    let it = &made.body;
    let expected = json!({
        "id": it["id"], "opportunity_id": sale["id"], "opportunity_name": "軟體授權採購",
        "customer_id": sale["customer_id"], "customer_name": "XYZ 公司", "activity_type": "call",
        "subject": "電話確認預算", "description": null, "scheduled_at": "2020-01-01T01:00:00Z",
        "completed_at": null, "owner_id": cat.id, "owner_name": "cat", "created_by": amy.id,
        "created_by_name": "amy", "mentions": [], "created_at": it["created_at"],
        "updated_at": it["created_at"], "version": 1,
    });
    assert_eq!(*it, expected);
    let listed = amy.api.get(&path).await;
    assert_eq!(listed.body, json!({"items": [it], "next_cursor": null}));
    let read = amy.api.get(&format!("/opportunities/{}", sale["id"])).await;
    let next = json!({
        "id": it["id"], "activity_type": "call", "subject": "電話確認預算",
        "scheduled_at": "2020-01-01T01:00:00Z",
    });
    assert_eq!((&read.body["next_activity"], read.header("etag")), (&next, "\"v1\""));
    made.body
}

async fn it_is_changed_only_as_the_version_that_was_seen(amy: &Person, task: &Value) {
    let path = format!("/activities/{}", task["id"]);
    let patch = async |tag: &str, body: Value| {
        amy.api.send(Method::PATCH, &path, &[("if-match", tag)], &body.to_string()).await
    };
    let done = patch("\"v1\"", json!({"completed_at": "2020-01-02T00:00:00Z"})).await;
    assert_eq!((done.status, done.header("etag")), (200, "\"v2\""), "{}", done.text);
    assert_eq!(patch("\"v1\"", json!({"subject": "x"})).await.problem().0, 412);
    let open = patch("\"v2\"", json!({"completed_at": null})).await;
    assert_eq!(open.body["completed_at"], Value::Null);
    let deleted = amy.api.send(Method::DELETE, &path, &[("if-match", "\"v3\"")], "").await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    assert_eq!(amy.api.get(&path).await.problem().0, 404);
    let back = amy.api.send(Method::POST, &format!("{path}/restore"), &[], "").await;
    assert_eq!((back.status, back.header("etag")), (200, "\"v5\""), "{}", back.text);
    assert_eq!(amy.api.get(&path).await.body, back.body);
}

async fn it_is_on_the_list_of_whom_it_was_given_to(cat: &Person, task: &Value) {
    let path = format!("/activities?due=overdue&owner_id={}&include_total=true", cat.id);
    let due = cat.api.get(&path).await;
    assert_eq!(due.body["items"][0]["id"], task["id"], "{}", due.text);
    assert_eq!((&due.body["total_count"], &due.body["next_cursor"]), (&json!(1), &Value::Null));
    let today = cat.api.get("/activities?due=today").await;
    assert_eq!(today.body, json!({"items": [], "next_cursor": null, "total_count": null}));
    let all = cat.api.get("/activities?include_total=true").await;
    assert_eq!((&all.body["items"], &all.body["total_count"]), (&due.body["items"], &json!(1)));
    for wrong in ["due=someday", "until=x", "owner_id=x", "limit=201"] {
        let refused = cat.api.get(&format!("/activities?{wrong}")).await;
        assert_eq!(refused.bad_fields().len(), 1, "{wrong}");
    }
    // It is hers to do, and so hers to change.
    let path = format!("/activities/{}", task["id"]);
    let done = cat.api.patch(&path, &json!({"completed_at": "2020-01-02T00:00:00Z"})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    // Done, it is due no more, and still among all.
    let none = cat.api.get("/activities?due=overdue").await;
    assert_eq!(none.body["items"], json!([]), "{}", none.text);
    let all = cat.api.get("/activities").await;
    assert_eq!(all.body["items"], json!([done.body]), "{}", all.text);
    assert_eq!(cat.api.get("/activities?cursor=x").await.problem(), (400, "cursor_invalid"));
}

async fn what_is_wrong_with_it_is_said_by_field(amy: &Person, sale: &Value) {
    let path = format!("/opportunities/{}/activities", sale["id"]);
    let refused = amy.api.post(&path, &json!({"completed_at": "9999-01-01T00:00:00Z"})).await;
    let expected =
        [("activity_type", "required"), ("completed_at", "in_the_future"), ("subject", "required")];
    assert_eq!(refused.bad_fields(), expected);
    let nobody = json!({"activity_type": "note", "subject": "@[999999]", "owner_id": 999_998});
    let refused = amy.api.post(&path, &nobody).await;
    assert_eq!(refused.bad_fields(), [("owner_id", "unknown_user"), ("subject", "unknown_user")]);
    for unknown in [json!({"opportunity_id": 1}), json!({"created_by": 1}), json!({"mentions": []})]
    {
        let refused = amy.api.post(&path, &unknown).await;
        assert_eq!(refused.bad_fields()[0].1, "unknown_field");
    }
}

async fn a_comment_is_told_to_those_mentioned_who_may_see_it(
    world: &World,
    amy: &Person,
    cat: &Person,
    ben: &Person,
    sale: &Value,
) {
    let path = format!("/opportunities/{}/activities", sale["id"]);
    let note =
        |text: String| json!({"activity_type": "note", "subject": "報價", "description": text});
    let text = format!("@[{}] 與 @[{}]、@[{}] 請看", cat.id, ben.id, amy.id);
    let made = amy.api.post(&path, &note(text.clone())).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mentions = [cat, ben, amy].map(|it| it.id).into_iter().zip(["cat", "ben", "amy"]);
    let mentions: Vec<_> =
        mentions.map(|(id, name)| json!({"user_id": id, "username": name})).collect();
    assert_eq!(made.body["mentions"], json!(mentions));
    // To mention them once more is no news.
    let activity = format!("/activities/{}", made.body["id"]);
    amy.api.patch(&activity, &note(format!("{text}!"))).await;
    // What comes last has been told of when all before it was.
    let last = format!("@[{}]", cat.id);
    amy.api.post(&path, &note(last)).await;
    let is_all = |body: &Value| body["items"].as_array().is_some_and(|items| items.len() > 1);
    let told = cat.api.eventually("/notifications", is_all).await;
    assert_eq!(told.body["items"].as_array().unwrap().len(), 2, "{}", told.text);
    let told = &told.body["items"][1];
    assert_eq!(told["event"], "activity.mentioned");
    assert_eq!(told["opportunity_id"], sale["id"]);
    assert_eq!(told["title"], "amy 在「軟體授權採購」提到您");
    assert_eq!(told["body"], "主旨：報價\n內容：@cat 與 @ben、@amy 請看");
    // Neither who may not see it, nor who wrote it.
    for other in [ben, amy] {
        let nothing = other.api.get("/notifications").await;
        assert_eq!(nothing.body["items"], json!([]), "{}", nothing.text);
    }
    assert_eq!(ben.api.get(&activity).await.problem().0, 404);
    assert_eq!(world.admin.get(&activity).await.status, 200);
}

async fn it_is_in_the_audit(world: &World, task: &Value) {
    let path = format!("/audit?source=opportunities&record_type=activity&record_id={}", task["id"]);
    let kinds: Vec<_> = world.admin.all(&path).await;
    let mut kinds: Vec<_> = kinds.iter().map(|it| it["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    let expected = ["completed", "completed", "created", "deleted", "restored", "updated"];
    assert_eq!(kinds, expected.map(|kind| format!("activity.{kind}")));
}
