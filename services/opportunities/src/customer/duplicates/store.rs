//! The SQL of likely duplicates.

use sqlx::PgPool;

use crate::customer::Asker;

/// Customers that are alike.
pub(super) struct Alike {
    /// The oldest of them.
    pub(super) first_id: i64,
    /// What tells this group from others of the same oldest.
    pub(super) digest: String,
    pub(super) likenesses: Vec<String>,
    pub(super) count: i64,
    /// The oldest fifty.
    pub(super) ids: Vec<i64>,
}

/// The longest page of groups among the living customers that somebody may see, and one more, by their oldest, after a place.
pub(super) async fn alike(
    pool: &PgPool,
    who: &Asker,
    after: &(i64, String),
) -> sqlx::Result<Vec<Alike>> {
    let (all, owner_id, team_ids) = who.read.parts();
    sqlx::query_as!(
        Alike,
        r#"with seen as (
             select c.id, c.folded_name, c.name_key, c.folded_email, c.phone_digits from customers c
             where c.deleted_at is null
               and ($1 or c.created_by = $2 or exists (
                 select 1 from opportunities o
                 where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $3 or o.team_id = any($4))))
           ), keyed as (
             select id, 'name' as likeness, folded_name as key from seen
             union all select id, 'similar', name_key from seen where name_key is not null
             union all select id, 'email', folded_email from seen where folded_email is not null
             union all select id, 'phone', phone_digits from seen where phone_digits is not null
           ), alike as (
             select likeness, array_agg(id order by id) as ids from keyed group by likeness, key having count(*) > 1
           ), groups as (
             select ids, ids[1] as first_id, md5(ids::text) as digest, array_agg(likeness) as likenesses from alike group by ids
           )
           select first_id as "first_id!", digest as "digest!", likenesses as "likenesses!", cardinality(ids)::bigint as "count!", ids[1:50] as "ids!"
           from groups where (first_id, digest) > ($5, $6)
           order by first_id, digest limit 201"#,
        all,
        who.by,
        owner_id,
        team_ids,
        after.0,
        after.1
    )
    .fetch_all(pool)
    .await
}
