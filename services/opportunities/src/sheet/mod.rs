//! Opportunities as rows of a sheet: the columns that a file has, and what stands in a cell.
//!
//! [`column::COLUMNS`] is the one table of them, for what is taken out as for what is brought in.

pub mod cell;
pub mod column;
pub mod past;
