//! Currencies and what they are worth.

use proto::Date;
use proto::opportunities::v1::{
    DeleteExchangeRateRequest, ExchangeRate, ListCurrenciesRequest, ListCurrenciesResponse,
    ListExchangeRatesRequest, ListExchangeRatesResponse, SetExchangeRateRequest,
};

use crate::call::Call;
use crate::http::{
    Answer, IfMatch, Json, NoContent, NoQuery, Path, Problem, Query, Resource, present,
};

/// List currencies
///
/// The organisation's first, in which totals are, then every other that has a rate, with the one that is valid today.
#[utoipa::path(get, path = "/currencies", tag = "currencies", params(ListCurrenciesRequest))]
pub async fn list_currencies(
    call: Call,
    Query(request): Query<ListCurrenciesRequest>,
) -> Answer<Json<ListCurrenciesResponse>> {
    let answer = call.read(call.currencies(), request, |mut it, request| async move {
        it.list_currencies(request).await
    });
    Ok(Json(answer.await?))
}

/// List the rates of a currency
///
/// What a unit of it is worth in the organisation's currency, from which day on; the latest day first. None of a currency that has none.
#[utoipa::path(
    get,
    path = "/currencies/{code}/rates",
    tag = "currencies",
    params(("code" = String, Path, description = "ISO 4217, in any case."), ListExchangeRatesRequest)
)]
pub async fn list_exchange_rates(
    call: Call,
    Path(currency): Path<String>,
    Query(request): Query<ListExchangeRatesRequest>,
) -> Answer<Json<ListExchangeRatesResponse>> {
    let request = ListExchangeRatesRequest { currency, ..request };
    let answer = call.read(call.currencies(), request, |mut it, request| async move {
        it.list_exchange_rates(request).await
    });
    Ok(Json(answer.await?))
}

/// Set a rate of a currency
///
/// From a day on, in the place of the one from that day, if there is one. It changes what open opportunities are worth while it is valid, and nothing that is closed. For admins.
#[utoipa::path(
    put,
    path = "/currencies/{code}/rates",
    tag = "currencies",
    params(
        ("code" = String, Path, description = "ISO 4217, in any case; not the organisation's own."),
        ("If-Match" = Option<String>, Header, description = "Only if this is the `ETag` of the rate from that day; 412 otherwise.")
    )
)]
pub async fn set_exchange_rate(
    call: Call,
    Path(currency): Path<String>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Json(request): Json<SetExchangeRateRequest>,
) -> Answer<Resource<ExchangeRate>> {
    let request = SetExchangeRateRequest { currency, expected_version, ..request };
    let mut service = call.currencies();
    let answer =
        call.write(request, |request| async move { service.set_exchange_rate(request).await });
    let body = present(answer.await?.rate)?;
    Ok(Resource { version: body.version, body })
}

/// Remove a rate of a currency
///
/// One that was wrong: from its day on the one before it is valid. What closed meanwhile stays as it was frozen. For admins.
#[utoipa::path(
    delete,
    path = "/currencies/{code}/rates/{valid_from}",
    tag = "currencies",
    params(
        ("code" = String, Path, description = "ISO 4217, in any case."),
        ("valid_from" = Date, Path, description = "The first day on which it is valid."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn delete_exchange_rate(
    call: Call,
    Path((currency, valid_from)): Path<(String, String)>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let valid_from = valid_from.parse::<Date>().map_err(|_| Problem::not_found())?;
    let valid_from = Some(valid_from);
    let request = DeleteExchangeRateRequest { currency, valid_from, expected_version };
    let mut service = call.currencies();
    call.write(request, |request| async move { service.delete_exchange_rate(request).await })
        .await?;
    Ok(NoContent)
}
