//! The page on which people sign in for a program, and the one that says that a program did not ask well.

use std::fmt::Write as _;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::SET_COOKIE;

use super::external::{External, Fault};
use super::form_token::{self, FormToken};
use super::{Language, Page, Text};

/// Who asks somebody to sign in, and for what.
#[derive(Clone, Debug)]
pub struct SignIn<'a> {
    /// In which language.
    pub language: Language,
    /// The program's name.
    pub client: &'a str,
    /// Whether it is the product itself.
    pub is_first_party: bool,
    /// Whether its token is to be for changing too.
    pub may_write: bool,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// Where the form goes.
    pub action: &'a str,
    /// What the form and the browser's cookie have in common.
    pub token: &'a FormToken,
    /// The address that was typed before.
    pub username: &'a str,
    /// The provider that they may sign in with instead.
    pub external: Option<External>,
    /// What was wrong with what was typed before.
    pub complaint: Option<Complaint>,
}

/// Why nobody has signed in yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// That is not the password of an account.
    Wrong,
    /// There were too many wrong ones; after that time there may be another.
    TooMany(Duration),
    /// That is no code of the second factor, or one that was used.
    WrongCode,
    /// It cannot be checked at present.
    Unavailable,
    /// The form is not from a page that this browser was shown lately.
    Stale,
    /// Nobody signed in with the external provider.
    External(Fault),
}

impl SignIn<'_> {
    /// The page with the form.
    pub fn page(&self) -> Response {
        let words = words(self.language);
        with_form(
            self.language,
            words.title,
            self.body(words),
            self.leads_to(),
            (self.token, self.complaint),
        )
    }

    fn leads_to(&self) -> Vec<String> {
        let mut all = leads_to(self.redirect_uri);
        if self.external.as_ref().is_some_and(|it| it.is_plain) {
            all.push("http:".to_owned());
        }
        all
    }

    fn body(&self, words: &Words) -> String {
        let mut body = String::new();
        // Writing to a string never fails.
        let _ = self.write(&mut body, words);
        body
    }

    fn write(&self, out: &mut String, words: &Words) -> std::fmt::Result {
        if !self.is_first_party {
            writeln!(out, "<p><strong>{}</strong>{}</p>", Text(self.client), words.asks)?;
            writeln!(out, "<ul>\n<li>{}</li>", words.reads)?;
            if self.may_write {
                writeln!(out, "<li>{}</li>", words.writes)?;
            }
            writeln!(out, "</ul>")?;
        }
        let mut described = "";
        if let Some(complaint) = self.complaint {
            let text = complaint.text(self.language);
            writeln!(out, "<p class=\"bad\" role=\"alert\" id=\"complaint\">{}</p>", Text(&text))?;
            described = " aria-describedby=\"complaint\"";
        }
        let invalid =
            if self.complaint == Some(Complaint::Wrong) { " aria-invalid=\"true\"" } else { "" };
        // Whoever has typed their address goes on with the password.
        let focus = |here: bool| if here { " autofocus" } else { "" };
        let (field, token) = (form_token::FIELD, self.token.as_str());
        writeln!(out, "<form method=\"post\" action=\"{}\">", Text(self.action))?;
        writeln!(out, "<input type=\"hidden\" name=\"{field}\" value=\"{token}\">")?;
        writeln!(
            out,
            "<label for=\"username\">{}</label>\n<input id=\"username\" name=\"username\" type=\"text\" inputmode=\"email\" autocomplete=\"username\" \
             autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"320\" required{}{invalid}{described} value=\"{}\">",
            words.email,
            focus(self.username.is_empty()),
            Text(self.username)
        )?;
        writeln!(
            out,
            "<label for=\"password\">{}</label>\n<input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" \
             maxlength=\"128\" required{}{invalid}{described}>",
            words.password,
            focus(!self.username.is_empty())
        )?;
        if self.is_first_party {
            writeln!(out, "<button type=\"submit\">{}</button>", words.sign_in)?;
        } else {
            writeln!(out, "<button type=\"submit\">{}</button>", words.allow)?;
            writeln!(
                out,
                "<button class=\"second\" type=\"submit\" name=\"action\" value=\"deny\" formnovalidate>{}</button>",
                words.deny
            )?;
        }
        writeln!(out, "</form>\n<p><a href=\"/reset-password\">{}</a></p>", words.forgotten)?;
        if let Some(external) = &self.external {
            external.write(out, (self.language, self.is_first_party), self.token)?;
        }
        if !self.is_first_party {
            let target = Text(target(self.redirect_uri));
            writeln!(out, "<p class=\"faint\">{} {target}</p>", words.back_to)?;
        }
        Ok(())
    }
}

