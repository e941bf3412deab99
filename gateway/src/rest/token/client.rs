//! How a client shows who it is: in `Authorization`, or in the form (RFC 6749 section 2.3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use proto::identity::v1::ClientCredentials;

use super::TokenFailure;
use crate::http::Fields;

/// The client that asks, if one does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    /// Whether it said so in `Authorization`.
    pub(super) by_header: bool,
}

/// The same for identity.
pub(super) fn credentials(
    client_id: Option<String>,
    client_secret: Option<String>,
) -> Option<ClientCredentials> {
    client_id.map(|client_id| ClientCredentials { client_id, client_secret })
}

impl Asking {
    /// Reads and takes what is there. One way at a time: `invalid_request` where a secret comes in both.
    pub(super) fn of(headers: &HeaderMap, fields: &mut Fields) -> Result<Self, TokenFailure> {
        let (client_id, secret) = (fields.take("client_id"), fields.take("client_secret"));
        let Some((name, password)) = basic(headers)? else {
            return Ok(Self { client_id, client_secret: secret, by_header: false });
        };
        if secret.is_some() || client_id.is_some_and(|client_id| client_id != name) {
            let twice = "the client shows who it is in two ways";
            return Err(TokenFailure::bad("invalid_request", twice));
        }
        let client_secret = (!password.is_empty()).then_some(password);
        Ok(Self { client_id: Some(name), client_secret, by_header: true })
    }
}

/// Name and password of HTTP Basic; nothing without a name, which is what the documentation page sends of nobody. Our names and secrets are letters that are the
/// same in a form, so that nothing has to be decoded.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, TokenFailure> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let unreadable = || TokenFailure::client().challenged(true);
    let (scheme, rest) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let decoded = STANDARD.decode(rest.trim()).ok().and_then(|it| String::from_utf8(it).ok());
    let decoded = decoded.ok_or_else(unreadable)?;
    let (name, password) = decoded.split_once(':').ok_or_else(unreadable)?;
    Ok((!name.is_empty()).then(|| (name.to_owned(), password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(header: Option<&str>, form: &str) -> Result<Asking, &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        Asking::of(&headers, &mut Fields::parse(form.as_bytes())).map_err(|failure| failure.error)
    }

    fn known(client_id: &str, secret: Option<&str>, by_header: bool) -> Asking {
        let client_secret = secret.map(str::to_owned);
        Asking { client_id: Some(client_id.to_owned()), client_secret, by_header }
    }

    #[test]
    fn a_client_shows_who_it_is_in_one_of_two_ways() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(asking(None, "client_id=a&client_secret=b"), Ok(known("a", Some("b"), false)));
        assert_eq!(asking(None, "client_id=a&client_secret="), Ok(known("a", None, false)));
        assert_eq!(asking(Some(&basic("a:b:c")), ""), Ok(known("a", Some("b:c"), true)));
        assert_eq!(asking(Some(&basic("a:")), "client_id=a"), Ok(known("a", None, true)));
        assert_eq!(asking(Some(&basic("a:b")), "client_secret=b"), Err("invalid_request"));
        assert_eq!(asking(Some(&basic("a:b")), "client_id=c"), Err("invalid_request"));
    }

    #[test]
    fn what_names_no_client_is_none_and_what_cannot_be_read_is_not_one() {
        for header in [None, Some("Bearer x"), Some("Basic Og==")] {
            assert_eq!(asking(header, "code=b"), Ok(Asking::default()), "{header:?}");
        }
        assert_eq!(credentials(None, Some("b".to_owned())), None);
        for header in ["Basic", "Basic !", "basic YQ==", "Basic /w=="] {
            assert_eq!(asking(Some(header), ""), Err("invalid_client"), "{header}");
        }
    }
}
