//! Activities: of an opportunity, of all, and what is to be done.

use proto::opportunities::v1::{
    Activity, CreateActivityRequest, DeleteActivityRequest, GetActivityRequest,
    ListActivitiesRequest, ListActivitiesResponse, ListOpportunityActivitiesRequest,
    ListOpportunityActivitiesResponse, RestoreActivityRequest, UpdateActivityRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, present,
};
use crate::router::BASE;

/// List an opportunity's activities
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/opportunities/{id}/activities",
    tag = "activities",
    params(("id" = i64, Path, description = "The opportunity."), ListOpportunityActivitiesRequest)
)]
pub async fn list_opportunity_activities(
    call: Call,
    Path(opportunity_id): Path<i64>,
    Query(request): Query<ListOpportunityActivitiesRequest>,
) -> Answer<Json<ListOpportunityActivitiesResponse>> {
    let request = ListOpportunityActivitiesRequest { opportunity_id, ..request };
    let answer = call.read(call.activities(), request, |mut it, request| async move {
        it.list_opportunity_activities(request).await
    });
    Ok(Json(answer.await?))
}

/// Add an activity to an opportunity
///
/// For who may change the opportunity. `@[3]` in `subject` or `description` mentions user 3, who is told of it if they may see the opportunity.
#[utoipa::path(
    post,
    path = "/opportunities/{id}/activities",
    tag = "activities",
    params(
        ("id" = i64, Path, description = "The opportunity."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours.")
    )
)]
pub async fn create_activity(
    call: Call,
    Path(opportunity_id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateActivityRequest>,
) -> Answer<Created<Activity>> {
    let call = call.once(key);
    let mut service = call.activities();
    let request = CreateActivityRequest { opportunity_id, ..request };
    let answer =
        call.write(request, |request| async move { service.create_activity(request).await });
    let body = present(answer.await?.activity)?;
    let location = format!("{BASE}/activities/{}", body.id);
    Ok(Created { version: body.version, location, body })
}

/// List activities
///
/// Of all opportunities that the caller may see, newest first. With `due` only what is to be done then: open ones with a `scheduled_at`, the earliest first. `owner_id` is who is to do them.
#[utoipa::path(get, path = "/activities", tag = "activities", params(ListActivitiesRequest))]
pub async fn list_activities(
    call: Call,
    Query(request): Query<ListActivitiesRequest>,
) -> Answer<Json<ListActivitiesResponse>> {
    let answer = call.read(call.activities(), request, |mut it, request| async move {
        it.list_activities(request).await
    });
    Ok(Json(answer.await?))
}

/// Get an activity
///
/// Of an opportunity that the caller may see; its version is the `ETag`.
#[utoipa::path(get, path = "/activities/{id}", tag = "activities", params(("id" = i64, Path, description = "The activity.")))]
pub async fn get_activity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<Activity>> {
    let request = GetActivityRequest { id };
    let answer = call.read(call.activities(), request, |mut it, request| async move {
        it.get_activity(request).await
    });
    let body = present(answer.await?.activity)?;
    Ok(Resource { version: body.version, body })
}

/// Change an activity
///
/// What is not named stays; `null` clears; of `completed_at` it opens the activity again. For who may change the opportunity, who made the activity, and whose it is.
#[utoipa::path(
    patch,
    path = "/activities/{id}",
    tag = "activities",
    request_body(content((UpdateActivityRequest = "application/json"), (UpdateActivityRequest = "application/merge-patch+json"))),
    params(
        ("id" = i64, Path, description = "The activity."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn update_activity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateActivityRequest>,
) -> Answer<Resource<Activity>> {
    let request = UpdateActivityRequest { id, expected_version, ..request };
    let mut service = call.activities();
    let answer =
        call.write(request, |request| async move { service.update_activity(request).await });
    let body = present(answer.await?.activity)?;
    Ok(Resource { version: body.version, body })
}

/// Delete an activity
///
/// `POST …/restore` undoes it.
#[utoipa::path(
    delete,
    path = "/activities/{id}",
    tag = "activities",
    params(
        ("id" = i64, Path, description = "The activity."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn delete_activity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteActivityRequest { id, expected_version };
    let mut service = call.activities();
    call.write(request, |request| async move { service.delete_activity(request).await }).await?;
    Ok(NoContent)
}

/// Restore a deleted activity
///
/// It is there again as it was. One that is there stays as it is.
#[utoipa::path(
    post,
    path = "/activities/{id}/restore",
    tag = "activities",
    params(
        ("id" = i64, Path, description = "The activity."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the first answer again, for 24 hours.")
    )
)]
pub async fn restore_activity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
) -> Answer<Resource<Activity>> {
    let call = call.once(key);
    let mut service = call.activities();
    let request = RestoreActivityRequest { id };
    let answer =
        call.write(request, |request| async move { service.restore_activity(request).await });
    let body = present(answer.await?.activity)?;
    Ok(Resource { version: body.version, body })
}
