//! What the sign-in page has of an external provider: the button, why it did not work, and the page of a sign-in that is over.

use std::fmt::Write as _;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::form_token::{self, FormToken};
use super::{Language, Page, Text};

/// The provider that people may sign in with instead of a password.
#[derive(Clone, Debug)]
pub struct External {
    /// What people know it by.
    pub name: String,
    /// Where the form goes.
    pub action: String,
    /// Whether browsers are sent there without TLS.
    pub is_plain: bool,
}

/// Why nobody signed in with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They did not want to, or were not let.
    Denied,
    /// What it answers is not to be trusted.
    Failed,
    /// It does not answer.
    Unavailable,
    /// It does not say that the address is theirs.
    Unverified,
    /// No active user has the address.
    NoAccount,
}

impl External {
    /// The button, in a form of its own.
    pub(super) fn write(
        &self,
        out: &mut String,
        (language, is_first_party): (Language, bool),
        token: &FormToken,
    ) -> std::fmt::Result {
        let name = Text(&self.name);
        let label = match (language, is_first_party) {
            (Language::En, true) => format!("Sign in with {name}"),
            (Language::En, false) => format!("Sign in with {name} and allow"),
            (Language::ZhTw, true) => format!("使用 {name} 登入"),
            (Language::ZhTw, false) => format!("使用 {name} 登入並允許"),
        };
        let (field, token) = (form_token::FIELD, token.as_str());
        writeln!(out, "<form method=\"post\" action=\"{}\">", Text(&self.action))?;
        writeln!(out, "<input type=\"hidden\" name=\"{field}\" value=\"{token}\">")?;
        writeln!(out, "<button class=\"second\" type=\"submit\">{label}</button>\n</form>")
    }
}

impl Fault {
    /// From identity's word for it.
    pub fn of(reason: &str) -> Self {
        match reason {
            "denied" => Self::Denied,
            "unavailable" => Self::Unavailable,
            "unverified" => Self::Unverified,
            "no_account" => Self::NoAccount,
            _ => Self::Failed,
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Denied | Self::Unverified | Self::NoAccount => StatusCode::FORBIDDEN,
            Self::Failed => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn text(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Denied, Language::En) => "You did not sign in with the other account.",
            (Self::Denied, Language::ZhTw) => "您並未以其他帳號完成登入。",
            (Self::Failed, Language::En) => {
                "Signing in with the other account did not work. Please try again, or sign in with your password."
            }
            (Self::Failed, Language::ZhTw) => "以其他帳號登入失敗，請再試一次，或以密碼登入。",
            (Self::Unavailable, Language::En) => {
                "Signing in with the other account is not possible at the moment. Try again shortly, or sign in with your password."
            }
            (Self::Unavailable, Language::ZhTw) => {
                "目前無法以其他帳號登入，請稍後再試，或以密碼登入。"
            }
            (Self::Unverified, Language::En) => {
                "The e-mail address of the other account is not verified. Verify it there and try again."
            }
            (Self::Unverified, Language::ZhTw) => "該帳號的電子郵件尚未驗證，請先完成驗證後再試。",
            (Self::NoAccount, Language::En) => {
                "There is no account here for the other account's e-mail address. Ask your administrator for one."
            }
            (Self::NoAccount, Language::ZhTw) => {
                "該帳號的電子郵件在此沒有對應的帳號，請聯絡系統管理員。"
            }
        }
    }
}

/// The page of a sign-in that is over: nothing is known of the program any more that it was for.
pub fn over(language: Language) -> Response {
    let (title, text) = match language {
        Language::En => (
            "This sign-in is over",
            "It took too long, was finished already, or began in another browser. Go back to the program that you want to use, and sign in again.",
        ),
        Language::ZhTw => (
            "此次登入已失效",
            "登入時間過長、已經完成，或並非由此瀏覽器開始。請回到您要使用的程式，重新登入。",
        ),
    };
    let body = format!("<p>{text}</p>\n");
    Page::new(StatusCode::BAD_REQUEST, language, title, body).into_response()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_providers_name_and_address_are_text() {
        let external = External {
            name: "<b>Login</b>".to_owned(),
            action: "/external?state=\"><script>".to_owned(),
            is_plain: false,
        };
        let token = FormToken::of(&HeaderMap::new(), true).unwrap();
        let mut out = String::new();
        external.write(&mut out, (Language::En, true), &token).unwrap();
        assert!(!out.contains("<b>") && !out.contains("<script>"), "{out}");
        assert!(out.contains(">Sign in with &lt;b&gt;Login&lt;/b&gt;<"), "{out}");
        assert!(out.contains(token.as_str()));
        external.write(&mut out, (Language::ZhTw, false), &token).unwrap();
        assert!(out.contains("登入並允許"), "{out}");
    }

    #[test]
    fn whatever_went_wrong_has_words_in_both_languages() {
        let faults = ["denied", "failed", "unavailable", "unverified", "no_account", "?"];
        for fault in faults.map(Fault::of) {
            assert!(fault.text(Language::En).is_ascii() && !fault.text(Language::ZhTw).is_ascii());
            assert!(fault.status().is_client_error() || fault.status().is_server_error());
        }
        assert_eq!(Fault::of("?"), Fault::Failed);
        assert_eq!(over(Language::En).status(), 400);
    }
}
