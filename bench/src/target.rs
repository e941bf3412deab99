//! A program that answers the API, and one keep-alive connection to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use crate::request::{Ask, Book};

/// No answer takes this long; what does is a failure.
const PATIENCE: Duration = Duration::from_secs(20);
/// A token is asked for anew before it could expire.
const TOKEN_LIVES: Duration = Duration::from_mins(10);

/// Where a program answers, as whom it is asked, and about what.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// E-mail address and password; none where no token is needed.
    pub(crate) account: Option<(String, String)>,
    /// What there is to ask about.
    pub(crate) book: Book,
    token: Mutex<Option<(HeaderValue, Instant)>>,
}

impl Target {
    /// Nobody is signed in yet.
    pub(crate) fn new(address: SocketAddr, account: Option<(String, String)>, book: Book) -> Self {
        Self { address, account, book, token: Mutex::new(None) }
    }

    /// Opens a connection as the account.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let mut connection = Connection::open(self.address).await?;
        connection.authorization = self.authorization(&mut connection).await?;
        Ok(connection)
    }

    async fn authorization(&self, connection: &mut Connection) -> Result<Option<HeaderValue>> {
        let Some((username, password)) = &self.account else { return Ok(None) };
        let kept = self.token.lock().ok().and_then(|token| token.clone());
        if let Some((token, since)) = kept
            && since.elapsed() < TOKEN_LIVES
        {
            return Ok(Some(token));
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("username", username)
            .append_pair("password", password)
            .finish();
        let ask = Ask {
            method: Method::POST,
            path: "/api/v1/auth/token".to_owned(),
            body: Some(("application/x-www-form-urlencoded", form.into())),
        };
        let answer = connection.ask(&ask).await.context("sign in")?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let token = answer["access_token"].as_str().context("no access_token in the answer")?;
        let token = HeaderValue::try_from(format!("Bearer {token}"))?;
        if let Ok(mut kept) = self.token.lock() {
            *kept = Some((token.clone(), Instant::now()));
        }
        Ok(Some(token))
    }
}

/// A connection that is asked one thing after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(address).await, address).await
    }

    /// As nobody, and from that address of this machine.
    pub(crate) async fn from(source: Ipv4Addr, address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Self::over(socket.connect(address).await, address).await
    }

    async fn over(stream: std::io::Result<TcpStream>, address: SocketAddr) -> Result<Self> {
        let stream = stream.with_context(|| format!("connect to port {}", address.port()))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: HeaderValue::try_from(address.to_string())?, authorization: None })
    }

    /// The body of the answer. Anything but success is an error: what fails is not measured.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Result<Bytes> {
        tokio::time::timeout(PATIENCE, self.send(ask))
            .await
            .with_context(|| format!("{} {}: no answer in time", ask.method, ask.path))?
    }

    /// The status of the answer, whichever it is.
    pub(crate) async fn status(&mut self, ask: &Ask) -> Result<StatusCode> {
        let (status, _) = tokio::time::timeout(PATIENCE, self.exchange(ask))
            .await
            .with_context(|| format!("{} {}: no answer in time", ask.method, ask.path))??;
        Ok(status)
    }

    async fn send(&mut self, ask: &Ask) -> Result<Bytes> {
        let (status, body) = self.exchange(ask).await?;
        ensure!(
            status.is_success(),
            "{} {}: {status} {}",
            ask.method,
            ask.path,
            String::from_utf8_lossy(&body).chars().take(400).collect::<String>()
        );
        Ok(body)
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<(StatusCode, Bytes)> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header(header::HOST, self.host.clone());
        if let Some(token) = &self.authorization {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        let mut body = Bytes::new();
        if let Some((content_type, content)) = &ask.body {
            request = request.header(header::CONTENT_TYPE, *content_type);
            body = content.clone();
        }
        let what = || format!("{} {}", ask.method, ask.path);
        self.sender.ready().await.with_context(what)?;
        let answer =
            self.sender.send_request(request.body(Full::new(body))?).await.with_context(what)?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.with_context(what)?.to_bytes()))
    }
}
