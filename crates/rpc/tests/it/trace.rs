//! One trace over several services, as a collector sees it.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use process::TelemetrySettings;
use proto::identity::v1::{ListKeysRequest, key_service_client::KeyServiceClient};
use rpc::client;
use tokio::{net::TcpListener, sync::mpsc};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::Running;

/// Passes on what it is sent.
struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        for span in resources.flat_map(|it| it.scope_spans).flat_map(|it| it.spans) {
            // The test may have seen enough.
            let _ = self.0.send(span);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (String, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (spans, received) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(spans)))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    (url, received)
}

// The only test that sets up telemetry: a process has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_on_from_service_to_service() {
    let (url, mut received) = collector().await;
    let settings = TelemetrySettings {
        otlp_endpoint: Some(url),
        log_level: "warn".to_owned(),
        ..Default::default()
    };
    let telemetry = process::init("test", &settings).unwrap();

    let inner =
        Running::doing(async |request| Ok(rpc::context(&request).trace_id().unwrap().to_owned()))
            .await;
    let to_inner = inner.channel.clone();
    let outer = Running::doing(move |request| {
        let mut client = KeyServiceClient::new(to_inner.clone());
        let context = rpc::context(&request).outgoing();
        // As in a use case: in a task of its own.
        rpc::write(async move {
            let answer = client.list_keys(context.request(ListKeysRequest {})).await?;
            Ok(answer.into_inner().keys.remove(0).kid)
        })
    })
    .await;
    let (trace, browser) = ("5bd66ef5095369c7b0d1f8f4bd33716a", "c532cb4098ac3dd2");
    let context = client::Context::default();
    let context = context.with_traceparent(format!("00-{trace}-{browser}-01").parse().unwrap());
    let mut request = context.request(ListKeysRequest {});
    // The test itself is in no span: what it was told to send goes out.
    assert!(request.metadata_mut().get("traceparent").unwrap().to_str().unwrap().contains(browser));
    let answer = KeyServiceClient::new(outer.channel.clone()).list_keys(request).await.unwrap();
    assert_eq!(answer.into_inner().keys[0].kid, trace);

    tokio::task::spawn_blocking(|| telemetry.shutdown()).await.unwrap();
    let mut ours = Vec::new();
    while ours.len() < 2 {
        let span =
            tokio::time::timeout(Duration::from_secs(5), received.recv()).await.unwrap().unwrap();
        if span.trace_id == bytes(trace) {
            ours.push(span);
        }
    }
    let outer = ours.iter().find(|it| it.parent_span_id == bytes(browser)).unwrap();
    assert!(ours.iter().any(|it| it.parent_span_id == outer.span_id));
    assert_eq!(outer.name, "salespipeline.identity.v1.KeyService/ListKeys");
    assert!(format!("{outer:?}").contains(r#"StringValue("OK")"#), "{outer:?}");
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
