//! What is taken back counts in every replica of every process within two seconds, and without the broker too.

use std::time::Duration;

use local::StackOptions;
use proto::analytics::v1::GetForecastRequest;
use proto::analytics::v1::forecast_service_client::ForecastServiceClient;
use proto::identity::v1::user_service_client::UserServiceClient;
use proto::identity::v1::{GetUserRequest, Role};
use proto::notifier::v1::ListNotificationsRequest;
use proto::notifier::v1::notification_service_client::NotificationServiceClient;
use proto::opportunities::v1::ListOpportunitiesRequest;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use rpc::Tls;
use rpc::client::{Context, connect_lazy};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::api::{Api, PATIENCE};
use crate::world::{Person, World};

/// What the product promises.
const PROMISED: Duration = Duration::from_secs(2);

/// How every replica of every service answers a read with this token.
async fn codes(world: &World, api: &Api) -> Vec<Code> {
    let bearer = format!("Bearer {}", api.token().unwrap());
    let context = Context::default().with_authorization(bearer.parse().unwrap());
    let (mut codes, plain) = (Vec::new(), Tls::default());
    for url in world.stack.urls("identity") {
        let mut users = UserServiceClient::new(connect_lazy(&url, &plain).unwrap());
        codes.push(users.get_user(context.request(GetUserRequest { id: 1 })).await.map(drop));
    }
    for url in world.stack.urls("opportunities") {
        let mut book = OpportunityServiceClient::new(connect_lazy(&url, &plain).unwrap());
        let request = context.request(ListOpportunitiesRequest::default());
        codes.push(book.list_opportunities(request).await.map(drop));
    }
    for url in world.stack.urls("analytics") {
        let mut forecasts = ForecastServiceClient::new(connect_lazy(&url, &plain).unwrap());
        let request = context.request(GetForecastRequest::default());
        codes.push(forecasts.get_forecast(request).await.map(drop));
    }
    for url in world.stack.urls("notifier") {
        let mut notifications = NotificationServiceClient::new(connect_lazy(&url, &plain).unwrap());
        let request = context.request(ListNotificationsRequest::default());
        codes.push(notifications.list_notifications(request).await.map(drop));
    }
    codes.into_iter().map(|it| it.map_or_else(|status| status.code(), |()| Code::Ok)).collect()
}

/// Waits until everybody, the gateway too, refuses the token; how long that took.
async fn refused_everywhere(world: &World, api: &Api, patience: Duration) -> Duration {
    let begun = Instant::now();
    loop {
        let codes = codes(world, api).await;
        let at_the_gateway = api.get("/users/me").await.status;
        let all = codes.iter().all(|code| *code == Code::Unauthenticated);
        if all && at_the_gateway == 401 {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < patience, "{at_the_gateway} {codes:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn signed_in_everywhere(world: &World, person: &Person) {
    assert!(codes(world, &person.api).await.iter().all(|code| *code == Code::Ok));
    assert_eq!(person.api.get("/users/me").await.status, 200);
}

#[tokio::test]
async fn what_is_taken_back_counts_in_every_replica_within_two_seconds() {
    let options = StackOptions { replicas: 2, ..StackOptions::default() };
    let world = World::start(options).await;

    let amy = world.add("amy", Role::Rep, None).await;
    signed_in_everywhere(&world, &amy).await;
    let sessions = amy.api.get("/users/me/sessions").await;
    let path = format!("/users/me/sessions/{}", sessions.body["items"][0]["id"]);
    assert_eq!(amy.api.delete(&path).await.status, 204);
    refused_everywhere(&world, &amy.api, PROMISED).await;

    let bob = world.add("bob", Role::Rep, None).await;
    signed_in_everywhere(&world, &bob).await;
    let form = [("token", bob.api.token().unwrap())];
    assert_eq!(world.nobody.send_form("/auth/revoke", &form).await.status, 200);
    refused_everywhere(&world, &bob.api, PROMISED).await;

    let eve = world.add("eve", Role::Rep, None).await;
    signed_in_everywhere(&world, &eve).await;
    let path = format!("/users/{}", eve.id);
    assert_eq!(world.admin.patch(&path, &json!({"is_active": false})).await.status, 200);
    refused_everywhere(&world, &eve.api, PROMISED).await;

    // Who is only looking from now on writes nothing, through whichever replica.
    let dan = world.add("dan", Role::Rep, None).await;
    let mine = dan.api.create(&json!({"customer_name": "A", "opportunity_name": "B"})).await;
    let path = format!("/users/{}", dan.id);
    assert_eq!(world.admin.patch(&path, &json!({"role": "viewer"})).await.status, 200);
    sleep(PROMISED).await;
    for _ in 0..10 {
        let move_it = format!("/opportunities/{}/stage", mine["id"]);
        let refused = dan.api.patch(&move_it, &json!({"stage": "won"})).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
    }
}

#[tokio::test]
async fn without_the_broker_it_counts_when_the_state_is_asked_for() {
    let options = StackOptions { own_nats: true, ..StackOptions::default() };
    let mut world = World::start(options).await;
    let amy = world.add("amy", Role::Rep, None).await;
    signed_in_everywhere(&world, &amy).await;
    world.stack.stop_nats().await.unwrap();
    let path = format!("/users/{}", amy.id);
    assert_eq!(world.admin.patch(&path, &json!({"is_active": false})).await.status, 200);
    refused_everywhere(&world, &amy.api, PATIENCE).await;
}
