//! Pipelines and stages as an administrator changes them, and what that means for opportunities, in every process.

use std::sync::Arc;

use auth::{Caller, Role};
use idempotency::Outcome;
use opportunities::opportunity::bulk;
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::pipeline::closing::{self, Left};
use opportunities::pipeline::draft::{NewStage, StageEdit};
use opportunities::pipeline::model::{Kind, Pipeline, REQUIRABLE};
use opportunities::pipeline::stage::{Placed, StageRef};
use opportunities::pipeline::{self, stage};
use opportunities::state::Known;
use opportunities::{State, opportunity};
use rpc::Error;

use crate::support::{ADMIN, World, caller, event, meta, person, wish};

const AMY: i64 = 1;

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, None)
}

async fn world() -> World {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", None))]).await;
    world
}

fn named(name: &str) -> NewStage {
    NewStage { name: name.to_owned(), ..NewStage::default() }
}

fn which(key: &str) -> StageRef {
    StageRef { pipeline_id: None, key: key.to_owned(), expected_version: None }
}

async fn add(state: &State, new: NewStage) -> Result<Placed, Error> {
    match stage::create(state, &admin(), None, new, None, meta(ADMIN)).await? {
        Outcome::New(placed) => Ok(placed),
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

async fn edit(state: &State, key: &str, edit: StageEdit) -> Result<Placed, Error> {
    stage::update(state, &admin(), which(key), edit, meta(ADMIN)).await
}

async fn remove(state: &State, key: &str, to: Option<&str>) -> Result<Option<Left>, Error> {
    closing::delete(state, &admin(), which(key), to.map(str::to_owned), meta(ADMIN)).await
}

async fn order(state: &State, keys: &str) -> Result<Pipeline, Error> {
    let keys = keys.split(' ').map(str::to_owned).collect();
    stage::reorder(state, &admin(), (None, None), keys, meta(ADMIN)).await
}

async fn keys(state: &State) -> String {
    let pipeline = pipeline::get(&state.reads, None).await.unwrap();
    pipeline.stages.iter().map(|it| &*it.key).collect::<Vec<_>>().join(" ")
}

/// Another replica, which remembers what there is now and does not refresh by itself.
fn replica(world: &World) -> State {
    let pipelines = Known::default();
    pipelines.set((*world.state.pipelines.get().unwrap()).clone());
    State { pipelines, ..world.state.clone() }
}

fn reason<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer.unwrap_err() {
        Error::Invalid(fields) => fields
            .iter()
            .map(|it| format!("{} {}", it.field, it.code))
            .collect::<Vec<_>>()
            .join(", "),
        Error::Conflict { reason, details, .. } => format!("{reason} {details:?}"),
        error => error.reason().to_owned(),
    }
}

async fn count(world: &World, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&world.state.reads).await.unwrap()
}

const UNTOLD: &str = "select count(*) from opportunities o
    where version <> (select count(*) from change where aggregate = 'opportunity' and aggregate_id = o.id)";
const OUTSIDE: &str = "select count(*) from opportunities o
    where stage_key <> (select to_stage_key from stage_history where opportunity_id = o.id order by changed_at desc limit 1)";

#[tokio::test]
async fn stages_are_made_renamed_and_ordered_and_each_change_is_a_version_of_their_pipeline() {
    let world = world().await;
    let sale = world.sale(&amy()).await.opportunity.id;
    let made = add(&world.state, named("Demo")).await.unwrap();
    assert_eq!((&*made.key, made.pipeline.version), ("demo", 2));
    world.advance(&amy(), sale, "demo").await.unwrap();
    let name = |name: &str| StageEdit { name: Some(Some(name.to_owned())), ..StageEdit::default() };
    assert_eq!(edit(&world.state, "DEMO", name("產品展示")).await.unwrap().pipeline.version, 3);
    assert_eq!(edit(&world.state, "demo", name("產品展示")).await.unwrap().pipeline.version, 3);
    let sound = "lead demo qualification proposal negotiation contract won lost";
    assert_eq!(order(&world.state, sound).await.unwrap().version, 4);
    assert_eq!(keys(&world.state).await, sound);
    world.advance(&amy(), sale, "lead").await.unwrap();
    let moved = world.advance(&amy(), sale, " 產品展示 ").await.unwrap().opportunity;
    assert_eq!((&*moved.stage_key, moved.probability), ("demo", 95));
    // The names in the history are those of their time.
    let (rows, _) = opportunity::history(&world.state, &amy(), sale, None, 50).await.unwrap();
    let names: Vec<_> = rows.iter().map(|row| &*row.to_stage).collect();
    assert_eq!(names, ["潛在客戶", "Demo", "潛在客戶", "產品展示"]);
    let told = "select count(*) from change where aggregate = 'pipeline' and aggregate_id = 1";
    assert_eq!(count(&world, told).await, 4);

    let stale = StageRef { expected_version: Some(3), ..which("demo") };
    let answer = stage::update(&world.state, &admin(), stale, name("X"), meta(ADMIN)).await;
    assert!(matches!(answer, Err(Error::Stale { current: Some(4) })));
    let answer = stage::update(&world.state, &amy(), which("demo"), name("X"), meta(AMY)).await;
    assert!(matches!(answer, Err(Error::Denied { .. })));
}

