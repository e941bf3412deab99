//! identity as this service needs it: asked for a link that is to be mailed.

use std::sync::Arc;

use auth::ServiceToken;
use process::Secret;
use proto::identity::v1::{
    PasswordLinkKind, RevealPasswordLinkRequest, RevealPasswordLinkResponse,
    password_link_service_client::PasswordLinkServiceClient,
};
use rpc::client::Channel;
use rpc::{Error, client, client::Context};

use crate::{
    delivery::model::{Failure, Recipient},
    directory::model::Language,
    password_link::model::{Kind, Link},
};

/// The way to identity. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    client: PasswordLinkServiceClient<Channel>,
    token: Arc<ServiceToken>,
}

impl Identity {
    /// Over that channel, with this service's own token.
    pub fn new(channel: Channel, token: Arc<ServiceToken>) -> Self {
        Self { client: PasswordLinkServiceClient::new(channel), token }
    }

    /// The link as it is now; a failure that cancels its mail where it is no longer good.
    pub async fn password_link(&self, id: i64) -> Result<Link, Failure> {
        let link = self.reveal(id).await.map_err(|error| match error {
            Error::NotFound { .. } => {
                Failure::Needless("the link was used, replaced or expired".to_owned())
            }
            Error::Precondition { message, .. } => Failure::Permanent(message),
            error => Failure::Passing(format!("identity does not tell the link: {error}")),
        })?;
        let kind = match link.kind() {
            PasswordLinkKind::Invitation => Kind::Invitation,
            PasswordLinkKind::Reset | PasswordLinkKind::Unspecified => Kind::Reset,
        };
        Ok(Link {
            language: Language::of(&link.language),
            time_zone: link.time_zone,
            kind,
            url: Secret::from(link.url),
            expires_at: link.expires_at.map(Into::into).unwrap_or_default(),
            recipient: Recipient { username: link.username, email: link.email, is_active: true },
        })
    }

    async fn reveal(&self, id: i64) -> Result<RevealPasswordLinkResponse, Error> {
        let context = Context::default().with_authorization(self.token.authorization().await?);
        client::read(|| {
            let mut client = self.client.clone();
            let request = context.request(RevealPasswordLinkRequest { id });
            async move { client.reveal_password_link(request).await }
        })
        .await
    }
}
