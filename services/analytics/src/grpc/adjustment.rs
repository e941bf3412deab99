//! AdjustmentService.

use money::Money;
use proto::analytics::v1 as pb;
use proto::analytics::v1::adjustment_service_server::AdjustmentService;
use tonic::{Request, Response, Status};

use crate::State;
use crate::adjustment::model::{Adjustment, Change};
use crate::adjustment::{self, Wish};
use crate::period::Asked;
use crate::plan::Listing;

/// Serves adjustments of the forecast.
pub struct Adjustments(pub State);

#[tonic::async_trait]
impl AdjustmentService for Adjustments {
    async fn list_forecast_adjustments(
        &self,
        request: Request<pb::ListForecastAdjustmentsRequest>,
    ) -> Result<Response<pb::ListForecastAdjustmentsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let (year, quarter, month) = (it.year, it.quarter, it.month);
        let listing = Listing {
            asked: Asked { period: it.period.as_deref(), year, quarter, month },
            owner_id: it.owner_id,
            team_id: it.team_id,
            limit: it.limit,
            cursor: it.cursor.as_deref(),
        };
        let (rows, next_cursor) =
            adjustment::list(&self.0, &caller, &listing, process::now()).await?;
        let items = rows.into_iter().map(to_wire).collect();
        Ok(Response::new(pb::ListForecastAdjustmentsResponse { items, next_cursor }))
    }

    async fn get_forecast_adjustment(
        &self,
        request: Request<pb::GetForecastAdjustmentRequest>,
    ) -> Result<Response<pb::GetForecastAdjustmentResponse>, Status> {
        let caller = auth::caller(&request)?;
        let id = request.into_inner().id;
        let it = adjustment::get(&self.0, &caller, id, process::now()).await?;
        Ok(Response::new(pb::GetForecastAdjustmentResponse { adjustment: Some(to_wire(it)) }))
    }

    async fn set_forecast_adjustment(
        &self,
        request: Request<pb::SetForecastAdjustmentRequest>,
    ) -> Result<Response<pb::SetForecastAdjustmentResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let wish = Wish {
            period: it.period,
            year: it.year,
            quarter: it.quarter,
            month: it.month,
            owner_id: it.owner_id,
            team_id: it.team_id,
            amount: it.amount.map(Money::from),
            note: it.note,
            expected_version: it.expected_version,
        };
        let state = self.0.clone();
        let it =
            rpc::write(async move { adjustment::set(&state, &caller, wish, process::now()).await });
        let adjustment = Some(to_wire(it.await?));
        Ok(Response::new(pb::SetForecastAdjustmentResponse { adjustment }))
    }

    async fn delete_forecast_adjustment(
        &self,
        request: Request<pb::DeleteForecastAdjustmentRequest>,
    ) -> Result<Response<pb::DeleteForecastAdjustmentResponse>, Status> {
        let caller = auth::caller(&request)?;
        let pb::DeleteForecastAdjustmentRequest { id, expected_version } = request.into_inner();
        let state = self.0.clone();
        rpc::write(async move {
            adjustment::remove(&state, &caller, id, expected_version, process::now()).await
        })
        .await?;
        Ok(Response::new(pb::DeleteForecastAdjustmentResponse {}))
    }

    async fn list_forecast_adjustment_changes(
        &self,
        request: Request<pb::ListForecastAdjustmentChangesRequest>,
    ) -> Result<Response<pb::ListForecastAdjustmentChangesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let page = (it.limit, it.cursor.as_deref());
        let (rows, next_cursor) = adjustment::changes(&self.0, &caller, it.id, page).await?;
        let items = rows.into_iter().map(change).collect();
        Ok(Response::new(pb::ListForecastAdjustmentChangesResponse { items, next_cursor }))
    }
}

pub(super) fn to_wire(it: Adjustment) -> pb::ForecastAdjustment {
    let span = it.slot.span();
    let number = |number: u32| i32::try_from(number).ok();
    let (owner_id, team_id) = (it.subject.owner_id(), it.subject.team_id());
    let (owner_name, team_name) =
        if team_id.is_some() { (None, it.subject_name) } else { (it.subject_name, None) };
    pb::ForecastAdjustment {
        id: it.id,
        period: it.slot.unit.as_str().to_owned(),
        year: it.name.year,
        quarter: it.name.quarter.and_then(number),
        month: it.name.month.and_then(number),
        label: it.name.label,
        start_date: Some(span.start.into()),
        end_date: Some(span.end.into()),
        owner_id,
        owner_name,
        team_id,
        team_name,
        amount: Some(it.amount.into()),
        note: it.note,
        set_by: it.set_by,
        set_by_name: it.set_by_name,
        set_at: Some(it.set_at.into()),
        version: it.version,
    }
}

fn change(it: Change) -> pb::ForecastAdjustmentChange {
    pb::ForecastAdjustmentChange {
        version: it.version,
        amount: it.amount.map(Into::into),
        note: it.note,
        changed_by: it.changed_by,
        changed_by_name: it.changed_by_name,
        changed_at: Some(it.changed_at.into()),
    }
}
