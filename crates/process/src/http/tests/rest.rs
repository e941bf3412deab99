//! Requests that are answered before their body was read.

use axum::{body::Body as AxumBody, http::StatusCode};

use super::*;

const SMALL: usize = 64 * 1024;

/// One that answers `GET /` with `done`, `POST /first` when something of its body came, `POST /all` when all of it did, `PUT /late` as one that
/// waited for it, and everything else with a refusal before it looks at a body.
async fn refuses() -> Serves {
    let first = async |body: AxumBody| {
        let mut parts = body.into_data_stream();
        parts.next().await.unwrap().unwrap();
        StatusCode::PAYLOAD_TOO_LARGE
    };
    let router = Router::new()
        .route("/", get(async || "done"))
        .route("/first", axum::routing::post(first))
        .route("/all", axum::routing::post(async |body: String| body))
        .route("/late", axum::routing::put(async || StatusCode::REQUEST_TIMEOUT));
    Serves::with(router, Bounds::default()).await
}

fn head(line: &str, fields: &str) -> String {
    format!("{line}\r\nhost: here\r\n{fields}\r\n\r\n")
}

/// Sends it and gives the head of its answer, which has no body.
async fn answer_to(client: &mut TcpStream, sent: &str) -> String {
    client.write_all(sent.as_bytes()).await.unwrap();
    head_of_answer(client).await
}

