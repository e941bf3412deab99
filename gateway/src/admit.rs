//! Who a request comes from, and whether they may ask now: found out once for each, before anything else is done about it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use auth::Caller;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::api_key::{self, Shown};
use crate::app::App;
use crate::http::{Problem, client_address};
use crate::limit::{Payer, Standing};
use crate::pages::{self, Language};
use crate::rest::token::{self, TokenFailure};

/// A request that may be answered, in its extensions.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The client's address.
    pub address: IpAddr,
    /// Who asks and the authorization by which services know them, or why it is nobody.
    pub caller: Result<(Caller, HeaderValue), Problem>,
}

/// Middleware around the REST API and the pages: with a limit, a request is taken from the budget of the user whose good token it has, else from that of
/// its client's address. Past it the answer is 429; every answer says how the budget stands.
pub async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let now = Instant::now();
    // Only a request that is made in a test has no peer.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |it| it.0.ip());
    let address = client_address(peer, request.headers(), &app.trusted_proxies);

    let standing = match identify(&app, request.headers(), address, now).await {
        Err(standing) => Err(standing),
        Ok(caller) => {
            let payer =
                caller.as_ref().map_or_else(|_| Payer::address(address), |it| Payer::caller(&it.0));
            request.extensions_mut().insert(Admitted { address, caller });
            app.limiter.as_ref().map(|limiter| limiter.take(payer, now)).transpose()
        }
    };
    let (mut response, standing) = match standing {
        Ok(standing) => (next.run(request).await, standing),
        Err(standing) => (refusal(&request, standing), Some(standing)),
    };
    if let (Some(limiter), Some(standing)) = (&app.limiter, standing) {
        limiter.tell(standing, response.headers_mut());
    }
    response
}

/// Who asks, or why it is nobody. A token or API key that was not seen before is looked at only while its sender's address has a request
/// left: a signature takes time, its key may have to be fetched, and about an API key identity has to be asked.
async fn identify(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
    now: Instant,
) -> Result<Result<(Caller, HeaderValue), Problem>, Standing> {
    let may_look = || match &app.limiter {
        Some(limiter) => limiter.look(&Payer::address(address), now),
        None => Ok(()),
    };
    let known = match api_key::shown(headers) {
        Err(problem) => Err(problem),
        Ok(Shown::Key(key)) => app.api_keys.identify(&key, &app.verifier, may_look).await?,
        Ok(Shown::Token(token)) => {
            let remembered = app.verifier.remembered(token, process::now());
            let caller = if let Some(caller) = remembered {
                caller
            } else {
                may_look()?;
                app.verifier.verify(token, process::now()).await
            };
            let authorization = headers.get(AUTHORIZATION).cloned();
            let authorization = authorization.ok_or_else(Problem::internal);
            caller.map_err(Problem::from).and_then(|caller| Ok((caller, authorization?)))
        }
    };
    if let Some(user_id) = known.as_ref().ok().and_then(|(caller, _)| caller.user()) {
        tracing::Span::current().record("user_id", user_id);
    }
    Ok(known)
}

