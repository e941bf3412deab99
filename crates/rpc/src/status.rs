//! [`Error`] on the wire and back: the one place where a gRPC status is made of it, and read.

use std::{borrow::Cow, collections::HashMap, error::Error as _, time::Duration};

use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use tracing::{error, warn};

use crate::{Error, FieldError, reason};

/// The `domain` of every `google.rpc.ErrorInfo` that we send.
const DOMAIN: &str = "salespipeline";

/// How long a client should wait when a service cannot take its request now.
const SOON: Duration = Duration::from_secs(1);

/// Key of the present version in the details of [`Error::Stale`].
const CURRENT_VERSION: &str = "current_version";

/// Logs what the caller must not see, once and with its whole chain, and sends the rest.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match &error {
            Error::Internal(source) => error!(error = format!("{source:#}"), "internal error"),
            // Many at once, and each tells the same: the metrics count them.
            Error::Unavailable { reason, .. } if reason == reason::OVERLOADED => {}
            Error::Unavailable { reason, source } => {
                warn!(%reason, error = format!("{source:#}"), "unavailable");
            }
            _ => {}
        }
        let code = code_of(&error);
        let mut details = ErrorDetails::with_error_info(error.reason(), DOMAIN, HashMap::new());
        match &error {
            Error::Invalid(fields) => {
                details.set_bad_request(fields.iter().map(violation).collect::<Vec<_>>());
            }
            Error::NotFound { kind, id } => {
                details.set_resource_info(kind.as_ref(), id, "", "");
            }
            Error::Conflict { reason, details: about, retry_after, .. } => {
                details.set_error_info(
                    reason.as_ref(),
                    DOMAIN,
                    about.clone().into_iter().collect::<HashMap<_, _>>(),
                );
                if retry_after.is_some() {
                    details.set_retry_info(*retry_after);
                }
            }
            Error::Stale { current: Some(version) } => {
                let about = HashMap::from([(CURRENT_VERSION.to_owned(), version.to_string())]);
                details.set_error_info(reason::STALE, DOMAIN, about);
            }
            Error::Exhausted { retry_after: Some(wait), .. } => {
                details.set_retry_info(Some(*wait));
            }
            Error::Unavailable { .. } | Error::OutcomeUnknown => {
                details.set_retry_info(Some(SOON));
            }
            _ => {}
        }
        Status::with_error_details(code, error.to_string(), details)
    }
}

/// [`Error::from_status`].
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

impl Error {
    /// What a status from another service, or from the way there, means to a caller.
    ///
    /// A status that we sent comes back as the error it was made of, without its source. What the transport itself reports is
    /// `Unavailable`: with [`reason::CONNECTION_LOST`] if the request may have arrived, with [`reason::DEADLINE_EXCEEDED`] if nobody
    /// answered in time.
    pub fn from_status(status: &Status) -> Self {
        if status.source().is_some() {
            return lost_on_the_way(status);
        }
        let details = status.get_error_details();
        let info = details.error_info();
        let message = || status.message().to_owned();
        let retry_after = details.retry_info().and_then(|it| it.retry_delay);
        let reason_or = |usual: &'static str| -> Cow<'static, str> {
            match info {
                Some(info) if !info.reason.is_empty() => info.reason.clone().into(),
                _ => usual.into(),
            }
        };
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => match details.bad_request() {
                Some(bad) => Self::Invalid(bad.field_violations.iter().map(field_error).collect()),
                None => {
                    Self::Malformed { reason: reason_or(reason::MALFORMED), message: message() }
                }
            },
            Code::Unauthenticated => Self::Unauthenticated {
                reason: reason_or(reason::TOKEN_INVALID),
                message: message(),
            },
            Code::PermissionDenied => {
                Self::Denied { reason: reason_or(reason::DENIED), message: message() }
            }
            Code::NotFound => match details.resource_info() {
                Some(it) => Self::not_found(it.resource_type.clone(), &it.resource_name),
                None => Self::not_found("resource", ""),
            },
            Code::AlreadyExists => Self::Conflict {
                reason: reason_or("CONFLICT"),
                message: message(),
                details: info
                    .map(|it| it.metadata.clone().into_iter().collect())
                    .unwrap_or_default(),
                retry_after,
            },
            Code::FailedPrecondition => {
                Self::Precondition { reason: reason_or("PRECONDITION"), message: message() }
            }
            Code::Aborted => Self::Stale {
                current: info.and_then(|it| it.metadata.get(CURRENT_VERSION)?.parse().ok()),
            },
            Code::ResourceExhausted => {
                Self::Exhausted { reason: reason_or("EXHAUSTED"), message: message(), retry_after }
            }
            Code::Unavailable => {
                Self::Unavailable { reason: reason_or(reason::UNAVAILABLE), source: told(status) }
            }
            Code::DeadlineExceeded => match reason_or(reason::DEADLINE_EXCEEDED) {
                reason if reason == reason::OUTCOME_UNKNOWN => Self::OutcomeUnknown,
                reason => Self::Unavailable { reason, source: told(status) },
            },
            Code::Cancelled => {
                Self::Unavailable { reason: reason::DEADLINE_EXCEEDED.into(), source: told(status) }
            }
            Code::Unimplemented => {
                Self::Malformed { reason: reason::UNIMPLEMENTED.into(), message: message() }
            }
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok => {
                Self::Internal(told(status))
            }
        }
    }
}

