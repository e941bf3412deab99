//! PipelineChangeService.

use proto::analytics::v1 as pb;
use proto::analytics::v1::pipeline_change_service_server::PipelineChangeService;
use rpc::Invalid;
use tonic::{Request, Response, Status};

use super::asked::{OfPart as _, day};
use super::{answer, reader};
use crate::State;
use crate::report::change::model::{Behind, Page, PipelineChanges, Term};
use crate::report::change::{self, Between, Wanted};

/// Serves how the open pipeline changed.
pub struct Changes(pub State);

#[tonic::async_trait]
impl PipelineChangeService for Changes {
    async fn get_pipeline_changes(
        &self,
        request: Request<pb::GetPipelineChangesRequest>,
    ) -> Result<Response<pb::GetPipelineChangesResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let days = (it.from.as_deref(), it.to.as_deref());
        let (asked, invalid) = between(days, (it.close_from, it.close_to));
        let changes =
            change::changes(&self.0, &caller, &it.ask(), &asked, invalid, process::now()).await?;
        Ok(Response::new(changes_answer(changes)))
    }

    async fn list_pipeline_change_opportunities(
        &self,
        request: Request<pb::ListPipelineChangeOpportunitiesRequest>,
    ) -> Result<Response<pb::ListPipelineChangeOpportunitiesResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let days = (it.from.as_deref(), it.to.as_deref());
        let (asked, invalid) = between(days, (it.close_from, it.close_to));
        let term = Some(&*it.term).filter(|term| !term.is_empty());
        let wanted = Wanted { term, limit: it.limit, cursor: it.cursor.as_deref() };
        let what = (&asked, &wanted);
        let page =
            change::opportunities(&self.0, &caller, &it.ask(), what, invalid, process::now())
                .await?;
        Ok(Response::new(page_answer(page)))
    }
}

/// What two ends are compared, in which window; what is no day is noted.
fn between<'a>(
    (from, to): (Option<&'a str>, Option<&'a str>),
    (close_from, close_to): (Option<proto::Date>, Option<proto::Date>),
) -> (Between<'a>, Invalid) {
    let mut invalid = Invalid::default();
    let close_from = day(&mut invalid, "close_from", close_from);
    let close_to = day(&mut invalid, "close_to", close_to);
    (Between { from, to, close_from, close_to }, invalid)
}

fn changes_answer(it: PipelineChanges) -> pb::GetPipelineChangesResponse {
    let term = |term| {
        let sum = it.sums.of(term);
        Some(pb::PipelineChangeTerm { value: Some(sum.value.into()), count: sum.count })
    };
    let in_window = |of| term(of).filter(|_| it.lens.has_window());
    pb::GetPipelineChangesResponse {
        start_value: term(Term::StartValue),
        created: term(Term::Created),
        reopened: term(Term::Reopened),
        restored: term(Term::Restored),
        grown: term(Term::Grown),
        shrunk: term(Term::Shrunk),
        revalued: term(Term::Revalued),
        reassigned_in: term(Term::ReassignedIn),
        reassigned_out: term(Term::ReassignedOut),
        moved_in: term(Term::MovedIn),
        moved_out: term(Term::MovedOut),
        pulled_in: in_window(Term::PulledIn),
        pushed_out: in_window(Term::PushedOut),
        won: term(Term::Won),
        lost: term(Term::Lost),
        deleted: term(Term::Deleted),
        end_value: term(Term::EndValue),
        not_covered: Some(answer::not_covered(it.sums.not_covered)),
        as_of: Some(it.as_of.into()),
        from: it.from,
        to: it.to,
    }
}

fn page_answer(it: Page) -> pb::ListPipelineChangeOpportunitiesResponse {
    pb::ListPipelineChangeOpportunitiesResponse {
        items: it.items.into_iter().map(behind).collect(),
        next_cursor: it.next_cursor,
        as_of: Some(it.as_of.into()),
    }
}

fn behind(it: Behind) -> pb::PipelineChangeOpportunity {
    let Behind { opportunity_id: id, value, present } = it;
    pb::PipelineChangeOpportunity {
        id,
        opportunity_name: present.opportunity_name,
        customer_id: present.customer_id,
        customer_name: present.customer_name,
        value: Some(value.into()),
        pipeline_id: present.pipeline_id,
        stage_key: present.stage_key,
        status: present.status,
        owner_id: present.owner_id,
        team_id: present.team_id,
        is_deleted: present.is_deleted,
    }
}
