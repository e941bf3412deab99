//! The change log as its owner serves it to the services that derive from it.

use std::pin::Pin;

use futures::stream::{self, Stream, TryStreamExt as _};
use proto::events::v1::change_service_server::ChangeService;
use proto::events::v1::{
    DigestRange, GetDigestRequest, GetDigestResponse, ListChangesRequest, ListChangesResponse,
    StreamRecordsRequest, StreamRecordsResponse,
};
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use crate::{Event, wire};

/// Most events of a page.
const PAGE_EVENTS: i64 = 500;
/// Most bytes of an answer, unless a single event is larger; gRPC takes 4 MiB.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// How many rows of the log one statement of a stream reads.
const CHUNK_ROWS: i64 = 1_000;
/// Why anybody else is refused.
const SERVICE_ONLY: &str = "SERVICE_ONLY";
/// How many ids a range of the digest spans unless it is told.
const RANGE_IDS: i64 = 10_000;

/// The last position given so far.
pub async fn last_position(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select coalesce(max(position), 0) from change_position")
        .fetch_one(pool)
        .await
}

/// The changes after a position in order, at most `limit` (1 to 500, else 500), fewer if they are large.
pub async fn list_changes(
    pool: &PgPool,
    after: i64,
    limit: i32,
) -> sqlx::Result<ListChangesResponse> {
    let limit = Some(i64::from(limit)).filter(|limit| (1..=PAGE_EVENTS).contains(limit));
    let last_position = last_position(pool).await?;
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select change_position.position, change.payload
        from change_position join change on change.change_id = change_position.change_id
        where change_position.position > $1
        order by change_position.position
        limit $2",
    )
    .bind(after)
    .bind(limit.unwrap_or(PAGE_EVENTS))
    .fetch_all(pool)
    .await?;
    let mut events = decode(rows)?;
    let fits = first_that_fit(&events);
    events.truncate(fits);
    Ok(ListChangesResponse {
        last_position: events.last().map_or(0, |event| event.position).max(last_position),
        events,
    })
}

/// Count and sum of versions of the records of a kind by range of ids, as of the answered position.
pub async fn digest(
    pool: &PgPool,
    aggregate: &str,
    range_size: i64,
) -> sqlx::Result<GetDigestResponse> {
    let range_size = if range_size > 0 { range_size } else { RANGE_IDS };
    // One statement, so one view of the database: what has no position in it is left out.
    let rows: Vec<(i64, Option<i64>, i64, i64)> = sqlx::query_as(
        "with record as (
            select aggregate_id, max(version) as version
            from change
            where aggregate = $1
                and not exists (select from outbox where outbox.change_id = change.change_id and outbox.position is null)
            group by aggregate_id
        ), range as (
            select aggregate_id / $2 * $2 as from_id, count(*) as count, sum(version)::bigint as version_sum
            from record
            group by from_id
        )
        select last.position, range.from_id, coalesce(range.count, 0), coalesce(range.version_sum, 0)
        from (select coalesce(max(position), 0) as position from change_position) as last left join range on true
        order by range.from_id",
    )
    .bind(aggregate)
    .bind(range_size)
    .fetch_all(pool)
    .await?;
    let position = rows.first().map_or(0, |row| row.0);
    let ranges = rows.into_iter().filter_map(|(_, from_id, count, version_sum)| {
        from_id.map(|from_id| DigestRange { from_id, count, version_sum })
    });
    Ok(GetDigestResponse { ranges: ranges.collect(), position })
}

/// Every change up to a position, which the first message names, by record: ordered by aggregate, id and version. `aggregates` empty means all;
/// of ids those from `from_id` to `to_id`, 0 meaning no bound. Each piece is a short statement of its own; no transaction stays open.
pub fn stream_records(
    pool: PgPool,
    aggregates: Vec<String>,
    from_id: i64,
    to_id: i64,
) -> impl Stream<Item = sqlx::Result<StreamRecordsResponse>> + Send {
    let wanted = Wanted {
        aggregates: Some(aggregates).filter(|named| !named.is_empty()),
        from_id: if from_id == 0 { i64::MIN } else { from_id },
        to_id: if to_id == 0 { i64::MAX } else { to_id },
    };
    let read = move |place| {
        let (pool, wanted) = (pool.clone(), wanted.clone());
        async move { read_on(&pool, &wanted, place).await }
    };
    stream::try_unfold(Place::Start, read).map_ok(answers).try_flatten()
}

fn answers(
    pieces: Vec<StreamRecordsResponse>,
) -> impl Stream<Item = sqlx::Result<StreamRecordsResponse>> {
    stream::iter(pieces.into_iter().map(Ok))
}

#[derive(Clone)]
struct Wanted {
    aggregates: Option<Vec<String>>,
    from_id: i64,
    to_id: i64,
}

enum Place {
    Start,
    /// Before the first kind after this one, by name.
    After {
        position: i64,
        aggregate: String,
    },
    /// Among the records of a kind, after that version of that record.
    Within {
        position: i64,
        aggregate: String,
        after: (i64, i64),
    },
}

