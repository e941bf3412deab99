//! Bad values of a request whose service is asked all the same: it alone knows the rules, and every bad field is told at once.
//!
//! A service gets each of them as a value that nobody takes (`proto::json::decode_anyway`), so it refuses the request, whichever version of it that is. What it says of these fields is
//! replaced by what is wrong with them.

use std::any::TypeId;
use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use proto::identity::v1::{CreateApiKeyRequest, CreateUserRequest, UpdateUserRequest};
use proto::opportunities::v1::{
    ChangeOpportunityStageRequest, CreateActivityRequest, CreateOpportunityRequest,
    CreateStageRequest, UpdateActivityRequest, UpdateOpportunityRequest, UpdateStageRequest,
    UpsertOpportunityRequest,
};
use rpc::Error;

use super::{Answer, FieldError, Problem};

/// What is wrong with the values of one request.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    errors: Vec<FieldError>,
    /// Whether one of them is in a request that must not be made with it.
    is_final: bool,
}

/// Whether the service refuses every bad value of a request that changes something: a test of the whole product tries each.
fn is_refused<T: 'static>() -> bool {
    [
        TypeId::of::<ChangeOpportunityStageRequest>(),
        TypeId::of::<CreateActivityRequest>(),
        TypeId::of::<CreateApiKeyRequest>(),
        TypeId::of::<CreateOpportunityRequest>(),
        TypeId::of::<CreateStageRequest>(),
        TypeId::of::<CreateUserRequest>(),
        TypeId::of::<UpdateActivityRequest>(),
        TypeId::of::<UpdateOpportunityRequest>(),
        TypeId::of::<UpdateStageRequest>(),
        TypeId::of::<UpdateUserRequest>(),
        TypeId::of::<UpsertOpportunityRequest>(),
    ]
    .contains(&TypeId::of::<T>())
}

impl Faults {
    /// The request as it is to be asked anyway, with its faults kept; otherwise why it is none.
    pub(super) fn keep<T: 'static>(
        extensions: &Extensions,
        refusal: proto::Refusal,
        anyway: impl FnOnce() -> Option<T>,
    ) -> Result<T, Problem> {
        let faults = extensions.get::<Self>().filter(|_| refusal.values().is_some());
        let Some((faults, request)) = faults.and_then(|faults| Some((faults, anyway()?))) else {
            return Err(refusal.into());
        };
        let mut found = faults.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.errors.extend(Problem::from(refusal).errors().to_vec());
        found.is_final |= !is_refused::<T>();
        Ok(request)
    }

    /// Before a service is asked to change something: fails where it is not known to refuse these faults.
    pub fn before_write(&self) -> Result<(), Problem> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_final && !found.errors.is_empty() {
            Err(Problem::invalid(found.errors.clone()))
        } else {
            Ok(())
        }
    }

    /// A service's answer; with faults, what it says beside them.
    pub fn settle<T>(&self, answer: Result<T, Error>) -> Answer<T> {
        let mut errors = {
            let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            found.errors.clone()
        };
        if errors.is_empty() {
            return Ok(answer?);
        }
        match answer {
            Err(Error::Invalid(fields)) => {
                let fields = fields.into_iter().map(FieldError::from);
                let others: Vec<_> =
                    fields.filter(|it| !errors.iter().any(|own| is_about(own, it))).collect();
                errors.extend(others);
                Err(Problem::invalid(errors))
            }
            Err(
                error @ (Error::Unauthenticated { .. }
                | Error::Denied { .. }
                | Error::NotFound { .. }
                | Error::Stale { .. }),
            ) => Err(error.into()),
            Ok(_) | Err(_) => Err(Problem::invalid(errors)),
        }
    }
}

/// Whether two faults are about one field, or a part of it.
fn is_about(one: &FieldError, other: &FieldError) -> bool {
    let within = |part: &str, whole: &str| {
        let rest = part.strip_prefix(whole);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(&one.field, &other.field) || within(&other.field, &one.field)
}

#[cfg(test)]
mod tests {
    use proto::identity::v1::CreateTeamRequest;
    use proto::opportunities::v1::ListOpportunitiesRequest;

    use super::*;

    const BAD: &[u8] = br#"{"amount":0.001,"opportunity_name":""}"#;

    fn keep<T: serde::de::DeserializeOwned + 'static>(
        body: &[u8],
        extensions: &Extensions,
    ) -> Result<T, Problem> {
        let refusal = proto::json::decode::<T>(body).map(|_| ()).unwrap_err();
        Faults::keep(extensions, refusal, || proto::json::decode_anyway(body))
    }

    fn told<T: std::fmt::Debug>(answer: Answer<T>) -> Vec<String> {
        let problem = answer.unwrap_err();
        problem.errors().iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    fn kept() -> Faults {
        let (mut extensions, faults) = (Extensions::new(), Faults::default());
        extensions.insert(faults.clone());
        keep::<CreateOpportunityRequest>(BAD, &extensions).unwrap();
        faults
    }

    #[test]
    fn what_the_service_says_beside_bad_values_is_told_with_them() {
        let faults = kept();
        faults.before_write().unwrap();
        let said = rpc::Invalid::default().field("amount", "out_of_range", "is too large").field(
            "opportunity_name",
            "required",
            "is required",
        );
        let answer = faults.settle::<()>(Err(said.into()));
        assert_eq!(told(answer), ["amount too_many_decimals", "opportunity_name required"]);
        for answer in [Ok(()), Err(Error::OutcomeUnknown)] {
            assert_eq!(told(faults.settle(answer)), ["amount too_many_decimals"]);
        }
        let hidden = faults.settle::<()>(Err(Error::not_found("opportunity", 7)));
        assert_eq!(hidden.unwrap_err().status(), 404);
    }

    #[test]
    fn a_request_that_changes_something_is_not_made_where_its_service_may_take_it() {
        let (mut extensions, faults) = (Extensions::new(), Faults::default());
        extensions.insert(faults.clone());
        let query = "status=x&limit=10";
        let refusal = proto::query::decode::<ListOpportunitiesRequest>(query).unwrap_err();
        let request = Faults::keep(&extensions, refusal, || {
            proto::query::decode_anyway::<ListOpportunitiesRequest>(query)
        });
        assert_eq!(request.unwrap().limit, Some(10));
        assert_eq!(faults.before_write().unwrap_err().status(), 422);
        assert_eq!(told(faults.settle(Ok(()))).len(), 1);
    }

    #[test]
    fn a_wrong_type_comes_alone_and_so_does_what_nobody_collects() {
        let mut extensions = Extensions::new();
        extensions.insert(Faults::default());
        let wrong = br#"{"name":1}"#;
        assert!(keep::<CreateTeamRequest>(wrong, &extensions).is_err());
        assert!(keep::<CreateOpportunityRequest>(BAD, &Extensions::new()).is_err());
        assert!(Faults::default().settle(Ok(())).is_ok());
    }
}
