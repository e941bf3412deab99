//! All SQL about versions.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::Version;
use crate::deal::Kind;

/// Adds versions; those that are known stay as they are. Whether there were any others.
pub(crate) async fn insert(tx: &mut PgConnection, versions: &[&Version]) -> sqlx::Result<bool> {
    fn all<'a, T>(versions: &[&'a Version], field: impl Fn(&'a Version) -> T) -> Vec<T> {
        versions.iter().map(|it| field(it)).collect()
    }
    if versions.is_empty() {
        return Ok(false);
    }
    let added = sqlx::query(
        "insert into opportunity_versions (opportunity_id, version, at, until, pipeline_id, stage_key, status, owner_id, team_id, currency, amount,
           closed_amount, probability, expected_close_date, is_deleted)
         select a, b, c, coalesce(d, 'infinity'), e, f, g, h, i, j, k, l, m, n, o
         from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
           $10::text[], $11::numeric[], $12::numeric[], $13::integer[], $14::date[], $15::boolean[]) as u (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)
         on conflict (opportunity_id, version) do nothing",
    )
    .bind(all(versions, |it| it.opportunity_id))
    .bind(all(versions, |it| it.version))
    .bind(all(versions, |it| it.at))
    .bind(all(versions, |it| it.until))
    .bind(all(versions, |it| it.pipeline_id))
    .bind(all(versions, |it| it.stage_key.as_str()))
    .bind(all(versions, |it| it.status.as_str()))
    .bind(all(versions, |it| it.owner_id))
    .bind(all(versions, |it| it.team_id))
    .bind(all(versions, |it| it.currency.as_str()))
    .bind(all(versions, |it| it.amount))
    .bind(all(versions, |it| it.closed_amount))
    .bind(all(versions, |it| it.probability))
    .bind(all(versions, |it| it.expected_close_date))
    .bind(all(versions, |it| it.is_deleted))
    .execute(tx)
    .await?;
    Ok(added.rows_affected() > 0)
}

/// Ends every version of these opportunities when the first of the later ones happened: what [`super::settle`] does, of those that are kept.
pub(crate) async fn settle(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update opportunity_versions v set until = s.until
         from (
           select opportunity_id, version,
                  coalesce(min(at) over (partition by opportunity_id order by version rows between 1 following and unbounded following), 'infinity') as until
           from opportunity_versions where opportunity_id = any($1)
         ) s
         where v.opportunity_id = s.opportunity_id and v.version = s.version and v.until <> s.until",
        ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The versions of these opportunities, in order.
pub(crate) async fn of(
    tx: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<HashMap<i64, Vec<Version>>> {
    let sql = format!(
        "select {COLUMNS} from opportunity_versions where opportunity_id = any($1) order by opportunity_id, version"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(ids).fetch_all(tx).await?;
    let mut all: HashMap<i64, Vec<Version>> = HashMap::with_capacity(ids.len());
    for row in &rows {
        let version = version(row)?;
        all.entry(version.opportunity_id).or_default().push(version);
    }
    Ok(all)
}

/// What [`version`] reads.
pub(crate) const COLUMNS: &str = "opportunity_id, version, at, nullif(until, 'infinity'), pipeline_id, stage_key, status, owner_id, team_id, currency, amount, \
closed_amount, probability::integer, expected_close_date, is_deleted";

/// A version as it is stored.
pub(crate) fn version(row: &PgRow) -> sqlx::Result<Version> {
    Ok(Version {
        opportunity_id: row.try_get(0)?,
        version: row.try_get(1)?,
        at: row.try_get(2)?,
        until: row.try_get(3)?,
        pipeline_id: row.try_get(4)?,
        stage_key: row.try_get(5)?,
        status: status(row.try_get(6)?)?,
        owner_id: row.try_get(7)?,
        team_id: row.try_get(8)?,
        currency: row.try_get(9)?,
        amount: row.try_get(10)?,
        closed_amount: row.try_get(11)?,
        probability: row.try_get(12)?,
        expected_close_date: row.try_get(13)?,
        is_deleted: row.try_get(14)?,
    })
}

/// A status as it is stored.
pub(crate) fn status(text: &str) -> sqlx::Result<Kind> {
    Kind::parse(text).ok_or_else(|| sqlx::Error::Decode("opportunity_versions.status".into()))
}

/// Removes all versions.
pub(crate) async fn clear(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from opportunity_versions").execute(tx).await?;
    Ok(())
}
