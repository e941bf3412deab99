//! How requests of the REST API are read and answers are written, the same on every route and as the documentation says.
//!
//! Handlers take [`Path`], [`Query`] (or [`NoQuery`]), [`IfMatch`] and [`Json`] or [`Patch`], and return an [`Answer`] of [`Json`], [`Resource`], [`Created`],
//! [`Made`], [`Accepted`] or [`NoContent`], a [`Table`] for a report, in [`Unkept`] where it holds a secret. The router is wrapped in [`finish`], which gives every answer its request id and every failure its
//! problem document, and that in [`tell_browsers`].

mod address;
mod answer;
mod body;
mod browser;
mod condition;
pub mod download;
mod error;
mod events;
mod faults;
mod finish;
mod form;
mod path;
mod problem;
mod query;
mod table;

pub use address::{TrustedProxies, client_address};
pub use answer::{
    Accepted, Answer, Begun, Created, Done, Made, NoContent, Put, Resource, Unkept, present,
};
pub(crate) use body::read_form;
pub use body::{BODY_LIMIT_BYTES, BulkJson, Json, Patch};
pub use browser::{confine_documentation, tell_browsers};
pub use condition::{IfMatch, IfThere, Untagged};
pub use events::Events;
pub use faults::Faults;
pub use finish::{RequestId, finish};
pub use form::Fields;
pub use path::Path;
pub use problem::{FieldError, Problem, ProblemDocument};
pub use query::{NoQuery, Query};
pub use table::Table;

#[cfg(test)]
mod tests {
    use proto::opportunities::v1::{
        CreateOpportunityRequest, ListOpportunitiesRequest, Opportunity,
    };
    use serde_json::{Value, json};
    use utoipa_axum::router::OpenApiRouter;
    use utoipa_axum::routes;

    use super::*;

    /// Make
    #[utoipa::path(post, path = "/opportunities")]
    async fn make(Json(_request): Json<CreateOpportunityRequest>) -> Answer<Created<Opportunity>> {
        Err(Problem::not_found())
    }

    /// Look
    #[utoipa::path(get, path = "/opportunities/{id}")]
    async fn look(
        _version: IfMatch,
        Path(_id): Path<i64>,
        _query: NoQuery,
    ) -> Answer<Resource<Opportunity>> {
        Err(Problem::not_found())
    }

    /// Search
    #[utoipa::path(get, path = "/opportunities", params(ListOpportunitiesRequest))]
    async fn search(Query(_request): Query<ListOpportunitiesRequest>) -> Answer<Json<Opportunity>> {
        Err(Problem::not_found())
    }

    #[test]
    fn the_documentation_of_a_handler_comes_from_its_types() {
        let mut routes =
            OpenApiRouter::<()>::new().routes(routes!(make, search)).routes(routes!(look));
        let document = serde_json::to_value(routes.to_openapi()).unwrap();
        let at = |pointer: &str| document.pointer(pointer).cloned().unwrap_or(Value::Null);
        let paths = "/paths/~1opportunities";
        assert_eq!(
            at(&format!("{paths}/post/requestBody/content/application~1json/schema/$ref")),
            "#/components/schemas/CreateOpportunityRequest"
        );
        let made = at(&format!("{paths}/post/responses/201"));
        assert_eq!(
            made["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/Opportunity"
        );
        assert!(made["headers"].get("Location").is_some() && made["headers"].get("ETag").is_some());
        let id = at("/paths/~1opportunities~1{id}/get/parameters/0");
        assert_eq!((&id["name"], &id["in"]), (&json!("id"), &json!("path")));
        assert_eq!(id["schema"]["type"], "integer");
        let parameters = at(&format!("{paths}/get/parameters"));
        assert_eq!(parameters.as_array().unwrap().len(), 32);
    }
}
