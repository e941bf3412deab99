//! Calls to the provider: each with a time limit and a bound on what is read. No redirect is followed, and without TLS only this machine is asked, by who is told to.

use std::{io, pin::Pin, time::Duration};

use anyhow::Context as _;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http, url::Url};
use tokio::time::Instant;

use super::model::is_safe;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(4);
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest answer.
const LIMIT_BYTES: usize = 256 * 1024;

/// The way to the provider.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    is_plain: bool,
}

impl Http {
    /// Trusts the certificate authorities that the machine trusts. `is_plain` where the provider is on this machine, without TLS.
    pub(super) fn new(is_plain: bool) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(CALL)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("salespipeline");
        let client = client.build();
        let client =
            client.context("no TLS with OIDC_ISSUER: are there certificate authorities?")?;
        Ok(Self { client, is_plain })
    }

    async fn call(&self, request: HttpRequest) -> io::Result<HttpResponse> {
        if !Url::parse(&request.uri().to_string()).is_ok_and(|url| is_safe(&url, self.is_plain)) {
            return Err(io::Error::other("an address that it names is not safe"));
        }
        let request = reqwest::Request::try_from(request).map_err(io::Error::other)?;
        let broken = |error: reqwest::Error| io::Error::other(cause(&error));
        let mut answer = self.client.execute(request).await.map_err(broken)?;
        let status = answer.status();
        if status.is_redirection() || status.is_server_error() {
            return Err(io::Error::other(format!("it answers {}", status.as_u16())));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(broken)? {
            if body.len() + part.len() > LIMIT_BYTES {
                return Err(io::Error::other("its answer is too long"));
            }
            body.extend_from_slice(&part);
        }
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<HttpResponse>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let begun = Instant::now();
            let answer = self.call(request).await;
            let outcome = if answer.is_ok() { "answered" } else { "failed" };
            metrics::histogram!("external_request_duration_seconds", "outcome" => outcome)
                .record(begun.elapsed().as_secs_f64());
            answer
        })
    }
}

/// In few words: the whole of it would tell addresses.
fn cause(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_provider_with_tls_sends_nobody_to_this_machine_without_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/keys", listener.local_addr().unwrap());
        let http = Http::new(false).unwrap();
        let request = || http::Request::get(&address).body(Vec::new()).unwrap();
        let refused = http.call(request()).await.unwrap_err().to_string();
        assert!(refused.contains("not safe"), "{refused}");
        // Who has none themselves is asked.
        drop(listener);
        let http = Http::new(true).unwrap();
        let refused = http.call(request()).await.unwrap_err().to_string();
        assert_eq!(refused, "no connection");
    }
}