async fn read_on(
    pool: &PgPool,
    wanted: &Wanted,
    place: Place,
) -> sqlx::Result<Option<(Vec<StreamRecordsResponse>, Place)>> {
    match place {
        Place::Start => {
            let position = last_position(pool).await?;
            let first = StreamRecordsResponse { position: Some(position), events: Vec::new() };
            Ok(Some((vec![first], Place::After { position, aggregate: String::new() })))
        }
        Place::After { position, aggregate } => {
            let next = next_aggregate(pool, &aggregate, wanted.aggregates.as_deref()).await?;
            let after = (wanted.from_id, 0);
            Ok(next.map(|aggregate| (Vec::new(), Place::Within { position, aggregate, after })))
        }
        Place::Within { position, aggregate, after } => {
            let rows = chunk(pool, &aggregate, after, wanted.to_id, position).await?;
            let events = decode(rows)?;
            let place = match events.last() {
                Some(last) => {
                    Place::Within { position, aggregate, after: (last.aggregate_id, last.version) }
                }
                None => Place::After { position, aggregate },
            };
            Ok(Some((into_pieces(events), place)))
        }
    }
}

async fn next_aggregate(
    pool: &PgPool,
    after: &str,
    wanted: Option<&[String]>,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "select min(aggregate) from change where aggregate > $1 and ($2::text[] is null or aggregate = any($2))",
    )
    .bind(after)
    .bind(wanted)
    .fetch_one(pool)
    .await
}

async fn chunk(
    pool: &PgPool,
    aggregate: &str,
    (aggregate_id, version): (i64, i64),
    to_id: i64,
    position: i64,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    sqlx::query_as(
        "select change_position.position, change.payload
        from change join change_position on change_position.change_id = change.change_id
        where change.aggregate = $1 and (change.aggregate_id, change.version) > ($2, $3) and change.aggregate_id <= $4
            and change_position.position <= $5
        order by change.aggregate_id, change.version
        limit $6",
    )
    .bind(aggregate)
    .bind(aggregate_id)
    .bind(version)
    .bind(to_id)
    .bind(position)
    .bind(CHUNK_ROWS)
    .fetch_all(pool)
    .await
}

fn decode(rows: Vec<(i64, Vec<u8>)>) -> sqlx::Result<Vec<Event>> {
    let event = |(position, payload): (i64, Vec<u8>)| wire::decode_stored(&payload, position);
    rows.into_iter()
        .map(event)
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Decode(error.into()))
}

/// How many of the first events fit into an answer: one at least.
fn first_that_fit(events: &[Event]) -> usize {
    let mut bytes = 0;
    let fits = events.iter().take_while(|event| {
        bytes += prost::Message::encoded_len(*event);
        bytes <= ANSWER_BYTES
    });
    fits.count().max(1)
}

fn into_pieces(mut events: Vec<Event>) -> Vec<StreamRecordsResponse> {
    let mut pieces = Vec::new();
    while !events.is_empty() {
        let fits = first_that_fit(&events).min(events.len());
        let rest = events.split_off(fits);
        pieces.push(StreamRecordsResponse { position: None, events });
        events = rest;
    }
    pieces
}

/// The ready service for an owner, over a pool that reads.
#[derive(Clone, Debug)]
pub struct ChangeLog {
    /// The owner's database.
    pub pool: PgPool,
}

#[tonic::async_trait]
impl ChangeService for ChangeLog {
    async fn list_changes(
        &self,
        request: Request<ListChangesRequest>,
    ) -> Result<Response<ListChangesResponse>, Status> {
        only_a_service(&request)?;
        let ListChangesRequest { after_position, limit } = request.into_inner();
        list_changes(&self.pool, after_position, limit).await.map(Response::new).map_err(status)
    }

    async fn get_digest(
        &self,
        request: Request<GetDigestRequest>,
    ) -> Result<Response<GetDigestResponse>, Status> {
        only_a_service(&request)?;
        let GetDigestRequest { aggregate, range_size } = request.into_inner();
        digest(&self.pool, &aggregate, range_size).await.map(Response::new).map_err(status)
    }

    type StreamRecordsStream =
        Pin<Box<dyn Stream<Item = Result<StreamRecordsResponse, Status>> + Send>>;

    async fn stream_records(
        &self,
        request: Request<StreamRecordsRequest>,
    ) -> Result<Response<Self::StreamRecordsStream>, Status> {
        only_a_service(&request)?;
        let StreamRecordsRequest { aggregates, from_id, to_id } = request.into_inner();
        let pieces = stream_records(self.pool.clone(), aggregates, from_id, to_id);
        Ok(Response::new(Box::pin(pieces.map_err(status))))
    }
}

fn only_a_service<T>(request: &Request<T>) -> Result<(), rpc::Error> {
    if auth::caller(request)?.role == auth::Role::Service {
        return Ok(());
    }
    Err(rpc::Error::Denied {
        reason: SERVICE_ONLY.into(),
        message: "only services may read the change log".to_owned(),
    })
}

fn status(error: sqlx::Error) -> Status {
    rpc::Error::from(error).into()
}
