//! Where a request comes from: the peer, or whom proxies that are trusted say they speak for.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose `X-Forwarded-For` is believed: addresses and networks with commas between them, none where the text is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Whether the proxy at this address is one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            let address = part.parse::<IpAddr>().map(|it| IpNet::from(it.to_canonical()));
            address.or_else(|_| part.parse()).map_err(|_| {
                format!("`{part}` is neither an IP address nor a network such as 10.0.0.0/8")
            })
        };
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// The address of the client. A peer that is no trusted proxy is the client, whatever it says. Of a trusted one `X-Forwarded-For` is
/// read from the right, where it wrote down who had asked it, up to the first address that is not trusted; what is no address ends the
/// way at the proxy that passed it on. IPv4 in the form of IPv6 is IPv4.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut client = peer.to_canonical();
    // The header may come as several lines, which are one list.
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    while trusted.contain(client)
        && let Some(hop) = hops.next().and_then(address)
    {
        client = hop;
    }
    client
}

/// Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    address.ok().map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TRUSTED: &str = "10.0.0.0/8, 192.0.2.7,fd00::/8";

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let headers = forwarded
            .iter()
            .map(|value| (X_FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        let trusted = TRUSTED.parse().unwrap();
        client_address(peer.parse().unwrap(), &headers.collect(), &trusted).to_string()
    }

    #[test]
    fn the_client_is_whom_the_last_trusted_proxy_names() {
        for (peer, forwarded, expected) in [
            // Nobody between, or nobody who is trusted.
            ("203.0.113.5", &[][..], "203.0.113.5"),
            ("203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
            ("192.0.2.8", &["198.51.100.1"], "192.0.2.8"),
            // One proxy; what the client wrote stands further left.
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.7", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.9, 198.51.100.1"], "198.51.100.1"),
            // Several.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1 ,10.2.3.4", "192.0.2.7"], "198.51.100.1"),
            ("10.0.0.1", &["2001:db8::1, fd12::1"], "2001:db8::1"),
            // Requests that begin at a proxy.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Junk.
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1,"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1", "é"], "10.0.0.1"),
            // Other ways to write an address.
            ("::ffff:203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711, 10.0.0.2:80"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
        ] {
            assert_eq!(client(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn what_is_trusted_is_said_without_a_doubt() {
        assert_eq!("".parse(), Ok(TrustedProxies::default()));
        assert_eq!(" , ".parse(), Ok(TrustedProxies::default()));
        assert!(TRUSTED.parse::<TrustedProxies>().is_ok());
        for bad in ["proxy.example.com", "10.0.0.0/33", "10.0.0", "fd00::/129", "10.0.0.1 10.0.0.2"]
        {
            let error = format!("10.0.0.1,{bad}").parse::<TrustedProxies>().unwrap_err();
            assert!(error.contains(bad), "{error}");
        }
    }

    fn untrusted() -> impl Strategy<Value = IpAddr> {
        let trusted: TrustedProxies = TRUSTED.parse().unwrap();
        any::<IpAddr>().prop_filter("trusted", move |it| !trusted.contain(it.to_canonical()))
    }

    fn line() -> impl Strategy<Value = String> {
        let hop = prop_oneof![
            any::<IpAddr>().prop_map(|it| it.to_string()),
            Just("10.0.0.1".to_owned()),
            "[ -~]{0,12}",
        ];
        proptest::collection::vec(hop, 0..6).prop_map(|hops| hops.join(","))
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_cannot_choose_its_address(
            peer in untrusted(),
            said in proptest::collection::vec(line(), 0..3),
        ) {
            let said: Vec<_> = said.iter().map(String::as_str).collect();
            prop_assert_eq!(client(&peer.to_string(), &said), peer.to_canonical().to_string());
            // Nor behind proxies, each of which adds whom it was asked by.
            let seen = format!("{peer}, 10.1.1.1");
            let said: Vec<_> = said.into_iter().chain([&*seen]).collect();
            prop_assert_eq!(client("192.0.2.7", &said), peer.to_canonical().to_string());
            let joined = said.join(",");
            prop_assert_eq!(client("192.0.2.7", &[&joined]), peer.to_canonical().to_string());
        }
    }
}
