//! What `build.rs` makes of the `.proto` files: a module for each package, and tables over all of them.
#![expect(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "nobody wrote it by hand"
)]

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use prost_types::FieldMask;

use crate::{mask, query};

include!(concat!(env!("OUT_DIR"), "/modules.rs"));
include!(concat!(env!("OUT_DIR"), "/tables.rs"));

fn schema<T: ToSchema + PartialSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn documents() -> BTreeMap<String, Value> {
        let documents = schemas().into_iter();
        documents.map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect()
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.push(target.trim_start_matches("#/components/schemas/").to_owned());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_that_is_referred_to_is_there_under_its_own_name() {
        let documents = documents();
        assert_eq!(documents.len(), schemas().len());
        for (name, document) in &documents {
            let mut found = Vec::new();
            references(document, &mut found);
            for target in found {
                assert!(documents.contains_key(&target), "{name} refers to {target}");
            }
        }
    }

    #[test]
    fn a_request_requires_what_the_contract_says_and_an_answer_everything() {
        let documents = documents();
        let request = &documents["CreateOpportunityRequest"];
        assert_eq!(request["required"], json!(["opportunity_name"]));
        assert_eq!(request["additionalProperties"], json!(false));
        assert_eq!(request["properties"]["opportunity_name"]["maxLength"], json!(255));
        assert_eq!(request["properties"]["opportunity_name"]["type"], json!("string"));
        assert!(request["properties"]["owner_id"].get("default").is_none());
        assert!(documents["ChangeOpportunityStageRequest"]["properties"].get("id").is_none());

        let answer = &documents["Opportunity"];
        let properties = answer["properties"].as_object().unwrap();
        assert_eq!(answer["required"].as_array().unwrap().len(), properties.len());
        assert_eq!(properties["team_id"]["type"], json!(["integer", "null"]));
        assert_eq!(properties["id"]["type"], json!("integer"));
        assert_eq!(properties["created_at"]["$ref"], json!("#/components/schemas/Timestamp"));
    }

    #[test]
    fn an_enum_is_described_by_the_names_that_are_accepted() {
        assert_eq!(documents()["Role"]["enum"], json!(["admin", "manager", "rep", "viewer"]));
    }

    #[test]
    fn a_parameter_is_optional_and_never_null() {
        use utoipa::IntoParams;
        use utoipa::openapi::path::ParameterIn;
        let parameters =
            opportunities::v1::ListOpportunitiesRequest::into_params(|| Some(ParameterIn::Query));
        for parameter in serde_json::to_value(parameters).unwrap().as_array().unwrap() {
            assert_eq!(parameter["in"], "query");
            assert_eq!(parameter["required"], json!(false), "{parameter}");
            assert!(!parameter["schema"].to_string().contains("null"), "{parameter}");
        }
    }

    #[test]
    fn the_tables_name_every_rpc_and_the_parameters_of_those_that_read() {
        let list = "/salespipeline.opportunities.v1.OpportunityService/ListOpportunities";
        assert!(METHODS.contains(&list));
        assert!(METHODS.contains(&"/salespipeline.events.v1.ChangeService/ListChanges"));
        let (_, request, parameters) = QUERIES.iter().find(|(path, ..)| *path == list).unwrap();
        assert_eq!(*request, "ListOpportunitiesRequest");
        assert!(parameters.contains(&"sort_by"));
    }
}
