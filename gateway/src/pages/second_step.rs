//! The second step of a sign-in: the page that asks for a code, where need be with what an app is to be given first, and the page with the recovery codes.

use std::fmt::Write as _;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use qrcode::{Color, EcLevel, QrCode};

use super::form_token::{self, FormToken};
use super::sign_in::{Complaint, leads_to, with_form};
use super::{Language, Page, Text};

/// The longest text that is drawn: more than an address of ours makes, and so little that it costs nothing. It comes from a form.
const LONGEST_PICTURE_BYTES: usize = 512;

/// Who has shown their password, and what comes next.
#[derive(Clone, Debug)]
pub struct SecondStep<'a> {
    /// In which language.
    pub language: Language,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// Where the form goes.
    pub action: &'a str,
    /// What the form and the browser's cookie have in common.
    pub token: &'a FormToken,
    /// What the first step answered.
    pub ticket: &'a str,
    /// What an app is to be given first.
    pub enrolment: Option<Enrolment<'a>>,
    /// What was wrong with what was typed before.
    pub complaint: Option<Complaint>,
}

/// What an app is to be given.
#[derive(Clone, Copy, Debug)]
pub struct Enrolment<'a> {
    /// To type.
    pub secret: &'a str,
    /// To scan.
    pub otpauth_uri: &'a str,
}

impl SecondStep<'_> {
    /// The page with the form.
    pub fn page(&self) -> Response {
        let words = words(self.language);
        let title = if self.enrolment.is_some() { words.enrol } else { words.confirm };
        let mut body = String::new();
        // Writing to a string never fails.
        let _ = self.write(&mut body, words);
        with_form(
            self.language,
            title,
            body,
            leads_to(self.redirect_uri),
            (self.token, self.complaint),
        )
    }

    fn write(&self, out: &mut String, words: &Words) -> std::fmt::Result {
        let (mut described, mut invalid) = ("", "");
        if let Some(complaint) = self.complaint {
            let text = complaint.text(self.language);
            writeln!(out, "<p class=\"bad\" role=\"alert\" id=\"complaint\">{}</p>", Text(&text))?;
            described = " aria-describedby=\"complaint\"";
            invalid = if complaint == Complaint::WrongCode { " aria-invalid=\"true\"" } else { "" };
        }
        let (field, token) = (form_token::FIELD, self.token.as_str());
        if let Some(Enrolment { secret, otpauth_uri }) = self.enrolment {
            writeln!(out, "<p>{}</p>\n<p>{}</p>", words.must, words.scan)?;
            write_qr(out, otpauth_uri, words.picture)?;
            writeln!(out, "<p>{}<br><code>{}</code></p>", words.type_it, Text(&grouped(secret)))?;
        } else {
            writeln!(out, "<p>{}</p>", words.open)?;
        }
        writeln!(out, "<form method=\"post\" action=\"{}\">", Text(self.action))?;
        writeln!(out, "<input type=\"hidden\" name=\"{field}\" value=\"{token}\">")?;
        writeln!(out, "<input type=\"hidden\" name=\"ticket\" value=\"{}\">", Text(self.ticket))?;
        if let Some(Enrolment { secret, otpauth_uri }) = self.enrolment {
            for (name, value) in [("secret", secret), ("otpauth_uri", otpauth_uri)] {
                writeln!(out, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", Text(value))?;
            }
        }
        writeln!(
            out,
            "<label for=\"code\">{}</label>\n<input id=\"code\" name=\"code\" type=\"text\" inputmode=\"numeric\" autocomplete=\"one-time-code\" \
             maxlength=\"16\" autofocus{invalid}{described}>",
            words.code
        )?;
        if self.enrolment.is_none() {
            writeln!(
                out,
                "<details>\n<summary>{}</summary>\n<label for=\"recovery_code\">{}</label>\n\
                 <input id=\"recovery_code\" name=\"recovery_code\" type=\"text\" autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"64\">\n</details>",
                words.lost, words.recovery
            )?;
        }
        writeln!(out, "<button type=\"submit\">{}</button>\n</form>", words.go_on)?;
        writeln!(
            out,
            "<p class=\"faint\"><a href=\"{}\">{}</a></p>",
            Text(self.action),
            words.again
        )
    }
}

/// The page that shows recovery codes, once, and leads on to the program.
pub fn recovery_codes(language: Language, codes: &[String], location: &str) -> Response {
    let words = words(language);
    let mut body = String::new();
    // Writing to a string never fails.
    let _ = write_codes(&mut body, words, codes, location);
    Page::new(StatusCode::OK, language, words.on, body).into_response()
}

fn write_codes(
    out: &mut String,
    words: &Words,
    codes: &[String],
    location: &str,
) -> std::fmt::Result {
    writeln!(out, "<p>{}</p>\n<ol class=\"codes\">", words.keep)?;
    for code in codes {
        writeln!(out, "<li><code>{}</code></li>", Text(code))?;
    }
    writeln!(
        out,
        "</ol>\n<p><a class=\"button\" href=\"{}\">{}</a></p>",
        Text(location),
        words.kept
    )
}

