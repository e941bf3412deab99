//! What makes roles and schemas where there is no launcher, `deploy/servers/provision/provision.sql`, makes the same as the launcher.

use std::path::Path;

use local::provision::{Database, execute, identifier};
use local::{SERVICES, random, scratch, tools};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::process::Command;

/// Everything that provisioning leaves behind, a line for each, with `{}` for the name of the database: roles and what they are, hear
/// and belong to, who may do what with the database and its schemas, and what is given of objects that are yet to be made.
const LEFT_BEHIND: &str = r"
    with ours as (select *, replace(rolname, current_database(), '{}') as name from pg_authid
                  where rolname like replace(current_database(), '_', '\_') || '\_%'),
         grantee as (select oid, name from ours union all select 0, 'public')
    select 'role ' || name || ' '
        || (to_jsonb(ours) - '{oid,rolname,name,rolpassword}'::text[])::text
        || coalesce(' password ' || split_part(rolpassword, '$', 1), ' no password') from ours
    union all
    select 'setting ' || name || ' ' || array_to_string(setconfig, ' ')
        || case setdatabase when 0 then '' else ' in one database' end
    from pg_db_role_setting join ours on ours.oid = setrole
    union all
    select 'member ' || member.name || ' of ' || role.name || ' '
        || (to_jsonb(them) - '{oid,roleid,member,grantor}'::text[])::text
    from pg_auth_members them join ours role on role.oid = roleid join ours member on member.oid = them.member
    union all
    select 'database ' || grantee.name || ' ' || privilege_type || case when is_grantable then ' and on' else '' end
    from pg_database, aclexplode(datacl) given join grantee on grantee.oid = given.grantee where datname = current_database()
    union all
    select 'schema ' || nspname || ' of ' || replace(nspowner::regrole::text, current_database(), '{}')
    from pg_namespace where nspname !~ '^pg_'
    union all
    select 'schema ' || nspname || ' ' || grantee.name || ' ' || privilege_type || case when is_grantable then ' and on' else '' end
    from pg_namespace, aclexplode(nspacl) given join grantee on grantee.oid = given.grantee where nspname !~ '^pg_'
    union all
    select 'default ' || replace(defaclrole::regrole::text, current_database(), '{}') || ' ' || defaclobjtype::text || ' ' || defaclacl::text
    from pg_default_acl
    order by 1";

/// A new database, which belongs to a role that may create roles.
async fn owned() -> Database {
    let database = Database::new(&scratch::postgres_url(), "secret")
        .unwrap()
        .named(&format!("provided_{}", random::word(8)));
    let mut connection = PgConnection::connect(&scratch::postgres_url()).await.unwrap();
    let (name, owner) = (identifier(database.name()), identifier(&owner(&database)));
    execute(&mut connection, &format!("create role {owner} login createrole")).await.unwrap();
    execute(&mut connection, &format!("create database {name} owner {owner}")).await.unwrap();
    database
}

fn owner(database: &Database) -> String {
    format!("{}_administrator", database.name())
}

/// The database's URL for its owner.
fn owners_url(database: &Database) -> String {
    let options: PgConnectOptions = database.superuser_url().parse().unwrap();
    options.username(&owner(database)).to_url_lossy().to_string()
}

async fn delete(database: Database) {
    database.delete().await.unwrap();
    let mut connection = PgConnection::connect(&scratch::postgres_url()).await.unwrap();
    execute(&mut connection, &format!("drop role {}", identifier(&owner(&database))))
        .await
        .unwrap();
}

async fn left_behind(database: &Database) -> Vec<String> {
    sqlx::query_scalar(LEFT_BEHIND).fetch_all(&mut database.connect().await.unwrap()).await.unwrap()
}

/// The passwords of a database's roles as they are kept.
async fn passwords(database: &Database) -> Vec<String> {
    let mut connection = database.connect().await.unwrap();
    let kept = "select rolpassword from pg_authid where rolname like $1 and rolpassword is not null order by rolname";
    let roles = format!("{}\\_%", database.name().replace('_', "\\_"));
    sqlx::query_scalar(kept).bind(roles).fetch_all(&mut connection).await.unwrap()
}

