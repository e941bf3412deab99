//! Dead letters: what services could not apply, and applying it again.

use proto::dead_letter::v1::{
    DeadLetter, GetDeadLetterRequest, ListDeadLettersRequest, ListDeadLettersResponse,
    ReplayDeadLettersRequest, ReplayDeadLettersResponse,
};

use crate::call::Call;
use crate::http::{Answer, Json, NoQuery, Path, Query, present};

/// List what a service could not apply
///
/// Events that were put aside so that the next ones are applied, in the order in which that happened, with what was wrong. For administrators.
#[utoipa::path(
    get,
    path = "/dead-letters/{service}",
    tag = "dead letters",
    params(
        ("service" = String, Path, description = "`opportunities`, `analytics` or `notifier`."),
        ListDeadLettersRequest
    )
)]
pub async fn list_dead_letters(
    call: Call,
    Path(service): Path<String>,
    Query(request): Query<ListDeadLettersRequest>,
) -> Answer<Json<ListDeadLettersResponse>> {
    let client = call.dead_letters(&service)?;
    let answer =
        call.read(
            client,
            request,
            |mut it, request| async move { it.list_dead_letters(request).await },
        );
    Ok(Json(answer.await?))
}

/// Get a dead letter
///
/// With what is in its event, as far as that can be read. For administrators.
#[utoipa::path(
    get,
    path = "/dead-letters/{service}/{id}",
    tag = "dead letters",
    params(
        ("service" = String, Path, description = "`opportunities`, `analytics` or `notifier`."),
        ("id" = i64, Path, description = "The dead letter.")
    )
)]
pub async fn get_dead_letter(
    call: Call,
    Path((service, id)): Path<(String, i64)>,
    _query: NoQuery,
) -> Answer<Json<DeadLetter>> {
    let client = call.dead_letters(&service)?;
    let answer = call.read(client, GetDeadLetterRequest { id }, |mut it, request| async move {
        it.get_dead_letter(request).await
    });
    Ok(Json(present(answer.await?.dead_letter)?))
}

/// Have a dead letter applied again
///
/// 404 where it is not, or no longer, there: what is applied goes. For administrators.
#[utoipa::path(
    put,
    path = "/dead-letters/{service}/{id}/replay",
    tag = "dead letters",
    params(
        ("service" = String, Path, description = "`opportunities`, `analytics` or `notifier`."),
        ("id" = i64, Path, description = "The dead letter.")
    )
)]
pub async fn replay_dead_letter(
    call: Call,
    Path((service, id)): Path<(String, i64)>,
    _query: NoQuery,
) -> Answer<Json<ReplayDeadLettersResponse>> {
    replay(call, &service, Some(id)).await
}

/// Have what a service could not apply applied again
///
/// Up to 100 within five seconds, those first that were tried longest ago; `remaining` says how many are still aside. May be repeated. For administrators.
#[utoipa::path(
    put,
    path = "/dead-letters/{service}/replay",
    tag = "dead letters",
    params(("service" = String, Path, description = "`opportunities`, `analytics` or `notifier`."))
)]
pub async fn replay_dead_letters(
    call: Call,
    Path(service): Path<String>,
    _query: NoQuery,
) -> Answer<Json<ReplayDeadLettersResponse>> {
    replay(call, &service, None).await
}

async fn replay(
    call: Call,
    service: &str,
    id: Option<i64>,
) -> Answer<Json<ReplayDeadLettersResponse>> {
    let mut client = call.dead_letters(service)?;
    let request = ReplayDeadLettersRequest { id };
    let answer =
        call.write(request, |request| async move { client.replay_dead_letters(request).await });
    Ok(Json(answer.await?))
}
