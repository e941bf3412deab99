//! The way to a service: its replicas, by address or by a name that stands for all of them.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use http::{Uri, uri::Scheme};
use tokio::{
    net::lookup_host,
    sync::mpsc::Sender,
    time::{sleep, timeout},
};
use tonic::transport::{Channel, Endpoint, channel::Change};
use tracing::{debug, warn};

use crate::Tls;

/// How often a name is looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);
/// How long that may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(5);
/// How many changes of replicas may wait until a channel takes notice of them.
const CHANGES: usize = 64;

/// What a channel is told of replicas, each by its URL.
type Changes = Sender<Change<String, Endpoint>>;

/// A channel to a service, by the URLs of its replicas with commas between them (`http://10.0.0.1:7001,http://10.0.0.2:7001`), or by a
/// name whose addresses they are (`http://identity.example:7001`).
///
/// Calls are spread over the replicas. A name is looked up again every few seconds, so that replicas come and go. It connects when first
/// used and again after a connection was lost, so that services can start in any order. To be called inside a tokio runtime. With TLS
/// the URLs begin with `https://`, and the server's certificate has to be for the URL's host. Fails only when the URLs make no sense, or
/// do not go together with `tls`.
pub fn connect_lazy(urls: &str, tls: &Tls) -> anyhow::Result<Channel> {
    let replicas = urls
        .split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .map(|url| Target::new(url, tls))
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!replicas.is_empty(), "the URL of a service is missing");
    if let [Target { name: None, endpoint, .. }] = &replicas[..] {
        return Ok(endpoint.connect_lazy());
    }
    let (channel, changes) = Channel::balance_channel(CHANGES.max(replicas.len()));
    for target in replicas {
        match target.name.clone() {
            None => {
                let change = Change::Insert(target.url.clone(), target.endpoint);
                changes.try_send(change).context("there are too many URLs")?;
            }
            Some((host, port)) => {
                let look_up = move || addresses(host.clone(), port);
                tokio::spawn(follow(target, look_up, changes.clone()));
            }
        }
    }
    Ok(channel)
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

/// Tells a channel which addresses a name has, for as long as the channel is there.
///
/// While a name has no address it has those that it had last. Before it has had any the channel goes by the name itself, so that calls
/// fail and do not wait.
async fn follow<F>(target: Target, mut look_up: impl FnMut() -> F, changes: Changes)
where
    F: Future<Output = io::Result<BTreeSet<SocketAddr>>>,
{
    let mut known: BTreeSet<SocketAddr> = BTreeSet::new();
    let mut is_by_name = false;
    loop {
        let found = match look_up().await {
            Ok(found) if !found.is_empty() => found,
            answer => {
                debug!(url = target.url, ?answer, "a name has no address");
                if known.is_empty() && !is_by_name {
                    warn!(url = target.url, "a service's name has no address yet");
                    is_by_name = true;
                    let by_name = Change::Insert(target.url.clone(), target.endpoint.clone());
                    if changes.send(by_name).await.is_err() {
                        return;
                    }
                }
                known.clone()
            }
        };
        let mut news = Vec::new();
        for address in found.difference(&known) {
            match target.at(*address) {
                Ok(endpoint) => news.push(Change::Insert(key(&target, *address), endpoint)),
                Err(error) => warn!(url = target.url, %address, %error, "an address is left out"),
            }
        }
        news.extend(known.difference(&found).map(|it| Change::Remove(key(&target, *it))));
        if is_by_name && !found.is_empty() {
            is_by_name = false;
            news.push(Change::Remove(target.url.clone()));
        }
        known = found;
        for change in news {
            if changes.send(change).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = changes.closed() => return,
            () = sleep(LOOK_UP_EVERY) => {}
        }
    }
}

fn key(target: &Target, address: SocketAddr) -> String {
    format!("{} at {address}", target.url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;

    use tokio::sync::mpsc::{Receiver, channel};

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
    async fn a_channel_hears_of_every_address_that_comes_and_goes() {
        let (sender, mut changes) = channel(CHANGES);
        let at = |numbers: &[u8]| {
            let found = numbers.iter().map(|it| SocketAddr::from(([10, 0, 0, *it], 7)));
            Ok(found.collect::<BTreeSet<_>>())
        };
        let mut answers = vec![
            Err(io::ErrorKind::NotFound.into()),
            at(&[]),
            at(&[1, 2]),
            at(&[1, 2]),
            Err(io::ErrorKind::TimedOut.into()),
            at(&[2, 3]),
        ]
        .into_iter();
        let look_up = move || ready(answers.next().unwrap_or_else(|| at(&[2, 3])));
        let target = Target::new("http://a:7", &Tls::default()).unwrap();
        let following = tokio::spawn(follow(target, look_up, sender));
        for expected in [
            "+http://a:7",
            "+http://a:7 at 10.0.0.1:7",
            "+http://a:7 at 10.0.0.2:7",
            "-http://a:7",
            "+http://a:7 at 10.0.0.3:7",
            "-http://a:7 at 10.0.0.1:7",
        ] {
            assert_eq!(next(&mut changes).await, expected);
        }
        assert!(timeout(LOOK_UP_EVERY * 9, changes.recv()).await.is_err(), "no more is told");
        drop(changes);
        following.await.unwrap();
    }

    async fn next(changes: &mut Receiver<Change<String, Endpoint>>) -> String {
        match changes.recv().await.unwrap() {
            Change::Insert(key, _) => format!("+{key}"),
            Change::Remove(key) => format!("-{key}"),
        }
    }
}