#[tokio::test]
async fn the_kind_of_a_stage_that_was_used_stays_though_nothing_stands_in_it() {
    let world = world().await;
    add(&world.state, named("Demo")).await.unwrap();
    let won = || StageEdit { kind: Some(Some(Kind::Won)), ..StageEdit::default() };
    let changed = edit(&world.state, "demo", won()).await.unwrap();
    assert_eq!(changed.pipeline.stage("demo").unwrap().default_probability, 100);
    let open = StageEdit { kind: Some(Some(Kind::Open)), ..StageEdit::default() };
    edit(&world.state, "demo", open).await.unwrap();
    let sale = world.sale(&amy()).await.opportunity.id;
    for stage in ["demo", "lead"] {
        world.advance(&amy(), sale, stage).await.unwrap();
    }
    assert_eq!(reason(edit(&world.state, "demo", won()).await), "STAGE_USED {}");
    // Nor under its key when it is gone, though the key can be used again.
    assert_eq!(remove(&world.state, "demo", None).await.unwrap(), None);
    let again = |kind| {
        let key = Some("demo".to_owned());
        add(&world.state, NewStage { key, kind: Some(kind), ..named("Demo") })
    };
    assert_eq!(reason(again(Kind::Lost).await), "key other_kind");
    assert_eq!(again(Kind::Open).await.unwrap().key, "demo");
}

#[tokio::test]
async fn a_stage_goes_when_what_stands_in_it_was_moved_by_the_rules_and_what_is_restored_finds_its_stage()
 {
    let world = world().await;
    let (mut open, deleted) = (Vec::new(), world.sale(&amy()).await.opportunity.id);
    for _ in 0..3 {
        open.push(world.sale(&amy()).await.opportunity.id);
    }
    for id in open.iter().chain([&deleted]) {
        world.advance(&amy(), *id, "proposal").await.unwrap();
    }
    world.delete(&amy(), deleted).await.unwrap();
    let in_use = "STAGE_IN_USE {\"deleted\": \"1\", \"opportunities\": \"4\"}";
    assert_eq!(reason(remove(&world.state, "proposal", None).await), in_use);
    for (to, wrong) in [
        ("proposal", "move_to same_stage"),
        ("won", "move_to other_kind"),
        ("x", "move_to unknown_stage"),
    ] {
        assert_eq!(reason(remove(&world.state, "proposal", Some(to)).await), wrong);
    }
    assert_eq!(remove(&world.state, "proposal", Some("需求確認")).await.unwrap(), None);
    assert_eq!(keys(&world.state).await, "lead qualification negotiation contract won lost");
    for id in &open {
        let it = world.find(*id).await;
        assert_eq!((&*it.stage_key, it.probability, it.version), ("qualification", 30, 3));
        let (rows, _) = opportunity::history(&world.state, &amy(), *id, None, 50).await.unwrap();
        let last = rows.last().unwrap();
        assert_eq!((last.from_stage.as_deref(), &*last.to_stage), (Some("方案提案"), "需求確認"));
        assert_eq!((last.changed_by, last.to_stage_key.as_str()), (ADMIN, "qualification"));
    }
    let restored = world.restore(&amy(), deleted).await.unwrap().opportunity;
    assert_eq!((&*restored.stage_key, restored.version), ("qualification", 5));
    assert_eq!((count(&world, UNTOLD).await, count(&world, OUTSIDE).await), (0, 0));
    let bulk = "select count(*) from change where aggregate = 'opportunity' and origin = 'bulk'
        and type = 'opportunity.stage_changed' and actor_user_id = 99";
    assert_eq!(count(&world, bulk).await, 4);
    assert_eq!(reason(remove(&world.state, "proposal", None).await), "NOT_FOUND");
}

