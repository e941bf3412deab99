//! A file as it comes: what takes long, breaks off or is lost in between.

use auth::Role;
use chrono::TimeDelta;
use opportunities::import::{self, Options, Receiving, model::Status, work};
use rpc::Error;

use crate::imports::{bring, count, to_the_end};
use crate::support::{ADMIN, World, caller, meta, now};

const AN_HOUR_AGO: &str =
    "update imports set updated_at = updated_at - interval '1 hour' where id > $1";

/// Rows of 300,000 bytes, so more than one piece.
fn rows() -> String {
    (0..3_000).fold("opportunity_name,customer_name\r\n".to_owned(), |file, number| {
        file + &format!("Deal {number} {},Customer\r\n", "x".repeat(80))
    })
}

#[tokio::test]
async fn a_file_is_waited_for_while_it_comes_and_forgotten_when_it_does_not() {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    let mut receiving = Receiving::begin(&world.state, &admin, meta(ADMIN)).unwrap();
    let silent = || now() - TimeDelta::minutes(10);
    let rows = rows();
    receiving.more(rows.as_bytes()).await.unwrap();
    world.sql(AN_HOUR_AGO, 0).await;
    receiving.more(&rows.as_bytes()[32..]).await.unwrap();
    work::forget(&world.state, silent()).await.unwrap();
    assert_eq!(count(&world, "import_pieces").await, 2);
    world.sql(AN_HOUR_AGO, 0).await;
    work::forget(&world.state, silent()).await.unwrap();
    assert_eq!((count(&world, "imports").await, count(&world, "import_pieces").await), (0, 0));
    // Whoever comes back with the rest is told, and nothing of it is taken for the whole.
    let late = receiving.end(Options::default(), None).await.err().unwrap();
    assert!(matches!(late, Error::Unavailable { .. }), "{late:?}");
    assert_eq!(count(&world, "imports").await, 0);
    // One that waits to be worked off is not one that comes.
    bring(&world, &admin, rows.as_bytes(), Options::default()).await.unwrap();
    world.sql(AN_HOUR_AGO, 0).await;
    work::forget(&world.state, silent()).await.unwrap();
    assert_eq!(count(&world, "import_pieces").await, 2);
}

#[tokio::test]
async fn a_piece_that_is_lost_is_not_the_end_of_the_file() {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    let id = bring(&world, &admin, rows().as_bytes(), Options::default()).await.unwrap();
    world.sql("delete from import_pieces where ordinal = $1", 1).await;
    to_the_end(&world).await;
    let found = import::get(&world.state, &admin, id).await.unwrap();
    assert_ne!(found.status, Status::Done);
    assert_eq!(i64::from(found.counts.created), count(&world, "opportunities").await);
    assert!(found.counts.created > 0 && found.counts.created < found.total_rows);
    assert_eq!(found.counts.failed, 0, "no half of a row is taken for one");
}
