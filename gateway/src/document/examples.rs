//! What each operation was asked and answered: recorded of the running product by `make examples`, put where the document wants it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder};
use utoipa::openapi::{RefOr, Required, Schema};

use crate::http::Problem;

/// The recording.
pub(super) const RECORDED: &str = include_str!("examples.json");

/// The id of every request in it.
const REQUEST_ID: &str = "0199d3a8-5f2e-7a54-9d1c-2f1f4b0c7a11";

/// Everything that was recorded.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    /// What was asked and answered, by operation.
    pub(super) operations: BTreeMap<String, Vec<Exchange>>,
    /// One problem document of each code.
    pub(super) problems: BTreeMap<String, Value>,
}

/// A request, and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    /// `zh-TW`, `en`, or what is special about it; of a refusal its code.
    pub(super) name: String,
    /// The same for people.
    #[serde(default)]
    pub(super) summary: String,
    /// With which it was answered.
    pub(super) status: u16,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    media_type: Option<String>,
    body: Option<Value>,
    answer_type: Option<String>,
    answer: Option<Value>,
}

impl Recorded {
    /// The recording (a test holds that it can be read), with what is not recorded: nobody provokes a fault of ours, or waits for a body that does not come.
    pub(super) fn read() -> Self {
        let mut recorded: Self = serde_json::from_str(RECORDED).unwrap_or_default();
        for problem in [Problem::internal(), Problem::too_slow()] {
            let document = serde_json::to_value(problem.document(Some(REQUEST_ID)));
            recorded.problems.insert(problem.code().to_owned(), document.unwrap_or_default());
        }
        recorded
    }

    /// What that operation refused with that status, by name.
    pub(super) fn refusals(&self, operation: &str, status: u16) -> Vec<(String, RefOr<Example>)> {
        let exchanges = self.operations.get(operation).into_iter().flatten();
        exchanges
            .filter(|it| it.status == status)
            .filter_map(|it| Some((it.name.clone(), it.example(it.answer.as_ref()?))))
            .collect()
    }

    /// The problem document of that code, which the document holds once; none where it could not be provoked.
    pub(super) fn problem(&self, code: &str) -> Option<(String, RefOr<Example>)> {
        let place = utoipa::openapi::Ref::new(format!("#/components/examples/{code}"));
        self.problems.contains_key(code).then(|| (code.to_owned(), RefOr::Ref(place)))
    }

    /// All problem documents, by code.
    pub(super) fn problems(&self) -> BTreeMap<String, RefOr<Example>> {
        let example = |it: &Value| ExampleBuilder::new().value(Some(it.clone())).build().into();
        self.problems.iter().map(|(code, it)| (code.clone(), example(it))).collect()
    }

    /// Shows in an operation what was asked of it and what it answered.
    pub(super) fn fill(&self, operation: &mut Operation) {
        let id = operation.operation_id.clone().unwrap_or_default();
        let all = self.operations.get(&id).into_iter().flatten();
        let done: Vec<_> = all.filter(|it| it.status < 300).collect();
        name_parameters(operation, &done);
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            for exchange in &done {
                let (Some(kind), Some(said)) = (&exchange.media_type, &exchange.body) else {
                    continue;
                };
                if let Some(RefOr::T(content)) = body.content.get_mut(kind) {
                    content.examples.insert(exchange.name.clone(), exchange.example(said));
                }
            }
            // What is said as one kind of JSON can be said as the other.
            let contents = body.content.values().filter_map(|it| match it {
                RefOr::T(content) => Some(content.examples.clone()),
                RefOr::Ref(_) => None,
            });
            let said = contents.max_by_key(BTreeMap::len).unwrap_or_default();
            for content in body.content.values_mut() {
                if let RefOr::T(content) = content
                    && content.examples.is_empty()
                {
                    content.examples.clone_from(&said);
                }
            }
        }
        for exchange in &done {
            let (Some(kind), Some(answer)) = (&exchange.answer_type, &exchange.answer) else {
                continue;
            };
            let response = operation.responses.responses.get_mut(&exchange.status.to_string());
            if let Some(RefOr::T(response)) = response
                && let Some(RefOr::T(content)) = response.content.get_mut(kind)
            {
                content.examples.insert(exchange.name.clone(), exchange.example(answer));
            }
        }
    }
}

impl Exchange {
    fn example(&self, value: &Value) -> RefOr<Example> {
        let example = ExampleBuilder::new().value(Some(value.clone()));
        example.summary(self.summary.clone()).build().into()
    }
}

/// Shows a value of each parameter that was given one. Swagger UI fills in what stands as `example`: what a path needs; other values are only told, since all of them at
/// once would find nothing.
fn name_parameters(operation: &mut Operation, done: &[&Exchange]) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let recorded = done.iter().find_map(|it| it.parameters.get(&parameter.name)).cloned();
        // It can be read in no other way.
        let known = serde_json::to_value(&*parameter).unwrap_or_default().get("example").cloned();
        let shown = recorded.or(known);
        let is_required = matches!(parameter.required, Required::True);
        let example = shown.clone().filter(|_| is_required);
        *parameter = ParameterBuilder::from(parameter.clone()).example(example).build();
        match &mut parameter.schema {
            Some(RefOr::T(Schema::Object(it))) if !is_required => it.examples.extend(shown),
            Some(RefOr::T(Schema::Array(it))) if !is_required => it.examples.extend(shown),
            _ => {}
        }
    }
}