async fn head_of_answer(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = timeout(AT_ONCE, client.read_u8()).await.expect("it is answered");
        answer.push(byte.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

/// That the connection is closed, and nothing more was sent on it.
async fn ends(mut client: TcpStream) {
    let mut more = String::new();
    timeout(AT_ONCE, client.read_to_string(&mut more)).await.expect("it is closed").unwrap();
    assert_eq!(more, "");
}

#[tokio::test]
async fn a_small_body_that_comes_after_its_answer_leaves_the_connection_to_the_next_request() {
    let server = refuses().await;
    let mut client = server.connect().await;
    let small = "x".repeat(SMALL);
    let length = format!("content-length: {SMALL}");
    for (line, status) in [
        ("POST / HTTP/1.1", "HTTP/1.1 405"),
        ("POST /nothing HTTP/1.1", "HTTP/1.1 404"),
        ("PUT / HTTP/1.1", "HTTP/1.1 405"),
    ] {
        let answer = answer_to(&mut client, &head(line, &length)).await;
        assert!(answer.starts_with(status), "{answer}");
        assert!(!answer.contains("connection"), "{answer}");
        client.write_all(small.as_bytes()).await.unwrap();
        assert!(ask(&mut client).await.starts_with("HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn a_body_that_comes_with_its_head_leaves_the_connection_to_the_next_request() {
    let server = refuses().await;
    let mut client = server.connect().await;
    // Behind the one of known length comes an empty line too much, which is skipped.
    for body in
        ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0"]
    {
        let answer = answer_to(&mut client, &head("POST / HTTP/1.1", body)).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(!answer.contains("connection"), "{answer}");
        assert!(ask(&mut client).await.starts_with("HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn of_a_body_that_was_begun_the_rest_counts() {
    let server = refuses().await;
    let mut client = server.connect().await;
    let begun = head("POST /first HTTP/1.1", &format!("content-length: {}", SMALL + 5)) + "hello";
    let answer = answer_to(&mut client, &begun).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(!answer.contains("connection"), "{answer}");
    client.write_all(&vec![b'x'; SMALL]).await.unwrap();
    assert!(ask(&mut client).await.starts_with("HTTP/1.1 200 OK"));

    let begun = head("POST /first HTTP/1.1", &format!("content-length: {}", SMALL + 6)) + "hello";
    let answer = answer_to(&mut client, &begun).await;
    assert!(answer.contains("connection: close"), "{answer}");
    ends(client).await;
}

#[tokio::test]
async fn a_large_body_is_not_read_and_its_client_answered_that_the_connection_ends() {
    let server = refuses().await;
    let mut client = server.connect().await;
    let length = format!("content-length: {}", SMALL + 1);
    let answer = answer_to(&mut client, &head("POST / HTTP/1.1", &length)).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    ends(client).await;

    // And one that is sent meanwhile, as far as it is taken.
    let (mut reads, mut writes) = server.connect().await.into_split();
    let length = head("POST / HTTP/1.1", "content-length: 100000000");
    let sends = tokio::spawn(async move {
        writes.write_all(length.as_bytes()).await.unwrap();
        let part = vec![b'x'; SMALL];
        while writes.write_all(&part).await.is_ok() {}
    });
    let mut answer = vec![0; 1024];
    let length = timeout(AT_ONCE, reads.read(&mut answer)).await.unwrap().unwrap();
    let answer = str::from_utf8(&answer[..length]).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    timeout(AT_ONCE, sends).await.expect("it is closed").unwrap();
}

#[tokio::test]
async fn a_body_of_unknown_length_is_waited_for_a_moment() {
    let server = refuses().await;
    let chunked = head("POST / HTTP/1.1", "transfer-encoding: chunked");
    let mut client = server.connect().await;
    client.write_all((chunked.clone() + "5\r\nhello\r\n").as_bytes()).await.unwrap();
    client.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = head_of_answer(&mut client).await;
    assert!(!answer.contains("connection"), "{answer}");
    assert!(ask(&mut client).await.starts_with("HTTP/1.1 200 OK"));

    let large = format!("{chunked}{:x}\r\n{}", SMALL + 1, "x".repeat(SMALL + 1));
    for sent in [&chunked, &large] {
        let mut client = server.connect().await;
        let begun = std::time::Instant::now();
        let answer = answer_to(&mut client, sent).await;
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(begun.elapsed() < AT_ONCE / 2);
    }
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_not_asked_for() {
    let server = refuses().await;
    let expecting = "content-length: 5\r\nexpect: 100-continue";
    let mut client = server.connect().await;
    let answer = answer_to(&mut client, &head("POST / HTTP/1.1", expecting)).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    ends(client).await;

    let mut client = server.connect().await;
    let answer = answer_to(&mut client, &head("POST /all HTTP/1.1", expecting)).await;
    assert_eq!(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = answer_to(&mut client, "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(!answer.contains("connection"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_holds_up_no_answer_and_is_waited_for_as_a_next_request_is() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let server = refuses().await;
    for version in ["1.0", "1.1"] {
        let mut client = server.connect().await;
        let line = format!("POST / HTTP/{version}");
        let answer = answer_to(&mut client, &head(&line, "content-length: 10")).await;
        assert!(answer.contains("405"), "{answer}");
        tokio::time::pause();
        let seconds = seconds_until_closed(client).await;
        tokio::time::resume();
        assert!((9..=11).contains(&seconds), "{seconds} s");
    }
    let text = recorder.handle().render();
    let line = r#"connections_closed_total{listener="main",reason="late"} 2"#;
    assert!(text.contains(line), "{line} is not in {text}");
}

#[tokio::test]
async fn a_body_that_was_waited_for_in_vain_is_not_waited_for_again() {
    let server = refuses().await;
    let mut client = server.connect().await;
    let answer = answer_to(&mut client, &head("PUT /late HTTP/1.1", "content-length: 10")).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    ends(client).await;
}

#[tokio::test]
async fn a_client_of_http_1_0_keeps_its_connection_if_it_asked_for_it_and_its_body_is_small() {
    let server = refuses().await;
    let mut client = server.connect().await;
    let small = "content-length: 5\r\nconnection: keep-alive";
    let answer = answer_to(&mut client, &head("POST / HTTP/1.0", small)).await;
    assert!(answer.contains("connection: keep-alive"), "{answer}");
    client.write_all(b"hello").await.unwrap();
    assert!(ask(&mut client).await.contains("200 OK"));

    let mut client = server.connect().await;
    let answer = answer_to(&mut client, &head("POST / HTTP/1.0", "content-length: 5")).await;
    assert!(answer.starts_with("HTTP/1.0 405"), "{answer}");
    client.write_all(b"hello").await.unwrap();
    ends(client).await;

    let mut client = server.connect().await;
    let large = "content-length: 100000\r\nconnection: keep-alive";
    let answer = answer_to(&mut client, &head("POST / HTTP/1.0", large)).await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(!answer.contains("keep-alive"), "{answer}");
    ends(client).await;
}

#[tokio::test]
async fn a_process_that_ends_does_not_wait_for_what_nobody_wants() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(socket, Router::new(), shutdown.clone()));
    let answer = answer_to(&mut client, &head("POST / HTTP/1.1", "content-length: 10")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    tokio::time::pause();
    let begun = Instant::now();
    shutdown.cancel();
    server.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
