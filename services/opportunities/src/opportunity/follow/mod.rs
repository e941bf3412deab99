//! Open opportunities follow their owner to another team; closed ones stay where they were won or lost.

mod store;

use events::Change;
use sqlx::PgConnection;

use super::model;
use crate::meta::Meta;

/// Brings every open opportunity of a person to their team, each with its change, a few hundred at a time. That row of
/// `people` has to be locked by this transaction, so that none is made for the old team meanwhile.
pub(crate) async fn follow(
    tx: &mut PgConnection,
    owner_id: i64,
    team_id: Option<i64>,
    meta: &Meta,
    cause_id: &str,
) -> sqlx::Result<()> {
    let mut after_id = 0;
    loop {
        let chunk = store::find_elsewhere(tx, owner_id, team_id, after_id).await?;
        let Some(last) = chunk.last() else { return Ok(()) };
        after_id = last.id;
        let (mut followed, mut changes) = (Vec::with_capacity(chunk.len()), Vec::new());
        for before in &chunk {
            let after = model::follow(before, team_id, meta.recorded_at);
            let change = meta.moved(Some(before), &after, None);
            changes.push(Change { cause_id: cause_id.to_owned(), ..change });
            followed.push(after);
        }
        store::update_team(tx, team_id, &followed).await?;
        events::outbox::append(tx, &changes).await?;
        if chunk.len() < store::CHUNK {
            return Ok(());
        }
    }
}