fn code_of(error: &Error) -> Code {
    match error {
        Error::Malformed { reason, .. } if reason == reason::UNIMPLEMENTED => Code::Unimplemented,
        Error::Malformed { .. } | Error::Invalid(_) => Code::InvalidArgument,
        Error::Unauthenticated { .. } => Code::Unauthenticated,
        Error::Denied { .. } => Code::PermissionDenied,
        Error::NotFound { .. } => Code::NotFound,
        Error::Conflict { .. } => Code::AlreadyExists,
        Error::Precondition { .. } => Code::FailedPrecondition,
        Error::Stale { .. } => Code::Aborted,
        Error::Exhausted { .. } => Code::ResourceExhausted,
        Error::Unavailable { reason, .. } if reason == reason::DEADLINE_EXCEEDED => {
            Code::DeadlineExceeded
        }
        Error::Unavailable { .. } => Code::Unavailable,
        Error::OutcomeUnknown => Code::DeadlineExceeded,
        Error::Internal(_) => Code::Internal,
    }
}

/// The status was made on this side, of what happened on the way.
fn lost_on_the_way(status: &Status) -> Error {
    let mut cause = status.source();
    let mut reason = reason::CONNECTION_LOST;
    while let Some(it) = cause {
        if it.is::<ConnectError>() {
            reason = reason::UNAVAILABLE;
        } else if it.is::<TimeoutExpired>() {
            reason = reason::DEADLINE_EXCEEDED;
        }
        cause = it.source();
    }
    Error::Unavailable { reason: reason.into(), source: told(status) }
}

fn told(status: &Status) -> anyhow::Error {
    anyhow::Error::new(status.clone()).context("call another service")
}

fn violation(field: &FieldError) -> FieldViolation {
    let mut violation = FieldViolation::new(&field.field, &field.message);
    violation.reason = field.code.to_uppercase();
    violation
}

fn field_error(violation: &FieldViolation) -> FieldError {
    let code = match violation.reason.as_str() {
        "" => "invalid".to_owned(),
        reason => reason.to_lowercase(),
    };
    FieldError::new(&violation.field, code, &violation.description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn there_and_back(error: Error) -> Error {
        // Through headers, as on the wire.
        let headers = Status::from(error).into_http::<tonic::body::Body>().into_parts().0.headers;
        Error::from_status(&Status::from_header_map(&headers).unwrap())
    }

    #[test]
    fn an_error_comes_back_as_what_it_was() {
        let errors = [
            Error::malformed("the cursor is none of ours"),
            Error::Invalid(vec![
                FieldError::new("amount", "too_large", "must be at most 10"),
                FieldError::new("", "x", "ü"),
            ]),
            Error::unauthenticated(reason::TOKEN_EXPIRED, "the token has expired"),
            Error::Denied { reason: "VIEWER".into(), message: "viewers change nothing".to_owned() },
            Error::not_found("opportunity", 17),
            Error::conflict("EXTERNAL_ID_TAKEN", "the external id is taken")
                .about("id", 5)
                .retry_after(Duration::from_secs(2)),
            Error::precondition("STAGE_IN_USE", "the stage is in use"),
            Error::Stale { current: Some(4) },
            Error::Stale { current: None },
            Error::exhausted("SIGN_IN_LIMIT", "too many failures")
                .retry_after(Duration::from_millis(1_500)),
            Error::OutcomeUnknown,
        ];
        for error in errors {
            let before = format!("{error:?}");
            assert_eq!(format!("{:?}", there_and_back(error)), before);
        }
    }

    #[test]
    fn what_is_unavailable_keeps_its_reason() {
        for reason in [reason::UNAVAILABLE, reason::OVERLOADED, reason::DEADLINE_EXCEEDED] {
            let error = Error::Unavailable {
                reason: reason.into(),
                source: anyhow!("db at 10.0.0.3 is down"),
            };
            let back = there_and_back(error);
            assert!(matches!(&back, Error::Unavailable { .. }));
            assert_eq!(back.reason(), reason);
        }
    }

    #[test]
    fn an_internal_error_tells_the_caller_nothing() {
        let status = Status::from(Error::Internal(
            anyhow!("column ssn does not exist").context("find the user"),
        ));
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
        assert!(!format!("{status:?}").contains("ssn"));
        assert!(!String::from_utf8_lossy(status.details()).contains("ssn"));
    }

    #[test]
    fn a_peer_that_cannot_be_reached_has_not_been_asked() {
        let refused = Status::from_error(Box::new(ConnectError("refused".into())));
        assert_eq!(Error::from_status(&refused).reason(), reason::UNAVAILABLE);
        let late = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(Error::from_status(&late).reason(), reason::DEADLINE_EXCEEDED);
        let broken = Status::from_error("broken pipe".into());
        assert_eq!(Error::from_status(&broken).reason(), reason::CONNECTION_LOST);
    }

    #[test]
    fn a_status_from_elsewhere_means_what_its_code_says() {
        assert!(matches!(Error::from(Status::not_found("?")), Error::NotFound { .. }));
        assert!(matches!(Error::from(Status::unknown("?")), Error::Internal(_)));
        assert!(matches!(Error::from(Status::unavailable("?")), Error::Unavailable { .. }));
    }
}
