//! All SQL about opportunities that follow their owner to another team.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::opportunity::model::Opportunity;
use crate::opportunity::store::{COLUMNS, detail};

/// How many are found at once.
pub(super) const CHUNK: usize = 250;

/// Up to [`CHUNK`] living open opportunities of a person that are not of that team, by id after one, which nobody else changes until this transaction ends.
pub(super) async fn find_elsewhere(
    tx: &mut PgConnection,
    owner_id: i64,
    team_id: Option<i64>,
    after_id: i64,
) -> sqlx::Result<Vec<Opportunity>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.owner_id = $1 and o.status = 'open' and o.deleted_at is null and o.team_id is distinct from $2 and o.id > $3
         order by o.id limit {CHUNK}
         for update of o"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(owner_id)
        .bind(team_id)
        .bind(after_id)
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| Ok(detail(row)?.opportunity)).collect()
}

/// Writes team, version and time of change.
pub(super) async fn update_team(
    tx: &mut PgConnection,
    team_id: Option<i64>,
    followed: &[Opportunity],
) -> sqlx::Result<()> {
    let ids: Vec<_> = followed.iter().map(|it| it.id).collect();
    let versions: Vec<_> = followed.iter().map(|it| it.version).collect();
    let times: Vec<_> = followed.iter().map(|it| it.updated_at).collect();
    sqlx::query!(
        "update opportunities o set team_id = $1, version = followed.version, updated_at = followed.updated_at
         from unnest($2::bigint[], $3::bigint[], $4::timestamptz[]) as followed (id, version, updated_at)
         where o.id = followed.id",
        team_id,
        &ids,
        &versions,
        &times
    )
    .execute(tx)
    .await?;
    Ok(())
}
