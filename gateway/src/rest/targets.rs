//! Targets: what is to be won, and how a period stands to that.

use proto::analytics::v1::{
    DeleteTargetRequest, GetAttainmentRequest, GetAttainmentResponse, GetTargetRequest,
    ListTargetsRequest, ListTargetsResponse, SetTargetRequest, Target,
};

use crate::call::Call;
use crate::http::{
    Answer, IfMatch, IfThere, Json, NoContent, NoQuery, Path, Query, Resource, present,
};

/// List targets
///
/// What is to be won in a month, a quarter or a year by a person, by a team, or, where neither is said, by the organisation; the latest first.
#[utoipa::path(get, path = "/targets", tag = "forecast", params(ListTargetsRequest))]
pub async fn list_targets(
    call: Call,
    Query(request): Query<ListTargetsRequest>,
) -> Answer<Json<ListTargetsResponse>> {
    let answer = call.read(call.targets(), request, |mut it, request| async move {
        it.list_targets(request).await
    });
    Ok(Json(answer.await?))
}

/// Get a target
///
/// What is to be won in a period by a person, a team or the organisation. Its version is the `ETag`.
#[utoipa::path(
    get,
    path = "/targets/{id}",
    tag = "forecast",
    params(("id" = i64, Path, description = "The target."))
)]
pub async fn get_target(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<Target>> {
    let request = GetTargetRequest { id };
    let answer = call.read(call.targets(), request, |mut it, request| async move {
        it.get_target(request).await
    });
    let body = present(answer.await?.target)?;
    Ok(Resource { version: body.version, body })
}

/// Set a target
///
/// For a period, and a person, a team or, where neither is named, the organisation; in the place of the one that there is. For administrators, and for managers within their reach.
#[utoipa::path(
    put,
    path = "/targets",
    tag = "forecast",
    params(("If-Match" = Option<String>, Header, description = "Only if this is the `ETag` of the target that there is, or `*` and there is one; 412 otherwise."))
)]
pub async fn set_target(
    call: Call,
    _query: NoQuery,
    IfThere(expected_version): IfThere,
    Json(request): Json<SetTargetRequest>,
) -> Answer<Resource<Target>> {
    let request = SetTargetRequest { expected_version, ..request };
    let mut service = call.targets();
    let answer = call.write(request, |request| async move { service.set_target(request).await });
    let body = present(answer.await?.target)?;
    Ok(Resource { version: body.version, body })
}

/// Take a target away
///
/// For administrators, and for managers within their reach.
#[utoipa::path(
    delete,
    path = "/targets/{id}",
    tag = "forecast",
    params(
        ("id" = i64, Path, description = "The target."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn delete_target(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteTargetRequest { id, expected_version };
    let mut service = call.targets();
    call.write(request, |request| async move { service.delete_target(request).await }).await?;
    Ok(NoContent)
}

/// How a period stands to its target
///
/// What is won of it, whether that is in time, what is open and expected to close in it, and how much open pipeline the rest needs at the win rate of the last twelve months.
#[utoipa::path(get, path = "/forecast/attainment", tag = "forecast", params(GetAttainmentRequest))]
pub async fn get_attainment(
    call: Call,
    Query(request): Query<GetAttainmentRequest>,
) -> Answer<Json<GetAttainmentResponse>> {
    let answer = call.read(call.attainments(), request, |mut it, request| async move {
        it.get_attainment(request).await
    });
    Ok(Json(answer.await?))
}
