//! What every request needs: the ways to the services, and the keys by which tokens are known.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use auth::{ISSUER, Keys, Revocations, Verifier};
use rpc::client;
use tonic::transport::Channel;

use crate::config::Services;

/// Cheap to clone: everything in it is shared.
#[derive(Clone, Debug)]
pub struct App {
    /// The way to identity.
    pub identity: Channel,
    /// The way to opportunities.
    pub opportunities: Channel,
    /// The way to analytics.
    pub analytics: Channel,
    /// The way to notifier.
    pub notifier: Channel,
    /// Tells who calls. The services look for themselves again.
    pub verifier: Arc<Verifier>,
}

impl App {
    /// Connects when first used, so that the gateway may be there before the services. To be called inside a runtime.
    pub fn connect(services: &Services) -> Result<Self> {
        let channel = |url: &str, name: &'static str| client::connect_lazy(url).context(name);
        let identity = channel(&services.identity_url, "IDENTITY_URL")?;
        let keys = Keys::from_identity(identity.clone());
        Ok(Self {
            opportunities: channel(&services.opportunities_url, "OPPORTUNITIES_URL")?,
            analytics: channel(&services.analytics_url, "ANALYTICS_URL")?,
            notifier: channel(&services.notifier_url, "NOTIFIER_URL")?,
            verifier: Arc::new(Verifier::new(ISSUER, keys, Arc::<Revocations>::default())),
            identity,
        })
    }
}
