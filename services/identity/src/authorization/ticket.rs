//! What says between the two steps of a sign-in who has shown their password: a sealed text in the form, so that nothing is kept and each step may reach another replica.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use rpc::Error;
use sha2::{Digest as _, Sha256};

use super::model::Wanted;
use crate::{
    seal::{self, Seal},
    session::model::Method,
    token::store::Account,
};

/// How long the second step may take: time to install an app and to write codes down.
pub const LIFE: TimeDelta = TimeDelta::minutes(10);

/// The longest text that may be one.
const LONGEST: usize = 256;

/// Who has shown their password, or was told of by the external provider, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The user.
    pub user_id: i64,
    /// How they showed who they are.
    pub method: Method,
    shown_at: DateTime<Utc>,
    /// Tells whether the password is still the same.
    mark: [u8; 32],
}

impl Ticket {
    /// For an account whose owner has just shown who they are.
    pub fn of(account: &Account, method: Method, now: DateTime<Utc>) -> Self {
        Self { user_id: account.user_id, method, shown_at: now, mark: mark(account) }
    }

    /// Whether the account is still what it was then.
    pub fn is_of(&self, account: &Account) -> bool {
        account.is_active && account.user_id == self.user_id && mark(account) == self.mark
    }

    /// As a form holds it. It is good for what that program asks for, and nothing else.
    pub fn seal(
        &self,
        seal: &Seal,
        wanted: &Wanted,
        random: seal::Random,
    ) -> Result<String, Error> {
        let shown_at = self.shown_at.timestamp_micros();
        let method = [u8::from(self.method == Method::External)];
        let user_id = self.user_id.to_be_bytes();
        let plain = [&user_id[..], &shown_at.to_be_bytes(), &method, &self.mark].concat();
        Ok(URL_SAFE_NO_PAD.encode(seal.seal(&plain, &bound(wanted), random)?))
    }

    /// Reads one back. Nothing where it is none of ours, for something else, or too old.
    pub fn open(seal: &Seal, text: &str, wanted: &Wanted, now: DateTime<Utc>) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = seal.open(&sealed, &bound(wanted)).ok()?;
        let (user_id, rest) = plain.split_first_chunk()?;
        let (shown_at, rest) = rest.split_first_chunk()?;
        let (is_external, mark) = rest.split_first()?;
        let method = if *is_external == 1 { Method::External } else { Method::Code };
        let shown_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*shown_at))?;
        let (user_id, mark) = (i64::from_be_bytes(*user_id), mark.try_into().ok()?);
        let ticket = Self { user_id, method, shown_at, mark };
        (now < shown_at + LIFE).then_some(ticket)
    }
}

fn mark(account: &Account) -> [u8; 32] {
    Sha256::digest(account.hashed_password.as_deref().unwrap_or_default()).into()
}

/// The parts are separated by what none of them holds.
fn bound(wanted: &Wanted) -> String {
    let Wanted { client, redirect_uri, code_challenge, may_write } = wanted;
    format!(
        "step of a sign-in\0{}\0{redirect_uri}\0{code_challenge}\0{may_write}",
        client.client_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::model::Client, user::model::Role};

    fn seal() -> Seal {
        Seal::of(&"0123456789abcdef0123456789abcdef".into(), None).unwrap()
    }

    fn wanted() -> Wanted {
        Wanted {
            client: Client::example(),
            redirect_uri: "https://app.example.com/back".to_owned(),
            code_challenge: "challenge".to_owned(),
            may_write: true,
        }
    }

    fn account() -> Account {
        Account {
            user_id: 7,
            hashed_password: Some("$argon2id$one".to_owned()),
            role: Role::Rep,
            team_id: None,
            rights_version: 1,
            is_active: true,
        }
    }

    #[test]
    fn a_ticket_is_read_back_for_what_it_was_made_for_and_while_it_is_young() {
        let now = process::now();
        let ticket = Ticket::of(&account(), Method::External, now);
        let text = ticket.seal(&seal(), &wanted(), [1; 12]).unwrap();
        assert!(text.len() <= LONGEST);
        let opened = |text: &str, wanted: &Wanted, now| Ticket::open(&seal(), text, wanted, now);
        assert_eq!(opened(&text, &wanted(), now), Some(ticket.clone()));
        let late = now + LIFE - TimeDelta::microseconds(1);
        assert_eq!(opened(&text, &wanted(), late), Some(ticket));
        assert_eq!(opened(&text, &wanted(), now + LIFE), None);
        for other in [
            Wanted { redirect_uri: "https://app.example.com/other".to_owned(), ..wanted() },
            Wanted { code_challenge: "another".to_owned(), ..wanted() },
            Wanted { may_write: false, ..wanted() },
            Wanted {
                client: Client { client_id: "other".to_owned(), ..Client::example() },
                ..wanted()
            },
        ] {
            assert_eq!(opened(&text, &other, now), None, "{other:?}");
        }
        let changed = text.replacen(&text[40..41], if &text[40..41] == "A" { "B" } else { "A" }, 1);
        for text in ["", "A", &changed, &format!("{text}AAAA"), &"A".repeat(10_000)] {
            assert_eq!(opened(text, &wanted(), now), None, "{text}");
        }
    }

    #[test]
    fn a_ticket_is_void_once_the_account_is_another() {
        let ticket = Ticket::of(&account(), Method::Code, process::now());
        assert!(ticket.is_of(&account()));
        assert!(!ticket.is_of(&Account { is_active: false, ..account() }));
        assert!(!ticket.is_of(&Account { user_id: 8, ..account() }));
        assert!(!ticket.is_of(&Account { hashed_password: None, ..account() }));
        let another = Some("$argon2id$two".to_owned());
        assert!(!ticket.is_of(&Account { hashed_password: another, ..account() }));
    }
}
