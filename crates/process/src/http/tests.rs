//! Clients of every kind of patience, by bytes.

mod rest;

use std::net::Ipv4Addr;

use axum::routing::get;
use futures::StreamExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::DropGuard;

use super::*;

/// So long no answer takes, but where time is paused: there nothing does.
const AT_ONCE: Duration = Duration::from_secs(4);
/// A request that has ended when its answer has come, and nothing else.
const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

struct Serves {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Serves {
    async fn with(router: Router, bounds: Bounds) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let listener = Listener::new(socket, "main", bounds).exempting(|_| false);
        tokio::spawn(serve(listener, router, shutdown.clone()));
        Self { address, _stop: shutdown.drop_guard() }
    }

    /// One that answers `done`.
    async fn within(bounds: Bounds) -> Self {
        Self::with(Router::new().route("/", get(async || "done")), bounds).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// How long the server bears it, in seconds: from here on time passes as soon as nobody has anything to do.
async fn seconds_until_closed(mut client: TcpStream) -> u64 {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_hours(1), client.read_to_end(&mut rest)).await;
    let _ = closed.expect("the server hangs up");
    begun.elapsed().as_secs()
}

async fn ask(client: &mut TcpStream) -> String {
    client.write_all(ASK).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut length = 0;
    while !answer[..length].ends_with(b"done") {
        let read = timeout(AT_ONCE, client.read(&mut answer[length..])).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..length]));
        length += read;
    }
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

/// A client of HTTP/2 that asks nothing of itself.
struct Http2(TcpStream);

const DATA: u8 = 0;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

impl Http2 {
    async fn over(mut stream: TcpStream) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut client = Self(stream);
        client.send(4, 0, 0, &[]).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u8, content: &[u8]) {
        let length = u8::try_from(content.len()).unwrap();
        let frame = [&[0, 0, length, kind, flags, 0, 0, 0, stream], content].concat();
        // The server may have gone.
        let _ = self.0.write_all(&frame).await;
    }

    /// `GET /` as its first request.
    async fn ask(&mut self) {
        self.send(1, 0x5, 1, &[0x82, 0x84, 0x86, 0x41, 4, b'h', b'e', b'r', b'e']).await;
    }

    /// What comes next and is no ping, which is answered: its kind and content. `None` when the connection is closed.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, ..] = head;
            let length = u32::from_be_bytes([0, a, b, c]);
            let mut content = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut content).await.ok()?;
            if kind != PING {
                return Some((kind, content));
            }
            if flags & 1 == 0 {
                self.send(PING, 1, 0, &content).await;
            }
        }
    }

    async fn data(&mut self) -> Vec<u8> {
        loop {
            match self.next().await.expect("an answer") {
                (DATA, content) => return content,
                (GOAWAY, _) => panic!("it is told to go"),
                _ => {}
            }
        }
    }
}

/// A server whose answer goes on as long as somebody sends.
async fn streams() -> (Serves, mpsc::UnboundedSender<&'static str>) {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = Arc::new(tokio::sync::Mutex::new(receive));
    let answer = get(async move || {
        let parts = futures::stream::unfold(receive, async |receive| {
            let part = receive.lock().await.recv().await?;
            Some((Ok::<_, Infallible>(part), receive))
        });
        axum::body::Body::from_stream(parts.boxed())
    });
    (Serves::with(Router::new().route("/", answer), Bounds::default()).await, send)
}

