//! Opportunities as rows of a sheet: the columns that a file has, and what stands in a cell.
//!
//! [`column::COLUMNS`] is the one table of them, for what is taken out as for what is brought in; after them come the organisation's [`own`].

pub mod cell;
pub mod column;
pub mod lines;
pub mod own;
pub mod past;
