//! How often somebody may guess: the rules of waiting, without a clock.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

/// From so many failures on an account waits.
pub const FREE_FAILURES: i32 = 5;
/// The longest that it waits.
pub const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(15);
/// A failure is forgotten after so long without another.
pub const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(1);
/// An address prefix with a success within so long has a count of its own, which failures from elsewhere do not touch.
pub const TRUSTED_FOR: TimeDelta = TimeDelta::days(30);
/// So many failures a minute from an address, whatever the account.
pub const FAILURES_PER_ADDRESS: i32 = 30;
/// That minute.
pub const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// Who tries to sign in, as far as the connection tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The address of the client, if known.
    pub address: Option<IpAddr>,
}

impl Peer {
    /// The address as it is kept and told.
    pub fn told(self) -> Option<String> {
        self.address.map(|address| address.to_canonical().to_string())
    }

    /// The part of the address that one customer of a network has: all of IPv4's, the first half of IPv6's. Empty where it is not known.
    pub fn prefix(self) -> String {
        match self.address.map(|address| address.to_canonical()) {
            None => String::new(),
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }
}

/// Wrong sign-ins that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub failures: i32,
    /// Nothing is checked before.
    pub blocked_until: DateTime<Utc>,
    /// The latest.
    pub failed_at: DateTime<Utc>,
}

impl Failures {
    /// With one more.
    #[must_use]
    pub fn and_another(before: Option<Self>, now: DateTime<Utc>) -> Self {
        let known = before.filter(|it| it.counts(now)).map_or(0, |it| it.failures);
        let failures = known.saturating_add(1);
        Self { failures, blocked_until: now + wait(failures), failed_at: now }
    }

    /// How long nothing is checked. The first ones do not make anybody wait, whoever's clock is ahead by a little.
    pub fn left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        (self.failures >= FREE_FAILURES && self.blocked_until > now)
            .then(|| self.blocked_until - now)
    }

    /// Whether they are not forgotten yet.
    pub fn counts(&self, now: DateTime<Utc>) -> bool {
        self.failures > 0 && self.failed_at + FORGOTTEN_AFTER > now
    }
}

/// How long an account waits after so many failures: 1 s after five, twice as long after each more.
pub fn wait(failures: i32) -> TimeDelta {
    match failures - FREE_FAILURES {
        ..0 => TimeDelta::zero(),
        more @ 0..10 => TimeDelta::seconds(1 << more).min(LONGEST_WAIT),
        _ => LONGEST_WAIT,
    }
}

/// What is kept of an account's address: the same for known and unknown ones, and of one length.
pub fn account(folded_email: &str) -> Vec<u8> {
    Sha256::digest(folded_email).to_vec()
}

/// The account under which codes of a user's second factor are counted: a hash of a hash, which no address has.
pub fn codes_of(user_id: i64) -> Vec<u8> {
    Sha256::digest(Sha256::digest(format!("codes of user {user_id}"))).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn an_account_waits_from_the_fifth_failure_on_and_a_quarter_of_an_hour_at_most() {
        let seconds: Vec<_> = (1..=16).map(|failures| wait(failures).num_seconds()).collect();
        assert_eq!(seconds, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(wait(i32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn a_failure_is_forgotten_after_a_day() {
        let first = Failures::and_another(None, at(0));
        assert_eq!(first.failures, 1);
        assert_eq!(Failures::and_another(Some(first), at(86_399)).failures, 2);
        assert_eq!(Failures::and_another(Some(first), at(86_400)).failures, 1);
    }

    #[test]
    fn guessing_without_end_is_fewer_than_a_hundred_guesses_an_hour() {
        let (mut now, mut guesses, mut failures) = (at(0), 0, None);
        while now < at(3_600) {
            let next = Failures::and_another(failures, now);
            (guesses, now, failures) = (guesses + 1, next.blocked_until, Some(next));
        }
        assert!(guesses < 100, "{guesses}");
    }

    #[test]
    fn who_has_a_network_of_ipv6_has_one_prefix() {
        let prefix = |address: &str| Peer { address: Some(address.parse().unwrap()) }.prefix();
        assert_eq!(prefix("192.0.2.7"), "192.0.2.7");
        assert_eq!(prefix("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(prefix("2001:db8:1:2:3:4:5:6"), prefix("2001:db8:1:2::1"));
        assert_ne!(prefix("2001:db8:1:2::1"), prefix("2001:db8:1:3::1"));
        assert_eq!(Peer::default().prefix(), "");
    }
}
