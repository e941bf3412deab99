//! BulkService.

use idempotency::Once;
use prost::Message;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::bulk_service_server::BulkService;
use rpc::Error;
use tonic::{Request, Response, Status};

use super::answer::{self, View};
use super::{caller_and_meta, request};
use crate::State;
use crate::opportunity::Detail;
use crate::opportunity::bulk::{self, Done};

/// Serves changes of many opportunities.
pub struct Bulk(pub State);

#[tonic::async_trait]
impl BulkService for Bulk {
    async fn update_opportunities(
        &self,
        request: Request<pb::UpdateOpportunitiesRequest>,
    ) -> Result<Response<pb::UpdateOpportunitiesResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let (state, view) = (self.0.clone(), View::of(&self.0)?);
        let at = meta.recorded_at;
        let answered = move |done: &Vec<Done>| {
            // By what was remembered when it was decided in the end.
            let view = View::of(&state).unwrap_or_else(|_| view.clone());
            let shown = |detail| answer::opportunity(detail, &view, at);
            let results: Vec<_> = done.iter().map(|done| result(done, shown)).collect();
            let count = |is_good: bool| {
                let counted = results.iter().filter(|it| (it.status == OK) == is_good).count();
                i32::try_from(counted).unwrap_or(i32::MAX)
            };
            let (succeeded, failed) = (count(true), count(false));
            pb::UpdateOpportunitiesResponse { results, succeeded, failed }
        };
        let written = answered.clone();
        let once = Once::of(&request, move |done: &Vec<Done>| written(done).encode_to_vec())?;
        let updates = request.into_inner().updates.into_iter().map(request::update).collect();
        let made = bulk::update(&self.0, &caller, updates, once, meta).await?;
        Ok(Response::new(made.into_message(|done| answered(&done))?))
    }
}

const OK: i32 = 200;

/// What became of a change, as it is shown.
fn result(
    Done { id, outcome }: &Done,
    shown: impl Fn(Detail) -> pb::Opportunity,
) -> pb::OpportunityUpdateResult {
    let told = pb::OpportunityUpdateResult { id: *id, ..Default::default() };
    match outcome {
        Ok(detail) => pb::OpportunityUpdateResult {
            status: OK,
            opportunity: Some(shown(detail.clone())),
            ..told
        },
        Err(error) => {
            let (status, error) = failure(error);
            pb::OpportunityUpdateResult { status, error: Some(error), ..told }
        }
    }
}

/// The HTTP status of an error that is about one change, and the error.
fn failure(error: &Error) -> (i32, pb::OpportunityUpdateError) {
    let (code, detail) = (error.reason().to_lowercase(), error.to_string());
    let told = pb::OpportunityUpdateError { code, detail, ..Default::default() };
    match error {
        Error::Invalid(fields) => {
            let faults = fields.iter().map(|it| pb::OpportunityUpdateFault {
                field: it.field.clone(),
                code: it.code.to_string(),
                message: it.message.clone(),
            });
            (422, pb::OpportunityUpdateError { errors: faults.collect(), ..told })
        }
        Error::Denied { .. } => (403, told),
        Error::NotFound { .. } => (404, told),
        Error::Stale { current } => {
            (412, pb::OpportunityUpdateError { current_version: *current, ..told })
        }
        _ => (409, told),
    }
}
