//! Keeping a copy.

use proto::opportunities::v1::{ListSyncItemsRequest, ListSyncItemsResponse};

use crate::call::Call;
use crate::http::{Answer, Json, Query};

/// List what changed
///
/// For who keeps a copy. Without `since`: all records that the caller may see. With `next` of the answer before: what changed since then, in order, each record as it
/// is now. `deleted` is also what the caller may not see any more. While `has_more`, ask on at once. With an opportunity that is deleted go its activities, with a
/// customer its contacts.
#[utoipa::path(get, path = "/sync", tag = "sync", params(ListSyncItemsRequest))]
pub async fn list_sync_items(
    call: Call,
    Query(request): Query<ListSyncItemsRequest>,
) -> Answer<Json<ListSyncItemsResponse>> {
    let answer = call.read(call.sync(), request, |mut it, request| async move {
        it.list_sync_items(request).await
    });
    Ok(Json(answer.await?))
}
