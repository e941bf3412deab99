//! A real server, called as clients of every kind call it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first thing it did not expect")]

mod connections;
mod tls;
mod trace;
mod web;

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use process::Listener;
use proto::identity::v1::{
    Key, ListKeysRequest, ListKeysResponse,
    key_service_client::KeyServiceClient,
    key_service_server::{KeyService, KeyServiceServer},
};
use rpc::{Error, Tls, client, client::Channel, reason};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const KEY_SERVICE: &str = "salespipeline.identity.v1.KeyService";

type Work =
    dyn Fn(Request<ListKeysRequest>) -> BoxFuture<'static, Result<String, Error>> + Send + Sync;

/// A method that does what a test says, and answers a text.
struct Does(Arc<Work>);

#[tonic::async_trait]
impl KeyService for Does {
    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        let kid = (self.0)(request).await?;
        Ok(Response::new(ListKeysResponse { keys: vec![Key { kid, ..Key::default() }] }))
    }
}

fn does<F>(
    work: impl Fn(Request<ListKeysRequest>) -> F + Send + Sync + 'static,
) -> KeyServiceServer<Does>
where
    F: Future<Output = Result<String, Error>> + Send + 'static,
{
    KeyServiceServer::new(Does(Arc::new(move |request| Box::pin(work(request)))))
}

struct Running {
    url: String,
    channel: Channel,
    shutdown: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(server: rpc::Server) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(socket.into(), server)
    }

    fn on(listener: Listener, server: rpc::Server) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(server.serve(listener, shutdown.clone()));
        Self {
            channel: client::connect_lazy(&url, &Tls::default()).unwrap(),
            url,
            shutdown,
            served,
        }
    }

    async fn doing<F>(work: impl Fn(Request<ListKeysRequest>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, Error>> + Send + 'static,
    {
        Self::start(rpc::Server::builder("test").add(does(work))).await
    }

    async fn call(&self, context: client::Context) -> Result<String, Error> {
        let mut client = KeyServiceClient::new(self.channel.clone());
        let answer = client.list_keys(context.request(ListKeysRequest {})).await?;
        Ok(answer.into_inner().keys.remove(0).kid)
    }
}

fn within(time: Duration) -> client::Context {
    client::Context::default().with_deadline(Instant::now() + time)
}

#[tokio::test]
async fn what_travels_with_a_request_arrives() {
    let server = Running::doing(async |request| {
        let context = rpc::context(&request);
        let left = context.deadline().unwrap() - Instant::now();
        assert!(left > Duration::from_secs(2) && left < Duration::from_secs(3), "{left:?}");
        Ok(format!(
            "{} {} {}",
            context.request_id(),
            context.idempotency_key()?.unwrap_or_default(),
            context.trace_id().unwrap()
        ))
    })
    .await;
    let context = within(Duration::from_secs(3))
        .with_request_id("r-1".parse().unwrap())
        .with_idempotency_key("k-1".parse().unwrap())
        .with_traceparent(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap(),
        );
    assert_eq!(server.call(context).await.unwrap(), "r-1 k-1 0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn who_names_no_request_id_is_told_the_one_that_was_made() {
    let server =
        Running::doing(async |request| Ok(rpc::context(&request).request_id().to_owned())).await;
    let answer =
        KeyServiceClient::new(server.channel.clone()).list_keys(ListKeysRequest {}).await.unwrap();
    let told = answer.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    assert_eq!(answer.into_inner().keys[0].kid, told);
    let known = client::Context::default()
        .with_request_id("r-1".parse().unwrap())
        .request(ListKeysRequest {});
    let answer = KeyServiceClient::new(server.channel.clone()).list_keys(known).await.unwrap();
    assert!(answer.metadata().get("x-request-id").is_none());
}

#[tokio::test]
async fn an_error_reaches_the_caller_as_it_was() {
    let server =
        Running::doing(async |_| Err(Error::invalid("amount", "too_large", "must be at most 10")))
            .await;
    let Err(Error::Invalid(fields)) = server.call(client::Context::default()).await else {
        panic!("it is invalid")
    };
    assert_eq!((fields[0].field.as_str(), &*fields[0].code), ("amount", "too_large"));
}

#[tokio::test]
async fn a_method_that_is_too_slow_is_answered_for_before_the_caller_gives_up() {
    let server = Running::doing(async |_| std::future::pending().await).await;
    let error = server.call(within(Duration::from_secs(1))).await.unwrap_err();
    assert_eq!(error.reason(), reason::DEADLINE_EXCEEDED);
}

#[tokio::test]
async fn a_write_that_is_too_slow_has_an_unknown_outcome() {
    let server = Running::doing(async |_| rpc::write(std::future::pending()).await).await;
    let error = server.call(within(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown), "{error:?}");
}

#[tokio::test]
async fn a_server_has_the_last_word_on_how_long_a_request_may_take() {
    let server = rpc::Server::builder("test").longest(Duration::from_millis(50));
    let server = Running::start(server.add(does(async |_| std::future::pending().await))).await;
    let error = server.call(within(Duration::from_mins(1))).await.unwrap_err();
    assert_eq!(error.reason(), reason::DEADLINE_EXCEEDED);
}

#[tokio::test]
async fn a_method_that_panics_is_an_internal_error_and_the_server_lives_on() {
    let server = Running::doing(async |request| {
        assert!(rpc::context(&request).idempotency_key()?.is_some(), "a defect");
        Ok("fine".to_owned())
    })
    .await;
    assert!(matches!(server.call(client::Context::default()).await, Err(Error::Internal(_))));
    let context = client::Context::default().with_idempotency_key("k".parse().unwrap());
    assert_eq!(server.call(context).await.unwrap(), "fine");
}

#[tokio::test]
async fn more_requests_than_a_server_takes_are_refused_at_once() {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let work = {
        let (arrived, go_on) = (arrived.clone(), go_on.clone());
        move |_| {
            let (arrived, go_on) = (arrived.clone(), go_on.clone());
            async move {
                arrived.notify_one();
                go_on.notified().await;
                Ok("done".to_owned())
            }
        }
    };
    let server = Running::start(rpc::Server::builder("test").most_at_once(1).add(does(work))).await;
    let server = Arc::new(server);
    let first = tokio::spawn({
        let server = server.clone();
        async move { server.call(client::Context::default()).await }
    });
    arrived.notified().await;
    let refused = server.call(client::Context::default()).await.unwrap_err();
    assert_eq!(refused.reason(), reason::OVERLOADED);
    go_on.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), "done");
    go_on.notify_one();
    assert_eq!(server.call(client::Context::default()).await.unwrap(), "done");
}

