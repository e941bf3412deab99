//! The reasons for which opportunities are lost. What is made conditional on a version is so on that of the list.

use proto::opportunities::v1::{
    CreateLostReasonRequest, DeleteLostReasonRequest, ListLostReasonsRequest,
    ListLostReasonsResponse, LostReason, UpdateLostReasonRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, present,
};
use crate::router::BASE;

/// List reasons for which opportunities are lost
///
/// In their order. While one is active, `lost_reason` of an opportunity is the name of an active one; while none is, any text.
#[utoipa::path(get, path = "/lost-reasons", tag = "opportunities", params(ListLostReasonsRequest))]
pub async fn list_lost_reasons(
    call: Call,
    Query(request): Query<ListLostReasonsRequest>,
) -> Answer<Json<ListLostReasonsResponse>> {
    let answer = call.read(call.lost_reasons(), request, |mut it, request| async move {
        it.list_lost_reasons(request).await
    });
    Ok(Json(answer.await?))
}

/// Add a reason for which opportunities are lost
///
/// For admins. The `ETag` is the version of the list.
#[utoipa::path(
    post,
    path = "/lost-reasons",
    tag = "opportunities",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn create_lost_reason(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateLostReasonRequest>,
) -> Answer<Created<LostReason>> {
    let call = call.once(key);
    let mut service = call.lost_reasons();
    let answer =
        call.write(request, |request| async move { service.create_lost_reason(request).await });
    let answer = answer.await?;
    let body = present(answer.lost_reason)?;
    let location = format!("{BASE}/lost-reasons/{}", body.id);
    Ok(Created { version: answer.version, location, body })
}

/// Change a reason for which opportunities are lost
///
/// What is not named stays. What was lost for it before keeps the name of its time. For admins. The `ETag` is the version of the list.
#[utoipa::path(
    patch,
    path = "/lost-reasons/{id}",
    tag = "opportunities",
    request_body(content((UpdateLostReasonRequest = "application/json"), (UpdateLostReasonRequest = "application/merge-patch+json"))),
    params(
        ("id" = i64, Path, description = "The reason."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the version of the list; 412 otherwise.")
    )
)]
pub async fn update_lost_reason(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateLostReasonRequest>,
) -> Answer<Resource<LostReason>> {
    let request = UpdateLostReasonRequest { id, expected_version, ..request };
    let mut service = call.lost_reasons();
    let answer =
        call.write(request, |request| async move { service.update_lost_reason(request).await });
    let answer = answer.await?;
    Ok(Resource { version: answer.version, body: present(answer.lost_reason)? })
}

/// Remove a reason for which opportunities are lost
///
/// What was lost for it says so still. For admins.
#[utoipa::path(
    delete,
    path = "/lost-reasons/{id}",
    tag = "opportunities",
    params(
        ("id" = i64, Path, description = "The reason."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the version of the list; 412 otherwise.")
    )
)]
pub async fn delete_lost_reason(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteLostReasonRequest { id, expected_version };
    let mut service = call.lost_reasons();
    call.write(request, |request| async move { service.delete_lost_reason(request).await }).await?;
    Ok(NoContent)
}
