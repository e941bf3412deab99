//! Changes that are made only to the version that the caller has seen.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::header::IF_MATCH;
use http::request::Parts;

use super::Problem;

/// The version in `If-Match`; none where there is no such header or it is `*`.
///
/// 412 where it is no tag of ours: nothing can match it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IF_MATCH).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        if value == "*" {
            return Ok(Self(None));
        }
        let text = value.to_str().unwrap_or_default();
        if values.next().is_some() || text.contains(',') {
            return Err(Problem::malformed("If-Match has to name one version"));
        }
        let version = text.strip_prefix("\"v").and_then(|text| text.strip_suffix('"'));
        let digits = version.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|text| text.parse().ok()) {
            Some(version) => Ok(Self(Some(version))),
            None => Err(stale()),
        }
    }
}

/// The same of a `PUT` that may create: what is not there yet does not match `*`, so that is 0, as requests name whichever version there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfThere(pub Option<i64>);

impl<S: Sync> FromRequestParts<S> for IfThere {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match IfMatch::from_request_parts(parts, state).await? {
            // No version is 0.
            IfMatch(Some(0)) => Err(stale()),
            IfMatch(None) if parts.headers.contains_key(IF_MATCH) => Ok(Self(Some(0))),
            IfMatch(version) => Ok(Self(version)),
        }
    }
}

/// That a `DELETE` of what has no version names none: 412 where `If-Match` does, since nothing can match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untagged;

impl<S: Sync> FromRequestParts<S> for Untagged {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match IfMatch::from_request_parts(parts, state).await? {
            IfMatch(None) => Ok(Self),
            IfMatch(Some(_)) => Err(stale()),
        }
    }
}

fn stale() -> Problem {
    let detail = "If-Match does not name the present version";
    Problem::new(StatusCode::PRECONDITION_FAILED, "stale", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn version(values: &[&str]) -> Result<Option<i64>, u16> {
        let request = values
            .iter()
            .fold(http::Request::builder(), |request, value| request.header(IF_MATCH, *value));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let result = IfMatch::from_request_parts(&mut parts, &()).await;
        result.map(|IfMatch(version)| version).map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn only_a_tag_of_ours_can_match() {
        assert_eq!(version(&[]).await, Ok(None));
        assert_eq!(version(&["*"]).await, Ok(None));
        assert_eq!(version(&["\"v12\""]).await, Ok(Some(12)));
        for tag in [
            "W/\"v12\"",
            "v12",
            "\"12\"",
            "\"v-1\"",
            "\"v+1\"",
            "\"v\"",
            "\"v99999999999999999999\"",
        ] {
            assert_eq!(version(&[tag]).await, Err(412), "{tag}");
        }
        assert_eq!(version(&["\"v1\", \"v2\""]).await, Err(400));
        assert_eq!(version(&["\"v1\"", "\"v2\""]).await, Err(400));
    }

    #[tokio::test]
    async fn whichever_there_is_takes_that_there_is_one() {
        let there = async |value: Option<&str>| {
            let mut request = http::Request::builder();
            if let Some(value) = value {
                request = request.header(IF_MATCH, value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let result = IfThere::from_request_parts(&mut parts, &()).await;
            result.map(|IfThere(version)| version).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(there(None).await, Ok(None));
        assert_eq!(there(Some("*")).await, Ok(Some(0)));
        assert_eq!(there(Some("\"v7\"")).await, Ok(Some(7)));
        assert_eq!(there(Some("\"v0\"")).await, Err(412));
    }
}
