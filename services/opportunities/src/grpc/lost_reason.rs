//! LostReasonService.

use idempotency::Once;
use prost::Message as _;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::lost_reason_service_server::LostReasonService;
use rpc::mask::Mask;
use tonic::{Request, Response, Status};

use super::caller_and_meta;
use crate::State;
use crate::lost_reason::draft::{Edit, New};
use crate::lost_reason::model::LostReason;
use crate::lost_reason::{self, Listed};
use crate::page::{checked_limit, in_order};

/// Serves the reasons for which opportunities are lost.
pub struct LostReasonsGrpc(pub State);

#[tonic::async_trait]
impl LostReasonService for LostReasonsGrpc {
    async fn list_lost_reasons(
        &self,
        request: Request<pb::ListLostReasonsRequest>,
    ) -> Result<Response<pb::ListLostReasonsResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let pb::ListLostReasonsRequest { limit, cursor } = request.into_inner();
        let page = (checked_limit(limit)?, cursor.as_deref());
        let list = lost_reason::all(&self.0.reads).await?;
        let all: Vec<_> = list.items.iter().zip(1..).map(shown).collect();
        let (places, next_cursor) = in_order(&all, "lost_reasons", page, |it| it.id.to_string())?;
        let items = all[places].to_vec();
        Ok(Response::new(pb::ListLostReasonsResponse { items, version: list.version, next_cursor }))
    }

    async fn create_lost_reason(
        &self,
        request: Request<pb::CreateLostReasonRequest>,
    ) -> Result<Response<pb::CreateLostReasonResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |it: &Listed| created(it).encode_to_vec())?;
        let pb::CreateLostReasonRequest { name, position, is_active } = request.into_inner();
        let (state, new) = (self.0.clone(), New { name, position, is_active });
        let made =
            rpc::write(async move { lost_reason::create(&state, &caller, new, once, meta).await });
        Ok(Response::new(made.await?.into_message(|it| created(&it))?))
    }

    async fn update_lost_reason(
        &self,
        request: Request<pb::UpdateLostReasonRequest>,
    ) -> Result<Response<pb::UpdateLostReasonResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let asked = request.into_inner();
        let mask = Mask::of(asked.update_mask, &["name", "position", "is_active"])?;
        let edit = Edit {
            name: mask.wish("name", asked.name),
            position: mask.wish("position", asked.position),
            is_active: mask.wish("is_active", asked.is_active),
        };
        let (state, which) = (self.0.clone(), (asked.id, asked.expected_version));
        let listed =
            rpc::write(
                async move { lost_reason::update(&state, &caller, which, edit, meta).await },
            );
        let listed = listed.await?;
        let (lost_reason, version) = (one(&listed), listed.list.version);
        Ok(Response::new(pb::UpdateLostReasonResponse { lost_reason, version }))
    }

    async fn delete_lost_reason(
        &self,
        request: Request<pb::DeleteLostReasonRequest>,
    ) -> Result<Response<pb::DeleteLostReasonResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeleteLostReasonRequest { id, expected_version } = request.into_inner();
        let (state, which) = (self.0.clone(), (id, expected_version));
        rpc::write(async move { lost_reason::delete(&state, &caller, which, meta).await }).await?;
        Ok(Response::new(pb::DeleteLostReasonResponse {}))
    }
}

fn created(it: &Listed) -> pb::CreateLostReasonResponse {
    pb::CreateLostReasonResponse { lost_reason: one(it), version: it.list.version }
}

fn one(it: &Listed) -> Option<pb::LostReason> {
    it.list.items.iter().zip(1..).find(|(reason, _)| reason.id == it.id).map(shown)
}

fn shown((it, position): (&LostReason, i32)) -> pb::LostReason {
    pb::LostReason { id: it.id, name: it.name.clone(), position, is_active: it.is_active }
}
