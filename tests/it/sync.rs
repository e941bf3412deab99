//! Keeping a copy, over REST and as a stream: what changed comes once asked, and by itself.

use proto::identity::v1::Role;
use proto::opportunities::v1::sync_item::Record;
use proto::opportunities::v1::sync_service_client::SyncServiceClient;
use proto::opportunities::v1::{StreamSyncItemsRequest, StreamSyncItemsResponse, SyncType};
use rpc::client::Context;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::api::{Api, PATIENCE};
use crate::world::World;

#[tokio::test]
async fn a_copy_is_made_and_kept_and_a_stream_tells_by_itself() {
    let world = World::with("VISIBILITY", "owner").await;
    let amy = world.add("amy", Role::Rep, None).await;
    let ben = world.add("ben", Role::Rep, None).await;
    let said =
        json!({"customer_name": "XYZ 公司", "opportunity_name": "軟體授權採購", "amount": 0.1});
    let sale = amy.api.create(&said).await;
    let (items, next) = caught_up(&amy.api, None).await;
    let kinds: Vec<_> = items.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["pipeline", "customer", "opportunity"]);
    let expected = json!({
        "type": "opportunity", "id": sale["id"], "version": 1, "deleted": false, "record": sale,
    });
    assert_eq!(items[2], expected);
    let mut hers = stream(&world, &amy.api, &next).await.unwrap();
    let first = heard(&mut hers).await.unwrap();
    assert!(first.items.is_empty() && !first.has_more);
    let (_, bens) = caught_up(&ben.api, None).await;

    let path = format!("/opportunities/{}", sale["id"]);
    let handed = amy.api.patch(&path, &json!({"owner_id": ben.id})).await;
    assert_eq!(handed.status, 200, "{}", handed.text);
    let gone = |kind: &str, id: &Value, version: i64| json!({"type": kind, "id": id, "version": version, "deleted": true, "record": null});
    let (items, _) = told_after(&amy.api, &next, &sale["id"]).await;
    // She made the customer, and keeps it.
    assert_eq!(items.last(), Some(&gone("opportunity", &sale["id"], 2)));
    let (items, _) = told_after(&ben.api, &bens, &sale["id"]).await;
    let kinds: Vec<_> = items.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!((kinds, &items[1]["record"]), (vec!["customer", "opportunity"], &handed.body));
    let message = heard_of(&mut hers, SyncType::Opportunity).await;
    let it = message.items.iter().find(|it| it.r#type() == SyncType::Opportunity).unwrap();
    assert_eq!((it.deleted, it.version, &it.record), (true, 2, &None));

    let mut his = stream(&world, &ben.api, &bens).await.unwrap();
    let message = heard_of(&mut his, SyncType::Opportunity).await;
    let it = message.items.iter().find(|it| it.r#type() == SyncType::Opportunity).unwrap();
    assert!(matches!(&it.record, Some(Record::Opportunity(it)) if it.owner_id == ben.id));
    let off = world.admin.patch(&format!("/users/{}", ben.id), &json!({"is_active": false})).await;
    assert_eq!(off.status, 200);
    assert_eq!(ended(&mut his).await.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_place_that_is_none_is_said_to_be_none() {
    let world = World::with("VISIBILITY", "everyone").await;
    let (_, next) = caught_up(&world.admin, None).await;
    let viewer = world.add("viewer", Role::Viewer, None).await;
    for (api, since) in [(&world.admin, "x"), (&viewer.api, &*next)] {
        let answer = api.get(&format!("/sync?since={since}")).await;
        assert_eq!(answer.problem(), (400, "cursor_invalid"));
    }
    assert_eq!(world.admin.get("/sync?limit=201").await.bad_fields(), [("limit", "out_of_range")]);
    assert_eq!(world.admin.get("/sync?cursor=1").await.status, 422);
    let refused = stream(&world, &viewer.api, "x").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn nobody_takes_all_streams() {
    let world = World::with("VISIBILITY", "everyone").await;
    let viewer = world.add("viewer", Role::Viewer, None).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(stream(&world, &viewer.api, "").await.unwrap());
    }
    let refused = stream(&world, &viewer.api, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(stream(&world, &world.admin, "").await.is_ok());
    drop(streams);
    // One that nobody listens to ends by itself.
    let freed = async {
        while stream(&world, &viewer.api, "").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.expect("no place is free again");
}

/// All there is after a place, or from the beginning, and where that ends.
async fn caught_up(api: &Api, since: Option<String>) -> (Vec<Value>, String) {
    let (mut items, mut next) = (Vec::new(), since.unwrap_or_default());
    loop {
        let answer = api.get(&format!("/sync?limit=2&since={next}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        items.extend(answer.body["items"].as_array().unwrap().iter().cloned());
        answer.body["next"].as_str().unwrap().clone_into(&mut next);
        if answer.body["has_more"] == json!(false) {
            return (items, next);
        }
    }
}

/// The same, once the second version of an opportunity has come: what was committed is told a moment later, and not all of it at once.
async fn told_after(api: &Api, since: &str, id: &Value) -> (Vec<Value>, String) {
    let path = format!("/sync?since={since}");
    let is_it = |it: &Value| it["type"] == "opportunity" && it["id"] == *id && it["version"] == 2;
    let is_told = |body: &Value| body["items"].as_array().is_some_and(|it| it.iter().any(is_it));
    api.eventually(&path, is_told).await;
    caught_up(api, Some(since.to_owned())).await
}

type Stream = Streaming<StreamSyncItemsResponse>;

async fn stream(world: &World, api: &Api, since: &str) -> Result<Stream, Status> {
    let token = api.token().unwrap();
    let context = Context::default().with_authorization(format!("Bearer {token}").parse().unwrap());
    let message = StreamSyncItemsRequest { since: Some(since.to_owned()), limit: None };
    let mut service = SyncServiceClient::new(world.channel("opportunities"));
    service.stream_sync_items(context.request(message)).await.map(tonic::Response::into_inner)
}

async fn heard(stream: &mut Stream) -> Result<StreamSyncItemsResponse, Status> {
    let message = timeout(PATIENCE, stream.message()).await.expect("nothing is said");
    message.map(|message| message.expect("it ended"))
}

/// The first message with something of a kind.
async fn heard_of(stream: &mut Stream, kind: SyncType) -> StreamSyncItemsResponse {
    loop {
        let message = heard(stream).await.unwrap();
        if message.items.iter().any(|it| it.r#type() == kind) {
            return message;
        }
    }
}

/// How it ends.
async fn ended(stream: &mut Stream) -> Status {
    loop {
        if let Err(status) = heard(stream).await {
            return status;
        }
    }
}
