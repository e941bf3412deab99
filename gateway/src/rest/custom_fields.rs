//! Fields of the organisation's own. What is made conditional on a version is so on that of the list.

use proto::opportunities::v1::{
    CreateCustomFieldRequest, CustomField, DeleteCustomFieldRequest, ListCustomFieldsRequest,
    ListCustomFieldsResponse, UpdateCustomFieldRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, present,
};
use crate::router::BASE;

/// List custom fields
///
/// In their order. An opportunity has what is said in them by key in `custom_fields`.
#[utoipa::path(
    get,
    path = "/custom-fields",
    tag = "opportunities",
    params(ListCustomFieldsRequest)
)]
pub async fn list_custom_fields(
    call: Call,
    Query(request): Query<ListCustomFieldsRequest>,
) -> Answer<Json<ListCustomFieldsResponse>> {
    let answer = call.read(call.custom_fields(), request, |mut it, request| async move {
        it.list_custom_fields(request).await
    });
    Ok(Json(answer.await?))
}

/// Make a custom field
///
/// A field with the key of a deleted one has to be of its type; what opportunities say in it is there again. For admins. The `ETag` is the version of the list.
#[utoipa::path(
    post,
    path = "/custom-fields",
    tag = "opportunities",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn create_custom_field(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateCustomFieldRequest>,
) -> Answer<Created<CustomField>> {
    let call = call.once(key);
    let mut service = call.custom_fields();
    let answer =
        call.write(request, |request| async move { service.create_custom_field(request).await });
    let answer = answer.await?;
    let body = present(answer.custom_field)?;
    let location = format!("{BASE}/custom-fields/{}", body.key);
    Ok(Created { version: answer.version, location, body })
}

/// Change a custom field
///
/// What is not named stays. What opportunities say in it stays, too. For admins. The `ETag` is the version of the list.
#[utoipa::path(
    patch,
    path = "/custom-fields/{key}",
    tag = "opportunities",
    request_body(content((UpdateCustomFieldRequest = "application/json"), (UpdateCustomFieldRequest = "application/merge-patch+json"))),
    params(
        ("key" = String, Path, description = "The key of the field."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the version of the list; 412 otherwise.")
    )
)]
pub async fn update_custom_field(
    call: Call,
    Path(key): Path<String>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateCustomFieldRequest>,
) -> Answer<Resource<CustomField>> {
    let request = UpdateCustomFieldRequest { key, expected_version, ..request };
    let mut service = call.custom_fields();
    let answer =
        call.write(request, |request| async move { service.update_custom_field(request).await });
    let answer = answer.await?;
    Ok(Resource { version: answer.version, body: present(answer.custom_field)? })
}

/// Delete a custom field
///
/// What opportunities say in it is hidden, until one of that key is made again. For admins.
#[utoipa::path(
    delete,
    path = "/custom-fields/{key}",
    tag = "opportunities",
    params(
        ("key" = String, Path, description = "The key of the field."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the version of the list; 412 otherwise.")
    )
)]
pub async fn delete_custom_field(
    call: Call,
    Path(key): Path<String>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteCustomFieldRequest { key, expected_version };
    let mut service = call.custom_fields();
    call.write(request, |request| async move { service.delete_custom_field(request).await })
        .await?;
    Ok(NoContent)
}