/// A page with a form that leads to a program: its cookie, and when it may be sent again.
pub(super) fn with_form(
    language: Language,
    title: &str,
    body: String,
    leads_to: Vec<String>,
    (token, complaint): (&FormToken, Option<Complaint>),
) -> Response {
    let status = complaint.map_or(StatusCode::OK, Complaint::status);
    let page = Page {
        leads_to,
        retry_after: complaint.and_then(Complaint::wait),
        ..Page::new(status, language, title, body)
    };
    let mut response = page.into_response();
    if let Some(cookie) = token.cookie() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The page of a program that did not ask well: nobody is sent anywhere.
pub fn refusal(language: Language, status: StatusCode, code: &str) -> Response {
    let words = words(language);
    let (title, text) = if status.is_server_error() { words.failed } else { words.refused };
    let body = format!("<p>{text}</p>\n<p class=\"faint\">{}</p>\n", Text(code));
    Page::new(status, language, title, body).into_response()
}

impl Complaint {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Wrong | Self::WrongCode => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Stale => StatusCode::FORBIDDEN,
            Self::External(fault) => fault.status(),
        }
    }

    /// Seconds until it may be tried again.
    fn wait(self) -> Option<u64> {
        match self {
            Self::TooMany(wait) => {
                u64::try_from(wait.as_millis().div_ceil(1_000)).ok().map(|seconds| seconds.max(1))
            }
            Self::Unavailable | Self::External(Fault::Unavailable) => Some(1),
            Self::Wrong | Self::WrongCode | Self::Stale | Self::External(_) => None,
        }
    }

    pub(super) fn text(self, language: Language) -> String {
        let seconds = self.wait().unwrap_or_default();
        match (self, language) {
            (Self::Wrong, Language::En) => "The e-mail address or the password is wrong.".to_owned(),
            (Self::Wrong, Language::ZhTw) => "電子郵件或密碼不正確。".to_owned(),
            (Self::TooMany(_), Language::En) => {
                format!("There were too many wrong attempts. Try again in {seconds} seconds.")
            }
            (Self::TooMany(_), Language::ZhTw) => {
                format!("錯誤次數過多，請在 {seconds} 秒後再試。")
            }
            (Self::WrongCode, Language::En) => {
                "The code is wrong, or was used before. Wait for the next one.".to_owned()
            }
            (Self::WrongCode, Language::ZhTw) => {
                "驗證碼不正確或已使用過，請等待下一組。".to_owned()
            }
            (Self::Unavailable, Language::En) => {
                "Signing in is not possible at the moment. Try again shortly.".to_owned()
            }
            (Self::Unavailable, Language::ZhTw) => "目前無法登入，請稍後再試。".to_owned(),
            (Self::External(fault), language) => fault.text(language).to_owned(),
            (Self::Stale, Language::En) => {
                "This page was open for too long, or your browser keeps no cookies. Please sign in again.".to_owned()
            }
            (Self::Stale, Language::ZhTw) => {
                "此頁面開啟過久，或瀏覽器未接受 Cookie，請重新登入。".to_owned()
            }
        }
    }
}

/// Where a redirect leads, in a form that people can compare: a host, or a program of their own.
fn target(redirect_uri: &str) -> &str {
    let (scheme, rest) = redirect_uri.split_once(':').unwrap_or((redirect_uri, ""));
    match rest.strip_prefix("//") {
        Some(rest) => rest.split(['/', '?']).next().unwrap_or(rest),
        None => scheme,
    }
}

/// By scheme: where a program redirects to in its turn is its own business, and browsers would stop that too.
pub(super) fn leads_to(redirect_uri: &str) -> Vec<String> {
    let scheme = redirect_uri.split(':').next().unwrap_or_default();
    let other = (scheme != "https").then(|| format!("{scheme}:"));
    ["https:".to_owned()].into_iter().chain(other).collect()
}

/// What stands on the pages.
struct Words {
    title: &'static str,
    /// After the name of a program that asks.
    asks: &'static str,
    reads: &'static str,
    writes: &'static str,
    email: &'static str,
    password: &'static str,
    forgotten: &'static str,
    sign_in: &'static str,
    allow: &'static str,
    deny: &'static str,
    back_to: &'static str,
    refused: (&'static str, &'static str),
    failed: (&'static str, &'static str),
}

