//! What this service knows of identity's records: people, teams and the organisation's settings.

pub mod model;
pub(crate) mod store;

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rpc::Error;
use sqlx::PgConnection;

use crate::meta::Meta;
use crate::opportunity::follow::follow;
use model::Person;

/// A person by id, asked of identity when no event has told of them yet; `meta` is of the request that asks.
pub(crate) async fn person(
    state: &crate::State,
    user_id: i64,
    meta: &Meta,
) -> Result<Option<Person>, Error> {
    if let Some(person) = store::person(&state.reads, user_id).await? {
        return Ok(Some(person));
    }
    let Some((person, version)) = state.identity.user(user_id).await? else { return Ok(None) };
    let meta = Meta::following(meta.recorded_at, &meta.request_id, &meta.traceparent);
    let (pool, wake, known) = (state.writes.clone(), state.wake.clone(), person.clone());
    rpc::write(async move {
        let mut tx = pool.begin().await?;
        learn(&mut tx, &known, version, &meta, "").await?;
        tx.commit().await?;
        wake.wake();
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Some(person))
}

/// How many people identity is asked for at a time.
const ASKED_AT_ONCE: usize = 16;

/// Those of these people who are there, by id: by one look at who is known, and, all at once, by asking identity for the others.
pub(crate) async fn people(
    state: &crate::State,
    user_ids: &BTreeSet<i64>,
    meta: &Meta,
) -> Result<HashMap<i64, Person>, Error> {
    let ids: Vec<_> = user_ids.iter().copied().collect();
    let known = store::people(&state.reads, &ids).await?;
    let mut people: HashMap<_, _> = known.into_iter().map(|it| (it.user_id, it)).collect();
    let unknown = ids.into_iter().filter(|id| !people.contains_key(id)).collect::<Vec<_>>();
    let asked = unknown.into_iter().map(|id| state.identity.user(id));
    let answers: Vec<_> = stream::iter(asked).buffered(ASKED_AT_ONCE).try_collect().await?;
    let found: Vec<_> = answers.into_iter().flatten().collect();
    if found.is_empty() {
        return Ok(people);
    }
    people.extend(found.iter().map(|(person, _)| (person.user_id, person.clone())));
    let meta = Meta::following(meta.recorded_at, &meta.request_id, &meta.traceparent);
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let mut tx = pool.begin().await?;
        // By id, as they were asked for: so whoever learns of several at once never waits in a circle.
        for (person, version) in &found {
            learn(&mut tx, person, *version, &meta, "").await?;
        }
        tx.commit().await?;
        wake.wake();
        Ok::<_, Error>(())
    })
    .await?;
    Ok(people)
}

/// Keeps a person as of a version, unless a later one is known; what they have open follows them to their team, with `cause_id` as its cause.
///
/// It looks at what is open and not at the team they had before, so that it does not matter which way a change was learnt of first.
pub(crate) async fn learn(
    tx: &mut PgConnection,
    person: &Person,
    version: i64,
    meta: &Meta,
    cause_id: &str,
) -> sqlx::Result<()> {
    // The person's row stays locked until the end: whoever creates for them waits, or was waited for.
    if store::upsert_person(tx, person, version).await? {
        follow(tx, person.user_id, person.team_id, meta, cause_id).await?;
    }
    Ok(())
}
