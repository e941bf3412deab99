//! Signing in with an external OpenID Connect provider, on the product's own page: people are sent there and come back, and are the user of ours whose address the provider
//! has made sure of.
//!
//! Nobody is made a user by it. Who somebody is at the provider is remembered at the first sign-in, and counts from then on instead of the address.

mod http;
mod memory;
pub mod model;
pub mod provider;
pub mod store;

use chrono::{DateTime, Utc};
use events::{Actor, Change};
use process::Secret;
use rpc::Error;
use sqlx::{Postgres, Transaction};

use self::model::{
    Answer, Known, LIFE, LONGEST_PAGE_BYTES, MOST_PENDING, Pending, Refused, hash, is_own,
};
pub use self::provider::Provider;
use crate::{
    app::App,
    authorization::{
        self, Random, SignedIn,
        model::{Ask, Refusal, letters},
    },
    cause::Request,
    seal::Seal,
    session::model::Method,
    sign_in::model::Peer,
    token,
    user::{
        self, event,
        model::{User, fold_email},
    },
};

/// What came of the wish to sign in with the provider.
#[derive(Clone, Debug)]
pub enum Begun {
    /// Where the browser is to go.
    Go(Secret),
    /// The program asks for what it cannot have.
    Refused(Refusal),
    /// Nobody can sign in there at present.
    Failed(Refused),
}

/// What came of a sign-in with the provider.
#[derive(Clone)]
pub struct Finished {
    /// The query of the sign-in page that it began on, as it came.
    pub page: String,
    /// The same as on the page itself, or why it is nothing.
    pub outcome: Result<SignedIn, Refused>,
}

/// Remembers what somebody signs in for who is sent to the provider, and says where that is. `browser` is what their browser alone holds. Fails as
/// [`authorization::check`] does; exhausted (`TOO_MANY_SIGN_INS`) where too many from the same address are there already.
pub async fn begin(
    app: &App,
    (ask, page): (Ask, String),
    browser: &Secret,
    (peer, random): (Peer, [u8; 32]),
    now: DateTime<Utc>,
) -> Result<Begun, Error> {
    let provider = provider(app)?;
    require_browser(browser)?;
    if page.len() > LONGEST_PAGE_BYTES || page.contains('\0') {
        return Err(Error::malformed("the page's query is too long"));
    }
    let pending = Pending::of(&ask, page);
    if let Err(refusal) = authorization::check(app, ask).await? {
        return Ok(Begun::Refused(refusal));
    }
    let state = letters(&random);
    let address = match provider.address(&state).await {
        Ok(address) => address,
        Err(refused) => return Ok(Begun::Failed(refused)),
    };
    let (state, browser) = (hash(&state), hash(browser.expose()));
    let who = (&*state, &*browser, &*peer.prefix());
    let mut tx = app.write.begin().await?;
    if !store::insert(&mut tx, who, &pending, (now + LIFE, now), MOST_PENDING).await? {
        let message = "too many people sign in from this address at once; try again shortly";
        return Err(Error::exhausted("TOO_MANY_SIGN_INS", message));
    }
    tx.commit().await?;
    Ok(Begun::Go(address))
}

