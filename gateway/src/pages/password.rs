//! The pages on which somebody sets a password by a link, or asks for one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::Request;
use http::{HeaderMap, StatusCode};
use proto::identity::v1::{RequestPasswordResetRequest, SetPasswordByLinkRequest};
use rpc::Error;

use super::{Language, Page, Text};
use crate::call::Guest;
use crate::http::{Problem, read_form};

/// The longest form.
const FORM_LIMIT_BYTES: usize = 16 * 1024;

/// The form in which a password is set. The link is looked at when the form comes back: programs that look at mails open links, too.
pub async fn show_link(request: Request) -> Page {
    let language = Language::of(None, request.headers());
    let query = request.uri().query().unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    match token {
        Some((_, token)) if !token.is_empty() => password_form(language, &token, None),
        _ => not_good(language),
    }
}

/// Sets the password, and says so.
pub async fn set(guest: Guest, request: Request) -> Result<Page, Problem> {
    let language = Language::of(None, request.headers());
    let mut fields = fields(request).await?;
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let (token, new_password, repeated) =
        (take("token"), take("new_password"), take("repeated_password"));
    if new_password != repeated {
        return Ok(password_form(language, &token, Some(Fault::Differs)));
    }
    let asked = SetPasswordByLinkRequest { token: token.clone(), new_password };
    let mut service = guest.password_links();
    let answer = guest
        .write(asked, |request| async move { service.set_password_by_link(request).await })
        .await;
    match answer {
        Ok(_) => Ok(done(language)),
        Err(Error::Invalid(fields)) if fields.iter().any(|it| it.field == "token") => {
            Ok(not_good(language))
        }
        Err(Error::Invalid(fields)) => {
            let is_long = fields.iter().any(|it| it.code == "too_long");
            let fault = if is_long { Fault::TooLong } else { Fault::TooShort };
            Ok(password_form(language, &token, Some(fault)))
        }
        Err(error) if is_passing(&error) => Ok(password_form(language, &token, Some(Fault::Busy))),
        Err(error) => Err(error.into()),
    }
}

/// The form in which a link is asked for.
pub async fn show_reset(headers: HeaderMap) -> Page {
    address_form(Language::of(None, &headers), None)
}

/// Asks for a link, and says the same whether or not there is such a user.
pub async fn ask_reset(guest: Guest, request: Request) -> Result<Page, Problem> {
    let language = Language::of(None, request.headers());
    let email = fields(request).await?.remove("email").unwrap_or_default();
    let asked = RequestPasswordResetRequest { email };
    let mut service = guest.password_links();
    let answer = guest
        .write(asked, |request| async move { service.request_password_reset(request).await })
        .await;
    match answer {
        Ok(_) => Ok(asked_for(language)),
        Err(Error::Invalid(_)) => Ok(address_form(language, Some(Fault::Missing))),
        Err(error) if is_passing(&error) => Ok(address_form(language, Some(Fault::Busy))),
        Err(error) => Err(error.into()),
    }
}

/// Whether to try the same again.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Exhausted { .. } | Error::Unavailable { .. } | Error::OutcomeUnknown)
}

/// What is wrong with a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Differs,
    TooShort,
    TooLong,
    Missing,
    Busy,
}

impl Fault {
    fn status(self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    fn words(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Differs, Language::ZhTw) => "兩次輸入的密碼不同。",
            (Self::Differs, Language::En) => "The two passwords are not the same.",
            (Self::TooShort, Language::ZhTw) => "密碼至少要有 8 個字元。",
            (Self::TooShort, Language::En) => "A password has 8 characters or more.",
            (Self::TooLong, Language::ZhTw) => "密碼最多 128 個字元。",
            (Self::TooLong, Language::En) => "A password has 128 characters at most.",
            (Self::Missing, Language::ZhTw) => "請輸入電子郵件地址。",
            (Self::Missing, Language::En) => "The e-mail address is missing.",
            (Self::Busy, Language::ZhTw) => "目前忙碌中，請稍後再試。",
            (Self::Busy, Language::En) => "We are busy; please try again in a moment.",
        }
    }
}

fn password_form(language: Language, token: &str, fault: Option<Fault>) -> Page {
    let words = match language {
        Language::ZhTw => ["設定密碼", "新密碼（8 到 128 個字元）", "再輸入一次", "設定密碼"],
        Language::En => {
            ["Set your password", "New password (8 to 128 characters)", "Once more", "Set password"]
        }
    };
    let [title, new, again, send] = words;
    let token = Text(token);
    let form = format!(
        "<form method=\"post\" action=\"/set-password\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <label for=\"new\">{new}</label>\n\
         <input id=\"new\" name=\"new_password\" type=\"password\" autocomplete=\"new-password\" minlength=\"8\" required autofocus>\n\
         <label for=\"again\">{again}</label>\n\
         <input id=\"again\" name=\"repeated_password\" type=\"password\" autocomplete=\"new-password\" required>\n\
         <button>{send}</button>\n</form>\n"
    );
    with_fault(language, title, &form, fault)
}

