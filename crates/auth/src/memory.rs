//! The tokens that have been verified, so that a signature is checked once and not at each request.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use crate::Caller;

/// Locks that are taken apart from each other.
const SHARDS: usize = 16;
/// Tokens that a shard holds: 16,384 in all, at well under a kilobyte each.
const PER_SHARD: usize = 1_024;
/// As much of a token as serves for a key: the end of its signature, 192 bits that no two tokens share.
const KEY: usize = 32;

type Key = [u8; KEY];
type Shard = HashMap<Key, Verified>;

/// Verified tokens and whom they tell of.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    shards: [RwLock<Shard>; SHARDS],
}

/// A token that was good when it was verified. Whether it still is depends on the time and on revocations.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    token: Box<str>,
    pub(crate) caller: Caller,
    /// The first second at which it is too old, leeway included.
    pub(crate) expires_at: i64,
}

impl Memory {
    /// What was remembered of this very token.
    pub(crate) fn get(&self, token: &str) -> Option<(Caller, i64)> {
        let key = key(token)?;
        let shard = self.shard(&key).read().unwrap_or_else(PoisonError::into_inner);
        // The whole token has to be the same: the key is only its end.
        let found = shard.get(&key).filter(|it| *it.token == *token)?;
        Some((found.caller.clone(), found.expires_at))
    }

    /// Remembers a verified token. When there are too many, those that have expired at `now` are forgotten, then any.
    pub(crate) fn put(&self, token: &str, caller: Caller, expires_at: i64, now: i64) {
        let Some(key) = key(token) else { return };
        let mut shard = self.shard(&key).write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= PER_SHARD {
            shard.retain(|_, it| it.expires_at > now);
        }
        if shard.len() >= PER_SHARD
            && let Some(any) = shard.keys().next().copied()
        {
            shard.remove(&any);
        }
        shard.insert(key, Verified { token: token.into(), caller, expires_at });
    }

    /// Forgets all: each token is verified anew.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn shard(&self, key: &Key) -> &RwLock<Shard> {
        // Base64: the low bits of its letters differ.
        &self.shards[usize::from(key[0] ^ key[1].rotate_left(2)) % SHARDS]
    }
}

fn key(token: &str) -> Option<Key> {
    token.as_bytes().last_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> String {
        format!("header.payload.{number:0>40}")
    }

    #[test]
    fn only_the_very_token_is_found() {
        let memory = Memory::default();
        memory.put(&token(1), Caller::service("a"), 100, 0);
        assert_eq!(memory.get(&token(1)), Some((Caller::service("a"), 100)));
        assert_eq!(memory.get(&token(2)), None);
        // The same signature under another payload.
        assert_eq!(memory.get(&token(1).replace("payload", "forgery")), None);
        assert_eq!(memory.get("short"), None);
        memory.clear();
        assert_eq!(memory.get(&token(1)), None);
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let memory = Memory::default();
        for number in 0..SHARDS * PER_SHARD * 2 {
            memory.put(&token(number), Caller::service("a"), 100, 0);
        }
        let held: usize = memory.shards.iter().map(|shard| shard.read().unwrap().len()).sum();
        assert!(held <= SHARDS * PER_SHARD, "{held}");
        let newest = token(SHARDS * PER_SHARD * 2 - 1);
        assert!(memory.get(&newest).is_some());
    }
}
