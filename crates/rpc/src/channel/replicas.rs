//! The replicas behind a channel: which of them are ready, and which one is to be called.

use std::{
    future::poll_fn,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{BoxFuture, Either};
use http::{Request, Response};
use tokio::{sync::Notify, task::AbortHandle, time::sleep};
use tonic::{
    body::Body,
    transport::{self, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::Service;
use tracing::debug;

/// How soon one that is not ready is asked again; twice as long each time, up to the second.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// How often a replica was found not to be ready any more, and one.
static LOSSES: AtomicUsize = AtomicUsize::new(1);

/// A way to a service. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct Channel(Way);

#[derive(Clone, Debug)]
enum Way {
    One(transport::Channel),
    Ready(Arc<Replicas>),
}

impl Channel {
    /// To a server that is the only one there is.
    pub(super) fn to_one(endpoint: &Endpoint) -> Self {
        Self(Way::One(endpoint.connect_lazy()))
    }

    /// To whichever replica is ready.
    pub(super) fn to_ready(replicas: Arc<Replicas>) -> Self {
        Self(Way::Ready(replicas))
    }
}

impl From<transport::Channel> for Channel {
    fn from(only: transport::Channel) -> Self {
        Self(Way::One(only))
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = Either<
        transport::channel::ResponseFuture,
        BoxFuture<'static, Result<Self::Response, Self::Error>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.0 {
            Way::One(channel) => Service::poll_ready(channel, context),
            // Which one it will be is not known yet.
            Way::Ready(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &mut self.0 {
            Way::One(channel) => Either::Left(Service::call(channel, request)),
            Way::Ready(replicas) => {
                let replica = replicas.pick();
                Either::Right(Box::pin(async move {
                    let Some(replica) = replica else { return gone().await };
                    replica.call(request).await
                }))
            }
        }
    }
}

/// Without any replica, which there is for no longer than the list of them is changed: what is asked waits for its deadline.
async fn gone() -> Result<Response<Body>, transport::Error> {
    std::future::pending().await
}

/// All that there are, by URL.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    all: RwLock<Vec<Arc<Replica>>>,
    turn: AtomicUsize,
}

impl Replicas {
    pub(super) fn insert(&self, url: String, endpoint: &Endpoint) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|it| it.url == url) {
            all.push(Arc::new(Replica::new(url, endpoint)));
        }
    }

    pub(super) fn remove(&self, url: &str) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).retain(|it| it.url != url);
    }

    /// Of those that are ready the one with the fewest calls under way, in turn where several have. Where none is known to be ready the one
    /// that was lost longest ago, since that may be there again by now.
    fn pick(&self) -> Option<Arc<Replica>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let burden = |place: &usize| {
            let state = &all[(turn + place) % all.len()].state;
            let under_way = state.under_way.load(Ordering::Relaxed);
            if state.is_ready.load(Ordering::Relaxed) {
                (0, under_way)
            } else {
                (1 + state.lost.load(Ordering::Relaxed), under_way)
            }
        };
        let place = (0..all.len()).min_by_key(burden)?;
        Some(Arc::clone(&all[(turn + place) % all.len()]))
    }

    #[cfg(test)]
    pub(super) fn urls(&self) -> Vec<String> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|it| it.url.clone()).collect()
    }
}

/// One of them, whose health is watched for as long as it is there.
#[derive(Debug)]
struct Replica {
    url: String,
    channel: transport::Channel,
    state: Arc<State>,
    watching: AbortHandle,
}

/// What is known of one.
#[derive(Debug, Default)]
struct State {
    is_ready: AtomicBool,
    /// Calls whose answer has not begun.
    under_way: AtomicUsize,
    /// When it was lost, among the losses of all.
    lost: AtomicUsize,
    /// A call failed: it may be no more.
    doubt: Notify,
}

impl State {
    fn lose(&self) {
        self.is_ready.store(false, Ordering::Relaxed);
        self.lost.store(LOSSES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Replica {
    fn new(url: String, endpoint: &Endpoint) -> Self {
        let (channel, state) = (endpoint.connect_lazy(), Arc::new(State::default()));
        let watching = watch(url.clone(), channel.clone(), Arc::clone(&state));
        let watching = tokio::spawn(watching).abort_handle();
        Self { url, channel, state, watching }
    }

    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, transport::Error> {
        let _under_way = UnderWay::begin(&self.state);
        let mut channel = self.channel.clone();
        poll_fn(|context| Service::poll_ready(&mut channel, context)).await?;
        let answer = Service::call(&mut channel, request).await;
        if answer.is_err() {
            self.state.lose();
            self.state.doubt.notify_one();
        }
        answer
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// A call, until its answer begins or nobody waits for it any more.
struct UnderWay<'a>(&'a State);

impl<'a> UnderWay<'a> {
    fn begin(state: &'a State) -> Self {
        state.under_way.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hears from a replica itself whether it is ready, over the connection on which it is called: one that stops says so before it closes that, and one that dies closes it.
async fn watch(url: String, channel: transport::Channel, state: Arc<State>) {
    let [first, longest] = AGAIN_AFTER;
    let mut pause = first;
    loop {
        let mut client = HealthClient::new(channel.clone());
        if let Ok(answer) = client.watch(HealthCheckRequest::default()).await {
            let mut told = answer.into_inner();
            loop {
                let message = tokio::select! {
                    message = told.message() => message,
                    // Asked again, it says again whether it is ready.
                    () = state.doubt.notified() => break,
                };
                let Ok(Some(message)) = message else { break };
                if message.status() != ServingStatus::Serving {
                    // One that stops waits until nobody listens to it any more.
                    break;
                }
                state.is_ready.store(true, Ordering::Relaxed);
                debug!(url, "a replica is ready");
                pause = first;
            }
        }
        if state.is_ready.load(Ordering::Relaxed) {
            state.lose();
            debug!(url, "a replica is not ready any more");
        }
        sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}