/// A picture of a text that apps read. What is too long for one is left to be typed.
fn write_qr(out: &mut String, text: &str, label: &str) -> std::fmt::Result {
    if text.len() > LONGEST_PICTURE_BYTES {
        return Ok(());
    }
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return Ok(()) };
    let width = code.width();
    let quiet = 4;
    let side = width + 2 * quiet;
    write!(
        out,
        "<svg class=\"qr\" role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path fill=\"#000\" d=\""
    )?;
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        for (x, color) in row.iter().enumerate() {
            if *color == Color::Dark {
                write!(out, "M{} {}h1v1h-1z", x + quiet, y + quiet)?;
            }
        }
    }
    writeln!(out, "\"/></svg>")
}

/// By fours, as people type.
fn grouped(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// What stands on the pages.
struct Words {
    confirm: &'static str,
    open: &'static str,
    enrol: &'static str,
    must: &'static str,
    scan: &'static str,
    picture: &'static str,
    type_it: &'static str,
    code: &'static str,
    lost: &'static str,
    recovery: &'static str,
    go_on: &'static str,
    again: &'static str,
    on: &'static str,
    keep: &'static str,
    kept: &'static str,
}

fn words(language: Language) -> &'static Words {
    match language {
        Language::ZhTw => &Words {
            confirm: "兩步驟驗證",
            open: "請輸入驗證器應用程式顯示的六位數驗證碼。",
            enrol: "設定兩步驟驗證",
            must: "您的角色必須使用兩步驟驗證，設定完成後才能登入。",
            scan: "請在手機的驗證器應用程式中加入帳號，並掃描此圖：",
            picture: "驗證器應用程式用的 QR 碼",
            type_it: "無法掃描時，請在應用程式中輸入：",
            code: "驗證碼",
            lost: "無法使用手機？",
            recovery: "備用碼",
            go_on: "登入",
            again: "重新登入",
            on: "兩步驟驗證已啟用",
            keep: "請保存以下備用碼。手機遺失時，每組可登入一次；離開此頁後不會再顯示。",
            kept: "我已保存，繼續",
        },
        Language::En => &Words {
            confirm: "Second step",
            open: "Type the six digits that your authenticator app shows.",
            enrol: "Set up the second step",
            must: "Your role has to sign in with a second step. Set it up to go on.",
            scan: "Add an account in an authenticator app on your phone, and scan this:",
            picture: "QR code for an authenticator app",
            type_it: "If it cannot be scanned, type this in the app:",
            code: "Code",
            lost: "Without your phone?",
            recovery: "Recovery code",
            go_on: "Sign in",
            again: "Start again",
            on: "The second step is on",
            keep: "Keep these recovery codes. Each signs you in once if you lose your phone. They are not shown again.",
            kept: "I have kept them, go on",
        },
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    async fn html(response: Response) -> String {
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn step(token: &FormToken) -> SecondStep<'_> {
        SecondStep {
            language: Language::En,
            redirect_uri: "https://app.example.com/back",
            action: "/authorize?state=\"><script>alert(1)</script>",
            token,
            ticket: "\"><script>alert(1)</script>",
            enrolment: None,
            complaint: None,
        }
    }

    #[tokio::test]
    async fn nothing_that_was_sent_is_markup() {
        let token = FormToken::of(&HeaderMap::new(), false).unwrap();
        let enrolment = Some(Enrolment { secret: "<script>", otpauth_uri: "\"<script>" });
        for page in [step(&token), SecondStep { enrolment, ..step(&token) }] {
            let html = html(page.page()).await;
            assert!(!html.contains("<script") && html.contains("&lt;script"), "{html}");
        }
        let codes = ["<script>".to_owned()];
        let html = html(recovery_codes(Language::En, &codes, "https://a/?\"><script>")).await;
        assert!(!html.contains("<script"), "{html}");
    }

    #[tokio::test]
    async fn an_app_is_given_its_secret_as_a_picture_and_as_letters() {
        let token = FormToken::of(&HeaderMap::new(), false).unwrap();
        let otpauth_uri = "otpauth://totp/Product:amy?secret=ABCDEFGH234567AB";
        let enrolment = Some(Enrolment { secret: "ABCDEFGH234567AB", otpauth_uri });
        let text = html(SecondStep { enrolment, ..step(&token) }.page()).await;
        assert!(text.contains("<svg class=\"qr\"") && text.contains("M4 4h1v1h-1z"), "{text}");
        assert!(text.contains("<code>ABCD EFGH 2345 67AB</code>"), "{text}");
        assert!(!text.contains("recovery_code"), "there is none yet");
        // What is too long for a picture is typed.
        for (length, is_drawn) in [(512, true), (513, false), (5_000, false)] {
            let long = "x".repeat(length);
            let enrolment = Some(Enrolment { secret: "ABCD", otpauth_uri: &long });
            let text = html(SecondStep { enrolment, ..step(&token) }.page()).await;
            assert_eq!(text.contains("<svg"), is_drawn, "{length}");
            assert!(text.contains("<code>ABCD</code>"));
        }
    }

    #[tokio::test]
    async fn a_wrong_code_is_told_at_its_field() {
        let token = FormToken::of(&HeaderMap::new(), false).unwrap();
        let page = SecondStep { complaint: Some(Complaint::WrongCode), ..step(&token) }.page();
        assert_eq!(page.status(), 422);
        let text = html(page).await;
        assert!(text.contains("aria-invalid=\"true\" aria-describedby=\"complaint\""), "{text}");
        assert!(text.contains("name=\"recovery_code\""), "{text}");
    }
}
