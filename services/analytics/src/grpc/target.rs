//! TargetService.

use money::Money;
use proto::analytics::v1 as pb;
use proto::analytics::v1::target_service_server::TargetService;
use tonic::{Request, Response, Status};

use super::reader;
use crate::State;
use crate::period::Asked;
use crate::plan::Listing;
use crate::target::model::Target;
use crate::target::{self, Wish};

/// Serves targets.
pub struct Targets(pub State);

#[tonic::async_trait]
impl TargetService for Targets {
    async fn list_targets(
        &self,
        request: Request<pb::ListTargetsRequest>,
    ) -> Result<Response<pb::ListTargetsResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (year, quarter, month) = (it.year, it.quarter, it.month);
        let listing = Listing {
            asked: Asked { period: it.period.as_deref(), year, quarter, month },
            owner_id: it.owner_id,
            team_id: it.team_id,
            limit: it.limit,
            cursor: it.cursor.as_deref(),
        };
        let (targets, next_cursor) =
            target::list(&self.0, &caller, &listing, process::now()).await?;
        let items = targets.into_iter().map(to_wire).collect();
        Ok(Response::new(pb::ListTargetsResponse { items, next_cursor }))
    }

    async fn get_target(
        &self,
        request: Request<pb::GetTargetRequest>,
    ) -> Result<Response<pb::GetTargetResponse>, Status> {
        let caller = reader(&request)?;
        let id = request.into_inner().id;
        let target = target::get(&self.0, &caller, id, process::now()).await?;
        Ok(Response::new(pb::GetTargetResponse { target: Some(to_wire(target)) }))
    }

    async fn set_target(
        &self,
        request: Request<pb::SetTargetRequest>,
    ) -> Result<Response<pb::SetTargetResponse>, Status> {
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
            expected_version: it.expected_version,
        };
        let state = self.0.clone();
        let target =
            rpc::write(async move { target::set(&state, &caller, wish, process::now()).await });
        Ok(Response::new(pb::SetTargetResponse { target: Some(to_wire(target.await?)) }))
    }

    async fn delete_target(
        &self,
        request: Request<pb::DeleteTargetRequest>,
    ) -> Result<Response<pb::DeleteTargetResponse>, Status> {
        let caller = auth::caller(&request)?;
        let pb::DeleteTargetRequest { id, expected_version } = request.into_inner();
        let state = self.0.clone();
        rpc::write(async move {
            target::remove(&state, &caller, id, expected_version, process::now()).await
        })
        .await?;
        Ok(Response::new(pb::DeleteTargetResponse {}))
    }
}

fn to_wire(it: Target) -> pb::Target {
    let span = it.slot.span();
    let number = |number: u32| i32::try_from(number).ok();
    let (owner_id, team_id) = (it.subject.owner_id(), it.subject.team_id());
    let (owner_name, team_name) =
        if team_id.is_some() { (None, it.subject_name) } else { (it.subject_name, None) };
    pb::Target {
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
        set_by: it.set_by,
        set_by_name: it.set_by_name,
        set_at: Some(it.set_at.into()),
        version: it.version,
    }
}
