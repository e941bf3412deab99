//! Opportunities and their stage history.

use proto::opportunities::v1::{
    ChangeOpportunityStageRequest, CreateOpportunityRequest, DeleteOpportunityRequest,
    GetOpportunityAccessRequest, GetOpportunityAccessResponse, GetOpportunityRequest,
    ListOpportunitiesRequest, ListOpportunitiesResponse, ListStageHistoryRequest,
    ListStageHistoryResponse, Opportunity, RestoreOpportunityRequest, UpdateOpportunitiesRequest,
    UpdateOpportunitiesResponse, UpdateOpportunityRequest, UpsertOpportunityRequest,
    UpsertOpportunityResponse,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, BulkJson, Created, IfMatch, IfThere, Json, NoContent, NoQuery, Patch, Path, Put, Query,
    Resource, present,
};
use crate::router::BASE;

/// List opportunities
///
/// Those that the caller may see, filtered and sorted, a page at a time.
#[utoipa::path(
    get,
    path = "/opportunities",
    tag = "opportunities",
    params(ListOpportunitiesRequest)
)]
pub async fn list_opportunities(
    call: Call,
    Query(request): Query<ListOpportunitiesRequest>,
) -> Answer<Json<ListOpportunitiesResponse>> {
    let answer = call.read(call.opportunities(), request, |mut it, request| async move {
        it.list_opportunities(request).await
    });
    Ok(Json(answer.await?))
}

/// Make an opportunity
///
/// With its customer and contact where these are new.
#[utoipa::path(
    post,
    path = "/opportunities",
    tag = "opportunities",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn create_opportunity(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateOpportunityRequest>,
) -> Answer<Created<Opportunity>> {
    let call = call.once(key);
    let mut service = call.opportunities();
    let answer =
        call.write(request, |request| async move { service.create_opportunity(request).await });
    let body = present(answer.await?.opportunity)?;
    let location = format!("{BASE}/opportunities/{}", body.id);
    Ok(Created { version: body.version, location, body })
}

/// Get an opportunity
///
/// With everything that is known of it, and its version as the `ETag`. 404 too where it is deleted or the caller may not see it.
#[utoipa::path(get, path = "/opportunities/{id}", tag = "opportunities", params(("id" = i64, Path, description = "The opportunity.")))]
pub async fn get_opportunity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<Opportunity>> {
    let request = GetOpportunityRequest { id };
    let answer = call.read(call.opportunities(), request, |mut it, request| async move {
        it.get_opportunity(request).await
    });
    let body = present(answer.await?.opportunity)?;
    Ok(Resource { version: body.version, body })
}

/// Change an opportunity
///
/// What is not named stays; `null` clears. A named `stage` is a move, by the same rules as `PATCH …/stage`.
#[utoipa::path(
    patch,
    path = "/opportunities/{id}",
    tag = "opportunities",
    request_body(content((UpdateOpportunityRequest = "application/json"), (UpdateOpportunityRequest = "application/merge-patch+json"))),
    params(
        ("id" = i64, Path, description = "The opportunity."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn update_opportunity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateOpportunityRequest>,
) -> Answer<Resource<Opportunity>> {
    let request = UpdateOpportunityRequest { id, expected_version, ..request };
    let mut service = call.opportunities();
    let answer =
        call.write(request, |request| async move { service.update_opportunity(request).await });
    let body = present(answer.await?.opportunity)?;
    Ok(Resource { version: body.version, body })
}

/// Make or change the opportunity of an id in another system
///
/// 201 where there was none: a customer and `opportunity_name` are required then. Otherwise what is named is changed, as by `PATCH`.
#[utoipa::path(
    put,
    path = "/opportunities/by-external-id/{external_id}",
    tag = "opportunities",
    params(
        ("external_id" = String, Path, description = "Its id there, percent-encoded, up to 255 characters."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise, and where there is none yet.")
    ),
    request_body(content((UpsertOpportunityRequest = "application/json"), (UpsertOpportunityRequest = "application/merge-patch+json"))),
)]
pub async fn upsert_opportunity(
    call: Call,
    Path(external_id): Path<String>,
    _query: NoQuery,
    IfThere(expected_version): IfThere,
    Patch(request): Patch<UpsertOpportunityRequest>,
) -> Answer<Put<Opportunity>> {
    let request = UpsertOpportunityRequest { external_id, expected_version, ..request };
    let mut service = call.opportunities();
    let answer =
        call.write(request, |request| async move { service.upsert_opportunity(request).await });
    let UpsertOpportunityResponse { opportunity, is_new } = answer.await?;
    let body = present(opportunity)?;
    let version = body.version;
    if !is_new {
        return Ok(Put::There(Resource { body, version }));
    }
    let location = format!("{BASE}/opportunities/{}", body.id);
    Ok(Put::Made(Created { body, version, location }))
}

