//! `TeamService`.

use idempotency::Once;
use prost::Message as _;
use proto::identity::v1::{
    self as wire, AddTeamMemberRequest, AddTeamMemberResponse, CreateTeamRequest,
    CreateTeamResponse, DeleteTeamRequest, DeleteTeamResponse, GetTeamRequest, GetTeamResponse,
    ListTeamsRequest, ListTeamsResponse, RemoveTeamMemberRequest, RemoveTeamMemberResponse,
    UpdateTeamRequest, UpdateTeamResponse, team_service_server::TeamService,
};
use rpc::mask::Mask;
use tonic::{Request, Response, Status};

use super::cause;
use crate::{
    app::App,
    page::Page,
    team::{
        self,
        model::{Draft, Edit, Team},
    },
};

/// Keeps teams.
#[derive(Clone, Debug)]
pub struct Teams {
    /// What use cases work with.
    pub app: App,
}

#[tonic::async_trait]
impl TeamService for Teams {
    async fn get_team(
        &self,
        request: Request<GetTeamRequest>,
    ) -> Result<Response<GetTeamResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let team = team::get(&self.app, request.into_inner().id).await?;
        Ok(Response::new(GetTeamResponse { team: Some(to_wire(team)) }))
    }

    async fn list_teams(
        &self,
        request: Request<ListTeamsRequest>,
    ) -> Result<Response<ListTeamsResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let ListTeamsRequest { limit, cursor } = request.into_inner();
        let page = team::list(&self.app, Page::parse(limit, cursor.as_deref())?).await?;
        let items = page.items.into_iter().map(to_wire).collect();
        Ok(Response::new(ListTeamsResponse { items, next_cursor: page.next_cursor }))
    }

    async fn create_team(
        &self,
        request: Request<CreateTeamRequest>,
    ) -> Result<Response<CreateTeamResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let once = Once::of(&request, |team: &Team| created(team.clone()).encode_to_vec())?;
        let CreateTeamRequest { name, manager_id, parent_id } = request.into_inner();
        let draft = Draft { name, manager_id, parent_id };
        let team = rpc::write(async move {
            team::create(&app, &caller, draft, once, &cause, process::now()).await
        });
        Ok(Response::new(team.await?.into_message(created)?))
    }

    async fn update_team(
        &self,
        request: Request<UpdateTeamRequest>,
    ) -> Result<Response<UpdateTeamResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let asked = request.into_inner();
        let mask = Mask::of(asked.update_mask, &["name", "manager_id", "parent_id"])?;
        let edit = Edit {
            name: mask.wish("name", asked.name),
            manager_id: mask.wish("manager_id", asked.manager_id),
            parent_id: mask.wish("parent_id", asked.parent_id),
        };
        let (id, expected) = (asked.id, asked.expected_version);
        let team = rpc::write(async move {
            team::update(&app, &caller, id, expected, edit, &cause, process::now()).await
        });
        Ok(Response::new(UpdateTeamResponse { team: Some(to_wire(team.await?)) }))
    }

    async fn delete_team(
        &self,
        request: Request<DeleteTeamRequest>,
    ) -> Result<Response<DeleteTeamResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let DeleteTeamRequest { id, expected_version } = request.into_inner();
        rpc::write(async move {
            team::delete(&app, &caller, id, expected_version, &cause, process::now()).await
        })
        .await?;
        Ok(Response::new(DeleteTeamResponse {}))
    }

    async fn add_team_member(
        &self,
        request: Request<AddTeamMemberRequest>,
    ) -> Result<Response<AddTeamMemberResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let AddTeamMemberRequest { team_id, user_id } = request.into_inner();
        rpc::write(async move {
            team::add_member(&app, &caller, team_id, user_id, &cause, process::now()).await
        })
        .await?;
        Ok(Response::new(AddTeamMemberResponse {}))
    }

    async fn remove_team_member(
        &self,
        request: Request<RemoveTeamMemberRequest>,
    ) -> Result<Response<RemoveTeamMemberResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let RemoveTeamMemberRequest { team_id, user_id } = request.into_inner();
        rpc::write(async move {
            team::remove_member(&app, &caller, team_id, user_id, &cause, process::now()).await
        })
        .await?;
        Ok(Response::new(RemoveTeamMemberResponse {}))
    }
}

fn created(team: Team) -> CreateTeamResponse {
    CreateTeamResponse { team: Some(to_wire(team)) }
}

fn to_wire(team: Team) -> wire::Team {
    wire::Team {
        id: team.id,
        name: team.name,
        manager_id: team.manager_id,
        parent_id: team.parent_id,
        version: team.version,
    }
}
