//! SyncService.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use auth::Verifier;
use events::log;
use futures::Stream;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::sync_item::Record;
use proto::opportunities::v1::sync_service_server::SyncService;
use rpc::{Error, Invalid};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::answer::{self, View};
use super::{activity, asking, contact, customer, tell};
use crate::State;
use crate::access::Asking;
use crate::page::limit;
use crate::places::{Places, Seat};
use crate::sync::model::{Kind, Place};
use crate::sync::{self, Item, Page};

/// How often a stream looks for changes.
const LOOK: Duration = Duration::from_millis(200);
/// After how many looks without a change it says that it is there, and where it is.
const QUIET_LOOKS: u32 = 75;

/// Serves what changed.
pub struct Sync {
    state: State,
    verifier: Arc<Verifier>,
    shutdown: CancellationToken,
    streams: Places,
}

impl Sync {
    /// Streams end with the token of their caller, as the verifier says, and at the shutdown.
    pub fn new(state: State, verifier: Arc<Verifier>, shutdown: CancellationToken) -> Self {
        let streams = Places::for_streams();
        Self { state, verifier, shutdown, streams }
    }
}

#[tonic::async_trait]
impl SyncService for Sync {
    async fn list_sync_items(
        &self,
        request: Request<pb::ListSyncItemsRequest>,
    ) -> Result<Response<pb::ListSyncItemsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let (since, limit) = asked(it.since.as_deref(), it.limit)?;
        let page = sync::page(&self.state, &caller, since, limit, process::now()).await?;
        let (items, next, has_more) = shown(&self.state, page)?;
        Ok(Response::new(pb::ListSyncItemsResponse { items, next, has_more }))
    }

    type StreamSyncItemsStream =
        Pin<Box<dyn Stream<Item = Result<pb::StreamSyncItemsResponse, Status>> + Send>>;

    async fn stream_sync_items(
        &self,
        request: Request<pb::StreamSyncItemsRequest>,
    ) -> Result<Response<Self::StreamSyncItemsStream>, Status> {
        let caller = auth::caller(&request)?;
        let asking = asking(&request, &self.verifier)?;
        let it = request.into_inner();
        let (since, limit) = asked(it.since.as_deref(), it.limit)?;
        let seat = self.streams.take(caller.user_id)?;
        // Whoever may not ask at all, or from there, is told so at once.
        let first = sync::page(&self.state, &caller, since, limit, process::now()).await?;
        let state = self.state.clone();
        let told = tell(self.shutdown.clone(), |tell| {
            Streaming { state, asking, limit, tell, _seat: seat }.run(first)
        });
        Ok(Response::new(Box::pin(told)))
    }
}

fn asked(since: Option<&str>, asked_limit: Option<i32>) -> Result<(Option<Place>, usize), Error> {
    let mut invalid = Invalid::default();
    let limit = limit(&mut invalid, asked_limit);
    invalid.into_result()?;
    let since = since.filter(|text| !text.is_empty()).map(Place::parse).transpose()?;
    Ok((since, limit))
}

/// One caller's stream.
struct Streaming {
    state: State,
    asking: Asking,
    limit: usize,
    tell: mpsc::Sender<Result<pb::StreamSyncItemsResponse, Status>>,
    _seat: Seat,
}

impl Streaming {
    /// Tells until nobody listens any more.
    async fn run(self, first: Page) -> Result<(), Error> {
        let mut page = first;
        let mut is_news = true;
        loop {
            let (next, has_more) = (page.next.clone(), page.has_more);
            if is_news && !self.say(page).await? {
                return Ok(());
            }
            if !has_more && !self.wait(next.position).await? {
                return Ok(());
            }
            let before = next.position;
            page = self.page(Some(next)).await?;
            // What changed may all be out of sight: that is worth a message only where it is long ago that there was one.
            is_news = !page.items.is_empty() || page.has_more || page.next.position == before;
        }
    }

    /// The next page, for whoever the caller is by now.
    async fn page(&self, place: Option<Place>) -> Result<Page, Error> {
        let caller = (self.asking)().await?;
        sync::page(&self.state, &caller, place, self.limit, process::now()).await
    }

    /// Waits until something has changed after a position, or until it was quiet for long; whether anybody listens still.
    async fn wait(&self, position: i64) -> Result<bool, Error> {
        for _ in 0..QUIET_LOOKS {
            tokio::select! {
                () = self.tell.closed() => return Ok(false),
                () = tokio::time::sleep(LOOK) => {}
            }
            (self.asking)().await?;
            if log::last_position(&self.state.reads).await? > position {
                break;
            }
        }
        Ok(true)
    }

    /// Whether it was heard.
    async fn say(&self, page: Page) -> Result<bool, Error> {
        let (items, next, has_more) = shown(&self.state, page)?;
        let message = pb::StreamSyncItemsResponse { items, next, has_more };
        Ok(self.tell.send(Ok(message)).await.is_ok())
    }
}

fn shown(state: &State, page: Page) -> Result<(Vec<pb::SyncItem>, String, bool), Error> {
    let view = View::of(state)?;
    let now = process::now();
    let item = |item| match item {
        Item::Gone { kind, id, version } => {
            pb::SyncItem { r#type: told(kind).into(), id, version, deleted: true, record: None }
        }
        Item::Pipeline(it) => {
            let (id, version) = (it.id, it.version);
            there(Kind::Pipeline, id, version, Record::Pipeline(answer::pipeline(&it)))
        }
        Item::Customer(it) => {
            let (id, version) = (it.id, it.version);
            there(Kind::Customer, id, version, Record::Customer(customer::to_wire(it)))
        }
        Item::Contact(it) => {
            let (id, version) = (it.id, it.version);
            there(Kind::Contact, id, version, Record::Contact(contact::to_wire(it)))
        }
        Item::Opportunity(it) => {
            let (id, version) = (it.opportunity.id, it.opportunity.version);
            let it = answer::opportunity(*it, &view, now);
            there(Kind::Opportunity, id, version, Record::Opportunity(it))
        }
        Item::Activity(it) => {
            let (id, version) = (it.activity.id, it.activity.version);
            there(Kind::Activity, id, version, Record::Activity(activity::shown(*it)))
        }
    };
    let items = page.items.into_iter().map(item).collect();
    Ok((items, page.next.write(), page.has_more))
}

fn there(kind: Kind, id: i64, version: i64, record: Record) -> pb::SyncItem {
    let record = Some(record);
    pb::SyncItem { r#type: told(kind).into(), id, version, deleted: false, record }
}

fn told(kind: Kind) -> pb::SyncType {
    match kind {
        Kind::Pipeline => pb::SyncType::Pipeline,
        Kind::Customer => pb::SyncType::Customer,
        Kind::Contact => pb::SyncType::Contact,
        Kind::Opportunity => pb::SyncType::Opportunity,
        Kind::Activity => pb::SyncType::Activity,
    }
}
