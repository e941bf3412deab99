//! At most one at a time: an advisory lock on a connection of its own, which is all that its holder works on.

use std::time::Duration;

use process::postgres::KEEPALIVE;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};

/// How long connecting and asking may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often whoever stands by asks for the lock.
const STAND_BY: Duration = Duration::from_secs(1);

/// The key of a lock, the same in every build: FNV-1a of the two names.
pub fn key(kind: &str, name: &str) -> i64 {
    let bytes = kind.bytes().chain([b'/']).chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

/// A connection that holds the lock, or nothing while another has it. The lock ends with the connection, so whoever lost the connection has
/// lost the lock and finds out at its next statement.
pub async fn try_hold(database_url: &str, key: i64) -> sqlx::Result<Option<PgConnection>> {
    let mut connection = connect(database_url).await?;
    if try_lock(&mut connection, key).await? {
        return Ok(Some(connection));
    }
    connection.close().await?;
    Ok(None)
}

/// A connection that holds the lock, once no other has it. Whoever stands by keeps its connection: to make one each time, with its
/// handshake and its password, would cost more than many a leader's work.
pub async fn hold(database_url: &str, key: i64) -> sqlx::Result<PgConnection> {
    let mut connection = connect(database_url).await?;
    loop {
        let asking = timeout(PATIENCE, try_lock(&mut connection, key));
        if asking.await.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?? {
            return Ok(connection);
        }
        sleep(STAND_BY).await;
    }
}

async fn connect(database_url: &str) -> sqlx::Result<PgConnection> {
    let options = database_url.parse::<PgConnectOptions>()?.options(KEEPALIVE);
    let connecting = timeout(PATIENCE, PgConnection::connect_with(&options));
    connecting.await.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?
}

/// Takes the lock on a connection that is there already; false while another has it.
pub async fn try_lock(connection: &mut PgConnection, key: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(key).fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_key_of_a_lock_never_changes() {
        assert_eq!(super::key("relay", "identity"), 2_976_861_792_563_256_457);
        assert_ne!(super::key("relay", "opportunities"), super::key("relay", "identity"));
    }
}