#[tokio::test]
async fn what_was_won_is_moved_as_it_was_won() {
    let world = world().await;
    let won = NewStage { kind: Some(Kind::Won), ..named("Paid") };
    add(&world.state, won).await.unwrap();
    let id = world.sale(&amy()).await.opportunity.id;
    let before = world.advance(&amy(), id, "won").await.unwrap().opportunity;
    sqlx::query(
        "update opportunities set created_at = '2025-01-01', actual_close_date = '2025-02-03'",
    )
    .execute(&world.state.writes)
    .await
    .unwrap();
    assert_eq!(remove(&world.state, "won", Some("paid")).await.unwrap(), None);
    let after = world.find(id).await;
    assert_eq!((&*after.stage_key, after.status, after.probability), ("paid", Kind::Won, 100));
    assert_eq!(after.actual_close_date.unwrap().to_string(), "2025-02-03");
    assert_eq!(after.closed_amount, before.closed_amount);
    let closings = "select count(*) from change where type = 'opportunity.won'";
    assert_eq!(count(&world, closings).await, 1);
}

#[tokio::test]
async fn nothing_is_moved_where_some_lack_what_the_other_stage_asks_for() {
    let world = world().await;
    let full = Wish {
        contact_name: Some("王經理".to_owned()),
        amount: Some("5".parse().unwrap()),
        expected_close_date: "2030-01-01".parse().ok(),
        external_id: Some("x".to_owned()),
        notes: Some("x".to_owned()),
        products: vec!["x".to_owned()],
        source: Some("x".to_owned()),
        tags: vec!["x".to_owned()],
        ..wish()
    };
    world.make(&amy(), full).await.unwrap();
    let bare = world.sale(&amy()).await.opportunity.id;
    let state = &world.state;
    for field in REQUIRABLE.iter().filter(|field| **field != "lost_reason") {
        let asks = StageEdit {
            required_fields: Some(Some(vec![(*field).to_owned()])),
            ..StageEdit::default()
        };
        edit(state, "proposal", asks).await.unwrap();
        let lacks = format!(
            "REQUIRED_FOR_STAGE {{\"deleted\": \"0\", \"ids\": \"[{bare}]\", \"opportunities\": \"1\"}}"
        );
        assert_eq!(reason(remove(state, "lead", Some("proposal")).await), lacks, "{field}");
    }
    assert_eq!(count(&world, "select count(*) from stage_history").await, 2);
    // The last of those was tags.
    let tags = EditWish { tags: Some(Some(vec!["x".to_owned()])), ..EditWish::default() };
    world.change(&amy(), (bare, None), tags).await.unwrap();
    assert_eq!(remove(state, "lead", Some("proposal")).await.unwrap(), None);
}

#[tokio::test]
async fn a_memory_of_the_past_lets_nothing_into_a_stage_that_is_gone_or_past_what_it_asks_for() {
    let world = world().await;
    let id = world.sale(&amy()).await.opportunity.id;
    let advance = async |state: &State, stage: &str| {
        let wish = opportunity::MoveWish {
            stage: stage.to_owned(),
            step: opportunity::model::Step::default(),
            expected_version: None,
            faults: rpc::Invalid::default(),
        };
        opportunity::change_stage(state, &amy(), id, wish, meta(AMY)).await
    };
    let create = async |state: &State, stage: &str| {
        let wish = Wish { stage: Some(stage.to_owned()), ..wish() };
        opportunity::create(state, &amy(), wish, None, meta(AMY)).await
    };

    let elsewhere = replica(&world);
    assert_eq!(remove(&world.state, "proposal", None).await.unwrap(), None);
    assert_eq!(reason(advance(&elsewhere, "proposal").await), "stage unknown_stage");
    let elsewhere = replica(&world);
    assert_eq!(remove(&world.state, "qualification", None).await.unwrap(), None);
    assert_eq!(reason(create(&elsewhere, "qualification").await), "stage unknown_stage");

    let elsewhere = replica(&world);
    let asks = StageEdit {
        required_fields: Some(Some(vec!["amount".to_owned()])),
        default_probability: Some(Some(77)),
        ..StageEdit::default()
    };
    edit(&world.state, "contract", asks).await.unwrap();
    assert_eq!(reason(advance(&elsewhere, "contract").await), "amount required_for_stage");
    let elsewhere = replica(&world);
    let free = StageEdit { required_fields: Some(None), ..StageEdit::default() };
    edit(&world.state, "contract", free).await.unwrap();
    let moved = advance(&elsewhere, "contract").await.unwrap().opportunity;
    assert_eq!(moved.probability, 77);

    // Many with one request are refused or decided anew as one is.
    let elsewhere = replica(&world);
    let twenty = StageEdit { default_probability: Some(Some(20)), ..StageEdit::default() };
    edit(&world.state, "negotiation", twenty).await.unwrap();
    let to = EditWish { stage: Some(Some("negotiation".to_owned())), ..EditWish::default() };
    let update = bulk::Update { id, expected_version: None, wish: to };
    let done = bulk::update(&elsewhere, &amy(), vec![update], None, meta(AMY)).await.unwrap();
    let Outcome::New(done) = done else { panic!("there was no key") };
    let moved = done[0].outcome.as_ref().unwrap();
    assert_eq!(moved.opportunity.probability, 20);

    // What was made elsewhere a moment ago is there, and the one that is the default now is meant.
    let elsewhere = replica(&world);
    add(&world.state, named("Demo")).await.unwrap();
    assert_eq!(advance(&elsewhere, "Demo").await.unwrap().opportunity.stage_key, "demo");
    let elsewhere = replica(&world);
    let new = (
        "Partners".to_owned(),
        true,
        vec![
            named("First"),
            NewStage { kind: Some(Kind::Won), ..named("Yes") },
            NewStage { kind: Some(Kind::Lost), ..named("No") },
        ],
    );
    let made = pipeline::create(&world.state, &admin(), new, None, meta(ADMIN)).await.unwrap();
    let Outcome::New(partners) = made else { panic!("there was no key") };
    let made = opportunity::create(&elsewhere, &amy(), wish(), None, meta(AMY)).await.unwrap();
    let Outcome::New(made) = made else { panic!("there was no key") };
    let it = made.opportunity;
    assert_eq!((it.pipeline_id, &*it.stage_key), (partners.id, "first"));
    assert_eq!((count(&world, UNTOLD).await, count(&world, OUTSIDE).await), (0, 0));
}

