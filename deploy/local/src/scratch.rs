//! What a test needs for itself: a database that nobody else uses, and a prefix for its events.
//!
//! `make test` (or `local with-servers -- …`) starts the servers that the tests find in the environment.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::provision::{self, execute, identifier};
use crate::{random, settings};

/// From this the passwords of test roles follow, so that every test process knows them.
pub(crate) const SECRET: &str = "test";

/// A database with one service's schema, migrated and empty; deleted when dropped.
#[derive(Debug)]
pub struct Database {
    /// URL for the service's role.
    pub url: String,
    /// URL for the role that owns the schema.
    pub owner_url: String,
    /// URL for the superuser.
    pub superuser_url: String,
    itself: provision::Database,
}

impl Database {
    /// Copies a template, which the first test that needs it makes from the migrations in a folder.
    ///
    /// # Panics
    /// When there is no server, or a migration fails.
    pub async fn create(service: &str, migrations: impl AsRef<Path>) -> Self {
        Self::try_create(service, migrations.as_ref())
            .await
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    async fn try_create(service: &str, migrations: &Path) -> Result<Self> {
        let server = provision::Database::new(&postgres_url(), SECRET)?;
        let template = server.named(&format!("tmpl_{service}_{}", fingerprint(migrations)?));
        let mut connection = server.connect().await?;
        make_template(&mut connection, &template, service, migrations).await?;
        let database = template.named(&format!("test_{service}_{}", random::word(12)));
        let (new, old) = (identifier(database.name()), identifier(template.name()));
        execute(&mut connection, &format!("create database {new} template {old}")).await?;
        connection.close().await?;
        Ok(Self {
            url: database.url_of(&template.role(service)),
            owner_url: database.url_of(&template.owner(service)),
            superuser_url: database.superuser_url(),
            itself: database,
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let database = self.itself.clone();
        block_on(async move {
            let mut connection = database.named("postgres").connect().await?;
            execute(
                &mut connection,
                &format!("drop database if exists {} with (force)", identifier(database.name())),
            )
            .await
        });
    }
}

/// Makes the template unless it is there and whole; one process at a time.
async fn make_template(
    connection: &mut PgConnection,
    template: &provision::Database,
    service: &str,
    migrations: &Path,
) -> Result<()> {
    let find = "select datistemplate from pg_database where datname = $1";
    if sqlx::query_scalar(find).bind(template.name()).fetch_optional(&mut *connection).await?
        == Some(true)
    {
        return Ok(());
    }
    let name = identifier(template.name());
    sqlx::query("select pg_advisory_lock(hashtext($1))")
        .bind(template.name())
        .execute(&mut *connection)
        .await?;
    let found: Option<bool> =
        sqlx::query_scalar(find).bind(template.name()).fetch_optional(&mut *connection).await?;
    if found != Some(true) {
        if found.is_some() {
            execute(connection, &format!("drop database {name} with (force)")).await?;
        }
        execute(connection, &format!("create database {name}")).await?;
        template.provision(&[service]).await?;
        template.migrate(service, migrations).await?;
        // Said last: a template that is not one was not finished.
        execute(
            connection,
            &format!("alter database {name} with allow_connections false is_template true"),
        )
        .await?;
    }
    sqlx::query(AssertSqlSafe("select pg_advisory_unlock(hashtext($1))"))
        .bind(template.name())
        .execute(connection)
        .await?;
    Ok(())
}

/// The same for the same migrations only.
fn fingerprint(migrations: &Path) -> Result<String> {
    let read =
        fs::read_dir(migrations).with_context(|| format!("read {}", migrations.display()))?;
    let mut files: Vec<_> = read
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "sql"))
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(fs::read(&file)?);
    }
    Ok(random::hex(&hash.finalize()[..6]))
}

/// URL of the PostgreSQL that tests use, for its superuser.
///
/// # Panics
/// When there is none.
pub fn postgres_url() -> String {
    needed("TEST_POSTGRES_URL")
}

/// URL of the NATS that tests use.
///
/// # Panics
/// When there is none.
pub fn nats_url() -> String {
    needed("TEST_NATS_URL")
}

/// A prefix for subjects and streams that no other test has.
pub fn prefix() -> String {
    format!("test_{}", random::word(12))
}

fn needed(name: &str) -> String {
    settings::get(name).unwrap_or_else(|| panic!("{name} is not set: run `make test`, or `target/debug/local with-servers -- cargo test …`"))
}

/// Waits for something asynchronous where there is no way to wait, as in `drop`. What fails is left behind.
pub(crate) fn block_on(work: impl Future<Output = Result<()>> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work)
    });
    let _ = thread.join();
}
