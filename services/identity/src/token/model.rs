//! Refresh tokens and the sessions they belong to: what one looks like, and which one is good.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

/// A session that is not refreshed for so long is over.
pub const IDLE: TimeDelta = TimeDelta::days(14);
/// A session is over after so long, however often it is refreshed.
pub const LONGEST: TimeDelta = TimeDelta::days(30);

/// The token before the latest is taken once more for so long while the latest is unused: the answer may have been lost.
pub const GRACE: TimeDelta = TimeDelta::seconds(10);

/// Half of a refresh token's secret.
pub type Half = [u8; 16];

/// A refresh token: `<session id>.<generation>.<43 letters>`. The letters are two secrets of 128 bits: one that all tokens of the
/// session have in common, one that only this generation has. Opaque to callers.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session it belongs to.
    pub session_id: i64,
    /// Which of the session's tokens it is: 1, 2, 3, …
    pub generation: i64,
    /// The secret of the session.
    pub family: Half,
    /// The secret of the generation.
    pub secret: Half,
}

impl RefreshToken {
    /// Reads what [`RefreshToken::expose`] wrote; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let session_id = parts.next()?.parse().ok()?;
        let generation = parts.next()?.parse().ok()?;
        let letters = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        let (family, secret) = letters.split_at_checked(16)?;
        let token = Self {
            session_id,
            generation,
            family: family.try_into().ok()?,
            secret: secret.try_into().ok()?,
        };
        (token.expose() == text).then_some(token)
    }

    /// The token as its owner gets it.
    pub fn expose(&self) -> String {
        let letters = URL_SAFE_NO_PAD.encode([self.family, self.secret].concat());
        format!("{}.{}.{letters}", self.session_id, self.generation)
    }

    /// The next token of the session whose latest is of that generation.
    #[must_use]
    pub fn next(&self, latest: i64, secret: Half) -> Self {
        Self { generation: latest + 1, secret, ..self.clone() }
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.[secret]", self.session_id, self.generation)
    }
}

/// What is kept of a secret. It has 128 random bits, so that a plain hash does.
pub fn hash(secret: &[u8]) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// A sign-in and what came of it: one family of refresh tokens, of which the latest is good.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: i64,
    /// Who signed in.
    pub user_id: i64,
    /// For which program, if for one.
    pub client_id: Option<i64>,
    /// Whether its tokens may be for changing too.
    pub may_write: bool,
    /// The latest token's.
    pub generation: i64,
    /// Hash of the secret that its tokens have in common.
    pub family_hash: Vec<u8>,
    /// Hash of the secret that the latest has alone.
    pub secret_hash: Vec<u8>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it is over unless it is refreshed before.
    pub expires_at: DateTime<Utc>,
    /// Since when it is over.
    pub ended_at: Option<DateTime<Utc>>,
    /// The generation of the token for which the latest was given.
    pub previous_generation: Option<i64>,
    /// Hash of the secret that it had alone.
    pub previous_secret_hash: Option<Vec<u8>>,
    /// When it was first exchanged.
    pub rotated_at: Option<DateTime<Utc>>,
}

/// What a presented token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The latest of a live session.
    Latest,
    /// The one for which the unused latest was given moments ago: whoever had it may not have got the answer.
    Previous,
    /// Of this session, which is live, and not its latest: somebody used it before, or guesses on from one.
    Reused,
    /// Of no live session, or made up by someone who never had one of its tokens. It changes nothing.
    Unknown,
}

impl Session {
    /// Whether the token is one of this session's, whichever.
    pub fn is_of(&self, token: &RefreshToken) -> bool {
        verify_slices_are_equal(&self.family_hash, &hash(&token.family)).is_ok()
    }

    /// What that token is to this session.
    pub fn standing(&self, token: &RefreshToken, now: DateTime<Utc>) -> Standing {
        let same =
            |hashed: &[u8], secret: &[u8]| verify_slices_are_equal(hashed, &hash(secret)).is_ok();
        if self.ended_at.is_some() || self.expires_at <= now || !self.is_of(token) {
            Standing::Unknown
        } else if self.generation == token.generation && same(&self.secret_hash, &token.secret) {
            Standing::Latest
        } else if self.previous_generation == Some(token.generation)
            && self
                .previous_secret_hash
                .as_deref()
                .is_some_and(|hashed| same(hashed, &token.secret))
            && self.rotated_at.is_some_and(|at| now < at + GRACE)
        {
            // The latest is unused: using it would have made it the previous one.
            Standing::Previous
        } else {
            Standing::Reused
        }
    }
}

/// When a session that was opened then and is used now is over.
pub fn expires_at(created_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    (now + IDLE).min(created_at + LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: RefreshToken =
        RefreshToken { session_id: 7, generation: 3, family: [1; 16], secret: [2; 16] };

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(number)
    }

    fn session() -> Session {
        Session {
            id: 7,
            user_id: 1,
            client_id: None,
            may_write: true,
            generation: 3,
            family_hash: hash(&TOKEN.family),
            secret_hash: hash(&TOKEN.secret),
            created_at: day(0),
            expires_at: expires_at(day(0), day(0)),
            ended_at: None,
            previous_generation: Some(2),
            previous_secret_hash: Some(hash(&[9; 16])),
            rotated_at: Some(day(0)),
        }
    }

    #[test]
    fn the_token_before_the_latest_is_taken_for_ten_seconds() {
        let previous = RefreshToken { generation: 2, secret: [9; 16], ..TOKEN };
        let after = |seconds| day(0) + TimeDelta::seconds(seconds);
        assert_eq!(session().standing(&previous, after(9)), Standing::Previous);
        assert_eq!(session().standing(&previous, after(10)), Standing::Reused);
        let other = RefreshToken { generation: 2, secret: [8; 16], ..TOKEN };
        assert_eq!(session().standing(&other, after(0)), Standing::Reused);
        let before = RefreshToken { generation: 1, secret: [9; 16], ..TOKEN };
        assert_eq!(session().standing(&before, after(0)), Standing::Reused);
    }

    #[test]
    fn a_token_is_read_back_and_not_in_any_other_spelling() {
        let text = TOKEN.expose();
        assert_eq!(RefreshToken::parse(&text), Some(TOKEN));
        assert_eq!(text.rsplit('.').next().map(str::len), Some(43));
        for other in [
            format!("0{text}"),
            format!("+{text}"),
            format!("{text}="),
            format!("{text}.1"),
            text[..text.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(RefreshToken::parse(&other), None, "{other}");
        }
        assert!(!format!("{TOKEN:?}").contains(&text[4..]));
    }

    #[test]
    fn only_the_latest_token_of_a_live_session_is_good() {
        assert_eq!(session().standing(&TOKEN, day(1)), Standing::Latest);
        assert_eq!(session().standing(&TOKEN, day(14)), Standing::Unknown);
        let ended = Session { ended_at: Some(day(0)), ..session() };
        assert_eq!(ended.standing(&TOKEN, day(1)), Standing::Unknown);
    }

    #[test]
    fn an_earlier_token_is_reuse_and_a_guess_is_nothing() {
        let earlier = RefreshToken { generation: 2, secret: [9; 16], ..TOKEN };
        assert_eq!(session().standing(&earlier, day(1)), Standing::Reused);
        let guess = RefreshToken { family: [9; 16], ..TOKEN };
        assert_eq!(session().standing(&guess, day(1)), Standing::Unknown);
    }

    #[test]
    fn a_session_ends_after_thirty_days_however_often_it_is_refreshed() {
        assert_eq!(expires_at(day(0), day(5)), day(19));
        assert_eq!(expires_at(day(0), day(29)), day(30));
    }
}
