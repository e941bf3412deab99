//! Mutual TLS: who is served, and who is turned away on either side.

use std::{
    fs,
    future::Future,
    io::Write,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use process::TlsSettings;
use proto::identity::v1::{ListKeysRequest, key_service_client::KeyServiceClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rpc::{Error, Tls, client, client::Channel, reason};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::does;

/// No answer and no refusal takes longer.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A certificate authority, and the folder of all that it has signed.
struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    issued: AtomicUsize,
}

impl Ca {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = format!("{}/tls-{}-{number}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("CA {number}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(format!("{folder}/ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder: folder.into(), issued: AtomicUsize::new(0) }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// The settings of a process with a certificate for these names.
    fn settings(&self, names: &[&str]) -> TlsSettings {
        self.settled(&params(names), false)
    }

    fn settled(&self, params: &CertificateParams, by_itself: bool) -> TlsSettings {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let key = KeyPair::generate().unwrap();
        let signed =
            if by_itself { params.self_signed(&key) } else { params.signed_by(&key, &self.issuer) };
        let [cert_file, key_file] = ["cert", "key"].map(|it| self.path(&format!("{it}{number}")));
        fs::write(&cert_file, signed.unwrap().pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        TlsSettings {
            cert_file: Some(cert_file),
            key_file: Some(key_file),
            ca_file: Some(self.path("ca.pem")),
            client_names: Vec::new(),
        }
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

fn expired(names: &[&str]) -> CertificateParams {
    let mut params = params(names);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params
}

/// A server that answers `fine`.
struct Serves {
    address: std::net::SocketAddr,
    _stop: DropGuard,
}

impl Serves {
    async fn with(settings: &TlsSettings) -> Self {
        Self::start(&Tls::load(settings).unwrap()).await
    }

    async fn start(tls: &Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = rpc::Server::builder("test").tls(tls).add(does(async |request| {
            // With TLS as without it a method is told where its client is.
            assert!(request.remote_addr().is_some_and(|it| it.ip().is_loopback()));
            Ok("fine".to_owned())
        }));
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { address, _stop: shutdown.drop_guard() }
    }

    /// What a client with these settings is answered.
    async fn answers(&self, settings: &TlsSettings) -> Result<String, Error> {
        let tls = Tls::load(settings).unwrap();
        ask(client::connect_lazy(&format!("https://{}", self.address), &tls).unwrap()).await
    }
}

async fn ask(channel: Channel) -> Result<String, Error> {
    let asked = client::read(|| {
        let mut client = KeyServiceClient::new(channel.clone());
        async move { client.list_keys(ListKeysRequest {}).await }
    });
    let answer = tokio::time::timeout(AT_ONCE, asked).await.expect("an answer, not a wait");
    Ok(answer?.keys.remove(0).kid)
}

/// Everything that is logged on this thread while `work` runs.
async fn log_of<T>(work: impl Future<Output = T>) -> (T, String) {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let done = work.await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (done, text)
}

#[tokio::test]
async fn who_shows_a_certificate_of_the_ca_is_served() {
    let ca = Ca::new();
    for host in ["127.0.0.1", "localhost"] {
        let server = Serves::with(&ca.settings(&[host])).await;
        let url = format!("https://{host}:{}", server.address.port());
        let tls = Tls::load(&ca.settings(&["analytics"])).unwrap();
        let channel = client::connect_lazy(&url, &tls).unwrap();
        assert_eq!(ask(channel.clone()).await.unwrap(), "fine");
        let service = String::new();
        let health = HealthClient::new(channel).check(HealthCheckRequest { service }).await;
        assert_eq!(health.unwrap().into_inner().status(), ServingStatus::Serving);
        // Replicas, as many as there are.
        let both = client::connect_lazy(&format!("{url},{url}"), &tls).unwrap();
        assert_eq!(ask(both).await.unwrap(), "fine");
    }
}

#[tokio::test]
async fn a_client_that_cannot_show_a_good_certificate_is_refused_with_a_line_in_the_log() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server = Serves::with(&ca.settings(&["127.0.0.1"])).await;
    let url = format!("https://{}", server.address);
    let ca_pem = fs::read(ca.path("ca.pem")).unwrap();
    let of_other =
        TlsSettings { ca_file: Some(ca.path("ca.pem")), ..other.settings(&["analytics"]) };
    let shows =
        |settings: &TlsSettings| client::connect_lazy(&url, &Tls::load(settings).unwrap()).unwrap();
    let nothing = Endpoint::from_shared(url.clone())
        .unwrap()
        .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem)))
        .unwrap();
    let plain = format!("http://{}", server.address);
    let refused = [
        ("none", nothing.connect_lazy().into()),
        ("signed by itself", shows(&ca.settled(&params(&["analytics"]), true))),
        ("of another CA", shows(&of_other)),
        ("expired", shows(&ca.settled(&expired(&["analytics"]), false))),
        ("no TLS", client::connect_lazy(&plain, &Tls::default()).unwrap()),
    ];
    for (which, channel) in refused {
        let (answer, log) = log_of(ask(channel)).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{which}: {error:?}");
        assert!(log.contains("a client is refused"), "{which}: {log}");
    }
    assert_eq!(server.answers(&ca.settings(&["analytics"])).await.unwrap(), "fine");
}

#[tokio::test]
async fn a_server_that_is_not_who_the_url_says_is_unavailable() {
    let (ca, other) = (Ca::new(), Ca::new());
    let client = ca.settings(&["gateway"]);
    let believes_ours =
        |settings: TlsSettings| TlsSettings { ca_file: Some(ca.path("ca.pem")), ..settings };
    let servers = [
        ("another name", ca.settings(&["localhost", "identity", "127.0.0.2"])),
        ("another CA", believes_ours(other.settings(&["127.0.0.1"]))),
        ("signed by itself", ca.settled(&params(&["127.0.0.1"]), true)),
        ("expired", ca.settled(&expired(&["127.0.0.1"]), false)),
    ];
    for (which, settings) in servers {
        let server = Serves::with(&settings).await;
        let error = server.answers(&client).await.unwrap_err();
        assert_eq!(error.reason(), reason::UNAVAILABLE, "{which}: {error:?}");
    }
    let plain = Serves::start(&Tls::default()).await;
    assert_eq!(plain.answers(&client).await.unwrap_err().reason(), reason::UNAVAILABLE, "no TLS");
}

#[tokio::test]
async fn a_server_may_serve_only_clients_of_certain_names() {
    let ca = Ca::new();
    let mut settings = ca.settings(&["127.0.0.1"]);
    settings.client_names = vec!["gateway".to_owned(), " analytics.sales ".to_owned()];
    let server = Serves::with(&settings).await;
    for names in [&["gateway"][..], &["x", "analytics.sales"], &["GATEWAY"]] {
        assert_eq!(server.answers(&ca.settings(names)).await.unwrap(), "fine", "{names:?}");
    }
    for names in [&["notifier"][..], &["gateway.evil"], &["analytics"], &["127.0.0.1"], &[]] {
        let (answer, log) = log_of(server.answers(&ca.settings(names))).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{names:?}: {error:?}");
        assert!(log.contains("TLS_CLIENT_NAMES"), "{log}");
    }
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_waiting() {
    let ca = Ca::new();
    let server = Serves::with(&ca.settings(&["127.0.0.1"])).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.answers(&ca.settings(&["gateway"])).await.unwrap(), "fine");
    // From here on time passes as soon as nobody has anything to do.
    tokio::time::pause();
    let closed = tokio::time::timeout(Duration::from_mins(1), silent[0].read(&mut [0; 16])).await;
    assert_eq!(closed.expect("the server hangs up").unwrap_or_default(), 0);
}

#[tokio::test]
async fn a_browser_with_a_certificate_calls_over_http_1_and_only_under_its_own_name() {
    let ca = Ca::new();
    let mut settings = ca.settings(&["127.0.0.1"]);
    settings.client_names = vec!["dashboard".to_owned()];
    let server = Serves::with(&settings).await;
    for (name, status, told) in
        [("dashboard", "grpc-status:0", "fine"), ("other", "grpc-status: 7", "")]
    {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let secured = over_http_1(&ca, &ca.settings(&[name]), stream).await;
        let answer = call_from_the_web(secured).await;
        assert!(answer.contains(status) && answer.contains(told), "{name}: {answer}");
        assert_eq!(answer.contains("fine"), name == "dashboard", "{answer}");
    }
}

async fn over_http_1(
    ca: &Ca,
    settings: &TlsSettings,
    stream: TcpStream,
) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca.path("ca.pem")).unwrap()).unwrap();
    let cert = CertificateDer::from_pem_file(settings.cert_file.as_ref().unwrap()).unwrap();
    let key = PrivateKeyDer::from_pem_file(settings.key_file.as_ref().unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![cert], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn call_from_the_web(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let head = "POST /salespipeline.identity.v1.KeyService/ListKeys HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\
        content-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(&[head.as_bytes(), &[0; 5]].concat()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(AT_ONCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[tokio::test]
async fn settings_that_do_not_go_together_are_told_in_one_line() {
    let (ca, other) = (Ca::new(), Ca::new());
    let good = ca.settings(&["127.0.0.1"]);
    let absent = ca.path("absent");
    let empty = ca.path("empty");
    fs::write(&empty, "").unwrap();
    let change = |change: &dyn Fn(&mut TlsSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        format!("{:#}", Tls::load(&settings).unwrap_err())
    };
    let cases = [
        (change(&|it| it.key_file = None), "TLS_KEY_FILE is missing"),
        (change(&|it| it.ca_file = Some(String::new())), "TLS_CA_FILE is missing"),
        (change(&|it| it.cert_file = Some(absent.clone())), "TLS_CERT_FILE: read"),
        (change(&|it| it.cert_file = Some(empty.clone())), "holds no certificate"),
        (change(&|it| it.ca_file = Some(empty.clone())), "holds no certificate"),
        (change(&|it| it.key_file.clone_from(&it.cert_file)), "holds no private key"),
        (
            change(&|it| it.key_file = other.settings(&["x"]).key_file),
            "is not the key of the certificate",
        ),
        (change(&|it| it.client_names = vec!["a b".to_owned()]), "`a b` is no DNS name"),
        (
            change(&|it| {
                *it = TlsSettings { client_names: vec!["x".to_owned()], ..TlsSettings::default() };
            }),
            "TLS_CLIENT_NAMES needs TLS_CERT_FILE, TLS_KEY_FILE, TLS_CA_FILE",
        ),
    ];
    for (line, expected) in cases {
        assert!(line.contains(expected) && !line.contains('\n'), "{line}");
    }
    // Left empty is left out.
    let none = TlsSettings {
        cert_file: Some(String::new()),
        client_names: vec![String::new()],
        ..TlsSettings::default()
    };
    let plain = Tls::load(&none).unwrap();
    client::connect_lazy("http://127.0.0.1:1", &plain).unwrap();
}

#[tokio::test]
async fn urls_and_settings_have_to_agree_about_tls() {
    let ca = Ca::new();
    let tls = Tls::load(&ca.settings(&["gateway"])).unwrap();
    let line = |url: &str, tls: &Tls| client::connect_lazy(url, tls).unwrap_err().to_string();
    assert!(line("https://127.0.0.1:1", &Tls::default()).contains("TLS_CERT_FILE"));
    assert!(line("http://127.0.0.1:1", &tls).contains("TLS_CERT_FILE"));
    assert!(line("https://127.0.0.1:1,http://127.0.0.1:2", &tls).contains("127.0.0.1:2"));
    assert!(client::connect_lazy("https://[::1]:1", &tls).is_ok());
}
