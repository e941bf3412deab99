//! The page of somebody who asks more than they may.

use std::time::Duration;

use http::StatusCode;

use super::{Language, Page};

/// Whether people are shown pages at that path, without the API's base.
pub fn is_page(path: &str) -> bool {
    matches!(
        path,
        "/auth/authorize"
            | "/auth/external"
            | "/auth/external/callback"
            | "/set-password"
            | "/reset-password"
    )
}

/// Says when to come back.
pub fn rate_limited(language: Language, after: Duration) -> Page {
    let seconds = u64::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
    let (title, text) = match language {
        Language::ZhTw => ("請稍候", format!("要求過於頻繁，請在 {seconds} 秒後再試。")),
        Language::En => {
            ("One moment", format!("That was too much at once. Try again in {seconds} seconds."))
        }
    };
    let page =
        Page::new(StatusCode::TOO_MANY_REQUESTS, language, title, format!("<p>{text}</p>\n"));
    Page { retry_after: Some(seconds), ..page }
}
