//! Who is told of what, once, and who reads it.

use std::sync::Arc;

use auth::{
    Caller, Keys, Revocations, Role, Scope, Verifier,
    token::{Claims, Signer},
};
use events::{ChangeSource, Event, Origin, Record};
use notifier::{consumer, grpc::notification::Notifications};
use process::Secret;
use proto::{
    events::v1::{ActivityRecord, ListChangesResponse, SessionRecord, TeamRecord, UserRecord},
    notifier::v1::{
        ListNotificationsRequest, ListNotificationsResponse,
        notification_service_client::NotificationServiceClient,
        notification_service_server::NotificationServiceServer,
    },
};
use rpc::client::Channel;
use rpc::{Error, client::Context};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{AMY, BOB, Database, MEI, after, lost_by, noon, people, won_by};

#[tokio::test]
async fn a_win_by_another_is_told_to_the_owner_and_the_manager_each_in_their_language() {
    let database = Database::with_people().await;
    database.apply(&[won_by(BOB)], noon()).await;
    let expected = [(AMY, "成交：軟體授權採購".to_owned()), (MEI, "Won: 軟體授權採購".to_owned())];
    assert_eq!(database.told().await, expected);
}

#[tokio::test]
async fn an_event_that_is_told_twice_makes_one_notification() {
    let database = Database::with_people().await;
    let event = won_by(BOB);
    database.apply(&[event.clone(), event.clone()], noon()).await;
    database.apply(&[event], after(60)).await;
    assert_eq!(database.told().await.len(), 2);
    assert_eq!(database.deliveries().await.len(), 2);
}

#[tokio::test]
async fn nobody_is_told_of_what_they_did_themselves() {
    let database = Database::with_people().await;
    database.apply(&[won_by(AMY)], noon()).await;
    assert_eq!(database.told().await, [(MEI, "Won: 軟體授權採購".to_owned())]);
    database.apply(&[lost_by(MEI, "價格")], noon()).await;
    assert_eq!(database.told().await[0], (AMY, "失敗：軟體授權採購".to_owned()));
    assert_eq!(database.told().await.len(), 2);
}

/// Mei mentioned Amy and Bob, of whom only those may be told.
fn mentioned(newly_mentioned: &[i64], origin: Origin) -> Event {
    let record = ActivityRecord {
        opportunity_id: 9,
        opportunity_name: "軟體授權採購".to_owned(),
        subject: format!("@[{AMY}] @[{BOB}]"),
        mentions: vec![AMY, BOB],
        newly_mentioned: newly_mentioned.to_vec(),
        ..ActivityRecord::default()
    };
    Event {
        r#type: "activity.updated".to_owned(),
        origin: origin.into(),
        record: Some(Record::Activity(record)),
        ..won_by(MEI)
    }
}

#[tokio::test]
async fn who_is_mentioned_is_told_once_and_only_who_is_said_to_be_told() {
    let database = Database::with_people().await;
    let event = mentioned(&[BOB, MEI], Origin::User);
    database.apply(&[event.clone(), event.clone()], noon()).await;
    database.apply(&[event], after(60)).await;
    let quiet = [mentioned(&[], Origin::User), mentioned(&[AMY], Origin::Import)];
    database.apply(&quiet, noon()).await;
    let expected = [(BOB, "林美 mentioned you in 軟體授權採購".to_owned())];
    assert_eq!(database.told().await, expected);
    assert_eq!(database.deliveries().await.len(), 1);
}

