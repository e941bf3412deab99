//! Customers.

use proto::opportunities::v1::{
    CreateCustomerRequest, Customer, DeleteCustomerRequest, GetCustomerRequest,
    ListCustomersRequest, ListCustomersResponse, ListDuplicateCustomersRequest,
    ListDuplicateCustomersResponse, MergeCustomersRequest, MergeCustomersResponse,
    RestoreCustomerRequest, UnmergeCustomersRequest, UnmergeCustomersResponse,
    UpdateCustomerRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, present,
};
use crate::router::BASE;

/// List customers
///
/// Those that the caller may see, because they made them or may see one of their opportunities.
#[utoipa::path(get, path = "/customers", tag = "customers", params(ListCustomersRequest))]
pub async fn list_customers(
    call: Call,
    Query(request): Query<ListCustomersRequest>,
) -> Answer<Json<ListCustomersResponse>> {
    let answer = call.read(call.customers(), request, |mut it, request| async move {
        it.list_customers(request).await
    });
    Ok(Json(answer.await?))
}

/// Make a customer
///
/// Always: names are not unique. What is likely the same is listed under `/customers/duplicates`.
#[utoipa::path(
    post,
    path = "/customers",
    tag = "customers",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn create_customer(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreateCustomerRequest>,
) -> Answer<Created<Customer>> {
    let call = call.once(key);
    let mut service = call.customers();
    let answer =
        call.write(request, |request| async move { service.create_customer(request).await });
    let body = present(answer.await?.customer)?;
    let location = format!("{BASE}/customers/{}", body.id);
    Ok(Created { version: body.version, location, body })
}

/// Get a customer
///
/// One that was merged into another has `merged_into_id`: read that one.
#[utoipa::path(get, path = "/customers/{id}", tag = "customers", params(("id" = i64, Path, description = "The customer.")))]
pub async fn get_customer(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<Customer>> {
    let request = GetCustomerRequest { id };
    let answer = call.read(call.customers(), request, |mut it, request| async move {
        it.get_customer(request).await
    });
    let body = present(answer.await?.customer)?;
    Ok(Resource { version: body.version, body })
}

/// Change a customer
///
/// What is not named stays; `null` clears. Its opportunities carry its name, and have the new one at once.
#[utoipa::path(
    patch,
    path = "/customers/{id}",
    tag = "customers",
    request_body(content((UpdateCustomerRequest = "application/json"), (UpdateCustomerRequest = "application/merge-patch+json"))),
    params(
        ("id" = i64, Path, description = "The customer."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn update_customer(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateCustomerRequest>,
) -> Answer<Resource<Customer>> {
    let request = UpdateCustomerRequest { id, expected_version, ..request };
    let mut service = call.customers();
    let answer =
        call.write(request, |request| async move { service.update_customer(request).await });
    let body = present(answer.await?.customer)?;
    Ok(Resource { version: body.version, body })
}

/// Delete a customer
///
/// One with opportunities is not deleted (409). Its contacts go with it. `POST …/restore` undoes it.
#[utoipa::path(
    delete,
    path = "/customers/{id}",
    tag = "customers",
    params(
        ("id" = i64, Path, description = "The customer."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn delete_customer(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteCustomerRequest { id, expected_version };
    let mut service = call.customers();
    call.write(request, |request| async move { service.delete_customer(request).await }).await?;
    Ok(NoContent)
}

/// Restore a deleted customer
///
/// It is there again as it was, with its contacts. One that is there stays as it is.
#[utoipa::path(
    post,
    path = "/customers/{id}/restore",
    tag = "customers",
    params(
        ("id" = i64, Path, description = "The customer."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the first answer again, for 24 hours.")
    )
)]
pub async fn restore_customer(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
) -> Answer<Resource<Customer>> {
    let call = call.once(key);
    let mut service = call.customers();
    let request = RestoreCustomerRequest { id };
    let answer =
        call.write(request, |request| async move { service.restore_customer(request).await });
    let body = present(answer.await?.customer)?;
    Ok(Resource { version: body.version, body })
}

/// List likely duplicates
///
/// Groups of customers with one name, one address, one telephone number, or names that differ by punctuation and kinds of company. Each says why.
#[utoipa::path(
    get,
    path = "/customers/duplicates",
    tag = "customers",
    params(ListDuplicateCustomersRequest)
)]
pub async fn list_duplicate_customers(
    call: Call,
    Query(request): Query<ListDuplicateCustomersRequest>,
) -> Answer<Json<ListDuplicateCustomersResponse>> {
    let answer = call.read(call.customers(), request, |mut it, request| async move {
        it.list_duplicate_customers(request).await
    });
    Ok(Json(answer.await?))
}

/// Merge another customer into this one
///
/// Its opportunities and contacts come here; contacts of one address, or without one of one name, become one; what is empty here is filled in. `POST …/unmerge`
/// undoes it.
#[utoipa::path(
    post,
    path = "/customers/{id}/merge",
    tag = "customers",
    params(
        ("id" = i64, Path, description = "The customer that stays."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours.")
    )
)]
pub async fn merge_customers(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<MergeCustomersRequest>,
) -> Answer<Json<MergeCustomersResponse>> {
    let call = call.once(key);
    let request = MergeCustomersRequest { id, ..request };
    let mut service = call.customers();
    let answer =
        call.write(request, |request| async move { service.merge_customers(request).await });
    Ok(Json(answer.await?))
}

/// Undo a merge
///
/// What is still as the merge left it goes back; what has been changed since stays and is told.
#[utoipa::path(
    post,
    path = "/customers/{id}/unmerge",
    tag = "customers",
    params(
        ("id" = i64, Path, description = "The customer that stayed."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours.")
    )
)]
pub async fn unmerge_customers(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<UnmergeCustomersRequest>,
) -> Answer<Json<UnmergeCustomersResponse>> {
    let call = call.once(key);
    let request = UnmergeCustomersRequest { id, ..request };
    let mut service = call.customers();
    let answer =
        call.write(request, |request| async move { service.unmerge_customers(request).await });
    Ok(Json(answer.await?))
}
