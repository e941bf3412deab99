//! A gRPC server with everything that each service needs around its own methods.

mod connection;
mod edge;
mod front;
mod methods;

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::Context as _;
use http::{Request, Response};
use process::{
    Listener, Readiness,
    http::{Manner, RequestBody},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    body::Body,
    server::NamedService,
    service::{Routes, RoutesBuilder},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::{Layer, Service, ServiceExt as _, layer::util::Identity};

use edge::Edge;
use front::Front;
use methods::Methods;

use crate::Tls;

/// Largest message that a server takes unless a service says otherwise (`XServer::new(..).max_decoding_message_size(..)`), in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Largest message of a service that takes bulk work, in bytes.
pub const MAX_BULK_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// Paths that need no token on any server: health, and reflection, which tells no more than the contract. Each is the beginning of a path.
pub const OPEN_TO_ALL: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// How connections are served, and for how long a process which drains waits for streams to end.
const MANNER: Manner = Manner {
    most_streams: 1_024,
    window_bytes: 8 * 1024 * 1024,
    // Long, for a call that is made just as its channel is told to go fails.
    idle: Duration::from_mins(30),
    // So long whoever watches its health has to hear that it stops, before its connections are told to go.
    linger: Duration::from_millis(200),
    finish_within: Duration::from_secs(6),
};

/// A server being assembled: gRPC, and gRPC-web with CORS, on one port, with health and reflection.
///
/// Around each method: a request id (taken over or new) and a span that joins the caller's trace; the caller's deadline, at most 15 s
/// for one that is no stream; a bound on how many run at once, past which requests are refused at once (`UNAVAILABLE`, reason
/// `OVERLOADED`); a panic becomes `INTERNAL`; `rpc_requests_total{method,code}` and `rpc_request_duration_seconds{method}`.
///
/// ```no_run
/// # async fn run(process: process::Context, listener: tokio::net::TcpListener) -> anyhow::Result<()> {
/// let server = rpc::Server::builder("identity").readiness(process.readiness());
/// // .auth(auth::Layer::new(..)).add(UserServiceServer::new(..))
/// server.serve(listener, process.shutdown()).await
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a server does nothing until it serves"]
pub struct Server<A = Identity> {
    name: &'static str,
    routes: RoutesBuilder,
    services: Vec<&'static str>,
    auth: A,
    readiness: Readiness,
    tls: Tls,
    limits: Limits,
}

/// What a server allows.
#[derive(Debug, Clone, Copy)]
struct Limits {
    deadline: Duration,
    in_flight: usize,
}

impl Server {
    /// A server without methods, that lets everybody in and is always ready.
    pub fn builder(name: &'static str) -> Self {
        Self {
            name,
            routes: RoutesBuilder::default(),
            services: Vec::new(),
            auth: Identity::new(),
            readiness: Readiness::default(),
            tls: Tls::default(),
            limits: Limits { deadline: Duration::from_secs(15), in_flight: 1_024 },
        }
    }
}

impl<A> Server<A> {
    /// Adds a service's methods (`UserServiceServer::new(..)`).
    #[expect(clippy::should_implement_trait, reason = "nobody takes a service for a summand")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.services.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Puts a layer before all methods, health and reflection included, that looks at who calls.
    pub fn auth<B>(self, layer: B) -> Server<B> {
        let Self { name, routes, services, auth: _, readiness, tls, limits } = self;
        Server { name, routes, services, auth: layer, readiness, tls, limits }
    }

    /// Health follows this: SERVING while the process is ready.
    pub fn readiness(mut self, readiness: &Readiness) -> Self {
        self.readiness = readiness.clone();
        self
    }

    /// Takes only who speaks TLS with a certificate that counts, if there is any. In plain unless said.
    pub fn tls(mut self, tls: &Tls) -> Self {
        self.tls = tls.clone();
        self
    }

    /// The longest that a request may take which is no stream, whatever its caller allows. 15 s unless said.
    pub fn longest(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// How many requests may run at once. 1,024 unless said.
    pub fn most_at_once(mut self, requests: usize) -> Self {
        self.limits.in_flight = requests;
        self
    }

    /// Serves until `shutdown` is cancelled; then finishes the requests and the writes ([`crate::write`]) that run, and returns.
    pub async fn serve(
        self,
        listener: impl Into<Listener>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()>
    where
        A: Layer<Routes>,
        A::Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        <A::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        let Self { name, mut routes, services, auth, readiness, tls, limits } = self;
        let (health, health_server) = tonic_health::server::health_reporter();
        // A new reporter says SERVING: nobody may hear that before it is so.
        health.set_service_status("", status_of(readiness.is_ready())).await;
        routes.add_service(health_server);
        routes.add_service(reflection().build_v1().context("prepare reflection")?);
        routes.add_service(reflection().build_v1alpha().context("prepare reflection")?);
        let methods = Methods::of(proto::DESCRIPTORS).context("read the contract")?;
        let edge = Edge::new(
            auth.layer(routes.routes().prepare()),
            Arc::new(methods),
            limits.deadline,
            limits.in_flight,
        );
        let mut ready = readiness.watch();
        let ready_now = *ready.borrow_and_update();
        report_health(&health, &services, ready_now).await;
        let reporting = tokio::spawn(async move {
            while ready.changed().await.is_ok() {
                let ready = *ready.borrow_and_update();
                report_health(&health, &services, ready).await;
            }
        });

        let front = Front::new(edge);
        let open = |stream, _peer| {
            let (files, front) = (tls.files().cloned(), front.clone());
            async move {
                let (stream, client) = connection::open(stream, files, name).await?;
                let service = front.map_request(move |mut request: Request<RequestBody>| {
                    request.extensions_mut().insert(client.clone());
                    request.map(Body::new)
                });
                Some((stream, service))
            }
        };
        process::http::serve_each(listener.into(), MANNER, open, shutdown).await;
        crate::write::all_done().await;
        reporting.abort();
        Ok(())
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn status_of(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

/// Sets the health of the whole server (no name) and of each service.
async fn report_health(health: &HealthReporter, services: &[&'static str], ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    health.set_service_status("", status).await;
    for service in services {
        health.set_service_status(service, status).await;
    }
}
