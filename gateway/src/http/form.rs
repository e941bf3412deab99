//! Forms (`application/x-www-form-urlencoded`), in a body or in a query string, as RFC 6749 reads them: a field without a value is as good as absent, and what is not
//! known is ignored.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use axum::extract::Request;

use super::Problem;
use super::body::read_form;

/// The longest form.
const LIMIT_BYTES: usize = 64 * 1024;

/// The fields of a form.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    values: BTreeMap<String, String>,
    twice: BTreeSet<String>,
}

impl Fields {
    /// From `a=b&c=d`.
    pub fn parse(encoded: &[u8]) -> Self {
        form_urlencoded::parse(encoded).into_owned().collect()
    }

    /// From the body of a request: 415 where it is no form, 413 where it is too long.
    pub async fn of(request: Request) -> Result<Self, Problem> {
        Ok(read_form(request, LIMIT_BYTES).await?.into_iter().collect())
    }

    /// A field's value, its first one where it came twice.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// The names of fields that came twice.
    pub fn twice(&self) -> &BTreeSet<String> {
        &self.twice
    }
}

impl FromIterator<(String, String)> for Fields {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        let mut fields = Self::default();
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            match fields.values.entry(name) {
                Entry::Occupied(entry) => {
                    fields.twice.insert(entry.key().clone());
                }
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn a_field_without_a_value_is_absent_and_one_that_came_twice_is_told() {
        let mut fields = Fields::parse(b"a=%E7%8E%8B+b&c=&d=1&d=2&d=&a%62=x");
        assert_eq!(fields.take("a").as_deref(), Some("王 b"));
        assert_eq!(fields.take("c"), None);
        assert_eq!(fields.take("ab").as_deref(), Some("x"));
        assert_eq!(fields.twice().iter().collect::<Vec<_>>(), ["d"]);
        assert_eq!(fields.take("d").as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn a_body_of_another_kind_or_too_long_is_refused() {
        let status = async |content_type: &str, body: String| {
            let request = http::Request::post("/").header(CONTENT_TYPE, content_type);
            let read = Fields::of(request.body(Body::from(body)).unwrap()).await;
            read.err().map(|problem| problem.status().as_u16())
        };
        let form = "application/x-www-form-urlencoded";
        assert_eq!(status(form, "a=b".to_owned()).await, None);
        assert_eq!(
            status("Application/x-WWW-form-urlencoded; charset=UTF-8", String::new()).await,
            None
        );
        assert_eq!(status("application/json", "{}".to_owned()).await, Some(415));
        assert_eq!(status(form, "x".repeat(LIMIT_BYTES + 1)).await, Some(413));
    }
}
