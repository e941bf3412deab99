//! Mails that bring a link to set a password, which identity is asked for.

use std::sync::{Arc, Mutex};

use events::{Event, Origin, Record};
use notifier::delivery;
use proto::{
    events::v1::PasswordLinkRecord,
    identity::v1::{
        InviteUserRequest, InviteUserResponse, PasswordLinkKind, RequestPasswordResetRequest,
        RequestPasswordResetResponse, RevealPasswordLinkRequest, RevealPasswordLinkResponse,
        SetPasswordByLinkRequest, SetPasswordByLinkResponse,
        password_link_service_server::{PasswordLinkService, PasswordLinkServiceServer},
    },
};
use rpc::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    smtp::Smtp,
    support::{AMY, DOMAIN, Database, after, identity, nobody_asked, noon, post},
};

const URL: &str = "https://sales.example/set-password?token=5.abc";

/// What identity answers of links: one, or that there is none.
#[derive(Clone)]
struct Links(Arc<Mutex<Told>>);

/// What it tells of any link.
type Told = Result<RevealPasswordLinkResponse, fn() -> Error>;

impl Links {
    /// With a good link of Amy's, and where it is.
    async fn start() -> (Self, String) {
        let link = RevealPasswordLinkResponse {
            email: "1@example.com".to_owned(),
            username: "陳愛美".to_owned(),
            language: "en".to_owned(),
            time_zone: "Asia/Taipei".to_owned(),
            kind: PasswordLinkKind::Reset.into(),
            url: URL.to_owned(),
            expires_at: Some(after(900).into()),
        };
        let links = Self(Arc::new(Mutex::new(Ok(link))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server =
            rpc::Server::builder("identity").add(PasswordLinkServiceServer::new(links.clone()));
        tokio::spawn(server.serve(listener, CancellationToken::new()));
        (links, url)
    }

    fn answer(&self, error: fn() -> Error) {
        *self.0.lock().unwrap() = Err(error);
    }
}

#[tonic::async_trait]
impl PasswordLinkService for Links {
    async fn request_password_reset(
        &self,
        _: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn set_password_by_link(
        &self,
        _: Request<SetPasswordByLinkRequest>,
    ) -> Result<Response<SetPasswordByLinkResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn invite_user(
        &self,
        _: Request<InviteUserRequest>,
    ) -> Result<Response<InviteUserResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn reveal_password_link(
        &self,
        request: Request<RevealPasswordLinkRequest>,
    ) -> Result<Response<RevealPasswordLinkResponse>, Status> {
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer t");
        assert_eq!(request.into_inner().id, 5);
        Ok(Response::new(self.0.lock().unwrap().clone().map_err(|error| error())?))
    }
}

/// A link of Amy's was made, good for 15 minutes.
fn link_made() -> Event {
    let record = PasswordLinkRecord {
        id: 5,
        user_id: AMY,
        kind: "reset".to_owned(),
        expires_at: Some(after(900).into()),
        version: 1,
        ..PasswordLinkRecord::default()
    };
    Event {
        event_id: Uuid::now_v7().to_string(),
        r#type: "password_link.created".to_owned(),
        origin: Origin::User.into(),
        record: Some(Record::PasswordLink(record)),
        ..Event::default()
    }
}

#[tokio::test]
async fn a_link_is_mailed_once_to_whom_identity_names_and_is_kept_nowhere() {
    let database = Database::create().await;
    let (server, smtp) = Smtp::start().await;
    let (_links, at) = Links::start().await;
    let event = link_made();
    database.hear(&[event.clone(), event.clone()], noon()).await;
    database.hear(std::slice::from_ref(&event), after(1)).await;
    let post = post(&smtp, identity(&at));
    assert_eq!(delivery::step(&database.pool, &post, after(1)).await.unwrap(), 1);
    let [mail] = &server.mails()[..] else { panic!("{:?}", server.mails()) };
    assert_eq!(mail.header("To"), "陳愛美 <1@example.com>");
    assert_eq!(mail.header("Subject"), "Set a new password");
    assert_eq!(mail.header("Message-ID"), format!("<{}.{AMY}@{DOMAIN}>", event.event_id));
    let text = mail.text();
    assert!(text.contains(&format!("\n\n{URL}\n\n")), "{text}");
    assert!(text.contains("until 2025-10-09 17:08 (Asia/Taipei), once"), "{text}");
    assert_eq!(database.deliveries().await, [("delivered".to_owned(), 1)]);
    let kept: String = sqlx::query_scalar("select string_agg(d::text, '') from deliveries d")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(!kept.contains("token") && kept.contains("1@example.com"), "{kept}");
}

#[tokio::test]
async fn a_link_that_was_used_or_replaced_meanwhile_is_not_mailed() {
    let database = Database::create().await;
    let (server, smtp) = Smtp::start().await;
    let (links, at) = Links::start().await;
    links.answer(|| Error::not_found("password link", 5));
    database.hear(&[link_made()], noon()).await;
    let post = post(&smtp, identity(&at));
    delivery::step(&database.pool, &post, noon()).await.unwrap();
    assert_eq!(database.deliveries().await, [("cancelled".to_owned(), 1)]);
    assert_eq!(delivery::step(&database.pool, &post, after(600)).await.unwrap(), 0);
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_link_waits_for_the_mail_server_and_for_identity_and_no_longer_than_it_is_good() {
    let database = Database::create().await;
    let (server, smtp) = Smtp::start().await;
    let (_links, at) = Links::start().await;
    database.hear(&[link_made()], noon()).await;
    delivery::step(&database.pool, &post(&smtp, nobody_asked()), noon()).await.unwrap();
    assert_eq!(database.deliveries().await, [("retry".to_owned(), 1)]);
    server.answer_recipients("451 later");
    let post = post(&smtp, identity(&at));
    delivery::step(&database.pool, &post, after(30)).await.unwrap();
    assert_eq!(database.deliveries().await, [("retry".to_owned(), 2)]);
    server.answer_recipients("");
    delivery::step(&database.pool, &post, after(150)).await.unwrap();
    assert_eq!(database.deliveries().await, [("delivered".to_owned(), 3)]);
    assert_eq!(server.mails().len(), 1);

    let late = Database::create().await;
    server.answer_recipients("451 later");
    late.hear(&[link_made()], noon()).await;
    for seconds in [0, 30, 150, 750] {
        delivery::step(&late.pool, &post, after(seconds)).await.unwrap();
    }
    assert_eq!(late.deliveries().await, [("exhausted".to_owned(), 4)]);
}

#[tokio::test]
async fn where_links_would_lead_nowhere_none_is_mailed() {
    let database = Database::create().await;
    let (server, smtp) = Smtp::start().await;
    let (links, at) = Links::start().await;
    links.answer(|| Error::precondition("NO_PUBLIC_URL", "PUBLIC_URL is not set"));
    database.hear(&[link_made()], noon()).await;
    delivery::step(&database.pool, &post(&smtp, identity(&at)), noon()).await.unwrap();
    assert_eq!(database.deliveries().await, [("exhausted".to_owned(), 1)]);
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn only_a_link_that_was_just_made_is_mailed() {
    let database = Database::create().await;
    let of = |event_type: &str, origin: Origin| Event {
        r#type: event_type.to_owned(),
        origin: origin.into(),
        ..link_made()
    };
    let silent = [
        of("password_link.used", Origin::User),
        of("password_link.withdrawn", Origin::User),
        of("password_link.created", Origin::Seed),
        of("password_link.created", Origin::Import),
    ];
    database.hear(&silent, noon()).await;
    database.hear(&[link_made()], after(900)).await;
    let mut tx = database.pool.begin().await.unwrap();
    notifier::consumer::apply_identity(&mut tx, &[link_made()], None, noon()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(database.deliveries().await.is_empty());
}
