//! Sessions: what one is signed in with, and ending it.

use proto::identity::v1::{
    EndSessionRequest, EndUserSessionsRequest, ListSessionsRequest, ListSessionsResponse,
};

use crate::call::Call;
use crate::http::{Answer, Json, NoContent, NoQuery, Path, Query, Untagged};

/// List one's sessions
///
/// The live ones, the newest first.
#[utoipa::path(get, path = "/users/me/sessions", tag = "users", params(ListSessionsRequest))]
pub async fn list_sessions(
    call: Call,
    Query(request): Query<ListSessionsRequest>,
) -> Answer<Json<ListSessionsResponse>> {
    let answer = call.read(call.sessions(), request, |mut it, request| async move {
        it.list_sessions(request).await
    });
    Ok(Json(answer.await?))
}

/// End one of one's sessions
///
/// No token of it is good after 2 seconds. For who signed in: not with an API key.
#[utoipa::path(delete, path = "/users/me/sessions/{id}", tag = "users", params(("id" = i64, Path, description = "The session.")))]
pub async fn end_session(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    _version: Untagged,
) -> Answer<NoContent> {
    let mut service = call.sessions();
    let request = EndSessionRequest { id };
    call.write(request, |request| async move { service.end_session(request).await }).await?;
    Ok(NoContent)
}

/// End all sessions of a user
///
/// For admins who signed in.
#[utoipa::path(delete, path = "/users/{id}/sessions", tag = "users", params(("id" = i64, Path, description = "The user.")))]
pub async fn end_user_sessions(
    call: Call,
    Path(user_id): Path<i64>,
    _query: NoQuery,
    _version: Untagged,
) -> Answer<NoContent> {
    let mut service = call.sessions();
    let request = EndUserSessionsRequest { user_id };
    call.write(request, |request| async move { service.end_user_sessions(request).await }).await?;
    Ok(NoContent)
}
