//! Serving: connections, tasks and the gRPC server of this service.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use auth::{ISSUER, Keys, Revocations, ServiceToken, Verifier};
use chrono::{DateTime, Utc};
use events::dead_letters::DeadLetters;
use events::{ChangeLog, ChangeSource, Consumer, Relay, Wake, stream};
use process::{Context, Latch, MigrateSettings, Work, postgres};
use proto::audit::v1::audit_service_server::AuditServiceServer;
use proto::dead_letter::v1::dead_letter_service_server::DeadLetterServiceServer;
use proto::events::v1::change_service_server::ChangeServiceServer;
use proto::opportunities::v1::activity_service_server::ActivityServiceServer;
use proto::opportunities::v1::bulk_service_server::BulkServiceServer;
use proto::opportunities::v1::contact_service_server::ContactServiceServer;
use proto::opportunities::v1::currency_service_server::CurrencyServiceServer;
use proto::opportunities::v1::custom_field_service_server::CustomFieldServiceServer;
use proto::opportunities::v1::customer_service_server::CustomerServiceServer;
use proto::opportunities::v1::export_service_server::ExportServiceServer;
use proto::opportunities::v1::import_service_server::ImportServiceServer;
use proto::opportunities::v1::lost_reason_service_server::LostReasonServiceServer;
use proto::opportunities::v1::opportunity_service_server::OpportunityServiceServer;
use proto::opportunities::v1::pipeline_service_server::PipelineServiceServer;
use proto::opportunities::v1::sync_service_server::SyncServiceServer;
use rpc::{Tls, client};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::consumer::CONSUMERS;
use crate::grpc::{
    Activities, Audit, Bulk, Contacts, Currencies, CustomFieldsGrpc, Customers, Exports, Imports,
    LostReasonsGrpc, Opportunities, PipelinesGrpc, Sync,
};
use crate::identity::Identity;
use crate::{MIGRATOR, State, consumer, customer, import, opportunity, pipeline};

/// How often a consumer asks the owner when no message comes.
const POLL: Duration = Duration::from_secs(5);
/// How long until settings are asked for again while nobody knows them.
const RETRY: Duration = Duration::from_millis(200);
/// How often answers kept for idempotency keys are forgotten.
const FORGET: Duration = Duration::from_mins(10);

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
        let reads =
            postgres::read_pool(&config.database.url, config.database.pool_size, "opportunities")?;
        let writes =
            postgres::write_pool(&config.database.url, config.database.pool_size, "opportunities")?;
        let channel = client::connect_lazy(&config.identity_url, &tls)?;
        let secret = config.service_secret.clone();
        let token = Arc::new(ServiceToken::new(channel.clone(), "opportunities", secret));
        let identity = Identity::new(channel.clone(), token.clone());
        let state = State::new(reads.clone(), writes.clone(), identity);
        let nats = stream::connect(config.events.nats_url.expose(), "opportunities").await?;
        let stream = stream::Settings::of(&config.events);

        let shutdown = process.shutdown();
        process.spawn("load", load(state.clone(), [database, migrated, known], shutdown.clone()));
        process.spawn("relay", {
            let relay = Relay {
                source: "opportunities".to_owned(),
                database_url: config.database.url.clone(),
                nats: nats.clone(),
                stream: stream.clone(),
                wake: state.wake.clone(),
            };
            events::relay::run(relay, shutdown.clone())
        });
        let (applied, hear_of_applied) = watch::channel(0);
        process.spawn("wake", wake(hear_of_applied, state.wake.clone(), shutdown.clone()));
        process.spawn("people", {
            let consumer = Consumer {
                name: consumer::NAME.to_owned(),
                source: consumer::IDENTITY.to_owned(),
                database_url: config.database.url.clone(),
                nats: nats.clone(),
                stream: stream.clone(),
                owner: ChangeSource::of_service(channel.clone(), Arc::clone(&token)),
                poll_every: POLL,
                // What follows a person to another team is ours.
                durable: true,
                position: Some(applied),
                applies: None,
            };
            events::consumer::run(
                consumer,
                |tx, events| consumer::apply(tx, events, process::now()),
                shutdown.clone(),
            )
        });
        process.spawn("forget", forget(writes.clone(), shutdown.clone()));
        process.spawn("imports", import::work::run(state.clone(), shutdown.clone()));
        process.spawn("closings", pipeline::closing::run(state.clone(), shutdown.clone()));
        let revocations = Arc::<Revocations>::default();
        process.spawn(
            "rights",
            events::rights::follow_identity(
                nats,
                stream,
                Arc::clone(&revocations),
                (channel.clone(), token),
                shutdown.clone(),
            ),
        );
        let verifier = Arc::new(Verifier::new(ISSUER, Keys::from_identity(channel), revocations));
        process.spawn("keys", auth::learn_keys(Arc::clone(&verifier), shutdown.clone()));
        let sync = Sync::new(state.clone(), Arc::clone(&verifier), shutdown.clone());
        let imports = Imports::new(state.clone(), Arc::clone(&verifier), shutdown.clone());
        let exports = Exports::new(state.clone(), Arc::clone(&verifier));
        let aside = DeadLetters::new(reads.clone(), writes, &CONSUMERS, consumer::apply_again);
        let server = rpc::Server::builder("opportunities")
            .readiness(process.readiness())
            .tls(&tls)
            .auth(auth::Layer::new(verifier, &[]))
            .add(
                OpportunityServiceServer::new(Opportunities(state.clone()))
                    .max_decoding_message_size(rpc::server::MAX_BULK_MESSAGE_BYTES),
            )
            .add(ActivityServiceServer::new(Activities(state.clone())))
            .add(
                BulkServiceServer::new(Bulk(state.clone()))
                    .max_decoding_message_size(rpc::server::MAX_BULK_MESSAGE_BYTES),
            )
            .add(CustomerServiceServer::new(Customers(state.clone())))
            .add(ContactServiceServer::new(Contacts(state.clone())))
            .add(CurrencyServiceServer::new(Currencies(state.clone())))
            .add(ExportServiceServer::new(exports))
            .add(ImportServiceServer::new(imports))
            .add(CustomFieldServiceServer::new(CustomFieldsGrpc(state.clone())))
            .add(LostReasonServiceServer::new(LostReasonsGrpc(state.clone())))
            .add(PipelineServiceServer::new(PipelinesGrpc(state.clone())))
            .add(SyncServiceServer::new(sync))
            .add(AuditServiceServer::new(Audit(state)))
            .add(DeadLetterServiceServer::new(aside))
            .add(ChangeServiceServer::new(ChangeLog { pool: reads }));
        process.spawn("grpc", server.serve(listener, shutdown));
        Ok(())
    })
}

