//! `ClientService`.

use idempotency::{Once, Outcome};
use prost::Message as _;
use proto::identity::v1::{
    self as wire, CreateClientRequest, CreateClientResponse, DeleteClientRequest,
    DeleteClientResponse, GetClientRequest, GetClientResponse, ListClientsRequest,
    ListClientsResponse, client_service_server::ClientService,
};
use rpc::Error;
use tonic::{Request, Response, Status};

use super::{cause, random};
use crate::{
    app::App,
    client::{
        self, Made,
        event::scopes,
        model::{Client, Draft, Kind, Random},
    },
    page::Page,
};

/// Keeps clients.
#[derive(Clone, Debug)]
pub struct Clients {
    /// What use cases work with.
    pub app: App,
}

#[tonic::async_trait]
impl ClientService for Clients {
    async fn get_client(
        &self,
        request: Request<GetClientRequest>,
    ) -> Result<Response<GetClientResponse>, Status> {
        let caller = auth::caller(&request)?;
        let client = client::get(&self.app, &caller, request.into_inner().id).await?;
        Ok(Response::new(GetClientResponse { client: Some(to_wire(client)) }))
    }

    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let ListClientsRequest { limit, cursor } = request.into_inner();
        let page = Page::parse(limit, cursor.as_deref())?;
        let page = client::list(&self.app, &caller, page).await?;
        let items = page.items.into_iter().map(to_wire).collect();
        Ok(Response::new(ListClientsResponse { items, next_cursor: page.next_cursor }))
    }

    async fn create_client(
        &self,
        request: Request<CreateClientRequest>,
    ) -> Result<Response<CreateClientResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        // Written down without the secret, so that nobody is shown it again.
        let once = Once::of(&request, |made: &Made| {
            CreateClientResponse { client: Some(to_wire(made.client.clone())) }.encode_to_vec()
        })?;
        let asked = request.into_inner();
        let draft = Draft {
            kind: kind(asked.kind()),
            name: asked.name,
            redirect_uris: asked.redirect_uris,
            scopes: asked.scopes,
            user_id: asked.user_id,
        };
        let random = Random { id: random()?, secret: random()? };
        let outcome = rpc::write(async move {
            client::create(&app, &caller, draft, once, random, &cause, process::now()).await
        });
        let client = match outcome.await? {
            Outcome::New(Made { client, secret }) => {
                let client_secret = secret.map(|secret| secret.expose().to_owned());
                Some(wire::Client { client_secret, ..to_wire(client) })
            }
            Outcome::Replay(bytes) => again(&bytes)?,
        };
        Ok(Response::new(CreateClientResponse { client }))
    }

    async fn delete_client(
        &self,
        request: Request<DeleteClientRequest>,
    ) -> Result<Response<DeleteClientResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let DeleteClientRequest { id, expected_version } = request.into_inner();
        rpc::write(async move {
            client::delete(&app, &caller, id, expected_version, &cause, process::now()).await
        })
        .await?;
        Ok(Response::new(DeleteClientResponse {}))
    }
}

/// The first answer once more, unless it had a secret.
fn again(bytes: &[u8]) -> Result<Option<wire::Client>, Error> {
    let first = CreateClientResponse::decode(bytes).map_err(|it| Error::Internal(it.into()))?;
    match &first.client {
        Some(client) if client.kind() == wire::ClientKind::Confidential => {
            let shown = "it was made, and its secret is shown once";
            Err(Error::conflict("SECRET_SHOWN", shown).about("id", client.id))
        }
        _ => Ok(first.client),
    }
}

fn kind(kind: wire::ClientKind) -> Kind {
    match kind {
        wire::ClientKind::Unspecified | wire::ClientKind::Public => Kind::Public,
        wire::ClientKind::Confidential => Kind::Confidential,
    }
}

fn to_wire(client: Client) -> wire::Client {
    let kind = match client.kind {
        Kind::Public => wire::ClientKind::Public,
        Kind::Confidential => wire::ClientKind::Confidential,
    };
    wire::Client {
        id: client.id,
        client_id: client.client_id,
        name: client.name,
        kind: kind.into(),
        redirect_uris: client.redirect_uris,
        scopes: scopes(client.may_write),
        user_id: client.user_id,
        is_built_in: client.is_built_in,
        created_at: Some(client.created_at.into()),
        version: client.version,
        client_secret: None,
    }
}
