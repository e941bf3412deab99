//! Serving: connections, tasks and the gRPC server of this service.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use auth::{ISSUER, Keys, Revocations, ServiceToken, Verifier};
use events::dead_letters::DeadLetters;
use events::{ChangeSource, Consumer, stream};
use process::{Context, Latch, Secret, Work, postgres};
use proto::analytics::v1::adjustment_service_server::AdjustmentServiceServer;
use proto::analytics::v1::advanced_report_service_server::AdvancedReportServiceServer;
use proto::analytics::v1::attainment_service_server::AttainmentServiceServer;
use proto::analytics::v1::forecast_service_server::ForecastServiceServer;
use proto::analytics::v1::pipeline_change_service_server::PipelineChangeServiceServer;
use proto::analytics::v1::report_service_server::ReportServiceServer;
use proto::analytics::v1::target_service_server::TargetServiceServer;
use proto::dead_letter::v1::dead_letter_service_server::DeadLetterServiceServer;
use rpc::client::Channel;
use rpc::{Tls, client};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::Config;
use crate::consumer::{self, CONSUMERS, IDENTITY, NAME, OPPORTUNITIES};
use crate::form::Renewal;
use crate::grpc::{
    Adjustments, AdvancedReports, AttainmentAnswers, Changes, Forecasts, Reports, Targets,
};
use crate::identity::Identity;
use crate::owners::Owner;
use crate::state::Known;
use crate::{MIGRATOR, State, form, reconcile, snapshot, training};

/// How often a consumer asks the owner when no message comes.
const POLL: Duration = Duration::from_secs(5);
/// How long until settings are asked for again while nobody knows them.
const RETRY: Duration = Duration::from_millis(200);

