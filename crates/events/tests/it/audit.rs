//! The change log as administrators read it.

use auth::{Caller, Role, Scope};
use chrono::{DateTime, Duration, Utc};
use chrono_tz::Asia::Taipei;
use events::{Actor, Change, Origin, audit};
use proto::audit::v1::{
    AuditEntry, AuditSource, ListAuditEntriesRequest, ListAuditEntriesResponse,
};
use rpc::Error;

use crate::world::{World, change};

const OWN: AuditSource = AuditSource::Opportunities;

fn with(role: Role, scope: Scope) -> Caller {
    Caller { role, scope, service: None, user_id: 1, ..Caller::service("") }
}

async fn ask(
    world: &World,
    asked: ListAuditEntriesRequest,
) -> Result<ListAuditEntriesResponse, Error> {
    let admin = with(Role::Admin, Scope::READ);
    audit::list(&world.pool, OWN, &admin, Taipei, asked).await
}

/// Records of the entries that answer, all on one page.
async fn found(world: &World, asked: ListAuditEntriesRequest) -> Vec<i64> {
    let page = ask(world, ListAuditEntriesRequest { limit: Some(200), ..asked }).await.unwrap();
    assert_eq!(page.next_cursor, None);
    page.items.iter().map(|entry| entry.record_id).collect()
}

/// One minute after the other in the evening of 30 October 2025 and the morning of the 31st, Taipei time.
fn at(minute: i64) -> DateTime<Utc> {
    let midnight: DateTime<Utc> = "2025-10-30T16:00:00Z".parse().unwrap();
    midnight + Duration::minutes(minute)
}

fn recorded(id: i64, version: i64, recorded_at: DateTime<Utc>) -> Change {
    Change { recorded_at, ..change(id, version) }
}

