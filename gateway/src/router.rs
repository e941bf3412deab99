//! The table of all URLs.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use process::Readiness;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::admit::admit;
use crate::app::App;
use crate::http::{Problem, confine_documentation, finish, tell_browsers};
use crate::issuer::is_secure;
use crate::observe::{Running, observe};
use crate::pages::password;
use crate::{document, rest};

/// Where the REST API begins.
pub const BASE: &str = "/api/v1";

/// Every route of the REST API, without its base.
pub(crate) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(identity())
        // opportunities
        .routes(routes!(rest::pipelines::list_pipelines, rest::pipelines::create_pipeline))
        .routes(routes!(
            rest::pipelines::get_pipeline,
            rest::pipelines::update_pipeline,
            rest::pipelines::delete_pipeline
        ))
        .routes(routes!(rest::currencies::list_currencies))
        .routes(routes!(rest::currencies::list_exchange_rates, rest::currencies::set_exchange_rate))
        .routes(routes!(rest::currencies::delete_exchange_rate))
        .routes(routes!(rest::stages::list_stages, rest::stages::create_stage))
        .routes(routes!(rest::stages::reorder_stages))
        .routes(routes!(rest::stages::update_stage, rest::stages::delete_stage))
        .merge(managed_lists())
        .routes(routes!(
            rest::opportunities::list_opportunities,
            rest::opportunities::create_opportunity
        ))
        .merge(files())
        .routes(routes!(
            rest::opportunities::get_opportunity,
            rest::opportunities::update_opportunity,
            rest::opportunities::delete_opportunity
        ))
        .routes(routes!(rest::opportunities::restore_opportunity))
        .routes(routes!(rest::opportunities::upsert_opportunity))
        .routes(routes!(rest::opportunities::update_opportunities))
        .routes(routes!(rest::opportunities::change_opportunity_stage))
        .routes(routes!(rest::opportunities::list_stage_history))
        .routes(routes!(rest::opportunities::get_opportunity_access))
        .routes(routes!(
            rest::activities::list_opportunity_activities,
            rest::activities::create_activity
        ))
        .routes(routes!(rest::activities::list_activities))
        .routes(routes!(
            rest::activities::get_activity,
            rest::activities::update_activity,
            rest::activities::delete_activity
        ))
        .routes(routes!(rest::activities::restore_activity))
        .routes(routes!(rest::customers::list_customers, rest::customers::create_customer))
        .routes(routes!(
            rest::customers::get_customer,
            rest::customers::update_customer,
            rest::customers::delete_customer
        ))
        .routes(routes!(rest::customers::restore_customer))
        .routes(routes!(rest::customers::list_duplicate_customers))
        .routes(routes!(rest::customers::merge_customers))
        .routes(routes!(rest::customers::unmerge_customers))
        .routes(routes!(rest::contacts::list_contacts, rest::contacts::create_contact))
        .routes(routes!(
            rest::contacts::get_contact,
            rest::contacts::update_contact,
            rest::contacts::delete_contact
        ))
        .routes(routes!(rest::contacts::erase_contact))
        .routes(routes!(rest::sync::list_sync_items))
        // analytics
        .routes(routes!(rest::reports::get_pipeline_overview))
        .routes(routes!(rest::forecast::get_forecast))
        .routes(routes!(rest::forecast::get_forecast_breakdown))
        .routes(routes!(rest::forecast::list_opportunity_forecasts))
        .routes(routes!(rest::forecast::get_forecast_history))
        .routes(routes!(rest::forecast::get_forecast_accuracy))
        .routes(routes!(rest::pipeline_changes::get_pipeline_changes))
        .routes(routes!(rest::pipeline_changes::list_pipeline_change_opportunities))
        .routes(routes!(rest::reports::get_conversion_rate))
        .routes(routes!(rest::reports::get_sales_trend))
        .routes(routes!(rest::reports::get_sales_performance))
        .merge(advanced_reports())
        .merge(plans())
        // every owner
        .routes(routes!(rest::audit::list_audit_entries))
        // whoever derives
        .routes(routes!(rest::dead_letters::list_dead_letters))
        .routes(routes!(rest::dead_letters::get_dead_letter))
        .routes(routes!(rest::dead_letters::replay_dead_letter))
        .routes(routes!(rest::dead_letters::replay_dead_letters))
        // notifier
        .routes(routes!(rest::notifications::list_notifications))
}

