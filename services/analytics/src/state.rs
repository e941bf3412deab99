//! What every request needs: pools, what is remembered of settings and pipelines, and the way to identity.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rpc::Error;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::directory::{model::Settings, store};
use crate::identity::Identity;
use crate::pipeline::{self, Pipelines};

/// How long a change of settings or stages may go unnoticed.
const REFRESH: Duration = Duration::from_secs(1);

/// Cheap to clone: everything in it is shared.
#[derive(Clone)]
pub struct State {
    /// Connections that never begin a transaction.
    pub reads: PgPool,
    /// Connections for transactions.
    pub writes: PgPool,
    /// All pipelines.
    pub pipelines: Known<Pipelines>,
    /// The organisation's settings.
    pub settings: Known<Settings>,
    /// The way to identity.
    pub identity: Identity,
}

/// The latest known value of something that changes rarely.
pub struct Known<T>(Arc<RwLock<Option<Arc<T>>>>);

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Known<T> {
    /// The value. Unavailable until it is known for the first time.
    pub fn get(&self) -> Result<Arc<T>, Error> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.clone().ok_or_else(|| Error::unavailable(anyhow::anyhow!("not loaded yet")))
    }

    /// From now on this.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(value));
    }
}

impl State {
    /// Reads settings and pipelines anew. Settings that no event has brought yet are asked of identity.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.refresh_pipelines().await?;
        let mut settings = self.stored_settings().await?;
        if settings.is_none() {
            self.identity.fetch_settings(&self.writes).await?;
            settings = self.stored_settings().await?;
        }
        if let Some(settings) = settings {
            self.settings.set(settings);
        }
        Ok(())
    }

    /// Reads pipelines anew.
    pub async fn refresh_pipelines(&self) -> Result<(), Error> {
        self.pipelines.set(pipeline::all(&self.reads).await?);
        Ok(())
    }

    async fn stored_settings(&self) -> Result<Option<Settings>, Error> {
        Ok(store::settings(&mut *self.reads.acquire().await?).await?)
    }

    /// Refreshes until everything is known: what a service waits for before it is ready.
    pub async fn load(&self) -> Result<(), Error> {
        self.refresh().await?;
        self.settings.get()?;
        Ok(())
    }

    /// Refreshes for ever.
    pub async fn keep_fresh(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(REFRESH)).await.is_some() {
            if let Err(error) = self.refresh().await {
                warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "settings and pipelines were not refreshed"
                );
            }
        }
    }
}
