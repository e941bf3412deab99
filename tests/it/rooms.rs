//! Who may live where: the architecture as far as a machine can look after it.
//!
//! An exception is a row with a reason. One that is no longer needed is as wrong as one that is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const SERVICES: [&str; 4] = ["identity", "opportunities", "analytics", "notifier"];

/// Where else than in `grpc/`, `event.rs` and `consumer.rs` a service knows the contract.
const SPEAKS_PROTO: [(&str, &str); 13] = [
    ("analytics/src/digest.rs", "compares with the digest that the owner answers"),
    (
        "analytics/src/identity.rs",
        "a client: asks identity for the settings, and for who is not known yet",
    ),
    ("analytics/src/owners.rs", "a client: asks the owners for their change logs"),
    ("analytics/src/projection/record.rs", "reads records of events into facts"),
    ("analytics/src/projection/store.rs", "keeps pipelines as their records tell them"),
    ("analytics/src/serve.rs", "puts the gRPC server together"),
    ("identity/src/lib.rs", "puts the gRPC server together"),
    ("notifier/src/identity.rs", "a client: asks identity for links that are mailed"),
    ("notifier/src/lib.rs", "puts the gRPC server together"),
    (
        "opportunities/src/demo.rs",
        "a client: makes the demonstration through the services' own calls",
    ),
    ("opportunities/src/identity.rs", "a client: asks identity for people and settings"),
    ("opportunities/src/meta.rs", "what every event of this service has in common"),
    ("opportunities/src/serve.rs", "puts the gRPC server together"),
];

/// Where else than in `store.rs` a service speaks SQL.
const SPEAKS_SQL: [(&str, &str); 5] = [
    ("analytics/src/ask.rs", "one statement: whether a write has arrived"),
    ("analytics/src/pipeline.rs", "a noun so small that it is one file"),
    (
        "analytics/src/projection/kept.rs",
        "the store's other half: reads whole rollups for the check",
    ),
    ("analytics/src/projection/sums.rs", "the store's other half: adds to rollups"),
    ("opportunities/src/seed/mod.rs", "copies a mass of rows past the use cases, for measurements"),
];

/// Where the environment is read.
const READS_ENVIRONMENT: [(&str, &str); 5] = [
    ("services/analytics/src/config.rs", "its settings"),
    ("services/identity/src/config.rs", "its settings"),
    ("services/notifier/src/config.rs", "its settings"),
    ("services/opportunities/src/config.rs", "its settings"),
    ("gateway/src/config.rs", "its settings"),
];

/// The groups of settings that several programs have, of which their `config.rs` are made.
const SETTINGS: (&str, &str) = ("crates/process/src/settings.rs", "groups for config.rs");

/// Names that say nothing.
const SAY_NOTHING: [&str; 13] = [
    "common", "util", "utils", "core", "shared", "helper", "helpers", "manager", "managers",
    "handler", "handlers", "impl", "dto",
];

#[test]
fn no_service_depends_on_another_or_on_the_gateway() {
    let mut seen = BTreeSet::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let folder = folder(&package);
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let of: Vec<_> = dependencies.map(|it| it["name"].as_str().unwrap()).collect();
        let forbidden: &[&str] = match &*folder {
            folder if folder.starts_with("services/") => &["gateway", "bench", "tests"],
            "gateway" => &["bench", "tests", "sqlx", "async-nats"],
            "proto" => &["gateway", "rpc", "auth", "events", "process", "local"],
            folder if folder.starts_with("crates/") => &["gateway", "local", "bench", "tests"],
            "deploy/local" => &["gateway", "bench", "tests"],
            // They start the whole product, and so know it by its surfaces alone.
            "tests" | "bench" => &["gateway"],
            other => panic!("no room is set aside for {other}"),
        };
        for dependency in SERVICES.iter().chain(forbidden).filter(|it| **it != name) {
            assert!(!of.contains(dependency), "{name} depends on {dependency}");
        }
        seen.insert(name.to_owned());
    }
    for name in SERVICES.iter().chain(&["gateway", "proto", "rpc", "events", "local"]) {
        assert!(seen.contains(*name), "{name} was not looked at");
    }
}

