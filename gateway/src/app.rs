//! What every request needs: the ways to the services, the keys by which tokens are known, and the gateway's own token.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use auth::{ISSUER, Keys, Revocations, ServiceToken, Verifier};
use process::PublicUrl;
use rpc::client::Channel;
use rpc::{Tls, client};

use crate::SERVICE;
use crate::api_key::ApiKeys;
use crate::config::Config;
use crate::http::TrustedProxies;
use crate::limit::Limiter;

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
    /// What has been taken back of the tokens that are still unexpired.
    pub revocations: Arc<Revocations>,
    /// For what the gateway asks of its own accord.
    pub token: Arc<ServiceToken>,
    /// The tokens that stand for API keys.
    pub api_keys: Arc<ApiKeys>,
    /// How much each caller has asked, where there is a limit.
    pub limiter: Option<Arc<Limiter>>,
    /// Who may say for whom they ask.
    pub trusted_proxies: Arc<TrustedProxies>,
    /// Where people find the product, if it was told.
    pub public_url: Option<PublicUrl>,
}

impl App {
    /// Connects when first used, so that the gateway may be there before the services. To be called inside a runtime.
    pub fn connect(config: &Config) -> Result<Self> {
        let services = &config.services;
        let tls = Tls::load(&config.tls)?;
        let channel = |url: &str, name: &'static str| client::connect_lazy(url, &tls).context(name);
        let identity = channel(&services.identity_url, "IDENTITY_URL")?;
        let keys = Keys::from_identity(identity.clone());
        let secret = config.service_secret.clone();
        let revocations = Arc::<Revocations>::default();
        let token = Arc::new(ServiceToken::new(identity.clone(), SERVICE, secret));
        Ok(Self {
            opportunities: channel(&services.opportunities_url, "OPPORTUNITIES_URL")?,
            analytics: channel(&services.analytics_url, "ANALYTICS_URL")?,
            notifier: channel(&services.notifier_url, "NOTIFIER_URL")?,
            verifier: Arc::new(Verifier::new(ISSUER, keys, Arc::clone(&revocations))),
            api_keys: Arc::new(ApiKeys::new(identity.clone(), Arc::clone(&token))),
            token,
            revocations,
            limiter: config.rate_limit.map(|rate| Arc::new(Limiter::new(rate, Instant::now()))),
            trusted_proxies: Arc::new(config.trusted_proxies.clone()),
            public_url: config.public_url.clone(),
            identity,
        })
    }
}

#[cfg(test)]
impl App {
    /// One with no service behind it, and those settings, for tests.
    pub(crate) fn alone(more: &[&str]) -> Self {
        use clap::Parser as _;

        let mut arguments = vec!["gateway", "serve", "--service-secret", "none"];
        let services =
            ["--identity-url", "--opportunities-url", "--analytics-url", "--notifier-url"];
        arguments.extend(services.iter().flat_map(|service| [*service, "http://127.0.0.1:1"]));
        arguments.extend(more);
        let cli = crate::config::Cli::try_parse_from(arguments).unwrap();
        let crate::config::Command::Serve(config) = cli.command else {
            panic!("not what was asked for");
        };
        Self::connect(&config).unwrap()
    }
}
