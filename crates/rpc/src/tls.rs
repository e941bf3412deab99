//! What a process shows the others, and whom it believes: mutual TLS between the processes, where the settings ask for it.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use process::TlsSettings;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, DnsName, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// How long a client waits until a server that has accepted a connection has shown who it is.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// How this process speaks with the others: in plain, which is the default, or with mutual TLS.
///
/// Its files are read once: new ones count from the next start on.
#[derive(Clone, Debug, Default)]
pub struct Tls(Option<Arc<Files>>);

/// What was in the files.
pub(crate) struct Files {
    pub(crate) client: ClientTlsConfig,
    pub(crate) server: Arc<ServerConfig>,
    /// Whom a server answers; everybody who is believed where it is empty.
    pub(crate) client_names: Vec<ServerName<'static>>,
}

impl Tls {
    /// What the settings say. Fails with one line if they do not go together, or a file does not hold what it should.
    pub fn load(settings: &TlsSettings) -> anyhow::Result<Self> {
        let names = settings.client_names.iter().map(|name| name.trim());
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        let given = [
            ("TLS_CERT_FILE", &settings.cert_file),
            ("TLS_KEY_FILE", &settings.key_file),
            ("TLS_CA_FILE", &settings.ca_file),
        ]
        .map(|(variable, file)| (variable, file.as_deref().filter(|file| !file.is_empty())));
        let [(_, Some(cert)), (_, Some(key)), (_, Some(ca))] = given else {
            let missing = given.iter().filter(|(_, file)| file.is_none()).map(|(name, _)| *name);
            let missing = missing.collect::<Vec<_>>();
            if missing.len() == given.len() {
                ensure!(names.is_empty(), "TLS_CLIENT_NAMES needs {}", missing.join(", "));
                return Ok(Self::default());
            }
            bail!("TLS needs all of its three files: {} is missing", missing.join(", "));
        };
        let (cert, key, ca) = (
            Pem::read("TLS_CERT_FILE", cert)?,
            Pem::read("TLS_KEY_FILE", key)?,
            Pem::read("TLS_CA_FILE", ca)?,
        );
        let identity = Identity::from_pem(&cert.bytes, &key.bytes);
        let client = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&ca.bytes))
            .identity(identity)
            .timeout(HANDSHAKE_WITHIN);
        let server = server(&cert, &key, &ca)?;
        let name = |name: &str| {
            let name = DnsName::try_from(name.to_owned());
            name.map(ServerName::DnsName)
        };
        let client_names = names
            .into_iter()
            .map(|it| name(it).with_context(|| format!("TLS_CLIENT_NAMES: `{it}` is no DNS name")))
            .collect::<Result<_, _>>()?;
        Ok(Self(Some(Arc::new(Files { client, server: Arc::new(server), client_names }))))
    }

    /// What was in the files, if TLS is asked for.
    pub(crate) fn files(&self) -> Option<&Arc<Files>> {
        self.0.as_ref()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("client_names", &self.client_names).finish_non_exhaustive()
    }
}

/// A file, which setting named it, and its content.
struct Pem<'a> {
    variable: &'static str,
    path: &'a str,
    bytes: Vec<u8>,
}

impl<'a> Pem<'a> {
    fn read(variable: &'static str, path: &'a str) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{variable}: read `{path}`"))?;
        Ok(Self { variable, path, bytes })
    }

    fn certificates(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let found = CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        let found = found.with_context(|| self.about("is no PEM file"))?;
        ensure!(!found.is_empty(), self.about("holds no certificate"));
        Ok(found)
    }

    fn about(&self, what: &str) -> String {
        format!("{}: `{}` {what}", self.variable, self.path)
    }
}

/// A server that shows this certificate, and takes only clients with one that the CA signed.
fn server(cert: &Pem<'_>, key: &Pem<'_>, ca: &Pem<'_>) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in ca.certificates()? {
        roots.add(certificate).with_context(|| ca.about("is no CA"))?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .with_context(|| ca.about("is no CA"))?;
    let private = PrivateKeyDer::from_pem_slice(&key.bytes)
        .with_context(|| key.about("holds no private key"))?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(cert.certificates()?, private)
        .with_context(|| key.about("is not the key of the certificate"))?;
    // Nothing is resumed: a certificate is looked at on every connection, so that one that has expired ends with those that it opened.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    // Browsers and their proxies speak gRPC-web over HTTP/1.1 too.
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(server)
}
