//! What keeps a process's [`Revocations`] fresh: identity's events as they happen, and its present state at the start and after each loss.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use async_nats::Client;
use auth::{Revocations, Role, ServiceToken};
use futures::StreamExt as _;
use proto::identity::v1::{
    ListRightsRequest, ListRightsResponse, UserRights, session_service_client::SessionServiceClient,
};
use rpc::client::Channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    Record,
    listen::{Heard, fan_out},
    stream::{Settings, is_connected},
};

/// Who is listened to.
const IDENTITY: &str = "identity";
/// How often the present state is loaded while the broker cannot be heard.
const WITHOUT_BROKER: Duration = Duration::from_secs(10);
/// How long until it is tried again where identity does not answer.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long identity may be silent within its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Listens until `shutdown`. `load` brings the present state into the revocations; it is called at once, whenever something may have been
/// missed, and every ten seconds while the broker is away.
pub async fn follow<F>(
    nats: Client,
    settings: Settings,
    revocations: Arc<Revocations>,
    load: impl Fn(Arc<Revocations>) -> F,
    shutdown: CancellationToken,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let listening = async {
        let mut due = !try_to_load(&load, &revocations).await;
        let mut heard = pin!(fan_out(nats.clone(), &settings, IDENTITY));
        loop {
            // What is heard counts at once, whether or not the state could be loaded: the higher version wins, and what has ended stays so.
            let patience = if due { TRY_AGAIN } else { WITHOUT_BROKER };
            match timeout(patience, heard.next()).await {
                Ok(Some(Heard::Joined)) => due = !try_to_load(&load, &revocations).await,
                Ok(Some(Heard::Events(events))) => {
                    for record in events.iter().filter_map(|event| event.record.as_ref()) {
                        apply(&revocations, record);
                    }
                }
                Ok(None) => return,
                Err(_elapsed) if due || !is_connected(&nats) => {
                    due = !try_to_load(&load, &revocations).await;
                }
                Err(_elapsed) => {}
            }
        }
    };
    shutdown.run_until_cancelled(listening).await;
    Ok(())
}

/// The same for a process that asks identity for the present state, with its own token.
pub async fn follow_identity(
    nats: Client,
    settings: Settings,
    revocations: Arc<Revocations>,
    (channel, token): (Channel, Arc<ServiceToken>),
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let load = |revocations| of_identity(channel.clone(), Arc::clone(&token), revocations);
    follow(nats, settings, revocations, load, shutdown).await
}

/// The present state as identity streams it to a service.
async fn of_identity(
    channel: Channel,
    token: Arc<ServiceToken>,
    revocations: Arc<Revocations>,
) -> anyhow::Result<()> {
    let authorization = token.authorization().await?;
    let context = rpc::client::Context::default().with_authorization(authorization);
    let request = context.stream(ListRightsRequest {});
    let mut sessions = SessionServiceClient::new(channel);
    let mut stream = timeout(PATIENCE, sessions.list_rights(request)).await??.into_inner();
    while let Some(piece) = timeout(PATIENCE, stream.message()).await?? {
        take_in(&revocations, &piece);
    }
    Ok(())
}

/// Brings a piece of the present state into the revocations.
pub fn take_in(revocations: &Revocations, piece: &ListRightsResponse) {
    for UserRights { user_id, rights_version, is_active, role, team_id } in &piece.users {
        set_user(revocations, *user_id, *rights_version, *is_active, role, *team_id);
    }
    piece.ended_session_ids.iter().for_each(|id| revocations.revoke_session(*id));
}

/// Takes in what a change of identity's says of rights.
pub fn apply(revocations: &Revocations, record: &Record) {
    match record {
        Record::User(user) => set_user(
            revocations,
            user.id,
            user.rights_version,
            user.is_active,
            &user.role,
            user.team_id,
        ),
        Record::Session(session) if session.ended_at.is_some() => {
            revocations.revoke_session(session.id);
        }
        Record::ApiKey(key) if key.revoked_at.is_some() => revocations.revoke_session(key.id),
        Record::Client(client) if client.deleted_at.is_some() => {
            revocations.revoke_session(client.id);
        }
        _ => {}
    }
}

fn set_user(
    revocations: &Revocations,
    user_id: i64,
    rights_version: i64,
    is_active: bool,
    role: &str,
    team_id: Option<i64>,
) {
    // A role that this build does not know lets do the least.
    let role = role.parse().unwrap_or(Role::Viewer);
    revocations.set_user(user_id, rights_version, is_active, role, team_id);
}

async fn try_to_load<F>(
    load: &impl Fn(Arc<Revocations>) -> F,
    revocations: &Arc<Revocations>,
) -> bool
where
    F: Future<Output = anyhow::Result<()>>,
{
    match load(Arc::clone(revocations)).await {
        Ok(()) => true,
        Err(error) => {
            warn!(error = format!("{error:#}"), "what was taken back could not be loaded yet");
            false
        }
    }
}
