//! All SQL about whom plans are for.

use sqlx::PgPool;

/// Somebody who is known.
pub(super) struct Member {
    pub(super) team_id: Option<i64>,
}

/// A person and their team; nothing of who is not known.
pub(super) async fn member(pool: &PgPool, user_id: i64) -> sqlx::Result<Option<Member>> {
    sqlx::query_as!(Member, "select team_id from people where user_id = $1", user_id)
        .fetch_optional(pool)
        .await
}

/// Whether a team was deleted; nothing of one that is not known.
pub(super) async fn team_is_deleted(pool: &PgPool, team_id: i64) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!("select is_deleted from teams where team_id = $1", team_id)
        .fetch_optional(pool)
        .await
}
