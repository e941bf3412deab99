//! Processes that die and a broker that forgets, while people write: nothing that was acknowledged is lost, and nothing is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use local::{SERVICES, StackOptions};
use proto::identity::v1::Role;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::Api;
use crate::driver::{Acknowledged, Driver};
use crate::world::{Person, World};

/// How many writes are waited for between two blows.
const SOME: usize = 20;

#[tokio::test]
async fn what_was_acknowledged_outlives_the_death_of_every_process() {
    let mut world = World::start(StackOptions::default()).await;
    let amy = world.add("amy", Role::Rep, None).await;
    let driver = Driver::start(&world.admin, amy.id);
    driver.writes(SOME).await;
    // The writers are served by the gateway and opportunities alone.
    for service in ["notifier", "analytics", "identity"] {
        let before = driver.unknown();
        world.stack.kill(service).await;
        driver.writes(SOME).await;
        assert_eq!(driver.unknown(), before, "writes have to go on without {service}");
        who_needs_it_is_told_so_at_once(&world, service).await;
        world.stack.restart(service).await.unwrap();
    }
    for service in ["opportunities", "gateway", "opportunities", "gateway", "gateway"] {
        world.stack.kill(service).await;
        driver.is_hit().await;
        if service == "opportunities" {
            who_needs_it_is_told_so_at_once(&world, service).await;
        }
        world.stack.restart(service).await.unwrap();
        driver.writes(SOME).await;
    }
    let journal = driver.stop().await;
    everything_is_there_once(&world, &amy, &journal).await;
}

#[tokio::test]
async fn what_was_acknowledged_arrives_though_the_broker_stops_and_forgets() {
    let options = StackOptions { own_nats: true, ..StackOptions::default() };
    let mut world = World::start(options).await;
    let amy = world.add("amy", Role::Rep, None).await;
    let driver = Driver::start(&world.admin, amy.id);
    driver.writes(SOME).await;
    for forgets in [false, true] {
        world.stack.stop_nats().await.unwrap();
        driver.writes(SOME).await;
        world.stack.start_nats(forgets).await.unwrap();
        driver.writes(SOME).await;
    }
    assert_eq!(driver.unknown(), 0, "a write needs no broker");
    let journal = driver.stop().await;
    everything_is_there_once(&world, &amy, &journal).await;
}

#[tokio::test]
async fn who_reads_notices_nothing_when_one_of_two_dies() {
    let mut world = World::start(StackOptions { replicas: 2, ..StackOptions::default() }).await;
    let amy = world.add("amy", Role::Rep, None).await;
    let driver = Driver::start(&world.admin, amy.id);
    let readers = Readers::start(&world.admin);
    driver.writes(SOME).await;
    for (service, replica) in SERVICES.into_iter().zip([0, 1, 0, 1]) {
        world.stack.kill_replica(service, replica).await;
        readers.read(SOME).await;
        driver.writes(SOME).await;
        world.stack.restart_replica(service, replica).await.unwrap();
        // The other one as soon as this one is there again.
        world.stack.kill_replica(service, 1 - replica).await;
        readers.read(SOME).await;
        world.stack.restart_replica(service, 1 - replica).await.unwrap();
    }
    // Who ends in order leaves no write open either.
    let before = driver.unknown();
    for service in SERVICES {
        world.stack.restart(service).await.unwrap();
        readers.read(SOME).await;
        driver.writes(SOME).await;
    }
    assert_eq!(driver.unknown(), before, "writes that were cut off by an orderly restart");
    readers.stop().await;
    let journal = driver.stop().await;
    everything_is_there_once(&world, &amy, &journal).await;
}

/// People who read of each service without end, and never ask twice.
struct Readers {
    read: Arc<AtomicUsize>,
    is_done: Arc<AtomicBool>,
    people: Vec<JoinHandle<()>>,
}