#[tokio::test]
async fn an_entry_tells_who_changed_what_when_and_from_what_to_what() {
    let world = World::new().await;
    let occurred_at = at(-60);
    world.append(&[Change { occurred_at, ..recorded(2, 1, at(0)) }]).await;
    world.append(&[Change { request_id: String::new(), ..recorded(3, 1, at(1)) }]).await;
    let page = ask(&world, ListAuditEntriesRequest::default()).await.unwrap();
    let [second, first] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!((first.source(), &*first.r#type), (OWN, "team.created"));
    assert_eq!((&*first.record_type, first.record_id, first.version), ("team", 2, 1));
    assert_eq!(first.occurred_at.map(DateTime::from), Some(occurred_at));
    assert_eq!(first.recorded_at.map(DateTime::from), Some(at(0)));
    assert_eq!((first.actor_user_id, first.actor_service.as_deref()), (Some(1), None));
    assert_eq!((first.origin(), first.request_id.as_deref()), (Origin::User, Some("request")));
    let json = serde_json::to_value(&first.changes).unwrap();
    assert_eq!(json, serde_json::json!([{"field": "name", "old": null, "new": "Team 2"}]));
    assert_eq!((second.actor_user_id, second.actor_service.as_deref()), (None, Some("test")));
    assert_eq!(second.request_id, None);
    world.end().await;
}

#[tokio::test]
async fn each_filter_leaves_what_it_says() {
    let world = World::new().await;
    // Of even records user 1 is the maker, of odd ones a service.
    let by = |id, user| Change { actor: Actor::User(user), ..recorded(id, 1, at(id)) };
    world.append(&[recorded(1, 1, at(-1)), recorded(2, 1, at(2)), by(4, 7)]).await;
    world.append(&[Change { origin: Origin::Bulk, ..recorded(5, 1, at(5)) }]).await;
    world.append(&[Change { request_id: "r-6".to_owned(), ..recorded(6, 1, at(6)) }]).await;
    world.append(&[recorded(2, 2, at(7))]).await;
    let text = |text: &str| Some(text.to_owned());
    let all = ListAuditEntriesRequest::default;
    for (asked, expected) in [
        (all(), &[2, 6, 5, 4, 2, 1][..]),
        (ListAuditEntriesRequest { actor_user_id: Some(7), ..all() }, &[4]),
        (ListAuditEntriesRequest { actor_user_id: Some(1), ..all() }, &[2, 6, 2]),
        (ListAuditEntriesRequest { record_type: text("team"), ..all() }, &[2, 6, 5, 4, 2, 1]),
        (ListAuditEntriesRequest { record_type: text("user"), ..all() }, &[]),
        (
            ListAuditEntriesRequest {
                record_type: text("team"),
                record_id: Some(2),
                ..ListAuditEntriesRequest::default()
            },
            &[2, 2],
        ),
        (ListAuditEntriesRequest { r#type: text("team.updated"), ..all() }, &[2]),
        (ListAuditEntriesRequest { origin: Some(Origin::Bulk.into()), ..all() }, &[5]),
        (ListAuditEntriesRequest { request_id: text("r-6"), ..all() }, &[6]),
        (ListAuditEntriesRequest { source: Some(OWN.into()), ..all() }, &[2, 6, 5, 4, 2, 1]),
        (ListAuditEntriesRequest { source: Some(AuditSource::Identity.into()), ..all() }, &[]),
        (ListAuditEntriesRequest { from: text("2025-10-31"), ..all() }, &[2, 6, 5, 4, 2]),
        (ListAuditEntriesRequest { to: text("2025-10-30"), ..all() }, &[1]),
        (ListAuditEntriesRequest { to: text("2025-10-31T00:02:00+08:00"), ..all() }, &[2, 1]),
        (ListAuditEntriesRequest { from: text("2025-10-30T16:06:00Z"), ..all() }, &[2, 6]),
        (
            ListAuditEntriesRequest { actor_user_id: Some(1), request_id: text("r-6"), ..all() },
            &[6],
        ),
    ] {
        let told = format!("{asked:?}");
        assert_eq!(found(&world, asked).await, expected, "{told}");
    }
    world.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_all_at_once() {
    let world = World::new().await;
    let asked = ListAuditEntriesRequest {
        record_id: Some(1),
        r#type: Some("a\0".to_owned()),
        origin: Some(99),
        source: Some(99),
        from: Some("today".to_owned()),
        to: Some("2025-02-30".to_owned()),
        limit: Some(201),
        ..ListAuditEntriesRequest::default()
    };
    let Error::Invalid(fields) = ask(&world, asked).await.unwrap_err() else { panic!("accepted") };
    let mut bad: Vec<_> = fields.iter().map(|it| (&*it.field, &*it.code)).collect();
    bad.sort_unstable();
    assert_eq!(
        bad,
        [
            ("from", "invalid_date"),
            ("limit", "out_of_range"),
            ("origin", "unknown_value"),
            ("record_type", "required"),
            ("source", "unknown_value"),
            ("to", "invalid_date"),
            ("type", "invalid_character"),
        ]
    );
    let cursor = Some("nonsense".to_owned());
    let asked = ListAuditEntriesRequest { cursor, ..ListAuditEntriesRequest::default() };
    assert_eq!(ask(&world, asked).await.unwrap_err().reason(), "CURSOR_INVALID");
    world.end().await;
}

#[tokio::test]
async fn pages_have_every_entry_once_and_in_order_while_others_write() {
    let world = World::new().await;
    // Three entries of each moment, and the later moments first.
    let old: Vec<_> = (1..=30).map(|id| recorded(id, 1, at(30 - id / 3))).collect();
    world.append(&old).await;
    for limit in [1, 2, 3, 7, 29, 30, 31] {
        let (mut seen, mut cursor, mut newer) = (Vec::<AuditEntry>::new(), None, 0);
        loop {
            let asked = ListAuditEntriesRequest {
                limit: Some(limit),
                cursor,
                to: Some("2025-10-31".to_owned()),
                ..ListAuditEntriesRequest::default()
            };
            let page = ask(&world, asked).await.unwrap();
            seen.extend(page.items);
            // One above every page that was read, and one below.
            if newer < 5 {
                newer += 1;
                let id = 1000 * i64::from(limit) + newer;
                world.append(&[recorded(id, 1, at(100)), recorded(-id, 1, at(-newer))]).await;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let places: Vec<_> = seen.iter().map(|it| (it.recorded_at, &*it.id)).collect();
        assert!(places.windows(2).all(|pair| pair[0].0 >= pair[1].0), "{limit}: {places:?}");
        let there: Vec<_> =
            seen.iter().map(|it| it.record_id).filter(|id| (1..=30).contains(id)).collect();
        let mut expected: Vec<_> = (1..=30).collect();
        expected.sort_by_key(|id| (id / 3, -id));
        assert_eq!(there, expected, "{limit}");
        let mut ids: Vec<_> = seen.iter().map(|it| &*it.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), seen.len(), "{limit}: one came twice");
    }
    world.end().await;
}

#[tokio::test]
async fn a_cursor_means_the_same_place_in_every_source() {
    let world = World::new().await;
    let changes: Vec<_> = (1..=5).map(|id| recorded(id, 1, at(id / 2))).collect();
    world.append(&changes).await;
    let admin = with(Role::Admin, Scope::ALL);
    let ids = async |source, cursor: Option<String>| {
        let asked = ListAuditEntriesRequest { cursor, ..ListAuditEntriesRequest::default() };
        let page = audit::list(&world.pool, source, &admin, Taipei, asked).await.unwrap();
        page.items.into_iter().map(|it| (it.record_id, it.cursor)).collect::<Vec<_>>()
    };
    // The same log twice, as if each source had made the same changes: of one moment identity's stand first.
    let (first, second) = (AuditSource::Identity, AuditSource::Opportunities);
    let after = async |source, of: AuditSource, record: i64| -> Vec<i64> {
        let all = ids(of, None).await;
        let (_, cursor) = all.into_iter().find(|(id, _)| *id == record).unwrap();
        ids(source, Some(cursor)).await.into_iter().map(|(id, _)| id).collect()
    };
    // Moments: 1 | 2 3 | 4 5.
    assert_eq!(after(first, first, 3).await, [2, 1]);
    assert_eq!(after(second, first, 3).await, [3, 2, 1]);
    assert_eq!(after(second, first, 2).await, [3, 2, 1]);
    assert_eq!(after(first, second, 3).await, [1]);
    assert_eq!(after(second, second, 2).await, [1]);
    world.end().await;
}

#[tokio::test]
async fn only_an_administrator_with_a_token_that_may_read_sees_the_audit() {
    let world = World::new().await;
    let asked = ListAuditEntriesRequest::default;
    let refused = async |caller: Caller| {
        audit::list(&world.pool, OWN, &caller, Taipei, asked()).await.unwrap_err()
    };
    for role in [Role::Manager, Role::Rep, Role::Viewer] {
        let error = refused(with(role, Scope::ALL)).await;
        assert!(matches!(error, Error::Denied { .. }), "{role}: {error:?}");
    }
    assert!(matches!(refused(Caller::service("analytics")).await, Error::Denied { .. }));
    let error = refused(with(Role::Admin, Scope { read: false, write: true })).await;
    assert_eq!(error.reason(), "SCOPE");
    // Also for what would be refused for another reason.
    let wrong = ListAuditEntriesRequest { limit: Some(0), ..asked() };
    let viewer = with(Role::Viewer, Scope::ALL);
    let error = audit::list(&world.pool, OWN, &viewer, Taipei, wrong).await.unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert!(ask(&world, asked()).await.is_ok(), "reading is all that it takes");
    world.end().await;
}

#[tokio::test]
async fn the_service_itself_cannot_alter_what_is_in_the_log() {
    let world = World::new().await;
    world.append(&[change(1, 1)]).await;
    for statement in [
        "update change set actor_user_id = 2",
        "update change set payload = ''",
        "delete from change",
        "truncate change cascade",
        "update change_position set change_id = 2",
        "delete from change_position",
        "alter table change disable trigger all",
        "drop index change_recorded_at_idx",
    ] {
        let refused = sqlx::query(statement).execute(&world.pool).await.unwrap_err();
        let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
    world.end().await;
}
