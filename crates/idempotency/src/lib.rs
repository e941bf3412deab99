//! Idempotency keys: a request that is sent again has no second effect and gets the first answer.
//!
//! The answer is kept in the transaction of the effect, in the table `idempotency` of the service that has it. Only successes are kept.

use std::fmt;

use chrono::{DateTime, Utc};
use prost::Message;
use rpc::Error;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// A request that is to have its effect once, however often it is sent.
pub struct Once<T> {
    key: String,
    request_hash: Vec<u8>,
    encode: Encode<T>,
}

/// Writes an answer down.
type Encode<T> = Box<dyn Fn(&T) -> Vec<u8> + Send + Sync>;

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It had its effect now.
    New(T),
    /// It had its effect before; this was the answer, as `encode` wrote it.
    Replay(Vec<u8>),
}

impl<T> Outcome<T> {
    /// The message to answer with: made now, or as it was written down at first.
    pub fn into_message<M: Message + Default>(
        self,
        to_wire: impl FnOnce(T) -> M,
    ) -> Result<M, Error> {
        match self {
            Self::New(made) => Ok(to_wire(made)),
            Self::Replay(bytes) => {
                M::decode(&*bytes).map_err(|error| Error::Internal(error.into()))
            }
        }
    }
}

impl<T> Once<T> {
    /// Of a request with an idempotency key; nothing without one. `encode` writes the answer down. Fails with a field error on a key that is none.
    ///
    /// For requests that hold nothing secret: a plain hash of them is kept.
    pub fn of<M: Message>(
        request: &tonic::Request<M>,
        encode: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Option<Self>, Error> {
        Self::hashed(request, |bytes| Sha256::digest(bytes).to_vec(), encode)
    }

    /// The same where `hash` is kept of the request, from which nobody may be able to guess what is in it.
    pub fn hashed<M: Message>(
        request: &tonic::Request<M>,
        hash: impl FnOnce(&[u8]) -> Vec<u8>,
        encode: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Option<Self>, Error> {
        let context = rpc::context(request);
        let Some(key) = context.idempotency_key()? else { return Ok(None) };
        Ok(Some(Self {
            key: key.to_owned(),
            request_hash: hash(&request.get_ref().encode_to_vec()),
            encode: Box::new(encode),
        }))
    }

    /// The answer, where it is of this request.
    fn own(&self, (request_hash, response): (Vec<u8>, Vec<u8>)) -> Result<Vec<u8>, Error> {
        if request_hash == self.request_hash {
            return Ok(response);
        }
        let reused = "was used for another request";
        Err(Error::invalid("Idempotency-Key", "idempotency_key_reused", reused))
    }
}

impl<T> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What the request was answered, if it was: a look before what costs much, or could not be done twice. It holds nothing; [`answered`] does.
pub async fn kept<T>(
    db: impl PgExecutor<'_>,
    by: i64,
    operation: &str,
    once: Option<&Once<T>>,
    now: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(once) = once else { return Ok(None) };
    let row = sqlx::query_as::<_, (Vec<u8>, Vec<u8>)>(
        "select request_hash, response from idempotency
         where user_id = $1 and operation = $2 and key = $3 and created_at >= $4::timestamptz - interval '24 hours'",
    )
    .bind(by)
    .bind(operation)
    .bind(&once.key)
    .bind(now)
    .fetch_optional(db)
    .await?;
    row.map(|row| once.own(row)).transpose()
}

/// What is answered to a request that is sent again and whose answer is shown once: what was made, by its id.
pub fn shown_once(id: impl ToString) -> Error {
    let message = "this was done before, and its answer is shown once";
    Error::conflict("IDEMPOTENT_REPLAY", message).about("id", id)
}

/// What the request was answered, if it was; otherwise this transaction holds the key from now on, and a twin waits for it. A key is the caller's own, for one
/// operation (of one record, where the path names it), and as good as new after a day.
///
/// Fails with a field error where the key was used for another request, with a conflict (`IDEMPOTENCY_KEY_IN_USE`) where a twin takes too long.
pub async fn answered<T>(
    tx: &mut PgConnection,
    by: i64,
    operation: &str,
    once: Option<&Once<T>>,
    now: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(once) = once else { return Ok(None) };
    let taken = sqlx::query_scalar::<_, i64>(
        "insert into idempotency as i (user_id, operation, key, request_hash, created_at) values ($1, $2, $3, $4, $5)
         on conflict (user_id, operation, key) do update set request_hash = excluded.request_hash, response = null, created_at = excluded.created_at
         where i.created_at < excluded.created_at - interval '24 hours'
         returning user_id",
    )
    .bind(by)
    .bind(operation)
    .bind(&once.key)
    .bind(&once.request_hash)
    .bind(now)
    .fetch_optional(&mut *tx)
    .await
    .map_err(twin_is_running)?;
    if taken.is_some() {
        return Ok(None);
    }
    let row = sqlx::query_as::<_, (Vec<u8>, Vec<u8>)>(
        "select request_hash, response from idempotency where user_id = $1 and operation = $2 and key = $3",
    )
    .bind(by)
    .bind(operation)
    .bind(&once.key)
    .fetch_one(tx)
    .await?;
    once.own(row).map(Some)
}

/// Keeps the answer to a key that this transaction took.
pub async fn keep<T>(
    tx: &mut PgConnection,
    by: i64,
    operation: &str,
    once: Option<&Once<T>>,
    answer: &T,
) -> sqlx::Result<()> {
    let Some(once) = once else { return Ok(()) };
    sqlx::query(
        "update idempotency set response = $4 where user_id = $1 and operation = $2 and key = $3",
    )
    .bind(by)
    .bind(operation)
    .bind(&once.key)
    .bind((once.encode)(answer))
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets answers that were kept for a day.
pub async fn forget(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "delete from idempotency where created_at < $1::timestamptz - interval '24 hours'",
    )
    .bind(now)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// The twin held the key for longer than a statement may wait.
fn twin_is_running(error: sqlx::Error) -> Error {
    let lock_timed_out = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03");
    if lock_timed_out {
        Error::conflict("IDEMPOTENCY_KEY_IN_USE", "a request with this key is still running")
            .retry_after(std::time::Duration::from_secs(1))
    } else {
        error.into()
    }
}
