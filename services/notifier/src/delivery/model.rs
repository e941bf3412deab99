//! A delivery's life: queued, sending, and delivered, tried again later, given up after a day, or cancelled.

use chrono::{DateTime, TimeDelta, Utc};

/// How long somebody who took a delivery on may take before another does.
pub const LEASE: TimeDelta = TimeDelta::minutes(2);
/// What was not delivered within this is given up.
pub const LONGEST: TimeDelta = TimeDelta::days(1);
/// Between the attempts; the last one is repeated.
const DELAYS_S: [i64; 7] = [30, 120, 600, 1_800, 3_600, 7_200, 14_400];

/// A delivery that is being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: i64,
    /// Which attempt this is: 1, 2, 3, …
    pub attempts: i32,
    /// The same at every attempt.
    pub message_id: String,
    /// The trace of the request that caused it.
    pub traceparent: Option<String>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// From when on there is no use in it.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it brings.
    pub content: Content,
}

/// What a delivery brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A notification.
    Notification {
        /// In one line.
        title: String,
        /// A few lines more.
        body: String,
        /// Whom it goes to; absent while identity has not told of them.
        recipient: Option<Recipient>,
    },
    /// A link by which its recipient sets a password. Whom it goes to, and the link itself, identity is asked at every attempt.
    PasswordLink(i64),
}

/// What is to be sent now.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// Whom it goes to.
    pub recipient: Recipient,
    /// In one line.
    pub title: String,
    /// The rest.
    pub body: String,
}

/// Whom a delivery goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The name shown.
    pub username: String,
    /// The address.
    pub email: String,
    /// Who may not sign in gets no mail.
    pub is_active: bool,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered,
    /// Not yet.
    Retry {
        /// When it is tried again.
        at: DateTime<Utc>,
        /// Why it failed.
        error: String,
    },
    /// Never.
    Exhausted {
        /// Why it failed.
        error: String,
    },
    /// It was not needed any more.
    Cancelled {
        /// Why not.
        reason: String,
    },
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work later.
    Passing(String),
    /// It will not.
    Permanent(String),
    /// There is no more use in it.
    Needless(String),
}

impl Due {
    /// What becomes of this delivery after that attempt.
    pub fn settle(&self, result: Result<(), Failure>, now: DateTime<Utc>) -> Outcome {
        match result {
            Ok(()) => Outcome::Delivered,
            Err(Failure::Permanent(error)) => Outcome::Exhausted { error },
            Err(Failure::Needless(reason)) => Outcome::Cancelled { reason },
            Err(Failure::Passing(error)) => {
                let index = usize::try_from(self.attempts - 1).unwrap_or_default();
                let delay = DELAYS_S.get(index).or(DELAYS_S.last()).copied().unwrap_or_default();
                let at = now + TimeDelta::seconds(delay);
                let longest = self.created_at + LONGEST;
                if at <= self.expires_at.map_or(longest, |until| until.min(longest)) {
                    Outcome::Retry { at, error }
                } else {
                    Outcome::Exhausted { error }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(attempts: i32) -> Due {
        Due {
            id: 1,
            attempts,
            message_id: "<1@example.com>".to_owned(),
            traceparent: None,
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            content: Content::PasswordLink(5),
        }
    }

    #[test]
    fn a_passing_failure_is_tried_again_ever_later_for_a_day() {
        let mut now = DateTime::UNIX_EPOCH;
        let mut waits = Vec::new();
        for attempts in 1.. {
            match due(attempts).settle(Err(Failure::Passing("down".to_owned())), now) {
                Outcome::Retry { at, .. } => {
                    waits.push((at - now).num_seconds());
                    now = at;
                }
                Outcome::Exhausted { error } => {
                    assert_eq!(error, "down");
                    break;
                }
                outcome => panic!("{outcome:?}"),
            }
        }
        assert!(waits.is_sorted() && waits[0] == 30, "{waits:?}");
        assert!(
            now - DateTime::UNIX_EPOCH <= LONGEST
                && now - DateTime::UNIX_EPOCH > TimeDelta::hours(16),
            "{now}"
        );
    }

    #[test]
    fn a_permanent_failure_is_not_tried_again() {
        let outcome = due(1)
            .settle(Err(Failure::Permanent("no such mailbox".to_owned())), DateTime::UNIX_EPOCH);
        assert_eq!(outcome, Outcome::Exhausted { error: "no such mailbox".to_owned() });
    }

    #[test]
    fn what_is_of_no_use_later_is_not_tried_later() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let due = Due { expires_at: Some(at(900)), ..due(3) };
        let fails = || Err(Failure::Passing("down".to_owned()));
        let outcome = due.settle(fails(), at(150));
        assert!(matches!(outcome, Outcome::Retry { at: next, .. } if next == at(750)));
        let outcome = due.settle(fails(), at(750));
        assert_eq!(outcome, Outcome::Exhausted { error: "down".to_owned() });
    }

    #[test]
    fn what_nobody_needs_any_more_is_cancelled() {
        let outcome =
            due(1).settle(Err(Failure::Needless("used".to_owned())), DateTime::UNIX_EPOCH);
        assert_eq!(outcome, Outcome::Cancelled { reason: "used".to_owned() });
    }
}