/// People and how they are known.
fn identity() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rest::token::issue_token))
        .routes(routes!(rest::token::revoke_token))
        .routes(routes!(rest::password_links::request_password_reset))
        .routes(routes!(rest::password_links::set_password_by_link))
        // Pages: not part of the documented API.
        .route("/auth/authorize", get(rest::authorize::show_sign_in).post(rest::authorize::sign_in))
        .route("/auth/external", post(rest::external::begin))
        .route("/auth/external/callback", get(rest::external::finish))
        .routes(routes!(rest::clients::list_clients, rest::clients::create_client))
        .routes(routes!(rest::clients::get_client, rest::clients::delete_client))
        .routes(routes!(rest::users::list_users, rest::users::create_user))
        .routes(routes!(rest::users::get_me, rest::users::update_me))
        .routes(routes!(rest::users::change_password))
        .routes(routes!(rest::sessions::list_sessions))
        .routes(routes!(rest::sessions::end_session))
        .routes(routes!(
            rest::second_factors::get_second_factor,
            rest::second_factors::begin_second_factor
        ))
        .routes(routes!(rest::second_factors::confirm_second_factor))
        .routes(routes!(rest::second_factors::replace_recovery_codes))
        .routes(routes!(rest::second_factors::disable_second_factor))
        .routes(routes!(rest::second_factors::reset_second_factor))
        .routes(routes!(rest::users::get_user, rest::users::update_user))
        .routes(routes!(rest::sessions::end_user_sessions))
        .routes(routes!(rest::password_links::invite_user))
        .routes(routes!(rest::api_keys::list_api_keys, rest::api_keys::create_api_key))
        .routes(routes!(rest::api_keys::revoke_api_key))
        .routes(routes!(rest::teams::list_teams, rest::teams::create_team))
        .routes(routes!(rest::teams::get_team, rest::teams::update_team, rest::teams::delete_team))
        .routes(routes!(rest::teams::add_team_member, rest::teams::remove_team_member))
        .routes(routes!(rest::settings::get_settings, rest::settings::update_settings))
}

/// Opportunities as files.
fn files() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rest::exports::export_opportunities))
        .routes(routes!(rest::imports::create_import))
        .routes(routes!(rest::imports::get_import))
        .routes(routes!(rest::imports::watch_import))
        .routes(routes!(rest::imports::undo_import))
}

/// Reports beyond those of every day, and the opportunities behind the numbers of all.
fn advanced_reports() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rest::advanced_reports::get_loss_reasons))
        .routes(routes!(rest::advanced_reports::get_sales_velocity))
        .routes(routes!(rest::advanced_reports::get_stage_duration))
        .routes(routes!(rest::advanced_reports::get_cohorts))
        .routes(routes!(rest::advanced_reports::get_activity_report))
        .routes(routes!(rest::advanced_reports::list_report_opportunities))
}

/// What is planned.
fn plans() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rest::targets::list_targets, rest::targets::set_target))
        .routes(routes!(rest::targets::get_target, rest::targets::delete_target))
        .routes(routes!(rest::targets::get_attainment))
        .routes(routes!(
            rest::adjustments::list_forecast_adjustments,
            rest::adjustments::set_forecast_adjustment
        ))
        .routes(routes!(
            rest::adjustments::get_forecast_adjustment,
            rest::adjustments::delete_forecast_adjustment
        ))
        .routes(routes!(rest::adjustments::list_forecast_adjustment_changes))
}

/// The lists that administrators manage.
fn managed_lists() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(
            rest::custom_fields::list_custom_fields,
            rest::custom_fields::create_custom_field
        ))
        .routes(routes!(
            rest::custom_fields::update_custom_field,
            rest::custom_fields::delete_custom_field
        ))
        .routes(routes!(
            rest::lost_reasons::list_lost_reasons,
            rest::lost_reasons::create_lost_reason
        ))
        .routes(routes!(
            rest::lost_reasons::update_lost_reason,
            rest::lost_reasons::delete_lost_reason
        ))
}

/// Every page for people.
fn pages() -> Router<App> {
    Router::new()
        .route("/set-password", get(password::show_link).post(password::set))
        .route("/reset-password", get(password::show_reset).post(password::ask_reset))
}

