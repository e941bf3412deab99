//! `AuditService`.

use chrono_tz::Tz;
use proto::audit::v1::{
    AuditSource, ListAuditEntriesRequest, ListAuditEntriesResponse,
    audit_service_server::AuditService,
};
use rpc::Error;
use tonic::{Request, Response, Status};

use crate::{app::App, settings};

/// Serves the audit of this service's change log.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What use cases work with.
    pub app: App,
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let settings = settings::get(&self.app).await?;
        let zone: Tz = settings.time_zone.parse().map_err(|_| Error::internal("no such zone"))?;
        let (pool, asked) = (&self.app.read, request.into_inner());
        let page = events::audit::list(pool, AuditSource::Identity, &caller, zone, asked);
        Ok(Response::new(page.await?))
    }
}
