//! What browsers send: gRPC-web over HTTP/1.1, and preflights.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Running, does};

/// Sends a request as it is, and gives what comes back until the connection is closed.
async fn exchange(server: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&answer).to_lowercase()
}

async fn server() -> Running {
    Running::start(rpc::Server::builder("test").add(does(async |_| Ok("from the web".to_owned()))))
        .await
}

#[tokio::test]
async fn a_browser_calls_a_method_over_http_1() {
    // An empty message: no flags, length 0.
    let head = "POST /salespipeline.identity.v1.KeyService/ListKeys HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\
        origin: https://app.example\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\r\n";
    let answer = exchange(&server().await, &[head.as_bytes(), &[0; 5]].concat()).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("from the web"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
    assert!(answer.contains("x-request-id: "), "{answer}");
}

#[tokio::test]
async fn a_preflight_allows_what_a_browser_needs() {
    let request = "OPTIONS /salespipeline.identity.v1.KeyService/ListKeys HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\
        origin: https://app.example\r\naccess-control-request-method: POST\r\n\
        access-control-request-headers: authorization,x-grpc-web\r\n\r\n";
    let answer = exchange(&server().await, request.as_bytes()).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
    assert!(answer.contains("authorization"), "{answer}");
}

#[tokio::test]
async fn what_is_neither_is_refused() {
    let request = "GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    let answer = exchange(&server().await, request.as_bytes()).await;
    assert!(answer.starts_with("http/1.1 400"), "{answer}");
}