/// Gives a code to whom the provider sent back, if they are a user of ours, or asks for their second factor. Malformed (`SIGN_IN_UNKNOWN`) where that browser began no sign-in of that state lately, or it was
/// answered already: whatever was answered is not looked at then.
pub async fn finish(
    app: &App,
    seal: &Seal,
    (state, answer): (&Secret, Answer),
    browser: &Secret,
    (peer, random): (Peer, Random),
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<Finished, Error> {
    let provider = provider(app)?;
    require_browser(browser)?;
    let (state, browser) = (state.expose(), browser.expose());
    let mut tx = app.write.begin().await?;
    let pending = store::take(&mut tx, &hash(state), &hash(browser), now).await?;
    tx.commit().await?;
    let pending = pending.ok_or_else(|| Error::Malformed {
        reason: "SIGN_IN_UNKNOWN".into(),
        message: "no such sign-in was begun here lately".to_owned(),
    })?;
    let wanted = match authorization::check(app, pending.ask()).await? {
        Ok(wanted) => wanted,
        Err(refusal) => {
            return Ok(Finished { page: pending.page, outcome: Ok(SignedIn::Refused(refusal)) });
        }
    };
    let told = provider.redeem(state, answer, now).await;
    let outcome = match told.and_then(model::Told::verified) {
        Ok(known) => {
            let mut tx = app.write.begin().await?;
            match recognise(&mut tx, provider.issuer(), &known, origin, now).await? {
                Some((user, linked)) => {
                    let account = token::store::account(&mut tx, user.id).await?;
                    let found = (tx, &account, linked.as_slice());
                    let by = (peer, random, Method::External);
                    Ok(authorization::go_on(app, seal, found, wanted, by, now).await?)
                }
                None => Err(Refused::NoAccount),
            }
        }
        Err(refused) => Err(refused),
    };
    count(&outcome);
    Ok(Finished { page: pending.page, outcome })
}

/// The active user that somebody at the provider is, and the change that links them where they are not linked yet; kept as they are until the transaction ends.
async fn recognise(
    tx: &mut Transaction<'_, Postgres>,
    issuer: &str,
    known: &Known,
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<Option<(User, Option<Change>)>, Error> {
    let linked = store::user_of(tx, issuer, &known.subject).await?;
    let id = match linked {
        Some(id) => Some(id),
        None => user::store::id_of(tx, &fold_email(&known.email)).await?,
    };
    let Some(id) = id else { return Ok(None) };
    let Some(user) = user::store::lock(tx, id).await?.filter(|user| user.is_active) else {
        return Ok(None);
    };
    // Only now does nobody else link or unlink that user.
    match store::subject_of(tx, user.id, issuer).await? {
        Some(subject) if subject == known.subject => Ok(Some((user, None))),
        Some(_) => {
            tracing::warn!(
                user_id = user.id,
                "somebody else at the external provider has the address of a user who is linked"
            );
            Ok(None)
        }
        None if is_own(&known.email, &user.email) => {
            let new = user.next(now);
            user::store::update(tx, &new).await?;
            if !store::link(tx, (issuer, &known.subject), new.id, now).await? {
                // They were linked with another user meanwhile.
                return Ok(None);
            }
            let cause = origin.by(Actor::User(new.id));
            let change = event::external_linked(&new, (issuer, &known.subject), &cause, now);
            Ok(Some((new, Some(change))))
        }
        None => Ok(None),
    }
}

/// Forgets who a locked user is elsewhere, in the transaction of the change that makes it wrong: which is told with the answer.
pub(crate) async fn unlink(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
) -> Result<Vec<(String, String)>, Error> {
    Ok(store::unlink(tx, user_id).await?)
}

/// Forgets sign-ins from which nobody came back.
pub async fn forget(app: &App, now: DateTime<Utc>) -> sqlx::Result<()> {
    store::forget(&app.write, now).await
}

fn provider(app: &App) -> Result<&Provider, Error> {
    app.external
        .as_ref()
        .ok_or_else(|| Error::precondition("EXTERNAL_SIGN_IN_OFF", "there is no external provider"))
}

/// Without it a sign-in would be good in any browser.
fn require_browser(browser: &Secret) -> Result<(), Error> {
    if browser.expose().len() < SHORTEST_BROWSER {
        return Err(Error::malformed("browser is too short"));
    }
    Ok(())
}

/// The fewest characters of what a browser holds.
const SHORTEST_BROWSER: usize = 32;

fn count(outcome: &Result<SignedIn, Refused>) {
    let outcome = match outcome {
        Ok(SignedIn::Done(_)) => "signed_in",
        Ok(SignedIn::Next(_)) => "second_factor",
        Ok(SignedIn::Wrong | SignedIn::Refused(_) | SignedIn::Late) => "refused",
        Err(refused) => refused.as_str(),
    };
    metrics::counter!("external_sign_ins_total", "outcome" => outcome).increment(1);
}
