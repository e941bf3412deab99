//! The whole product: every service and the gateway as processes on one database and one broker. `make run`, the end-to-end tests and
//! the measurements all start it here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::Instant;

use crate::child::{self, GRACE, command};
use crate::folder::Scratch;
use crate::nats::{self, Nats};
use crate::provision::Database;
use crate::secrets::Secrets;
use crate::service::Service;
use crate::{SERVICES, random, scratch, settings};

/// How long the product may take to be ready; the applying of many events may be part of it.
const PATIENCE: Duration = Duration::from_mins(1);
/// The variables by which services find each other.
const URLS: [(&str, &str); 4] = [
    ("identity", "IDENTITY_URL"),
    ("opportunities", "OPPORTUNITIES_URL"),
    ("analytics", "ANALYTICS_URL"),
    ("notifier", "NOTIFIER_URL"),
];
/// The variable that asks for TLS between the processes.
const TLS: &str = "TLS_CERT_FILE";
/// What identity shows to an external provider.
const OIDC_SECRET: &str = "OIDC_CLIENT_SECRET";
/// What is given to a program only where it is its own to know, whatever the launcher was given.
const CONFIDENTIAL: [&str; 9] = [
    "DATABASE_URL",
    "MIGRATE_DATABASE_URL",
    "SECRET_KEY",
    "SECRET_KEY_PREVIOUS",
    "SERVICE_SECRETS",
    OIDC_SECRET,
    "ADMIN_EMAIL",
    "ADMIN_PASSWORD",
    "DEMO_PASSWORD",
];

/// What a stack is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the services' programs are.
    pub programs: PathBuf,
    /// Where their logs go.
    pub logs: PathBuf,
    /// The database, roles and schemas made.
    pub database: Database,
    /// The broker.
    pub nats_url: String,
    /// What subjects and streams begin with.
    pub events_prefix: String,
    /// All secrets.
    pub secrets: Secrets,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// How many processes of each service.
    pub replicas: usize,
    /// Further settings for every process.
    pub environment: BTreeMap<String, String>,
}

/// How a test wants its stack.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// How many processes of each service; unless said `TEST_REPLICAS`, or one.
    pub replicas: usize,
    /// Whether it gets a broker of its own, which can be stopped and wiped.
    pub own_nats: bool,
    /// Further settings for every process.
    pub environment: BTreeMap<String, String>,
}

impl Default for StackOptions {
    fn default() -> Self {
        // All tests may be asked to run with more.
        let replicas = settings::get("TEST_REPLICAS").and_then(|it| it.parse().ok()).unwrap_or(1);
        Self { replicas, own_nats: false, environment: BTreeMap::new() }
    }
}

/// The running product. When dropped, all of it is gone.
#[derive(Debug)]
pub struct Stack {
    plan: Plan,
    services: Vec<Service>,
    nats: Option<Nats>,
    // Of a test: deleted at the end.
    scratch: Option<Scratch>,
}

