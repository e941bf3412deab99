//! An exporter that says so when traces do not leave: what exports them keeps that to itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tracing::{info, warn};

/// Logs when exports begin to fail and when they succeed again, not each of them.
#[derive(Debug)]
pub(crate) struct Told<E> {
    inner: E,
    fails: AtomicBool,
}

impl<E> Told<E> {
    pub(crate) fn new(inner: E) -> Self {
        Self { inner, fails: AtomicBool::new(false) }
    }

    fn tell(&self, result: &OTelSdkResult) {
        let failed_before = self.fails.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !failed_before => warn!(%error, "traces do not leave and are lost"),
            Ok(()) if failed_before => info!("traces leave again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        self.tell(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::OTelSdkError;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::log::JsonLines;

    /// Answers as it is told to.
    #[derive(Debug)]
    struct Answers(Mutex<Vec<OTelSdkResult>>);

    impl SpanExporter for Answers {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().remove(0)
        }
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<String>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn it_is_told_once_that_traces_are_lost_and_once_that_they_leave_again() {
        let gone = || Err(OTelSdkError::InternalFailure("nobody listens".to_owned()));
        let answers = vec![Ok(()), gone(), gone(), Ok(()), Ok(()), gone()];
        let count = answers.len();
        let exporter = Told::new(Answers(Mutex::new(answers)));
        let written = Written::default();
        let out = written.clone();
        let lines =
            JsonLines::new("test", move || Box::new(out.clone()) as Box<dyn std::io::Write>);
        let log = tracing_subscriber::registry().with(lines);
        let _logged = tracing::subscriber::set_default(log);
        for _ in 0..count {
            let _ = exporter.export(Vec::new()).await;
        }
        let written = written.0.lock().unwrap();
        let said: Vec<_> = written.lines().map(|it| it.contains("nobody listens")).collect();
        assert_eq!(said, [true, false, true], "{written}");
    }
}
