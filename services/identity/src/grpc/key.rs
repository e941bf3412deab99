//! `KeyService`.

use proto::identity::v1::{ListKeysRequest, ListKeysResponse, key_service_server::KeyService};
use tonic::{Request, Response, Status};

use crate::token::Issuer;

/// Publishes the keys of tokens.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Whose keys.
    pub issuer: Issuer,
}

#[tonic::async_trait]
impl KeyService for Keys {
    async fn list_keys(
        &self,
        _request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        let keys = self.issuer.keys().into_iter().map(Into::into).collect();
        Ok(Response::new(ListKeysResponse { keys }))
    }
}
