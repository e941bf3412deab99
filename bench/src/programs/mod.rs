//! The programs that are measured beside each other: each started, filled with as many opportunities, and asked in one way.

mod bare;
mod peer;
mod product;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

pub(crate) use bare::Bare;
pub(crate) use peer::{Peer, folder as peer_folder};
pub(crate) use product::Product;

use crate::request::{Book, Request};
use crate::target::Target;
use crate::usage::Tree;

/// A program as the measurements see it.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its name in the results.
    pub(crate) name: &'static str,
    /// How it is asked.
    pub(crate) target: Arc<Target>,
    /// Its processes, without the servers that all share.
    pub(crate) processes: Vec<Tree>,
    /// What it is not asked.
    pub(crate) without: &'static [Request],
}

impl Program {
    /// Whether it has that request.
    pub(crate) fn has(&self, request: Request) -> bool {
        !self.without.contains(&request)
    }
}

/// What a program's tables have to ask about: statements for the ids, for the open ones with the index of their stage, and for the customers.
async fn book(
    connection: &mut PgConnection,
    floor: &'static str,
    [ids, open, customers]: [&str; 3],
) -> Result<Book> {
    let ids = sqlx::query_scalar(AssertSqlSafe(ids)).fetch_all(&mut *connection).await?;
    let rows = sqlx::query(AssertSqlSafe(open)).fetch_all(&mut *connection).await?;
    let open = rows.iter().map(|row| {
        let stage: i32 = row.try_get(1)?;
        Ok((row.try_get(0)?, usize::try_from(stage).context("no index")?))
    });
    let open = open.collect::<Result<Vec<_>>>()?;
    let customers =
        sqlx::query_scalar(AssertSqlSafe(customers)).fetch_all(&mut *connection).await?;
    Book::new(floor, ids, open, customers)
}