/// Change many opportunities
///
/// Up to 1,000 changes in the order given, each with its own result: one that fails does not stop the others. `status` is what the change alone would have had.
#[utoipa::path(
    post,
    path = "/opportunities/bulk",
    tag = "opportunities",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours.")),
    request_body = UpdateOpportunitiesRequest
)]
pub async fn update_opportunities(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    BulkJson(request): BulkJson<UpdateOpportunitiesRequest>,
) -> Answer<Json<UpdateOpportunitiesResponse>> {
    let call = call.once(key);
    let mut service = call.bulk();
    let answer =
        call.write(request, |request| async move { service.update_opportunities(request).await });
    Ok(Json(answer.await?))
}

/// Delete an opportunity
///
/// It is in no list and no number any more. `POST …/restore` undoes it.
#[utoipa::path(
    delete,
    path = "/opportunities/{id}",
    tag = "opportunities",
    params(
        ("id" = i64, Path, description = "The opportunity."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn delete_opportunity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteOpportunityRequest { id, expected_version };
    let mut service = call.opportunities();
    call.write(request, |request| async move { service.delete_opportunity(request).await }).await?;
    Ok(NoContent)
}

/// Restore a deleted opportunity
///
/// It is there again as it was. One that is there stays as it is.
#[utoipa::path(
    post,
    path = "/opportunities/{id}/restore",
    tag = "opportunities",
    params(
        ("id" = i64, Path, description = "The opportunity."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the first answer again, for 24 hours.")
    )
)]
pub async fn restore_opportunity(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
) -> Answer<Resource<Opportunity>> {
    let call = call.once(key);
    let mut service = call.opportunities();
    let request = RestoreOpportunityRequest { id };
    let answer =
        call.write(request, |request| async move { service.restore_opportunity(request).await });
    let body = present(answer.await?.opportunity)?;
    Ok(Resource { version: body.version, body })
}

/// Move an opportunity to a stage
///
/// Its history row is written with it. To the stage it stands in: nothing changes but a named probability.
#[utoipa::path(
    patch,
    path = "/opportunities/{id}/stage",
    tag = "opportunities",
    params(
        ("id" = i64, Path, description = "The opportunity."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn change_opportunity_stage(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Json(request): Json<ChangeOpportunityStageRequest>,
) -> Answer<Resource<Opportunity>> {
    let request = ChangeOpportunityStageRequest { id, expected_version, ..request };
    let mut service = call.opportunities();
    let answer = call
        .write(request, |request| async move { service.change_opportunity_stage(request).await });
    let body = present(answer.await?.opportunity)?;
    Ok(Resource { version: body.version, body })
}

/// List an opportunity's stage history
///
/// Oldest first; the first row is its creation.
#[utoipa::path(
    get,
    path = "/opportunities/{id}/history",
    tag = "opportunities",
    params(("id" = i64, Path, description = "The opportunity."), ListStageHistoryRequest)
)]
pub async fn list_stage_history(
    call: Call,
    Path(id): Path<i64>,
    Query(request): Query<ListStageHistoryRequest>,
) -> Answer<Json<ListStageHistoryResponse>> {
    let request = ListStageHistoryRequest { id, ..request };
    let answer = call.read(call.opportunities(), request, |mut it, request| async move {
        it.list_stage_history(request).await
    });
    Ok(Json(answer.await?))
}

/// List who may read and change an opportunity
///
/// All active people by user id: why they may read it (no reason: they may not), and whether they may change it. For admins.
#[utoipa::path(
    get,
    path = "/opportunities/{id}/access",
    tag = "opportunities",
    params(("id" = i64, Path, description = "The opportunity."), GetOpportunityAccessRequest)
)]
pub async fn get_opportunity_access(
    call: Call,
    Path(id): Path<i64>,
    Query(request): Query<GetOpportunityAccessRequest>,
) -> Answer<Json<GetOpportunityAccessResponse>> {
    let request = GetOpportunityAccessRequest { id, ..request };
    let answer = call.read(call.opportunities(), request, |mut it, request| async move {
        it.get_opportunity_access(request).await
    });
    Ok(Json(answer.await?))
}
