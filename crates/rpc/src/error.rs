//! The one error of the workspace: what a caller can do about it.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use crate::reason;

/// An UPPER_SNAKE constant by which programs tell errors of one kind apart; see [`crate::reason`].
pub type Reason = Cow<'static, str>;

/// Why something was not done, told as what the caller can do about it.
///
/// Messages are for people, in English, and are shown to the caller; what only we should see goes into the source of `Unavailable`
/// and `Internal`, which is logged when the error becomes a `Status` and never leaves the process. `Display` is lower case, without
/// a full stop, and never includes the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mend the program: the request cannot be parsed. REST 400.
    #[error("{message}")]
    Malformed {
        /// Mostly [`reason::MALFORMED`].
        reason: Reason,
        /// What cannot be parsed.
        message: String,
    },
    /// Mend these fields and send it again. REST 422.
    #[error("the request is invalid")]
    Invalid(
        /// Every bad field; never empty.
        Vec<FieldError>,
    ),
    /// Sign in, or get a new token. REST 401.
    #[error("{message}")]
    Unauthenticated {
        /// One of the `TOKEN_` reasons, or how a sign-in failed.
        reason: Reason,
        /// What is wrong with the credentials, as far as the caller may know.
        message: String,
    },
    /// Ask somebody who may. REST 403.
    #[error("{message}")]
    Denied {
        /// Mostly [`reason::DENIED`].
        reason: Reason,
        /// What is not allowed.
        message: String,
    },
    /// It is not there, or not for this caller to see. REST 404.
    #[error("{kind} not found")]
    NotFound {
        /// What was looked for, in lower case: `opportunity`.
        kind: Cow<'static, str>,
        /// Its id as the caller named it.
        id: String,
    },
    /// Something else is in the way: take another name, or look at what is there. REST 409.
    #[error("{message}")]
    Conflict {
        /// What is in the way.
        reason: Reason,
        /// The same for people.
        message: String,
        /// What the caller may know of the other thing, such as its id.
        details: BTreeMap<String, String>,
        /// When the conflict may be over by itself.
        retry_after: Option<Duration>,
    },
    /// The thing is not in a state for this; change that first. REST 422.
    #[error("{message}")]
    Precondition {
        /// What is missing.
        reason: Reason,
        /// The same for people.
        message: String,
    },
    /// Read it again: it has changed since. REST 412.
    #[error("the record has changed since it was read")]
    Stale {
        /// The version that it has now, if the caller may know.
        current: Option<i64>,
    },
    /// Wait: a limit of this caller was reached. REST 429.
    #[error("{message}")]
    Exhausted {
        /// Which limit.
        reason: Reason,
        /// The same for people.
        message: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// Try again: something that is needed does not answer. REST 503.
    #[error("the service is unavailable at the moment")]
    Unavailable {
        /// Mostly [`reason::UNAVAILABLE`].
        reason: Reason,
        /// What does not answer; for the log.
        #[source]
        source: anyhow::Error,
    },
    /// A write may or may not have happened: try again with the same idempotency key. REST 503.
    #[error("it is not known whether this was done; try again with the same idempotency key")]
    OutcomeUnknown,
    /// Nothing: a defect on our side. REST 500.
    #[error("internal error")]
    Internal(
        /// What happened; for the log.
        #[source]
        anyhow::Error,
    ),
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field as the caller knows it: `amount`, `line_items[2].quantity`.
    pub field: String,
    /// For programs, lower case: `required`, `too_large`.
    pub code: Cow<'static, str>,
    /// For people: what it should have been.
    pub message: String,
}

