//! Every method of the contract by its path: whether it is a stream, and its metrics.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::{Counter, Histogram};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

/// How many codes gRPC has, OK included.
const CODES: usize = 17;

/// The methods of the contract. What is not in it (health, reflection, nonsense) counts as one, `other`.
#[derive(Debug)]
pub(crate) struct Methods {
    known: HashMap<String, Method>,
    other: Method,
}

/// One method.
#[derive(Debug)]
pub(crate) struct Method {
    name: Arc<str>,
    /// Whether it has a stream in either direction, and so no deadline of ours.
    pub(crate) is_stream: bool,
    // Both made when first used: most methods of the contract are another service's.
    seconds: OnceLock<Histogram>,
    by_code: [OnceLock<Counter>; CODES],
}

impl Methods {
    /// Of an encoded `FileDescriptorSet`.
    pub(crate) fn of(descriptors: &[u8]) -> Result<Self, prost::DecodeError> {
        let files = FileDescriptorSet::decode(descriptors)?;
        let mut known = HashMap::new();
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    let is_stream = method.client_streaming() || method.server_streaming();
                    known.insert(format!("/{name}"), Method::new(&name, is_stream));
                }
            }
        }
        Ok(Self { known, other: Method::new("other", true) })
    }

    /// The method at a path.
    pub(crate) fn at(&self, path: &str) -> &Method {
        self.known.get(path).unwrap_or(&self.other)
    }
}

impl Method {
    fn new(name: &str, is_stream: bool) -> Self {
        Self { name: name.into(), is_stream, seconds: OnceLock::new(), by_code: Default::default() }
    }

    /// Counts a request that was answered. Of a stream that is when its answer began; how it ends is not counted.
    pub(crate) fn answered(&self, code: Code, took: Duration) {
        let seconds = self.seconds.get_or_init(
            || metrics::histogram!("rpc_request_duration_seconds", "method" => self.name.clone()),
        );
        seconds.record(took.as_secs_f64());
        let counter = self.by_code[code as usize].get_or_init(|| {
            metrics::counter!("rpc_requests_total", "method" => self.name.clone(), "code" => name_of(code))
        });
        counter.increment(1);
    }
}

/// A code as gRPC's documentation writes it.
pub(crate) fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn requests_are_counted_by_method_and_code() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let rendered = metrics::with_local_recorder(&recorder, || {
            let methods = Methods::of(proto::DESCRIPTORS).unwrap();
            let path = "/salespipeline.identity.v1.KeyService/ListKeys";
            methods.at(path).answered(Code::Ok, Duration::from_millis(2));
            methods.at(path).answered(Code::Ok, Duration::from_millis(2));
            methods.at("/made/up").answered(Code::Unimplemented, Duration::ZERO);
            recorder.handle().render()
        });
        let counted = r#"rpc_requests_total{method="salespipeline.identity.v1.KeyService/ListKeys",code="OK"} 2"#;
        assert!(rendered.contains(counted), "{rendered}");
        assert!(rendered.contains(r#"{method="other",code="UNIMPLEMENTED"} 1"#), "{rendered}");
        assert!(rendered.contains("rpc_request_duration_seconds"), "{rendered}");
    }

    #[test]
    fn a_path_from_nowhere_makes_no_new_series() {
        let methods = Methods::of(proto::DESCRIPTORS).unwrap();
        assert_eq!(&*methods.at("/x/y").name, "other");
        assert!(!methods.at("/salespipeline.identity.v1.KeyService/ListKeys").is_stream);
    }
}
