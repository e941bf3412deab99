//! Query strings.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::{Faults, FieldError, Problem};

/// A message as the query string: 400 where it is not UTF-8, 422 with every bad or unknown parameter.
///
/// Documentation needs `params(Message)` on the handler beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// No query string at all, for a handler that reads none: an unknown parameter is an error everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoQuery;

impl<S: Sync, T: proto::query::Query + 'static> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let request = proto::query::decode(query).or_else(|refusal| {
            Faults::keep(&parts.extensions, refusal, || proto::query::decode_anyway(query))
        });
        request.map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let names = proto::query::names(query)?;
        if names.is_empty() {
            return Ok(Self);
        }
        let error = |field| FieldError {
            field,
            code: proto::Code::UnknownParameter.to_string(),
            message: "there is no such parameter".into(),
        };
        Err(Problem::invalid(names.into_iter().map(error).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proto::opportunities::v1::ListOpportunitiesRequest;

    use super::*;

    fn parts(query: &str) -> Parts {
        http::Request::get(format!("/x?{query}")).body(()).unwrap().into_parts().0
    }

    #[tokio::test]
    async fn a_query_string_becomes_the_message() {
        let mut request = parts("sort_by=amount&limit=10");
        let Query(message) =
            Query::<ListOpportunitiesRequest>::from_request_parts(&mut request, &()).await.unwrap();
        assert_eq!((message.sort_by.as_deref(), message.limit), (Some("amount"), Some(10)));
    }

    #[tokio::test]
    async fn a_bad_parameter_is_invalid_and_a_bad_encoding_malformed() {
        for (query, status) in [("limit=ten", 422), ("colour=red", 422), ("tag=%FF", 400)] {
            let result =
                Query::<ListOpportunitiesRequest>::from_request_parts(&mut parts(query), &()).await;
            assert_eq!(result.unwrap_err().status().as_u16(), status, "{query}");
        }
    }

    #[tokio::test]
    async fn where_nothing_may_be_asked_every_parameter_is_unknown() {
        assert_eq!(NoQuery::from_request_parts(&mut parts(""), &()).await, Ok(NoQuery));
        let refused = NoQuery::from_request_parts(&mut parts("a=1&b"), &()).await.unwrap_err();
        let found: Vec<_> = refused.errors().iter().map(|e| (&*e.field, &*e.code)).collect();
        assert_eq!(found, [("a", "unknown_parameter"), ("b", "unknown_parameter")]);
    }
}
