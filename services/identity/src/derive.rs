//! Keys that come from `SECRET_KEY` alone, so that every replica has the same and nothing is stored.

use aws_lc_rs::{
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use process::Secret;

/// The key for HMAC-SHA256 that HKDF-SHA256 makes of a secret for that purpose and no other.
pub fn hmac_key(secret: &Secret, purpose: &[u8]) -> Result<hmac::Key, Unspecified> {
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret.expose().as_bytes());
    Ok(extracted.expand(&[purpose], hmac::HMAC_SHA256)?.into())
}

/// Marks requests that hold secrets: what is kept of one tells whether another is the same, and lets nobody guess what was in it.
#[derive(Clone)]
pub struct Marker(hmac::Key);

/// Binds the key to this one use.
const PURPOSE: &[u8] = b"salespipeline idempotent requests v1";

impl Marker {
    /// With the key of this secret.
    pub fn of(secret: &Secret) -> Result<Self, Unspecified> {
        Ok(Self(hmac_key(secret, PURPOSE)?))
    }

    /// The mark of a request.
    pub fn mark(&self, request: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, request).as_ref().to_vec()
    }
}

impl std::fmt::Debug for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_the_requests_and_the_secrets_own() {
        let marker = |secret: &str| Marker::of(&secret.into()).unwrap();
        let mark = marker("a secret").mark(b"request");
        assert_eq!(mark, marker("a secret").mark(b"request"));
        assert_ne!(mark, marker("a secret").mark(b"another"));
        assert_ne!(mark, marker("another secret").mark(b"request"));
    }
}