impl Readers {
    fn start(api: &Api) -> Self {
        let read = Arc::new(AtomicUsize::new(0));
        let is_done = Arc::new(AtomicBool::new(false));
        let of_each_service =
            ["/users", "/opportunities?limit=5", "/pipeline/overview", "/notifications"];
        let readers = of_each_service.map(|path| {
            let (api, read, is_done) = (api.clone(), Arc::clone(&read), Arc::clone(&is_done));
            tokio::spawn(async move {
                while !is_done.load(Ordering::Relaxed) {
                    let answer = api.get(path).await;
                    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
                    read.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self { read, is_done, people: readers.into() }
    }

    /// Waits until that many more were answered; fails where one was not.
    async fn read(&self, more: usize) {
        let wanted = self.read.load(Ordering::Relaxed) + more;
        let deadline = Instant::now() + crate::api::PATIENCE;
        while self.read.load(Ordering::Relaxed) < wanted {
            assert!(self.people.iter().all(|it| !it.is_finished()), "a read failed");
            assert!(Instant::now() < deadline, "reads are not answered any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        self.is_done.store(true, Ordering::Relaxed);
        for reader in self.people {
            reader.await.unwrap();
        }
    }
}

/// What only this service can answer is answered 503, and soon.
async fn who_needs_it_is_told_so_at_once(world: &World, service: &str) {
    let path = match service {
        "identity" => "/users",
        "opportunities" => "/opportunities",
        "analytics" => "/pipeline/overview",
        _ => "/notifications",
    };
    let asked = Instant::now();
    let refused = world.admin.get(path).await;
    assert_eq!(refused.problem(), (503, "unavailable"), "{path}");
    assert_ne!(refused.header("retry-after"), "");
    assert!(asked.elapsed() < Duration::from_secs(5), "{path} took {:?}", asked.elapsed());
}

async fn everything_is_there_once(world: &World, amy: &Person, journal: &[Acknowledged]) {
    let rows = world.admin.all("/opportunities").await;
    let there: BTreeMap<_, _> = rows.iter().map(|row| (row["id"].as_i64().unwrap(), row)).collect();
    assert_eq!(rows.len(), there.len());
    assert_eq!(rows.len(), journal.len(), "something is lost or there twice");
    for acknowledged in journal {
        let row = there[&acknowledged.id];
        // Created and moved: two versions, however often each was sent.
        let found = json!([row["opportunity_name"], row["stage_key"], row["version"]]);
        assert_eq!(found, json!([acknowledged.name, acknowledged.stage_key, 2]));
        assert_eq!(row["amount"], acknowledged.amount.parse::<f64>().unwrap());
    }

    let won: BTreeSet<_> =
        journal.iter().filter(|it| it.stage_key == "won").map(|it| it.id).collect();
    let path = "/pipeline/overview";
    let is_counted = |body: &Value| recount(&rows) == stages(body);
    let overview = world.admin.eventually(path, is_counted).await;
    assert_eq!(overview.body["total_opportunities"], journal.len());

    let verified = world.stack.run("analytics", &["verify"]).await.unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{said}");
    let said: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(json!([said["opportunities"], said["differences"]]), json!([journal.len(), 0]));

    let is_told = |body: &Value| body["items"].as_array().is_some_and(|it| !it.is_empty());
    amy.api.eventually("/notifications", is_told).await;
    let deadline = Instant::now() + crate::api::PATIENCE;
    let told = loop {
        let told = amy.api.all("/notifications").await;
        if told.len() >= won.len() {
            break told;
        }
        assert!(Instant::now() < deadline, "{} of {} were told", told.len(), won.len());
    };
    let ids: BTreeSet<_> = told.iter().map(|it| it["opportunity_id"].as_i64().unwrap()).collect();
    assert_eq!((told.len(), ids), (won.len(), won), "each win is told once");
}

/// Count and value in cents of each stage, from the overview.
fn stages(overview: &Value) -> BTreeMap<String, (u64, i64)> {
    let stages = overview["stages"].as_array().unwrap().iter();
    let row = |stage: &Value| {
        (
            stage["key"].as_str().unwrap().to_owned(),
            (stage["count"].as_u64().unwrap(), cents(&stage["total_value"])),
        )
    };
    stages.map(row).filter(|(_, (count, _))| *count > 0).collect()
}

/// The same from the list.
fn recount(rows: &[Value]) -> BTreeMap<String, (u64, i64)> {
    let mut stages = BTreeMap::<_, (u64, i64)>::new();
    for row in rows {
        let stage = stages.entry(row["stage_key"].as_str().unwrap().to_owned()).or_default();
        stage.0 += 1;
        stage.1 += cents(&row["amount"]);
    }
    stages
}

/// Exact for amounts as small as these.
#[expect(clippy::cast_possible_truncation, reason = "they are small")]
fn cents(amount: &Value) -> i64 {
    (amount.as_f64().unwrap() * 100.0).round() as i64
}
