//! A service's failure as a problem of the REST API: the one place where an error becomes an HTTP status.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use rpc::{Error, reason};
use serde_json::Value;
use tonic::Status;
use tracing::{error, warn};

use super::{FieldError, Problem};

/// Reasons for which a request that a service could read is still said to be malformed.
const MALFORMED: [&str; 2] = [reason::MALFORMED, "CURSOR_INVALID"];

/// Reasons for which a service that did not answer may have done what it was asked.
const UNCERTAIN: [&str; 2] = [reason::DEADLINE_EXCEEDED, reason::CONNECTION_LOST];

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        Error::from_status(&status).into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.reason().to_lowercase();
        let detail = error.to_string();
        let with = |status| Self::new(status, code.clone(), detail);
        match error {
            Error::Malformed { reason, .. } if reason == reason::UNIMPLEMENTED => {
                error!("a service does not know the call");
                Self::internal()
            }
            Error::Malformed { reason, .. } if MALFORMED.contains(&&*reason) => {
                with(StatusCode::BAD_REQUEST)
            }
            Error::Malformed { .. } | Error::Precondition { .. } => {
                with(StatusCode::UNPROCESSABLE_ENTITY)
            }
            Error::Invalid(errors) => {
                Self::invalid(errors.into_iter().map(FieldError::from).collect())
            }
            Error::Unauthenticated { .. } => with(StatusCode::UNAUTHORIZED),
            Error::Denied { .. } => with(StatusCode::FORBIDDEN),
            Error::NotFound { .. } => with(StatusCode::NOT_FOUND),
            Error::Conflict { details, retry_after, .. } => {
                Self { about: facts(details), retry_after, ..with(StatusCode::CONFLICT) }
            }
            Error::Stale { current } => {
                let version = current.map(|version| ("current_version".to_owned(), version.into()));
                let about = version.into_iter().collect();
                Self { about, ..with(StatusCode::PRECONDITION_FAILED) }
            }
            Error::Exhausted { retry_after, .. } => {
                let retry_after = retry_after.map(|delay| delay.min(Duration::from_hours(1)));
                Self { retry_after, ..with(StatusCode::TOO_MANY_REQUESTS) }
            }
            Error::Unavailable { reason, source } => {
                warn!(%reason, error = format!("{source:#}"), "a service is not available");
                Self { is_uncertain: UNCERTAIN.contains(&&*reason), ..Self::unavailable() }
            }
            Error::OutcomeUnknown => {
                Self { is_uncertain: true, ..with(StatusCode::SERVICE_UNAVAILABLE) }
            }
            Error::Internal(source) => {
                error!(error = format!("{source:#}"), "a service failed");
                Self::internal()
            }
        }
    }
}

impl From<rpc::FieldError> for FieldError {
    fn from(error: rpc::FieldError) -> Self {
        Self { field: error.field, code: error.code.into_owned(), message: error.message }
    }
}

