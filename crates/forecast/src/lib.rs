//! What will be won: learned from a history of deals and nothing else, with no clock, no database and no wire.
//!
//! In reading order: [`history`] (what is known of deals), [`folder`] (read from files), [`beginning`] and [`brought_in`] (since when, and which of them tell nothing of how they came), [`sample`] (what is learned from), [`feature`] (what is looked at of a deal), [`outlook`]
//! (what may become of one), [`table`] and [`hazard`] (two ways to say so; [`logistic`] fits the second), [`learned`] (all that was learned), [`reason`] (why chances are what they are), [`choose`] (whom to believe), [`column`] (what of deals is looked at),
//! [`business`] (deals that are not made yet), [`revenue`] (what a window of time will bring), [`answer`] (a forecast), [`backtest`] and [`measure`] (how good it is), [`trained`] (what a service keeps of all that), [`track`] (how it would have done), [`made_up`] (histories to test it on).

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and days, far below what a float holds exactly"
)]

pub mod answer;
pub mod backtest;
pub mod beginning;
pub mod brought_in;
pub mod business;
pub mod choose;
pub mod column;
pub mod feature;
pub mod folder;
pub mod hazard;
pub mod history;
pub mod learned;
pub mod logistic;
pub mod made_up;
pub mod measure;
pub mod outlook;
pub mod reason;
pub mod revenue;
pub mod sample;
pub mod table;
pub mod track;
pub mod trained;
