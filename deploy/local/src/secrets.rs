//! What nobody should guess: made up at the first start, kept in a file that only its owner may read.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::folder::write_private;
use crate::{SERVICES, random, settings};

/// All secrets of one installation.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// Root of identity's signing key.
    pub secret_key: String,
    /// By which identity knows each service.
    pub services: BTreeMap<String, String>,
    /// From which the passwords of the database's roles follow.
    pub database: String,
    /// The private PostgreSQL's superuser's.
    pub postgres: String,
    /// The private NATS's.
    pub nats: String,
    /// The first administrator.
    pub admin_email: String,
    /// The first administrator's.
    pub admin_password: String,
    /// That of all people of the demonstration.
    pub demo_password: String,
}

impl Secrets {
    /// New ones, but for those that the environment gives.
    pub fn generate() -> Self {
        let given =
            |name: &str, length: usize| settings::get(name).unwrap_or_else(|| random::word(length));
        let services = SERVICES.iter().chain(&["gateway"]);
        Self {
            secret_key: given("SECRET_KEY", 48),
            services: services.map(|service| ((*service).to_owned(), random::word(32))).collect(),
            database: random::word(32),
            postgres: random::word(32),
            nats: random::word(32),
            admin_email: settings::get("ADMIN_EMAIL")
                .unwrap_or_else(|| "admin@example.com".to_owned()),
            admin_password: given("ADMIN_PASSWORD", 12),
            demo_password: given("DEMO_PASSWORD", 12),
        }
    }

    /// Those of an earlier start, or new ones which are kept. A `SECRET_KEY` in the environment goes before the one that was kept.
    pub fn load(file: &Path) -> Result<Self> {
        let mut secrets: Self = match fs::read(file) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged", file.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let secrets = Self::generate();
                secrets.check()?;
                write_private(file, &serde_json::to_vec_pretty(&secrets)?)?;
                secrets
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        };
        if let Some(key) = settings::get("SECRET_KEY") {
            secrets.secret_key = key;
        }
        Ok(secrets)
    }

    /// What identity would refuse is refused before it is kept for ever.
    fn check(&self) -> Result<()> {
        for (name, password) in
            [("ADMIN_PASSWORD", &self.admin_password), ("DEMO_PASSWORD", &self.demo_password)]
        {
            let length = password.chars().count();
            ensure!((8..=128).contains(&length), "{name} has to have 8 to 128 characters");
        }
        let email = self.admin_email.trim();
        let is_address = email.split_once('@').is_some_and(|(mailbox, domain)| {
            let is_plain = |it: char| !it.is_whitespace() && !"<>()[],;:\\\"@".contains(it);
            !mailbox.is_empty()
                && mailbox.chars().chain(domain.chars()).all(is_plain)
                && domain.split('.').all(|label| !label.is_empty())
        });
        ensure!(is_address && email.len() <= 320, "ADMIN_EMAIL is no e-mail address");
        let key: Vec<char> = self.secret_key.chars().collect();
        ensure!(key.len() >= 32, "SECRET_KEY has to have 32 characters or more");
        let repeats = |length: usize| key.iter().zip(&key[length..]).all(|(a, b)| a == b);
        let is_random = key.iter().collect::<HashSet<_>>().len() >= 8 && !(1..16).any(repeats);
        ensure!(is_random, "SECRET_KEY has to be random, as `openssl rand -base64 48` makes one");
        Ok(())
    }

    /// As identity wants them: `gateway=…,identity=…`.
    pub fn service_pairs(&self) -> String {
        let pairs: Vec<_> =
            self.services.iter().map(|(name, secret)| format!("{name}={secret}")).collect();
        pairs.join(",")
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secrets")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::folder::Scratch;

    #[test]
    fn a_password_that_nobody_could_sign_in_with_is_not_kept() {
        let short = Secrets { admin_password: "short".to_owned(), ..Secrets::generate() };
        assert!(short.check().unwrap_err().to_string().starts_with("ADMIN_PASSWORD"));
        assert!(Secrets::generate().check().is_ok());
        for address in ["", "me", "@example.com", "a@b@c", "a b@example.com", "a@", "a@b..c"] {
            let wrong = Secrets { admin_email: address.to_owned(), ..Secrets::generate() };
            let told = wrong.check().unwrap_err().to_string();
            assert!(told.starts_with("ADMIN_EMAIL"), "{address}");
        }
        for key in ["0123456789abcdef", &"a".repeat(48), &"0123456789".repeat(4), &"0011".repeat(9)]
        {
            let guessed = Secrets { secret_key: key.to_owned(), ..Secrets::generate() };
            let told = guessed.check().unwrap_err().to_string();
            assert!(told.starts_with("SECRET_KEY"), "{key}");
        }
    }

    #[test]
    fn secrets_are_made_once_and_are_their_owners_alone() {
        let scratch = Scratch::create().unwrap();
        let file = scratch.path().join("secrets.json");
        let first = Secrets::load(&file).unwrap();
        assert_eq!(Secrets::load(&file).unwrap().demo_password, first.demo_password);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(first.secret_key.len() >= 32 && first.services.len() == 5);
    }
}
