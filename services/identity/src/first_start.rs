//! What an empty database gets: the organisation's settings and the first administrator.

use chrono::{DateTime, Utc};
use events::lock;
use process::Secret;
use rpc::{Error, Invalid};

use crate::{
    SERVICE,
    app::App,
    cause::Cause,
    password::{self, Salt},
    settings::{self, model as settings_model},
    user::{
        self,
        model::{Draft, Role, User},
    },
};

/// Stores the settings that the environment names, unless there are some: from then on they are kept here.
pub async fn seed_settings(
    app: &App,
    draft: &settings_model::Draft,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if settings::store::get(&app.read).await?.is_some() {
        return Ok(());
    }
    let mut invalid = Invalid::default();
    let checked = draft.check(&mut invalid);
    invalid.into_result()?;
    let settings =
        checked.ok_or_else(|| Error::internal("settings were refused without a reason"))?;
    let mut tx = app.write.begin().await?;
    if settings::store::insert(&mut tx, &settings, now).await? {
        app.commit(tx, &[settings::event::created(&settings, &Cause::service(), now)]).await?;
        tracing::info!(
            time_zone = settings.time_zone,
            "the organisation's settings are kept here from now on"
        );
    }
    Ok(())
}

/// Makes the first administrator, unless there is any user. Replicas that start at once make one.
pub async fn seed_admin(
    app: &App,
    email: &str,
    password: &Secret,
    salt: Salt,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if user::store::any(&app.read).await? {
        return Ok(());
    }
    let new = user::check(app, admin(email, password)).await?;
    let hashed = password::hash(&app.gate, password.clone(), salt).await?;
    let mut tx = app.write.begin().await?;
    user::store::take_turn(&mut tx, lock::key("first admin", SERVICE)).await?;
    if user::store::any(&mut *tx).await? {
        return Ok(());
    }
    let user = user::insert(&mut tx, &new, Some(&hashed), now).await?;
    app.commit(tx, &[user::event::created(&user, &Cause::service(), now)]).await?;
    tracing::info!(user_id = user.id, "made the first administrator");
    Ok(())
}

/// Makes an administrator, whoever else there is: for the command line.
pub async fn create_admin(
    app: &App,
    email: &str,
    password: &Secret,
    salt: Salt,
    now: DateTime<Utc>,
) -> anyhow::Result<User> {
    let new = user::check(app, admin(email, password)).await.map_err(in_words)?;
    let hashed = password::hash(&app.gate, password.clone(), salt).await?;
    let mut tx = app.write.begin().await?;
    let user = user::insert(&mut tx, &new, Some(&hashed), now).await?;
    app.commit(tx, &[user::event::created(&user, &Cause::service(), now)]).await?;
    Ok(user)
}

/// Whoever starts the service reads one line: it says which field is wrong.
pub fn in_words(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid(fields) => {
            let faults: Vec<_> =
                fields.iter().map(|fault| format!("{} {}", fault.field, fault.message)).collect();
            anyhow::anyhow!(faults.join(", "))
        }
        error => error.into(),
    }
}

fn admin(email: &str, password: &Secret) -> Draft {
    Draft {
        email: email.to_owned(),
        username: "Administrator".to_owned(),
        role: Some(Role::Admin.as_str().to_owned()),
        team_id: None,
        language: None,
        time_zone: None,
        password: Some(password.clone()),
        is_active: None,
    }
}
