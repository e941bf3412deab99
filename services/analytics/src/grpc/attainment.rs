//! AttainmentService.

use proto::analytics::v1 as pb;
use proto::analytics::v1::attainment_service_server::AttainmentService;
use tonic::{Request, Response, Status};

use super::{answer, reader};
use crate::ask::Ask;
use crate::attainment::model::{Attainment, Attainments};
use crate::period::{Asked, forecast_label};
use crate::{State, attainment};

/// Serves how periods stand to their targets.
pub struct AttainmentAnswers(pub State);

#[tonic::async_trait]
impl AttainmentService for AttainmentAnswers {
    async fn get_attainment(
        &self,
        request: Request<pb::GetAttainmentRequest>,
    ) -> Result<Response<pb::GetAttainmentResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id) = (it.owner_id, it.team_id);
        let ask = Ask { owner_id, team_id, pipeline_id: None, after: it.after };
        let (year, quarter, month) = (it.year, it.quarter, it.month);
        let asked = Asked { period: it.period.as_deref(), year, quarter, month };
        let what = (&asked, it.by.as_deref());
        let it = attainment::attainments(&self.0, &caller, &ask, what, process::now()).await?;
        Ok(Response::new(to_wire(&it)))
    }
}

fn to_wire(it: &Attainments) -> pb::GetAttainmentResponse {
    let total = &it.total;
    let (text_zh, text_en) = total.words(&it.currency);
    pb::GetAttainmentResponse {
        period: forecast_label(&it.period),
        start_date: Some(it.period.span.start.into()),
        end_date: Some(it.period.span.end.into()),
        days_elapsed: it.elapsed.days,
        days: it.elapsed.of,
        elapsed: it.elapsed.share().unwrap_or_default(),
        target: total.target.map(|target| target.amount.into()),
        target_source: total.target.map(|target| target.source.as_str().to_owned()),
        target_is_partial: total.target.map(|target| target.is_partial),
        closed_won: Some(total.closed_won.into()),
        attainment: total.attainment(),
        pace: total.pace.map(Into::into),
        ahead: total.ahead().map(Into::into),
        gap: total.gap().map(Into::into),
        open_pipeline: Some(total.open_pipeline.into()),
        open_count: total.open_count,
        coverage: total.coverage(),
        win_rate: total.win_rate(),
        pipeline_needed: total.pipeline_needed().map(Into::into),
        pipeline_missing: total.pipeline_missing().map(Into::into),
        status: total.state().as_str().to_owned(),
        text_zh,
        text_en,
        items: it.items.iter().filter_map(|item| person(item, &it.currency)).collect(),
        not_covered: Some(answer::not_covered(it.not_covered)),
        as_of: Some(it.as_of.into()),
    }
}

fn person(it: &Attainment, currency: &str) -> Option<pb::PersonAttainment> {
    let (owner_id, owner_name) = it.owner.clone()?;
    let (text_zh, text_en) = it.words(currency);
    Some(pb::PersonAttainment {
        owner_id,
        owner_name,
        team_id: it.team_id,
        target: it.target.map(|target| target.amount.into()),
        target_source: it.target.map(|target| target.source.as_str().to_owned()),
        target_is_partial: it.target.map(|target| target.is_partial),
        closed_won: Some(it.closed_won.into()),
        attainment: it.attainment(),
        pace: it.pace.map(Into::into),
        ahead: it.ahead().map(Into::into),
        gap: it.gap().map(Into::into),
        open_pipeline: Some(it.open_pipeline.into()),
        open_count: it.open_count,
        coverage: it.coverage(),
        win_rate: it.win_rate(),
        pipeline_needed: it.pipeline_needed().map(Into::into),
        pipeline_missing: it.pipeline_missing().map(Into::into),
        status: it.state().as_str().to_owned(),
        text_zh,
        text_en,
    })
}
