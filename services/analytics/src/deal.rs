//! An opportunity as analytics knows it: the record as of its latest version, and its moves through the stages.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;

use crate::category::Category;

/// What being in a stage means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To be decided.
    Open,
    /// Won.
    Won,
    /// Lost.
    Lost,
}

impl Kind {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Won, Self::Lost].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The record as of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Which opportunity.
    pub opportunity_id: i64,
    /// As of this version.
    pub version: i64,
    /// Its name.
    pub opportunity_name: String,
    /// Its customer.
    pub customer_id: i64,
    /// What that is called; unknown of what was told before that was kept.
    pub customer_name: Option<String>,
    /// The pipeline it runs through.
    pub pipeline_id: i64,
    /// Key of its stage.
    pub stage_key: String,
    /// Kind of its stage.
    pub status: Kind,
    /// Whose it is; frozen by its owner service when it closes.
    pub owner_id: i64,
    /// The team it counts for; likewise.
    pub team_id: Option<i64>,
    /// ISO 4217.
    pub currency: String,
    /// In that currency.
    pub amount: Option<Money>,
    /// In the organisation's currency, frozen when it closed.
    pub closed_amount: Option<Money>,
    /// Percent.
    pub probability: i32,
    /// The day it is expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// The day it closed.
    pub actual_close_date: Option<NaiveDate>,
    /// How sure a forecast may be of it, where it says so itself.
    pub forecast_category: Option<Category>,
    /// Why it was lost.
    pub lost_reason: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it came into its stage.
    pub stage_entered_at: DateTime<Utc>,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

/// One row of its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The row's id.
    pub history_id: i64,
    /// Key of the stage before; none for the creation.
    pub from_stage_key: Option<String>,
    /// Key of the stage after.
    pub to_stage_key: String,
    /// Probability after the move.
    pub probability: i32,
    /// Who moved it.
    pub changed_by: i64,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// All that is known of an opportunity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deal {
    /// Nothing until the first event told of it.
    pub fact: Option<Fact>,
    /// In order of time.
    pub moves: Vec<Move>,
}

impl Deal {
    /// Learns of the record as of a version; an older one than is known changes nothing. Whether it was news.
    pub fn learn(&mut self, fact: Fact) -> bool {
        let is_news = self.fact.as_ref().is_none_or(|known| known.version < fact.version);
        if is_news {
            self.fact = Some(fact);
        }
        is_news
    }

    /// Learns of a move, whatever version the record has; one that is known changes nothing. Whether it was news.
    pub fn learn_move(&mut self, moved: Move) -> bool {
        if self.moves.iter().any(|known| known.history_id == moved.history_id) {
            return false;
        }
        let place = self.moves.partition_point(|known| {
            (known.changed_at, known.history_id) < (moved.changed_at, moved.history_id)
        });
        self.moves.insert(place, moved);
        true
    }
}

/// The stages of every pipeline in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladders(HashMap<i64, Vec<(String, Kind)>>);

impl Ladders {
    /// A pipeline's stages, in order.
    pub fn set(&mut self, pipeline_id: i64, stages: Vec<(String, Kind)>) {
        self.0.insert(pipeline_id, stages);
    }

    /// The stages of a pipeline in order; none of one that is not known.
    pub fn stages(&self, pipeline_id: i64) -> &[(String, Kind)] {
        self.0.get(&pipeline_id).map_or(&[], Vec::as_slice)
    }
}
