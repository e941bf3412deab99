//! The gateway: the REST API in front of the services. It translates; it knows no rule of sales, and keeps no more than who has asked
//! lately and which tokens stand for whom.
//!
//! In reading order: [`router`] is the table of all URLs, [`rest`] has a handler for each, a few lines long, which speak through a
//! [`call::Call`] (who asks, and what travels along) to the services of [`app`]. [`http`] is how requests are read and answers written,
//! [`document`] what is documented, [`admit`] who a request comes from, [`api_key`] what stands for a key and [`limit`] how much they may ask, [`observe`]
//! what is measured of every request, [`pages`] how pages for people look, [`issuer`] by which name
//! programs know the authorization server.

pub mod admit;
pub mod api_key;
pub mod app;
pub mod call;
pub mod config;
pub mod document;
pub mod http;
pub mod issuer;
pub mod limit;
pub mod observe;
pub mod pages;
pub mod rest;
pub mod router;

use events::stream;
use process::Work;

use crate::app::App;
use crate::config::Config;

/// The name by which this process is known.
pub const SERVICE: &str = "gateway";

/// Binds, and spawns the HTTP server; returns at once. It is ready at once, too: a service that is down is that request's failure.
pub fn serve(process: &process::Context, config: Config) -> Work<'_> {
    Box::pin(async move {
        let app = App::connect(&config)?;
        let nats = stream::connect(config.events.nats_url.expose(), SERVICE).await?;
        let router = router::router(app.clone(), process.readiness());
        let proxies = config.trusted_proxies;
        let listener = process.listen(&config.listen).await?;
        let listener = listener.exempting(move |it| it.is_loopback() || proxies.contain(it));
        let rights = events::rights::follow_identity(
            nats,
            stream::Settings::of(&config.events),
            app.revocations,
            (app.identity, app.token),
            process.shutdown(),
        );
        process.spawn("rights", rights);
        process.spawn("keys", auth::learn_keys(app.verifier, process.shutdown()));
        process.spawn("http", process::http::serve(listener, router, process.shutdown()));
        Ok(())
    })
}
