//! Redirect URIs: which ones may be registered, and which registered one a request means.
//!
//! They are compared character by character (RFC 9700 section 4.1.3). The one exception is the port of a loopback address, which a program on somebody's device
//! is given by its system when it begins to listen (RFC 8252 section 7.3). It is not for the product's own client, which asks nobody for leave and whose port is known.

/// The longest, in characters.
const LONGEST: usize = 2_000;

/// The hosts that never leave the machine.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Whether people may be sent there; why not, in words that follow "redirect URI".
pub fn check(uri: &str) -> Result<(), &'static str> {
    if uri.len() > LONGEST {
        return Err("is longer than 2,000 characters");
    }
    let odd = |byte: &u8| !byte.is_ascii_graphic() || b"\"<>\\^`{|}*#".contains(byte);
    if uri.bytes().any(|byte| odd(&byte)) {
        return Err("has a fragment, a wildcard, or characters that stand in no URI");
    }
    let (scheme, rest) = uri.split_once(':').ok_or("has no scheme")?;
    let path = match (scheme, rest.strip_prefix("//")) {
        ("https", Some(rest)) => {
            let (authority, path) = rest.split_at(end_of_authority(rest));
            let (host, port) = split_port(authority);
            if !(is_host(host) && port.is_none_or(is_port)) {
                return Err("has no plain host");
            }
            path
        }
        ("http", Some(_)) => loopback(uri).ok_or("is http on another host than a loopback one")?.1,
        (scheme, None) if is_private_use(scheme) && rest.starts_with('/') => rest,
        _ => {
            return Err(
                "is neither https, nor http on a loopback host, nor of a private-use scheme with a dot",
            );
        }
    };
    let path = path.split('?').next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    if path.split('/').any(|segment| [".", ".."].contains(&segment)) {
        return Err("has a path that leads up");
    }
    Ok(())
}

/// Whether a request that names `given` means the `registered` one.
pub fn is_same(registered: &str, given: &str) -> bool {
    registered == given
        || loopback(registered).is_some_and(|registered| loopback(given) == Some(registered))
}

/// The same origin by every name that a machine has for itself, with its port; nothing where it is on no such machine.
pub fn loopback_origins(origin: &str) -> Option<Vec<String>> {
    let (host, _) = loopback(origin)?;
    let port = origin.split_once(host)?.1;
    let names = LOOPBACK.iter().filter(|name| **name != host);
    let all = [host].into_iter().chain(names.copied());
    Some(all.map(|name| format!("http://{name}{port}")).collect())
}

/// Host and what follows the port of an `http` URI on a loopback host.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(end_of_authority(rest));
    let (host, port) = split_port(authority);
    (LOOPBACK.contains(&host) && port.is_none_or(is_port)).then_some((host, path))
}

fn end_of_authority(rest: &str) -> usize {
    rest.find(['/', '?', '#']).unwrap_or(rest.len())
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // Of `[::1]` the last colon is inside.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A name or an IPv4 address, in lower case: as browsers write it.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    text.split('.').all(is_label)
}

/// RFC 8252 section 7.1: the name of a domain, turned around.
fn is_private_use(scheme: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"+-.".contains(&it);
    scheme.contains('.')
        && scheme.starts_with(|it: char| it.is_ascii_lowercase())
        && scheme.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_sent_where_only_the_program_listens() {
        for good in [
            "https://app.example.com/back",
            "https://app.example.com",
            "https://app.example.com:8443/back?tenant=a%20b",
            "http://127.0.0.1/back",
            "http://127.0.0.1:5100/back",
            "http://[::1]/back",
            "http://localhost:1/",
            "com.example.app:/back",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/back",
            "app.example.com/back",
            "http://app.example.com/back",
            "http://localhost.example.com/",
            "http://127.0.0.1@example.com/",
            "http://127.0.0.2/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:+1/",
            "https:app.example.com",
            "https:///back",
            "https://user@app.example.com/",
            "https://app.example.com:/",
            "https://App.example.com/",
            "https://app..example.com/",
            "https://*.example.com/",
            "https://app.example.com/*",
            "https://app.example.com/#",
            "https://app.example.com/back#there",
            "https://app.example.com/a/../b",
            "https://app.example.com/a/%2E%2e/b",
            "https://app.example.com/a b",
            "https://app.example.com\\@example.org/",
            "https://例子.tw/",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/back",
            "com.example.app:back",
            "com.example.app://host/back",
            "ftp://app.example.com/",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("https://a.example/{}", "x".repeat(LONGEST))).is_err());
    }

    #[test]
    fn a_request_names_the_very_uri_that_is_registered() {
        let registered = "https://app.example.com/back";
        assert!(is_same(registered, registered));
        for other in [
            "https://app.example.com/back/",
            "https://app.example.com/bac",
            "https://app.example.com/back2",
            "https://app.example.com/BACK",
            "https://APP.example.com/back",
            "https://app.example.com/back?x=1",
            "https://app.example.com/back#x",
            "https://app.example.com/x/../back",
            "https://app.example.com/%62ack",
            "https://app.example.com:443/back",
            "https://app.example.com:444/back",
            "https://user@app.example.com/back",
            "https://app.example.com@evil.example/back",
            "https://evil.example/?https://app.example.com/back",
            "http://app.example.com/back",
            " https://app.example.com/back",
            "",
        ] {
            assert!(!is_same(registered, other), "{other}");
        }
    }

    #[test]
    fn a_machine_goes_by_three_names_and_keeps_its_port() {
        let of = |origin| loopback_origins(origin).unwrap_or_default();
        let expected = ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"];
        assert_eq!(of("http://localhost:8000"), expected);
        assert_eq!(of("http://[::1]")[..2], ["http://[::1]", "http://127.0.0.1"]);
        for elsewhere in ["https://localhost:8000", "http://sales.example.com", ""] {
            assert_eq!(loopback_origins(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_loopback_address_may_have_any_port_and_no_other_difference() {
        for registered in ["http://127.0.0.1/back", "http://127.0.0.1:1234/back"] {
            for same in ["http://127.0.0.1/back", "http://127.0.0.1:51004/back"] {
                assert!(is_same(registered, same), "{registered} {same}");
            }
            for other in [
                "http://127.0.0.1:51004/",
                "http://127.0.0.1:51004/back?x",
                "http://127.0.0.1:51004/back#x",
                "http://127.0.0.1:99999/back",
                "http://127.0.0.1:/back",
                "http://127.0.0.1:80@evil.example/back",
                "http://127.0.0.1.evil.example/back",
                "http://localhost:51004/back",
                "http://[::1]:51004/back",
                "https://127.0.0.1:51004/back",
            ] {
                assert!(!is_same(registered, other), "{registered} {other}");
            }
        }
        assert!(is_same("http://[::1]/", "http://[::1]:9/"));
        assert!(!is_same("https://localhost/", "https://localhost:9/"));
    }
}
