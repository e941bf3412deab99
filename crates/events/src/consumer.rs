//! A consumer of the apply kind: one task of a deriving service that applies every event of a source once and in order.

mod apply;
mod aside;
mod feed;

use std::time::Duration;

use async_nats::Client;
use process::Secret;
use sqlx::PgConnection;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use apply::{ApplyError, Applying};
pub use aside::replay;

use crate::{ChangeSource, Event, lock, stream};

/// How long it is waited before another attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// What a consumer needs.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The deriving service, or the part of it that applies: `analytics`.
    pub name: String,
    /// The owning service whose changes are applied: `identity`.
    pub source: String,
    /// The deriving service's database, as the role that may change rows.
    pub database_url: Secret,
    /// From [`stream::connect`].
    pub nats: Client,
    /// The stream that the owner publishes to.
    pub stream: stream::Settings,
    /// Where it asks for what the broker did not bring.
    pub owner: ChangeSource,
    /// How long without a message before it asks there; 5 s is usual.
    pub poll_every: Duration,
    /// Whether a commit waits for the disk. It need not where all that is applied can be had again from the owner: what a crash of the database
    /// takes back is taken back with its position.
    pub durable: bool,
    /// Told the position after each transaction.
    pub position: Option<watch::Sender<i64>>,
    /// Told whether this process is the one that applies.
    pub applies: Option<watch::Sender<bool>>,
}

/// The key of the advisory lock that the one active applier of a consumer holds on its source.
pub fn lock_key(name: &str, source: &str) -> i64 {
    lock::key(name, source)
}

/// Runs until `shutdown`, whatever happens to database, broker and owner. Every replica of a service runs one; one of them applies and
/// the others stand by.
///
/// `apply` is given new events only, in the order of their positions, and works in the transaction that it is given: it neither commits nor
/// rolls back. It may be given events again whose transaction did not commit. Its error says whether the event is to blame ([`ApplyError`]).
///
/// What was put aside before is tried again first, out of its order: applying has to allow for that.
///
/// Whoever moves the row of `inbox`, as a rebuild does, is noticed at the next transaction: nothing is applied from the old position.
pub async fn run<A>(consumer: Consumer, apply: A, shutdown: CancellationToken) -> anyhow::Result<()>
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    // Dropping the work at any point loses nothing: a transaction that did not commit is applied again.
    let _ = shutdown.run_until_cancelled(take_turns(&consumer, &apply)).await;
    Ok(())
}

async fn take_turns<A>(consumer: &Consumer, apply: &A)
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let (name, source) = (&*consumer.name, &*consumer.source);
    let tell = |applies| {
        if let Some(told) = &consumer.applies {
            told.send_replace(applies);
        }
    };
    loop {
        match lock::hold(consumer.database_url.expose(), lock_key(name, source)).await {
            Ok(connection) => {
                info!(name, source, "applying");
                tell(true);
                let Err(error) = feed::follow(connection, consumer, apply).await;
                tell(false);
                warn!(name, source, error = format!("{error:#}"), "no longer applying");
                // Whoever applies now tells how many there are.
                let labels = [("consumer", name.to_owned()), ("source", source.to_owned())];
                metrics::gauge!("dead_letters", &labels).set(0.0);
            }
            Err(error) => warn!(name, source, %error, "consumer has no database"),
        }
        sleep(PAUSE).await;
    }
}
