//! An owner that has these events in its change log.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use analytics::owners::Owner;
use auth::ServiceToken;
use events::{Event, Record};
use futures::Stream;
use proto::events::v1::change_service_server::{ChangeService, ChangeServiceServer};
use proto::events::v1::{
    DigestRange, GetDigestRequest, GetDigestResponse, ListChangesRequest, ListChangesResponse,
    StreamRecordsRequest, StreamRecordsResponse,
};
use proto::identity::v1::IssueServiceTokenResponse;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

struct Log(Vec<Event>);

#[tonic::async_trait]
impl ChangeService for Log {
    type StreamRecordsStream =
        Pin<Box<dyn Stream<Item = Result<StreamRecordsResponse, Status>> + Send>>;

    async fn list_changes(
        &self,
        _: Request<ListChangesRequest>,
    ) -> Result<Response<ListChangesResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn get_digest(
        &self,
        request: Request<GetDigestRequest>,
    ) -> Result<Response<GetDigestResponse>, Status> {
        let GetDigestRequest { aggregate, range_size: size } = request.into_inner();
        let mut versions: BTreeMap<i64, i64> = BTreeMap::new();
        for event in self.0.iter().filter(|event| kind(event) == aggregate) {
            let latest = versions.entry(event.aggregate_id).or_default();
            *latest = event.version.max(*latest);
        }
        let mut ranges: BTreeMap<i64, DigestRange> = BTreeMap::new();
        for (id, version) in versions {
            let from_id = id / size * size;
            let range = ranges.entry(from_id).or_default();
            range.from_id = from_id;
            range.count += 1;
            range.version_sum += version;
        }
        let ranges = ranges.into_values().collect();
        Ok(Response::new(GetDigestResponse { ranges, position: 0 }))
    }

    async fn stream_records(
        &self,
        request: Request<StreamRecordsRequest>,
    ) -> Result<Response<Self::StreamRecordsStream>, Status> {
        let StreamRecordsRequest { aggregates, from_id, to_id } = request.into_inner();
        let wanted = |event: &&Event| {
            aggregates.iter().any(|it| it == kind(event))
                && event.aggregate_id >= from_id
                && (to_id == 0 || event.aggregate_id <= to_id)
        };
        let mut events: Vec<Event> = self.0.iter().filter(wanted).cloned().collect();
        events.sort_by_key(|event| (event.aggregate_id, event.version));
        let first = StreamRecordsResponse { position: Some(0), events: Vec::new() };
        let pieces = events
            .chunks(7)
            .map(|piece| StreamRecordsResponse { position: None, events: piece.to_vec() });
        let all: Vec<_> = std::iter::once(first).chain(pieces).map(Ok).collect();
        Ok(Response::new(Box::pin(futures::stream::iter(all))))
    }
}

fn kind(event: &Event) -> &'static str {
    match event.record {
        Some(Record::Activity(_)) => "activity",
        Some(Record::ExchangeRate(_)) => "exchange_rate",
        Some(Record::Pipeline(_)) => "pipeline",
        Some(Record::Settings(_)) => "settings",
        Some(Record::Team(_)) => "team",
        Some(Record::User(_)) => "user",
        _ => "opportunity",
    }
}

/// Serves it until the test ends.
pub(crate) async fn having(events: Vec<Event>) -> Owner {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(ChangeServiceServer::new(Log(events)))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let token = ServiceToken::fetched(Box::new(|| {
        let issued = IssueServiceTokenResponse { access_token: "t".to_owned(), expires_in: 600 };
        Box::pin(async move { Ok(issued) })
    }));
    Owner::new(rpc::client::connect_lazy(&url, &rpc::Tls::default()).unwrap(), Arc::new(token))
}
