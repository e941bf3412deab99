//! What an empty database gets, and what the command line does.

use tokio::process::Child;

use crate::support::{ADMIN, Database, Identity, PASSWORD, command, migrate};

#[tokio::test]
async fn the_first_admin_is_made_once_however_often_it_starts() {
    let first = Identity::start().await;
    first.sign_in(ADMIN, PASSWORD).await.unwrap();
    let second = Identity::on(first.stop().await).await;
    second.sign_in(ADMIN, PASSWORD).await.unwrap();
    let told: Vec<(String, i64)> = sqlx::query_as(
        "select type, version from change where aggregate <> 'session' order by change_id",
    )
    .fetch_all(&mut second.connection().await)
    .await
    .unwrap();
    let made = ["settings.created", "client.created", "user.created"];
    assert_eq!(told, made.map(|kind| (kind.to_owned(), 1)));
}

#[tokio::test]
async fn replicas_that_start_at_once_make_one_admin() {
    let database = Database::create().await;
    migrate(&database).await;
    let replica = |email: &str| -> Child {
        command(&database)
            .arg("serve")
            .env("ADMIN_EMAIL", email)
            .env("ADMIN_PASSWORD", PASSWORD)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let others: Vec<_> = (0..3).map(|number| replica(&format!("{number}@example.com"))).collect();
    let identity = Identity::on(database).await;
    drop(others);
    let users: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&mut identity.connection().await)
        .await
        .unwrap();
    assert_eq!(users, 1);
}

#[tokio::test]
async fn an_admin_can_be_made_from_the_command_line() {
    let identity = Identity::start().await;
    let make = |email: &str, password: &str| {
        let mut command = command(&identity.database);
        command.args(["create-admin", "--email", email, "--password", password]);
        command
    };
    assert!(make("second@example.com", PASSWORD).status().await.unwrap().success());
    identity.sign_in("second@example.com", PASSWORD).await.unwrap();
    assert!(!make("second@example.com", PASSWORD).status().await.unwrap().success());
    let refused = make("third@example.com", "short").output().await.unwrap();
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("password is shorter than 8 characters")
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_end_the_first_start_with_one_clear_line() {
    let database = Database::create().await;
    migrate(&database).await;
    let refused = command(&database).arg("serve").env("TIMEZONE", "Mars").output().await.unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("time_zone is no IANA time zone"));
    for (name, value, told) in [
        ("SECRET_KEY", "short".to_owned(), "SECRET_KEY has fewer than 32 characters"),
        ("SECRET_KEY", "a".repeat(44), "SECRET_KEY is not random"),
        ("SECRET_KEY", "change-me-".repeat(4), "SECRET_KEY is not random"),
        ("DEFAULT_CURRENCY", "XXQ".to_owned(), "default_currency is no ISO 4217 code"),
    ] {
        let refused = command(&database).arg("serve").env(name, value).output().await.unwrap();
        assert!(!refused.status.success());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(told), "{said}");
    }
}
