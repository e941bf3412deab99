//! `TeamService`.

use proto::identity::v1::{
    self as wire, CreateTeamRequest, CreateTeamResponse, ListTeamsRequest, ListTeamsResponse,
    SetTeamManagerRequest, SetTeamManagerResponse, team_service_server::TeamService,
};
use tonic::{Request, Response, Status};

use super::cause;
use crate::{
    app::App,
    page::Page,
    team::{
        self,
        model::{Draft, Team},
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
        let cause = cause(&request, &caller);
        let app = self.app.clone();
        let CreateTeamRequest { name, manager_id, parent_id } = request.into_inner();
        let draft = Draft { name, manager_id, parent_id };
        let team =
            rpc::write(
                async move { team::create(&app, &caller, draft, &cause, process::now()).await },
            );
        Ok(Response::new(CreateTeamResponse { team: Some(to_wire(team.await?)) }))
    }

    async fn set_team_manager(
        &self,
        request: Request<SetTeamManagerRequest>,
    ) -> Result<Response<SetTeamManagerResponse>, Status> {
        let caller = auth::caller(&request)?;
        let cause = cause(&request, &caller);
        let app = self.app.clone();
        let SetTeamManagerRequest { id, manager_id } = request.into_inner();
        let team = rpc::write(async move {
            team::set_manager(&app, &caller, id, manager_id, &cause, process::now()).await
        });
        Ok(Response::new(SetTeamManagerResponse { team: Some(to_wire(team.await?)) }))
    }
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
