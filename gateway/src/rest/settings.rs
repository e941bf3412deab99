//! The organisation's settings.

use proto::identity::v1::{GetSettingsRequest, Settings, UpdateSettingsRequest};

use crate::call::Call;
use crate::http::{Answer, IfMatch, NoQuery, Patch, Resource, present};

/// Get the organisation's settings
///
/// Time zone, currency, who sees what, and when a fiscal year begins, for everybody who is signed in.
#[utoipa::path(get, path = "/settings", tag = "settings")]
pub async fn get_settings(call: Call, _query: NoQuery) -> Answer<Resource<Settings>> {
    let request = GetSettingsRequest {};
    let answer = call.read(call.settings(), request, |mut it, request| async move {
        it.get_settings(request).await
    });
    let body = present(answer.await?.settings)?;
    Ok(Resource { version: body.version, body })
}

/// Change the organisation's settings
///
/// What is not named stays. For admins. The currency can change only while there is no amount.
#[utoipa::path(
    patch,
    path = "/settings",
    tag = "settings",
    request_body(content((UpdateSettingsRequest = "application/json"), (UpdateSettingsRequest = "application/merge-patch+json"))),
    params(("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn update_settings(
    call: Call,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateSettingsRequest>,
) -> Answer<Resource<Settings>> {
    let request = UpdateSettingsRequest { expected_version, ..request };
    let mut service = call.settings();
    let answer =
        call.write(request, |request| async move { service.update_settings(request).await });
    let body = present(answer.await?.settings)?;
    Ok(Resource { version: body.version, body })
}
