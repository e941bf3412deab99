//! The command line and the environment; nothing else reads them.

use std::{collections::BTreeMap, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use process::{
    DatabaseSettings, EventsSettings, HealthcheckSettings, ListenSettings, MigrateSettings,
    PublicUrl, Secret, Setting, TelemetrySettings, TlsSettings,
};

use crate::settings::model::Draft;

/// Users, teams, tokens and settings.
#[derive(Parser, Debug)]
#[command(name = "identity", version)]
pub struct Cli {
    /// What the process tells about itself.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve until asked to stop.
    Serve(Box<Config>),
    /// Bring the schema up to date and exit.
    Migrate(MigrateSettings),
    /// Ask whether the process that serves beside this one is ready, for a container's health check; fails unless it is.
    Healthcheck(HealthcheckSettings),
    /// Make an administrator and exit.
    CreateAdmin(Box<CreateAdmin>),
}

/// What `serve` needs.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where it listens.
    #[command(flatten)]
    pub listen: ListenSettings,

    /// Where its data is.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Where its events travel.
    #[command(flatten)]
    pub events: EventsSettings,

    /// How it speaks with the others.
    #[command(flatten)]
    pub tls: TlsSettings,

    /// What an empty database is given.
    #[command(flatten)]
    pub organisation: Organisation,

    /// How tokens are made.
    #[command(flatten)]
    pub tokens: Tokens,

    /// Where people find the product: `https://sales.example.com`. Links that are mailed lead there, without it none is mailed; and the
    /// dashboard is told there of sign-ins.
    #[arg(long, env = "PUBLIC_URL", default_value = "", value_parser = PublicUrl::parse)]
    pub public_url: Setting<PublicUrl>,

    /// With whom people may sign in instead of a password.
    #[command(flatten)]
    pub external: External,

    /// E-mail address of the first administrator, made where there is no user yet.
    #[arg(long, env = "ADMIN_EMAIL", requires = "admin_password")]
    pub admin_email: Option<String>,

    /// The first administrator's password, 8 to 128 characters.
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<Secret>,
}

/// The organisation's settings at the first start. Afterwards the database has them, and these are not looked at.
#[derive(Args, Clone, Debug)]
pub struct Organisation {
    /// IANA name of the zone in which days and report periods are cut.
    #[arg(long = "timezone", env = "TIMEZONE", default_value = "Asia/Taipei")]
    pub time_zone: String,

    /// ISO 4217.
    #[arg(long, env = "DEFAULT_CURRENCY", default_value = "TWD")]
    pub default_currency: String,

    /// Who may read what: everyone, team or owner.
    #[arg(long, env = "VISIBILITY", default_value = "everyone")]
    pub visibility: String,

    /// Month with which a fiscal year begins.
    #[arg(long, env = "FISCAL_YEAR_START", default_value_t = 1)]
    pub fiscal_year_start: i32,
}

impl Organisation {
    /// As settings to be checked.
    pub fn draft(&self) -> Draft {
        Draft {
            // Whoever had to have one could not sign in to turn it on.
            second_factor_roles: Vec::new(),
            time_zone: self.time_zone.clone(),
            default_currency: self.default_currency.clone(),
            visibility: self.visibility.clone(),
            fiscal_year_start: self.fiscal_year_start,
        }
    }
}

/// An external OpenID Connect provider: the first three or none.
#[derive(Args, Clone, Debug)]
pub struct External {
    /// As the provider names itself: `https://login.example.com`. Needs PUBLIC_URL, below which it sends people back to /api/v1/auth/external/callback.
    #[arg(long = "oidc-issuer", env = "OIDC_ISSUER", default_value = "")]
    pub issuer: String,

    /// Our name there.
    #[arg(long = "oidc-client-id", env = "OIDC_CLIENT_ID", default_value = "")]
    pub client_id: String,

