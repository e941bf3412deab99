//! What a link by which somebody sets a password is: how its secret is made, and when it is good.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, error::Unspecified, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use process::{PublicUrl, Secret};
use sha2::{Digest as _, Sha256};

use crate::derive;

/// So many links an hour are made for an account that asks for them.
pub const PER_ACCOUNT: i32 = 3;
/// So many from an address, whatever the account.
pub const PER_ADDRESS: i32 = 10;
/// That hour.
pub const WINDOW: TimeDelta = TimeDelta::hours(1);

/// Binds what is derived from the secret to this one use.
const PURPOSE: &[u8] = b"salespipeline password links v1";

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Kind {
    /// An administrator's: to set the first password, or another one.
    Invitation,
    /// To set another one, because it was forgotten.
    Reset,
}

impl Kind {
    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }

    /// How long such a link is good.
    pub const fn life(self) -> TimeDelta {
        match self {
            Self::Invitation => TimeDelta::days(7),
            Self::Reset => TimeDelta::minutes(15),
        }
    }
}

/// A link as it is kept: enough to know its secret again, and not to make it.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its id.
    pub id: i64,
    /// Whose password.
    pub user_id: i64,
    /// What it is for.
    pub kind: Kind,
    /// What its secret is derived from, besides id and key.
    pub nonce: Vec<u8>,
    /// SHA-256 of its secret.
    pub token_hash: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
    /// When a password was set by it.
    pub used_at: Option<DateTime<Utc>>,
    /// When another took its place, or it was not needed any more.
    pub withdrawn_at: Option<DateTime<Utc>>,
    /// Of the change log.
    pub version: i64,
}

impl Link {
    /// A new one of that user.
    pub fn new(token: &Token, user_id: i64, kind: Kind, nonce: Nonce, now: DateTime<Utc>) -> Self {
        Self {
            id: token.link_id,
            user_id,
            kind,
            nonce: nonce.to_vec(),
            token_hash: token.hash(),
            created_at: now,
            expires_at: now + kind.life(),
            used_at: None,
            withdrawn_at: None,
            version: 1,
        }
    }

    /// Whether a password may be set by it, for all that the link itself says.
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.used_at.is_none() && self.withdrawn_at.is_none() && now < self.expires_at
    }

    /// Whether the token is its own.
    pub fn is_of(&self, token: &Token) -> bool {
        self.id == token.link_id && verify_slices_are_equal(&self.token_hash, &token.hash()).is_ok()
    }

    /// After a password was set by it.
    #[must_use]
    pub fn used(self, now: DateTime<Utc>) -> Self {
        Self { used_at: Some(now), version: self.version + 1, ..self }
    }
}

/// Randomness for one link.
pub type Nonce = [u8; 16];

/// What a link ends with: `<link id>.<43 letters>`, of which the letters are secret. Opaque to callers.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The link it belongs to.
    pub link_id: i64,
    secret: [u8; 32],
}

impl Token {
    /// Reads what [`Token::expose`] wrote; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, letters) = text.split_once('.')?;
        let secret = URL_SAFE_NO_PAD.decode(letters).ok()?.try_into().ok()?;
        let token = Self { link_id: id.parse().ok()?, secret };
        (token.expose() == text).then_some(token)
    }

    /// The token as its owner gets it.
    pub fn expose(&self) -> String {
        format!("{}.{}", self.link_id, URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// What is kept of it. The secret has 256 bits, so that a plain hash does.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.secret).to_vec()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.[secret]", self.link_id)
    }
}

