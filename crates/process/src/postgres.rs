//! Connections to `PostgreSQL`: a pool for reading, one for writing, and what must be true of the server.

use crate::Work;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sqlx::{
    Connection as _, Executor as _, PgConnection, PgPool,
    migrate::Migrator,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::Secret;

/// How long a request waits for a connection before the answer is "unavailable".
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is asked whether it still lives before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// The oldest `PostgreSQL` that has all we use, as it numbers itself.
const OLDEST_SERVER: i32 = 15_00_00;

/// A pool for statements that need no transaction: do not `begin` on it.
///
/// sqlx 0.9.0 leaves a connection inside a transaction when a `begin` is cancelled half-way, and what runs on it next is then lost
/// (transact-rs/sqlx#4393). A pool on which nothing begins cannot be poisoned, and pays no guard. It connects when first used.
pub fn read_pool(url: &Secret, size: u32, service: &'static str) -> anyhow::Result<PgPool> {
    let options = connect_options(url, service)?;
    let pool = pool_options(size).before_acquire(|connection, about: PoolConnectionMetadata| {
        Box::pin(async move {
            if about.idle_for > TRUSTED_FOR {
                connection.ping().await?;
            }
            Ok(true)
        })
    });
    Ok(pool.connect_lazy_with(options))
}

/// A pool for transactions. A connection that a cancelled `begin` left inside one is rolled back before it is used again.
/// It connects when first used.
pub fn write_pool(url: &Secret, size: u32, service: &'static str) -> anyhow::Result<PgPool> {
    let options = connect_options(url, service)?;
    let pool = pool_options(size).before_acquire(|connection, _| {
        Box::pin(async move {
            // One round trip. A lone `rollback` would make the server log a warning each time that there was nothing to roll back.
            connection.execute("begin; rollback").await?;
            Ok(true)
        })
    });
    Ok(pool.connect_lazy_with(options))
}

/// A connection of one's own, for work that holds session locks. It has no statement timeout.
pub async fn connect(url: &Secret, service: &'static str) -> anyhow::Result<PgConnection> {
    let options = parse(url)?.application_name(service).options([("lock_timeout", "5s")]);
    PgConnection::connect_with(&options.options(KEEPALIVE)).await.context("connect to PostgreSQL")
}

/// Fails unless the server is one that the product is right on: `PostgreSQL` 15 or newer, and a database whose locale knows letters
/// beyond ASCII (with `LC_CTYPE` `C`, folding and matching of text would be wrong).
pub async fn check(pool: &PgPool) -> anyhow::Result<()> {
    let (version, provider, ctype, database): (i32, String, String, String) = sqlx::query_as(
        "select current_setting('server_version_num')::int4, datlocprovider::text, datctype::text, datname::text
         from pg_database where datname = current_database()",
    )
    .fetch_one(pool)
    .await
    .context("ask PostgreSQL for its version and locale")?;
    ensure!(
        version >= OLDEST_SERVER,
        "PostgreSQL is {}.{}, needed is 15 or newer",
        version / 10_000,
        version % 10_000
    );
    let only_ascii = provider == "c" && matches!(ctype.as_str(), "C" | "POSIX");
    ensure!(
        !only_ascii,
        "LC_CTYPE of database `{database}` is {ctype}: create it with a UTF-8 locale such as C.UTF-8"
    );
    Ok(())
}

/// Brings the schema up to date, as the role that owns it. It waits at most five seconds for a lock that a running service holds,
/// and then fails having changed nothing that the failing migration touched; it can be run again.
pub fn migrate<'a>(url: &'a Secret, migrator: &'a Migrator) -> Work<'a> {
    Box::pin(async move {
        let mut connection = connect(url, "migrate").await?;
        take_turn(&mut connection).await.context("wait for another that migrates the schema")?;
        let own = Migrator {
            migrations: migrator.migrations.clone(),
            ignore_missing: migrator.ignore_missing,
            locking: false,
            no_tx: migrator.no_tx,
            table_name: migrator.table_name.clone(),
            create_schemas: migrator.create_schemas.clone(),
        };
        own.run_direct(None, &mut connection, false).await.context("migrate the schema")?;
        connection.close().await.context("close the connection")
    })
}

/// Waits until nobody else migrates this schema, for ten minutes at most, and keeps others from it until the connection ends. The lock that the migrator would take is one for all
/// schemas of a database, so that a long migration of one service would fail those of the others.
async fn take_turn(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "set lock_timeout = '10min'",
        "select pg_advisory_lock(hashtext('migrate'), hashtext(coalesce(current_schema(), '')))",
        "set lock_timeout = '5s'",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Whether the schema has every migration that this build knows. A newer schema is fine: migrations are compatible with the version
/// before. The service's role must be allowed to read `_sqlx_migrations`.
pub async fn is_migrated(pool: &PgPool, migrator: &Migrator) -> Result<bool, sqlx::Error> {
    let Some(newest) = migrator.iter().map(|migration| migration.version).max() else {
        return Ok(true);
    };
    let found = sqlx::query_scalar::<_, bool>(
        "select exists (select 1 from _sqlx_migrations where version = $1 and success)",
    )
    .bind(newest)
    .fetch_one(pool)
    .await;
    match found {
        // 42P01, undefined_table: nothing has been migrated yet.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(false),
        answer => answer,
    }
}

/// Waits until the server answers, is fit ([`check`]) and has the schema ([`is_migrated`]), asking every second.
/// Fails at once when the server is unfit: waiting does not help then.
pub async fn wait_until_usable(pool: &PgPool, migrator: &Migrator) -> anyhow::Result<()> {
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    let mut told = false;
    loop {
        every_second.tick().await;
        let waiting_for = match is_migrated(pool, migrator).await {
            Ok(true) => match check(pool).await {
                Err(error) if is_for_the_moment(&error) => {
                    format!("PostgreSQL cannot be asked: {error:#}")
                }
                answer => return answer,
            },
            Ok(false) => "the schema is older than this version: run `migrate`".to_owned(),
            Err(error) if is_refusal(&error) => {
                bail!(anyhow::Error::from(error).context("read the schema's version"))
            }
            Err(error) => format!("PostgreSQL cannot be asked: {error}"),
        };
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("{waiting_for}");
        }
    }
}

/// Whether the server understood and said no, other than for the moment: wrong password (class 28), no such database (3D),
/// no permission (42).
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["28", "3D", "42"].iter().any(|class| code.starts_with(class)))
}

