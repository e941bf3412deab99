//! Second factors: one's own, and another's for a lost device.

use proto::identity::v1::{
    BeginSecondFactorRequest, BeginSecondFactorResponse, ConfirmSecondFactorRequest,
    ConfirmSecondFactorResponse, DisableSecondFactorRequest, GetSecondFactorRequest,
    ReplaceRecoveryCodesRequest, ReplaceRecoveryCodesResponse, ResetSecondFactorRequest,
    SecondFactor,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{Answer, Json, NoContent, NoQuery, Path, Unkept, Untagged, present};

/// Look at one's second factor
///
/// Whether it is on, whether one's role must have one, and how many recovery codes are left. For who signed in.
#[utoipa::path(get, path = "/users/me/second-factor", tag = "users")]
pub async fn get_second_factor(call: Call, _query: NoQuery) -> Answer<Json<SecondFactor>> {
    let request = GetSecondFactorRequest {};
    let answer = call.read(call.second_factors(), request, |mut it, request| async move {
        it.get_second_factor(request).await
    });
    Ok(Json(present(answer.await?.second_factor)?))
}

/// Begin to turn one's second factor on
///
/// The secret for an app is shown once, and is good for nothing until it is confirmed. Only for who signed in, like everything here: not with an API key.
#[utoipa::path(
    post,
    path = "/users/me/second-factor",
    tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "It is done once; the same key again is 409, for 24 hours: what is shown is shown once."))
)]
pub async fn begin_second_factor(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<BeginSecondFactorRequest>,
) -> Answer<Unkept<Json<BeginSecondFactorResponse>>> {
    let call = call.once(key);
    let mut service = call.second_factors();
    let answer =
        call.write(request, |request| async move { service.begin_second_factor(request).await });
    Ok(Unkept(Json(answer.await?)))
}

/// Turn one's second factor on
///
/// With the first code of the app. It ends the other sessions; the recovery codes are shown once. For who signed in.
#[utoipa::path(
    post,
    path = "/users/me/second-factor/confirm",
    tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "It is done once; the same key again is 409, for 24 hours: what is shown is shown once."))
)]
pub async fn confirm_second_factor(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<ConfirmSecondFactorRequest>,
) -> Answer<Unkept<Json<ConfirmSecondFactorResponse>>> {
    let call = call.once(key);
    let mut service = call.second_factors();
    let answer =
        call.write(request, |request| async move { service.confirm_second_factor(request).await });
    Ok(Unkept(Json(answer.await?)))
}

/// Get other recovery codes
///
/// They are shown once; the ones before are no longer good. For who signed in.
#[utoipa::path(
    post,
    path = "/users/me/second-factor/recovery-codes",
    tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "It is done once; the same key again is 409, for 24 hours: what is shown is shown once."))
)]
pub async fn replace_recovery_codes(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<ReplaceRecoveryCodesRequest>,
) -> Answer<Unkept<Json<ReplaceRecoveryCodesResponse>>> {
    let call = call.once(key);
    let mut service = call.second_factors();
    let answer =
        call.write(request, |request| async move { service.replace_recovery_codes(request).await });
    Ok(Unkept(Json(answer.await?)))
}

/// Turn one's second factor off
///
/// Not where one's role must have one. For who signed in.
#[utoipa::path(
    post,
    path = "/users/me/second-factor/disable",
    tag = "users",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn disable_second_factor(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<DisableSecondFactorRequest>,
) -> Answer<NoContent> {
    let call = call.once(key);
    let mut service = call.second_factors();
    let answer =
        call.write(request, |request| async move { service.disable_second_factor(request).await });
    answer.await?;
    Ok(NoContent)
}

/// Take another's second factor away
///
/// For admins who signed in, where a device is lost. It ends that user's sessions.
#[utoipa::path(delete, path = "/users/{id}/second-factor", tag = "users", params(("id" = i64, Path, description = "The user.")))]
pub async fn reset_second_factor(
    call: Call,
    Path(user_id): Path<i64>,
    _query: NoQuery,
    _version: Untagged,
) -> Answer<NoContent> {
    let mut service = call.second_factors();
    let request = ResetSecondFactorRequest { user_id };
    let answer =
        call.write(request, |request| async move { service.reset_second_factor(request).await });
    answer.await?;
    Ok(NoContent)
}
