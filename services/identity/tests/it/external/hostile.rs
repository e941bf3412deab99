//! A provider that answers whatever it is told to, and remembers what it was asked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use aws_lc_rs::{
    digest, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};

pub(super) const CLIENT_ID: &str = "salespipeline";
pub(super) const CLIENT_SECRET: &str = "a secret of ours at the provider";
pub(super) const ACCESS_TOKEN: &str = "an access token of the provider's";

/// What one of its addresses answers.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Json(u16, Value),
    /// Nothing, for as long as somebody waits.
    Silence,
    /// More than anybody wants to read.
    Flood,
    /// That it is elsewhere.
    Redirect(String),
    /// A page for people.
    Html,
}

/// What it answers, and what it was asked.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) discovery: Reply,
    pub(super) keys: Reply,
    pub(super) token: Reply,
    /// The tokens of codes that have one of their own.
    pub(super) tokens: BTreeMap<String, String>,
    /// How many ask for tokens before anybody is answered.
    pub(super) together: Option<Arc<Barrier>>,
    pub(super) user_info: Reply,
    /// What came to the address for tokens: the header `Authorization`, and the form.
    pub(super) exchanges: Vec<(String, String)>,
    /// Every address that was asked for, in order.
    pub(super) asked: Vec<String>,
}

pub(super) struct Hostile {
    pub(super) issuer: String,
    desk: Arc<Mutex<Desk>>,
    pub(super) key: Key,
}

/// A key that it signs with.
pub(super) struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(super) fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { id: id.to_owned(), pair }
    }

    pub(super) fn public(&self) -> Value {
        let point = &self.pair.public_key().as_ref()[1..];
        let [x, y] = [&point[..32], &point[32..]].map(|it| URL_SAFE_NO_PAD.encode(it));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y})
    }

    /// A token as it has to be.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let signed = signed("ES256", &self.id, claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// One whose signature anybody can make who knows a text.
    pub(super) fn sign_with_text(&self, claims: &Value, text: &[u8]) -> String {
        let signed = signed("HS256", &self.id, claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, text), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// One without a signature.
    pub(super) fn unsigned(&self, claims: &Value) -> String {
        format!("{}.", signed("none", &self.id, claims))
    }
}

fn signed(algorithm: &str, key: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "kid": key, "typ": "JWT"}).to_string();
    let [header, claims] = [header, claims.to_string()].map(|it| URL_SAFE_NO_PAD.encode(it));
    format!("{header}.{claims}")
}

/// What a token says of the access token that it came with.
pub(super) fn at_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

impl Hostile {
    /// It behaves until it is told otherwise; it has nobody to tell of yet.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::new("first");
        let desk = Desk {
            discovery: Reply::Json(200, metadata(&issuer)),
            keys: Reply::Json(200, json!({"keys": [key.public()]})),
            token: Reply::Json(400, json!({"error": "invalid_grant"})),
            tokens: BTreeMap::new(),
            together: None,
            user_info: Reply::Json(404, json!({})),
            exchanges: Vec::new(),
            asked: Vec::new(),
        };
        let desk = Arc::new(Mutex::new(desk));
        let at_desk = Arc::clone(&desk);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&at_desk)));
            }
        });
        Self { issuer, desk, key }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// Gives that token to whoever asks next, whatever they show.
    pub(super) fn gives(&self, id_token: &str) {
        self.desk().token = Reply::Json(200, token(id_token));
    }

    /// How often it was asked at that path.
    pub(super) fn asked_for(&self, path: &str) -> usize {
        self.desk().asked.iter().filter(|it| *it == path).count()
    }
}

pub(super) fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/me"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // It would like nothing better.
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    })
}

pub(super) fn token(id_token: &str) -> Value {
    json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60, "id_token": id_token})
}

async fn serve(mut stream: TcpStream, desk: Arc<Mutex<Desk>>) {
    let mut lines = BufReader::new(&mut stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).await.unwrap_or(0) <= 2 {
            break;
        }
        head.push(line);
    }
    let field = |name: &str| {
        let pairs = head.iter().filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(it, _)| it.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; field("content-length").parse().unwrap_or(0)];
    if lines.read_exact(&mut body).await.is_err() {
        return;
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let reply = {
        let mut desk = desk.lock().unwrap();
        desk.asked.push(path.clone());
        match &*path {
            "/.well-known/openid-configuration" => desk.discovery.clone(),
            "/keys" => desk.keys.clone(),
            "/token" => {
                let form = String::from_utf8(body).unwrap();
                let mut fields = form_urlencoded::parse(form.as_bytes());
                let code = fields.find(|(name, _)| name == "code").unwrap().1.into_owned();
                desk.exchanges.push((field("authorization"), form));
                let own = desk.tokens.get(&code).map(|own| Reply::Json(200, token(own)));
                own.unwrap_or_else(|| desk.token.clone())
            }
            "/me" => desk.user_info.clone(),
            _ => Reply::Json(404, json!({})),
        }
    };
    let together = desk.lock().unwrap().together.clone().filter(|_| path == "/token");
    if let Some(barrier) = together {
        barrier.wait().await;
    }
    let (status, more, text) = match reply {
        Reply::Json(status, value) => (status, "application/json".to_owned(), value.to_string()),
        Reply::Html => (200, "text/html".to_owned(), "<!doctype html>".to_owned()),
        Reply::Redirect(to) => (302, format!("text/html\r\nlocation: {to}"), String::new()),
        Reply::Flood => (200, "application/json".to_owned(), " ".repeat(10 << 20)),
        Reply::Silence => return std::future::pending().await,
    };
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {more}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
    // Who has read enough hangs up.
    let _ = stream.write_all(answer.as_bytes()).await;
}
