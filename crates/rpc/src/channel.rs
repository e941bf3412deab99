//! The way to a service: its replicas, by address or by a name that stands for all of them.

mod replicas;

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use http::{Uri, uri::Scheme};
use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};
use tonic::transport::Endpoint;
use tracing::{debug, warn};

use crate::Tls;
pub use replicas::Channel;
use replicas::Replicas;

/// How often a name is looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);
/// How long that may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);

/// A channel to a service, by the URLs of its replicas with commas between them (`http://10.0.0.1:7001,http://10.0.0.2:7001`), or by a
/// name whose addresses they are (`http://identity.example:7001`).
///
/// Calls are spread over the replicas that are ready. A name is looked up again every few seconds, so that replicas come and go. It
/// connects when first used and again after a connection was lost, so that services can start in any order. To be called inside a tokio
/// runtime. With TLS the URLs begin with `https://`, and the server's certificate has to be for the URL's host. Fails only when the URLs
/// make no sense, or do not go together with `tls`.
pub fn connect_lazy(urls: &str, tls: &Tls) -> anyhow::Result<Channel> {
    let targets = urls
        .split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .map(|url| Target::new(url, tls))
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!targets.is_empty(), "the URL of a service is missing");
    if let [Target { name: None, endpoint, .. }] = &targets[..] {
        return Ok(Channel::to_one(endpoint));
    }
    let replicas = Arc::new(Replicas::default());
    for target in targets {
        replicas.insert(target.url.clone(), &target.endpoint);
        if let Some((host, port)) = target.name.clone() {
            let look_up = move || addresses(host.clone(), port);
            tokio::spawn(follow(target, look_up, Arc::downgrade(&replicas)));
        }
    }
    Ok(Channel::to_ready(replicas))
}

/// What a URL names.
#[derive(Debug)]
struct Target {
    url: String,
    uri: Uri,
    tls: Tls,
    /// To it as it is written.
    endpoint: Endpoint,
    /// Host and port of a URL whose host is looked up: neither an address nor this machine.
    name: Option<(String, u16)>,
}

impl Target {
    fn new(url: &str, tls: &Tls) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        let endpoint = endpoint(&uri, None, tls)?;
        let host = uri.host().with_context(|| format!("`{url}` names no host"))?;
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let usual = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        let name = (!is_address && host != "localhost").then(|| (host.to_owned(), port));
        Ok(Self { url: url.to_owned(), uri, tls: tls.clone(), endpoint, name })
    }

    /// To one address of its host, which has to show a certificate for the host all the same.
    fn at(&self, address: SocketAddr) -> anyhow::Result<Endpoint> {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let uri = format!("{scheme}://{address}").parse()?;
        Ok(endpoint(&uri, self.uri.host(), &self.tls)?.origin(self.uri.clone()))
    }
}

/// To what a URI names, which has to show a certificate for `host`; for its own where that is `None`.
fn endpoint(uri: &Uri, host: Option<&str>, tls: &Tls) -> anyhow::Result<Endpoint> {
    let endpoint = Endpoint::from(uri.clone());
    let endpoint = match (uri.scheme_str(), tls.files()) {
        (Some("http"), None) => endpoint,
        (Some("https"), Some(files)) => {
            let client = files.client.clone();
            let client = match host {
                Some(host) => client.domain_name(host),
                None => client,
            };
            let endpoint = endpoint.tls_config(client);
            endpoint.with_context(|| format!("`{uri}` cannot be asked with TLS"))?
        }
        (Some("https"), None) => bail!("`{uri}` is with TLS, which needs TLS_CERT_FILE"),
        (Some("http"), Some(_)) => bail!("`{uri}` is without TLS, and TLS_CERT_FILE asks for it"),
        _ => bail!("`{uri}` does not begin with http:// or https://"),
    };
    Ok(endpoint
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024))
}

/// All addresses of a host that are of the family preferred here: a replica with one of each is one replica.
async fn addresses(host: String, port: u16) -> io::Result<BTreeSet<SocketAddr>> {
    let looked_up = timeout(LOOK_UP_WITHIN, lookup_host((host, port))).await;
    let found: Vec<_> = looked_up.map_err(|_| io::ErrorKind::TimedOut)??.collect();
    let preferred = found.first().map(SocketAddr::is_ipv4);
    Ok(found.into_iter().filter(|it| Some(it.is_ipv4()) == preferred).collect())
}

