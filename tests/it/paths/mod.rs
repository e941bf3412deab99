//! The rules about stages hold on every path: random sequences of good and bad requests, each by a path of its own, are compared with a small reference model.
//!
//! `PATHS_SEED` repeats a run, `PATHS_CASES` says how many sequences there are.

mod drive;
mod model;
mod said;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{NaiveDate, TimeDelta, Timelike};
use local::StackOptions;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proto::identity::v1::Role;
use reqwest::Method;
use rpc::client::Context;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};

use self::drive::{Desk, Heard, Refused, Which};
use self::model::{CUSTOMER, Facts, Model, Refusal};
use self::said::{Birth, Case, Deed, Path, Person, Via};
use crate::world::World;

/// How many sequences are driven at once.
const WORKERS: u32 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_of_a_stage_hold_on_every_path() {
    // The same sequences every time.
    drive(144, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make test-paths` runs it: 5,000 sequences take minutes"]
async fn the_rules_of_a_stage_hold_on_every_path_in_thousands_of_sequences() {
    let now = u64::try_from(process::now().timestamp_millis()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "whoever runs it says how much, and which")]
    let set = |name: &str| std::env::var(name).ok().map(|it| it.parse::<u64>().unwrap());
    let cases = set("PATHS_CASES").unwrap_or(5_000);
    drive(u32::try_from(cases).unwrap(), set("PATHS_SEED").unwrap_or(now)).await;
}

async fn drive(cases: u32, seed: u64) {
    let (_world, desk) = open().await;
    let desk = Arc::new(desk);
    let tally = Arc::new(Tally::default());
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (desk, tally, handle) = (Arc::clone(&desk), Arc::clone(&tally), Handle::current());
        workers.spawn(spawn_blocking(move || {
            let play = |case: Case| handle.block_on(desk.play(&tally, &case));
            runner(cases.div_ceil(WORKERS), seed, worker).run(&said::case(), play).map_err(Box::new)
        }));
    }
    let mut failures = Vec::new();
    for result in workers.join_all().await {
        match result.unwrap() {
            Ok(()) => {}
            Err(failure) => match *failure {
                TestError::Fail(reason, case) => failures.push(format!("{reason}\n{case:?}")),
                aborted @ TestError::Abort(_) => failures.push(aborted.to_string()),
            },
        }
    }
    assert!(failures.is_empty(), "PATHS_SEED={seed}: {}", failures.join("\n\n"));
    tally.holds_every_path();
}

fn runner(cases: u32, seed: u64, worker: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&worker.to_le_bytes());
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// A world where stages ask for something, and everybody in it.
async fn open() -> (World, Desk) {
    // It is early in the day, so that no midnight passes meanwhile.
    let hours = 4 - i64::from(process::now().hour());
    let hours = if hours < -12 { hours + 24 } else { hours };
    let zone = format!("Etc/GMT{:+}", -hours);
    let today: NaiveDate = (process::now() + TimeDelta::hours(hours)).date_naive();
    let environment = [("TIMEZONE".to_owned(), zone)].into();
    let world = World::start(StackOptions { environment, ..StackOptions::default() }).await;
    let funnel = shape(&world, today).await;
    let (north, south) = (world.add_team("North").await, world.add_team("South").await);
    let admin_id = world.admin.get("/users/me").await.body["id"].as_i64().unwrap();
    let mut people =
        BTreeMap::from([(Person::Admin, (world.admin.clone(), world.context.clone()))]);
    let mut ids = BTreeMap::from([(Person::Admin, admin_id)]);
    for (person, name, role, team) in [
        (Person::Manager, "manager", Role::Manager, Some(north)),
        (Person::North, "north", Role::Rep, Some(north)),
        (Person::South, "south", Role::Rep, Some(south)),
        (Person::Viewer, "viewer", Role::Viewer, None),
    ] {
        let added = world.add(name, role, team).await;
        if role == Role::Manager {
            world.appoint(north, &added).await;
        }
        let bearer = format!("Bearer {}", added.api.token().unwrap());
        let context = Context::default().with_authorization(bearer.parse().unwrap());
        ids.insert(person, added.id);
        people.insert(person, (added.api, context));
    }
    let teams = [(Person::Manager, north), (Person::North, north), (Person::South, south)].into();
    // Everybody is known, and who leads.
    let sale = json!({"customer_name": CUSTOMER, "opportunity_name": "First", "owner_id": ids[&Person::North]});
    let first = world.admin.create(&sale).await;
    let path = format!("/opportunities/{}/access", first["id"]);
    let is_known = |body: &Value| {
        let items = body["items"].as_array().unwrap();
        let may = |person| {
            items.iter().any(|it| it["user_id"] == ids[&person] && it["can_write"] == true)
        };
        items.len() == 5 && may(Person::Manager)
    };
    world.admin.eventually(&path, is_known).await;
    let facts = Facts {
        people: ids,
        teams,
        funnels: [first["pipeline_id"].as_i64().unwrap(), funnel],
        customer_id: first["customer_id"].as_i64().unwrap(),
        today,
    };
    let channel = world.channel("opportunities");
    (world, Desk { facts, people, channel })
}

/// What an administrator decides; the id of the second pipeline.
async fn shape(world: &World, today: NaiveDate) -> i64 {
    let admin = &world.admin;
    let field =
        json!({"key": "region", "name": "Region", "type": "choice", "choices": ["North", "South"]});
    assert_eq!(admin.post("/custom-fields", &field).await.status, 201);
    for (key, fields) in [
        ("proposal", json!(["amount"])),
        ("contract", json!(["expected_close_date", model::REGION])),
        ("lost", json!(["lost_reason"])),
    ] {
        let path = format!("/pipeline/stages/{key}");
        let asked = admin.patch(&path, &json!({"required_fields": fields})).await;
        assert_eq!(asked.status, 200, "{}", asked.text);
    }
    let stages = json!([
        {"name": "Signed up", "default_probability": 20},
        {"name": "Trained", "default_probability": 60, "required_fields": ["notes"]},
        {"key": "closed_won", "name": "成交", "kind": "won"},
        {"name": "Gone", "kind": "lost"},
    ]);
    let made = admin.post("/pipelines", &json!({"name": "Partners", "stages": stages})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let turn = (today - TimeDelta::days(3)).to_string();
    for (valid_from, rate) in [("2000-01-01", 30.0), (&*turn, 32.5)] {
        let rate = json!({"valid_from": valid_from, "rate": rate}).to_string();
        let set = admin.send(Method::PUT, "/currencies/USD/rates", &[], &rate).await;
        assert_eq!(set.status, 200, "{}", set.text);
    }
    made.body["id"].as_i64().unwrap()
}

/// How often each path was gone, and to what end.
#[derive(Debug, Default)]
struct Tally {
    made: AtomicUsize,
    gone: Mutex<BTreeMap<(String, bool), usize>>,
}

impl Tally {
    fn note(&self, path: String, is_good: bool) {
        *self.gone.lock().unwrap().entry((path, is_good)).or_default() += 1;
    }

    /// Nothing is shown by a path that nobody went, or that only ever ended one way.
    fn holds_every_path(&self) {
        let gone = self.gone.lock().unwrap();
        let both = [Via::Rest, Via::Grpc];
        let births = both.iter().flat_map(|via| {
            [Birth::Post(*via), Birth::Upsert(*via), Birth::Import(*via)]
                .map(|it| format!("{it:?}"))
        });
        let paths = [Path::Patch, Path::Move, Path::Bulk, Path::Upsert, Path::Import];
        let paths = both.iter().flat_map(|via| paths.map(|path| format!("{path:?} {via:?}")));
        for path in births.chain(paths).chain(["History".to_owned()]) {
            for is_good in [true, false] {
                assert!(gone.contains_key(&(path.clone(), is_good)), "{path} {is_good}: {gone:?}");
            }
        }
    }
}

type Played = Result<(), TestCaseError>;

macro_rules! same {
    ($left:expr, $right:expr, $($about:tt)*) => {
        let (left, right) = (&$left, &$right);
        if left != right {
            let about = format!($($about)*);
            return Err(TestCaseError::fail(format!("{about}:\n found {left:?}\n  rules {right:?}")));
        }
    };
}

impl Desk {
    /// One opportunity from its beginning to its end, and what is left of it.
    async fn play(&self, tally: &Tally, case: &Case) -> Played {
        let number = tally.made.fetch_add(1, Ordering::Relaxed);
        let external_id = format!("case-{number}");
        let heard = self.make(&external_id, &case.birth).await;
        tally.note(format!("{:?}", case.birth.0), heard.is_ok());
        let made = Model::make(&self.facts, &external_id, &case.birth);
        let is_told_whole = case.birth.0 != Birth::History;
        let about = format!("birth {:?}", case.birth);
        let agreed = agree(heard, made, is_told_whole, &about)?;
        let Some((seen, mut model)) = agreed else { return Ok(()) };
        let id = seen["id"].as_i64().unwrap();
        let mut last = self.look(id, &model, None, &about).await?;
        for (index, (who, deed)) in case.deeds.iter().enumerate() {
            let about = format!("{index}: {who:?} {deed:?}");
            let which = Which { id, external_id: &external_id, version: model.version };
            let version = model.version;
            let seen = self.act(tally, (*who, deed), which, &mut model, &about).await?;
            let before = (model.version == version).then_some(&last);
            last = self.look(id, &model, before, &about).await?;
            if let Some(seen) = seen.filter(|seen| !seen.is_null() && !model.is_deleted()) {
                same!(seen, last, "{about}: what was answered and what is found");
            }
        }
        if model.is_deleted() {
            self.restore(Via::Rest, Person::Admin, id).await.unwrap();
            model.restore(Person::Admin).unwrap();
        }
        self.look_back(id, &model).await
    }

    /// Somebody does something, in the product and in the model.
    async fn act(
        &self,
        tally: &Tally,
        (who, deed): (Person, &Deed),
        which: Which<'_>,
        model: &mut Model<'_>,
        about: &str,
    ) -> Result<Option<Value>, TestCaseError> {
        // What a row would change is not known where that is deleted.
        let is_told_whole = !matches!(deed, Deed::Say(Path::Import, ..)) || !model.is_deleted();
        let (heard, expected) = match deed {
            Deed::Say(path, via, said) => {
                let heard = self.say((*path, *via), who, which, said).await;
                tally.note(format!("{path:?} {via:?}"), heard.is_ok());
                (heard, model.say(*path, who, said))
            }
            Deed::Delete(via, tag) => {
                (self.delete(*via, who, which, *tag).await, model.delete(who, *tag))
            }
            Deed::Restore(via) => (self.restore(*via, who, which.id).await, model.restore(who)),
            Deed::MakeAgain(via) => {
                let heard = self.make_again(*via, who, which.external_id).await;
                (heard, Err(Model::make_again(who)))
            }
        };
        let agreed = agree(heard, expected, is_told_whole, about)?;
        Ok(agreed.map(|(seen, ())| seen))
    }

    /// How it is found: as the model says, and the same in every field where nothing changed.
    async fn look(
        &self,
        id: i64,
        model: &Model<'_>,
        before: Option<&Value>,
        about: &str,
    ) -> Result<Value, TestCaseError> {
        let answer = self.api(Person::Admin).get(&format!("/opportunities/{id}")).await;
        same!(
            answer.status,
            if model.is_deleted() { 404 } else { 200 },
            "{about}: {}",
            answer.text
        );
        if model.is_deleted() {
            return Ok(before.cloned().unwrap_or_default());
        }
        let tag = format!("\"v{}\"", model.version);
        same!(answer.header("etag"), tag.as_str(), "{about}: the tag");
        for (field, value) in model.answer() {
            same!(answer.body[field], value, "{about}: {field}");
        }
        if let Some(before) = before.filter(|before| !before.is_null()) {
            same!(answer.body, *before, "{about}: nothing changed");
        }
        Ok(answer.body)
    }

    /// Its history, and what others learned of it.
    async fn look_back(&self, id: i64, model: &Model<'_>) -> Played {
        let admin = self.api(Person::Admin);
        let rows = admin.all(&format!("/opportunities/{id}/history")).await;
        let expected: Vec<_> = model
            .history
            .iter()
            .map(|row| {
                json!({
                    "from_stage": row.from.map(|it| it.name), "from_stage_key": row.from.map(|it| it.key),
                    "to_stage": row.to.name, "to_stage_key": row.to.key, "notes": row.notes,
                    "probability": row.probability, "changed_by": self.facts.people[&row.by],
                    "is_timed": row.from.is_some(),
                })
            })
            .collect();
        let found = |row: &Value| {
            let mut row = row.clone();
            row["is_timed"] = json!(!row["seconds_in_from_stage"].is_null());
            let fields = row.as_object_mut().unwrap();
            for field in ["id", "changed_at", "changed_by_name", "seconds_in_from_stage"] {
                assert!(fields.remove(field).is_some(), "{field}");
            }
            row
        };
        same!(rows.iter().map(found).collect::<Vec<_>>(), expected, "the history of {id}");
        let path = format!("/audit?record_type=opportunity&record_id={id}");
        let mut told = admin.all(&path).await;
        told.sort_by_key(|it| it["version"].as_u64());
        let expected: Vec<_> = model
            .events
            .iter()
            .enumerate()
            .map(|(index, it)| {
                json!({
                    "version": index + 1, "type": it.kind, "origin": it.origin,
                    "actor_user_id": self.facts.people[&it.by], "changes": it.changes,
                })
            })
            .collect();
        same!(told.iter().map(entry).collect::<Vec<_>>(), expected, "what is told of {id}");
        Ok(())
    }
}

/// An entry of the audit as the model has it.
fn entry(entry: &Value) -> Value {
    let mut changes = BTreeMap::new();
    for change in entry["changes"].as_array().unwrap() {
        let field = change["field"].as_str().unwrap();
        let time = |value: &Value| match value {
            Value::String(_) if field == "deleted_at" => json!("some time"),
            other => other.clone(),
        };
        changes.insert(field.to_owned(), (time(&change["old"]), time(&change["new"])));
    }
    let of = |field: &str| entry[field].clone();
    json!({
        "version": of("version"), "type": of("type"), "origin": of("origin"),
        "actor_user_id": of("actor_user_id"), "changes": changes,
    })
}

/// That the product did what the rules say, or refused it for a reason that they name; with 422 for all of them.
fn agree<T>(
    heard: Heard,
    expected: Result<T, Refusal>,
    is_told_whole: bool,
    about: &str,
) -> Result<Option<(Value, T)>, TestCaseError> {
    let (heard, expected) = match (heard, expected) {
        (Ok(seen), Ok(model)) => return Ok(Some((seen, model))),
        (Err(heard), Err(expected)) => (heard, expected),
        (Ok(seen), Err(refusal)) => {
            let message = format!("{about}: done, although {refusal:?}: {seen}");
            return Err(TestCaseError::fail(message));
        }
        (Err(refused), Ok(_)) => {
            return Err(TestCaseError::fail(format!("{about}: refused with {refused:?}")));
        }
    };
    let Refused { status, fields } = &heard;
    let is_known = expected.statuses.contains(status);
    let is_whole = !is_told_whole || expected.fields.is_subset(fields);
    let is_sound = expected.is_vague || fields.is_subset(&expected.fields);
    let is_good = match status {
        422 => is_known && is_whole && is_sound && !fields.is_empty(),
        _ => is_known,
    };
    if is_good {
        return Ok(None);
    }
    Err(TestCaseError::fail(format!("{about}: {heard:?}, not {expected:?}")))
}
