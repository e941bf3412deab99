//! Databases for tests and for the product: made once, made again, and closed to other services.

use std::path::PathBuf;

use local::folder::Scratch;
use local::provision::Database;
use local::{SERVICES, random, scratch};
use sqlx::{Connection as _, PgConnection};

/// Migrations of a service that does not exist, with a mark so that each test has its own.
fn migrations(mark: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::create().unwrap();
    let folder = scratch.path().join("migrations");
    std::fs::create_dir(&folder).unwrap();
    let grants = "do $$ begin execute format('grant usage on schema identity to %I', current_database() || '_identity'); \
        execute format('alter default privileges in schema identity grant select, insert on tables to %I', current_database() || '_identity'); end $$;";
    std::fs::write(folder.join("0001_grants.sql"), grants).unwrap();
    let table =
        format!("create table thing (id bigint primary key); comment on table thing is '{mark}';");
    std::fs::write(folder.join("0002_thing.sql"), table).unwrap();
    (scratch, folder)
}

async fn count(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn databases_from_one_template_are_alike_and_apart() {
    let (_scratch, folder) = migrations(&random::word(8));
    let (one, other) = tokio::join!(
        scratch::Database::create("identity", &folder),
        scratch::Database::create("identity", &folder)
    );
    let mut connection = PgConnection::connect(&one.url).await.unwrap();
    sqlx::query("insert into thing values (1)").execute(&mut connection).await.unwrap();
    assert_eq!(count(&one.url, "select count(*) from thing").await, 1);
    assert_eq!(count(&other.url, "select count(*) from thing").await, 0);
    assert_eq!(
        count(&other.owner_url, "select count(*) from _sqlx_migrations where success").await,
        2
    );
    let forbidden = sqlx::query("create table other (id int)").execute(&mut connection).await;
    assert!(forbidden.is_err(), "the service's role made a table");
}

#[tokio::test]
async fn a_dropped_database_is_gone_though_someone_is_connected() {
    let (_scratch, folder) = migrations(&random::word(8));
    let database = scratch::Database::create("identity", &folder).await;
    let connection = PgConnection::connect(&database.url).await.unwrap();
    let url = database.superuser_url.clone();
    drop(database);
    assert!(PgConnection::connect(&url).await.is_err());
    drop(connection);
}

#[tokio::test]
async fn a_template_that_was_not_finished_is_made_again() {
    let role = format!("wanted_{}", random::word(8));
    let (_scratch, folder) = migrations(&role);
    let needy = format!("select 1 / count(*) from pg_roles where rolname = '{role}';");
    std::fs::write(folder.join("0003_needy.sql"), needy).unwrap();
    let create = || {
        let folder = folder.clone();
        tokio::spawn(async move { scratch::Database::create("identity", folder).await })
    };
    assert!(create().await.is_err());
    let mut connection = PgConnection::connect(&scratch::postgres_url()).await.unwrap();
    let sql = |verb: &str| sqlx::AssertSqlSafe(format!("{verb} role {role}"));
    sqlx::raw_sql(sql("create")).execute(&mut connection).await.unwrap();
    let database = create().await.unwrap();
    assert_eq!(count(&database.url, "select count(*) from thing").await, 0);
    sqlx::raw_sql(sql("drop")).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn provisioning_twice_is_provisioning_once_and_no_service_sees_anothers_schema() {
    let name = format!("provision_{}", random::word(8));
    let database = Database::new(&scratch::postgres_url(), "secret").unwrap().named(&name);
    for _ in 0..2 {
        database.create().await.unwrap();
        database.provision(&SERVICES).await.unwrap();
    }
    let mut owner = PgConnection::connect(&database.owner_url("identity")).await.unwrap();
    sqlx::query("create table secret (id bigint)").execute(&mut owner).await.unwrap();
    for url in [database.url("analytics"), database.owner_url("analytics")] {
        let mut stranger = PgConnection::connect(&url).await.unwrap();
        assert!(
            sqlx::query("select id from identity.secret").execute(&mut stranger).await.is_err()
        );
        assert!(
            sqlx::query("create table public.mine (id int)").execute(&mut stranger).await.is_err()
        );
        assert!(sqlx::query("create schema mine").execute(&mut stranger).await.is_err());
    }
    database.delete().await.unwrap();
    let left = "select count(*) from pg_roles where rolname like 'provision\\_%'";
    assert_eq!(count(&scratch::postgres_url(), left).await, 0);
}

#[tokio::test]
async fn a_database_that_knows_only_english_letters_is_refused() {
    let name = format!("english_{}", random::word(8));
    let database = Database::new(&scratch::postgres_url(), "secret").unwrap().named(&name);
    let mut connection = PgConnection::connect(&scratch::postgres_url()).await.unwrap();
    let make = format!("create database {name} locale 'C' template template0");
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut connection).await.unwrap();
    let refused = database.provision(&SERVICES).await.unwrap_err();
    assert!(refused.to_string().contains("LC_CTYPE"), "{refused:#}");
    database.delete().await.unwrap();
}
