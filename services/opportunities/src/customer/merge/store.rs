//! All SQL about what was merged into what.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::customer::Asker;

/// A merge that was not undone.
pub(super) struct Merge {
    pub(super) id: i64,
    /// The fields that the customer that stays has from the other.
    pub(super) filled: Vec<String>,
}

/// What a merge did with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An opportunity went to the other customer.
    Opportunity,
    /// A contact went there.
    Moved,
    /// A contact became one with somebody there.
    Joined,
    /// A contact there has something from one that is one with it.
    Filled,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Opportunity => "opportunity",
            Self::Moved => "moved",
            Self::Joined => "joined",
            Self::Filled => "filled",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Opportunity, Self::Moved, Self::Joined, Self::Filled]
            .into_iter()
            .find(|it| it.as_str() == text)
    }
}

/// A record that a merge changed.
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) id: i64,
    /// Its version after the merge.
    pub(super) version: i64,
    /// Of an opportunity: its contact before.
    pub(super) contact_id: Option<i64>,
    /// Of a contact: the fields that were filled in.
    pub(super) filled: Vec<String>,
}

/// Writes down a merge; its id.
pub(super) async fn insert(
    tx: &mut PgConnection,
    into_id: i64,
    from_id: i64,
    by: i64,
    at: DateTime<Utc>,
    filled: &[String],
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into customer_merges (into_id, from_id, merged_by, merged_at, filled) values ($1, $2, $3, $4, $5) returning id",
        into_id,
        from_id,
        by,
        at,
        filled
    )
    .fetch_one(tx)
    .await
}

/// Whether somebody may change an opportunity that came with a merge, by whose it is: by that they might have changed the customer that it came from.
pub(super) async fn brought_theirs(
    tx: &mut PgConnection,
    merge_id: i64,
    who: &Asker,
) -> sqlx::Result<bool> {
    let (any, me, reach) = who.write.parts();
    sqlx::query_scalar!(
        r#"select $2 or exists (
             select from customer_merge_records r
             join opportunities o on o.id = r.record_id
             left join people p on p.user_id = o.owner_id
             where r.merge_id = $1 and r.kind = 'opportunity' and o.deleted_at is null and (o.owner_id = $3 or p.team_id = any($4))) as "is_theirs!""#,
        merge_id,
        any,
        me,
        reach
    )
    .fetch_one(tx)
    .await
}

/// Writes down what a merge changed.
pub(super) async fn insert_records(
    tx: &mut PgConnection,
    merge_id: i64,
    records: &[Record],
) -> sqlx::Result<()> {
    let kinds: Vec<_> = records.iter().map(|it| it.kind.as_str().to_owned()).collect();
    let ids: Vec<_> = records.iter().map(|it| it.id).collect();
    let versions: Vec<_> = records.iter().map(|it| it.version).collect();
    let contact_ids: Vec<_> = records.iter().map(|it| it.contact_id).collect();
    let filled: Vec<_> = records.iter().map(|it| it.filled.join(" ")).collect();
    sqlx::query!(
        "insert into customer_merge_records (merge_id, kind, record_id, version, contact_id, filled)
         select $1, kind, record_id, version, contact_id, coalesce(string_to_array(nullif(filled, ''), ' '), '{}')
         from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[]) as r (kind, record_id, version, contact_id, filled)",
        merge_id,
        &kinds,
        &ids,
        &versions,
        &contact_ids as &[Option<i64>],
        &filled
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The merge of one customer into another that was not undone.
pub(super) async fn find(
    tx: &mut PgConnection,
    into_id: i64,
    from_id: i64,
) -> sqlx::Result<Option<Merge>> {
    sqlx::query_as!(
        Merge,
        "select id, filled from customer_merges where into_id = $1 and from_id = $2 and undone_at is null",
        into_id,
        from_id
    )
    .fetch_optional(tx)
    .await
}

/// It is undone.
pub(super) async fn undo(tx: &mut PgConnection, id: i64, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("update customer_merges set undone_at = $2 where id = $1", id, at)
        .execute(tx)
        .await?;
    Ok(())
}

/// What a merge changed, by kind and id.
pub(super) async fn records(tx: &mut PgConnection, merge_id: i64) -> sqlx::Result<Vec<Record>> {
    let rows = sqlx::query!(
        "select kind, record_id, version, contact_id, filled from customer_merge_records where merge_id = $1 order by kind, record_id",
        merge_id
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = Kind::parse(&row.kind);
            Ok(Record {
                kind: kind
                    .ok_or_else(|| sqlx::Error::Decode("customer_merge_records.kind".into()))?,
                id: row.record_id,
                version: row.version,
                contact_id: row.contact_id,
                filled: row.filled,
            })
        })
        .collect()
}

/// The events of records at those versions, by record.
pub(crate) async fn told(
    tx: &mut PgConnection,
    aggregate: &str,
    versions: &[(i64, i64)],
) -> sqlx::Result<BTreeMap<i64, Vec<u8>>> {
    let (ids, versions): (Vec<i64>, Vec<i64>) = versions.iter().copied().unzip();
    let rows = sqlx::query!(
        "select c.aggregate_id, c.payload
         from unnest($2::bigint[], $3::bigint[]) as w (id, version)
         join change c on c.aggregate = $1 and c.aggregate_id = w.id and c.version = w.version",
        aggregate,
        &ids,
        &versions
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.aggregate_id, row.payload)).collect())
}