    /// Our password there.
    #[arg(
        long = "oidc-client-secret",
        env = "OIDC_CLIENT_SECRET",
        hide_env_values = true,
        default_value = ""
    )]
    pub client_secret: Secret,

    /// What people know it by; its host where nothing is said.
    #[arg(long = "oidc-name", env = "OIDC_NAME", default_value = "")]
    pub name: String,
}

/// How tokens are made.
#[derive(Args, Clone, Debug)]
pub struct Tokens {
    /// Root of the key that signs access tokens: 32 characters or more of randomness.
    #[arg(long, env = "SECRET_KEY", hide_env_values = true)]
    pub secret_key: Secret,

    /// Root of a second key, published and accepted, which does not sign.
    #[arg(long, env = "SECRET_KEY_PREVIOUS", hide_env_values = true)]
    pub secret_key_previous: Option<Secret>,

    /// Minutes that an access token lives.
    #[arg(long, env = "ACCESS_TOKEN_EXPIRE_MINUTES", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=1440))]
    pub access_token_expire_minutes: i64,

    /// Whether the organisation's own programs may sign people in with their passwords: first_party or off.
    #[arg(long, env = "PASSWORD_GRANT", default_value = "first_party")]
    pub password_grant: PasswordGrant,

    /// The services that may ask for a token of their own: `gateway=secret,analytics=secret,…`.
    #[arg(long, env = "SERVICE_SECRETS", hide_env_values = true, default_value = "")]
    pub service_secrets: ServiceSecrets,
}

impl Tokens {
    /// The root of the second key, if there is one.
    pub fn second_secret_key(&self) -> Option<&Secret> {
        self.secret_key_previous.as_ref().filter(|secret| !secret.expose().is_empty())
    }
}

/// Whether an e-mail address and a password are taken at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum PasswordGrant {
    /// From the organisation's own programs.
    FirstParty,
    /// From nobody: people sign in on the product's own page.
    Off,
}

/// The secret of each service.
#[derive(Clone, Debug, Default)]
pub struct ServiceSecrets(BTreeMap<String, Secret>);

impl ServiceSecrets {
    /// That service's, if it is known.
    pub fn of(&self, service: &str) -> Option<&Secret> {
        self.0.get(service)
    }
}

impl FromStr for ServiceSecrets {
    type Err = &'static str;

    /// The error repeats nothing of the text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let secrets = pairs.map(|pair| match pair.split_once('=') {
            Some((name, secret)) if !name.is_empty() && secret.len() >= SHORTEST_SECRET => {
                Ok((name.trim().to_owned(), Secret::from(secret)))
            }
            _ => Err("must be `name=secret` pairs with commas between them, each secret of 16 characters or more"),
        });
        secrets.collect::<Result<_, _>>().map(Self)
    }
}

/// The fewest characters of a service's secret.
const SHORTEST_SECRET: usize = 16;

/// What `create-admin` needs.
#[derive(Args, Clone, Debug)]
pub struct CreateAdmin {
    /// Where its data is.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// What an empty database is given.
    #[command(flatten)]
    pub organisation: Organisation,

    /// E-mail address.
    #[arg(long, env = "ADMIN_EMAIL")]
    pub email: String,

    /// Password, 8 to 128 characters; better given by the environment, which other users of the machine do not see.
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true)]
    pub password: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_secrets_are_pairs_and_an_error_repeats_none() {
        let secrets: ServiceSecrets =
            "gateway=0123456789abcdef, analytics=fedcba98=76543210".parse().unwrap();
        assert_eq!(secrets.of("analytics").map(Secret::expose), Some("fedcba98=76543210"));
        assert!(secrets.of("notifier").is_none());
        assert!("".parse::<ServiceSecrets>().unwrap().0.is_empty());
        for text in ["gateway", "=0123456789abcdef", "gateway=short"] {
            assert!(!text.parse::<ServiceSecrets>().unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn the_command_line_makes_sense() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