/// Whether a check failed because the server did not answer it.
fn is_for_the_moment(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error| !is_refusal(error))
}

/// For connections that hold something for as long as it takes: with a machine that is gone without a word it must not be held for hours.
pub const KEEPALIVE: [(&str, &str); 3] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

fn pool_options(size: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_WITHIN)
        .idle_timeout(Duration::from_mins(10))
        .max_lifetime(Duration::from_mins(30))
        // `before_acquire` does it, with fewer round trips.
        .test_before_acquire(false)
}

fn connect_options(url: &Secret, service: &'static str) -> anyhow::Result<PgConnectOptions> {
    // Sent when connecting, which costs no round trip.
    Ok(parse(url)?.application_name(service).options([
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("lock_timeout", "5s"),
        // Compiling a statement that looks dear takes longer than most that look so.
        ("jit", "off"),
    ]))
}

fn parse(url: &Secret) -> anyhow::Result<PgConnectOptions> {
    let url = url.expose();
    let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
    // The parser's own message is dropped: it may repeat a part of the URL, and that may be the password.
    let options = if is_postgres { url.parse().ok() } else { None };
    options
        .context("the database URL is not of the form postgres://user:password@host:port/database")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_that_makes_no_sense_is_refused_without_being_repeated() {
        let error = read_pool(&"mysql://root:hunter2@db".into(), 1, "test").unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"));
        assert!(write_pool(&"postgres://db:port".into(), 1, "test").is_err());
    }

    #[tokio::test]
    async fn a_pool_connects_only_when_it_is_used() {
        let pool = write_pool(&"postgres://nobody@127.0.0.1:1/none".into(), 1, "test").unwrap();
        assert_eq!(pool.size(), 0);
    }
}