impl Stack {
    /// Starts the product for a test: on free ports, with a database of its own on the server of the tests, ready to be asked.
    ///
    /// # Errors
    /// When a program is missing, ends, or is not ready in time.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let scratch = Scratch::create()?;
        let mut own_nats = None;
        if options.own_nats {
            let folder = scratch.path().join("nats");
            let log = scratch.path().join("nats.log");
            own_nats = Some(
                Nats::start(nats::Options { folder, log, password: None, durable: false }).await?,
            );
        }
        let database = Database::new(&scratch::postgres_url(), scratch::SECRET)?
            .named(&format!("stack_{}", random::word(8)));
        let mut environment = options.environment;
        // The server of the tests sets it aside for each stack.
        environment.entry("EVENTS_MAX_BYTES".to_owned()).or_insert_with(|| (64 << 20).to_string());
        let plan = Plan {
            programs: programs()?,
            logs: scratch.path().to_owned(),
            database,
            nats_url: own_nats.as_ref().map_or_else(scratch::nats_url, Nats::url),
            events_prefix: scratch::prefix(),
            secrets: Secrets::generate(),
            gateway: ([127, 0, 0, 1], 0).into(),
            replicas: options.replicas,
            environment,
        };
        // From here on dropping it deletes the database.
        let mut stack = Self { plan, services: Vec::new(), nats: own_nats, scratch: Some(scratch) };
        stack.plan.database.create().await?;
        stack.plan.database.provision(&SERVICES).await?;
        stack.launch().await?;
        Ok(stack)
    }

    /// A stack that is not started yet: [`Stack::launch`] does it.
    pub fn new(plan: Plan) -> Self {
        Self { plan, services: Vec::new(), nats: None, scratch: None }
    }

    /// Migrates, starts every process and waits until all are ready.
    pub async fn launch(&mut self) -> Result<()> {
        self.migrate().await?;
        for name in SERVICES.iter().chain(&["gateway"]) {
            let replicas = if *name == "gateway" { 1 } else { self.plan.replicas.max(1) };
            for replica in 0..replicas {
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let listen = if *name == "gateway" { self.plan.gateway } else { any };
                let service = self.start_process(name, replica, listen, any).await?;
                self.services.push(service);
            }
        }
        self.wait_ready().await
    }

    async fn migrate(&self) -> Result<()> {
        let migrate = async |service| {
            let answer = self.command(service, &["migrate"])?.output().await?;
            succeeded(service, "migrate", &answer)
        };
        let [identity, opportunities, analytics, notifier] = SERVICES;
        tokio::try_join!(
            migrate(identity),
            migrate(opportunities),
            migrate(analytics),
            migrate(notifier)
        )?;
        Ok(())
    }

    async fn start_process(
        &self,
        name: &'static str,
        replica: usize,
        listen: SocketAddr,
        ops: SocketAddr,
    ) -> Result<Service> {
        let mut command = self.command(name, &["serve"])?;
        command.env("LISTEN_ADDR", listen.to_string()).env("OPS_ADDR", ops.to_string());
        let number = if replica == 0 { String::new() } else { format!("-{}", replica + 1) };
        Service::start(name, command, &self.plan.logs.join(format!("{name}{number}.log"))).await
    }

    /// One of the product's programs with the settings that it has here.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Result<Command> {
        let program = self.plan.programs.join(name);
        if !program.is_file() {
            bail!("{} is not built: `cargo build --workspace`", program.display());
        }
        let mut command = command(&program, None, "TERM");
        command.args(arguments).envs(settings::only_in_file());
        for variable in CONFIDENTIAL.iter().chain(URLS.iter().map(|(_, variable)| variable)) {
            command.env_remove(variable);
        }
        command.envs(&self.plan.environment).envs(self.environment(name));
        Ok(command)
    }

    /// The settings of a program that are this stack's.
    pub fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let Plan { database, secrets, .. } = &self.plan;
        let mut environment: BTreeMap<String, String> = BTreeMap::new();
        let mut set =
            |variable: &str, value: String| environment.insert(variable.to_owned(), value);
        for (service, variable) in URLS {
            let urls = self.urls(service);
            if !urls.is_empty() {
                set(variable, urls.join(","));
            }
        }
        if SERVICES.contains(&name) {
            set("DATABASE_URL", database.url(name));
            set("MIGRATE_DATABASE_URL", database.owner_url(name));
        }
        set("NATS_URL", self.plan.nats_url.clone());
        set("EVENTS_PREFIX", self.plan.events_prefix.clone());
        set("SERVICE_SECRET", secrets.services.get(name).cloned().unwrap_or_default());
        if name == "identity" {
            set("SECRET_KEY", secrets.secret_key.clone());
            if let Some(second) = settings::get("SECRET_KEY_PREVIOUS") {
                set("SECRET_KEY_PREVIOUS", second);
            }
            let is_planned = self.plan.environment.contains_key(OIDC_SECRET);
            if let Some(secret) = settings::get(OIDC_SECRET).filter(|_| !is_planned) {
                set(OIDC_SECRET, secret);
            }
            set("SERVICE_SECRETS", secrets.service_pairs());
            set("ADMIN_EMAIL", secrets.admin_email.clone());
            set("ADMIN_PASSWORD", secrets.admin_password.clone());
        }
        environment
    }

    /// Waits until every process that runs is ready.
    pub async fn wait_ready(&mut self) -> Result<()> {
        for service in &mut self.services {
            if service.child().is_some() {
                service.wait_until_ready(PATIENCE).await?;
            }
        }
        Ok(())
    }

    /// The line that tells of a process's end which nobody asked for.
    pub fn ended(&mut self) -> Option<String> {
        self.services.iter_mut().find_map(Service::ended)
    }

    /// Where the public API is: `http://127.0.0.1:8000`.
    pub fn base_url(&self) -> String {
        self.urls("gateway").pop().unwrap_or_default()
    }

    /// Where each process of a service is.
    pub fn urls(&self, service: &str) -> Vec<String> {
        let of_it = self.services.iter().filter(|it| it.name == service);
        let has_tls = self.plan.environment.contains_key(TLS) || settings::get(TLS).is_some();
        let scheme = if has_tls && service != "gateway" { "https" } else { "http" };
        of_it.map(|it| format!("{scheme}://{}", it.place.listen)).collect()
    }

    /// Where each process of a service tells of itself (`/metrics`).
    pub fn ops_urls(&self, service: &str) -> Vec<String> {
        let of_it = self.services.iter().filter(|it| it.name == service);
        of_it.map(|it| format!("http://{}", it.place.ops)).collect()
    }

    /// The ids of a service's processes that run.
    pub fn process_ids(&mut self, service: &str) -> Vec<u32> {
        let of_it = self.services.iter_mut().filter(|it| it.name == service);
        of_it.filter_map(|it| it.child()?.id()).collect()
    }

    /// All secrets, the administrator's among them.
    pub fn secrets(&self) -> &Secrets {
        &self.plan.secrets
    }

    /// Where the processes' logs are.
    pub fn logs(&self) -> &Path {
        &self.plan.logs
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.plan.database
    }

    /// Kills every process of a service (SIGKILL) and waits until they are gone.
    pub async fn kill(&mut self, service: &str) {
        for it in self.services.iter_mut().filter(|it| it.name == service) {
            if let Some(mut child) = it.take() {
                child.kill().await;
            }
        }
    }

    /// Kills one process of a service (SIGKILL), counted from 0, and waits until it is gone.
    pub async fn kill_replica(&mut self, service: &str, replica: usize) {
        let of_it = self.services.iter_mut().filter(|it| it.name == service);
        if let Some(mut child) = of_it.skip(replica).find_map(Service::take) {
            child.kill().await;
        }
    }

    /// Asks every process of a service to end (SIGTERM) and waits until they have.
    pub async fn terminate(&mut self, service: &str) {
        let of_it = self.services.iter_mut().filter(|it| it.name == service);
        let mut children: Vec<_> = of_it.filter_map(Service::take).collect();
        for child in &children {
            child.signal(Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        for child in &mut children {
            child.finish(deadline).await;
        }
    }

    /// Starts a service's processes again where they were, one after the other, each ready before the next is touched; those that
    /// run are asked to end before.
    pub async fn restart(&mut self, service: &str) -> Result<()> {
        let all = 0..self.services.len();
        let of_it: Vec<_> = all.filter(|index| self.services[*index].name == service).collect();
        for (replica, index) in of_it.into_iter().enumerate() {
            self.restart_process(index, replica).await?;
        }
        Ok(())
    }

    /// Starts one process of a service again where it was, and waits until it is ready.
    pub async fn restart_replica(&mut self, service: &str, replica: usize) -> Result<()> {
        let mut all = 0..self.services.len();
        let index = all.by_ref().filter(|index| self.services[*index].name == service).nth(replica);
        self.restart_process(index.with_context(|| format!("no such {service}"))?, replica).await
    }

    async fn restart_process(&mut self, index: usize, replica: usize) -> Result<()> {
        if let Some(mut child) = self.services[index].take() {
            child.stop(Signal::TERM).await;
        }
        let Service { name, place, .. } = self.services[index];
        let mut started = self.start_process(name, replica, place.listen, place.ops).await?;
        started.wait_until_ready(PATIENCE).await?;
        self.services[index] = started;
        Ok(())
    }

    /// Runs a command of a program to its end: `analytics verify`.
    pub async fn run(&self, service: &str, arguments: &[&str]) -> Result<Output> {
        self.run_with(service, arguments, &[]).await
    }

    /// Runs a command with further settings.
    pub async fn run_with(
        &self,
        service: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Result<Output> {
        let mut command = self.command(service, arguments)?;
        command.envs(settings.iter().copied());
        command.output().await.with_context(|| format!("run {service} {}", arguments.join(" ")))
    }

    /// Stops this stack's own broker.
    pub async fn stop_nats(&mut self) -> Result<()> {
        self.nats.as_mut().context("the stack has no broker of its own")?.stop().await;
        Ok(())
    }

    /// Starts this stack's own broker again, on the same port; with an empty store if it is to be wiped.
    pub async fn start_nats(&mut self, wipe: bool) -> Result<()> {
        let nats = self.nats.as_mut().context("the stack has no broker of its own")?;
        if wipe {
            nats.wipe()?;
        }
        nats.resume().await
    }

    /// Stops every process in order: the gateway, which asks the others, before them.
    pub async fn stop(&mut self) {
        self.terminate("gateway").await;
        let mut children: Vec<_> = self.services.iter_mut().filter_map(Service::take).collect();
        for child in &children {
            child.signal(Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        for child in &mut children {
            child.finish(deadline).await;
        }
        if let Some(nats) = &mut self.nats {
            nats.stop().await;
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Of a test that failed: its logs go with the scratch folder.
        if self.scratch.is_some() && std::thread::panicking() {
            for line in child::worries(&self.plan.logs) {
                crate::say(line);
            }
        }
        for service in &mut self.services {
            if let Some(line) = service.ended() {
                crate::say(line);
            }
            if let Some(mut child) = service.take() {
                child.start_kill();
            }
        }
        if self.scratch.is_some() {
            let database = self.plan.database.clone();
            scratch::block_on(async move { database.delete().await });
        }
    }
}

/// Turns a command's failure into one line.
pub fn succeeded(service: &str, what: &str, answer: &Output) -> Result<()> {
    if answer.status.success() {
        return Ok(());
    }
    let said = crate::child::last_words(&String::from_utf8_lossy(&answer.stderr));
    bail!("{service} {what} failed ({}): {said}", answer.status)
}

/// Where the programs are that belong to the one that runs: beside it, or for a test one folder above.
pub fn programs() -> Result<PathBuf> {
    if let Some(folder) = settings::get("TEST_BIN_DIR") {
        return Ok(folder.into());
    }
    let here = std::env::current_exe()?;
    let folder = here.parent().unwrap_or(Path::new("."));
    Ok(if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}
