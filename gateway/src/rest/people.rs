//! Users and teams.

use proto::identity::v1::{
    GetUserRequest, ListTeamsRequest, ListTeamsResponse, ListUsersRequest, ListUsersResponse, User,
};

use crate::call::Call;
use crate::http::{Answer, Json, NoQuery, Path, Query, Resource, present};

/// List users
///
/// Everyone, by id.
#[utoipa::path(get, path = "/users", tag = "users", params(ListUsersRequest))]
pub async fn list_users(
    call: Call,
    Query(request): Query<ListUsersRequest>,
) -> Answer<Json<ListUsersResponse>> {
    let answer = call
        .read(call.users(), request, |mut it, request| async move { it.list_users(request).await });
    Ok(Json(answer.await?))
}

/// Get a user
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = i64, Path, description = "The user.")))]
pub async fn get_user(call: Call, Path(id): Path<i64>, _query: NoQuery) -> Answer<Resource<User>> {
    let answer = call.read(call.users(), GetUserRequest { id }, |mut it, request| async move {
        it.get_user(request).await
    });
    let body = present(answer.await?.user)?;
    Ok(Resource { version: body.version, body })
}

/// List teams
///
/// All of them, by id.
#[utoipa::path(get, path = "/teams", tag = "teams", params(ListTeamsRequest))]
pub async fn list_teams(
    call: Call,
    Query(request): Query<ListTeamsRequest>,
) -> Answer<Json<ListTeamsResponse>> {
    let answer = call
        .read(call.teams(), request, |mut it, request| async move { it.list_teams(request).await });
    Ok(Json(answer.await?))
}
