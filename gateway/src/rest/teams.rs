//! Teams and who is in them.

use proto::identity::v1::{
    AddTeamMemberRequest, CreateTeamRequest, DeleteTeamRequest, GetTeamRequest, ListTeamsRequest,
    ListTeamsResponse, RemoveTeamMemberRequest, Team, UpdateTeamRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, Untagged,
    present,
};
use crate::router::BASE;

/// List teams
///
/// All of them, the newest first.
#[utoipa::path(get, path = "/teams", tag = "teams", params(ListTeamsRequest))]
pub async fn list_teams(
    call: Call,
    Query(request): Query<ListTeamsRequest>,
) -> Answer<Json<ListTeamsResponse>> {
    let answer = call
        .read(call.teams(), request, |mut it, request| async move { it.list_teams(request).await });
    Ok(Json(answer.await?))
}

/// Make a team
///
/// For admins.
#[utoipa::path(
    post,
    path = "/teams",
    tag = "teams",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn create_team(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateTeamRequest>,
) -> Answer<Created<Team>> {
    let call = call.once(key);
    let mut service = call.teams();
    let answer = call.write(request, |request| async move { service.create_team(request).await });
    let body = present(answer.await?.team)?;
    let location = format!("{BASE}/teams/{}", body.id);
    Ok(Created { version: body.version, location, body })
}

/// Get a team
///
/// Its name, who manages it and which team it is below, for everybody who is signed in.
#[utoipa::path(get, path = "/teams/{id}", tag = "teams", params(("id" = i64, Path, description = "The team.")))]
pub async fn get_team(call: Call, Path(id): Path<i64>, _query: NoQuery) -> Answer<Resource<Team>> {
    let answer = call.read(call.teams(), GetTeamRequest { id }, |mut it, request| async move {
        it.get_team(request).await
    });
    let body = present(answer.await?.team)?;
    Ok(Resource { version: body.version, body })
}

/// Change a team
///
/// What is not named stays; `null` clears. For admins.
#[utoipa::path(
    patch,
    path = "/teams/{id}",
    tag = "teams",
    request_body(content((UpdateTeamRequest = "application/json"), (UpdateTeamRequest = "application/merge-patch+json"))),
    params(("id" = i64, Path, description = "The team."), ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn update_team(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateTeamRequest>,
) -> Answer<Resource<Team>> {
    let request = UpdateTeamRequest { id, expected_version, ..request };
    let mut service = call.teams();
    let answer = call.write(request, |request| async move { service.update_team(request).await });
    let body = present(answer.await?.team)?;
    Ok(Resource { version: body.version, body })
}

/// Delete a team
///
/// For admins. Its members are in no team afterwards, the teams below it come under the one above it.
#[utoipa::path(
    delete,
    path = "/teams/{id}",
    tag = "teams",
    params(("id" = i64, Path, description = "The team."), ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn delete_team(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteTeamRequest { id, expected_version };
    let mut service = call.teams();
    call.write(request, |request| async move { service.delete_team(request).await }).await?;
    Ok(NoContent)
}

/// Bring a user into a team
///
/// Out of any other. For admins.
#[utoipa::path(
    put,
    path = "/teams/{id}/members/{user_id}",
    tag = "teams",
    params(("id" = i64, Path, description = "The team."), ("user_id" = i64, Path, description = "The user."))
)]
pub async fn add_team_member(
    call: Call,
    Path((team_id, user_id)): Path<(i64, i64)>,
    _query: NoQuery,
) -> Answer<NoContent> {
    let request = AddTeamMemberRequest { team_id, user_id };
    let mut service = call.teams();
    call.write(request, |request| async move { service.add_team_member(request).await }).await?;
    Ok(NoContent)
}

/// Take a user out of a team
///
/// For admins.
#[utoipa::path(
    delete,
    path = "/teams/{id}/members/{user_id}",
    tag = "teams",
    params(("id" = i64, Path, description = "The team."), ("user_id" = i64, Path, description = "The user."))
)]
pub async fn remove_team_member(
    call: Call,
    Path((team_id, user_id)): Path<(i64, i64)>,
    _query: NoQuery,
    _version: Untagged,
) -> Answer<NoContent> {
    let request = RemoveTeamMemberRequest { team_id, user_id };
    let mut service = call.teams();
    call.write(request, |request| async move { service.remove_team_member(request).await }).await?;
    Ok(NoContent)
}