#[tokio::test]
async fn a_deletion_that_stopped_half_way_is_carried_on_by_another_and_lets_nothing_in_meanwhile() {
    let world = world().await;
    let id = world.sale(&amy()).await.opportunity.id;
    let other = world.sale(&amy()).await.opportunity.id;
    world.advance(&amy(), id, "proposal").await.unwrap();
    let elsewhere = replica(&world);
    // Somebody is about to move a piece, and never does.
    let mut holding = world.state.writes.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(events::lock::key("relocate", "1 proposal"))
        .execute(&mut *holding)
        .await
        .unwrap();
    let left = Left {
        pipeline_id: 1,
        key: "proposal".to_owned(),
        move_to: "contract".to_owned(),
        remaining: 1,
    };
    assert_eq!(remove(&world.state, "proposal", Some("contract")).await.unwrap(), Some(left));
    for state in [&world.state, &elsewhere] {
        let wish = opportunity::MoveWish {
            stage: "proposal".to_owned(),
            step: opportunity::model::Step::default(),
            expected_version: None,
            faults: rpc::Invalid::default(),
        };
        let moved = opportunity::change_stage(state, &amy(), other, wish, meta(AMY)).await;
        assert_eq!(reason(moved), "stage stage_closing");
    }
    // What stands in it can be changed, and the stage where it goes stays as it is.
    let edited = StageEdit { required_fields: Some(None), ..StageEdit::default() };
    assert_eq!(reason(edit(&world.state, "contract", edited).await), "STAGE_RECEIVING {}");
    let gone = remove(&world.state, "contract", Some("lead")).await;
    assert_eq!(reason(gone), "STAGE_RECEIVING {}");
    let elsewhere_too = remove(&world.state, "proposal", Some("lead")).await;
    assert_eq!(reason(elsewhere_too), "STAGE_CLOSING {\"move_to\": \"contract\"}");
    holding.rollback().await.unwrap();

    assert!(closing::carry_on(&elsewhere).await.unwrap());
    let moved = world.find(id).await;
    assert_eq!((&*moved.stage_key, moved.version), ("contract", 3));
    assert_eq!(keys(&world.state).await, "lead qualification negotiation contract won lost");
    let by = "select count(*) from change where aggregate = 'pipeline' and actor_user_id = 99";
    assert_eq!(count(&world, by).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_moves_while_a_stage_is_deleted_nobody_stands_in_it_in_the_end() {
    let world = Arc::new(world().await);
    let movers = (0..3).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let state = replica(&world);
            let mut refused = 0;
            for number in 0..30 {
                let stage = Some("proposal".to_owned()).filter(|_| number % 2 == 0);
                let wish = Wish { stage, ..wish() };
                let made = opportunity::create(&state, &amy(), wish, None, meta(AMY)).await;
                let Ok(Outcome::New(made)) = made else {
                    assert!(reason(made.map(drop)).starts_with("stage "));
                    refused += 1;
                    continue;
                };
                let wish = opportunity::MoveWish {
                    stage: "proposal".to_owned(),
                    step: opportunity::model::Step::default(),
                    expected_version: None,
                    faults: rpc::Invalid::default(),
                };
                let id = made.opportunity.id;
                if let Err(error) =
                    opportunity::change_stage(&state, &amy(), id, wish, meta(AMY)).await
                {
                    assert!(reason::<()>(Err(error)).starts_with("stage "));
                    refused += 1;
                }
            }
            refused
        })
    });
    let movers: Vec<_> = movers.collect();
    while count(&world, "select count(*) from opportunities where stage_key = 'proposal'").await < 5
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(remove(&world.state, "proposal", Some("contract")).await.unwrap(), None);
    let mut refused = 0;
    for mover in movers {
        refused += mover.await.unwrap();
    }
    assert!(refused > 0);
    assert_eq!(keys(&world.state).await, "lead qualification negotiation contract won lost");
    let inside = "select count(*) from opportunities where stage_key = 'proposal'";
    assert_eq!(count(&world, inside).await, 0);
    assert_eq!((count(&world, UNTOLD).await, count(&world, OUTSIDE).await), (0, 0));
}

