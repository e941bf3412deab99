//! OpportunityService.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use idempotency::Once;
use prost::Message;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::opportunity_service_server::OpportunityService;
use rpc::{Error, Invalid};
use tonic::{Request, Response, Status};

use super::answer::{self, View};
use super::{caller_and_meta, request};
use crate::cursor::wrong_cursor;
use crate::opportunity::list::{self, Ask};
use crate::opportunity::{self, Detail, past};
use crate::page;
use crate::{State, access};

/// Serves opportunities.
pub struct Opportunities(pub State);

impl Opportunities {
    fn shown(&self, detail: Detail) -> Result<pb::Opportunity, Error> {
        Ok(answer::opportunity(detail, &View::of(&self.0)?, process::now()))
    }
}

#[tonic::async_trait]
impl OpportunityService for Opportunities {
    async fn create_opportunity(
        &self,
        request: Request<pb::CreateOpportunityRequest>,
    ) -> Result<Response<pb::CreateOpportunityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let (state, view) = (self.0.clone(), View::of(&self.0)?);
        // As of its creation, so that it is the same whenever it is answered.
        let created = move |detail: Detail| {
            // By what was remembered when it was decided in the end.
            let view = View::of(&state).unwrap_or_else(|_| view.clone());
            let at = detail.opportunity.created_at;
            let opportunity = Some(answer::opportunity(detail, &view, at));
            pb::CreateOpportunityResponse { opportunity }
        };
        let written = created.clone();
        let once =
            Once::of(&request, move |detail: &Detail| written(detail.clone()).encode_to_vec())?;
        let wish = request::wish(request.into_inner());
        let made = opportunity::create(&self.0, &caller, wish, once, meta).await?;
        Ok(Response::new(made.into_message(created)?))
    }

    async fn get_opportunity(
        &self,
        request: Request<pb::GetOpportunityRequest>,
    ) -> Result<Response<pb::GetOpportunityResponse>, Status> {
        let caller = auth::caller(&request)?;
        let detail = opportunity::get(&self.0, &caller, request.into_inner().id).await?;
        let opportunity = Some(self.shown(detail)?);
        Ok(Response::new(pb::GetOpportunityResponse { opportunity }))
    }

    async fn list_opportunities(
        &self,
        request: Request<pb::ListOpportunitiesRequest>,
    ) -> Result<Response<pb::ListOpportunitiesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let view = View::of(&self.0)?;
        let mut invalid = Invalid::default();
        let now = process::now();
        let filter = request::filter(&mut invalid, &message, &view, now);
        let sort = list::sort(&mut invalid, message.sort_by.as_deref(), message.order.as_deref());
        let limit = page::limit(&mut invalid, message.limit);
        invalid.into_result()?;
        let ask = Ask {
            filter: &filter,
            sort,
            limit,
            cursor: message.cursor.as_deref(),
            include_total: message.include_total.unwrap_or(false),
        };
        let page = opportunity::list(&self.0, &caller, &ask).await?;
        let shown = |it| answer::opportunity(it, &view, now);
        Ok(Response::new(pb::ListOpportunitiesResponse {
            items: page.items.into_iter().map(shown).collect(),
            next_cursor: page.next_cursor,
            total_count: page.total,
        }))
    }

    async fn update_opportunity(
        &self,
        request: Request<pb::UpdateOpportunityRequest>,
    ) -> Result<Response<pb::UpdateOpportunityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let it = request.into_inner();
        let (id, expected_version) = (it.id, it.expected_version);
        let wish = request::edit(it)?;
        let detail =
            opportunity::update(&self.0, &caller, id, expected_version, wish, meta).await?;
        let opportunity = Some(self.shown(detail)?);
        Ok(Response::new(pb::UpdateOpportunityResponse { opportunity }))
    }

    async fn upsert_opportunity(
        &self,
        request: Request<pb::UpsertOpportunityRequest>,
    ) -> Result<Response<pb::UpsertOpportunityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let request = request.into_inner();
        let expected_version = request.expected_version;
        let wishes = request::upsert(request)?;
        let upserted = opportunity::upsert(&self.0, &caller, wishes, expected_version, meta);
        let (detail, is_new) = upserted.await?;
        let opportunity = Some(self.shown(detail)?);
        Ok(Response::new(pb::UpsertOpportunityResponse { opportunity, is_new }))
    }

    async fn delete_opportunity(
        &self,
        request: Request<pb::DeleteOpportunityRequest>,
    ) -> Result<Response<pb::DeleteOpportunityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeleteOpportunityRequest { id, expected_version } = request.into_inner();
        opportunity::delete(&self.0, &caller, id, expected_version, meta).await?;
        Ok(Response::new(pb::DeleteOpportunityResponse {}))
    }

    async fn restore_opportunity(
        &self,
        request: Request<pb::RestoreOpportunityRequest>,
    ) -> Result<Response<pb::RestoreOpportunityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let view = View::of(&self.0)?;
        // As of that moment, so that it is the same whenever it is answered.
        let at = meta.recorded_at;
        let restored = move |detail: Detail| {
            let opportunity = Some(answer::opportunity(detail, &view, at));
            pb::RestoreOpportunityResponse { opportunity }
        };
        let written = restored.clone();
        let once =
            Once::of(&request, move |detail: &Detail| written(detail.clone()).encode_to_vec())?;
        let id = request.into_inner().id;
        let answer = opportunity::restore(&self.0, &caller, id, once, meta).await?;
        Ok(Response::new(answer.into_message(restored)?))
    }

    async fn change_opportunity_stage(
        &self,
        request: Request<pb::ChangeOpportunityStageRequest>,
    ) -> Result<Response<pb::ChangeOpportunityStageResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let it = request.into_inner();
        let id = it.id;
        let wish = request::movement(it);
        let detail = opportunity::change_stage(&self.0, &caller, id, wish, meta).await?;
        let opportunity = Some(self.shown(detail)?);
        Ok(Response::new(pb::ChangeOpportunityStageResponse { opportunity }))
    }

    async fn list_stage_history(
        &self,
        request: Request<pb::ListStageHistoryRequest>,
    ) -> Result<Response<pb::ListStageHistoryResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let mut invalid = Invalid::default();
        let limit = page::limit(&mut invalid, message.limit);
        invalid.into_result()?;
        let after = message.cursor.as_deref().map(read_cursor).transpose()?;
        let instant = |micros| {
            let at = DateTime::from_timestamp_micros(micros);
            at.filter(|at| *at >= opportunity::BEGINNING).ok_or_else(wrong_cursor)
        };
        let after = after.map(instant).transpose()?;
        let (rows, more) = opportunity::history(&self.0, &caller, message.id, after, limit).await?;
        let last = rows.last().filter(|_| more);
        let next_cursor = last.map(|last| write_cursor(last.changed_at.timestamp_micros()));
        let items = rows.into_iter().map(answer::history).collect();
        Ok(Response::new(pb::ListStageHistoryResponse { items, next_cursor }))
    }

    async fn get_opportunity_access(
        &self,
        request: Request<pb::GetOpportunityAccessRequest>,
    ) -> Result<Response<pb::GetOpportunityAccessResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let mut invalid = Invalid::default();
        let limit = page::limit(&mut invalid, message.limit);
        invalid.into_result()?;
        let after_id = message.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        let (people, more) = access::list(&self.0, &caller, message.id, after_id, limit).await?;
        let next_cursor = people.last().filter(|_| more).map(|last| write_cursor(last.user_id));
        let items = people.into_iter().map(answer::access).collect();
        Ok(Response::new(pb::GetOpportunityAccessResponse { items, next_cursor }))
    }

    async fn import_history(
        &self,
        request: Request<pb::ImportHistoryRequest>,
    ) -> Result<Response<pb::ImportHistoryResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let message = request.into_inner();
        let pasts = request::pasts(message.opportunities)?;
        let imported = past::import(&self.0, &caller, pasts, meta, message.seed).await?;
        Ok(Response::new(pb::ImportHistoryResponse {
            created: imported.created,
            skipped: imported.skipped,
            ids: imported.ids,
        }))
    }
}

/// The cursor of a page that is ordered by a number: that of its last row.
pub(super) fn write_cursor(number: i64) -> String {
    URL_SAFE_NO_PAD.encode(number.to_be_bytes())
}

pub(super) fn read_cursor(text: &str) -> Result<i64, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
        .map(i64::from_be_bytes)
        .ok_or_else(wrong_cursor)
}
