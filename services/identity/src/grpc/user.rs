//! `UserService`.

use auth::Caller;
use idempotency::{Once, Outcome};
use process::Secret;
use prost::Message as _;
use proto::identity::v1::{
    self as wire, ChangePasswordRequest, ChangePasswordResponse, CreateUserRequest,
    CreateUserResponse, GetUserRequest, GetUserResponse, ListUsersRequest, ListUsersResponse,
    UpdateUserRequest, UpdateUserResponse, user_service_server::UserService,
};
use rpc::{Error, mask::Mask};
use tonic::{Request, Response, Status};

use super::{cause, random};
use crate::{
    app::App,
    derive::Marker,
    page::Page,
    password_link::model::Links,
    user::{
        self, Made, Random,
        model::{Draft, Edit, Role, User},
    },
};

/// Keeps users.
#[derive(Clone, Debug)]
pub struct Users {
    /// What use cases work with.
    pub app: App,
    /// What invitations are made with.
    pub links: Links,
    /// Marks requests, which hold passwords.
    pub marker: Marker,
}

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let caller = auth::caller(&request)?;
        caller.require_read()?;
        let user = user::get(&self.app, request.into_inner().id).await?;
        Ok(Response::new(GetUserResponse { user: Some(told(user, &caller)) }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let caller = auth::caller(&request)?;
        caller.require_read()?;
        let ListUsersRequest { limit, cursor } = request.into_inner();
        let page = user::list(&self.app, Page::parse(limit, cursor.as_deref())?).await?;
        let items = page.items.into_iter().map(|user| told(user, &caller)).collect();
        Ok(Response::new(ListUsersResponse { items, next_cursor: page.next_cursor }))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let caller = auth::caller(&request)?;
        let cause = cause(&request, &caller);
        let Self { app, links, marker } = self.clone();
        let random = Random { salt: random()?, nonce: random()? };
        // Without the link, which is shown once.
        let written = |user: &User| {
            created(Made { user: user.clone(), invitation_url: None }).encode_to_vec()
        };
        let once = Once::hashed(&request, |bytes| marker.mark(bytes), written)?;
        let asked = request.into_inner();
        let draft = Draft {
            email: asked.email,
            username: asked.username,
            role: asked.role.map(role_name),
            team_id: asked.team_id,
            language: asked.language,
            time_zone: asked.time_zone,
            password: asked.password.map(Secret::from),
            is_active: asked.is_active,
        };
        let invites = draft.password.is_none() && draft.is_active != Some(false);
        let made = rpc::write(async move {
            let (with, now) = ((&links, random), process::now());
            user::create(&app, with, &caller, draft, once, &cause, now).await
        });
        match made.await? {
            Outcome::Replay(bytes) if invites => Err(replayed(&bytes).into()),
            outcome => Ok(Response::new(outcome.into_message(created)?)),
        }
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let asked = request.into_inner();
        let mask = Mask::of(asked.update_mask, &FIELDS)?;
        let edit = Edit {
            email: mask.wish("email", asked.email),
            username: mask.wish("username", asked.username),
            role: mask.wish("role", asked.role.map(role_name)),
            team_id: mask.wish("team_id", asked.team_id),
            language: mask.wish("language", asked.language),
            time_zone: mask.wish("time_zone", asked.time_zone),
            is_active: mask.wish("is_active", asked.is_active),
        };
        let (id, expected) = (asked.id, asked.expected_version);
        let by = caller.clone();
        let user = rpc::write(async move {
            user::update(&app, &caller, id, expected, edit, &cause, process::now()).await
        });
        Ok(Response::new(UpdateUserResponse { user: Some(told(user.await?, &by)) }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let salt = random()?;
        let once = Once::hashed(&request, |bytes| self.marker.mark(bytes), |()| Vec::new())?;
        let ChangePasswordRequest { current_password, new_password } = request.into_inner();
        let passwords = (Secret::from(current_password), Secret::from(new_password));
        rpc::write(async move {
            let now = process::now();
            user::change_password(&app, &caller, passwords, once, salt, &cause, now).await
        })
        .await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }
}

/// What of a user can be changed.
const FIELDS: [&str; 7] =
    ["email", "username", "role", "team_id", "language", "time_zone", "is_active"];

fn created(made: Made) -> CreateUserResponse {
    let invitation_url = made.invitation_url.map(|url| url.expose().to_owned());
    let has_second_factor = Some(made.user.has_second_factor);
    let user = to_wire(made.user);
    CreateUserResponse { user: Some(wire::User { invitation_url, has_second_factor, ..user }) }
}

/// That the user of this answer was invited before.
fn replayed(bytes: &[u8]) -> Error {
    match CreateUserResponse::decode(bytes) {
        Ok(first) => idempotency::shown_once(first.user.map_or(0, |user| user.id)),
        Err(error) => Error::Internal(error.into()),
    }
}

/// The name of a role that a caller asks for; of a number that is none, the number.
pub(super) fn role_name(number: i32) -> String {
    match wire::Role::try_from(number) {
        Ok(wire::Role::Admin) => "admin".to_owned(),
        Ok(wire::Role::Manager) => "manager".to_owned(),
        Ok(wire::Role::Rep) => "rep".to_owned(),
        Ok(wire::Role::Viewer) => "viewer".to_owned(),
        Ok(wire::Role::Unspecified) | Err(_) => number.to_string(),
    }
}

pub(super) fn role_to_wire(role: Role) -> wire::Role {
    match role {
        Role::Admin => wire::Role::Admin,
        Role::Manager => wire::Role::Manager,
        Role::Rep => wire::Role::Rep,
        Role::Viewer => wire::Role::Viewer,
    }
}

/// A user as a caller may know them: how well an account is guarded is nobody else's business.
fn told(user: User, caller: &Caller) -> wire::User {
    let is_theirs = caller.user() == Some(user.id) || caller.role == auth::Role::Admin;
    let has_second_factor = is_theirs.then_some(user.has_second_factor);
    wire::User { has_second_factor, ..to_wire(user) }
}

fn to_wire(user: User) -> wire::User {
    wire::User {
        id: user.id,
        email: user.email,
        username: user.username,
        role: role_to_wire(user.role).into(),
        team_id: user.team_id,
        language: user.language.as_str().to_owned(),
        time_zone: user.time_zone,
        is_active: user.is_active,
        is_admin: user.role == Role::Admin,
        created_at: Some(user.created_at.into()),
        updated_at: Some(user.updated_at.into()),
        version: user.version,
        invitation_url: None,
        has_second_factor: None,
    }
}
