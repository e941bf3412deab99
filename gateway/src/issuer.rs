//! By which name the authorization server is known: where people find the product.

use http::HeaderMap;
use http::header::HOST;

use crate::app::App;

/// `PUBLIC_URL`. Where nobody said it, what the request says, if that is this very machine: who asks can make up any other name.
pub fn issuer(app: &App, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = &app.public_url {
        return Some(url.as_str().to_owned());
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (host, None) = (hosts.next()?.to_str().ok()?, hosts.next()) else { return None };
    is_loopback(host).then(|| format!("http://{host}"))
}

/// Whether people reach the product by TLS, as far as is known.
pub fn is_secure(app: &App) -> bool {
    app.public_url.as_ref().is_some_and(|url| url.as_str().starts_with("https://"))
}

fn is_loopback(host: &str) -> bool {
    let name =
        ["127.0.0.1", "[::1]", "localhost"].into_iter().find_map(|name| host.strip_prefix(name));
    name.is_some_and(|port| match port.strip_prefix(':') {
        Some(port) => port.bytes().all(|it| it.is_ascii_digit()) && port.parse::<u16>().is_ok(),
        None => port.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_host_is_believed() {
        for host in ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "[::1]:8000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "localhost:8000@example.com",
            "localhost:",
            "localhost:65536",
            "localhost:8000/",
            "127.0.0.1.example.com",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
