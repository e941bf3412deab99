//! The database as an operator makes it: one schema for each service, a role that owns it and a role that may only change its rows.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::{SERVICES, random};

/// The oldest PostgreSQL that will do, as it numbers itself.
const OLDEST: i32 = 15_00_00;

/// A database and how to reach it as each role.
#[derive(Clone, Debug)]
#[must_use]
pub struct Database {
    superuser: PgConnectOptions,
    name: String,
    secret: String,
}

impl Database {
    /// The database that an administrator's URL names. The roles' passwords follow from the secret.
    pub fn new(superuser_url: &str, secret: &str) -> Result<Self> {
        let superuser: PgConnectOptions =
            superuser_url.parse().context("DATABASE_URL is no PostgreSQL URL")?;
        let name = superuser.get_database().context("DATABASE_URL names no database")?.to_owned();
        Ok(Self { superuser, name, secret: secret.to_owned() })
    }

    /// Another database of the same server.
    pub fn named(&self, name: &str) -> Self {
        Self {
            superuser: self.superuser.clone().database(name),
            name: name.to_owned(),
            secret: self.secret.clone(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL for the administrator.
    pub fn superuser_url(&self) -> String {
        self.superuser.to_url_lossy().to_string()
    }

    /// Its URL for a service: rows only.
    pub fn url(&self, service: &str) -> String {
        self.url_of(&self.role(service))
    }

    /// Its URL for the role that owns a service's schema.
    pub fn owner_url(&self, service: &str) -> String {
        self.url_of(&self.owner(service))
    }

    /// Its URL for a role whose name was made from another database's, which this one was copied from.
    pub fn url_of(&self, role: &str) -> String {
        let options = self.superuser.clone().username(role).password(&self.password(role));
        options.to_url_lossy().to_string()
    }

    /// The role of a service.
    pub fn role(&self, service: &str) -> String {
        format!("{}_{service}", self.name)
    }

    /// The role that owns a service's schema.
    pub fn owner(&self, service: &str) -> String {
        format!("{}_{service}_owner", self.name)
    }

    fn password(&self, role: &str) -> String {
        let digest = Sha256::digest(format!("{}/{role}", self.secret));
        random::hex(&digest[..16])
    }

    /// A connection as the administrator.
    pub async fn connect(&self) -> Result<PgConnection> {
        PgConnection::connect_with(&self.superuser)
            .await
            .with_context(|| format!("connect to PostgreSQL (database {})", self.name))
    }

    /// Makes the database unless it is there.
    pub async fn create(&self) -> Result<()> {
        match PgConnection::connect_with(&self.superuser).await {
            Ok(connection) => return Ok(connection.close().await?),
            // 3D000, invalid_catalog_name
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("3D000") => {}
            Err(error) => return Err(error).context("connect to PostgreSQL"),
        }
        let mut connection = self.named("postgres").connect().await?;
        execute(&mut connection, &format!("create database {}", identifier(&self.name))).await?;
        Ok(connection.close().await?)
    }

    /// Makes roles and schemas, as often as it is called the same.
    pub async fn provision(&self, services: &[&str]) -> Result<()> {
        let mut connection = self.connect().await?;
        check(&mut connection).await?;
        let superuser: bool =
            sqlx::query_scalar("select rolsuper from pg_roles where rolname = current_user")
                .fetch_one(&mut connection)
                .await?;
        let database = identifier(&self.name);
        execute(&mut connection, &format!("revoke all on database {database} from public")).await?;
        execute(&mut connection, "revoke all on schema public from public").await?;
        for service in services {
            let schema = identifier(service);
            for role in [self.owner(service), self.role(service)] {
                self.make_role(&mut connection, &role, &schema).await?;
            }
            let owner = identifier(&self.owner(service));
            if !superuser {
                // Who is no superuser gives a schema only to a role that it could act as.
                execute(&mut connection, &format!("grant {owner} to current_user")).await?;
            }
            execute(
                &mut connection,
                &format!("create schema if not exists {schema} authorization {owner}"),
            )
            .await?;
        }
        Ok(connection.close().await?)
    }

    async fn make_role(
        &self,
        connection: &mut PgConnection,
        role: &str,
        schema: &str,
    ) -> Result<()> {
        let there: bool =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
                .bind(role)
                .fetch_one(&mut *connection)
                .await?;
        let verb = if there { "alter" } else { "create" };
        let password = literal(&self.password(role));
        let role = identifier(role);
        let database = identifier(&self.name);
        execute(connection, &format!("{verb} role {role} login password {password}")).await?;
        execute(connection, &format!("alter role {role} set search_path = {schema}")).await?;
        execute(connection, &format!("grant connect, temporary on database {database} to {role}"))
            .await
    }

    /// Runs a service's migrations as its owner.
    pub async fn migrate(&self, service: &str, folder: &Path) -> Result<()> {
        let migrator =
            Migrator::new(folder).await.with_context(|| format!("read {}", folder.display()))?;
        let mut connection = PgConnection::connect(&self.owner_url(service)).await?;
        migrator
            .run_direct(None, &mut connection, false)
            .await
            .with_context(|| format!("migrate {service}"))?;
        Ok(connection.close().await?)
    }

    /// Deletes the database and its roles, whoever is connected.
    pub async fn delete(&self) -> Result<()> {
        let mut connection = self.named("postgres").connect().await?;
        execute(
            &mut connection,
            &format!("drop database if exists {} with (force)", identifier(&self.name)),
        )
        .await?;
        for service in SERVICES {
            for role in [self.role(service), self.owner(service)] {
                execute(&mut connection, &format!("drop role if exists {}", identifier(&role)))
                    .await?;
            }
        }
        Ok(connection.close().await?)
    }
}

/// Whether the server and the database are as the product needs them.
async fn check(connection: &mut PgConnection) -> Result<()> {
    let (version, encoding, upper): (i32, String, String) = sqlx::query_as(
        "select current_setting('server_version_num')::int, current_setting('server_encoding'), upper('é')",
    )
    .fetch_one(connection)
    .await?;
    if version < OLDEST {
        bail!("PostgreSQL 15 or newer is needed, this is {}", version / 10_000);
    }
    if encoding != "UTF8" {
        bail!("the database's encoding is {encoding}, it must be UTF8");
    }
    if upper != "É" {
        bail!(
            "the database's LC_CTYPE is C, which knows only English letters: create it with `lc_ctype 'C.UTF-8' template template0`"
        );
    }
    Ok(())
}

/// Runs one statement that has no parameters.
pub async fn execute(connection: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .with_context(|| sql.split(" password ").next().unwrap_or_default().to_owned())?;
    Ok(())
}

/// A name as SQL has it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