impl Error {
    /// [`Error::Malformed`].
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed { reason: reason::MALFORMED.into(), message: message.into() }
    }

    /// [`Error::Invalid`] with a single field; see [`crate::Invalid`] for collecting several.
    pub fn invalid(
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self::Invalid(vec![FieldError::new(field, code, message)])
    }

    /// [`Error::Unauthenticated`].
    pub fn unauthenticated(reason: impl Into<Reason>, message: impl Into<String>) -> Self {
        Self::Unauthenticated { reason: reason.into(), message: message.into() }
    }

    /// [`Error::Denied`] for the usual reason.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::Denied { reason: reason::DENIED.into(), message: message.into() }
    }

    /// [`Error::NotFound`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "ids are numbers and texts that the caller is done with"
    )]
    pub fn not_found(kind: impl Into<Cow<'static, str>>, id: impl ToString) -> Self {
        Self::NotFound { kind: kind.into(), id: id.to_string() }
    }

    /// [`Error::Conflict`], of which the caller learns no more.
    pub fn conflict(reason: impl Into<Reason>, message: impl Into<String>) -> Self {
        Self::Conflict {
            reason: reason.into(),
            message: message.into(),
            details: BTreeMap::new(),
            retry_after: None,
        }
    }

    /// Adds to a conflict what the caller may know of it, such as the id of what is in the way. No other error changes.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "ids are numbers and texts that the caller is done with"
    )]
    pub fn about(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        if let Self::Conflict { details, .. } = &mut self {
            details.insert(name.into(), value.to_string());
        }
        self
    }

    /// Says when a conflict or an exhausted limit may be over. No other error changes.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        if let Self::Conflict { retry_after, .. } | Self::Exhausted { retry_after, .. } = &mut self
        {
            *retry_after = Some(wait);
        }
        self
    }

    /// [`Error::Precondition`].
    pub fn precondition(reason: impl Into<Reason>, message: impl Into<String>) -> Self {
        Self::Precondition { reason: reason.into(), message: message.into() }
    }

    /// [`Error::Exhausted`], with no word on how long to wait.
    pub fn exhausted(reason: impl Into<Reason>, message: impl Into<String>) -> Self {
        Self::Exhausted { reason: reason.into(), message: message.into(), retry_after: None }
    }

    /// [`Error::Unavailable`] for the usual reason.
    pub fn unavailable(source: impl Into<anyhow::Error>) -> Self {
        Self::Unavailable { reason: reason::UNAVAILABLE.into(), source: source.into() }
    }

    /// [`Error::Internal`] for something that cannot be, told in a few words for the log.
    pub fn internal(what: &'static str) -> Self {
        Self::Internal(anyhow::Error::msg(what))
    }

    /// The reason that programs see; in REST it is the problem's `code` in lower case.
    pub fn reason(&self) -> &str {
        match self {
            Self::Malformed { reason, .. }
            | Self::Unauthenticated { reason, .. }
            | Self::Denied { reason, .. }
            | Self::Conflict { reason, .. }
            | Self::Precondition { reason, .. }
            | Self::Exhausted { reason, .. }
            | Self::Unavailable { reason, .. } => reason,
            Self::Invalid(_) => reason::INVALID,
            Self::NotFound { .. } => reason::NOT_FOUND,
            Self::Stale { .. } => reason::STALE,
            Self::OutcomeUnknown => reason::OUTCOME_UNKNOWN,
            Self::Internal(_) => reason::INTERNAL,
        }
    }
}

impl FieldError {
    /// A bad field, a code for programs, and what people should read.
    pub fn new(
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into() }
    }
}

/// An error that was only carried inside an `anyhow::Error` comes out as it was; anything else is internal.
impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Internal)
    }
}

/// What the JSON of a request said wrong.
impl From<proto::Refusal> for Error {
    fn from(refusal: proto::Refusal) -> Self {
        match refusal {
            proto::Refusal::Malformed(message) => Self::malformed(message),
            proto::Refusal::Invalid(fields) => Self::Invalid(
                fields
                    .into_iter()
                    .map(|it| FieldError::new(it.field, it.code.as_str(), it.message))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_error_that_was_given_context_on_its_way_is_still_what_it_was() {
        let carried =
            Err::<(), _>(Error::not_found("team", 7)).context("look up the team").unwrap_err();
        assert!(matches!(Error::from(carried), Error::NotFound { id, .. } if id == "7"));
        assert!(matches!(Error::from(anyhow::anyhow!("other")), Error::Internal(_)));
    }

    #[test]
    fn what_is_displayed_never_includes_the_source() {
        let error = Error::unavailable(anyhow::anyhow!("password of db is hunter2"));
        assert!(!error.to_string().contains("hunter2"));
    }
}
