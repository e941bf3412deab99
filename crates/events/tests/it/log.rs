//! The change log as its owner serves it.

use auth::{Caller, Role};
use events::{log, relay};
use futures::TryStreamExt as _;
use proto::events::v1::change_service_server::ChangeService as _;
use proto::events::v1::{DigestRange, ListChangesRequest, StreamRecordsResponse};

use crate::world::{World, change};

async fn place(world: &World) {
    let mut connection = world.connection().await;
    let mut cursor = relay::start(&mut connection).await.unwrap();
    relay::place(&mut connection, &mut cursor).await.unwrap();
}

/// Positions 1 to 2,500 of records 1 to 2,500, then version 2 of record 3, then one that has no position.
async fn filled() -> World {
    let world = World::new().await;
    world.append_new(1, 2500).await;
    world.append(&[change(3, 2)]).await;
    place(&world).await;
    world.append(&[change(9000, 1)]).await;
    world
}

#[tokio::test]
async fn pages_of_changes_join_without_gap() {
    let world = filled().await;
    let mut positions = Vec::new();
    loop {
        let after = positions.last().copied().unwrap_or(0);
        let page = log::list_changes(&world.pool, after, 400).await.unwrap();
        assert_eq!(page.last_position, 2501);
        if page.events.is_empty() {
            break;
        }
        assert!(page.events.len() <= 400);
        positions.extend(page.events.iter().map(|event| event.position));
    }
    assert_eq!(positions, (1..=2501).collect::<Vec<_>>());
    world.end().await;
}

#[tokio::test]
async fn the_digest_counts_what_has_a_position() {
    let world = filled().await;
    let digest = log::digest(&world.pool, "team", 1000).await.unwrap();
    let range = |from_id, count, version_sum| DigestRange { from_id, count, version_sum };
    assert_eq!(
        digest.ranges,
        [range(0, 999, 1000), range(1000, 1000, 1000), range(2000, 501, 501)]
    );
    assert_eq!(digest.position, 2501);
    let none = log::digest(&world.pool, "customer", 0).await.unwrap();
    assert_eq!((none.ranges.len(), none.position), (0, 2501));
    world.end().await;
}

async fn records(
    world: &World,
    aggregates: &[&str],
    from_id: i64,
    to_id: i64,
) -> Vec<StreamRecordsResponse> {
    let aggregates = aggregates.iter().map(ToString::to_string).collect();
    log::stream_records(world.pool.clone(), aggregates, from_id, to_id).try_collect().await.unwrap()
}

#[tokio::test]
async fn the_stream_has_every_version_of_every_record_up_to_its_position() {
    let world = filled().await;
    let pieces = records(&world, &[], 0, 0).await;
    assert_eq!(pieces[0], StreamRecordsResponse { position: Some(2501), events: Vec::new() });
    assert!(pieces[1..].iter().all(|piece| piece.position.is_none() && !piece.events.is_empty()));
    let told: Vec<_> = pieces
        .iter()
        .flat_map(|piece| &piece.events)
        .map(|event| (event.aggregate_id, event.version, event.position))
        .collect();
    let mut expected: Vec<_> = (1..=2500).map(|id| (id, 1, id)).collect();
    expected.insert(3, (3, 2, 2501));
    assert_eq!(told, expected);
    world.end().await;
}

#[tokio::test]
async fn a_part_of_the_stream_can_be_had() {
    let world = filled().await;
    let ids = |pieces: &[StreamRecordsResponse]| -> Vec<i64> {
        pieces.iter().flat_map(|piece| &piece.events).map(|event| event.aggregate_id).collect()
    };
    assert_eq!(ids(&records(&world, &["team"], 2, 4).await), [2, 3, 3, 4]);
    assert_eq!(ids(&records(&world, &["customer"], 0, 0).await), [0; 0]);
    world.end().await;
}

#[tokio::test]
async fn only_a_service_reads_the_change_log() {
    let world = World::new().await;
    let service = events::ChangeLog { pool: world.pool.clone() };
    let list = async |caller: Option<Caller>| {
        let mut request = tonic::Request::new(ListChangesRequest::default());
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        service.list_changes(request).await.map(tonic::Response::into_inner)
    };
    let service_caller = Caller::service("analytics");
    assert_eq!(list(Some(service_caller.clone())).await.unwrap().last_position, 0);
    let admin = Caller { role: Role::Admin, service: None, user_id: 1, ..service_caller };
    let refused = rpc::Error::from(list(Some(admin)).await.unwrap_err());
    assert_eq!(refused.reason(), "SERVICE_ONLY");
    assert_eq!(list(None).await.unwrap_err().code(), tonic::Code::Unauthenticated);
    world.end().await;
}
