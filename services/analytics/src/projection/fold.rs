//! Deals put together from a stream of their whole change lists, ordered by deal and version.

use std::mem::take;

use anyhow::Result;
use chrono::{DateTime, Utc};
use events::Event;

use super::record;
use crate::deal::Deal;

/// What has been told so far.
pub(crate) struct Fold {
    current: Deal,
    done: Vec<Deal>,
    /// When the latest change told was written down.
    pub(crate) recorded_at: DateTime<Utc>,
}

impl Fold {
    pub(crate) fn new() -> Self {
        Self { current: Deal::default(), done: Vec::new(), recorded_at: DateTime::UNIX_EPOCH }
    }

    /// The next change.
    pub(crate) fn tell(&mut self, event: &Event) -> Result<()> {
        let (fact, moved) = record::read(event)?;
        let known = self.current.fact.as_ref().map(|known| known.opportunity_id);
        if known.is_some_and(|known| known != fact.opportunity_id) {
            self.done.push(take(&mut self.current));
        }
        self.current.learn(fact);
        if let Some(moved) = moved {
            self.current.learn_move(moved);
        }
        let recorded_at = event.recorded_at.map_or(DateTime::UNIX_EPOCH, DateTime::<Utc>::from);
        self.recorded_at = self.recorded_at.max(recorded_at);
        Ok(())
    }

    /// How many deals have been told to their end.
    pub(crate) fn len(&self) -> usize {
        self.done.len()
    }

    /// Those that have been told to their end.
    pub(crate) fn take(&mut self) -> Vec<Deal> {
        take(&mut self.done)
    }

    /// The rest, when the stream has ended.
    pub(crate) fn finish(&mut self) -> Vec<Deal> {
        if self.current.fact.is_some() {
            self.done.push(take(&mut self.current));
        }
        self.take()
    }
}
