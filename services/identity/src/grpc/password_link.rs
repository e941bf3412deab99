//! `PasswordLinkService`.

use std::{sync::Arc, time::Duration};

use idempotency::Once;
use process::Secret;
use proto::identity::v1::{
    InviteUserRequest, InviteUserResponse, PasswordLinkKind, RequestPasswordResetRequest,
    RequestPasswordResetResponse, RevealPasswordLinkRequest, RevealPasswordLinkResponse,
    SetPasswordByLinkRequest, SetPasswordByLinkResponse,
    password_link_service_server::PasswordLinkService,
};
use rpc::Error;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::{cause, origin, peer, random};
use crate::{
    app::App,
    password_link::{
        self,
        model::{Kind, Links},
    },
    text::LONGEST_EMAIL,
};

/// How many resets may be under way whose askers have their answer already.
const AT_ONCE: usize = 64;
/// When one who was turned away may try again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Makes and takes links by which a password is set.
#[derive(Clone, Debug)]
pub struct PasswordLinks {
    app: App,
    links: Links,
    places: Arc<Semaphore>,
}

impl PasswordLinks {
    /// With what use cases work with, and what links are made with.
    pub fn new(app: App, links: Links) -> Self {
        Self { app, links, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

#[tonic::async_trait]
impl PasswordLinkService for PasswordLinks {
    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        let (origin, peer, nonce) = (origin(&request), peer(&request), random()?);
        let email = request.into_inner().email;
        if email.trim().is_empty() {
            return Err(Error::invalid("email", "required", "is missing").into());
        }
        if email.chars().count() > LONGEST_EMAIL {
            let message = format!("is longer than {LONGEST_EMAIL} characters");
            return Err(Error::invalid("email", "too_long", message).into());
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let busy = Error::exhausted("RESETS_BUSY", "too many passwords are being reset");
            return Err(busy.retry_after(TRY_AGAIN_AFTER).into());
        };
        let Self { app, links, .. } = self.clone();
        // After the answer, whose time tells nothing of it.
        rpc::write_later(async move {
            let _place = place;
            let (with, now) = ((&links, nonce), process::now());
            password_link::request_reset(&app, with, &email, peer, &origin, now).await
        });
        Ok(Response::new(RequestPasswordResetResponse {}))
    }

    async fn set_password_by_link(
        &self,
        request: Request<SetPasswordByLinkRequest>,
    ) -> Result<Response<SetPasswordByLinkResponse>, Status> {
        let (origin, salt) = (origin(&request), random()?);
        let SetPasswordByLinkRequest { token, new_password } = request.into_inner();
        let (app, new_password) = (self.app.clone(), Secret::from(new_password));
        rpc::write(async move {
            let now = process::now();
            password_link::set_password(&app, &token, new_password, salt, &origin, now).await
        })
        .await?;
        Ok(Response::new(SetPasswordByLinkResponse {}))
    }

    async fn invite_user(
        &self,
        request: Request<InviteUserRequest>,
    ) -> Result<Response<InviteUserResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (cause, nonce) = (cause(&request, &caller), random()?);
        let once = Once::of(&request, |id: &i64| id.to_string().into_bytes())?;
        let user_id = request.into_inner().user_id;
        let Self { app, links, .. } = self.clone();
        let url = rpc::write(async move {
            let (with, now) = ((&links, nonce), process::now());
            password_link::invite(&app, with, &caller, user_id, once, &cause, now).await
        });
        let invitation_url = url.await?.expose().to_owned();
        Ok(Response::new(InviteUserResponse { invitation_url }))
    }

    async fn reveal_password_link(
        &self,
        request: Request<RevealPasswordLinkRequest>,
    ) -> Result<Response<RevealPasswordLinkResponse>, Status> {
        let caller = auth::caller(&request)?;
        let id = request.into_inner().id;
        let Self { app, links, .. } = self;
        let revealed = password_link::reveal(app, links, &caller, id, process::now()).await?;
        let kind = match revealed.kind {
            Kind::Invitation => PasswordLinkKind::Invitation,
            Kind::Reset => PasswordLinkKind::Reset,
        };
        Ok(Response::new(RevealPasswordLinkResponse {
            email: revealed.user.email,
            username: revealed.user.username,
            language: revealed.user.language.as_str().to_owned(),
            time_zone: revealed.user.time_zone,
            kind: kind.into(),
            url: revealed.url.expose().to_owned(),
            expires_at: Some(revealed.expires_at.into()),
        }))
    }
}