fn address_form(language: Language, fault: Option<Fault>) -> Page {
    let words = match language {
        Language::ZhTw => {
            ["忘記密碼", "我們會把設定新密碼的連結寄給您。", "電子郵件地址", "寄送連結"]
        }
        Language::En => [
            "Forgot your password?",
            "We will send you a link to set a new one.",
            "E-mail address",
            "Send the link",
        ],
    };
    let [title, hint, label, send] = words;
    let form = format!(
        "<p>{hint}</p>\n<form method=\"post\" action=\"/reset-password\">\n\
         <label for=\"email\">{label}</label>\n\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required autofocus>\n\
         <button>{send}</button>\n</form>\n"
    );
    with_fault(language, title, &form, fault)
}

fn with_fault(language: Language, title: &str, form: &str, fault: Option<Fault>) -> Page {
    let mut body = String::new();
    if let Some(fault) = fault {
        // Writing to a text cannot fail.
        let _ = writeln!(body, "<p class=\"bad\" role=\"alert\">{}</p>", fault.words(language));
    }
    body += form;
    let page = Page::new(fault.map_or(StatusCode::OK, Fault::status), language, title, body);
    Page { retry_after: fault.filter(|fault| *fault == Fault::Busy).map(|_| 1), ..page }
}

fn done(language: Language) -> Page {
    let (title, words, lead) = match language {
        Language::ZhTw => ("密碼已設定", "您現在可以用新密碼登入。所有裝置都已登出。", "前往登入"),
        Language::En => (
            "Your password is set",
            "You can sign in with it now. You were signed out everywhere.",
            "Go on",
        ),
    };
    let body = format!("<p>{words}</p>\n<p><a href=\"/\">{lead}</a></p>\n");
    Page::new(StatusCode::OK, language, title, body)
}

fn not_good(language: Language) -> Page {
    let (title, words, lead) = match language {
        Language::ZhTw => (
            "連結無效",
            "這個連結已經用過、過期或不完整。如果這是邀請，請管理員再邀請您一次。",
            "索取新的連結",
        ),
        Language::En => (
            "This link is not good",
            "It was used before, is too old, or is not whole. If it was an invitation, ask your administrator to invite you again.",
            "Ask for a new link",
        ),
    };
    let body = format!(
        "<p class=\"bad\" role=\"alert\">{words}</p>\n<p><a href=\"/reset-password\">{lead}</a></p>\n"
    );
    Page::new(StatusCode::UNPROCESSABLE_ENTITY, language, title, body)
}

fn asked_for(language: Language) -> Page {
    let (title, words) = match language {
        Language::ZhTw => (
            "請查看您的信箱",
            "如果這個地址屬於某位使用者，一封附有連結的信正在路上。連結 15 分鐘內有效。",
        ),
        Language::En => (
            "Look into your mailbox",
            "If there is a user of that address, a mail with a link is on its way. The link is good for 15 minutes.",
        ),
    };
    Page::new(StatusCode::OK, language, title, format!("<p>{words}</p>\n"))
}

/// The fields of a form; of one that comes twice the last.
async fn fields(request: Request) -> Result<BTreeMap<String, String>, Problem> {
    Ok(read_form(request, FORM_LIMIT_BYTES).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn get(uri: &str) -> Request {
        http::Request::get(uri).header("accept-language", "en").body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn the_token_stays_text_in_the_form_and_in_no_address() {
        let page = show_link(get("/set-password?token=5.a%22%3E%3Cb%3E")).await;
        assert_eq!(page.status, 200);
        let hidden = "name=\"token\" value=\"5.a&quot;&gt;&lt;b&gt;\"";
        assert!(page.body.contains(hidden), "{}", page.body);
        assert!(page.body.contains("action=\"/set-password\""), "{}", page.body);
    }

    #[tokio::test]
    async fn a_link_without_its_token_is_not_good() {
        for uri in ["/set-password", "/set-password?token=", "/set-password?x=5.a"] {
            let page = show_link(get(uri)).await;
            assert_eq!((page.status.as_u16(), page.title.as_str()), (422, "This link is not good"));
        }
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        let request = |kind: &str, body: String| {
            http::Request::post("/").header(CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
        };
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let read = fields(request(form, "a=1&b=%E5%AF%86".to_owned())).await.unwrap();
        assert_eq!(read["b"], "密");
        let refused = fields(request("application/json", "{}".to_owned())).await.unwrap_err();
        assert_eq!(refused.status(), 415);
        let long = "x".repeat(FORM_LIMIT_BYTES + 1);
        assert_eq!(fields(request(form, long)).await.unwrap_err().status(), 413);
    }

    #[test]
    fn a_form_with_a_fault_says_so_in_the_language_of_its_reader() {
        for (language, words) in
            [(Language::En, "8 characters or more"), (Language::ZhTw, "密碼至少要有 8 個字元")]
        {
            let page = password_form(language, "5.x", Some(Fault::TooShort));
            assert_eq!(page.status, 422);
            assert!(page.body.contains(words) && page.body.contains("role=\"alert\""));
        }
        let busy = address_form(Language::En, Some(Fault::Busy));
        assert_eq!((busy.status.as_u16(), busy.retry_after), (503, Some(1)));
    }
}