#[tokio::test]
async fn a_request_that_runs_when_the_process_drains_is_answered_and_the_connection_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (arrived, go_on) = (arrived.clone(), go_on.clone());
        get(async move || {
            arrived.notify_one();
            go_on.notified().await;
            "done"
        })
    };
    let shutdown = CancellationToken::new();
    let server =
        tokio::spawn(serve(listener, Router::new().route("/slow", slow), shutdown.clone()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    arrived.notified().await;
    shutdown.cancel();
    tokio::task::yield_now().await;
    go_on.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("done"), "{answer}");
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_does_not_say_what_they_want_is_let_go() {
    let server = Serves::within(Bounds::default()).await;
    for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM", b"GET / HTTP/1.1\r\nhost: here\r\n"] {
        let mut client = server.connect().await;
        client.write_all(said).await.unwrap();
        tokio::time::pause();
        let seconds = seconds_until_closed(client).await;
        tokio::time::resume();
        assert!((9..=11).contains(&seconds), "{seconds} s for {:?}", str::from_utf8(said));
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_alive_is_closed_when_no_next_request_comes() {
    let server = Serves::within(Bounds::default()).await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        assert!(ask(&mut client).await.starts_with("HTTP/1.1 200 OK"));
    }
    tokio::time::pause();
    let seconds = seconds_until_closed(client).await;
    assert!((9..=11).contains(&seconds), "{seconds} s");
}

#[tokio::test]
async fn a_client_of_http_2_without_a_request_is_told_to_go() {
    let server = Serves::within(Bounds::default()).await;
    for asks in [false, true] {
        let mut client = Http2::over(server.connect().await).await;
        if asks {
            client.ask().await;
            assert_eq!(client.data().await, b"done");
        }
        tokio::time::pause();
        let begun = Instant::now();
        let mut last = None;
        while let Some((kind, content)) = client.next().await {
            last = (kind == GOAWAY).then(|| content[..8].to_vec());
        }
        let seconds = begun.elapsed().as_secs();
        tokio::time::resume();
        assert!((119..=125).contains(&seconds), "{seconds} s");
        // Which request was the last that counted, and that nothing is wrong.
        assert_eq!(last.unwrap(), [0, 0, 0, u8::from(asks), 0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn a_client_of_http_2_that_is_no_longer_there_is_let_go_whatever_it_asked() {
    let (server, _send) = streams().await;
    let mut client = Http2::over(server.connect().await).await;
    client.ask().await;
    tokio::time::pause();
    let seconds = seconds_until_closed(client.0).await;
    assert!((44..=46).contains(&seconds), "{seconds} s");
}

#[tokio::test]
async fn who_was_let_go_is_counted_by_why() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let (server, _send) = streams().await;
    let silent = server.connect().await;
    let mut late = server.connect().await;
    late.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n").await.unwrap();
    let mut gone = Http2::over(server.connect().await).await;
    gone.ask().await;
    let mut idle = Http2::over(server.connect().await).await;
    tokio::time::pause();
    while idle.next().await.is_some() {}
    for client in [silent, late, gone.0] {
        seconds_until_closed(client).await;
    }
    let text = recorder.handle().render();
    for (reason, count) in [("silent", 1), ("late", 2), ("idle", 1)] {
        let line =
            format!(r#"connections_closed_total{{listener="main",reason="{reason}"}} {count}"#);
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    assert!(text.contains(r#"connections_open{listener="main"} 0"#), "{text}");
}

#[tokio::test]
async fn an_answer_that_goes_on_is_not_cut() {
    let (server, send) = streams().await;
    let mut one = server.connect().await;
    one.write_all(ASK).await.unwrap();
    send.send("first").unwrap();
    let mut read = vec![0; 1024];
    let length = timeout(AT_ONCE, one.read(&mut read)).await.unwrap().unwrap();
    assert!(read[..length].starts_with(b"HTTP/1.1 200 OK"));
    tokio::time::pause();
    sleep(Duration::from_mins(30)).await;
    send.send("second").unwrap();
    while !read.windows(6).any(|it| it == b"second") {
        let length = one.read(&mut read).await.unwrap();
        assert!(length > 0, "it is cut");
    }
    tokio::time::resume();

    let (server, send) = streams().await;
    let mut two = Http2::over(server.connect().await).await;
    two.ask().await;
    send.send("first").unwrap();
    assert_eq!(timeout(AT_ONCE, two.data()).await.unwrap(), b"first");
    tokio::time::pause();
    let later: JoinHandle<()> = tokio::spawn(async move {
        sleep(Duration::from_mins(30)).await;
        send.send("second").unwrap();
    });
    assert_eq!(two.data().await, b"second");
    later.await.unwrap();
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_another_one_when_one_has_ended() {
    let server = Serves::within(Bounds { most_of_one: 2, ..Bounds::default() }).await;
    let mut held = [server.connect().await, server.connect().await];
    for client in &mut held {
        ask(client).await;
    }
    let mut refused = server.connect().await;
    let closed = timeout(AT_ONCE, refused.read(&mut [0; 1])).await;
    assert_eq!(closed.expect("it is closed at once").unwrap_or_default(), 0);
    // Somebody else.
    let elsewhere = TcpSocket::new_v4().unwrap();
    elsewhere.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into()).unwrap();
    ask(&mut elsewhere.connect(server.address).await.unwrap()).await;

    let [mut ends, _stays] = held;
    ends.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    ends.read_to_end(&mut Vec::new()).await.unwrap();
    // The server's end of it ends a moment after the client's.
    let let_in = async {
        loop {
            let mut client = server.connect().await;
            client.write_all(ASK).await.unwrap();
            if client.read(&mut [0; 1]).await.is_ok_and(|read| read > 0) {
                return;
            }
        }
    };
    timeout(AT_ONCE, let_in).await.expect("there is a place again");
}