/// Has a channel know which addresses a name has, for as long as the channel is there.
///
/// While a name has no address it has those that it had last. Before it has had any the channel goes by the name itself, so that calls
/// fail and do not wait.
async fn follow<F>(target: Target, mut look_up: impl FnMut() -> F, replicas: Weak<Replicas>)
where
    F: Future<Output = io::Result<BTreeSet<SocketAddr>>>,
{
    let mut known: BTreeSet<SocketAddr> = BTreeSet::new();
    let mut is_told = false;
    loop {
        let answer = look_up().await;
        let Some(replicas) = replicas.upgrade() else { return };
        match answer {
            Ok(found) if !found.is_empty() => {
                for address in found.difference(&known) {
                    match target.at(*address) {
                        Ok(endpoint) => replicas.insert(key(&target, *address), &endpoint),
                        Err(error) => {
                            warn!(url = target.url, %address, %error, "an address is left out");
                        }
                    }
                }
                for address in known.difference(&found) {
                    replicas.remove(&key(&target, *address));
                }
                replicas.remove(&target.url);
                known = found;
                is_told = false;
            }
            answer if known.is_empty() && !is_told => {
                warn!(url = target.url, ?answer, "a service's name has no address yet");
                is_told = true;
            }
            answer => debug!(url = target.url, ?answer, "a name has no address"),
        }
        drop(replicas);
        sleep(LOOK_UP_EVERY).await;
    }
}

fn key(target: &Target, address: SocketAddr) -> String {
    format!("{} at {address}", target.url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;

    #[tokio::test]
    async fn urls_are_checked_before_anything_is_called() {
        let plain = Tls::default();
        for good in [
            "http://127.0.0.1:1",
            "http://127.0.0.1:1, http://127.0.0.1:2,",
            "http://[::1]:1",
            "http://localhost:1",
            "http://identity.example:1,http://127.0.0.1:1",
        ] {
            assert!(connect_lazy(good, &plain).is_ok(), "{good}");
        }
        for bad in ["", " , ", "127.0.0.1:1", "https://127.0.0.1:1", "http://a b", "ftp://a"] {
            assert!(connect_lazy(bad, &plain).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_names_are_looked_up() {
        let name = |url| Target::new(url, &Tls::default()).unwrap().name;
        assert_eq!(name("http://127.0.0.1:7"), None);
        assert_eq!(name("http://[2001:db8::1]:7"), None);
        assert_eq!(name("http://localhost:7"), None);
        assert_eq!(name("http://identity:7"), Some(("identity".to_owned(), 7)));
        assert_eq!(name("http://identity"), Some(("identity".to_owned(), 80)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_has_every_address_that_comes_and_none_that_goes() {
        let at = |numbers: &[u8]| {
            let found = numbers.iter().map(|it| SocketAddr::from(([127, 0, 0, *it], 1)));
            Ok(found.collect::<BTreeSet<_>>())
        };
        let mut answers = vec![
            Err(io::ErrorKind::NotFound.into()),
            at(&[]),
            at(&[1, 2]),
            Err(io::ErrorKind::TimedOut.into()),
            at(&[2, 3]),
        ]
        .into_iter();
        let look_up = move || ready(answers.next().unwrap_or_else(|| at(&[2, 3])));
        let target = Target::new("http://a:1", &Tls::default()).unwrap();
        let replicas = Arc::new(Replicas::default());
        replicas.insert(target.url.clone(), &target.endpoint);
        let following = tokio::spawn(follow(target, look_up, Arc::downgrade(&replicas)));
        let one_and_two = ["http://a:1 at 127.0.0.1:1", "http://a:1 at 127.0.0.2:1"];
        for expected in [
            &["http://a:1"][..],
            &["http://a:1"],
            &one_and_two,
            &one_and_two,
            &["http://a:1 at 127.0.0.2:1", "http://a:1 at 127.0.0.3:1"],
        ] {
            sleep(LOOK_UP_EVERY / 2).await;
            assert_eq!(replicas.urls(), expected);
            sleep(LOOK_UP_EVERY / 2).await;
        }
        drop(replicas);
        following.await.unwrap();
    }
}
