//! Signing in on the product's own page for a program: who asks for what, the code that it gets, and the tokens for the code.
//!
//! Everything that a sign-in needs to be remembered is in the database, so that page, sign-in and exchange may each reach another replica.

pub mod model;
pub mod store;

use chrono::{DateTime, Utc};
use events::Actor;
use process::Secret;
use rpc::Error;

use self::model::{Ask, Code, LIFE, REMEMBERED, Refusal, Wanted, hash, letters};
use crate::{
    SERVICE,
    app::App,
    cause::Request,
    client::{self, model::Credentials},
    password::Salt,
    second_factor::{self, model::Need},
    session::{
        self, Which,
        model::{EndReason, Method},
    },
    sign_in::model::Peer,
    token::{self, Grant, Issuer, Opened, Random},
};

/// What came of a sign-in.
#[derive(Clone, Debug)]
pub enum SignedIn {
    /// The code for the program.
    Code(Secret),
    /// That is not the password of an active account.
    Wrong,
    /// It is, and the account needs a second factor besides.
    SecondFactorNeeded,
    /// The program asks for what it cannot have.
    Refused(Refusal),
}

/// What is shown before anybody signs in, or what the program is told instead. Fails as [`Ask::check`] does.
pub async fn check(app: &App, ask: Ask) -> Result<Result<Wanted, Refusal>, Error> {
    // The database takes no such text, and no client has such a name.
    let client = if ask.client_id.contains('\0') {
        None
    } else {
        client::store::by_name(&app.read, &ask.client_id).await?
    };
    ask.check(client)
}

/// Gives a code to whoever knows the password. Unknown accounts, wrong passwords and inactive users get one answer, after one time.
pub async fn sign_in(
    app: &App,
    ask: Ask,
    (email, password): (&str, Secret),
    (peer, random, salt): (Peer, [u8; 32], Salt),
    now: DateTime<Utc>,
) -> Result<SignedIn, Error> {
    let wanted = match check(app, ask).await? {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(SignedIn::Refused(refusal)),
    };
    let Some((mut tx, account)) =
        token::check_password(app, email, password, (peer, salt), now).await?
    else {
        return Ok(SignedIn::Wrong);
    };
    if second_factor::need(&mut tx, account.user_id).await? != Need::None {
        tx.commit().await?;
        return Ok(SignedIn::SecondFactorNeeded);
    }
    let code = letters(&random);
    let kept = Code {
        client_id: wanted.client.id,
        user_id: account.user_id,
        redirect_uri: wanted.redirect_uri,
        code_challenge: wanted.code_challenge,
        may_write: wanted.may_write,
        address: peer.told(),
        expires_at: now + LIFE,
        session_id: None,
    };
    store::insert(&mut tx, &hash(&code), &kept).await?;
    tx.commit().await?;
    Ok(SignedIn::Code(code.into()))
}

/// What a client shows for its tokens.
#[derive(Clone)]
pub struct Exchange {
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// The code.
    pub code: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The secret whose hash it was asked for with.
    pub verifier: String,
}

/// Opens a session for a code, once. Used a second time it ends that session: two have it, and one of them is a thief.
pub async fn exchange(
    app: &App,
    issuer: &Issuer,
    shown: Exchange,
    random: Random,
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<Grant, Error> {
    let code_hash = hash(&shown.code);
    let mut tx = app.write.begin().await?;
    let client = client::authenticate(&mut tx, shown.credentials.as_ref()).await?;
    // First the user, then the code: in the order in which who changes a user takes them.
    let owner = store::owner(&mut tx, &code_hash, client.id).await?;
    let account = token::store::account(&mut tx, owner.ok_or_else(token::invalid_grant)?).await?;
    let code = store::lock(&mut tx, &code_hash).await?.ok_or_else(token::invalid_grant)?;
    if let Some(session_id) = code.session_id {
        let cause = origin.by(Actor::Service(SERVICE.to_owned()));
        let (which, reason) = (Which::Only(session_id), EndReason::CodeReuse);
        let ended = session::end(&mut tx, code.user_id, which, reason, &cause, now).await?;
        app.commit(tx, &ended).await?;
        tracing::warn!(
            user_id = code.user_id,
            session_id,
            "an authorization code was used twice, its session is over"
        );
        return Err(token::invalid_grant());
    }
    let is_good = code.is_for(&client, &shown.redirect_uri, &shown.verifier, now);
    if !is_good || !account.is_active {
        return Err(token::invalid_grant());
    }
    let opened = Opened {
        method: Method::Code,
        address: code.address,
        client: Some(&client),
        may_write: code.may_write,
        random,
    };
    let cause = origin.by(Actor::User(account.user_id));
    let (grant, change) = token::open(&mut tx, issuer, &account, opened, &cause, now).await?;
    store::used(&mut tx, &code_hash, grant.refresh_token.session_id).await?;
    app.commit(tx, &[change]).await?;
    Ok(Grant { scope: Some(client::model::scope(code.may_write)), ..grant })
}

/// Forgets codes of which nobody would notice a second use any more.
pub async fn forget(app: &App, now: DateTime<Utc>) -> sqlx::Result<()> {
    store::forget(&app.write, now - REMEMBERED).await
}
