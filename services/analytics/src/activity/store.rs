//! All SQL that keeps activities.

use sqlx::PgConnection;

use super::Activity;
use crate::digest::Digest;

/// Writes activities, each over what was known of it, unless that is later.
pub(crate) async fn upsert(tx: &mut PgConnection, activities: &[Activity]) -> sqlx::Result<()> {
    fn all<'a, T>(activities: &'a [Activity], field: impl Fn(&'a Activity) -> T) -> Vec<T> {
        activities.iter().map(field).collect()
    }
    if activities.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into activity_facts as f (activity_id, version, opportunity_id, activity_type, owner_id, created_by, scheduled_at, completed_at, created_at,
           is_deleted)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::timestamptz[],
           $9::timestamptz[], $10::boolean[])
         on conflict (activity_id) do update
         set version = excluded.version, opportunity_id = excluded.opportunity_id, activity_type = excluded.activity_type, owner_id = excluded.owner_id,
             created_by = excluded.created_by, scheduled_at = excluded.scheduled_at, completed_at = excluded.completed_at,
             created_at = excluded.created_at, is_deleted = excluded.is_deleted
         where f.version < excluded.version",
    )
    .bind(all(activities, |it| it.activity_id))
    .bind(all(activities, |it| it.version))
    .bind(all(activities, |it| it.opportunity_id))
    .bind(all(activities, |it| it.activity_type.as_str()))
    .bind(all(activities, |it| it.owner_id))
    .bind(all(activities, |it| it.created_by))
    .bind(all(activities, |it| it.scheduled_at))
    .bind(all(activities, |it| it.completed_at))
    .bind(all(activities, |it| it.created_at))
    .bind(all(activities, |it| it.is_deleted))
    .execute(tx)
    .await?;
    Ok(())
}

/// These activities, by id.
pub(crate) async fn of(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<Activity>> {
    sqlx::query_as!(
        Activity,
        "select activity_id, version, opportunity_id, activity_type, owner_id, created_by, scheduled_at, completed_at, created_at, is_deleted
         from activity_facts where activity_id = any($1) order by activity_id",
        ids
    )
    .fetch_all(tx)
    .await
}

/// Removes all activities.
pub(crate) async fn clear(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from activity_facts").execute(tx).await?;
    Ok(())
}

/// How many activities are known by range of ids, and the sum of their versions.
pub(crate) async fn digest(connection: &mut PgConnection, range: i64) -> sqlx::Result<Digest> {
    let rows = sqlx::query!(
        r#"select activity_id / $1 * $1 as "from_id!", count(*) as "count!", sum(version)::bigint as "version_sum!"
           from activity_facts group by 1"#,
        range
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.from_id, (row.count, row.version_sum))).collect())
}
