//! ExportService.

use std::pin::Pin;
use std::sync::Arc;

use auth::Verifier;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::export_service_server::ExportService;
use rpc::{Error, Invalid};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::answer::{self, View};
use super::asking;
use super::request;
use crate::State;
use crate::export::{self, Form, Wanted, WriteLine};
use crate::opportunity::list;
use crate::places::Places;

/// Serves files of opportunities.
pub struct Exports {
    state: State,
    verifier: Arc<Verifier>,
    places: Places,
}

impl Exports {
    /// With places of their own. A file ends with the token of its caller, as the verifier says.
    pub fn new(state: State, verifier: Arc<Verifier>) -> Self {
        Self { state, verifier, places: export::places() }
    }
}

#[tonic::async_trait]
impl ExportService for Exports {
    type ExportOpportunitiesStream =
        Pin<Box<dyn Stream<Item = Result<pb::ExportOpportunitiesResponse, Status>> + Send>>;

    async fn export_opportunities(
        &self,
        request: Request<pb::ExportOpportunitiesRequest>,
    ) -> Result<Response<Self::ExportOpportunitiesStream>, Status> {
        let asking = asking(&request, &self.verifier)?;
        let message = request.into_inner();
        let now = process::now();
        let form = match message.format() {
            pb::ExportFormat::Csv | pb::ExportFormat::Unspecified => Form::Csv,
            pb::ExportFormat::Xlsx => Form::Xlsx,
            pb::ExportFormat::Jsonl => Form::Lines(lines(self.state.clone(), now)),
        };
        let listed = listed(message);
        let view = View::of(&self.state)?;
        let mut invalid = Invalid::default();
        let filter = request::filter(&mut invalid, &listed, &view, now);
        let sort = list::sort(&mut invalid, listed.sort_by.as_deref(), listed.order.as_deref());
        invalid.into_result()?;
        let wanted = Wanted { filter, sort, now };
        let pieces = export::export(&self.state, asking, wanted, form, &self.places).await?;
        let pieces = ReceiverStream::new(pieces).map(|piece| match piece {
            Ok(data) => Ok(pb::ExportOpportunitiesResponse { data }),
            Err(error) => Err(error.into()),
        });
        Ok(Response::new(Box::pin(pieces)))
    }
}

/// Each opportunity as the JSON of the API.
fn lines(state: State, now: DateTime<Utc>) -> WriteLine {
    Box::new(move |detail| {
        let opportunity = answer::opportunity(detail, &View::of(&state)?, now);
        serde_json::to_vec(&opportunity).map_err(|error| Error::Internal(error.into()))
    })
}

/// The list of which it is the file.
fn listed(it: pb::ExportOpportunitiesRequest) -> pb::ListOpportunitiesRequest {
    let pb::ExportOpportunitiesRequest {
        stage,
        status,
        owner_id,
        team_id,
        customer_id,
        pipeline_id,
        product,
        tag,
        source,
        lost_reason,
        min_amount,
        max_amount,
        expected_close_from,
        expected_close_to,
        closed_from,
        closed_to,
        created_from,
        created_to,
        updated_from,
        updated_to,
        sort_by,
        order,
        q,
        stale,
        entered_stage,
        entered_from,
        entered_to,
        custom_field,
        forecast_category,
        format: _,
    } = it;
    pb::ListOpportunitiesRequest {
        stage,
        status,
        owner_id,
        team_id,
        customer_id,
        pipeline_id,
        product,
        tag,
        source,
        lost_reason,
        min_amount,
        max_amount,
        expected_close_from,
        expected_close_to,
        closed_from,
        closed_to,
        created_from,
        created_to,
        updated_from,
        updated_to,
        sort_by,
        order,
        q,
        stale,
        entered_stage,
        entered_from,
        entered_to,
        custom_field,
        forecast_category,
        limit: None,
        cursor: None,
        include_total: None,
    }
}
