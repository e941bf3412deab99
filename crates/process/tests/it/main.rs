//! The shape of a `main`, and the pools against a real server, whose URL `TEST_POSTGRES_URL` gives.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first thing it did not expect")]
#![expect(clippy::disallowed_methods, reason = "the environment says where the servers are")]

use std::time::Duration;

use process::{Secret, postgres};
use sqlx::{
    Executor as _, PgPool,
    migrate::{Migration, MigrationType, Migrator},
    postgres::PgPoolOptions,
};

fn url() -> Secret {
    std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL names a PostgreSQL server").into()
}

#[test]
fn a_process_is_not_ready_before_it_has_said_what_it_waits_for() {
    let telemetry = process::TelemetrySettings::default();
    let code = process::run("test", &telemetry, async |process| {
        assert_eq!(process.readiness().waiting_for(), ["start"]);
        let schema = process.readiness().latch("schema");
        let readiness = process.readiness().clone();
        process.spawn("task", async move {
            let mut ready = readiness.watch();
            assert!(!*ready.borrow_and_update());
            schema.set();
            let becomes_ready = ready.wait_for(|ready| *ready);
            tokio::time::timeout(Duration::from_secs(10), becomes_ready).await??;
            Ok(())
        });
        Ok(())
    });
    assert_eq!(code, std::process::ExitCode::SUCCESS);
}

/// Leaves the pool's only connection as a cancelled `begin` does: inside a transaction that nobody knows of.
async fn poison(pool: &PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    connection.execute("begin; create temporary table left_open ()").await.unwrap();
}

async fn is_poisoned(pool: &PgPool) -> bool {
    let found = sqlx::query_scalar("select to_regclass('pg_temp.left_open') is not null");
    found.fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_a_cancelled_begin_left_in_a_transaction_writes_safely_again() {
    let pool = postgres::write_pool(&url(), 1, "test").unwrap();
    poison(&pool).await;
    assert!(!is_poisoned(&pool).await);
    // The pool for reading has no such guard, which is why nothing may begin on it.
    let unguarded = postgres::read_pool(&url(), 1, "test").unwrap();
    poison(&unguarded).await;
    assert!(is_poisoned(&unguarded).await);
}

#[tokio::test]
async fn no_statement_runs_and_no_lock_is_waited_for_without_end() {
    for pool in [
        postgres::read_pool(&url(), 1, "test").unwrap(),
        postgres::write_pool(&url(), 1, "test").unwrap(),
    ] {
        for (setting, expected) in [
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "10s"),
            ("lock_timeout", "5s"),
            ("application_name", "test"),
        ] {
            let value: String = sqlx::query_scalar("select current_setting($1)")
                .bind(setting)
                .fetch_one(&pool)
                .await
                .unwrap();
            assert_eq!(value, expected, "{setting}");
        }
    }
}

#[tokio::test]
async fn the_test_server_is_fit() {
    let pool = postgres::read_pool(&url(), 1, "test").unwrap();
    postgres::check(&pool).await.unwrap();
}

#[tokio::test]
async fn a_schema_is_current_once_its_migrations_ran() {
    let database = format!("process_test_{}", std::process::id());
    let server = postgres::write_pool(&url(), 1, "test").unwrap();
    server.execute(sqlx::AssertSqlSafe(format!("create database {database}"))).await.unwrap();
    let own: Secret = {
        let url = url();
        let (server, _) = url.expose().rsplit_once('/').unwrap();
        format!("{server}/{database}").into()
    };
    let pool = postgres::read_pool(&own, 1, "test").unwrap();
    let step = |version, sql: &'static str| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(version, "step".into(), MigrationType::Simple, sql, Default::default())
    };
    let first = Migrator::with_migrations(vec![step(1, "create table a ()")]);
    let second =
        Migrator::with_migrations(vec![step(1, "create table a ()"), step(2, "create table b ()")]);

    assert!(!postgres::is_migrated(&pool, &first).await.unwrap());
    postgres::migrate(&own, &first).await.unwrap();
    assert!(postgres::is_migrated(&pool, &first).await.unwrap());
    assert!(!postgres::is_migrated(&pool, &second).await.unwrap());
    postgres::migrate(&own, &second).await.unwrap();
    // An older build goes on with the newer schema.
    assert!(postgres::is_migrated(&pool, &first).await.unwrap());
    postgres::wait_until_usable(&pool, &second).await.unwrap();

    pool.close().await;
    server.execute(sqlx::AssertSqlSafe(format!("drop database {database}"))).await.unwrap();
}

#[tokio::test]
async fn a_role_that_is_refused_does_not_wait_for_better_times() {
    let none: Secret =
        url().expose().replace("postgres://postgres", "postgres://nobody_at_all").into();
    let pool = postgres::read_pool(&none, 1, "test").unwrap();
    let migrator = Migrator::with_migrations(vec![]);
    let error = postgres::wait_until_usable(&pool, &migrator).await.unwrap_err();
    assert!(format!("{error:#}").contains("nobody_at_all"), "{error:#}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for() {
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/none", silent.local_addr().unwrap());
    let pool =
        PgPoolOptions::new().acquire_timeout(Duration::from_millis(50)).connect_lazy(&url).unwrap();
    // With a schema that has no migrations the first thing asked is whether the server is fit.
    let migrator = Migrator::with_migrations(vec![]);
    let usable = postgres::wait_until_usable(&pool, &migrator);
    let answer = tokio::time::timeout(Duration::from_millis(500), usable).await;
    assert!(answer.is_err(), "{answer:?}");
}
