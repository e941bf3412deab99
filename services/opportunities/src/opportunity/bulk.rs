//! Many changes with one request: each by the rules of one, all that are good in one transaction.

use std::collections::HashMap;
use std::sync::Arc;

use events::Origin;
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};
use sqlx::PgConnection;

use super::change::permit;
use super::edit::{Edit, EditWish, Found, revise};
use super::model::{Moment, Moved, Opportunity};
use super::{Detail, not_found, store};
use crate::access::{self, Rights};
use crate::currency::model::Exchange;
use crate::directory::model::Person;
use crate::meta::Meta;
use crate::pipeline::model::Kind;
use crate::{State, currency, directory, pipeline};

/// The operation that an idempotency key is for.
const UPDATE: &str = "UpdateOpportunities";

/// The most changes of a request.
const MOST: usize = 1_000;

/// One change as it is asked for.
#[derive(Clone, Debug)]
pub struct Update {
    /// Of which opportunity.
    pub id: i64,
    /// Only if this is its version.
    pub expected_version: Option<i64>,
    /// What is to be other.
    pub wish: EditWish,
}

/// What became of one change: the opportunity after it, or why it was not made.
pub struct Done {
    /// Of which opportunity.
    pub id: i64,
    /// The opportunity after it.
    pub outcome: Result<Detail, Error>,
}

/// Makes changes in the order given, each seeing those before it. One that fails does not stop the others; a failure of ours stops all of them.
pub async fn update(
    state: &State,
    caller: &auth::Caller,
    updates: Vec<Update>,
    once: Option<Once<Vec<Done>>>,
    mut meta: Meta,
) -> Result<Outcome<Vec<Done>>, Error> {
    caller.require_write()?;
    if !(1..=MOST).contains(&updates.len()) {
        let message = format!("are not between 1 and {MOST}");
        return Err(Invalid::default().field("updates", "out_of_range", &*message).into());
    }
    meta.origin = Origin::Bulk;
    let settings = state.settings.get()?;
    let rights = access::rights(&state.reads, caller, settings.visibility).await?;
    let successors = successors(state, &updates, &meta).await?;
    let (by, asked) = (caller.user_id, Arc::new((updates, successors, rights, once, meta)));
    let attempt = || rpc::write(all(state.clone(), by, Arc::clone(&asked)));
    pipeline::by_present_stages(state, attempt).await
}

type Asked = (Vec<Update>, HashMap<i64, Person>, Rights, Option<Once<Vec<Done>>>, Meta);

/// Makes all that can be made, in one transaction.
async fn all(state: State, by: i64, asked: Arc<Asked>) -> Result<Outcome<Vec<Done>>, Error> {
    let (updates, successors, rights, once, meta) = &*asked;
    let mut tx = state.writes.begin().await?;
    let at = meta.recorded_at;
    if let Some(answer) = idempotency::answered(&mut tx, by, UPDATE, once.as_ref(), at).await? {
        return Ok(Outcome::Replay(answer));
    }
    let mut batch = Batch::hold(&mut tx, &state, updates, successors.clone()).await?;
    let mut done = Vec::with_capacity(updates.len());
    for update in updates {
        let id = update.id;
        let outcome = match batch.prepare(rights, by, meta, update.clone()) {
            Ok(prepared) => Ok(batch.write(&mut tx, meta, prepared).await?),
            Err(error) => Err(of_the_change(error)?),
        };
        done.push(Done { id, outcome });
    }
    idempotency::keep(&mut tx, by, UPDATE, once.as_ref(), &done).await?;
    tx.commit().await?;
    state.wake.wake();
    Ok(Outcome::New(done))
}

/// An error that is about one change; others are about the whole request.
fn of_the_change(error: Error) -> Result<Error, Error> {
    match error {
        Error::Invalid(_)
        | Error::Denied { .. }
        | Error::NotFound { .. }
        | Error::Conflict { .. }
        | Error::Stale { .. } => Ok(error),
        error => Err(error),
    }
}

/// Whom changes name as owners, if they are there.
async fn successors(
    state: &State,
    updates: &[Update],
    meta: &Meta,
) -> Result<HashMap<i64, Person>, Error> {
    let mut found = HashMap::new();
    for id in updates.iter().filter_map(|update| update.wish.owner_id.flatten()) {
        if !found.contains_key(&id)
            && let Some(person) = directory::person(state, id, meta).await?
        {
            found.insert(id, person);
        }
    }
    Ok(found)
}

