//! The REST API as a caller sees it: a status, headers, and a body whose numbers can be read digit by digit.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, redirect};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use crate::refusals;

/// How long what is eventually true may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How often one looks.
const EVERY: Duration = Duration::from_millis(20);

/// Somebody who calls the API.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
    origin: String,
    token: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as it came.
    pub(crate) text: String,
    /// The same as JSON; null where it is none.
    pub(crate) body: Value,
}

impl Api {
    /// Somebody who is not signed in. `origin` is where the gateway is.
    pub(crate) fn nobody(origin: &str) -> Self {
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_secs(30));
        Self { client: client.build().unwrap(), origin: origin.to_owned(), token: None }
    }

    /// The same caller with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The access token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Signs in.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Self {
        let answer = self.ask_token(&[("username", email), ("password", password)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.with_token(answer.body["access_token"].as_str().unwrap())
    }

    /// Sends a form to the token endpoint.
    pub(crate) async fn ask_token(&self, form: &[(&str, &str)]) -> Answer {
        self.send_form("/auth/token", form).await
    }

    /// Sends a form.
    pub(crate) async fn send_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let url = format!("{}/api/v1{path}", self.origin);
        Answer::read(self.client.post(url).form(form)).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], &body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[], &body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    /// Sends a body as it is, as JSON unless a header says otherwise.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// The same, where there may be no answer. `path` begins behind `/api/v1`, or with `//` at the root.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> reqwest::Result<Answer> {
        let url = match path.strip_prefix("//") {
            Some(path) => format!("{}/{path}", self.origin),
            None => format!("{}/api/v1{path}", self.origin),
        };
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            request = request.body(body.to_owned());
        }
        Answer::read(request).await
    }

    /// Sends a form with a file, and fields before it.
    pub(crate) async fn send_file(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
        file: &[u8],
    ) -> Answer {
        let mut body = Vec::new();
        let parts = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        for (name, value) in parts.chain([("file", file)]) {
            let head = format!("--form\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend([head.as_bytes(), value, b"\r\n"].concat());
        }
        body.extend(b"--form--\r\n");
        let mut request = self.client.post(format!("{}/api/v1{path}", self.origin)).body(body);
        request = request.header(CONTENT_TYPE, "multipart/form-data; boundary=form");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(request).await.unwrap()
    }

    /// A file as it is answered.
    pub(crate) async fn file(&self, path: &str) -> Vec<u8> {
        let request = self.client.get(format!("{}/api/v1{path}", self.origin));
        let response = request.bearer_auth(self.token.as_ref().unwrap()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap().to_vec()
    }

    /// Makes an opportunity that has to be made.
    pub(crate) async fn create(&self, opportunity: &Value) -> Value {
        let answer = self.post("/opportunities", opportunity).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body
    }

    /// Moves an opportunity that has to be moved.
    pub(crate) async fn advance(&self, id: i64, stage: &str) -> Value {
        let path = format!("/opportunities/{id}/stage");
        let answer = self.patch(&path, &serde_json::json!({"stage": stage})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    /// Asks until the answer is as it will be in the end.
    pub(crate) async fn eventually(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if answer.status == 200 && is_so(&answer.body) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} is still {}", answer.text);
            sleep(EVERY).await;
        }
    }

    /// Every item of a list, page after page.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let answer = self.get(&format!("{path}{separator}limit=200{next}")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            items.extend(answer.body["items"].as_array().unwrap().iter().cloned());
            match answer.body["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return items,
            }
        }
    }
}

impl Answer {
    async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let (client, request) = request.build_split();
        let request = request?;
        let (method, url) = (request.method().clone(), request.url().clone());
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        refusals::hold(&client, &method, &url, status, &body).await;
        Ok(Self { status, headers, text, body })
    }

    /// A header as text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The digits of the body at a JSON pointer, as they came.
    pub(crate) fn raw(&self, pointer: &str) -> String {
        raw(&self.text, pointer)
    }

    /// A problem's status and code; whatever has to be in every problem document is.
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let body = self.body.as_object().unwrap();
        for member in ["type", "title", "detail", "code", "request_id"] {
            assert!(body[member].as_str().is_some_and(|it| !it.is_empty()), "{}", self.text);
        }
        assert_eq!(body["status"], self.status, "{}", self.text);
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        (self.status, self.body["code"].as_str().unwrap())
    }

    /// The bad fields of a problem with their codes, in order of their names.
    pub(crate) fn bad_fields(&self) -> Vec<(&str, &str)> {
        assert_eq!(self.problem().0, 422, "{}", self.text);
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let mut fields: Vec<_> = errors
            .iter()
            .map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        fields.sort_unstable();
        fields
    }
}

/// The digits of a JSON text at a pointer, as they are written there.
pub(crate) fn raw(text: &str, pointer: &str) -> String {
    let mut part: Box<RawValue> = serde_json::from_str(text).unwrap();
    for step in pointer.split('/').skip(1) {
        part = if part.get().starts_with('[') {
            let items: Vec<Box<RawValue>> = serde_json::from_str(part.get()).unwrap();
            items.into_iter().nth(step.parse().unwrap()).unwrap()
        } else {
            let mut members: BTreeMap<String, Box<RawValue>> =
                serde_json::from_str(part.get()).unwrap();
            members.remove(step).unwrap_or_else(|| panic!("no {pointer} in {text}"))
        };
    }
    part.get().to_owned()
}