fn words(language: Language) -> &'static Words {
    match language {
        Language::ZhTw => &Words {
            title: "登入",
            asks: " 要求以您的身分使用本系統，將可以：",
            reads: "讀取您能看到的資料",
            writes: "以您的名義變更資料",
            email: "電子郵件",
            password: "密碼",
            forgotten: "忘記密碼？",
            sign_in: "登入",
            allow: "登入並允許",
            deny: "取消",
            back_to: "完成後將前往",
            refused: (
                "無法登入",
                "將您帶到這裡的程式未經登記，或沒有正確說明要返回何處。沒有任何人登入；請聯絡該程式的提供者。",
            ),
            failed: ("目前無法登入", "系統暫時無法回應，請稍後再試。"),
        },
        Language::En => &Words {
            title: "Sign in",
            asks: " asks to use the product as you. It will be able to:",
            reads: "read what you can see",
            writes: "change it in your name",
            email: "E-mail address",
            password: "Password",
            forgotten: "Forgot your password?",
            sign_in: "Sign in",
            allow: "Sign in and allow",
            deny: "Cancel",
            back_to: "Afterwards you go on to",
            refused: (
                "You cannot sign in here",
                "The program that sent you here is not known, or did not say correctly where you are to go back to. Nobody was signed in. Please tell whoever provides it.",
            ),
            failed: (
                "Signing in is not possible now",
                "The system cannot answer at the moment. Please try again shortly.",
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::RETRY_AFTER;

    use super::*;

    async fn html(response: Response) -> String {
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn sign_in(token: &FormToken) -> SignIn<'_> {
        SignIn {
            language: Language::En,
            client: "<img src=x onerror=alert(1)>",
            is_first_party: false,
            may_write: false,
            redirect_uri: "https://app.example.com/back",
            action: "/authorize?state=\"><script>alert(1)</script>",
            token,
            username: "\" autofocus onfocus=\"alert(1)",
            external: None,
            complaint: None,
        }
    }

    #[tokio::test]
    async fn nothing_that_was_sent_is_markup() {
        let token = FormToken::of(&HeaderMap::new(), false).unwrap();
        let html = html(sign_in(&token).page()).await;
        assert!(!html.contains("<img") && !html.contains("<script"), "{html}");
        assert!(!html.contains("\" autofocus onfocus"), "{html}");
        assert!(html.contains("<strong>&lt;img src=x onerror=alert(1)&gt;</strong>"), "{html}");
    }

    #[tokio::test]
    async fn a_program_says_what_it_may_do_and_the_product_itself_need_not() {
        let token = FormToken::of(&HeaderMap::new(), false).unwrap();
        let page = SignIn { may_write: true, ..sign_in(&token) }.page();
        let text = html(page).await;
        for part in [
            "read what you can see",
            "change it in your name",
            "app.example.com</p>",
            "value=\"deny\"",
        ] {
            assert!(text.contains(part), "{part}");
        }
        let own = SignIn { is_first_party: true, ..sign_in(&token) }.page();
        let text = html(own).await;
        assert!(!text.contains("asks to use") && !text.contains("value=\"deny\""), "{text}");
    }

    #[test]
    fn a_complaint_has_a_status_and_says_how_long_to_wait() {
        let token = FormToken::of(&HeaderMap::new(), false).unwrap();
        for (complaint, status, wait) in [
            (Complaint::Wrong, 422, None),
            (Complaint::TooMany(Duration::from_millis(1_001)), 429, Some("2")),
            (Complaint::Unavailable, 503, Some("1")),
            (Complaint::WrongCode, 422, None),
            (Complaint::Stale, 403, None),
            (Complaint::External(Fault::NoAccount), 403, None),
            (Complaint::External(Fault::Failed), 502, None),
            (Complaint::External(Fault::Unavailable), 503, Some("1")),
        ] {
            let page = SignIn { complaint: Some(complaint), ..sign_in(&token) }.page();
            assert_eq!(page.status(), status);
            let told = page.headers().get(RETRY_AFTER).map(|it| it.to_str().unwrap());
            assert_eq!(told, wait);
            assert!(page.headers().contains_key(SET_COOKIE));
        }
    }

    #[test]
    fn a_form_may_lead_where_its_answer_does() {
        assert_eq!(leads_to("https://a.example/b"), ["https:"]);
        assert_eq!(leads_to("http://127.0.0.1:1/"), ["https:", "http:"]);
        assert_eq!(leads_to("com.example.app:/back"), ["https:", "com.example.app:"]);
        assert_eq!(target("https://a.example:8443/b?c"), "a.example:8443");
        assert_eq!(target("com.example.app:/back"), "com.example.app");
    }
}
