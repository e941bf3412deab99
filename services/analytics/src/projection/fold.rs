//! Deals and their versions put together from a stream of their whole change lists, ordered by deal and version.

use std::mem::take;

use anyhow::Result;
use chrono::{DateTime, Utc};
use events::Event;

use super::record;
use crate::deal::Deal;
use crate::version::{self, Version};

/// What is known of an opportunity, and what was known when.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) deal: Deal,
    /// In order, each ended by the next.
    pub(crate) versions: Vec<Version>,
}

impl Life {
    /// Which opportunity's.
    pub(crate) fn id(&self) -> i64 {
        self.deal.fact.as_ref().map_or(0, |fact| fact.opportunity_id)
    }
}

/// What has been told so far.
pub(crate) struct Fold {
    current: Life,
    done: Vec<Life>,
    /// When the latest change told was written down.
    pub(crate) recorded_at: DateTime<Utc>,
}

impl Fold {
    pub(crate) fn new() -> Self {
        Self { current: Life::default(), done: Vec::new(), recorded_at: DateTime::UNIX_EPOCH }
    }

    /// The next change.
    pub(crate) fn tell(&mut self, event: &Event) -> Result<()> {
        let (fact, moved) = record::read(event)?;
        if self.current.deal.fact.is_some() && self.current.id() != fact.opportunity_id {
            self.end();
        }
        self.current.versions.extend(record::version(event, &fact)?);
        self.current.deal.learn(fact);
        if let Some(moved) = moved {
            self.current.deal.learn_move(moved);
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
    pub(crate) fn take(&mut self) -> Vec<Life> {
        take(&mut self.done)
    }

    /// The rest, when the stream has ended.
    pub(crate) fn finish(&mut self) -> Vec<Life> {
        if self.current.deal.fact.is_some() {
            self.end();
        }
        self.take()
    }

    fn end(&mut self) {
        version::settle(&mut self.current.versions);
        self.done.push(take(&mut self.current));
    }
}
