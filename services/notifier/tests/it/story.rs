//! The whole process: events of two owners in, a notification and a mail out, without a broker.

use std::{
    pin::Pin,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use auth::{
    Caller, Role, Scope,
    token::{Claims, Signer},
};
use events::Event;
use futures::Stream;
use process::Secret;
use proto::{
    events::v1::{
        GetDigestRequest, GetDigestResponse, ListChangesRequest, ListChangesResponse,
        StreamRecordsRequest, StreamRecordsResponse,
        change_service_server::{ChangeService, ChangeServiceServer},
    },
    identity::v1::{
        ExchangeCodeRequest, ExchangeCodeResponse, IssueClientTokenRequest,
        IssueClientTokenResponse, IssueServiceTokenRequest, IssueServiceTokenResponse,
        IssueTokenRequest, IssueTokenResponse, ListKeysRequest, ListKeysResponse,
        RefreshTokenRequest, RefreshTokenResponse, RevokeTokenRequest, RevokeTokenResponse,
        key_service_server::{KeyService, KeyServiceServer},
        token_service_server::{TokenService, TokenServiceServer},
    },
    notifier::v1::{
        ListNotificationsRequest, notification_service_client::NotificationServiceClient,
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::Command,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    smtp::Smtp,
    support::{AMY, BOB, Database, numbered, people, won_by},
};

/// What notifier asks of an owner, answered from a list.
#[derive(Clone)]
struct Owner {
    events: Vec<Event>,
    signer: Signer,
    /// Set once all events of identity are applied. Until then opportunities tells nothing: the people are known before.
    people_known: Arc<AtomicBool>,
    is_identity: bool,
}

impl Owner {
    async fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = rpc::Server::builder("owner")
            .add(ChangeServiceServer::new(self.clone()))
            .add(KeyServiceServer::new(self.clone()))
            .add(TokenServiceServer::new(self));
        tokio::spawn(server.serve(listener, CancellationToken::new()));
        url
    }

    fn token(&self, caller: &Caller) -> String {
        self.signer.sign(&Claims::of(caller, "salespipeline", "t", process::now(), 600)).unwrap()
    }
}

#[tonic::async_trait]
impl ChangeService for Owner {
    async fn list_changes(
        &self,
        request: Request<ListChangesRequest>,
    ) -> Result<Response<ListChangesResponse>, Status> {
        assert!(request.metadata().get("authorization").is_some());
        let after = request.into_inner().after_position;
        let last_position = self.events.len().try_into().unwrap();
        if self.is_identity && after == last_position {
            self.people_known.store(true, Ordering::Relaxed);
        }
        if !self.is_identity && !self.people_known.load(Ordering::Relaxed) {
            return Ok(Response::new(ListChangesResponse::default()));
        }
        let events = self.events.iter().filter(|event| event.position > after).cloned().collect();
        Ok(Response::new(ListChangesResponse { events, last_position }))
    }

    async fn get_digest(
        &self,
        _: Request<GetDigestRequest>,
    ) -> Result<Response<GetDigestResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    type StreamRecordsStream =
        Pin<Box<dyn Stream<Item = Result<StreamRecordsResponse, Status>> + Send>>;

    async fn stream_records(
        &self,
        _: Request<StreamRecordsRequest>,
    ) -> Result<Response<Self::StreamRecordsStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

#[tonic::async_trait]
impl KeyService for Owner {
    async fn list_keys(
        &self,
        _: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        Ok(Response::new(ListKeysResponse { keys: vec![self.signer.public_key().clone().into()] }))
    }
}

#[tonic::async_trait]
impl TokenService for Owner {
    async fn issue_token(
        &self,
        _: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn refresh_token(
        &self,
        _: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn exchange_code(
        &self,
        _: Request<ExchangeCodeRequest>,
    ) -> Result<Response<ExchangeCodeResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn issue_client_token(
        &self,
        _: Request<IssueClientTokenRequest>,
    ) -> Result<Response<IssueClientTokenResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn revoke_token(
        &self,
        _: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        let IssueServiceTokenRequest { service, secret } = request.into_inner();
        assert_eq!((service.as_str(), secret.as_str()), ("notifier", "a secret of notifier"));
        let access_token = self.token(&Caller::service(service));
        Ok(Response::new(IssueServiceTokenResponse { access_token, expires_in: 600 }))
    }
}

#[tokio::test]
async fn an_owner_hears_of_a_win_in_the_product_and_by_mail() {
    let database = Database::create().await;
    let (mails, smtp_url) = Smtp::start().await;
    let signer = Signer::from_secret(&Secret::from("0123456789abcdef0123456789abcdef")).unwrap();
    let mut won = won_by(BOB);
    won.recorded_at = Some(process::now().into());
    let people_known = Arc::<AtomicBool>::default();
    let identity = Owner {
        events: people(),
        signer: signer.clone(),
        people_known: people_known.clone(),
        is_identity: true,
    };
    let opportunities = Owner { events: numbered([won]), signer, people_known, is_identity: false };
    let amy = Caller {
        user_id: AMY,
        session_id: 1,
        role: Role::Rep,
        team_id: None,
        rights_version: 1,
        scope: Scope::ALL,
        via: auth::Via::Session,
        service: None,
    };
    let token = identity.token(&amy);
    let mut process = Command::new(env!("CARGO_BIN_EXE_notifier"))
        .arg("serve")
        .env_clear()
        .env("DATABASE_URL", &database.url)
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("LISTEN_ADDR", "127.0.0.1:0")
        .env("IDENTITY_URL", identity.serve().await)
        .env("OPPORTUNITIES_URL", opportunities.serve().await)
        .env("SERVICE_SECRET", "a secret of notifier")
        .env("EMAIL_ENABLED", "true")
        .env("SMTP_URL", smtp_url)
        .env("EMAIL_FROM", "pipeline@sales.example")
        .env("LOG_LEVEL", "error")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let bound: serde_json::Value =
        serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let url = format!("http://{}", bound["listen"].as_str().unwrap());
    let context = rpc::client::Context::default()
        .with_authorization(format!("Bearer {token}").parse().unwrap());
    let client = NotificationServiceClient::new(
        rpc::client::connect_lazy(&url, &rpc::Tls::default()).unwrap(),
    );
    let told = loop {
        let request = context.request(ListNotificationsRequest::default());
        let mut items =
            client.clone().list_notifications(request).await.unwrap().into_inner().items;
        if let Some(told) = items.pop() {
            break told;
        }
    };
    assert_eq!((told.event.as_str(), told.opportunity_id), ("opportunity.won", Some(9)));
    while !mails.mails().iter().any(|mail| mail.to == ["1@example.com"]) {
        tokio::task::yield_now().await;
    }
}
