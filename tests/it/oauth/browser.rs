//! Somebody's browser at the sign-in page: it keeps a cookie, fills in the form, and does not follow where it is sent.

use std::collections::BTreeMap;

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Url, redirect};

/// RFC 7636, appendix B.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[derive(Clone, Debug)]
pub(super) struct Browser {
    client: Client,
    pub(super) origin: String,
    cookie: Option<String>,
}

/// A page, or a redirect.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// The form of a page.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) action: String,
    pub(super) token: String,
}

impl Browser {
    pub(super) fn new(origin: &str) -> Self {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
        Self { client: client.build().unwrap(), origin: origin.to_owned(), cookie: None }
    }

    /// Opens the page with that request.
    pub(super) async fn open(&mut self, asks: &[(&str, &str)]) -> Seen {
        let url = Url::parse_with_params(&self.address(), asks).unwrap();
        self.open_url(url.as_str(), &[]).await
    }

    pub(super) async fn open_url(&mut self, url: &str, headers: &[(&str, &str)]) -> Seen {
        let seen = self.send(self.client.get(url), headers).await;
        if let Some(cookie) = seen.headers.get("set-cookie") {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(cookie.to_owned());
        }
        seen
    }

    pub(super) fn address(&self) -> String {
        format!("{}/api/v1/auth/authorize", self.origin)
    }

    /// Fills in the form and sends it.
    pub(super) async fn submit(&self, form: &Form, fields: &[(&str, &str)]) -> Seen {
        self.submit_with(form, fields, &[]).await
    }

    pub(super) async fn submit_with(
        &self,
        form: &Form,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Seen {
        let mut all = vec![("form_token", &*form.token)];
        all.extend(fields);
        let url = format!("{}{}", self.origin, form.action);
        self.send(self.client.post(url).form(&all), headers).await
    }

    /// A program's own request for tokens.
    pub(super) async fn ask_token(
        &self,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Seen {
        let request = self.client.post(format!("{}/api/v1/auth/token", self.origin)).form(form);
        let request = match basic {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        self.send(request, &[]).await
    }

    async fn send(&self, mut request: RequestBuilder, headers: &[(&str, &str)]) -> Seen {
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Seen { status, headers, text: response.text().await.unwrap() }
    }
}

impl Seen {
    /// A header as text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The form of the page, which has to be a page with one.
    pub(super) fn form(&self) -> Form {
        assert!(self.header("content-type").starts_with("text/html"), "{self:?}");
        let between = |before: &str| {
            let (_, rest) = self.text.split_once(before).unwrap_or_else(|| panic!("{}", self.text));
            plain(rest.split('"').next().unwrap())
        };
        Form {
            action: between("<form method=\"post\" action=\""),
            token: between("name=\"form_token\" value=\""),
        }
    }

    /// Where it sends people, without the query.
    pub(super) fn target(&self) -> String {
        assert_eq!(self.status, 303, "{self:?}");
        self.header("location").split('?').next().unwrap().to_owned()
    }

    /// What it tells the program there.
    pub(super) fn told(&self) -> BTreeMap<String, String> {
        assert_eq!(self.status, 303, "{self:?}");
        Url::parse(self.header("location")).unwrap().query_pairs().into_owned().collect()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Status and word of a failure at the token endpoint.
    pub(super) fn failure(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap().to_owned())
    }
}

/// The text of HTML without markup.
pub(super) fn plain(html: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#96;", "`")];
    let text = pairs.iter().fold(html.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("&amp;", "&")
}
