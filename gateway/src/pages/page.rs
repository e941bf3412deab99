//! What all pages have in common: how they look, and what a browser may do with them.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Language, Text};

const STYLE: &str = include_str!("style.css");

/// By which the policy knows the one style sheet that may be used.
static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| STANDARD.encode(digest(&SHA256, STYLE.as_bytes())));

/// A whole page. No script runs on it, it loads nothing, stands in no frame, is not kept, and sends nobody word of where its reader came from.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status it is answered with. A failure with a page is left as it is.
    pub status: StatusCode,
    /// Its language.
    pub language: Language,
    /// Its title and heading, as text.
    pub title: String,
    /// What stands below the heading, as HTML.
    pub body: String,
    /// Where its forms may lead besides this site, as sources of a content security policy: `https:`. Browsers look at where an answer to a form redirects, too.
    pub leads_to: Vec<String>,
    /// Seconds until the same may be tried again.
    pub retry_after: Option<u64>,
}

impl Page {
    /// A page that leads nowhere else.
    pub fn new(status: StatusCode, language: Language, title: &str, body: String) -> Self {
        let (title, leads_to, retry_after) = (title.to_owned(), Vec::new(), None);
        Self { status, language, title, body, leads_to, retry_after }
    }

    fn html(&self) -> String {
        let (language, title) = (self.language.tag(), Text(&self.title));
        let body = &self.body;
        format!(
            "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title} · Sales Pipeline Manager</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <p class=\"product\">Sales Pipeline Manager</p>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
        )
    }

    fn policy(&self) -> Option<HeaderValue> {
        let style = &*STYLE_HASH;
        let forms = self.leads_to.iter().fold("'self'".to_owned(), |all, one| all + " " + one);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).ok()
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.html()).into_response();
        let headers = response.headers_mut();
        let fixed: [(HeaderName, &'static str); 5] = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let none = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.insert(CONTENT_SECURITY_POLICY, self.policy().unwrap_or(none));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let body = "<p>Hello</p>\n".to_owned();
        Page {
            leads_to: vec!["https:".to_owned()],
            retry_after: Some(7),
            ..Page::new(StatusCode::BAD_REQUEST, Language::En, "<b>", body)
        }
    }

    #[tokio::test]
    async fn a_page_says_what_a_browser_may_do_with_it() {
        let response = page().into_response();
        assert_eq!(response.status(), 400);
        let header = |name| response.headers()[name].to_str().unwrap();
        let policy = header(CONTENT_SECURITY_POLICY);
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self' https:;",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        assert_eq!(header(REFERRER_POLICY), "no-referrer");
        assert_eq!(header(RETRY_AFTER), "7");
        assert_eq!(header(CACHE_CONTROL), "no-store");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = str::from_utf8(&body).unwrap();
        assert!(body.contains("<h1>&lt;b&gt;</h1>\n<p>Hello</p>\n"), "{body}");
        assert!(body.contains("<html lang=\"en\">"));
    }

    #[test]
    fn the_style_sheet_is_one_that_can_stand_in_a_page() {
        assert!(!STYLE.contains('<') && !STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