#[test]
fn only_the_edges_of_a_service_know_the_contract() {
    let is_edge = |file: &str| {
        file.contains("/src/grpc/") || file.ends_with("/event.rs") || file.ends_with("/consumer.rs")
    };
    let found = sources("services", |file, code| !is_edge(file) && code.contains("proto::"));
    assert_eq!(found, exceptions("services/", &SPEAKS_PROTO));
}

#[test]
fn sql_lives_in_the_stores() {
    let speaks = |code: &str| {
        ["sqlx::query", "query!(", "query_as!(", "query_scalar!(", "QueryBuilder", "raw_sql"]
            .iter()
            .any(|word| code.contains(word))
    };
    let found = sources("services", |file, code| !file.ends_with("/store.rs") && speaks(code));
    assert_eq!(found, exceptions("services/", &SPEAKS_SQL));
    assert!(sources("gateway", |_, code| speaks(code) || code.contains("sqlx")).is_empty());
}

#[test]
fn the_environment_is_read_in_one_file_of_a_program() {
    let reads = |_: &str, code: &str| {
        ["env = \"", "env::var", "env::vars", "env::args"].iter().any(|word| code.contains(word))
    };
    let mut found = sources("services", reads);
    found.extend(sources("gateway", reads));
    assert_eq!(found, exceptions("", &READS_ENVIRONMENT));
    assert_eq!(sources("crates", reads), exceptions("", &[SETTINGS]));
}

#[test]
fn no_name_says_nothing() {
    for package in packages() {
        assert!(says_something(package["name"].as_str().unwrap()), "{}", package["name"]);
    }
    for room in ["services", "gateway", "crates", "deploy", "proto", "bench", "tests"] {
        for file in files(&root().join(room)) {
            let short = file.strip_prefix(root()).unwrap();
            for part in &short.with_extension("") {
                assert!(says_something(part.to_str().unwrap()), "{}", short.display());
            }
            let text = fs::read_to_string(&file).unwrap();
            for name in declared(&text) {
                assert!(says_something(name), "`{name}` in {}", short.display());
            }
        }
    }
    for name in ["utils", "StringUtils", "order_manager", "SharedState", "impl"] {
        assert!(!says_something(name), "{name}");
    }
    assert_eq!(declared("pub(crate) struct A<T>;\nmod b {\nenum C { D }"), ["A", "b", "C"]);
}

/// Modules and types that a source file declares, each at the start of a line.
fn declared(text: &str) -> Vec<&str> {
    const WORDS: [&str; 5] = ["mod ", "struct ", "enum ", "trait ", "type "];
    fn name(line: &str) -> Option<&str> {
        let line = line.trim_start();
        let line = if line.starts_with("pub") { line.split_once(' ')?.1 } else { line };
        let rest = WORDS.iter().find_map(|word| line.strip_prefix(word))?;
        rest.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).next()
    }
    text.lines().filter_map(name).collect()
}

/// Whether no word of a name is one that says nothing.
fn says_something(name: &str) -> bool {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() || !letter.is_alphanumeric() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    let mut words = words.split(|letter: char| !letter.is_alphanumeric());
    !words.any(|word| SAY_NOTHING.contains(&word))
}

/// The files that have something outside of comments and of their tests.
fn sources(room: &str, has: impl Fn(&str, &str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut seen = 0;
    for file in files(&root().join(room)) {
        let short = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if !short.contains("/src/") || short.ends_with("/tests.rs") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
        let code: Vec<_> = code.filter(|line| !line.trim_start().starts_with("//")).collect();
        if has(&short, &code.join("\n")) {
            found.insert(short);
        }
    }
    assert!(seen > 10, "{room} was not looked at");
    found
}

fn exceptions(room: &str, rows: &[(&str, &str)]) -> BTreeSet<String> {
    let named: BTreeMap<_, _> = rows.iter().copied().collect();
    assert_eq!(named.len(), rows.len(), "a file is named twice");
    assert!(named.values().all(|reason| !reason.is_empty()));
    named.into_keys().map(|file| format!("{room}{file}")).collect()
}

/// Every Rust source file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Every package of the workspace, as cargo reads their Cargo.toml.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let answer = cargo.current_dir(root()).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let metadata: Value = serde_json::from_slice(&answer.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Where a package is in the repository.
fn folder(package: &Value) -> String {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let folder = manifest.parent().unwrap().strip_prefix(root()).unwrap();
    folder.to_str().unwrap().to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
