//! One trace from the REST request to where its event is applied, as a collector sees it.

use local::StackOptions;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use reqwest::Method;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::api::PATIENCE;
use crate::world::World;

/// Passes on the trace and the name of every span that it is sent.
struct Collector(mpsc::UnboundedSender<(Vec<u8>, String)>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        for span in resources.flat_map(|it| it.scope_spans).flat_map(|it| it.spans) {
            // The test may have seen enough.
            let _ = self.0.send((span.trace_id, span.name));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_request_to_where_its_event_is_applied() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (spans, mut received) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(spans)))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), url),
        ("OTEL_BSP_SCHEDULE_DELAY".to_owned(), "100".to_owned()),
    ];
    let options = StackOptions { environment: environment.into(), ..StackOptions::default() };
    let world = World::start(options).await;

    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128;
    let traceparent = format!("00-{trace:032x}-b7ad6b7169203331-01");
    let body = r#"{"customer_name":"A","opportunity_name":"B"}"#;
    let headers = [("traceparent", &*traceparent)];
    let made = world.admin.send(Method::POST, "/opportunities", &headers, body).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let mut missing = vec![
        "POST /api/v1/opportunities",
        "salespipeline.opportunities.v1.OpportunityService/CreateOpportunity",
        "analytics applies opportunity.created",
        "notifier applies opportunity.created",
    ];
    while !missing.is_empty() {
        let next = timeout(PATIENCE, received.recv()).await;
        let Ok(Some((trace_id, name))) = next else { panic!("no span {missing:?}") };
        if trace_id == trace.to_be_bytes() {
            missing.retain(|wanted| *wanted != name);
        }
    }
}
