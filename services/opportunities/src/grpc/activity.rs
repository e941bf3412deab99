//! ActivityService.

use chrono::{DateTime, Utc};
use idempotency::Once;
use prost::Message;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::activity_service_server::ActivityService;
use rpc::Invalid;
use rpc::mask::Mask;
use tonic::{Request, Response, Status};

use super::caller_and_meta;
use crate::State;
use crate::activity::list::{self, Ask};
use crate::activity::model::{ActivityType, Due, Edit, Next};
use crate::activity::{self, Detail, Filter};
use crate::page::limit;

/// Serves activities.
pub struct Activities(pub State);

#[tonic::async_trait]
impl ActivityService for Activities {
    async fn create_activity(
        &self,
        request: Request<pb::CreateActivityRequest>,
    ) -> Result<Response<pb::CreateActivityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |detail: &Detail| made(detail.clone()).encode_to_vec())?;
        let it = request.into_inner();
        let wish = Edit {
            activity_type: Some(it.activity_type.and_then(kind)),
            subject: Some(Some(it.subject)),
            description: Some(it.description),
            scheduled_at: Some(it.scheduled_at.map(DateTime::<Utc>::from)),
            completed_at: Some(it.completed_at.map(DateTime::<Utc>::from)),
            owner_id: it.owner_id.map(Some),
        };
        let answer = activity::create(&self.0, &caller, it.opportunity_id, wish, once, meta);
        Ok(Response::new(answer.await?.into_message(made)?))
    }

    async fn get_activity(
        &self,
        request: Request<pb::GetActivityRequest>,
    ) -> Result<Response<pb::GetActivityResponse>, Status> {
        let caller = auth::caller(&request)?;
        let detail = activity::get(&self.0, &caller, request.into_inner().id).await?;
        Ok(Response::new(pb::GetActivityResponse { activity: Some(shown(detail)) }))
    }

    async fn list_opportunity_activities(
        &self,
        request: Request<pb::ListOpportunityActivitiesRequest>,
    ) -> Result<Response<pb::ListOpportunityActivitiesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let mut invalid = Invalid::default();
        let limit = limit(&mut invalid, it.limit);
        invalid.into_result()?;
        let kinds = it.activity_type.iter().filter_map(|it| kind(*it)).collect();
        let filter = Filter { kinds, completed: it.completed };
        let (id, cursor) = (it.opportunity_id, it.cursor.as_deref());
        let page = list::of_opportunity(&self.0, &caller, id, &filter, limit, cursor).await?;
        Ok(Response::new(pb::ListOpportunityActivitiesResponse {
            items: page.items.into_iter().map(shown).collect(),
            next_cursor: page.next_cursor,
        }))
    }

    async fn list_activities(
        &self,
        request: Request<pb::ListActivitiesRequest>,
    ) -> Result<Response<pb::ListActivitiesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let mut invalid = Invalid::default();
        let limit = limit(&mut invalid, it.limit);
        invalid.into_result()?;
        let due = match it.due() {
            pb::Due::Overdue => Some(Due::Overdue),
            pb::Due::Today => Some(Due::Today),
            pb::Due::Week => Some(Due::Week),
            pb::Due::Unspecified => None,
        };
        let ask = Ask {
            due,
            owner_id: it.owner_id,
            limit,
            cursor: it.cursor.as_deref(),
            include_total: it.include_total.unwrap_or_default(),
        };
        let page = list::list(&self.0, &caller, &ask, process::now()).await?;
        Ok(Response::new(pb::ListActivitiesResponse {
            items: page.items.into_iter().map(shown).collect(),
            next_cursor: page.next_cursor,
            total_count: page.total,
        }))
    }

    async fn update_activity(
        &self,
        request: Request<pb::UpdateActivityRequest>,
    ) -> Result<Response<pb::UpdateActivityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let it = request.into_inner();
        let mask = Mask::of(it.update_mask, &CHANGED)?;
        let edit = Edit {
            activity_type: mask.wish("activity_type", it.activity_type.and_then(kind)),
            subject: mask.wish("subject", it.subject),
            description: mask.wish("description", it.description),
            scheduled_at: mask.wish("scheduled_at", it.scheduled_at.map(Into::into)),
            completed_at: mask.wish("completed_at", it.completed_at.map(Into::into)),
            owner_id: mask.wish("owner_id", it.owner_id),
        };
        let (id, expected_version) = (it.id, it.expected_version);
        let detail = activity::update(&self.0, &caller, id, expected_version, edit, meta).await?;
        Ok(Response::new(pb::UpdateActivityResponse { activity: Some(shown(detail)) }))
    }

    async fn delete_activity(
        &self,
        request: Request<pb::DeleteActivityRequest>,
    ) -> Result<Response<pb::DeleteActivityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeleteActivityRequest { id, expected_version } = request.into_inner();
        activity::delete(&self.0, &caller, id, expected_version, meta).await?;
        Ok(Response::new(pb::DeleteActivityResponse {}))
    }

    async fn restore_activity(
        &self,
        request: Request<pb::RestoreActivityRequest>,
    ) -> Result<Response<pb::RestoreActivityResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |detail: &Detail| restored(detail.clone()).encode_to_vec())?;
        let id = request.into_inner().id;
        let answer = activity::restore(&self.0, &caller, id, once, meta).await?;
        Ok(Response::new(answer.into_message(restored)?))
    }
}

