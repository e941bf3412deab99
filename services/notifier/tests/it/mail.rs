//! Mails, up to the SMTP server that takes them.

use chrono::TimeDelta;
use events::{Event, Record};
use notifier::delivery::{
    self,
    model::{LEASE, Outcome},
    store,
};
use proto::events::v1::{FieldChange, UserRecord};
use tokio::net::TcpListener;

use crate::{
    smtp::Smtp,
    support::{
        AMY, BOB, DOMAIN, Database, after, lost_by, nobody_asked, noon, people, post, won_by,
    },
};

#[tokio::test]
async fn a_mail_arrives_with_what_the_notification_says() {
    let database = Database::with_people().await;
    let (server, url) = Smtp::start().await;
    let event = lost_by(BOB, "價格");
    database.apply(std::slice::from_ref(&event), noon()).await;
    assert_eq!(
        delivery::step(&database.pool, &post(&url, nobody_asked()), noon()).await.unwrap(),
        2
    );
    let mut mails = server.mails();
    mails.sort_by(|one, other| one.to.cmp(&other.to));
    let [amy, mei] = &mails[..] else { panic!("{mails:?}") };
    assert_eq!(
        (amy.from.as_str(), amy.to.as_slice()),
        ("pipeline@sales.example", ["1@example.com".to_owned()].as_slice())
    );
    assert_eq!(amy.header("To"), "陳愛美 <1@example.com>");
    assert_eq!(amy.header("From"), "銷售漏斗 <pipeline@sales.example>");
    assert_eq!(amy.header("Subject"), "失敗：軟體授權採購");
    assert_eq!(amy.header("Message-ID"), format!("<{}.{AMY}@{DOMAIN}>", event.event_id));
    assert_eq!(amy.header("Date"), "Thu, 09 Oct 2025 08:53:20 +0000");
    assert_eq!(amy.header("Content-Type"), "text/plain; charset=utf-8");
    assert_eq!(
        amy.text(),
        "客戶：XYZ 公司\n金額：2,500,000 TWD\n負責人：陳愛美\n更新者：Bob\n失敗原因：價格\n"
    );
    assert_eq!(mei.header("Subject"), "Lost: 軟體授權採購");
    assert_eq!(
        database.deliveries().await,
        [("delivered".to_owned(), 1), ("delivered".to_owned(), 1)]
    );
    assert_eq!(
        delivery::step(&database.pool, &post(&url, nobody_asked()), after(3_600)).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_changed_address_is_told_to_the_old_one_and_the_new_one() {
    let database = Database::with_people().await;
    let (server, url) = Smtp::start().await;
    let Some(Record::User(amy)) = people().remove(0).record else { panic!("no user") };
    let change = FieldChange {
        field: "email".to_owned(),
        old: "\"1@example.com\"".to_owned(),
        new: "\"amy@example.org\"".to_owned(),
    };
    let moved = UserRecord { email: "amy@example.org".to_owned(), version: 2, ..amy };
    let event = Event {
        r#type: "user.updated".to_owned(),
        record: Some(Record::User(moved)),
        changes: vec![change],
        ..won_by(AMY)
    };
    database.hear(&[event.clone(), event], noon()).await;
    assert_eq!(database.told().await, [(AMY, "您帳號的電子郵件已變更".to_owned())]);
    delivery::step(&database.pool, &post(&url, nobody_asked()), noon()).await.unwrap();
    let mut mails = server.mails();
    mails.sort_by(|one, other| one.to.cmp(&other.to));
    let to: Vec<_> = mails.iter().map(|mail| mail.to.concat()).collect();
    assert_eq!(to, ["1@example.com", "amy@example.org"]);
    assert_eq!(mails[0].text(), mails[1].text());
    assert_ne!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
}

#[tokio::test]
async fn while_the_server_is_down_a_mail_waits_and_then_arrives_as_the_same() {
    let database = Database::with_people().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let post = post(&format!("smtp://{address}"), nobody_asked());
    let event = won_by(BOB);
    database.apply(std::slice::from_ref(&event), noon()).await;
    delivery::step(&database.pool, &post, noon()).await.unwrap();
    assert_eq!(database.deliveries().await[0], ("retry".to_owned(), 1));

    let (server, _) = Smtp::on(TcpListener::bind(address).await.unwrap());
    assert_eq!(delivery::step(&database.pool, &post, after(29)).await.unwrap(), 0);
    server.answer_recipients("451 later");
    delivery::step(&database.pool, &post, after(30)).await.unwrap();
    assert_eq!(database.deliveries().await[0], ("retry".to_owned(), 2));
    server.answer_recipients("");
    delivery::step(&database.pool, &post, after(150)).await.unwrap();
    assert_eq!(database.deliveries().await[0], ("delivered".to_owned(), 3));
    let ids: Vec<_> = server.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert!(ids.contains(&format!("<{}.{AMY}@{DOMAIN}>", event.event_id)), "{ids:?}");
    assert_eq!(ids.len(), 2);
}

#[tokio::test]
async fn a_mailbox_that_is_not_there_is_not_tried_again_and_wrong_credentials_are() {
    let database = Database::with_people().await;
    let (server, url) = Smtp::start().await;
    server.answer_recipients("550 no such mailbox");
    database.apply(&[won_by(AMY)], noon()).await;
    delivery::step(&database.pool, &post(&url, nobody_asked()), noon()).await.unwrap();
    assert_eq!(database.deliveries().await, [("exhausted".to_owned(), 1)]);
    let error: String = sqlx::query_scalar("select last_error from deliveries")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(error.contains("no such mailbox"), "{error}");

    server.answer_recipients("530 sign in first");
    database.apply(&[won_by(AMY)], noon()).await;
    delivery::step(&database.pool, &post(&url, nobody_asked()), noon()).await.unwrap();
    assert_eq!(database.deliveries().await[1], ("retry".to_owned(), 1));
}

#[tokio::test]
async fn two_workers_at_once_send_each_mail_once() {
    let database = Database::with_people().await;
    let (server, url) = Smtp::start().await;
    let events: Vec<_> = (0..10).map(|_| won_by(AMY)).collect();
    database.apply(&events, noon()).await;
    let work = async || {
        let post = post(&url, nobody_asked());
        while delivery::step(&database.pool, &post, noon()).await.unwrap() > 0 {}
    };
    tokio::join!(work(), work(), work());
    assert_eq!(server.mails().len(), 10);
    assert!(database.deliveries().await.iter().all(|one| *one == ("delivered".to_owned(), 1)));
}

#[tokio::test]
async fn what_a_worker_left_undone_is_taken_over_and_its_late_answer_changes_nothing() {
    let database = Database::with_people().await;
    let (server, url) = Smtp::start().await;
    database.apply(&[won_by(AMY)], noon()).await;
    let mut tx = database.pool.begin().await.unwrap();
    let left = store::lease(&mut tx, noon(), noon() + LEASE, 8).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        delivery::step(
            &database.pool,
            &post(&url, nobody_asked()),
            noon() + LEASE - TimeDelta::seconds(1)
        )
        .await
        .unwrap(),
        0
    );
    assert_eq!(
        delivery::step(&database.pool, &post(&url, nobody_asked()), noon() + LEASE).await.unwrap(),
        1
    );
    let late = Outcome::Exhausted { error: "too late".to_owned() };
    let mut tx = database.pool.begin().await.unwrap();
    store::settle(&mut tx, &left[0], None, &late, noon() + LEASE).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(database.deliveries().await, [("delivered".to_owned(), 2)]);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn without_mail_and_of_what_is_old_news_no_mail_is_queued() {
    let database = Database::with_people().await;
    database.apply_with(&[won_by(BOB)], None, noon()).await;
    database.apply(&[won_by(BOB)], noon() + TimeDelta::hours(25)).await;
    assert_eq!(database.told().await.len(), 4);
    assert!(database.deliveries().await.is_empty());
}

#[tokio::test]
async fn a_recipient_who_is_not_known_yet_gets_their_mail_when_they_are() {
    let database = Database::create().await;
    let (server, url) = Smtp::start().await;
    database.apply(&[won_by(BOB)], noon()).await;
    delivery::step(&database.pool, &post(&url, nobody_asked()), noon()).await.unwrap();
    assert_eq!(database.deliveries().await, [("retry".to_owned(), 1)]);
    database.hear(&crate::support::people(), noon()).await;
    delivery::step(&database.pool, &post(&url, nobody_asked()), after(30)).await.unwrap();
    assert_eq!(server.mails()[0].to, ["1@example.com"]);
}