/// Runs the script as Compose and Kubernetes do, with passwords that are made up.
async fn run_script(url: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers/provision/provision.sql");
    let mut psql = Command::new(tools::postgres(None).await.unwrap().bin.join("psql"));
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"]).arg(script);
    // What follows is sqlx's own.
    psql.arg(url.split('?').next().unwrap());
    for service in SERVICES {
        let service = service.to_uppercase();
        psql.env(format!("{service}_PASSWORD"), random::word(16));
        psql.env(format!("{service}_OWNER_PASSWORD"), random::word(16));
    }
    let output = psql.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What both leave behind, each run twice, by URLs that a function makes of a database.
async fn by_both(url: impl Fn(&Database) -> String) -> (Vec<String>, Vec<String>) {
    let (one, other) = (owned().await, owned().await);
    let launcher = Database::new(&url(&one), "secret").unwrap();
    for _ in 0..2 {
        launcher.provision(&SERVICES).await.unwrap();
        run_script(&url(&other)).await;
    }
    let left = (left_behind(&one).await, left_behind(&other).await);
    delete(one).await;
    delete(other).await;
    left
}

#[tokio::test]
async fn the_script_leaves_behind_what_the_launcher_does() {
    let (launcher, script) = by_both(Database::superuser_url).await;
    assert_eq!(launcher, script);
    for line in [
        "setting {}_identity search_path=identity",
        "schema analytics of {}_analytics_owner",
        "database {}_notifier CONNECT",
    ] {
        assert!(launcher.iter().any(|it| it == line), "{line} is not among {launcher:#?}");
    }
}

#[tokio::test]
async fn it_does_so_too_for_an_owner_who_is_no_superuser() {
    let (launcher, script) = by_both(owners_url).await;
    assert_eq!(launcher, script);
    let acts_as = "member {}_administrator of {}_identity_owner ";
    assert!(
        launcher.iter().any(|it| it.starts_with(acts_as)),
        "{acts_as} is not among {launcher:#?}"
    );
}

#[tokio::test]
async fn what_is_left_behind_tells_of_every_difference() {
    let database = owned().await;
    database.provision(&SERVICES).await.unwrap();
    let before = left_behind(&database).await;
    let mut connection = database.connect().await.unwrap();
    let (name, role) = (identifier(database.name()), identifier(&database.role("identity")));
    let owner = identifier(&database.owner("identity"));
    for (change, back) in [
        (format!("alter role {role} createdb"), format!("alter role {role} nocreatedb")),
        (
            format!("alter role {role} set timezone = 'UTC'"),
            format!("alter role {role} reset timezone"),
        ),
        (format!("grant {owner} to {role}"), format!("revoke {owner} from {role}")),
        (
            format!("grant create on database {name} to {role}"),
            format!("revoke create on database {name} from {role}"),
        ),
        (
            format!("grant connect on database {name} to public"),
            format!("revoke connect on database {name} from public"),
        ),
        (
            format!("grant usage on schema identity to {role}"),
            format!("revoke usage on schema identity from {role}"),
        ),
        ("create schema another".to_owned(), "drop schema another".to_owned()),
        (
            format!("alter default privileges for role {owner} grant select on tables to {role}"),
            format!(
                "alter default privileges for role {owner} revoke select on tables from {role}"
            ),
        ),
    ] {
        execute(&mut connection, &change).await.unwrap();
        assert_ne!(left_behind(&database).await, before, "{change}");
        execute(&mut connection, &back).await.unwrap();
    }
    connection.close().await.unwrap();
    delete(database).await;
}

#[tokio::test]
async fn the_script_gives_a_role_that_is_there_the_present_password() {
    let database = owned().await;
    run_script(&database.superuser_url()).await;
    let first = passwords(&database).await;
    run_script(&database.superuser_url()).await;
    let second = passwords(&database).await;
    assert_eq!((first.len(), second.len()), (8, 8));
    assert!(first.iter().all(|it| !second.contains(it)), "a password was kept");
    delete(database).await;
}