/// Something that happened to Amy's account, as identity tells it.
fn of_account(event_type: &str, record: Record) -> Event {
    Event { r#type: event_type.to_owned(), record: Some(record), ..won_by(AMY) }
}

#[tokio::test]
async fn a_closing_waits_until_all_is_known_that_identity_has_told() {
    let database = Database::create().await;
    let told = ChangeSource::new(|_| async {
        Ok(ListChangesResponse { last_position: 3, ..ListChangesResponse::default() })
    });
    let events = [won_by(BOB)];
    let mut tx = database.pool.begin().await.unwrap();
    let applying = consumer::apply_opportunities(&mut tx, &events, told, None, noon());
    let learning = async {
        // What the closing needs is not there yet: not who leads the team.
        database.hear(&people(), noon()).await;
        sqlx::query("insert into inbox (consumer, source, position, applied_at) values ($1, 'identity', 3, now())")
            .bind(notifier::PEOPLE)
            .execute(&database.pool)
            .await
            .unwrap();
    };
    let (applied, ()) = tokio::join!(applying, learning);
    applied.unwrap();
    tx.commit().await.unwrap();
    let expected = [(AMY, "成交：軟體授權採購".to_owned()), (MEI, "Won: 軟體授權採購".to_owned())];
    assert_eq!(database.told().await, expected);
}

#[tokio::test]
async fn without_identity_a_closing_is_told_by_what_is_known() {
    let database = Database::with_people().await;
    let down = ChangeSource::new(|_| async { anyhow::bail!("down") });
    let mut tx = database.pool.begin().await.unwrap();
    let events = [won_by(BOB)];
    consumer::apply_opportunities(&mut tx, &events, down, None, noon()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(database.told().await.len(), 2);
}

#[tokio::test]
async fn what_happens_to_an_account_is_told_to_its_owner_and_mailed_whoever_did_it() {
    let database = Database::with_people().await;
    let Some(Record::User(amy)) = people().remove(0).record else { panic!("no user") };
    let of_user = |event_type| of_account(event_type, Record::User(amy.clone()));
    let ended = |end_reason: &str| {
        let session = SessionRecord {
            user_id: AMY,
            end_reason: Some(end_reason.to_owned()),
            ..SessionRecord::default()
        };
        of_account("session.ended", Record::Session(session))
    };
    let events = [of_user("user.password_changed"), ended("refresh_reuse")];
    database.hear(&events, noon()).await;
    database.hear(&events, after(60)).await;
    database.hear(&[ended("signed_out"), of_user("user.updated")], noon()).await;
    let titles = ["您的密碼已變更", "您的一個登入已被結束"];
    assert_eq!(database.told().await, titles.map(|title| (AMY, title.to_owned())));
    assert_eq!(database.deliveries().await.len(), 2);
    // Read anew after days, it is no news.
    database.hear(&[of_user("user.password_changed")], after(2 * 86_400)).await;
    assert_eq!(database.told().await.len(), 2);
}

#[tokio::test]
async fn a_recipient_who_left_is_told_nothing_and_an_unknown_one_is_told_in_chinese() {
    let database = Database::create().await;
    database.apply(&[won_by(BOB)], noon()).await;
    assert_eq!(database.told().await, [(AMY, "成交：軟體授權採購".to_owned())]);

    let mut told = people();
    if let Some(Record::User(amy)) = &mut told[0].record {
        (amy.is_active, amy.version) = (false, 2);
    }
    database.hear(&told, noon()).await;
    database.apply(&[won_by(BOB)], noon()).await;
    assert_eq!(database.told().await.iter().map(|(user, _)| *user).collect::<Vec<_>>(), [AMY, MEI]);
}

#[tokio::test]
async fn an_older_version_of_a_person_or_a_team_changes_nothing() {
    let database = Database::with_people().await;
    let mut stale = people();
    for event in &mut stale {
        match &mut event.record {
            Some(Record::User(user)) => {
                *user = UserRecord { language: "en".to_owned(), version: 0, ..user.clone() }
            }
            Some(Record::Team(team)) => {
                *team = TeamRecord { manager_id: None, version: 0, ..team.clone() }
            }
            _ => {}
        }
    }
    database.hear(&stale, noon()).await;
    database.apply(&[won_by(BOB)], noon()).await;
    assert_eq!(database.told().await[0].1, "成交：軟體授權採購");
    assert_eq!(database.told().await.len(), 2);
}

/// The gRPC surface alone, with a key of the test's own.
struct Served {
    client: NotificationServiceClient<Channel>,
    signer: Signer,
    _stop: DropGuard,
}

impl Served {
    async fn start(database: &Database) -> Self {
        let signer =
            Signer::from_secret(&Secret::from("0123456789abcdef0123456789abcdef")).unwrap();
        let keys = Keys::fixed([signer.public_key().clone()]);
        let verifier = Verifier::new("salespipeline", keys, Arc::<Revocations>::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let server = rpc::Server::builder("notifier")
            .auth(auth::Layer::new(Arc::new(verifier), &[]))
            .add(NotificationServiceServer::new(Notifications { pool: database.pool.clone() }));
        tokio::spawn(server.serve(listener, stop.clone()));
        let channel = rpc::client::connect_lazy(&url, &rpc::Tls::default()).unwrap();
        Self { client: NotificationServiceClient::new(channel), signer, _stop: stop.drop_guard() }
    }

    async fn list(
        &self,
        caller: &Caller,
        request: ListNotificationsRequest,
    ) -> Result<ListNotificationsResponse, Error> {
        let claims = Claims::of(caller, "salespipeline", "t", process::now(), 60);
        let token = self.signer.sign(&claims).unwrap();
        let context =
            Context::default().with_authorization(format!("Bearer {token}").parse().unwrap());
        let answer = self.client.clone().list_notifications(context.request(request)).await?;
        Ok(answer.into_inner())
    }
}

fn user(user_id: i64) -> Caller {
    let role = Role::Rep;
    Caller {
        user_id,
        session_id: 1,
        role,
        team_id: None,
        rights_version: 1,
        scope: Scope::READ,
        via: auth::Via::Session,
        service: None,
    }
}

#[tokio::test]
async fn people_read_their_own_notifications_newest_first_page_by_page() {
    let database = Database::with_people().await;
    let served = Served::start(&database).await;
    for second in 0..5 {
        database.apply(&[lost_by(BOB, "價格")], after(second)).await;
    }
    // Two of one instant.
    database.apply(&[won_by(BOB)], after(4)).await;
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let request = ListNotificationsRequest { unread: None, limit: Some(2), cursor };
        let page = served.list(&user(AMY), request).await.unwrap();
        ids.extend(page.items.iter().map(|item| item.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let all = served.list(&user(AMY), ListNotificationsRequest::default()).await.unwrap().items;
    assert_eq!(ids, all.iter().map(|item| item.id).collect::<Vec<_>>());
    assert_eq!((all.len(), all[0].event.as_str()), (6, "opportunity.won"));
    assert!(all.is_sorted_by_key(|item| std::cmp::Reverse(item.created_at)));
    assert_eq!(
        all[1].body,
        "客戶：XYZ 公司\n金額：2,500,000 TWD\n負責人：陳愛美\n更新者：Bob\n失敗原因：價格"
    );
    assert_eq!(
        (all[1].opportunity_id, all[1].occurred_at, all[1].read_at),
        (Some(9), Some(noon().into()), None)
    );
}

#[tokio::test]
async fn what_others_are_told_is_not_to_be_seen() {
    let database = Database::with_people().await;
    let served = Served::start(&database).await;
    database.apply(&[won_by(BOB)], noon()).await;
    let all = ListNotificationsRequest::default;
    assert_eq!(served.list(&user(AMY), all()).await.unwrap().items.len(), 1);
    assert!(served.list(&user(BOB), all()).await.unwrap().items.is_empty());
    let refused = served.list(&Caller::service("gateway"), all()).await.unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
    let refused = served.client.clone().list_notifications(all()).await.unwrap_err();
    assert_eq!(Error::from(refused).reason(), rpc::reason::TOKEN_MISSING);
}

#[tokio::test]
async fn only_the_unread_can_be_asked_for() {
    let database = Database::with_people().await;
    let served = Served::start(&database).await;
    database.apply(&[won_by(BOB), lost_by(BOB, "價格")], noon()).await;
    sqlx::query("update notifications set read_at = created_at where event = 'opportunity.won'")
        .execute(&database.pool)
        .await
        .unwrap();
    let request =
        ListNotificationsRequest { unread: Some(true), ..ListNotificationsRequest::default() };
    let unread = served.list(&user(AMY), request).await.unwrap().items;
    assert_eq!(
        unread.iter().map(|item| item.event.as_str()).collect::<Vec<_>>(),
        ["opportunity.lost"]
    );
}

#[tokio::test]
async fn a_limit_out_of_range_is_a_bad_field_and_a_made_up_cursor_malformed() {
    let database = Database::create().await;
    let served = Served::start(&database).await;
    for (limit, cursor, reason) in
        [(0, None, "INVALID"), (201, None, "INVALID"), (1, Some("x".to_owned()), "CURSOR_INVALID")]
    {
        let request = ListNotificationsRequest { unread: None, limit: Some(limit), cursor };
        assert_eq!(served.list(&user(AMY), request).await.unwrap_err().reason(), reason);
    }
}
