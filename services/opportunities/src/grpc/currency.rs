//! CurrencyService.

use proto::opportunities::v1 as pb;
use proto::opportunities::v1::currency_service_server::CurrencyService;
use rpc::{Error, Invalid};
use tonic::{Request, Response, Status};

use super::caller_and_meta;
use super::request::day;
use crate::State;
use crate::currency::model::ExchangeRate;
use crate::currency::{self, Currency, Wish};
use crate::page::checked_limit;

/// Serves currencies and their rates.
pub struct Currencies(pub State);

#[tonic::async_trait]
impl CurrencyService for Currencies {
    async fn list_currencies(
        &self,
        request: Request<pb::ListCurrenciesRequest>,
    ) -> Result<Response<pb::ListCurrenciesResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::ListCurrenciesRequest { limit, cursor } = request.into_inner();
        let page = (checked_limit(limit)?, cursor.as_deref());
        let (currencies, next_cursor) = currency::list(&self.0, &caller, page, &meta).await?;
        let items = currencies.into_iter().map(to_wire).collect();
        Ok(Response::new(pb::ListCurrenciesResponse { items, next_cursor }))
    }

    async fn list_exchange_rates(
        &self,
        request: Request<pb::ListExchangeRatesRequest>,
    ) -> Result<Response<pb::ListExchangeRatesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let page = (checked_limit(it.limit)?, it.cursor.as_deref());
        let (rates, next_cursor) = currency::rates(&self.0, &caller, &it.currency, page).await?;
        let items = rates.into_iter().map(rate_to_wire).collect();
        Ok(Response::new(pb::ListExchangeRatesResponse { items, next_cursor }))
    }

    async fn set_exchange_rate(
        &self,
        request: Request<pb::SetExchangeRateRequest>,
    ) -> Result<Response<pb::SetExchangeRateResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let it = request.into_inner();
        let mut invalid = Invalid::default();
        let wish = Wish {
            valid_from: day(&mut invalid, "valid_from", it.valid_from),
            currency: it.currency,
            rate: it.rate.map(Into::into),
            expected_version: it.expected_version,
        };
        caller.require_admin()?;
        invalid.into_result()?;
        let state = self.0.clone();
        let rate = rpc::write(async move { currency::set(&state, &caller, wish, meta).await });
        let rate = Some(rate_to_wire(rate.await?));
        Ok(Response::new(pb::SetExchangeRateResponse { rate }))
    }

    async fn delete_exchange_rate(
        &self,
        request: Request<pb::DeleteExchangeRateRequest>,
    ) -> Result<Response<pb::DeleteExchangeRateResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let it = request.into_inner();
        caller.require_admin()?;
        let valid_from = day(&mut Invalid::default(), "valid_from", it.valid_from);
        let valid_from =
            valid_from.ok_or_else(|| Error::not_found("exchange rate", &it.currency))?;
        let (state, expected) = (self.0.clone(), it.expected_version);
        rpc::write(async move {
            let which = (&*it.currency, valid_from);
            currency::remove(&state, &caller, which, expected, meta).await
        })
        .await?;
        Ok(Response::new(pb::DeleteExchangeRateResponse {}))
    }
}

fn to_wire(it: Currency) -> pb::Currency {
    let (valid_from, rate) = it.valid.unzip();
    pb::Currency {
        code: it.code,
        is_default: it.is_default,
        rate: rate.map(Into::into),
        valid_from: valid_from.map(Into::into),
    }
}

fn rate_to_wire(it: ExchangeRate) -> pb::ExchangeRate {
    pb::ExchangeRate {
        currency: it.currency,
        valid_from: Some(it.valid_from.into()),
        rate: Some(it.rate.into()),
        updated_at: Some(it.updated_at.into()),
        version: it.version,
    }
}
