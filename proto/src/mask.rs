//! Requests that change a record: which of its fields they name.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Refusal, json};

/// A request with an `update_mask`; `build.rs` says which.
pub trait Masked {
    /// From now on it names these fields and no others.
    fn set_mask(&mut self, paths: Vec<String>);
}

/// Reads a JSON merge patch (RFC 7396): the fields that the body has are the named ones, `null` clears.
pub fn decode<T: DeserializeOwned + Masked>(body: &[u8]) -> Result<T, Refusal> {
    named(json::decode(body)?, body)
}

/// The same of a patch of which [`decode`] said that values are bad, as [`json::decode_anyway`] does it.
pub fn decode_anyway<T: DeserializeOwned + Masked>(body: &[u8]) -> Option<T> {
    named(json::decode_anyway(body)?, body).ok()
}

fn named<T: Masked>(mut request: T, body: &[u8]) -> Result<T, Refusal> {
    // An object without duplicates: it was read once.
    let named: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Refusal::Malformed("the body is no JSON object".to_owned()))?;
    request.set_mask(named.into_iter().map(|(name, _)| name).collect());
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::v1::{UpdateSettingsRequest, UpdateUserRequest};

    fn paths(body: &str) -> Vec<String> {
        decode::<UpdateUserRequest>(body.as_bytes()).unwrap().update_mask.unwrap().paths
    }

    #[test]
    fn a_patch_names_what_it_has_and_null_names_without_a_value() {
        assert_eq!(paths("{}"), [""; 0]);
        assert_eq!(paths(r#"{"username": "A", "team_id": null}"#), ["team_id", "username"]);
        let request: UpdateUserRequest = decode(br#"{"team_id": null}"#).unwrap();
        assert_eq!(request.team_id, None);
    }

    #[test]
    fn null_clears_a_list_too() {
        for body in [r#"{"second_factor_roles": null}"#, r#"{"second_factor_roles": []}"#] {
            let request: UpdateSettingsRequest = decode(body.as_bytes()).unwrap();
            assert_eq!(request.update_mask.unwrap().paths, ["second_factor_roles"], "{body}");
            assert!(request.second_factor_roles.is_empty());
        }
        let named = br#"{"second_factor_roles": ["rep"]}"#;
        let request: UpdateSettingsRequest = decode(named).unwrap();
        assert_eq!(request.second_factor_roles.len(), 1);
        assert!(decode::<UpdateSettingsRequest>(br#"{"second_factor_roles": "rep"}"#).is_err());
    }

    #[test]
    fn nobody_names_what_the_gateway_sets() {
        for body in [r#"{"id": 1}"#, r#"{"update_mask": {"paths": []}}"#, r#"{"version": 2}"#] {
            assert!(decode::<UpdateUserRequest>(body.as_bytes()).is_err(), "{body}");
        }
    }
}
