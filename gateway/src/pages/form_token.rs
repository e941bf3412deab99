//! Whether a form that comes back is one that this browser was shown.
//!
//! Somebody else's page could otherwise send a form with their own credentials and sign a visitor in as them (login CSRF). The form and a cookie hold the same
//! random text; another site can neither read nor set the cookie: with TLS its name begins with `__Host-`, which browsers take from the host itself alone. Nothing is
//! kept on the server, so that any replica can look. `Origin` would not do: a page without a referrer sends `null`. `Sec-Fetch-Site` is looked at too where it comes,
//! which is with TLS or on the same machine.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use rpc::Error;

/// The field of a form that holds it.
pub const FIELD: &str = "form_token";

/// How long a form may be open.
const LIFE_S: u32 = 3_600;

/// What form and cookie have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormToken {
    letters: String,
    is_secure: bool,
}

impl FormToken {
    /// The one that the browser has, so that forms in several tabs all work; else a new one.
    pub fn of(headers: &HeaderMap, is_secure: bool) -> Result<Self, Error> {
        if let Some(letters) = cookie(headers, name(is_secure)) {
            return Ok(Self { letters, is_secure });
        }
        let mut random = [0; 32];
        let filled = aws_lc_rs::rand::fill(&mut random);
        filled.map_err(|_| Error::internal("there is no randomness"))?;
        Ok(Self { letters: URL_SAFE_NO_PAD.encode(random), is_secure })
    }

    /// As the form holds it: letters that need no escaping.
    pub fn as_str(&self) -> &str {
        &self.letters
    }

    /// The header `Set-Cookie` of a page with the form.
    pub fn cookie(&self) -> Option<HeaderValue> {
        let (name, letters) = (name(self.is_secure), &self.letters);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text =
            format!("{name}={letters}; Path=/; Max-Age={LIFE_S}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// Whether a form with this field comes from a page that this browser was shown.
    pub fn is_shown(headers: &HeaderMap, is_secure: bool, field: Option<&str>) -> bool {
        Self::shown(headers, is_secure, field).is_some()
    }

    /// What the browser holds, if a form with this field comes from a page that it was shown.
    pub fn shown(headers: &HeaderMap, is_secure: bool, field: Option<&str>) -> Option<String> {
        let site = headers.get("sec-fetch-site");
        let is_own = site.is_none_or(|site| site == "same-origin" || site == "none");
        let browser = Self::browser(headers, is_secure).filter(|_| is_own)?;
        let same = verify_slices_are_equal(browser.as_bytes(), field?.as_bytes()).is_ok();
        same.then_some(browser)
    }

    /// What the browser holds, if it was shown a form lately.
    pub fn browser(headers: &HeaderMap, is_secure: bool) -> Option<String> {
        cookie(headers, name(is_secure))
    }
}

fn name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-form" } else { "form" }
}

/// The value of a cookie that is one of ours.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut values = lines.flat_map(|line| line.split(';')).filter_map(|cookie| {
        let (found, value) = cookie.trim().split_once('=')?;
        (found == name).then_some(value)
    });
    let value = values.next()?;
    let is_ours = URL_SAFE_NO_PAD.decode(value).is_ok_and(|bytes| bytes.len() == 32);
    is_ours.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_comes_back_with_the_cookie_of_its_page() {
        let token = FormToken::of(&HeaderMap::new(), true).unwrap();
        let set = token.cookie().unwrap();
        let set = set.to_str().unwrap();
        for part in ["__Host-form=", "; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(set.contains(part), "{set}");
        }
        let cookie = format!("a=b; {}", set.split(';').next().unwrap());
        let browser = headers(&[("cookie", &cookie)]);
        assert_eq!(FormToken::of(&browser, true).unwrap(), token);
        assert!(FormToken::is_shown(&browser, true, Some(token.as_str())));
        let own = headers(&[("cookie", &cookie), ("sec-fetch-site", "same-origin")]);
        assert!(FormToken::is_shown(&own, true, Some(token.as_str())));
        assert!(
            !FormToken::of(&HeaderMap::new(), false)
                .unwrap()
                .cookie()
                .unwrap()
                .to_str()
                .unwrap()
                .contains("Secure")
        );
    }

    #[test]
    fn a_form_of_another_page_or_browser_is_refused() {
        let token = FormToken::of(&HeaderMap::new(), true).unwrap();
        let other = FormToken::of(&HeaderMap::new(), true).unwrap();
        assert_ne!(token, other);
        let cookie = format!("__Host-form={}", token.as_str());
        let browser = headers(&[("cookie", &cookie)]);
        for field in [None, Some(""), Some(other.as_str())] {
            assert!(!FormToken::is_shown(&browser, true, field), "{field:?}");
        }
        assert!(!FormToken::is_shown(&HeaderMap::new(), true, Some(token.as_str())));
        // A cookie by the name that another site on the same domain can set.
        let tossed = headers(&[("cookie", &format!("form={}", token.as_str()))]);
        assert!(!FormToken::is_shown(&tossed, true, Some(token.as_str())));
        for site in ["cross-site", "same-site"] {
            let elsewhere = headers(&[("cookie", &cookie), ("sec-fetch-site", site)]);
            assert!(!FormToken::is_shown(&elsewhere, true, Some(token.as_str())), "{site}");
        }
        let short = headers(&[("cookie", "__Host-form=x")]);
        assert!(!FormToken::is_shown(&short, true, Some("x")));
    }
}
