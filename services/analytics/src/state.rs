//! What every request needs: pools, what is remembered of settings and pipelines, and the way to identity.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::NaiveDate;
use rpc::Error;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::directory::{model::Settings, store};
use crate::identity::Identity;
use crate::pipeline::{self, Pipelines};
use crate::projection::rates;
use crate::rollup::day;
use crate::training::Speaking;

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
    /// The day by whose rates what is open is valued in the rollups, or an earlier one.
    pub valued_on: Known<NaiveDate>,
    /// The model that speaks of the forecast.
    pub speaking: Known<Speaking>,
    /// Whether identity keeps the currency as it is, once that is known: from then on it always does.
    pub currency_fixed: Known<()>,
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

    /// Has identity keep the currency as it is, before an amount is kept. Unavailable where that cannot be.
    pub(crate) async fn fix_currency(&self) -> Result<(), Error> {
        if self.currency_fixed.get().is_err() {
            self.identity.fix_currency(&self.writes).await?;
            self.currency_fixed.set(());
        }
        Ok(())
    }

    /// Waits until what is open is valued by the rates of this day, if they are others than before.
    pub(crate) async fn value_on(&self, today: NaiveDate) -> Result<(), Error> {
        if self.valued_on.get().is_ok_and(|day| *day >= today) {
            return Ok(());
        }
        let (reads, writes) = (self.reads.clone(), self.writes.clone());
        let valued_on =
            rpc::write(async move { Ok(rates::value_if_due(&reads, &writes, today).await?) });
        self.valued_on.set(valued_on.await?);
        Ok(())
    }

    /// Has what is open valued by the rates of the day that it is.
    async fn value_today(&self) -> Result<(), Error> {
        let today = day(process::now(), self.settings.get()?.zone);
        let stored = rates::valued_on(&self.reads).await?;
        let valued_on =
            if stored < today { rates::value_on(&self.writes, today).await? } else { stored };
        self.valued_on.set(valued_on);
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
            if let Err(error) = self.value_today().await {
                warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "what is open was not valued by the rates of today"
                );
            }
        }
    }
}