#[tokio::test]
async fn health_follows_readiness() {
    let readiness = process::Readiness::default();
    let schema = readiness.latch("schema");
    let server =
        rpc::Server::builder("test").readiness(&readiness).add(does(async |_| Ok(String::new())));
    let server = Running::start(server).await;
    let mut health = HealthClient::new(server.channel.clone());
    let mut watch = async |service: &str| {
        health.watch(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner()
    };
    for service in ["", KEY_SERVICE] {
        let now = watch(service).await.message().await.unwrap().unwrap();
        assert_eq!(now.status(), ServingStatus::NotServing, "{service}");
    }
    let mut states = watch(KEY_SERVICE).await;
    schema.set();
    while states.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    readiness.drain();
    assert_eq!(states.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn reflection_tells_the_contract() {
    let server = Running::start(rpc::Server::builder("test")).await;
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(server.channel.clone());
    let mut answers =
        client.server_reflection_info(futures::stream::iter([ask])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list")
    };
    let names: Vec<_> = list.service.iter().map(|it| it.name.as_str()).collect();
    assert!(names.contains(&KEY_SERVICE) && names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test]
async fn a_method_that_there_is_not_is_said_to_be_none() {
    let server = Running::start(rpc::Server::builder("test")).await;
    let error = server.call(client::Context::default()).await.unwrap_err();
    assert_eq!(error.reason(), reason::UNIMPLEMENTED);
}

#[tokio::test]
async fn a_server_that_drains_finishes_its_requests_and_the_writes_that_nobody_waits_for() {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (written, was_written) = oneshot::channel();
    let written = Arc::new(std::sync::Mutex::new(Some(written)));
    let work = {
        let (arrived, go_on) = (arrived.clone(), go_on.clone());
        move |_| {
            let (arrived, go_on, written) = (arrived.clone(), go_on.clone(), written.clone());
            rpc::write(async move {
                arrived.notify_one();
                go_on.notified().await;
                written.lock().unwrap().take().unwrap().send(()).unwrap();
                Ok("written".to_owned())
            })
        }
    };
    let server = Running::start(rpc::Server::builder("test").add(does(work))).await;
    // Its caller hangs up at once.
    let abandoned = server.call(client::Context::default());
    tokio::select! {
        _ = abandoned => panic!("it waits"),
        () = arrived.notified() => {}
    }
    server.shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(!server.served.is_finished());
    go_on.notify_one();
    server.served.await.unwrap().unwrap();
    was_written.await.unwrap();
}

#[tokio::test]
async fn calls_are_spread_over_the_replicas() {
    let one = Running::doing(async |_| Ok("one".to_owned())).await;
    let two = Running::doing(async |_| Ok("two".to_owned())).await;
    let channel =
        client::connect_lazy(&format!("{}, {}", one.url, two.url), &Tls::default()).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let mut client = KeyServiceClient::new(channel.clone());
        let answer = client.list_keys(ListKeysRequest {}).await.unwrap();
        seen.insert(answer.into_inner().keys.remove(0).kid);
        if seen.len() == 2 {
            return;
        }
    }
    panic!("only {seen:?} answered");
}

#[tokio::test]
async fn a_replica_that_is_not_ready_is_not_called() {
    let readiness = process::Readiness::default();
    let server = rpc::Server::builder("test").readiness(&readiness);
    let one = Running::start(server.add(does(async |_| Ok("one".to_owned())))).await;
    let two = Running::doing(async |_| Ok("two".to_owned())).await;
    let channel =
        client::connect_lazy(&format!("{},{}", one.url, two.url), &Tls::default()).unwrap();
    let seen = async || {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let mut client = KeyServiceClient::new(channel.clone());
            let answer = client.list_keys(ListKeysRequest {}).await.unwrap();
            seen.insert(answer.into_inner().keys.remove(0).kid);
        }
        seen
    };
    let until = async |expected: &[&str]| {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while seen().await.iter().ne(expected) {}
        });
        waited.await.unwrap_or_else(|_| panic!("not {expected:?}"));
    };
    until(&["one", "two"]).await;
    readiness.drain();
    until(&["two"]).await;
    assert_eq!(seen().await.len(), 1, "it stays so");
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let channel = client::connect_lazy(&url, &Tls::default()).unwrap();
    let answer = client::read(|| {
        let mut client = KeyServiceClient::new(channel.clone());
        async move { client.list_keys(ListKeysRequest {}).await }
    });
    assert_eq!(answer.await.unwrap_err().reason(), reason::UNAVAILABLE);
}
