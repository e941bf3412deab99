//! `SessionService`.

use std::pin::Pin;

use futures::stream::{Stream, TryStreamExt as _};
use proto::identity::v1::{
    self as wire, EndSessionRequest, EndSessionResponse, EndUserSessionsRequest,
    EndUserSessionsResponse, ListRightsRequest, ListRightsResponse, ListSessionsRequest,
    ListSessionsResponse, UserRights, session_service_server::SessionService,
};
use rpc::Error;
use tonic::{Request, Response, Status};

use super::cause;
use crate::{
    app::App,
    page::Page,
    session::{self, RightsPart, model::Session},
};

/// Keeps sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// What use cases work with.
    pub app: App,
}

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let ListSessionsRequest { limit, cursor } = request.into_inner();
        let page = Page::parse(limit, cursor.as_deref())?;
        let page = session::list(&self.app, &caller, page, process::now()).await?;
        let items = page.items.into_iter().map(|it| to_wire(it, caller.session_id)).collect();
        Ok(Response::new(ListSessionsResponse { items, next_cursor: page.next_cursor }))
    }

    async fn end_session(
        &self,
        request: Request<EndSessionRequest>,
    ) -> Result<Response<EndSessionResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let id = request.into_inner().id;
        rpc::write(
            async move { session::end_own(&app, &caller, id, &cause, process::now()).await },
        )
        .await?;
        Ok(Response::new(EndSessionResponse {}))
    }

    async fn end_user_sessions(
        &self,
        request: Request<EndUserSessionsRequest>,
    ) -> Result<Response<EndUserSessionsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let user_id = request.into_inner().user_id;
        rpc::write(async move {
            session::end_all(&app, &caller, user_id, &cause, process::now()).await
        })
        .await?;
        Ok(Response::new(EndUserSessionsResponse {}))
    }

    type ListRightsStream = Pin<Box<dyn Stream<Item = Result<ListRightsResponse, Status>> + Send>>;

    async fn list_rights(
        &self,
        request: Request<ListRightsRequest>,
    ) -> Result<Response<Self::ListRightsStream>, Status> {
        auth::caller(&request)?.require_service()?;
        let parts = session::rights(self.app.clone(), process::now());
        let pieces = parts.map_ok(rights_to_wire).map_err(|error| Error::from(error).into());
        Ok(Response::new(Box::pin(pieces)))
    }
}

/// A part of the present state, as processes that verify tokens take it in.
pub(crate) fn rights_to_wire(part: RightsPart) -> ListRightsResponse {
    let users = part.users.into_iter().map(|it| UserRights {
        user_id: it.user_id,
        rights_version: it.rights_version,
        is_active: it.is_active,
        role: it.role.as_str().to_owned(),
        team_id: it.team_id,
    });
    ListRightsResponse { users: users.collect(), ended_session_ids: part.revoked }
}

fn to_wire(session: Session, current_id: i64) -> wire::Session {
    wire::Session {
        is_current: session.id == current_id,
        id: session.id,
        created_at: Some(session.created_at.into()),
        refreshed_at: Some(session.refreshed_at.into()),
        expires_at: Some(session.expires_at.into()),
        address: session.address,
        client: session.client,
    }
}