/// What secrets of links are derived with. It comes from `SECRET_KEY` alone, so that every replica has the same and nothing is stored.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// The key of this secret: HKDF-SHA256 makes it.
    pub fn from_secret(secret: &Secret) -> Result<Self, Unspecified> {
        Ok(Self(derive::hmac_key(secret, PURPOSE)?))
    }

    /// The token of a link: HMAC-SHA256 over id and nonce.
    pub fn token(&self, link_id: i64, nonce: &[u8]) -> Option<Token> {
        let tag = hmac::sign(&self.0, &[&link_id.to_be_bytes()[..], nonce].concat());
        Some(Token { link_id, secret: tag.as_ref().try_into().ok()? })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// What links are made with, and where they lead.
#[derive(Clone, Debug)]
pub struct Links {
    /// Makes new ones.
    pub key: Key,
    /// Made some before, or will next.
    pub second: Option<Key>,
    /// Where people find the product, if it was told.
    pub public_url: Option<PublicUrl>,
}

impl Links {
    /// The link itself: a path where it is not known where people find the product.
    pub fn url(&self, token: &Token) -> Secret {
        let origin = self.public_url.as_ref().map_or("", PublicUrl::as_str);
        Secret::from(format!("{origin}/set-password?token={}", token.expose()))
    }

    /// The token of a link that was made before, unless with a key that is not known any more.
    pub fn token_of(&self, link: &Link) -> Option<Token> {
        let keys = [&self.key].into_iter().chain(&self.second);
        keys.filter_map(|key| key.token(link.id, &link.nonce)).find(|token| link.is_of(token))
    }
}

/// What is counted of those who ask: never the address itself, and of one length.
pub fn subject(kind: &str, text: &str) -> Vec<u8> {
    Sha256::digest(format!("{kind}:{text}")).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = [7; 16];

    fn key(secret: &str) -> Key {
        Key::from_secret(&secret.into()).unwrap()
    }

    fn links() -> Links {
        let second = Some(key("another secret"));
        Links { key: key("a secret"), second, public_url: None }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_token_is_the_same_everywhere_and_another_for_another_link_nonce_and_key() {
        let token = key("a secret").token(5, &NONCE).unwrap();
        // Links that are on their way are void when this changes: it must not by accident.
        assert_eq!(token.expose(), "5.-ijZigUit1weNDQo7sGkWpOBj7kT6BmOEmf8EQ2PCK4");
        assert_eq!(key("a secret").token(5, &NONCE), Some(token.clone()));
        for other in [
            key("a secret").token(6, &NONCE),
            key("a secret").token(5, &[8; 16]),
            key("another secret").token(5, &NONCE),
        ] {
            assert_ne!(other.unwrap().secret, token.secret);
        }
    }

    #[test]
    fn a_token_reads_back_as_it_is_written_and_nothing_else_does() {
        let token = key("a secret").token(5, &NONCE).unwrap();
        let text = token.expose();
        assert_eq!(text.len(), 2 + 43);
        assert_eq!(Token::parse(&text), Some(token.clone()));
        assert_eq!(format!("{token:?}"), "5.[secret]");
        let letters = &text[2..];
        for bad in [
            "",
            ".",
            letters,
            &text[..text.len() - 1],
            &format!("05.{letters}"),
            &format!("+5.{letters}"),
            &format!(" {text}"),
            &format!("{text}="),
            &format!("x.{letters}"),
        ] {
            assert_eq!(Token::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_link_is_good_for_its_time_until_it_is_used_or_withdrawn() {
        let token = key("a secret").token(5, &NONCE).unwrap();
        let link = Link::new(&token, 1, Kind::Reset, NONCE, at(0));
        assert!(link.is_of(&token) && link.is_good(at(899)));
        assert!(!link.is_good(at(900)));
        let invitation = Link::new(&token, 1, Kind::Invitation, NONCE, at(0));
        assert!(invitation.is_good(at(7 * 86_400 - 1)) && !invitation.is_good(at(7 * 86_400)));
        assert!(!Link { withdrawn_at: Some(at(1)), ..link.clone() }.is_good(at(2)));
        let used = link.clone().used(at(1));
        assert!(!used.is_good(at(2)));
        assert_eq!(used.version, 2);
        let of_another = key("a secret").token(6, &NONCE).unwrap();
        let guessed = Token { link_id: 5, ..of_another.clone() };
        assert!(!link.is_of(&of_another) && !link.is_of(&guessed));
    }

    #[test]
    fn a_link_can_be_told_again_by_either_key_and_by_no_other() {
        let links = links();
        for (secret, is_told) in [("a secret", true), ("another secret", true), ("lost", false)] {
            let token = key(secret).token(5, &NONCE).unwrap();
            let link = Link::new(&token, 1, Kind::Reset, NONCE, at(0));
            assert_eq!(links.token_of(&link), is_told.then_some(token), "{secret}");
        }
    }

    #[test]
    fn a_link_leads_to_where_people_find_the_product_or_is_a_path() {
        let token = key("a secret").token(5, &NONCE).unwrap();
        let url = |text: &str| {
            let public_url = PublicUrl::parse(text).unwrap();
            Links { public_url, ..links() }.url(&token).expose().to_owned()
        };
        let path = format!("/set-password?token={}", token.expose());
        assert_eq!(url(""), path);
        assert_eq!(url("https://sales.example/"), format!("https://sales.example{path}"));
        assert!(!format!("{:?}", links().url(&token)).contains("token"));
    }

    #[test]
    fn an_account_and_an_address_of_one_text_are_counted_apart() {
        assert_ne!(subject("account", "x"), subject("address", "x"));
        assert_eq!(subject("account", "x").len(), 32);
    }
}
