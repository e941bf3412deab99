//! Programs that are given tokens.

use proto::identity::v1::{
    Client, CreateClientRequest, DeleteClientRequest, GetClientRequest, ListClientsRequest,
    ListClientsResponse,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Path, Query, Resource, Unkept, present,
};
use crate::router::BASE;

/// List OAuth clients
///
/// For admins. All of them, the newest first.
#[utoipa::path(get, path = "/oauth-clients", tag = "clients", params(ListClientsRequest))]
pub async fn list_clients(
    call: Call,
    Query(request): Query<ListClientsRequest>,
) -> Answer<Json<ListClientsResponse>> {
    let answer = call.read(call.clients(), request, |mut it, request| async move {
        it.list_clients(request).await
    });
    Ok(Json(answer.await?))
}

/// Make an OAuth client
///
/// For admins who signed in. The answer alone has the `client_secret` of a confidential one: sent again with the same `Idempotency-Key` it is a conflict that names the id.
#[utoipa::path(
    post,
    path = "/oauth-clients",
    tag = "clients",
    params(("Idempotency-Key" = Option<String>, Header, description = "The client is made once, however often it is sent within 24 hours."))
)]
pub async fn create_client(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateClientRequest>,
) -> Answer<Unkept<Created<Client>>> {
    let call = call.once(key);
    let mut service = call.clients();
    let answer = call.write(request, |request| async move { service.create_client(request).await });
    let body = present(answer.await?.client)?;
    let location = format!("{BASE}/oauth-clients/{}", body.id);
    Ok(Unkept(Created { version: body.version, location, body }))
}

/// Get an OAuth client
///
/// For admins.
#[utoipa::path(get, path = "/oauth-clients/{id}", tag = "clients", params(("id" = i64, Path, description = "The client.")))]
pub async fn get_client(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<Client>> {
    let answer = call.read(call.clients(), GetClientRequest { id }, |mut it, request| async move {
        it.get_client(request).await
    });
    let body = present(answer.await?.client)?;
    Ok(Resource { version: body.version, body })
}

/// Delete an OAuth client
///
/// For admins who signed in. No token of it is good after 2 seconds.
#[utoipa::path(
    delete,
    path = "/oauth-clients/{id}",
    tag = "clients",
    params(("id" = i64, Path, description = "The client."), ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn delete_client(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteClientRequest { id, expected_version };
    let mut service = call.clients();
    call.write(request, |request| async move { service.delete_client(request).await }).await?;
    Ok(NoContent)
}
