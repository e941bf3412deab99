//! `UserService`.

use process::Secret;
use proto::identity::v1::{
    self as wire, CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse,
    ListUsersRequest, ListUsersResponse, user_service_server::UserService,
};
use tonic::{Request, Response, Status};

use super::{cause, random};
use crate::{
    app::App,
    page::Page,
    user::{
        self,
        model::{Draft, Role, User},
    },
};

/// Keeps users.
#[derive(Clone, Debug)]
pub struct Users {
    /// What use cases work with.
    pub app: App,
}

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let user = user::get(&self.app, request.into_inner().id).await?;
        Ok(Response::new(GetUserResponse { user: Some(to_wire(user)) }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let ListUsersRequest { limit, cursor } = request.into_inner();
        let page = user::list(&self.app, Page::parse(limit, cursor.as_deref())?).await?;
        let items = page.items.into_iter().map(to_wire).collect();
        Ok(Response::new(ListUsersResponse { items, next_cursor: page.next_cursor }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let caller = auth::caller(&request)?;
        let cause = cause(&request, &caller);
        let (app, salt) = (self.app.clone(), random()?);
        let asked = request.into_inner();
        let draft = Draft {
            email: asked.email,
            username: asked.username,
            role: asked.role.map(role_name),
            team_id: asked.team_id,
            language: asked.language,
            time_zone: asked.time_zone,
            password: Secret::from(asked.password),
        };
        let user = rpc::write(async move {
            user::create(&app, &caller, draft, salt, &cause, process::now()).await
        });
        Ok(Response::new(CreateUserResponse { user: Some(to_wire(user.await?)) }))
    }
}

/// The name of a role that a caller asks for; of a number that is none, the number.
fn role_name(number: i32) -> String {
    match wire::Role::try_from(number) {
        Ok(wire::Role::Admin) => "admin".to_owned(),
        Ok(wire::Role::Manager) => "manager".to_owned(),
        Ok(wire::Role::Rep) => "rep".to_owned(),
        Ok(wire::Role::Viewer) => "viewer".to_owned(),
        Ok(wire::Role::Unspecified) | Err(_) => number.to_string(),
    }
}

fn to_wire(user: User) -> wire::User {
    let role = match user.role {
        Role::Admin => wire::Role::Admin,
        Role::Manager => wire::Role::Manager,
        Role::Rep => wire::Role::Rep,
        Role::Viewer => wire::Role::Viewer,
    };
    wire::User {
        id: user.id,
        email: user.email,
        username: user.username,
        role: role.into(),
        team_id: user.team_id,
        language: user.language.as_str().to_owned(),
        time_zone: user.time_zone,
        is_active: user.is_active,
        is_admin: user.role == Role::Admin,
        created_at: Some(user.created_at.into()),
        updated_at: Some(user.updated_at.into()),
        version: user.version,
    }
}
