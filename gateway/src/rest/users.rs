//! Users.

use proto::identity::v1::{
    ChangePasswordRequest, CreateUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse,
    UpdateUserRequest, User,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, Unkept,
    present,
};
use crate::router::BASE;

/// List users
///
/// Everyone, the newest first.
#[utoipa::path(get, path = "/users", tag = "users", params(ListUsersRequest))]
pub async fn list_users(
    call: Call,
    Query(request): Query<ListUsersRequest>,
) -> Answer<Json<ListUsersResponse>> {
    let answer = call
        .read(call.users(), request, |mut it, request| async move { it.list_users(request).await });
    Ok(Json(answer.await?))
}

/// Make a user
///
/// For admins who signed in. Without a password the answer has an `invitation_url`, where the new user sets one; not of a user who is made with `is_active` false, who is invited when
/// they are to sign in.
#[utoipa::path(
    post,
    path = "/users",
    tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours; 409 where that held an `invitation_url`, which is shown once."))
)]
pub async fn create_user(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateUserRequest>,
) -> Answer<Unkept<Created<User>>> {
    let call = call.once(key);
    let mut service = call.users();
    let answer = call.write(request, |request| async move { service.create_user(request).await });
    let body = present(answer.await?.user)?;
    let location = format!("{BASE}/users/{}", body.id);
    Ok(Unkept(Created { version: body.version, location, body }))
}

/// Get a user
///
/// Anyone who is signed in sees anyone, those who are not active any more too.
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = i64, Path, description = "The user.")))]
pub async fn get_user(call: Call, Path(id): Path<i64>, _query: NoQuery) -> Answer<Resource<User>> {
    get(&call, id).await
}

/// Change a user
///
/// What is not named stays; `null` clears. For admins, and for oneself as far as `/users/me` goes. A changed role, team or activity is effective everywhere within 2 seconds.
#[utoipa::path(
    patch,
    path = "/users/{id}",
    tag = "users",
    request_body(content((UpdateUserRequest = "application/json"), (UpdateUserRequest = "application/merge-patch+json"))),
    params(("id" = i64, Path, description = "The user."), ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn update_user(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateUserRequest>,
) -> Answer<Resource<User>> {
    update(&call, UpdateUserRequest { id, expected_version, ..request }).await
}

/// Get oneself
///
/// Whose the token or API key is.
#[utoipa::path(get, path = "/users/me", tag = "users")]
pub async fn get_me(call: Call, _query: NoQuery) -> Answer<Resource<User>> {
    get(&call, call.me()?).await
}

/// Change oneself
///
/// `username`, `language` and `time_zone`; the rest is for admins.
#[utoipa::path(
    patch,
    path = "/users/me",
    tag = "users",
    request_body(content((UpdateUserRequest = "application/json"), (UpdateUserRequest = "application/merge-patch+json"))),
    params(("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn update_me(
    call: Call,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateUserRequest>,
) -> Answer<Resource<User>> {
    let id = call.me()?;
    update(&call, UpdateUserRequest { id, expected_version, ..request }).await
}

/// Change one's password
///
/// It ends the other sessions. For who signed in.
#[utoipa::path(
    post,
    path = "/users/me/password",
    tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn change_password(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<ChangePasswordRequest>,
) -> Answer<NoContent> {
    let call = call.once(key);
    let mut service = call.users();
    let answer =
        call.write(request, |request| async move { service.change_password(request).await });
    answer.await?;
    Ok(NoContent)
}

async fn get(call: &Call, id: i64) -> Answer<Resource<User>> {
    let answer = call.read(call.users(), GetUserRequest { id }, |mut it, request| async move {
        it.get_user(request).await
    });
    let body = present(answer.await?.user)?;
    Ok(Resource { version: body.version, body })
}

async fn update(call: &Call, request: UpdateUserRequest) -> Answer<Resource<User>> {
    let mut service = call.users();
    let answer = call.write(request, |request| async move { service.update_user(request).await });
    let body = present(answer.await?.user)?;
    Ok(Resource { version: body.version, body })
}
