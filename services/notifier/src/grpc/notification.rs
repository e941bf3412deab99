//! `NotificationService`.

use proto::notifier::v1::{
    self as wire, ListNotificationsRequest, ListNotificationsResponse,
    notification_service_server::NotificationService,
};
use rpc::Error;
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use crate::{
    notification::{self, model::Notification},
    page::Page,
};

/// Answers people their own notifications.
#[derive(Clone, Debug)]
pub struct Notifications {
    /// For reading.
    pub pool: PgPool,
}

#[tonic::async_trait]
impl NotificationService for Notifications {
    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Result<Response<ListNotificationsResponse>, Status> {
        let caller = auth::caller(&request)?;
        caller.require_read()?;
        let user_id =
            caller.user().ok_or_else(|| Error::denied("a service has no notifications"))?;
        let ListNotificationsRequest { unread, limit, cursor } = request.into_inner();
        let page = Page::parse(limit, cursor.as_deref())?;
        let (items, next_cursor) =
            notification::list(&self.pool, user_id, unread.unwrap_or(false), page).await?;
        let items = items.into_iter().map(to_wire).collect();
        Ok(Response::new(ListNotificationsResponse { items, next_cursor }))
    }
}

fn to_wire(notification: Notification) -> wire::Notification {
    wire::Notification {
        id: notification.id,
        event: notification.event,
        title: notification.title,
        body: notification.body,
        opportunity_id: notification.opportunity_id,
        occurred_at: Some(notification.occurred_at.into()),
        created_at: Some(notification.created_at.into()),
        read_at: notification.read_at.map(Into::into),
    }
}
