//! AuditService.

use proto::audit::v1::audit_service_server::AuditService;
use proto::audit::v1::{AuditSource, ListAuditEntriesRequest, ListAuditEntriesResponse};
use tonic::{Request, Response, Status};

use crate::State;

/// Serves the audit of this service's change log.
pub struct Audit(pub State);

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (pool, zone) = (&self.0.reads, self.0.settings.get()?.zone);
        let asked = request.into_inner();
        let page = events::audit::list(pool, AuditSource::Opportunities, &caller, zone, asked);
        Ok(Response::new(page.await?))
    }
}
