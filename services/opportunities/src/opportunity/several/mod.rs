//! Several opportunities written at once, by few statements: what they are, how they came to be so, and what is told of it.

mod store;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use events::Change;
use events::outbox::{self, Rows};
use rpc::Error;
use sqlx::PgConnection;
use tokio::join;
use tokio::task::yield_now;

use super::model::{Moved, Opportunity};
use super::search::{self, Indexed};
use crate::meta::Meta;
use crate::pipeline;

pub(super) use store::lock;

/// What an opportunity was step by step, each with its history row where it came into another stage.
pub(super) type Steps = Vec<(Opportunity, Option<Moved>)>;

/// What is told of an opportunity that became this step by step; one that is new was nothing before.
pub(super) fn told(before: Option<&Opportunity>, steps: &Steps, meta: &Meta) -> Vec<Change> {
    let before = [before].into_iter().chain(steps.iter().map(|(it, _)| Some(it)));
    before.zip(steps).map(|(before, (it, moved))| meta.moved(before, it, moved.as_ref())).collect()
}

/// An opportunity that was made or changed, in one step or in several.
#[derive(Debug)]
pub(super) struct Written {
    before: Option<Opportunity>,
    after: Opportunity,
    moves: Vec<Moved>,
    changes: Vec<Change>,
}

impl Written {
    /// What an opportunity became; nothing without a step.
    pub(super) fn of(before: Option<Opportunity>, steps: Steps, meta: &Meta) -> Option<Self> {
        let changes = told(before.as_ref(), &steps, meta);
        let after = steps.last().map(|(it, _)| it.clone())?;
        let moves = steps.into_iter().filter_map(|(_, moved)| moved).collect();
        Some(Self { before, after, moves, changes })
    }

    /// The opportunity as it is now.
    pub(super) fn after(&self) -> &Opportunity {
        &self.after
    }

    fn indexed(&self) -> Option<(i64, DateTime<Utc>, Indexed)> {
        let indexed = match &self.before {
            None => Some(Indexed::of(&self.after)),
            Some(before) => Indexed::if_other(before, &self.after),
        };
        indexed.map(|it| (self.after.id, self.after.created_at, it))
    }
}

/// Writes opportunities, their history rows, by what they are found, and what is told of them after what is told of others. Those that were there are locked, and so are the people whose they
/// are. Fails where a stage is another by now than it was when a move was decided.
pub(super) async fn write(
    tx: &mut PgConnection,
    written: Vec<Written>,
    mut changes: Vec<Change>,
) -> Result<(), Error> {
    let entered = written.iter().flat_map(|it| {
        let id = it.after.pipeline_id;
        it.moves.iter().map(move |moved| (id, &*moved.to.0, moved.stage_version))
    });
    let entered: BTreeSet<_> = entered.collect();
    if !entered.is_empty() && store::hold_stages(tx, &entered).await? < entered.len() {
        return Err(pipeline::stages_changed());
    }
    let records: Vec<_> = written.iter().map(|it| &it.after).collect();
    // While the database is at work on a statement, what the next one says is made.
    let indexed = async {
        yield_now().await;
        written.iter().filter_map(Written::indexed).collect::<Vec<_>>()
    };
    let (wrote, indexed) = join!(store::write(tx, &records), indexed);
    wrote?;
    let moves = written.iter().flat_map(|it| it.moves.iter().map(|moved| (it.after.id, moved)));
    store::insert_history(tx, &moves.collect::<Vec<_>>()).await?;
    let told = async {
        yield_now().await;
        changes.extend(written.into_iter().flat_map(|it| it.changes));
        Rows::of(&changes)
    };
    let (kept, told) = join!(search::store::keep(tx, &indexed), told);
    kept?;
    outbox::append_rows(tx, told).await?;
    Ok(())
}