#[tokio::test]
async fn a_pipeline_keeps_a_stage_of_each_kind_and_an_open_one_first() {
    let world = world().await;
    let state = &world.state;
    assert_eq!(reason(remove(state, "won", None).await), "LAST_OF_ITS_KIND {}");
    let sound = "lead won qualification proposal negotiation contract lost";
    order(state, sound).await.unwrap();
    assert_eq!(reason(remove(state, "lead", None).await), "FIRST_NOT_OPEN {}");
    let unsound = "won lead qualification proposal negotiation contract lost";
    assert_eq!(reason(order(state, unsound).await), "keys first_not_open");
    let first = NewStage { kind: Some(Kind::Lost), position: Some(1), ..named("Never") };
    assert_eq!(reason(add(state, first).await), "position first_not_open");
    assert_eq!(keys(state).await, sound);
}

#[tokio::test]
async fn there_is_always_one_default_pipeline_and_what_runs_through_one_keeps_it() {
    let world = world().await;
    let (state, by) = (&world.state, admin());
    let make = async |name: &str| {
        let new = (name.to_owned(), false, Vec::new());
        pipeline::create(state, &by, new, None, meta(ADMIN)).await.map(|made| match made {
            Outcome::New(pipeline) => pipeline,
            Outcome::Replay(_) => panic!("there was no key"),
        })
    };
    let second = make("Partners").await.unwrap();
    assert_eq!((second.stages.len(), second.is_default, second.version), (7, false, 1));
    assert_eq!(reason(make(" ＰＡＲＴＮＥＲＳ").await), "name taken");
    let set = async |id, is_default| {
        let edit = (None, Some(Some(is_default)));
        pipeline::update(state, &by, (id, None), edit, meta(ADMIN)).await
    };
    let drop = async |id| pipeline::delete(state, &by, (id, None), meta(ADMIN)).await;
    assert_eq!(reason(set(1, false).await), "is_default default_needed");
    assert_eq!(reason(drop(1).await), "DEFAULT_PIPELINE {}");
    assert_eq!(set(second.id, true).await.unwrap().version, 2);
    let defaults: Vec<_> = pipeline::all(&state.reads)
        .await
        .unwrap()
        .iter()
        .map(|it| (it.id, it.is_default))
        .collect();
    assert_eq!(defaults, [(second.id, true), (1, false)]);

    let sale = world.sale(&amy()).await.opportunity;
    assert_eq!(sale.pipeline_id, second.id);
    world.delete(&amy(), sale.id).await.unwrap();
    set(1, true).await.unwrap();
    assert_eq!(reason(drop(second.id).await), "PIPELINE_IN_USE {}");
    let third = make("Third").await.unwrap();
    let elsewhere = replica(&world);
    drop(third.id).await.unwrap();
    assert_eq!(reason(drop(third.id).await), "NOT_FOUND");
    let wish = Wish { pipeline_id: Some(third.id), ..wish() };
    let made = opportunity::create(&elsewhere, &amy(), wish, None, meta(AMY)).await;
    assert_eq!(reason(made), "pipeline_id unknown_pipeline");
    make("Third").await.unwrap();
    let told = "select count(*) from change where aggregate = 'pipeline' and aggregate_id = 1";
    assert_eq!(count(&world, told).await, 3);
}
