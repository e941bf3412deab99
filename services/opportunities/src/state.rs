//! What every request needs: pools, what is remembered of settings and of what administrators decide, and the way to identity.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use events::Wake;
use rpc::Error;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::custom_field::{self, model::CustomFields};
use crate::directory::{self, model::Settings};
use crate::identity::Identity;
use crate::import::workbook::Workbooks;
use crate::lost_reason::{self, model::LostReasons};
use crate::opportunity;
use crate::pipeline::{self, model::Pipelines};

/// How long a change of settings, stages, reasons or fields may go unnoticed in another replica.
const REFRESH: Duration = Duration::from_secs(1);

/// Cheap to clone: everything in it is shared.
#[derive(Clone)]
pub struct State {
    /// Connections that never begin a transaction.
    pub reads: PgPool,
    /// Connections for transactions.
    pub writes: PgPool,
    /// Wakes the relay after a commit.
    pub wake: Wake,
    /// All pipelines.
    pub pipelines: Known<Pipelines>,
    /// Why opportunities may be lost.
    pub lost_reasons: Known<LostReasons>,
    /// Fields of the organisation's own.
    pub custom_fields: Known<CustomFields>,
    /// The organisation's settings.
    pub settings: Known<Settings>,
    /// The way to identity.
    pub identity: Identity,
    /// Who reads workbooks.
    pub workbooks: Workbooks,
}

/// What administrators decide about opportunities, as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rules {
    pub(crate) pipelines: Arc<Pipelines>,
    pub(crate) lost_reasons: Arc<LostReasons>,
    pub(crate) custom_fields: Arc<CustomFields>,
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
    pub fn set(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&value));
        value
    }
}

impl State {
    /// Nothing is known yet.
    pub fn new(reads: PgPool, writes: PgPool, identity: Identity) -> Self {
        Self {
            reads,
            writes,
            wake: Wake::default(),
            pipelines: Known::default(),
            lost_reasons: Known::default(),
            custom_fields: Known::default(),
            settings: Known::default(),
            identity,
            workbooks: Workbooks::default(),
        }
    }

    /// What is remembered of what administrators decide.
    pub(crate) fn rules(&self) -> Result<Rules, Error> {
        let (pipelines, lost_reasons) = (self.pipelines.get()?, self.lost_reasons.get()?);
        Ok(Rules { pipelines, lost_reasons, custom_fields: self.custom_fields.get()? })
    }

    /// Reads that anew.
    pub(crate) async fn refresh_rules(&self) -> Result<Rules, Error> {
        let pipelines = self.pipelines.set(pipeline::all(&self.reads).await?);
        let lost_reasons = self.lost_reasons.set(lost_reason::all(&self.reads).await?);
        let custom_fields = self.custom_fields.set(custom_field::all(&self.reads).await?);
        Ok(Rules { pipelines, lost_reasons, custom_fields })
    }

    /// Reads settings, and what administrators decide, anew. Settings that no event has brought yet are asked of identity.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.refresh_rules().await?;
        if let Some(settings) = directory::store::settings(&self.reads).await? {
            self.settings.set(settings);
        } else {
            self.identity.fetch_settings(&self.writes).await?;
            if let Some(settings) = directory::store::settings(&self.reads).await? {
                self.settings.set(settings);
            }
        }
        Ok(())
    }

    /// The settings to keep an amount by: the currency stays what it is from the first one on, which identity is told before. Unavailable where that cannot be.
    pub(crate) async fn settings_for_amounts(&self) -> Result<Arc<Settings>, Error> {
        let settings = self.settings.get()?;
        if settings.currency_fixed {
            return Ok(settings);
        }
        let known = directory::store::settings(&self.reads).await?;
        if let Some(known) = known.filter(|known| known.currency_fixed) {
            // Another replica has told it.
            return Ok(self.settings.set(known));
        }
        self.identity.fix_currency(&self.writes).await?;
        // What was read, and not what is known by then: a refresh that read before may have come in between.
        match directory::store::settings(&self.reads).await? {
            Some(settings) => Ok(self.settings.set(settings)),
            None => self.settings.get(),
        }
    }

    /// Refreshes until everything is known: what a service waits for before it is ready.
    pub async fn load(&self) -> Result<(), Error> {
        self.refresh().await?;
        let settings = self.settings.get()?;
        if !settings.currency_fixed && opportunity::are_amounts(&self.reads).await? {
            // They were not kept by this program.
            self.settings_for_amounts().await?;
        }
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