/// Ids and versions travel as text; in JSON they are numbers, several of them a list.
fn facts(details: BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let value = |text: String| {
        let several = serde_json::from_str::<Vec<i64>>(&text).map(Value::from);
        several
            .or_else(|_| text.parse::<i64>().map(Value::from))
            .unwrap_or_else(|_| Value::from(text))
    };
    details.into_iter().map(|(name, text)| (name, value(text))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use anyhow::anyhow;
    use serde_json::json;
    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn status_and_code(problem: &Problem) -> (u16, &str) {
        (problem.status().as_u16(), problem.code())
    }

    #[test]
    fn what_the_caller_can_do_decides_the_status_and_the_reason_is_the_code() {
        let unavailable = |reason: &'static str| Error::Unavailable {
            reason: reason.into(),
            source: anyhow!(""),
        };
        for (error, expected) in [
            (Error::malformed("no"), (400, "malformed")),
            (
                Error::Malformed { reason: "CURSOR_INVALID".into(), message: "no".into() },
                (400, "cursor_invalid"),
            ),
            (
                Error::Malformed { reason: "IDEMPOTENCY_KEY_REUSED".into(), message: "no".into() },
                (422, "idempotency_key_reused"),
            ),
            (
                Error::Malformed { reason: reason::UNIMPLEMENTED.into(), message: "no".into() },
                (500, "internal"),
            ),
            (Error::invalid("amount", "too_large", "no"), (422, "invalid")),
            (Error::unauthenticated(reason::TOKEN_EXPIRED, "no"), (401, "token_expired")),
            (Error::denied("no"), (403, "denied")),
            (Error::not_found("opportunity", 7), (404, "not_found")),
            (Error::conflict("EXTERNAL_ID_TAKEN", "no"), (409, "external_id_taken")),
            (Error::precondition("STAGE_REQUIRES_FIELDS", "no"), (422, "stage_requires_fields")),
            (Error::Stale { current: None }, (412, "stale")),
            (Error::exhausted("SIGN_IN_BUSY", "no"), (429, "sign_in_busy")),
            (unavailable(reason::OVERLOADED), (503, "unavailable")),
            (unavailable(reason::DEADLINE_EXCEEDED), (503, "unavailable")),
            (Error::OutcomeUnknown, (503, "outcome_unknown")),
            (Error::internal("no"), (500, "internal")),
        ] {
            let name = format!("{error:?}");
            assert_eq!(status_and_code(&Problem::from(error)), expected, "{name}");
        }
    }

    #[test]
    fn a_status_from_a_service_is_read_by_its_details() {
        let details =
            |reason| ErrorDetails::with_error_info(reason, "salespipeline", HashMap::new());
        for (status, expected) in [
            (
                Status::with_error_details(Code::InvalidArgument, "no", details("CURSOR_INVALID")),
                (400, "cursor_invalid"),
            ),
            (Status::with_error_details(Code::Aborted, "no", details("STALE")), (412, "stale")),
            (
                Status::with_error_details(Code::AlreadyExists, "no", details("EMAIL_TAKEN")),
                (409, "email_taken"),
            ),
            (Status::unauthenticated("no"), (401, "token_invalid")),
            (Status::unknown("no"), (500, "internal")),
            (Status::unimplemented("no"), (500, "internal")),
        ] {
            let name = format!("{status:?}");
            assert_eq!(status_and_code(&Problem::from(status)), expected, "{name}");
        }
    }

    #[test]
    fn a_fault_of_ours_says_nothing_of_itself() {
        let secret = "relation \"user\" at postgres://secret@db";
        for error in [Error::Internal(anyhow!(secret)), Error::unavailable(anyhow!(secret))] {
            let problem = Problem::from(error);
            assert!(!format!("{problem:?}").contains("secret"));
        }
        assert_eq!(Problem::from(Status::internal(secret)), Problem::internal());
    }

    #[test]
    fn every_bad_field_is_passed_on() {
        let field = |field: &str| rpc::FieldError::new(field, "required", "must be given");
        let problem = Problem::from(Error::Invalid(vec![field("a"), field("b.c")]));
        let found: Vec<_> = problem.errors().iter().map(|e| (&*e.field, &*e.code)).collect();
        assert_eq!(found, [("a", "required"), ("b.c", "required")]);
    }

    #[test]
    fn a_conflict_names_what_is_in_the_way() {
        let error = Error::conflict("EXTERNAL_ID_TAKEN", "no")
            .about("opportunity_id", 5)
            .about("ids", "[7,9]")
            .about("name", "A");
        let problem = Problem::from(error);
        let expected = json!({"opportunity_id": 5, "ids": [7, 9], "name": "A"});
        assert_eq!(json!(problem.about), expected);
        let stale = Problem::from(Error::Stale { current: Some(4) });
        assert_eq!(json!(stale.about), json!({"current_version": 4}));
    }

    #[test]
    fn only_a_request_that_was_sent_can_have_had_its_effect() {
        let broken = Status::from_error(Box::new(std::io::Error::other("connection reset")));
        let problem = Problem::from(broken);
        assert_eq!((problem.status().as_u16(), problem.is_uncertain), (503, true));
        let refused = tonic::ConnectError(Box::new(std::io::Error::other("connection refused")));
        let problem = Problem::from(Status::from_error(Box::new(refused)));
        assert_eq!((problem.status().as_u16(), problem.is_uncertain), (503, false));
    }
}
