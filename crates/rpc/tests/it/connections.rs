//! Which connections a server keeps, which it ends, and that no call is lost by it.

use std::time::Duration;

use process::{Bounds, Listener, Readiness};
use proto::identity::v1::{ListKeysRequest, key_service_client::KeyServiceClient};
use rpc::{Tls, client};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Running, does};

/// No answer and no refusal takes longer.
const AT_ONCE: Duration = Duration::from_secs(4);
/// How long a client may be without a call.
const IDLE: Duration = Duration::from_mins(30);

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.url.strip_prefix("http://").unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn who_asks_nothing_is_let_go() {
    let server = Running::doing(async |_| Ok("fine".to_owned())).await;
    for said in [&b""[..], b"PRI * HTTP/2.0", b"POST / HTTP/1.1\r\n"] {
        let mut client = server.connect().await;
        client.write_all(said).await.unwrap();
        tokio::time::pause();
        let begun = Instant::now();
        let closed = timeout(Duration::from_hours(1), client.read_to_end(&mut Vec::new())).await;
        let _ = closed.expect("the server hangs up");
        let seconds = begun.elapsed().as_secs();
        tokio::time::resume();
        assert!((9..=11).contains(&seconds), "{seconds} s for {said:?}");
    }
    assert_eq!(server.call(client::Context::default()).await.unwrap(), "fine");
}

#[tokio::test]
async fn a_channel_that_was_idle_is_told_to_go_and_loses_no_call() {
    let server =
        Running::doing(async |request| Ok(request.remote_addr().unwrap().port().to_string())).await;
    let idles_for = async |time| {
        tokio::time::pause();
        sleep(time).await;
        tokio::time::resume();
    };
    let first = server.call(client::Context::default()).await.unwrap();
    idles_for(IDLE.saturating_sub(Duration::from_secs(1))).await;
    assert_eq!(server.call(client::Context::default()).await.unwrap(), first, "it is kept");
    idles_for(IDLE + Duration::from_secs(1)).await;
    assert_ne!(server.call(client::Context::default()).await.unwrap(), first, "it is new");
    // So are those to several replicas.
    let both = client::connect_lazy(&format!("{0},{0}", server.url), &Tls::default()).unwrap();
    for _ in 0..4 {
        let mut client = KeyServiceClient::new(both.clone());
        client.list_keys(ListKeysRequest {}).await.unwrap();
        idles_for(IDLE + Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_stream_is_not_cut_however_long_nothing_comes() {
    let readiness = Readiness::default();
    let schema = readiness.latch("schema");
    let server = rpc::Server::builder("test").readiness(&readiness);
    let server = Running::start(server.add(does(async |_| Ok(String::new())))).await;
    let mut client = HealthClient::new(server.channel.clone());
    let mut states = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let now = states.message().await.unwrap().unwrap();
    assert_eq!(now.status(), ServingStatus::NotServing);
    tokio::time::pause();
    sleep(10 * IDLE).await;
    tokio::time::resume();
    schema.set();
    let then = timeout(AT_ONCE, states.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(then.status(), ServingStatus::Serving);
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_another_one_when_one_has_ended() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bounds = Bounds { most_of_one: 2, ..Bounds::default() };
    let listener = Listener::new(socket, "main", bounds).exempting(|_| false);
    let server = rpc::Server::builder("test").add(does(async |_| Ok("fine".to_owned())));
    let server = Running::on(listener, server);
    assert_eq!(server.call(client::Context::default()).await.unwrap(), "fine");

    let held = server.connect().await;
    let mut refused = server.connect().await;
    let closed = timeout(AT_ONCE, refused.read(&mut [0; 1])).await;
    assert_eq!(closed.expect("it is closed at once").unwrap_or_default(), 0);
    // The one that has calls keeps its place.
    assert_eq!(server.call(client::Context::default()).await.unwrap(), "fine");

    drop(held);
    let let_in = async {
        loop {
            let mut client = server.connect().await;
            client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
            if client.read(&mut [0; 1]).await.is_ok_and(|read| read > 0) {
                return;
            }
        }
    };
    timeout(AT_ONCE, let_in).await.expect("there is a place again");
}
