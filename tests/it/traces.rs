//! One trace from the REST request over statements to where its event is applied and its mail leaves, as a collector sees it.

use local::StackOptions;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::api::PATIENCE;
use crate::smtp::Smtp;
use crate::world::World;

/// Passes on what it is sent, each span with the service that it is of.
struct Collector(mpsc::UnboundedSender<(String, Span)>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let about = resource.resource.unwrap_or_default();
            let service = about.attributes.iter().find(|it| it.key == "service.name");
            let service = service.map(|it| text(it.value.clone().unwrap().value.unwrap()));
            for span in resource.scope_spans.into_iter().flat_map(|it| it.spans) {
                // The test may have seen enough.
                let _ = self.0.send((service.clone().unwrap_or_default(), span));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(value: Value) -> String {
    match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// What a span says of itself.
fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|it| it.key == name);
    let value = found.and_then(|it| it.value.clone()).and_then(|it| it.value);
    value.map(text).unwrap_or_default()
}

/// The spans of a trace, each with the service that it is of.
struct Seen(Vec<(String, Span)>);

impl Seen {
    /// Until all are there that are called so.
    async fn until(
        received: &mut mpsc::UnboundedReceiver<(String, Span)>,
        trace: u128,
        wanted: &[&str],
    ) -> Self {
        let mut seen = Self(Vec::new());
        let deadline = Instant::now() + PATIENCE;
        while !wanted.iter().all(|name| seen.0.iter().any(|(_, span)| span.name == *name)) {
            let Ok(Some((service, span))) = timeout_at(deadline, received.recv()).await else {
                panic!("of {wanted:?} only {:?}", seen.0);
            };
            if span.trace_id == trace.to_be_bytes() {
                seen.0.push((service, span));
            }
        }
        seen
    }

    fn called(&self, name: &str) -> (&str, &Span) {
        let (service, span) = self.0.iter().find(|(_, span)| span.name == name).unwrap();
        (service, span)
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_request_to_where_its_event_is_applied_and_its_mail_leaves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut received) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sender)))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    let (_mails, smtp_url) = Smtp::start().await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("PUBLIC_URL", "https://sales.example"),
        ("EMAIL_ENABLED", "true"),
        ("SMTP_URL", &*smtp_url),
        ("EMAIL_FROM", "Sales <sales@example.com>"),
    ];
    let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = StackOptions { environment: environment.into(), ..StackOptions::default() };
    let world = World::start(options).await;
    let send = async |trace: u128, path: &str, body: &serde_json::Value| {
        let traceparent = format!("00-{trace:032x}-b7ad6b7169203331-01");
        let headers = [("traceparent", &*traceparent)];
        world.admin.send(Method::POST, path, &headers, &body.to_string()).await
    };

    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128;
    let made =
        send(trace, "/opportunities", &json!({"customer_name": "A", "opportunity_name": "B"}))
            .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let wanted = [
        "POST /api/v1/opportunities",
        "salespipeline.opportunities.v1.OpportunityService/CreateOpportunity",
        "analytics applies opportunity.created",
        "notifier applies opportunity.created",
    ];
    let seen = Seen::until(&mut received, trace, &wanted).await;
    let (service, http) = seen.called(wanted[0]);
    assert_eq!((service, &*attribute(http, "http.response.status_code")), ("gateway", "201"));
    assert_eq!(http.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    let (service, rpc) = seen.called(wanted[1]);
    assert_eq!((service, &*attribute(rpc, "rpc.response.status_code")), ("opportunities", "OK"));
    assert_eq!(rpc.parent_span_id, http.span_id);
    // It ended before what it is part of, and the process sends in that order.
    let mut statements = seen.0.iter().filter(|(_, span)| span.parent_span_id == rpc.span_id);
    let (service, statement) = statements
        .find(|(_, span)| attribute(span, "db.query.text").contains("insert into opportunities"))
        .unwrap();
    assert_eq!(service, "opportunities");
    assert_eq!(attribute(statement, "db.system.name"), "postgresql");
    assert!(rpc.start_time_unix_nano <= statement.start_time_unix_nano, "{statement:?}");
    assert!(statement.start_time_unix_nano < statement.end_time_unix_nano, "{statement:?}");

    let trace = trace + 1;
    let user = json!({"email": "amy@example.com", "username": "Amy"});
    let invited = send(trace, "/users", &user).await;
    assert_eq!(invited.status, 201, "{}", invited.text);
    let wanted = ["POST /api/v1/users", "notifier sends a mail"];
    let seen = Seen::until(&mut received, trace, &wanted).await;
    let (service, mail) = seen.called(wanted[1]);
    assert_eq!((service, &*attribute(mail, "attempts")), ("notifier", "1"));
    // Nor is anybody's address or name in it.
    for (_, span) in &seen.0 {
        let said = format!("{span:?}");
        assert!(!said.contains("amy") && !said.contains("Amy"), "{said}");
    }
}
