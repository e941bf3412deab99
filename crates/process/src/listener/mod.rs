//! Where a process takes connections: how many there may be, from whom, and how long one may do nothing.

mod places;

use std::{
    fmt,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::{ListenSettings, files};
use places::Places;

pub(crate) use places::Place;

/// How many may be on the address of `/metrics`, `/healthz` and `/readyz`, which nobody outside can reach.
const MOST_OPS: usize = 256;
/// How long after a connection could not be accepted the next one is.
const AFTER_TROUBLE: Duration = Duration::from_millis(50);

/// What connections may be and do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many there may be at once. One more is accepted and closed.
    pub most: usize,
    /// How many of them may be from one address (IPv4) or network of 64 bits (IPv6).
    pub most_of_one: usize,
    /// A client is let go that has by then sent too little to be told HTTP/1 from HTTP/2 by.
    pub opening: Duration,
    /// A client of HTTP/1 is let go that has by then not sent the line and headers of its next request, the first one included.
    pub head: Duration,
    /// A client is let go that took nothing for that long of what it is sent.
    pub stalled: Duration,
    /// How often a client of HTTP/2 is asked whether it is still there.
    pub ping_every: Duration,
    /// How soon it has to answer that.
    pub ping_within: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            most: usize::MAX,
            most_of_one: usize::MAX,
            opening: Duration::from_secs(10),
            head: Duration::from_secs(10),
            stalled: Duration::from_mins(1),
            ping_every: Duration::from_secs(30),
            ping_within: Duration::from_secs(15),
        }
    }
}

impl Bounds {
    /// What the settings say, and no more connections than there can be files.
    pub(crate) fn of(settings: &ListenSettings) -> Self {
        Self::within(settings, files::raise_limit())
    }

    fn within(settings: &ListenSettings, files: Option<u64>) -> Self {
        let number = |setting: u32| usize::try_from(setting).unwrap_or(usize::MAX);
        let room = files::room_for_connections(files);
        let most = number(settings.max_connections);
        if most > room {
            warn!(most, room, "the limit on open files leaves room for fewer than MAX_CONNECTIONS");
        }
        let most_of_one = match settings.max_connections_per_address {
            0 => usize::MAX,
            some => number(some),
        };
        Self { most: most.min(room), most_of_one, ..Self::default() }
    }

    pub(crate) fn of_ops() -> Self {
        Self { most: MOST_OPS, ..Self::default() }
    }
}

type IsExempt = dyn Fn(IpAddr) -> bool + Send + Sync;

/// A socket that listens, and how many connections it gives.
pub struct Listener {
    socket: TcpListener,
    name: &'static str,
    bounds: Bounds,
    is_exempt: Arc<IsExempt>,
    places: Arc<Places>,
    is_in_trouble: bool,
}

/// A connection, and its place among those that there may be.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self::new(socket, "main", Bounds::default())
    }
}

impl Listener {
    /// `name` is the label `listener` of its metrics. Clients on this machine are not counted by address; see [`Self::exempting`].
    pub fn new(socket: TcpListener, name: &'static str, bounds: Bounds) -> Self {
        Self {
            socket,
            name,
            bounds,
            is_exempt: Arc::new(|address| address.is_loopback()),
            places: Arc::new(Places::new(name, &bounds)),
            is_in_trouble: false,
        }
    }

    /// Whose connections are not counted by address, in place of those from this machine: proxies, behind which many are. It is asked
    /// with IPv4 in the form of IPv6 as IPv4.
    #[must_use]
    pub fn exempting(mut self, is_exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.is_exempt = Arc::new(is_exempt);
        self
    }

    /// The address that it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The next connection that there is a place for. Those before it without one are closed. Nothing ends it but the process.
    pub(crate) async fn accept(&mut self) -> Accepted {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    self.is_in_trouble = false;
                    let address = peer.ip().to_canonical();
                    let counted = Some(address).filter(|it| !(self.is_exempt)(*it));
                    if let Some(place) = self.places.take(counted) {
                        prepare(&stream);
                        return Accepted { stream, peer, place };
                    }
                }
                Err(error) if is_about_one_client(&error) => debug!(%error, "a client left"),
                Err(error) => {
                    // Most likely out of file descriptors: some connection ends soon.
                    if !self.is_in_trouble {
                        warn!(listener = self.name, %error, "cannot accept connections");
                    }
                    self.is_in_trouble = true;
                    tokio::time::sleep(AFTER_TROUBLE).await;
                }
            }
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("socket", &self.socket)
            .field("name", &self.name)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Sends at once what is written, and notices in about two minutes that the client's machine is no more.
fn prepare(stream: &TcpStream) {
    let prepared = stream.set_nodelay(true).and_then(|()| {
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, Duration::from_mins(1))?;
        sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
        Ok(sockopt::set_tcp_keepcnt(stream, 4)?)
    });
    if let Err(error) = prepared {
        debug!(%error, "a connection stays as it was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_connections_than_there_can_be_files() {
        let settings = |max_connections, max_connections_per_address| ListenSettings {
            listen_addr: ([127, 0, 0, 1], 0).into(),
            ops_addr: ([127, 0, 0, 1], 0).into(),
            max_connections,
            max_connections_per_address,
        };
        for (most, files, expected) in
            [(200, Some(1_024), 200), (5_000, Some(1_024), 512), (50_000, None, 50_000)]
        {
            assert_eq!(Bounds::within(&settings(most, 8), files).most, expected, "{most}");
        }
        assert_eq!(Bounds::within(&settings(9, 8), None).most_of_one, 8);
        assert_eq!(Bounds::within(&settings(9, 0), None).most_of_one, usize::MAX);
    }

    #[tokio::test]
    async fn who_is_one_too_many_is_closed_and_the_next_one_let_in() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let bounds = Bounds { most: 1, ..Bounds::default() };
        let mut listener = Listener::new(socket, "main", bounds);
        let _first = TcpStream::connect(address).await.unwrap();
        let held = listener.accept().await;
        let second = TcpStream::connect(address).await.unwrap();
        // Accepts it, closes it, and goes on waiting.
        let next = tokio::select! {
            biased;
            accepted = listener.accept() => panic!("{} is let in", accepted.peer),
            closed = second.readable() => closed,
        };
        next.unwrap();
        assert_eq!(second.try_read(&mut [0; 1]).unwrap(), 0);
        drop(held);
        let third = TcpStream::connect(address).await.unwrap();
        assert_eq!(listener.accept().await.peer, third.local_addr().unwrap());
    }
}