/// Brings the schema up to date, as the role that owns it, and makes the default pipeline where there is none.
pub fn migrate(settings: &MigrateSettings, now: DateTime<Utc>) -> Work<'_> {
    Box::pin(async move {
        postgres::migrate(&settings.url, &MIGRATOR).await?;
        let pool = postgres::write_pool(&settings.url, 1, "opportunities")?;
        pipeline::ensure_default(&pool, now).await?;
        pool.close().await;
        Ok(())
    })
}

/// Waits for the database, its schema and the settings, says so, and keeps settings and pipelines fresh.
async fn load(
    state: State,
    [database, schema, settings]: [Latch; 3],
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
    let searchable = shutdown.run_until_cancelled(make_searchable(&state.writes));
    tokio::join!(searchable, state.clone().keep_fresh(shutdown.clone()));
    Ok(())
}

/// Has every opportunity and every customer found by what is kept for it, those from before that was kept, too.
async fn make_searchable(pool: &PgPool) {
    match customer::catch_up(pool).await {
        Ok(0) => {}
        Ok(filled) => info!(filled, "customers can be found by their text and their likes now"),
        Err(error) => warn!(%error, "some customers are not found by their text"),
    }
    match opportunity::search::catch_up(pool).await {
        Ok(0) => {}
        Ok(added) => info!(added, "opportunities can be found by their text now"),
        Err(error) => warn!(%error, "some opportunities are not found by their text"),
    }
}

/// Wakes the relay after each transaction of the consumer: what it applied may have moved opportunities.
async fn wake(
    mut applied: watch::Receiver<i64>,
    relay: Wake,
    shutdown: CancellationToken,
) -> Result<()> {
    while let Some(Ok(())) = shutdown.run_until_cancelled(applied.changed()).await {
        relay.wake();
    }
    Ok(())
}

/// Forgets answers to idempotency keys when their day is over.
async fn forget(pool: PgPool, shutdown: CancellationToken) -> Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(FORGET)).await.is_some() {
        if let Err(error) = idempotency::forget(&pool, process::now()).await {
            warn!(%error, "old idempotency keys were not forgotten");
        }
    }
    Ok(())
}