/// What can be changed of an activity.
const CHANGED: [&str; 6] =
    ["activity_type", "subject", "description", "scheduled_at", "completed_at", "owner_id"];

fn kind(number: i32) -> Option<ActivityType> {
    match pb::ActivityType::try_from(number).unwrap_or_default() {
        pb::ActivityType::Unspecified => None,
        pb::ActivityType::Call => Some(ActivityType::Call),
        pb::ActivityType::Email => Some(ActivityType::Email),
        pb::ActivityType::Meeting => Some(ActivityType::Meeting),
        pb::ActivityType::Task => Some(ActivityType::Task),
        pb::ActivityType::Note => Some(ActivityType::Note),
    }
}

fn told(kind: ActivityType) -> i32 {
    let kind = match kind {
        ActivityType::Call => pb::ActivityType::Call,
        ActivityType::Email => pb::ActivityType::Email,
        ActivityType::Meeting => pb::ActivityType::Meeting,
        ActivityType::Task => pb::ActivityType::Task,
        ActivityType::Note => pb::ActivityType::Note,
    };
    kind.into()
}

fn made(detail: Detail) -> pb::CreateActivityResponse {
    pb::CreateActivityResponse { activity: Some(shown(detail)) }
}

fn restored(detail: Detail) -> pb::RestoreActivityResponse {
    pb::RestoreActivityResponse { activity: Some(shown(detail)) }
}

pub(super) fn shown(detail: Detail) -> pb::Activity {
    let it = detail.activity;
    let mentions = detail.mentions.into_iter();
    pb::Activity {
        id: it.id,
        opportunity_id: it.opportunity_id,
        opportunity_name: detail.opportunity_name,
        customer_id: detail.customer_id,
        customer_name: detail.customer_name,
        activity_type: told(it.activity_type),
        subject: it.subject,
        description: it.description,
        scheduled_at: it.scheduled_at.map(Into::into),
        completed_at: it.completed_at.map(Into::into),
        owner_id: it.owner_id,
        owner_name: detail.owner_name,
        created_by: it.created_by,
        created_by_name: detail.created_by_name,
        mentions: mentions.map(|(user_id, username)| pb::Mention { user_id, username }).collect(),
        created_at: Some(it.created_at.into()),
        updated_at: Some(it.updated_at.into()),
        version: it.version,
    }
}

/// What is to be done next about an opportunity.
pub(super) fn next(it: Next) -> pb::NextActivity {
    pb::NextActivity {
        id: it.id,
        activity_type: told(it.activity_type),
        subject: it.subject,
        scheduled_at: Some(it.scheduled_at.into()),
    }
}
