//! Contacts of customers.

use proto::opportunities::v1::{
    Contact, CreateContactRequest, DeleteContactRequest, EraseContactRequest, EraseContactResponse,
    GetContactRequest, ListContactsRequest, ListContactsResponse, UpdateContactRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, present,
};
use crate::router::BASE;

/// List a customer's contacts
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/customers/{id}/contacts",
    tag = "customers",
    params(("id" = i64, Path, description = "The customer."), ListContactsRequest)
)]
pub async fn list_contacts(
    call: Call,
    Path(customer_id): Path<i64>,
    Query(request): Query<ListContactsRequest>,
) -> Answer<Json<ListContactsResponse>> {
    let request = ListContactsRequest { customer_id, ..request };
    let answer = call.read(call.contacts(), request, |mut it, request| async move {
        it.list_contacts(request).await
    });
    Ok(Json(answer.await?))
}

/// Add a contact to a customer
///
/// An address is one person's within a customer: another with the same is refused (409, with `contact_id`).
#[utoipa::path(
    post,
    path = "/customers/{id}/contacts",
    tag = "customers",
    params(
        ("id" = i64, Path, description = "The customer."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours.")
    )
)]
pub async fn create_contact(
    call: Call,
    Path(customer_id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateContactRequest>,
) -> Answer<Created<Contact>> {
    let call = call.once(key);
    let request = CreateContactRequest { customer_id, ..request };
    let mut service = call.contacts();
    let answer =
        call.write(request, |request| async move { service.create_contact(request).await });
    let body = present(answer.await?.contact)?;
    let location = format!("{BASE}/contacts/{}", body.id);
    Ok(Created { version: body.version, location, body })
}

/// Get a contact
///
/// Of a customer that the caller may see; its version is the `ETag`.
#[utoipa::path(get, path = "/contacts/{id}", tag = "customers", params(("id" = i64, Path, description = "The contact.")))]
pub async fn get_contact(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<Contact>> {
    let answer =
        call.read(call.contacts(), GetContactRequest { id }, |mut it, request| async move {
            it.get_contact(request).await
        });
    let body = present(answer.await?.contact)?;
    Ok(Resource { version: body.version, body })
}

/// Change a contact
///
/// What is not named stays; `null` clears.
#[utoipa::path(
    patch,
    path = "/contacts/{id}",
    tag = "customers",
    request_body(content((UpdateContactRequest = "application/json"), (UpdateContactRequest = "application/merge-patch+json"))),
    params(
        ("id" = i64, Path, description = "The contact."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn update_contact(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateContactRequest>,
) -> Answer<Resource<Contact>> {
    let request = UpdateContactRequest { id, expected_version, ..request };
    let mut service = call.contacts();
    let answer =
        call.write(request, |request| async move { service.update_contact(request).await });
    let body = present(answer.await?.contact)?;
    Ok(Resource { version: body.version, body })
}

/// Delete a contact
///
/// The opportunities that name it have no contact afterwards.
#[utoipa::path(
    delete,
    path = "/contacts/{id}",
    tag = "customers",
    params(
        ("id" = i64, Path, description = "The contact."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn delete_contact(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteContactRequest { id, expected_version };
    let mut service = call.contacts();
    call.write(request, |request| async move { service.delete_contact(request).await }).await?;
    Ok(NoContent)
}

/// Erase a person
///
/// For admins, and for ever: name, address, telephone and position are removed from the contact, from those that were merged with it, and from the change log.
/// They are deleted, and no opportunity names them any more. Amounts and counts stay.
#[utoipa::path(
    post,
    path = "/contacts/{id}/erase",
    tag = "customers",
    params(
        ("id" = i64, Path, description = "The contact, deleted or not."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the first answer again, for 24 hours.")
    )
)]
pub async fn erase_contact(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
) -> Answer<Json<EraseContactResponse>> {
    let call = call.once(key);
    let mut service = call.contacts();
    let answer = call.write(EraseContactRequest { id }, |request| async move {
        service.erase_contact(request).await
    });
    Ok(Json(answer.await?))
}
