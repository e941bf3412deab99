//! The shape of a `main`: set up telemetry, start, wait for the end, drain, tell the exit code.

use std::{future::Future, io::Write as _, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    Bounds, Lifecycle, ListenSettings, Listener, Readiness, TelemetrySettings, http, ops, telemetry,
};

/// What a command of a program does. It is boxed where it is defined, so that it is compiled there and not once more with the `main` that awaits it.
pub type Work<'a> = BoxFuture<'a, anyhow::Result<()>>;

/// What a starting process is given.
#[derive(Clone, Debug)]
pub struct Context {
    service: &'static str,
    lifecycle: Lifecycle,
    metrics: PrometheusHandle,
}

/// Runs a process from its start to its exit code.
///
/// `start` binds, connects and spawns its tasks, and returns; a command that runs once does its work in it and spawns nothing. Until
/// it has returned the process is not ready. It ends when all tasks have ended: by themselves, at a signal, or because one failed
/// (see [`Lifecycle`]).
///
/// ```no_run
/// # let telemetry = process::TelemetrySettings::default();
/// # let address = ([127, 0, 0, 1], 0).into();
/// # let listen = process::ListenSettings { listen_addr: address, ops_addr: address, max_connections: 100, max_connections_per_address: 10 };
/// process::run("identity", &telemetry, async |process| {
///     let listener = process.listen(&listen).await?;
///     let shutdown = process.shutdown();
///     process.spawn("grpc", async move {
///         drop(listener);
///         shutdown.cancelled().await;
///         Ok(())
///     });
///     Ok(())
/// });
/// ```
pub fn run<F>(service: &'static str, settings: &TelemetrySettings, start: F) -> ExitCode
where
    F: AsyncFnOnce(Context) -> anyhow::Result<()>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(service, &error.into()),
    };
    let telemetry = {
        let _inside = runtime.enter();
        match telemetry::init(service, settings) {
            Ok(telemetry) => telemetry,
            Err(error) => return refuse(service, &error),
        }
    };
    std::panic::set_hook(Box::new(|panic| error!(%panic, "panicked")));
    let lifecycle = Lifecycle::default();
    // `/readyz` may be asked as soon as its address is bound, before `start` has named what is waited for.
    let start_up = lifecycle.readiness().latch("start");
    let context = Context { service, lifecycle: lifecycle.clone(), metrics: telemetry.metrics() };
    let well = runtime.block_on(async {
        let shutdown = lifecycle.shutdown();
        let started = async {
            lifecycle.listen_for_signals()?;
            tokio::select! {
                started = start(context) => started,
                () = shutdown.cancelled() => Err(anyhow::anyhow!("asked to stop before it was done")),
            }
        };
        match started.await {
            Ok(()) => start_up.set(),
            Err(error) => lifecycle.fail("start", &format!("{error:#}")),
        }
        lifecycle.finished().await
    });
    info!(well, "stopped");
    telemetry.shutdown();
    // Not for ever, if blocking work runs that nobody waits for any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Before there is telemetry, one line has to do. 64 is `EX_USAGE`: a setting makes no sense.
fn refuse(service: &str, error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{service}: {error:#}");
    ExitCode::from(64)
}

impl Context {
    /// Binds both addresses, serves `/metrics`, `/healthz` and `/readyz` on the second until the process ends, [`announce`]s both,
    /// and gives the first one's listener. The process may from then on open as many files as its hard limit allows.
    pub async fn listen(&self, settings: &ListenSettings) -> anyhow::Result<Listener> {
        let listener = bind(settings.listen_addr).await?;
        let listener = Listener::new(listener, "main", Bounds::of(settings));
        let ops = Listener::new(bind(settings.ops_addr).await?, "ops", Bounds::of_ops());
        announce(self.service, listener.local_addr()?, ops.local_addr()?)?;
        let router = ops::router(self.readiness().clone(), self.metrics.clone());
        tokio::spawn(async move {
            // Not one of the lifecycle's tasks: it tells of the draining until the runtime itself ends.
            if let Err(error) = http::serve(ops, router, CancellationToken::new()).await {
                error!(%error, "/metrics and /readyz are no longer served");
            }
        });
        Ok(listener)
    }

    /// The name that the process was started with.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The process's tasks and its end.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// What must be true before the process is given work.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        self.lifecycle.readiness()
    }

    /// Cancelled when the process begins to drain.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.lifecycle.shutdown()
    }

    /// Starts a task; see [`Lifecycle::spawn`].
    pub fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.lifecycle.spawn(name, task);
    }
}

/// Prints the one line of standard output, by which whoever started the process learns that it is bound, and where:
/// `{"service":"identity","listen":"127.0.0.1:1234","ops":"127.0.0.1:1235"}`.
pub fn announce(service: &str, listen: SocketAddr, ops: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, r#"{{"service":"{service}","listen":"{listen}","ops":"{ops}"}}"#)
        .and_then(|()| out.flush())
        .context("print the addresses")
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
}
