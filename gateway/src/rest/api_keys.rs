//! API keys: what a program shows instead of a sign-in.

use proto::identity::v1::{
    ApiKey, CreateApiKeyRequest, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Path, Query, Unkept, present,
};
use crate::router::BASE;

/// List one's API keys
///
/// Those that were not revoked, the newest first. The keys themselves are not shown again.
#[utoipa::path(get, path = "/api-keys", tag = "auth", params(ListApiKeysRequest))]
pub async fn list_api_keys(
    call: Call,
    Query(request): Query<ListApiKeysRequest>,
) -> Answer<Json<ListApiKeysResponse>> {
    let answer = call.read(call.api_keys(), request, |mut it, request| async move {
        it.list_api_keys(request).await
    });
    Ok(Json(answer.await?))
}

/// Make an API key
///
/// It acts for the caller, with the rights that they have at the moment and not beyond its scopes. `key` is in this answer alone. For who signed in;
/// no key makes another.
#[utoipa::path(
    post,
    path = "/api-keys",
    tag = "auth",
    params(("Idempotency-Key" = Option<String>, Header, description = "A request that is sent again with the same key and body is answered 409 with the `id`: the API key is shown once."))
)]
pub async fn create_api_key(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateApiKeyRequest>,
) -> Answer<Unkept<Created<ApiKey>>> {
    let call = call.once(key);
    let mut service = call.api_keys();
    let answer =
        call.write(request, |request| async move { service.create_api_key(request).await });
    let body = present(answer.await?.api_key)?;
    let location = format!("{BASE}/api-keys/{}", body.id);
    Ok(Unkept(Created { version: body.version, location, body }))
}

/// Revoke an API key
///
/// One's own; for admins anyone's. Nothing is done with it after 2 seconds. For who signed in.
#[utoipa::path(
    delete,
    path = "/api-keys/{id}",
    tag = "auth",
    params(("id" = i64, Path, description = "The API key."), ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn revoke_api_key(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let mut service = call.api_keys();
    let request = RevokeApiKeyRequest { id, expected_version };
    call.write(request, |request| async move { service.revoke_api_key(request).await }).await?;
    Ok(NoContent)
}
