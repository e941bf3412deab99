//! The command `verify`: whether the derived tables say what their owners say, and whether the rollups are the sums of the facts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use auth::ServiceToken;
use futures::TryStreamExt as _;
use process::{Secret, Work, postgres};
use rpc::{Tls, client};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use crate::activity::Activity;
use crate::config::Config;
use crate::consumer::NAME;
use crate::owners::Owner;
use crate::projection::fold::{Fold, Life};
use crate::rollup::Rollups;
use crate::{activity, digest, directory, projection, version};

/// Between two looks at an opportunity that differs.
const BETWEEN: Duration = Duration::from_millis(250);
/// How often a single opportunity that differs is looked at.
const TRIES_EACH: u32 = 4;
/// How many deals are compared at a time.
const CHUNK: usize = 10_000;
/// After so many that differ the rest need not be looked at.
const MOST_DOUBTFUL: usize = 1_000;

/// What was looked at, and what differs.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many opportunities the owner has.
    pub opportunities: i64,
    /// How many activities it has.
    pub activities: i64,
    /// How many groups the rollups have.
    pub groups: usize,
    /// Each difference in a line.
    pub differences: Vec<String>,
}

/// Compares everything, prints one line of JSON, and fails if anything differs.
pub fn run(config: Config) -> Work<'static> {
    Box::pin(async move {
        let tls = Tls::load(&config.tls)?;
        let identity = client::connect_lazy(&config.identity_url, &tls)?;
        let opportunities = client::connect_lazy(&config.opportunities_url, &tls)?;
        let secret = config.service_secret.clone();
        let token = Arc::new(ServiceToken::new(identity, NAME, secret));
        let owner = Owner::new(opportunities, token);
        let findings = verify(&config.database.url, &owner).await?;
        print(&findings)?;
        if !findings.differences.is_empty() {
            bail!("{} differences", findings.differences.len());
        }
        Ok(())
    })
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn print(findings: &Findings) -> Result<()> {
    let answer = json!({
        "opportunities": findings.opportunities,
        "activities": findings.activities,
        "groups": findings.groups,
        "differences": findings.differences.len(),
        "first": findings.differences.iter().take(20).collect::<Vec<_>>(),
    });
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

/// Compares everything; what is under way is waited for.
pub async fn verify(database_url: &Secret, owner: &Owner) -> Result<Findings> {
    let mut connection = postgres::connect(database_url, "analytics-verify").await?;
    let mut findings = Findings::default();
    for kind in digest::Kind::ALL {
        let compared = digest::compare(&mut connection, owner, kind).await?;
        match kind {
            digest::Kind::Opportunities => findings.opportunities = compared.count,
            digest::Kind::Activities => findings.activities = compared.count,
        }
        findings.differences.extend(compared.differing.into_values());
    }
    findings.differences.extend(verify_facts(&mut connection, owner).await?);
    findings.differences.extend(verify_activities(&mut connection, owner).await?);
    findings.differences.extend(verify_rates(&mut connection, owner).await?);
    let (groups, differences) = verify_rollups(&mut connection).await?;
    findings.groups = groups;
    findings.differences.extend(differences);
    Ok(findings)
}

/// Whether every fact, every move and every version is what the owner's change log makes of it. What differs is looked at again: a change may be under way.
async fn verify_facts(connection: &mut PgConnection, owner: &Owner) -> Result<Vec<String>> {
    let (_, records) = owner.records("opportunity").await?;
    let mut doubtful = BTreeSet::new();
    let mut fold = Fold::new();
    let mut records = pin!(records);
    loop {
        let piece = records.try_next().await?;
        let is_end = piece.is_none();
        for event in piece.iter().flatten() {
            fold.tell(event)?;
        }
        if is_end || fold.len() >= CHUNK {
            let lives = if is_end { fold.finish() } else { fold.take() };
            doubtful.extend(unequal(connection, &lives).await?.into_iter().map(|(id, _)| id));
        }
        if is_end || doubtful.len() > MOST_DOUBTFUL {
            break;
        }
    }
    let mut differences = Vec::new();
    for id in doubtful {
        differences.extend(differs_still(connection, owner, id).await?);
    }
    Ok(differences)
}

/// What differs about one opportunity, if it still does after a while.
async fn differs_still(
    connection: &mut PgConnection,
    owner: &Owner,
    id: i64,
) -> Result<Option<String>> {
    for attempt in 1.. {
        let (_, records) = owner.records_of("opportunity", id, id).await?;
        let mut fold = Fold::new();
        for event in records.try_collect::<Vec<_>>().await?.iter().flatten() {
            fold.tell(event)?;
        }
        let difference = unequal(connection, &fold.finish()).await?.pop();
        if difference.is_none() || attempt == TRIES_EACH {
            return Ok(difference.map(|(_, difference)| difference));
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(None)
}

/// Those of the owner's deals that are kept differently here, as id and difference.
async fn unequal(connection: &mut PgConnection, theirs: &[Life]) -> Result<Vec<(i64, String)>> {
    let ids: Vec<i64> = theirs.iter().map(Life::id).collect();
    let mut deals = projection::store::deals(connection, &ids).await?;
    let mut versions = version::store::of(connection, &ids).await?;
    let version = |it: &Life| it.deal.fact.as_ref().map_or(0, |fact| fact.version);
    let mut found = Vec::new();
    for theirs in theirs {
        let id = theirs.id();
        let ours = Life {
            deal: deals.remove(&id).unwrap_or_default().0,
            versions: versions.remove(&id).unwrap_or_default(),
        };
        // What is newer here was changed since the owner told.
        if *theirs == ours || version(&ours) > version(theirs) {
            continue;
        }
        found.push((
            id,
            if theirs.deal == ours.deal {
                let (theirs, ours) = (&theirs.versions, &ours.versions);
                format!("versions of opportunity {id}: owner {theirs:?}, here {ours:?}")
            } else {
                format!("opportunity {id}: owner {:?}, here {:?}", theirs.deal, ours.deal)
            },
        ));
    }
    Ok(found)
}

/// Whether every activity is what the owner's change log says last. What differs is looked at again: a change may be under way.
async fn verify_activities(connection: &mut PgConnection, owner: &Owner) -> Result<Vec<String>> {
    let (_, records) = owner.records("activity").await?;
    let mut doubtful = Vec::new();
    let mut latest = activity::Latest::default();
    let mut records = pin!(records);
    loop {
        let piece = records.try_next().await?;
        let is_end = piece.is_none();
        for event in piece.iter().flatten() {
            latest.tell(event)?;
        }
        if is_end || latest.len() >= CHUNK {
            let theirs = if is_end { latest.finish() } else { latest.take() };
            let found = unequal_activities(connection, &theirs).await?;
            doubtful.extend(found.into_iter().map(|(id, _)| id));
        }
        if is_end || doubtful.len() > MOST_DOUBTFUL {
            break;
        }
    }
    let mut differences = Vec::new();
    for id in doubtful {
        differences.extend(activity_differs_still(connection, owner, id).await?);
    }
    Ok(differences)
}

/// What differs about one activity, if it still does after a while.
async fn activity_differs_still(
    connection: &mut PgConnection,
    owner: &Owner,
    id: i64,
) -> Result<Option<String>> {
    for attempt in 1.. {
        let (_, records) = owner.records_of("activity", id, id).await?;
        let mut latest = activity::Latest::default();
        for event in records.try_collect::<Vec<_>>().await?.iter().flatten() {
            latest.tell(event)?;
        }
        let difference = unequal_activities(connection, &latest.finish()).await?.pop();
        if difference.is_none() || attempt == TRIES_EACH {
            return Ok(difference.map(|(_, difference)| difference));
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(None)
}

/// Those of the owner's activities that are kept differently here, as id and difference.
async fn unequal_activities(
    connection: &mut PgConnection,
    theirs: &[Activity],
) -> Result<Vec<(i64, String)>> {
    let ids: Vec<i64> = theirs.iter().map(|it| it.activity_id).collect();
    let ours = activity::store::of(connection, &ids).await?;
    let ours: BTreeMap<i64, Activity> = ours.into_iter().map(|it| (it.activity_id, it)).collect();
    let mut found = Vec::new();
    for theirs in theirs {
        let id = theirs.activity_id;
        let ours = ours.get(&id);
        // What is newer here was changed since the owner told.
        if ours.is_some_and(|ours| ours == theirs || ours.version > theirs.version) {
            continue;
        }
        found.push((id, format!("activity {id}: owner {theirs:?}, here {ours:?}")));
    }
    Ok(found)
}

/// Whether the rates are those of the owner. What differs is looked at again: a change may be under way.
async fn verify_rates(connection: &mut PgConnection, owner: &Owner) -> Result<Vec<String>> {
    let mut attempt = 1;
    loop {
        let theirs = owner.rates().await?.into_values().collect::<Vec<_>>();
        let ours = projection::store::rates(connection).await?;
        if theirs == ours {
            return Ok(Vec::new());
        }
        if attempt == TRIES_EACH {
            let differ = theirs.iter().filter(|it| !ours.contains(it)).map(|it| ("owner", it));
            let ours = ours.iter().filter(|it| !theirs.contains(it)).map(|it| ("here", it));
            return Ok(differ.chain(ours).map(|(who, it)| format!("rate {who}: {it:?}")).collect());
        }
        attempt += 1;
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Whether the rollups are the sums of the facts, at one instant.
async fn verify_rollups(connection: &mut PgConnection) -> Result<(usize, Vec<String>)> {
    let mut tx = connection.begin().await?;
    projection::store::at_one_instant(&mut tx).await?;
    let settings = directory::store::settings(&mut tx).await?;
    let settings = settings.context("the organisation's settings are not known yet")?;
    let expected = projection::sum_of_facts(&mut tx, &settings).await?;
    let kept = projection::kept::rollups(&mut tx).await?;
    tx.rollback().await?;
    let groups = kept.standing.len()
        + kept.category.len()
        + kept.flow.len()
        + kept.unvalued.len()
        + kept.loss.len()
        + kept.conversion.len()
        + kept.stays.len();
    Ok((groups, differences(&expected, &kept)))
}

/// Each group in which two rollups differ.
pub fn differences(expected: &Rollups, kept: &Rollups) -> Vec<String> {
    let mut all = Vec::new();
    differ("standing", &expected.standing, &kept.standing, &mut all);
    differ("category", &expected.category, &kept.category, &mut all);
    differ("flow", &expected.flow, &kept.flow, &mut all);
    differ("unvalued", &expected.unvalued, &kept.unvalued, &mut all);
    differ("loss", &expected.loss, &kept.loss, &mut all);
    differ("conversion", &expected.conversion, &kept.conversion, &mut all);
    differ("stays", &expected.stays, &kept.stays, &mut all);
    all
}

fn differ<K: Debug + Eq + Hash, V: Debug + PartialEq>(
    name: &str,
    expected: &HashMap<K, V>,
    kept: &HashMap<K, V>,
    all: &mut Vec<String>,
) {
    for key in expected.keys().chain(kept.keys().filter(|key| !expected.contains_key(key))) {
        let (expected, kept) = (expected.get(key), kept.get(key));
        if expected != kept {
            all.push(format!("{name} {key:?}: expected {expected:?}, kept {kept:?}"));
        }
    }
}