/// The REST API with its documentation, pages for people, and what whoever runs it asks.
pub fn router(app: App, readiness: &Readiness) -> Router {
    let (api, _) = api().split_for_parts();
    let api = api
        .with_state(app.clone())
        .fallback(async || Problem::not_found())
        .layer(from_fn_with_state(app.clone(), admit));
    let well_known = Router::new()
        .route("/oauth-authorization-server", get(rest::well_known::get_authorization_server))
        .route("/jwks.json", get(rest::well_known::get_keys))
        .with_state(app.clone())
        .layer(from_fn_with_state(app.clone(), admit));
    let is_secure = is_secure(&app);
    let pages = pages().with_state(app.clone()).layer(from_fn_with_state(app, admit));
    // The documentation signs people in as the dashboard does.
    let dashboard = utoipa_swagger_ui::oauth::Config::new()
        .client_id("dashboard")
        .use_pkce_with_authorization_code_grant(true);
    // Nobody else is told of the document, to say whether it is well written.
    let settings = utoipa_swagger_ui::Config::new(["/openapi.json"]).validator_url("none");
    let docs = Router::from(SwaggerUi::new("/docs").config(settings).oauth(dashboard));
    let document = async || ([(CONTENT_TYPE, "application/json")], document::served());
    let docs = docs.route("/openapi.json", get(document));
    Router::new()
        .nest(BASE, api)
        .merge(pages)
        .nest("/.well-known", well_known)
        .merge(docs.layer(from_fn(confine_documentation)))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .merge(process::ops::health(readiness.clone()))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(Running::default(), observe))
        .layer(from_fn(finish))
        .layer(from_fn_with_state(is_secure, tell_browsers))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http::header::{
        CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    };
    use tower::ServiceExt as _;

    use super::*;

    async fn get(gateway: &Router, path: &str) -> axum::response::Response {
        let request = Request::get(path).body(Body::empty()).unwrap();
        gateway.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn every_answer_is_what_its_type_says() {
        let gateway = router(App::alone(&[]), &Readiness::default());
        for (path, status) in [
            ("/", 307),
            ("/api/v1/teams", 401),
            ("/api/v1/nowhere", 404),
            ("/nowhere", 404),
            ("/healthz", 200),
            ("/openapi.json", 200),
            ("/docs", 303),
            ("/docs/swagger-ui-bundle.js", 200),
            ("/reset-password", 200),
            ("/.well-known/jwks.json", 503),
        ] {
            let answer = get(&gateway, path).await;
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert!(!answer.headers().contains_key(STRICT_TRANSPORT_SECURITY), "{path}");
        }
    }

    #[tokio::test]
    async fn where_there_is_tls_people_do_not_come_without_it() {
        for (url, expected) in [
            ("https://sales.example.com", Some("max-age=31536000")),
            ("http://localhost:8000", None),
        ] {
            let gateway = router(App::alone(&["--public-url", url]), &Readiness::default());
            for path in ["/docs/", "/api/v1/teams", "/reset-password", "/nowhere"] {
                let answer = get(&gateway, path).await;
                let told = answer.headers().get(STRICT_TRANSPORT_SECURITY);
                assert_eq!(told.map(|it| it.to_str().unwrap()), expected, "{url} {path}");
            }
        }
    }

    #[tokio::test]
    async fn the_documentation_stands_in_no_frame_and_asks_nobody_else() {
        let gateway = router(App::alone(&[]), &Readiness::default());
        for path in ["/docs/", "/docs/oauth2-redirect.html", "/docs/nowhere"] {
            let answer = get(&gateway, path).await;
            assert_eq!(answer.headers()[X_FRAME_OPTIONS], "DENY", "{path}");
            let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            for part in [
                "default-src 'none';",
                "script-src 'self';",
                "connect-src 'self';",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
        }
        // What the policy lets it do is all that it does.
        for path in ["/docs/", "/docs/oauth2-redirect.html", "/docs/swagger-initializer.js"] {
            let answer = get(&gateway, path).await;
            let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            let text = str::from_utf8(&body).unwrap();
            assert!(!text.contains("<script>") && !text.contains("http"), "{path}: {text}");
            let is_script = path.contains("initializer");
            assert_eq!(kind.contains("javascript"), is_script, "{path}: {kind}");
            assert!(!is_script || text.contains("\"validatorUrl\": \"none\""), "{text}");
        }
    }
}
