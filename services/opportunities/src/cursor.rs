//! Where a page of a list ended, as the caller gets it and gives it back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rpc::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where a page ended.
#[derive(Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Hash of the filters and the order, so that a cursor continues only its own listing.
    l: u64,
    /// The last row's sort key as text; none in the range of those without one.
    k: Option<String>,
    /// Its id; 0 where the range of those without a key begins.
    i: i64,
}

impl Cursor {
    /// Of a page of a listing, which is described by its filters and its order, by its last row.
    pub(crate) fn new(listing: &str, key: Option<String>, id: i64) -> Self {
        Self { l: hash(listing), k: key, i: id }
    }

    /// As a caller gets it.
    pub(crate) fn write(&self) -> String {
        write(self)
    }

    /// As a caller gives it back; it has to be of this listing.
    pub(crate) fn parse(text: &str, listing: &str) -> Result<Self, Error> {
        read::<Self>(text).filter(|cursor| cursor.l == hash(listing)).ok_or_else(wrong_cursor)
    }

    /// The last row's sort key as text; none in the range of those without one.
    pub(crate) fn key(&self) -> Option<String> {
        self.k.clone()
    }

    /// The last row's id.
    pub(crate) fn id(&self) -> i64 {
        self.i
    }
}

/// A place as a caller gets it.
pub(crate) fn write<T: Serialize>(place: &T) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// A place as a caller gives it back; nothing where it is none.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// A number that stays the same for the same filters and order, in every replica and version of the product.
pub(crate) fn hash(listing: &str) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(listing.as_bytes());
    digest.iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A key that PostgreSQL cannot read came from a cursor that was tampered with.
pub(crate) fn wrong_key(error: sqlx::Error, after: Option<&Cursor>) -> Error {
    let is_data = |error: &sqlx::Error| {
        error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code.starts_with("22"))
    };
    if after.is_some() && is_data(&error) { wrong_cursor() } else { error.into() }
}

/// The answer to a cursor that is none of the listing.
pub(crate) fn wrong_cursor() -> Error {
    Error::Malformed {
        reason: "CURSOR_INVALID".into(),
        message: "the cursor is not from this listing".to_owned(),
    }
}
