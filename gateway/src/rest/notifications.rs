//! Notifications.

use proto::notifier::v1::{ListNotificationsRequest, ListNotificationsResponse};

use crate::call::Call;
use crate::http::{Answer, Json, Query};

/// List one's notifications
///
/// The caller's own, newest first.
#[utoipa::path(
    get,
    path = "/notifications",
    tag = "notifications",
    params(ListNotificationsRequest)
)]
pub async fn list_notifications(
    call: Call,
    Query(request): Query<ListNotificationsRequest>,
) -> Answer<Json<ListNotificationsResponse>> {
    let answer = call.read(call.notifications(), request, |mut it, request| async move {
        it.list_notifications(request).await
    });
    Ok(Json(answer.await?))
}
