//! All SQL about keeping a copy: who could see what, and which records there are to tell of.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool};

use super::model::{Former, Kind};
use crate::access::model::Sight;
use crate::customer::Asker;

/// What somebody sees or saw, as it was written down.
pub(super) struct Written {
    pub(super) id: i64,
    pub(super) sight: Sight,
    /// Until when, if they see something else by now.
    pub(super) until: Option<(i64, DateTime<Utc>)>,
}

impl Written {
    pub(super) fn former(&self) -> Option<Former> {
        let (until_position, until) = self.until?;
        Some(Former { sight: self.sight.clone(), until_position, until })
    }
}

/// What somebody saw by these ids, and what was written down last, the newest first.
pub(super) async fn sights(pool: &PgPool, user_id: i64, ids: &[i64]) -> sqlx::Result<Vec<Written>> {
    let rows = sqlx::query!(
        r#"select s.id, s.sees_all, s.owner_id, s.team_ids, n.since_position as "until_position?", n.since as "until?"
           from sync_sights s
           left join lateral (
             select since_position, since from sync_sights where user_id = s.user_id and id > s.id order by id limit 1) n on true
           where s.user_id = $1 and (s.id = any($2) or s.id = (select max(id) from sync_sights where user_id = $1))
           order by s.id desc"#,
        user_id,
        ids
    )
    .fetch_all(pool)
    .await?;
    let written = rows.into_iter().map(|row| Written {
        id: row.id,
        sight: if row.sees_all {
            Sight::All
        } else {
            Sight::Of { owner_id: row.owner_id, team_ids: row.team_ids }
        },
        until: row.until_position.zip(row.until),
    });
    Ok(written.collect())
}

/// Writes down what somebody sees from now on; its id.
pub(super) async fn insert_sight(
    pool: &PgPool,
    user_id: i64,
    sight: &Sight,
    position: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let (sees_all, owner_id, team_ids) = sight.parts();
    sqlx::query_scalar!(
        "insert into sync_sights (user_id, sees_all, owner_id, team_ids, since_position, since) values ($1, $2, $3, $4, $5, $6) returning id",
        user_id,
        sees_all,
        owner_id,
        team_ids,
        position,
        at
    )
    .fetch_one(pool)
    .await
}

/// The id at which a stretch of some records of a kind after an id ends; nothing where there are none.
pub(super) async fn stretch(
    pool: &PgPool,
    kind: Kind,
    after: i64,
    length: usize,
) -> sqlx::Result<Option<i64>> {
    let table = match kind {
        Kind::Pipeline => "pipelines",
        Kind::Customer => "customers",
        Kind::Contact => "contacts",
        Kind::Opportunity => "opportunities",
        Kind::Activity => "activities",
    };
    let sql = format!(
        "select max(id) from (select id from {table} where id > $1 order by id limit {length}) s"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(after).fetch_one(pool).await
}

/// What was seen before, put together: what of it has to be taken back.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) sight: Sight,
    /// What was made later was never seen.
    pub(super) until: DateTime<Utc>,
}

/// Ids of living records of a kind from after an id to another, that are seen now, or were seen before; `limit` at most.
pub(super) async fn ids(
    pool: &PgPool,
    kind: Kind,
    (after, end): (i64, i64),
    who: &Asker,
    before: Option<&Before>,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    let (all, owner_id, team_ids) = who.read.parts();
    let nothing = Before { sight: Sight::Nothing, until: DateTime::UNIX_EPOCH };
    let before = before.unwrap_or(&nothing);
    let (all_before, _, teams_before) = before.sight.parts();
    match kind {
        Kind::Pipeline => {
            sqlx::query_scalar!(
                "select id from pipelines where id > $1 and id <= $2 and deleted_at is null order by id limit $3",
                after,
                end,
                limit
            )
            .fetch_all(pool)
            .await
        }
        Kind::Customer => {
            sqlx::query_scalar!(
                "select c.id from customers c
                 where c.id > $1 and c.id <= $2 and c.deleted_at is null
                   and ($4 or c.created_by = $5 or exists (
                     select from opportunities o
                     where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $6 or o.team_id = any($7)
                       or (o.team_id = any($9) and o.created_at <= $10)))
                     or ($8 and c.created_at <= $10))
                 order by c.id limit $3",
                after,
                end,
                limit,
                all,
                who.by,
                owner_id,
                team_ids,
                all_before,
                teams_before,
                before.until
            )
            .fetch_all(pool)
            .await
        }
        Kind::Contact => {
            sqlx::query_scalar!(
                "select n.id from contacts n join customers c on c.id = n.customer_id
                 where n.id > $1 and n.id <= $2 and n.deleted_at is null and c.deleted_at is null
                   and ($4 or c.created_by = $5 or exists (
                     select from opportunities o
                     where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $6 or o.team_id = any($7))))
                 order by n.id limit $3",
                after,
                end,
                limit,
                all,
                who.by,
                owner_id,
                team_ids
            )
            .fetch_all(pool)
            .await
        }
        Kind::Opportunity => {
            sqlx::query_scalar!(
                "select o.id from opportunities o
                 where o.id > $1 and o.id <= $2 and o.deleted_at is null
                   and ($4 or o.owner_id = $5 or o.team_id = any($6) or (o.created_at <= $9 and ($7 or o.team_id = any($8))))
                 order by o.id limit $3",
                after,
                end,
                limit,
                all,
                owner_id,
                team_ids,
                all_before,
                teams_before,
                before.until
            )
            .fetch_all(pool)
            .await
        }
        Kind::Activity => {
            sqlx::query_scalar!(
                "select a.id from activities a join opportunities o on o.id = a.opportunity_id
                 where a.id > $1 and a.id <= $2 and a.deleted_at is null and o.deleted_at is null
                   and ($4 or o.owner_id = $5 or o.team_id = any($6))
                 order by a.id limit $3",
                after,
                end,
                limit,
                all,
                owner_id,
                team_ids
            )
            .fetch_all(pool)
            .await
        }
    }
}

/// Ids of the living contacts of a customer after an id.
pub(super) async fn contacts_of(
    pool: &PgPool,
    customer_id: i64,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select id from contacts where customer_id = $1 and id > $2 and deleted_at is null order by id limit $3",
        customer_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// Ids of the living activities of an opportunity after an id.
pub(super) async fn activities_of(
    pool: &PgPool,
    opportunity_id: i64,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select id from activities where opportunity_id = $1 and id > $2 and deleted_at is null order by id limit $3",
        opportunity_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// The versions of pipelines, deleted ones too.
pub(super) async fn pipelines(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<(i64, i64)>> {
    let rows = sqlx::query!("select id, version from pipelines where id = any($1)", ids);
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.id, row.version)).collect())
}
