//! Links by which a password is set: asking for one, using it, and inviting.

use proto::identity::v1::{
    InviteUserRequest, InviteUserResponse, RequestPasswordResetRequest, SetPasswordByLinkRequest,
};

use crate::call::{Call, Guest, IdempotencyKey};
use crate::http::{Accepted, Answer, Json, Made, NoContent, NoQuery, Path, Unkept};

/// Ask for a new password
///
/// A link is mailed to that address if it is a user's, good for 15 minutes; the answer is the same if it is not.
#[utoipa::path(post, path = "/auth/password-reset", tag = "auth", security(()))]
pub async fn request_password_reset(
    guest: Guest,
    _query: NoQuery,
    Json(request): Json<RequestPasswordResetRequest>,
) -> Answer<Accepted> {
    let mut service = guest.password_links();
    guest
        .write(request, |request| async move { service.request_password_reset(request).await })
        .await?;
    Ok(Accepted)
}

/// Set a password by a link
///
/// With the `token` of an invitation or of a mail that was asked for. The link is good once; all sessions of the user end.
#[utoipa::path(post, path = "/auth/set-password", tag = "auth", security(()))]
pub async fn set_password_by_link(
    guest: Guest,
    _query: NoQuery,
    Json(request): Json<SetPasswordByLinkRequest>,
) -> Answer<NoContent> {
    let mut service = guest.password_links();
    guest
        .write(request, |request| async move { service.set_password_by_link(request).await })
        .await?;
    Ok(NoContent)
}

/// Invite a user again
///
/// For admins who signed in: a new link by which an active user sets a password, also one who has one already. It is good for 7 days; earlier ones are not good any more.
#[utoipa::path(
    post,
    path = "/users/{id}/invitation",
    tag = "users",
    params(
        ("id" = i64, Path, description = "The user."),
        ("Idempotency-Key" = Option<String>, Header, description = "It is done once; the same key again is 409, for 24 hours: the link is shown once.")
    )
)]
pub async fn invite_user(
    call: Call,
    Path(user_id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
) -> Answer<Unkept<Made<InviteUserResponse>>> {
    let call = call.once(key);
    let mut service = call.password_links();
    let request = InviteUserRequest { user_id };
    let answer = call.write(request, |request| async move { service.invite_user(request).await });
    Ok(Unkept(Made(answer.await?)))
}
