//! Signing in on the product's own page for a program: who asks for what, the code that it gets, and the tokens for the code.
//!
//! Everything that a sign-in needs to be remembered is in the database, so that page, sign-in and exchange may each reach another replica.

pub mod model;
pub mod store;
pub mod ticket;

use chrono::{DateTime, Utc};
use events::{Actor, Change};
use process::Secret;
use rpc::Error;
use sqlx::{Postgres, Transaction};

use self::{
    model::{Ask, Code, LIFE, LIFE_AFTER_ENROLMENT, REMEMBERED, Refusal, Wanted, hash, letters},
    ticket::Ticket,
};
use crate::{
    SERVICE,
    app::App,
    cause::Request,
    client::{self, model::Credentials},
    password::Salt,
    seal::{self, Seal},
    second_factor::{
        self, Begun, By, Confirmed,
        model::{Need, RecoveryRandom},
    },
    session::{
        self, Which,
        model::{EndReason, Method},
    },
    sign_in::model::Peer,
    token::{self, Grant, Issuer, Opened, store::Account},
};

/// What came of a step of a sign-in.
#[derive(Clone)]
pub enum SignedIn {
    /// Somebody signed in.
    Done(Done),
    /// That is not the password of an active account, or no code of its second factor.
    Wrong,
    /// The password is right, and a code of the second factor is needed besides.
    Next(Next),
    /// The program asks for what it cannot have.
    Refused(Refusal),
    /// The first step was too long ago, or the account is no longer what it was then.
    Late,
}

/// What somebody gets who has signed in.
#[derive(Clone)]
pub struct Done {
    /// The code for the program.
    pub code: Secret,
    /// For the person, once, who has just turned their second factor on.
    pub recovery_codes: Vec<Secret>,
}

/// The second step of a sign-in.
#[derive(Clone)]
pub struct Next {
    /// Says who has shown their password.
    pub ticket: Secret,
    /// What an app is to be given first, by somebody who must have a second factor and has none.
    pub enrolment: Option<Begun>,
}

/// Randomness for a step of a sign-in.
#[derive(Clone, Copy)]
pub struct Random {
    /// For a code.
    pub code: [u8; 32],
    /// For a ticket.
    pub ticket: seal::Random,
    /// For a second factor.
    pub factor: second_factor::Random,
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

/// Gives a code to whoever knows the password, or asks for the second factor. Unknown accounts, wrong passwords and inactive users get one answer, after one time.
pub async fn sign_in(
    app: &App,
    seal: &Seal,
    ask: Ask,
    (email, password): (&str, Secret),
    (peer, random, salt): (Peer, Random, Salt),
    now: DateTime<Utc>,
) -> Result<SignedIn, Error> {
    let wanted = match check(app, ask).await? {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(SignedIn::Refused(refusal)),
    };
    match token::check_password(app, email, password, (peer, salt), now).await? {
        Some((tx, account)) => {
            let by = (peer, random, Method::Code);
            go_on(app, seal, (tx, &account, &[]), wanted, by, now).await
        }
        None => Ok(SignedIn::Wrong),
    }
}

/// What follows for somebody who is known by one thing, in the transaction that found it so and made those changes.
pub(crate) async fn go_on(
    app: &App,
    seal: &Seal,
    (mut tx, account, changes): (Transaction<'_, Postgres>, &Account, &[Change]),
    wanted: Wanted,
    (peer, random, method): (Peer, Random, Method),
    now: DateTime<Utc>,
) -> Result<SignedIn, Error> {
    let need = second_factor::need(&mut tx, account.user_id).await?;
    if need == Need::None {
        let (by, expires_at) = ((peer, random, method), now + LIFE);
        let code = give(&mut tx, wanted, account.user_id, by, expires_at).await?;
        app.commit(tx, changes).await?;
        return Ok(SignedIn::Done(Done { code, recovery_codes: Vec::new() }));
    }
    app.commit(tx, changes).await?;
    let ticket = Ticket::of(account, method, now).seal(seal, &wanted, random.ticket)?.into();
    let enrolment = match need {
        Need::Enrolment => {
            let user_id = account.user_id;
            match second_factor::begin_enrolment(app, seal, user_id, random.factor, now).await {
                // It was turned on elsewhere meanwhile: a code of it will do.
                Err(Error::Conflict { .. }) => None,
                begun => Some(begun?),
            }
        }
        Need::Code | Need::None => None,
    };
    Ok(SignedIn::Next(Next { ticket, enrolment }))
}

/// Gives a code to whoever has shown their password and now shows a code of their second factor, which the first one turns on.
pub async fn pass_second_factor(
    app: &App,
    seal: &Seal,
    ask: Ask,
    (ticket, shown): (&str, &str),
    (peer, random, recovery): (Peer, Random, RecoveryRandom),
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<SignedIn, Error> {
    let wanted = match check(app, ask).await? {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(SignedIn::Refused(refusal)),
    };
    let Some(ticket) = Ticket::open(seal, ticket, &wanted, now) else { return Ok(SignedIn::Late) };
    let Ticket { user_id, method, .. } = ticket;
    let mut tx = app.write.begin().await?;
    let account = token::store::account(&mut tx, user_id).await?;
    let need = second_factor::need(&mut tx, user_id).await?;
    tx.rollback().await?;
    if !ticket.is_of(&account) {
        return Ok(SignedIn::Late);
    }
    let by = By { user_id, peer };
    let cause = origin.by(Actor::User(user_id));
    let passed = match need {
        // Taken away, or no longer demanded, since the first step.
        Need::None => return Ok(SignedIn::Late),
        Need::Code => {
            let checked = second_factor::check(app, seal, by, shown, now).await?;
            checked.map(|(tx, _)| Confirmed { tx, changes: Vec::new(), codes: Vec::new() })
        }
        Need::Enrolment => {
            let with = (Which::All, recovery);
            match second_factor::confirm_enrolment(app, seal, by, shown, with, &cause, now).await {
                // It was turned on or begun anew elsewhere meanwhile.
                Err(Error::Conflict { .. }) => return Ok(SignedIn::Late),
                confirmed => confirmed?,
            }
        }
    };
    let Some(Confirmed { mut tx, changes, codes }) = passed else { return Ok(SignedIn::Wrong) };
    if !ticket.is_of(&token::store::account(&mut tx, user_id).await?) {
        return Ok(SignedIn::Late);
    }
    let life = if codes.is_empty() { LIFE } else { LIFE_AFTER_ENROLMENT };
    let code = give(&mut tx, wanted, user_id, (peer, random, method), now + life).await?;
    app.commit(tx, &changes).await?;
    Ok(SignedIn::Done(Done { code, recovery_codes: codes }))
}

/// A code for what the program wants, in the transaction that found out who signed in.
async fn give(
    tx: &mut Transaction<'_, Postgres>,
    wanted: Wanted,
    user_id: i64,
    (peer, random, method): (Peer, Random, Method),
    expires_at: DateTime<Utc>,
) -> Result<Secret, Error> {
    let code = letters(&random.code);
    let kept = Code {
        client_id: wanted.client.id,
        user_id,
        redirect_uri: wanted.redirect_uri,
        code_challenge: wanted.code_challenge,
        may_write: wanted.may_write,
        method,
        address: peer.told(),
        expires_at,
        session_id: None,
    };
    store::insert(tx, &hash(&code), &kept).await?;
    Ok(code.into())
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
    random: token::Random,
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
    // It may have come to be demanded since.
    if second_factor::need(&mut tx, account.user_id).await? == Need::Enrolment {
        return Err(second_factor::required());
    }
    let opened = Opened {
        method: code.method,
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
