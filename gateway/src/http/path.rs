//! What a path names.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::Problem;

/// What a path names: an id as `i64` or a name as `String`, two of one of these, or a name and an id. 404 where nothing can have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<S: Send + Sync> FromRequestParts<S> for Path<i64> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        id(&parameter(parts, state).await?).map(Self).ok_or_else(Problem::not_found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Path<(i64, i64)> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, state).await;
        let parameters = parameters.map_err(|_| Problem::not_found())?;
        let mut ids = parameters.iter().map(|(_, value)| id(value));
        match (ids.next().flatten(), ids.next().flatten()) {
            (Some(first), Some(second)) => Ok(Self((first, second))),
            _ => Err(Problem::not_found()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Path<(String, String)> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, state).await;
        let parameters = parameters.map_err(|_| Problem::not_found())?;
        let mut names = parameters.iter().map(|(_, value)| value.to_owned());
        match (names.next(), names.next()) {
            (Some(first), Some(second)) if !first.contains('\0') && !second.contains('\0') => {
                Ok(Self((first, second)))
            }
            _ => Err(Problem::not_found()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Path<(String, i64)> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((name, number)) =
            Path::<(String, String)>::from_request_parts(parts, state).await?;
        id(&number).map(|id| Self((name, id))).ok_or_else(Problem::not_found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Path<String> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = parameter(parts, state).await?;
        if name.contains('\0') { Err(Problem::not_found()) } else { Ok(Self(name)) }
    }
}

async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    // What is not UTF-8 names nothing.
    let parameters = RawPathParams::from_request_parts(parts, state).await;
    let parameters = parameters.map_err(|_| Problem::not_found())?;
    let first = parameters.iter().next().map(|(_, value)| value.to_owned());
    first.ok_or_else(Problem::not_found)
}

/// An id in the one way it is written.
fn id(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(path: &str) -> u16 {
        let router = Router::new()
            .route("/ids/{id}", get(|Path(id): Path<i64>| async move { id.to_string() }))
            .route(
                "/pairs/{id}/{other}",
                get(|Path((id, other)): Path<(i64, i64)>| async move { format!("{id} {other}") }),
            )
            .route("/keys/{key}", get(|Path(key): Path<String>| async move { key }));
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn an_id_is_a_positive_integer_and_all_else_is_not_found() {
        assert_eq!(status("/ids/7").await, 200);
        assert_eq!(status("/ids/9223372036854775807").await, 200);
        for id in
            ["0", "-1", "+1", "007", "1.0", "abc", "9223372036854775808", "%00", "%FF", "1%20"]
        {
            assert_eq!(status(&format!("/ids/{id}")).await, 404, "{id}");
        }
    }

    #[tokio::test]
    async fn a_path_may_name_two() {
        assert_eq!(status("/pairs/7/8").await, 200);
        for pair in ["0/8", "7/x", "7/08"] {
            assert_eq!(status(&format!("/pairs/{pair}")).await, 404, "{pair}");
        }
    }

    #[tokio::test]
    async fn a_name_is_any_text_that_can_be_kept() {
        assert_eq!(status("/keys/%E9%9C%80%E6%B1%82").await, 200);
        assert_eq!(status("/keys/a%00").await, 404);
        assert_eq!(status("/keys/%FF").await, 404);
    }
}
