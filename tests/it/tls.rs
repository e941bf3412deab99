//! The whole stack with mutual TLS between its processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use local::StackOptions;
use local::folder::Scratch;
use process::TlsSettings;
use proto::identity::v1::ListKeysRequest;
use proto::identity::v1::key_service_client::KeyServiceClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rpc::client::connect_lazy;
use rpc::{Error, Tls};
use serde_json::Value;

use crate::world::World;

/// The name that the processes of this stack have in common.
const INSIDE: &str = "inside.example";

#[tokio::test]
async fn a_stack_whose_processes_speak_tls_answers_and_lets_nobody_else_in() {
    let certificates = Certificates::make();
    let inside = certificates.issue("inside", &["127.0.0.1", INSIDE]);
    let mut environment = BTreeMap::from(inside);
    environment.insert("TLS_CLIENT_NAMES".to_owned(), INSIDE.to_owned());
    let options = StackOptions { replicas: 2, environment, ..StackOptions::default() };
    let world = World::start(options).await;
    a_write_goes_all_the_way(&world).await;
    the_commands_have_their_way(&world).await;
    who_is_no_part_of_it_is_refused(&world, &certificates).await;
}

/// Through the gateway to opportunities, by events and people to analytics and notifier.
async fn a_write_goes_all_the_way(world: &World) {
    let id = world.some_opportunity().await;
    let won = world.admin.advance(id, "won").await;
    let path = format!("/reports/sales-performance?after={id}:{}", won["version"]);
    let is_counted = |body: &Value| body["items"][0]["won_count"] == 1;
    world.admin.eventually(&path, is_counted).await;
    assert_eq!(world.admin.get("/notifications").await.status, 200);
    assert_eq!(world.admin.get("/users").await.body["items"].as_array().unwrap().len(), 1);
}

async fn the_commands_have_their_way(world: &World) {
    let settings = [
        ("ADMIN_EMAIL", &*world.stack.secrets().admin_email),
        ("ADMIN_PASSWORD", &*world.stack.secrets().admin_password),
        ("DEMO_PASSWORD", "correct horse battery"),
    ];
    let demo = ["demo", "--count", "10"];
    let filled = world.stack.run_with("opportunities", &demo, &settings).await.unwrap();
    assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
    world.admin.eventually("/pipeline/overview", |it| it["total_opportunities"] == 11).await;
    for command in ["rebuild", "verify"] {
        let done = world.stack.run("analytics", &[command]).await.unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stdout));
    }
    for (setting, value, line) in [
        ("IDENTITY_URL", "http://127.0.0.1:1", "TLS_CERT_FILE asks for it"),
        ("TLS_CERT_FILE", "", "TLS_CERT_FILE is missing"),
    ] {
        let done = world.stack.run_with("analytics", &["verify"], &[(setting, value)]).await;
        let done = done.unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && said.contains(line), "{setting}: {said}");
    }
}

async fn who_is_no_part_of_it_is_refused(world: &World, certificates: &Certificates) {
    let with = |settings: &[(String, String); 3]| {
        let [cert, key, ca] = settings.clone().map(|(_, path)| Some(path));
        let files =
            TlsSettings { cert_file: cert, key_file: key, ca_file: ca, client_names: vec![] };
        Tls::load(&files).unwrap()
    };
    let stranger = with(&certificates.issue("stranger", &["stranger.example"]));
    let forger = with(&Certificates::make().issue("forger", &[INSIDE]));
    for service in local::SERVICES {
        let url = world.stack.urls(service).pop().unwrap();
        let ask = async |url: &str, tls: &Tls| {
            let mut client = KeyServiceClient::new(connect_lazy(url, tls).unwrap());
            Error::from(client.list_keys(ListKeysRequest {}).await.unwrap_err())
        };
        let named = ask(&url, &stranger).await;
        assert!(matches!(named, Error::Denied { .. }), "{service}: {named:?}");
        let forged = ask(&url, &forger).await;
        assert!(matches!(forged, Error::Unavailable { .. }), "{service}: {forged:?}");
        let plain = ask(&url.replace("https", "http"), &Tls::default()).await;
        assert!(matches!(plain, Error::Unavailable { .. }), "{service}: {plain:?}");
    }
}

/// A certificate authority, and what it has signed, in files.
struct Certificates {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Scratch,
}

impl Certificates {
    fn make() -> Self {
        let folder = Scratch::create().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// The settings of a process with a certificate for these names: certificate, key, CA.
    fn issue(&self, file: &str, names: &[&str]) -> [(String, String); 3] {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let at = |name: &str| self.folder.path().join(name);
        let [cert_file, key_file] = [at(&format!("{file}.pem")), at(&format!("{file}.key"))];
        fs::write(&cert_file, signed.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        let setting =
            |name: &str, path: &Path| (name.to_owned(), path.to_str().unwrap().to_owned());
        [
            setting("TLS_CERT_FILE", &cert_file),
            setting("TLS_KEY_FILE", &key_file),
            setting("TLS_CA_FILE", &at("ca.pem")),
        ]
    }
}