/// What the changes are about, held until the end of their transaction.
struct Batch {
    state: State,
    successors: HashMap<i64, Person>,
    /// The team of everybody who may come to own something.
    teams: HashMap<i64, Option<i64>>,
    details: HashMap<i64, Detail>,
    history_ids: Vec<i64>,
    exchange: Exchange,
}

/// A change that follows the rules, ready to be written.
struct Prepared {
    before: Opportunity,
    after: Opportunity,
    moved: Option<Moved>,
}

impl Batch {
    /// People come first, then opportunities, each in the order of their ids, so that two batches do not wait for each other.
    async fn hold(
        tx: &mut PgConnection,
        state: &State,
        updates: &[Update],
        successors: HashMap<i64, Person>,
    ) -> Result<Self, Error> {
        let ids: Vec<_> = updates.iter().map(|update| update.id).collect();
        let mut owners = store::owners_of(&mut *tx, &ids).await?;
        owners.extend(successors.keys());
        let teams = directory::store::hold_teams(&mut *tx, &owners).await?;
        let details = store::lock_all(&mut *tx, &ids).await?;
        let count = i64::try_from(updates.len()).unwrap_or(i64::MAX);
        let history_ids = store::history_ids(&mut *tx, count).await?;
        let named = updates.iter().filter_map(|update| update.wish.currency.as_ref()?.as_deref());
        let codes = details.iter().map(|it| &*it.opportunity.currency).chain(named);
        let default_currency = &state.settings.get()?.default_currency;
        let exchange = currency::exchange(&mut *tx, default_currency, codes).await?;
        Ok(Self {
            state: state.clone(),
            exchange,
            successors,
            teams: teams.into_iter().collect(),
            details: details.into_iter().map(|it| (it.opportunity.id, it)).collect(),
            history_ids,
        })
    }

    fn prepare(
        &mut self,
        rights: &Rights,
        by: i64,
        meta: &Meta,
        update: Update,
    ) -> Result<Prepared, Error> {
        let (pipelines, settings) = (self.state.pipelines.get()?, self.state.settings.get()?);
        let Update { id, expected_version, wish } = update;
        if id == 0 {
            return Err(Invalid::default().field("id", "required", "is missing").into());
        }
        let detail = self.details.get(&id).ok_or_else(|| not_found(id))?;
        let before = detail.opportunity.clone();
        permit(rights, &before, expected_version)?;
        let mut edit = Edit::read(wish, &settings.default_currency);
        let owner_id = edit.owner_id.unwrap_or(before.owner_id);
        if owner_id != before.owner_id {
            let faults = &mut edit.faults;
            match self.successors.get(&owner_id) {
                None => faults.add("owner_id", "unknown_user", "there is no such user"),
                Some(owner) if !owner.is_active => {
                    faults.add("owner_id", "inactive_user", "this user is not active");
                }
                Some(_) => {}
            }
        }
        let team = self.teams.get(&owner_id);
        if team.is_none() && before.status != Kind::Open && edit.faults.is_empty() {
            // It was somebody else's a moment ago.
            return Err(Error::conflict(
                "CHANGED_MEANWHILE",
                "it was handed over and closed meanwhile",
            ));
        }
        let found = Found { team_id: team.copied().flatten(), ..Found::default() };
        let (at, zone) = (meta.recorded_at, settings.zone);
        let (exchange, lost_reasons) = (&self.exchange, &*self.state.lost_reasons.get()?);
        let moment = Moment { at, by, zone, exchange, lost_reasons };
        let history_id = self.history_ids.last().copied().unwrap_or_default();
        let (after, moved) = revise(&before, &edit, &found, &pipelines, history_id, &moment)?;
        if moved.is_some() {
            self.history_ids.pop();
        }
        Ok(Prepared { before, after, moved })
    }

    async fn write(
        &mut self,
        tx: &mut PgConnection,
        meta: &Meta,
        prepared: Prepared,
    ) -> Result<Detail, Error> {
        let Prepared { before, after, moved } = prepared;
        if after != before {
            let change = meta.moved(Some(&before), &after, moved.as_ref());
            let encoded = events::encode(&change);
            store::update(&mut *tx, &before, &after, moved.as_ref(), &encoded).await?;
        }
        let detail = self.details.get_mut(&after.id);
        let detail = detail.ok_or_else(|| Error::internal("a change of what is not held"))?;
        if let Some(owner) = self.successors.get(&after.owner_id) {
            detail.owner_name.clone_from(&owner.username);
        }
        detail.opportunity = after;
        Ok(detail.clone())
    }
}
