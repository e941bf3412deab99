//! Secrets that have to be read again: encrypted in the database, under keys that are derived from `SECRET_KEY` and stored nowhere.

use std::{fmt, sync::Arc};

use anyhow::anyhow;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
};
use process::Secret;

/// Binds the keys to this one use of the secret.
const PURPOSE: &[u8] = b"salespipeline second factor v1";
/// Names a key without telling anything of it.
const NAME: &[u8] = b"name";

/// Bytes of a key's name.
const NAME_LEN: usize = 8;

/// Randomness for one encryption.
pub type Random = [u8; NONCE_LEN];

/// Encrypts under the key of `SECRET_KEY`, and decrypts what was encrypted under that or the key of `SECRET_KEY_PREVIOUS`. Cheap to clone.
#[derive(Clone)]
pub struct Seal {
    /// The first encrypts.
    keys: Arc<[Key]>,
}

struct Key {
    name: [u8; NAME_LEN],
    aead: LessSafeKey,
}

impl Seal {
    /// The keys of these secrets.
    pub fn of(secret_key: &Secret, previous: Option<&Secret>) -> anyhow::Result<Self> {
        let keys = [secret_key].into_iter().chain(previous).map(Key::of);
        let keys: Result<Vec<_>, _> = keys.collect();
        let keys = keys.map_err(|_| anyhow!("no key can be derived from SECRET_KEY"))?;
        Ok(Self { keys: keys.into() })
    }

    /// The name of the key that encrypts: what was encrypted under it begins with that.
    pub fn name(&self) -> &[u8] {
        self.keys.first().map_or(&[], |key| &key.name)
    }

    /// Encrypts. What is bound to it has to be named again to decrypt.
    pub fn seal(&self, plain: &[u8], bound: &str, random: Random) -> anyhow::Result<Vec<u8>> {
        let key = self.keys.first().ok_or_else(|| anyhow!("there is no key"))?;
        let mut text = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(random);
        key.aead
            .seal_in_place_append_tag(nonce, Aad::from(bound), &mut text)
            .map_err(|_| anyhow!("nothing can be encrypted"))?;
        Ok([&key.name[..], &random[..], &text[..]].concat())
    }

    /// Decrypts. Fails where it was changed, is bound to something else, or was encrypted under a key that is gone.
    pub fn open(&self, sealed: &[u8], bound: &str) -> anyhow::Result<Vec<u8>> {
        let parts = sealed
            .split_at_checked(NAME_LEN)
            .and_then(|(name, rest)| Some((name, rest.split_first_chunk()?)));
        let (name, (random, text)) = parts.ok_or_else(|| anyhow!("a secret is too short"))?;
        let key = self.keys.iter().find(|key| key.name == name).ok_or_else(|| {
            anyhow!("a secret is encrypted under neither SECRET_KEY nor SECRET_KEY_PREVIOUS")
        })?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*random);
        let plain = key.aead.open_in_place(nonce, Aad::from(bound), &mut text);
        Ok(plain.map_err(|_| anyhow!("a secret was changed"))?.to_vec())
    }
}

impl Key {
    fn of(secret: &Secret) -> Result<Self, Unspecified> {
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret.expose().as_bytes());
        let mut name = [0; 32];
        extracted.expand(&[PURPOSE, NAME], HKDF_SHA256)?.fill(&mut name)?;
        let aead = UnboundKey::from(extracted.expand(&[PURPOSE], &AES_256_GCM)?);
        let name = *name.first_chunk().ok_or(Unspecified)?;
        Ok(Self { name, aead: LessSafeKey::new(aead) })
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal([secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn seal(key: &str, previous: Option<&str>) -> Seal {
        Seal::of(&key.into(), previous.map(Secret::from).as_ref()).unwrap()
    }

    #[test]
    fn a_secret_is_read_back_where_it_belongs_and_nowhere_else() {
        let sealed = seal(OLD, None).seal(b"secret", "7", [1; 12]).unwrap();
        assert_eq!(seal(OLD, None).open(&sealed, "7").unwrap(), b"secret");
        assert!(seal(OLD, None).open(&sealed, "8").is_err());
        assert!(seal(NEW, None).open(&sealed, "7").is_err());
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(seal(OLD, None).open(&changed, "7").is_err(), "{place}");
            assert!(seal(OLD, None).open(&sealed[..place], "7").is_err(), "{place}");
        }
    }

    #[test]
    fn what_the_previous_key_encrypted_is_read_and_the_new_one_encrypts() {
        let old = seal(OLD, None).seal(b"secret", "7", [1; 12]).unwrap();
        let both = seal(NEW, Some(OLD));
        assert_eq!(both.open(&old, "7").unwrap(), b"secret");
        assert!(old.starts_with(seal(OLD, None).name()) && !old.starts_with(both.name()));
        let new = both.seal(b"secret", "7", [1; 12]).unwrap();
        assert!(new.starts_with(both.name()));
        assert_eq!(seal(NEW, None).open(&new, "7").unwrap(), b"secret");
    }

    #[test]
    fn nothing_of_the_keys_is_printed() {
        assert_eq!(format!("{:?}", seal(OLD, None)), "Seal([secret])");
    }
}
