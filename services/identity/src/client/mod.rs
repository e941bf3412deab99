//! Clients: programs that sign people in on the product's own page, or that act as a user of their own.

pub mod event;
pub mod model;
pub mod redirect;
pub mod store;

use auth::{Caller, Role};
use chrono::{DateTime, Utc};
use events::lock;
use idempotency::{Once, Outcome};
use process::Secret;
use rpc::{Error, Invalid, OnConstraint as _};
use sqlx::{Postgres, Transaction};

use self::model::{Client, Credentials, Draft, Kind, NewClient, Random, hash};
use crate::{
    SERVICE,
    app::App,
    authorization,
    cause::Cause,
    page::{Items, Page},
    session, user,
};

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateClient";

/// The dashboard, which is there from the beginning.
pub const DASHBOARD: &str = "dashboard";

/// Where on the product's own site the dashboard and the documentation are told of a sign-in.
const DASHBOARD_PATHS: [&str; 3] = ["/", "/signed-in", "/docs/oauth2-redirect.html"];

/// A client that was made, with its secret, which nobody is shown again.
#[derive(Clone, Debug)]
pub struct Made {
    /// The client.
    pub client: Client,
    /// Its secret; a confidential one has it.
    pub secret: Option<Secret>,
}

/// The client of that id, for an admin.
pub async fn get(app: &App, caller: &Caller, id: i64) -> Result<Client, Error> {
    require_to_look(caller)?;
    store::get(&app.read, id).await?.ok_or_else(|| not_found(id))
}

/// A page of clients, the newest first, for an admin.
pub async fn list(app: &App, caller: &Caller, page: Page) -> Result<Items<Client>, Error> {
    require_to_look(caller)?;
    let rows = store::list(&app.read, page).await?;
    Ok(page.cut(rows, |client| (client.created_at, client.id)))
}

/// Makes a client on behalf of an admin who signed in. Fails with every bad field at once.
pub async fn create(
    app: &App,
    caller: &Caller,
    draft: Draft,
    once: Option<Once<Made>>,
    random: Random,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Outcome<Made>, Error> {
    caller.require_admin()?;
    caller.require_session()?;
    let mut invalid = Invalid::default();
    if let Some(id) = draft.user_id {
        let user = user::store::get(&app.read, id).await?;
        if !user.is_some_and(|user| user.is_active) {
            invalid.add("user_id", "not_found", "is no active user");
        }
    }
    let new = draft.check(&mut invalid);
    invalid.into_result()?;
    let new = new.ok_or_else(|| Error::internal("a client was refused without a reason"))?;
    let mut tx = app.write.begin().await?;
    let by = caller.user_id;
    if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), now).await? {
        return Ok(Outcome::Replay(answer));
    }
    user::take_turn_as_admin(&mut tx, caller).await?;
    let secret = (new.kind == Kind::Confidential).then(|| random.secret());
    let hashed = secret.as_ref().map(hash);
    let client = store::insert(&mut tx, &new, &random.client_id(), hashed.as_deref(), now)
        .await
        .on_constraints(no_user)?;
    let changes = [event::created(&client, cause, now)];
    let made = Made { client, secret };
    idempotency::keep(&mut tx, by, CREATE, once.as_ref(), &made).await?;
    app.commit(tx, &changes).await?;
    Ok(Outcome::New(made))
}

/// Deletes a client on behalf of an admin and ends what it was given.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require_admin()?;
    caller.require_session()?;
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    let old = store::lock(&mut tx, id).await?.ok_or_else(|| not_found(id))?;
    if expected_version.is_some_and(|version| version != old.version) {
        return Err(Error::Stale { current: Some(old.version) });
    }
    if old.is_built_in {
        return Err(Error::conflict("BUILT_IN", "the product needs this client"));
    }
    let deleted = Client { deleted_at: Some(now), version: old.version + 1, ..old };
    store::update(&mut tx, &deleted).await?;
    authorization::store::withdraw_of_client(&mut tx, id).await?;
    let mut changes = session::end_of_client(&mut tx, id, cause, now).await?;
    // The tokens that it was given for itself have its own id in the place of a session's.
    session::store::revoke(&mut tx, &[id], now).await?;
    changes.push(event::deleted(&deleted, cause, now));
    app.commit(tx, &changes).await
}

/// Makes the dashboard known, or where it is now. Replicas that start at once make one. `public_url` is where people find the product, on their own machine by any of
/// its names; without it they find it there at the port of the web alone.
pub async fn seed_dashboard(
    app: &App,
    public_url: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let url = public_url.unwrap_or("http://localhost");
    let origins = redirect::loopback_origins(url).unwrap_or_else(|| vec![url.to_owned()]);
    let uri = |origin: &String| DASHBOARD_PATHS.map(|path| format!("{origin}{path}"));
    let redirect_uris: Vec<_> = origins.iter().flat_map(uri).collect();
    let cause = Cause::service();
    let mut tx = app.write.begin().await?;
    user::store::take_turn(&mut tx, lock::key(DASHBOARD, SERVICE)).await?;
    let change = match store::hold(&mut tx, DASHBOARD).await? {
        Some(old) if old.redirect_uris == redirect_uris => return Ok(()),
        Some(old) => {
            let new = Client { redirect_uris, version: old.version + 1, ..old.clone() };
            store::update(&mut tx, &new).await?;
            event::updated(&old, &new, &cause, now)
        }
        None => {
            let new = NewClient {
                name: "Sales Pipeline Manager".to_owned(),
                kind: Kind::Public,
                redirect_uris,
                may_write: true,
                user_id: None,
                is_built_in: true,
            };
            let client = store::insert(&mut tx, &new, DASHBOARD, None, now).await?;
            event::created(&client, &cause, now)
        }
    };
    app.commit(tx, &[change]).await
}

/// The client that shows who it is, kept as it is until the transaction ends; unauthenticated (`INVALID_CLIENT`) otherwise. A secret cannot be guessed, so that guesses are not counted.
pub(crate) async fn authenticate(
    tx: &mut Transaction<'_, Postgres>,
    credentials: Option<&Credentials>,
) -> Result<Client, Error> {
    let credentials = credentials.ok_or_else(invalid_client)?;
    // The database takes no such text, and no client has such a name.
    if credentials.client_id.contains('\0') {
        return Err(invalid_client());
    }
    let client = store::hold(tx, &credentials.client_id).await?;
    client
        .filter(|client| client.is_known_by(credentials.secret.as_ref()))
        .ok_or_else(invalid_client)
}

/// The client has not shown that it is the one that it says.
pub(crate) fn invalid_client() -> Error {
    Error::unauthenticated("INVALID_CLIENT", "unknown client, or it did not show who it is")
}

fn require_to_look(caller: &Caller) -> Result<(), Error> {
    caller.require_read()?;
    caller.require_role(&[Role::Admin])
}

fn not_found(id: i64) -> Error {
    Error::not_found("client", id)
}

fn no_user(constraint: &str) -> Option<Error> {
    (constraint == "clients_user_id_fkey")
        .then(|| Error::invalid("user_id", "not_found", "is no active user"))
}