fn refusal(request: &Request, standing: Standing) -> Response {
    let path = request.uri().path();
    if pages::refusal::is_page(path) {
        let language = Language::of(None, request.headers());
        pages::refusal::rate_limited(language, standing.after()).into_response()
    } else if token::speaks_oauth(path) {
        TokenFailure::rate_limited(standing.after()).into_response()
    } else {
        Problem::rate_limited(standing.after()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use http::request::Builder;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::router::router;

    /// A gateway that lets everybody ask once an hour, with no service behind it, and which trusts 192.0.2.1.
    fn gateway() -> Router {
        let settings = ["--rate-limit", "0.001", "--trusted-proxies", "192.0.2.1"];
        router(App::alone(&settings), &process::Readiness::default())
    }

    async fn ask(gateway: &Router, peer: [u8; 4], request: Builder) -> (Response<()>, Value) {
        let request = request.extension(ConnectInfo(SocketAddr::from((peer, 4711))));
        let answer = gateway.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (Response::from_parts(parts, ()), serde_json::from_slice(&body).unwrap_or_default())
    }

    fn get(path: &str) -> Builder {
        http::Request::get(path)
    }

    #[tokio::test]
    async fn whoever_is_not_signed_in_is_known_by_their_address() {
        let gateway = gateway();
        let with_token = || get("/api/v1/teams").header("authorization", "Bearer a.b.c");
        let (refused, problem) = ask(&gateway, [203, 0, 113, 1], with_token()).await;
        assert_eq!((refused.status().as_u16(), &problem["code"]), (401, &"token_invalid".into()));
        assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=1000");
        assert_eq!(refused.headers()["ratelimit-policy"], "\"default\";q=1;w=1000");

        for request in [with_token(), get("/api/v1/teams"), get("/api/v1/nowhere")] {
            let (refused, problem) = ask(&gateway, [203, 0, 113, 1], request).await;
            let found = (refused.status().as_u16(), &problem["code"]);
            assert_eq!(found, (429, &"rate_limited".into()));
            assert_eq!(refused.headers()["retry-after"], "1000");
            assert_eq!(refused.headers()["ratelimit"], "\"default\";r=0;t=1000");
            assert!(refused.headers().contains_key("x-request-id"));
        }
        let (answer, _) = ask(&gateway, [203, 0, 113, 2], get("/api/v1/teams")).await;
        assert_eq!(answer.status(), 401);
    }

    #[tokio::test]
    async fn about_a_key_that_was_not_seen_before_identity_is_asked_while_a_request_is_left() {
        let gateway = gateway();
        let with_key = |id| {
            let key = auth::ApiKey::new(id, [7; 32]).expose();
            get("/api/v1/teams").header("x-api-key", key)
        };
        for (id, expected) in [(1, 503), (2, 429), (1, 429)] {
            let (answer, _) = ask(&gateway, [203, 0, 113, 1], with_key(id)).await;
            assert_eq!(answer.status(), expected, "{id}");
        }
    }

    #[tokio::test]
    async fn the_token_endpoint_refuses_in_its_own_form() {
        let gateway = gateway();
        let form = || {
            let kind = "application/x-www-form-urlencoded";
            http::Request::post("/api/v1/auth/token").header("content-type", kind)
        };
        let (bad, failure) = ask(&gateway, [203, 0, 113, 1], form()).await;
        assert_eq!((bad.status().as_u16(), &failure["error"]), (400, &"invalid_request".into()));
        let (refused, failure) = ask(&gateway, [203, 0, 113, 1], form()).await;
        let found = (refused.status().as_u16(), &failure["error"]);
        assert_eq!(found, (429, &"temporarily_unavailable".into()));
        for (name, expected) in [("retry-after", "1000"), ("cache-control", "no-store")] {
            assert_eq!(refused.headers()[name], expected);
        }
        assert!(refused.headers().contains_key("ratelimit"));
    }

    #[tokio::test]
    async fn people_at_a_page_are_refused_by_a_page() {
        let gateway = gateway();
        for path in [
            "/api/v1/auth/authorize",
            "/api/v1/auth/external/callback",
            "/reset-password",
            "/set-password",
        ] {
            ask(&gateway, [203, 0, 113, 9], get("/api/v1/teams")).await;
            let (refused, _) = ask(&gateway, [203, 0, 113, 9], get(path)).await;
            assert_eq!(refused.status(), 429, "{path}");
            for (name, expected) in
                [("retry-after", "1000"), ("content-type", "text/html; charset=utf-8")]
            {
                assert_eq!(refused.headers()[name], expected, "{path}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_of_the_api_is_not_limited() {
        let gateway = gateway();
        for _ in 0..3 {
            for path in ["/healthz", "/openapi.json", "/docs/", "/nowhere"] {
                let (answer, _) = ask(&gateway, [203, 0, 113, 1], get(path)).await;
                assert_ne!(answer.status(), 429, "{path}");
                assert!(!answer.headers().contains_key("ratelimit"), "{path}");
            }
        }
    }

    #[tokio::test]
    async fn a_proxy_that_is_trusted_asks_for_many_and_another_for_itself() {
        let gateway = gateway();
        let for_whom = |client| get("/api/v1/teams").header("x-forwarded-for", client);
        for (peer, client, expected) in [
            ([192, 0, 2, 1], "203.0.113.1", 401),
            ([192, 0, 2, 1], "203.0.113.1", 429),
            ([192, 0, 2, 1], "203.0.113.2", 401),
            ([192, 0, 2, 2], "203.0.113.3", 401),
            ([192, 0, 2, 2], "203.0.113.4", 429),
        ] {
            let (answer, _) = ask(&gateway, peer, for_whom(client)).await;
            assert_eq!(answer.status(), expected, "{peer:?} {client}");
        }
    }
}
