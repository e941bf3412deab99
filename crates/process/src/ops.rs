//! What whoever runs the process asks of it, over HTTP on an address of its own: `/metrics`, `/healthz`, `/readyz`.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::{Readiness, usage};

/// The three routes.
///
/// - `/metrics`: Prometheus text.
/// - `/healthz`: 200 as long as the process answers at all.
/// - `/readyz`: 200 `{"ready":true,"waiting_for":[]}`, or 503 with the names of what is not ready.
pub fn router(readiness: Readiness, metrics: PrometheusHandle) -> Router {
    health(readiness).route("/metrics", get(render_metrics).with_state(metrics))
}

/// `/healthz` and `/readyz` alone, which anybody may ask.
pub fn health<S: Clone + Send + Sync + 'static>(readiness: Readiness) -> Router<S> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
}

async fn render_metrics(State(metrics): State<PrometheusHandle>) -> impl IntoResponse {
    usage::measure();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let waiting_for = readiness.waiting_for();
    let status =
        if waiting_for.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": waiting_for.is_empty(), "waiting_for": waiting_for });
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, extract::Request};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt as _;

    async fn get(router: Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let readiness = Readiness::default();
        let schema = readiness.latch("schema");
        let router = router(readiness, recorder.handle());
        let (status, body) = get(router.clone(), "/readyz").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":false,"waiting_for":["schema"]}"#)
        );
        schema.set();
        assert_eq!(get(router.clone(), "/readyz").await.0, StatusCode::OK);
        assert_eq!(get(router, "/healthz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_rendered_as_text() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let router = router(Readiness::default(), recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("rpc_requests_total").increment(3);
        });
        let (status, body) = get(router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("rpc_requests_total 3"), "{body}");
    }
}