/// Binds, connects, and starts every task of the service.
pub fn serve(process: &Context, config: Config) -> Work<'_> {
    Box::pin(async move {
        let tls = Tls::load(&config.tls)?;
        let listener = process.listen(&config.listen).await?;
        let (database, migrated, known) = (
            process.readiness().latch("database"),
            process.readiness().latch("schema"),
            process.readiness().latch("settings"),
        );
        let identity = client::connect_lazy(&config.identity_url, &tls)?;
        let opportunities = client::connect_lazy(&config.opportunities_url, &tls)?;
        let secret = config.service_secret.clone();
        let token = Arc::new(ServiceToken::new(identity.clone(), NAME, secret));
        let state = State {
            reads: postgres::read_pool(&config.database.url, config.database.pool_size, NAME)?,
            writes: postgres::write_pool(&config.database.url, config.database.pool_size, NAME)?,
            pipelines: Known::default(),
            settings: Known::default(),
            valued_on: Known::default(),
            speaking: Known::default(),
            currency_fixed: Known::default(),
            identity: Identity::new(identity.clone(), Arc::clone(&token)),
        };
        let nats = stream::connect(config.events.nats_url.expose(), NAME).await?;
        let consumer = |source: &str, owner: Channel| Consumer {
            name: NAME.to_owned(),
            source: source.to_owned(),
            database_url: config.database.url.clone(),
            nats: nats.clone(),
            stream: stream::Settings::of(&config.events),
            owner: ChangeSource::of_service(owner, Arc::clone(&token)),
            poll_every: POLL,
            durable: false,
            position: None,
            applies: None,
        };
        let (applies, hears_applies) = watch::channel(false);
        let people = consumer(IDENTITY, identity.clone());
        let deals =
            Consumer { applies: Some(applies), ..consumer(OPPORTUNITIES, opportunities.clone()) };

        let shutdown = process.shutdown();
        let (loaded, is_loaded) = watch::channel(false);
        let latches = [database, migrated, known];
        process.spawn("load", load(state.clone(), latches, loaded, shutdown.clone()));
        process.spawn(
            "people",
            events::consumer::run(people, consumer::apply_identity, shutdown.clone()),
        );
        process.spawn("deals", apply_deals(deals, is_loaded.clone(), shutdown.clone()));
        let revocations = Arc::<Revocations>::default();
        process.spawn(
            "rights",
            events::rights::follow_identity(
                nats,
                stream::Settings::of(&config.events),
                Arc::clone(&revocations),
                (identity.clone(), Arc::clone(&token)),
                shutdown.clone(),
            ),
        );
        let owner = Owner::new(opportunities, Arc::clone(&token));
        let renewal = Renewal {
            pool: state.writes.clone(),
            database_url: config.database.url.clone(),
            identity: Owner::new(identity.clone(), token),
            opportunities: owner.clone(),
        };
        process.spawn("form", form::run(renewal, hears_applies, shutdown.clone()));
        let (url, pool) = (config.database.url.clone(), state.writes.clone());
        process.spawn("reconcile", reconcile::run(url, pool, owner, shutdown.clone()));
        let (url, pool) = (config.database.url.clone(), state.writes.clone());
        process.spawn("snapshots", snapshot::run(url, pool, shutdown.clone()));
        let (url, pool) = (config.database.url.clone(), state.writes.clone());
        process.spawn("training", train(url, pool, is_loaded, shutdown.clone()));
        let (reads, writes) = (state.reads.clone(), state.writes.clone());
        let aside = DeadLetters::new(reads, writes, &CONSUMERS, consumer::apply_again);
        let keys = Keys::from_identity(identity);
        let verifier = Arc::new(Verifier::new(ISSUER, keys, revocations));
        process.spawn("keys", auth::learn_keys(Arc::clone(&verifier), shutdown.clone()));
        let server = rpc::Server::builder(NAME)
            .readiness(process.readiness())
            .tls(&tls)
            .auth(auth::Layer::new(verifier, &[]))
            .add(ReportServiceServer::new(Reports(state.clone())))
            .add(AdvancedReportServiceServer::new(AdvancedReports(state.clone())))
            .add(PipelineChangeServiceServer::new(Changes(state.clone())))
            .add(AdjustmentServiceServer::new(Adjustments(state.clone())))
            .add(AttainmentServiceServer::new(AttainmentAnswers(state.clone())))
            .add(TargetServiceServer::new(Targets(state.clone())))
            .add(ForecastServiceServer::new(Forecasts(state)))
            .add(DeadLetterServiceServer::new(aside));
        process.spawn("grpc", server.serve(listener, shutdown));
        Ok(())
    })
}

/// Waits for the database, its schema and the settings, says so, and keeps settings and pipelines fresh.
async fn load(
    state: State,
    [database, schema, settings]: [Latch; 3],
    loaded: watch::Sender<bool>,
    shutdown: CancellationToken,
) -> Result<()> {
    let pool = state.reads.clone();
    let usable = shutdown.run_until_cancelled(postgres::wait_until_usable(&pool, &MIGRATOR)).await;
    let Some(usable) = usable else { return Ok(()) };
    usable?;
    database.set();
    schema.set();
    while let Err(error) = state.load().await {
        info!(error = format!("{:#}", anyhow::Error::from(error)), "settings are not known yet");
        if shutdown.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
            return Ok(());
        }
    }
    settings.set();
    loaded.send_replace(true);
    state.keep_fresh(shutdown).await;
    Ok(())
}

/// Applies events of opportunities once the settings are known: without a time zone an event belongs to no day.
async fn apply_deals(
    consumer: Consumer,
    mut is_loaded: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> Result<()> {
    // An error means that loading ended before, at shutdown.
    if is_loaded.wait_for(|loaded| *loaded).await.is_err() {
        return Ok(());
    }
    events::consumer::run(consumer, consumer::apply_opportunities, shutdown).await
}

/// Trains once the settings are known.
async fn train(
    database_url: Secret,
    pool: PgPool,
    mut is_loaded: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> Result<()> {
    // An error means that loading ended before, at shutdown.
    if is_loaded.wait_for(|loaded| *loaded).await.is_err() {
        return Ok(());
    }
    training::run(database_url, pool, shutdown).await
}
