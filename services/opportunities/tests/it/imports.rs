//! Files that are brought in.

use std::fmt::Write as _;
use std::sync::Arc;

use auth::{Caller, Role};
use idempotency::Outcome;
use money::Money;
use opportunities::export::Form;
use opportunities::import::model::{Import, Kind, Row, RowStatus, Status};
use opportunities::import::work::Worker;
use opportunities::import::{self, Options, Receiving};
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::list::Filter;
use opportunities::opportunity::model::Opportunity;
use rpc::Error;
use sqlx::PgPool;

use crate::exports;
use crate::races::waiting;
use crate::support::{ADMIN, World, caller, event, meta, now, person, wish};

pub(crate) const HEADER: &str =
    "opportunity_name,customer_name,external_id,amount,stage,owner_id\r\n";

pub(crate) async fn bring(
    world: &World,
    who: &Caller,
    file: &[u8],
    options: Options,
) -> Result<i64, Error> {
    let mut receiving = Receiving::begin(&world.state, who, meta(who.user_id))?;
    for piece in file.chunks(100_000) {
        receiving.more(piece).await?;
    }
    match receiving.end(options, None).await? {
        Outcome::New(begun) => Ok(begun.id),
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

/// Works off all there is.
pub(crate) async fn to_the_end(world: &World) {
    go_on(world, &mut Worker::default()).await;
}

/// The same by somebody who knows by now what comes next.
pub(crate) async fn go_on(world: &World, worker: &mut Worker) {
    while worker.step(&world.state, now()).await.unwrap() {}
}

pub(crate) async fn work_off(world: &World, who: &Caller, id: i64) -> (Import, Vec<Row>) {
    to_the_end(world).await;
    let found = import::get(&world.state, who, id).await.unwrap();
    let (rows, more) = import::rows(&world.state, &found, 0, None, 200).await.unwrap();
    assert!(!more);
    (found, rows)
}

pub(crate) async fn all(
    world: &World,
    who: &Caller,
    file: &str,
    options: Options,
) -> (Import, Vec<Row>) {
    let id = bring(world, who, file.as_bytes(), options).await.unwrap();
    work_off(world, who, id).await
}

/// The rows in words: number, what became of it, and the first thing that is not good.
pub(crate) fn words(rows: &[Row]) -> Vec<String> {
    let word = |it: &Row| {
        let fault = it.outcome.errors.first();
        let fault = fault.map_or(String::new(), |it| format!(" {} {}", it.field, it.code));
        format!("{} {}{fault}", it.row, it.outcome.status.as_str())
    };
    rows.iter().map(word).collect()
}

pub(crate) async fn count(world: &World, table: &'static str) -> i64 {
    let sql = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&world.state.reads).await.unwrap()
}

/// All of them, by their ids in another system.
pub(crate) async fn opportunities(world: &World) -> Vec<Opportunity> {
    let ids: Vec<i64> = sqlx::query_scalar("select id from opportunities order by external_id")
        .fetch_all(&world.state.reads)
        .await
        .unwrap();
    let mut found = Vec::new();
    for id in ids {
        found.push(world.find(id).await);
    }
    found
}

pub(crate) fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

/// How rows with their past are brought in.
pub(crate) fn history() -> Options {
    Options { kind: Kind::History, ..Options::default() }
}

/// What there is in one place is in the other, but for ids and times, which are given anew.
pub(crate) async fn came_as_they_were(from: &World, to: &World) {
    let (from, to) = (opportunities(from).await, opportunities(to).await);
    assert_eq!(from.len(), to.len());
    for (one, other) in from.into_iter().zip(to) {
        let as_there = Opportunity {
            id: other.id,
            customer_id: other.customer_id,
            contact_id: other.contact_id,
            created_at: other.created_at,
            updated_at: other.updated_at,
            stage_entered_at: other.stage_entered_at,
            ..one
        };
        assert_eq!(as_there, other);
    }
}

#[tokio::test]
async fn good_rows_are_written_by_the_rules_of_one_and_bad_ones_say_why() {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(1, "rep", Some(7))), event(1, person(2, "rep", Some(7)))]).await;
    let amy = caller(1, Role::Rep, Some(7));
    let rows = "A,甲公司,,\"1,000.50\",won,\r\nB, 甲公司 ,,-1,nowhere,\r\n,X,,,,\r\nC,X,,,,2\r\nD,X,,,,1,extra\r\nE,X,,,談判,\r\n";
    let (found, rows) = all(&world, &amy, &format!("{HEADER}{rows}"), Options::default()).await;
    assert_eq!(found.status, Status::Done);
    let expected = [
        "2 created",
        "3 failed amount out_of_range",
        "4 failed opportunity_name required",
        "5 failed owner_id owner_not_self",
        "6 failed  too_many_cells",
        "7 failed stage unknown_stage",
    ];
    assert_eq!(words(&rows), expected);
    assert_eq!((found.counts.created, found.counts.failed, found.total_rows), (1, 5, 6));
    let made = world.find(rows[0].outcome.opportunity_id.unwrap()).await;
    assert_eq!((made.owner_id, made.team_id, made.probability), (1, Some(7), 100));
    assert_eq!(made.closed_amount, Some(Money::from_hundredths(100_050)));
    // What a bad row speaks of is not made either.
    assert_eq!(count(&world, "customers").await, 1);
    let told: Vec<String> = sqlx::query_scalar(
        "select distinct origin from change where aggregate in ('opportunity', 'customer')",
    )
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(told, ["import"], "so nobody is notified of it");
    world.everything_is_told().await;
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_the_fault_of_its_row_alone() {
    let world = World::create("everyone").await;
    let long = "長".repeat(3_000);
    let file = format!("{HEADER}A,X,a\0b,1,,\r\nB,X,{long},1,,\r\nC,X,c,-1,,\r\nD,X,d,1,,\r\n");
    let (found, rows) = all(&world, &admin(), &file, Options::default()).await;
    let expected = [
        "2 failed external_id invalid_character",
        "3 failed external_id too_long",
        "4 failed amount out_of_range",
        "5 created",
    ];
    assert_eq!((found.status, words(&rows)), (Status::Done, expected.map(str::to_owned).to_vec()));
    let open = format!("{HEADER}A,X,a,\"1,,\r\nB,X,b,2,,\r\n");
    let refused = bring(&world, &admin(), open.as_bytes(), Options::default()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("unclosed_quote"), "{refused:?}");
}

#[tokio::test]
async fn what_is_known_by_its_external_id_is_changed_where_something_is_other() {
    let world = World::create("everyone").await;
    let file = format!("{HEADER}A,X,a,1,,\r\nB,X,b,,,\r\nC,X,a,,,\r\n");
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(words(&rows), ["2 created", "3 created", "4 failed external_id duplicate"]);
    let id = rows[0].outcome.opportunity_id.unwrap();
    let file = format!("{HEADER}A,x,a,2.00,proposal,\r\nB,X,b,,,\r\n");
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(words(&rows), ["2 updated", "3 skipped"]);
    let changed = world.find(id).await;
    assert_eq!((&*changed.stage_key, changed.version), ("proposal", 2));
    assert_eq!(changed.amount, Some(Money::from_hundredths(200)));
    assert_eq!(count(&world, "customers").await, 1);
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(words(&rows), ["2 skipped", "3 skipped"]);
    world.delete(&admin(), id).await.unwrap();
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(words(&rows)[0], "2 failed external_id opportunity_deleted");
    assert_eq!(rows[0].outcome.opportunity_id, Some(id), "it is named");
    assert!(rows[0].outcome.errors[0].message.contains(&id.to_string()));
}

#[tokio::test]
async fn a_row_that_is_not_good_leaves_its_id_to_a_later_one() {
    let world = World::create("everyone").await;
    let file = format!("{HEADER}A,X,a,1,nowhere,\r\nB,X,a,1,,\r\nC,X,a,1,,\r\n");
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    let expected = ["2 failed stage unknown_stage", "3 created", "4 failed external_id duplicate"];
    assert_eq!(words(&rows), expected);
}

#[tokio::test]
async fn names_are_one_line_and_ids_have_to_be_on_every_path() {
    let world = World::create("everyone").await;
    let (name, id) = ("Big\r\n deal", "a\nb");
    let sale = Wish { opportunity_name: name.to_owned(), tags: vec!["x\ny".to_owned()], ..wish() };
    let made = world.make(&admin(), sale.clone()).await.unwrap().opportunity;
    assert_eq!((&*made.opportunity_name, &*made.tags[0]), ("Big deal", "x y"));
    let refused = world.make(&admin(), Wish { external_id: Some(id.to_owned()), ..sale }).await;
    assert!(format!("{refused:?}").contains("invalid_character"), "{refused:?}");
    let edit = EditWish { external_id: Some(Some(id.to_owned())), ..EditWish::default() };
    let refused = world.change(&admin(), (made.id, None), edit).await;
    assert!(format!("{refused:?}").contains("invalid_character"), "{refused:?}");
    let file = format!("{HEADER}\"{name}\",\"X\nY\",c,,,\r\nA,X,\"{id}\",,,\r\n");
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(words(&rows), ["2 created", "3 failed external_id invalid_character"]);
    let made = world.find(rows[0].outcome.opportunity_id.unwrap()).await;
    assert_eq!((&*made.opportunity_name, &*made.customer_name), ("Big deal", "X Y"));
}

/// From now on the database refuses an opportunity of that name, as a defect of ours would.
pub(crate) async fn refuse(world: &World, name: &str) {
    let sql = format!(
        "create function refuse() returns trigger language plpgsql as
           $$ begin if new.opportunity_name = '{name}' then raise exception 'refused'; end if; return new; end $$;
         create trigger refuse before insert or update on opportunities for each row execute function refuse()"
    );
    world.alter(sql).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_written_does_not_stop_the_others() {
    let world = World::create("everyone").await;
    refuse(&world, "Deal 17").await;
    let mut file = HEADER.to_owned();
    for number in 0..40 {
        writeln!(file, "Deal {number},Customer {},n{number},1,,", number % 3).unwrap();
    }
    let (found, rows) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(found.status, Status::Done);
    assert_eq!((found.counts.created, found.counts.failed), (39, 1));
    assert_eq!(words(&rows)[17], "19 failed  not_written");
    assert_eq!(count(&world, "opportunities").await, 39);
    assert_eq!(count(&world, "customers").await, 3);
    world.everything_is_told().await;
}

#[tokio::test]
async fn a_change_that_somebody_makes_at_the_same_time_is_theirs() {
    let world = Arc::new(World::create("everyone").await);
    let file = format!("{HEADER}A,X,a,1,,\r\n");
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    let id = rows[0].outcome.opportunity_id.unwrap();
    let mut theirs = world.state.writes.begin().await.unwrap();
    let sql =
        "update opportunities set amount = 2, weighted_value = 0.2, version = 2 where id = $1";
    sqlx::query(sql).bind(id).execute(&mut *theirs).await.unwrap();
    let file = format!("{HEADER}A,X,a,2,,\r\n");
    let import = bring(&world, &admin(), file.as_bytes(), Options::default()).await.unwrap();
    let step = tokio::spawn({
        let world = Arc::clone(&world);
        async move { Worker::default().step(&world.state, now()).await.unwrap() }
    });
    waiting(&world.state.reads, 1).await;
    theirs.commit().await.unwrap();
    assert!(step.await.unwrap());
    let (found, rows) = work_off(&world, &admin(), import).await;
    assert_eq!(words(&rows), ["2 skipped"]);
    let refused = import::undo(&world.state, &admin(), found.id, None, meta(ADMIN)).await;
    assert_eq!(refused.unwrap_err().reason(), "NOTHING_TO_UNDO");
}

#[tokio::test]
async fn nobody_is_added_to_a_customer_that_is_merged_at_that_moment() {
    let world = Arc::new(World::create("everyone").await);
    let file = format!("{HEADER}A,Old,a,1,,\r\nB,New,b,1,,\r\n");
    let (_, rows) = all(&world, &admin(), &file, Options::default()).await;
    let mut customers = Vec::new();
    for row in &rows {
        customers.push(world.find(row.outcome.opportunity_id.unwrap()).await.customer_id);
    }
    // Both wait for the customer, in whatever order: then it is merged, and the rows are looked at anew.
    let mut holding = world.state.writes.begin().await.unwrap();
    let sql = "select from customers where id = $1 for update";
    sqlx::query(sql).bind(customers[0]).execute(&mut *holding).await.unwrap();
    let merge = tokio::spawn({
        let (world, into, from) = (Arc::clone(&world), customers[1], customers[0]);
        async move { world.merge(into, from).await.unwrap() }
    });
    waiting(&world.state.reads, 1).await;
    let file = "external_id,contact_name\r\na,Amy\r\n";
    let import = bring(&world, &admin(), file.as_bytes(), Options::default()).await.unwrap();
    let step = tokio::spawn({
        let world = Arc::clone(&world);
        async move { Worker::default().step(&world.state, now()).await.unwrap() }
    });
    waiting(&world.state.reads, 2).await;
    holding.commit().await.unwrap();
    merge.await.unwrap();
    assert!(step.await.unwrap());
    let (_, rows) = work_off(&world, &admin(), import).await;
    assert_eq!(words(&rows), ["2 updated"]);
    let of: Vec<i64> = sqlx::query_scalar("select customer_id from contacts")
        .fetch_all(&world.state.reads)
        .await
        .unwrap();
    assert_eq!(of, [customers[1]]);
    world.everything_is_told().await;
}

#[tokio::test]
async fn imports_at_the_same_time_make_each_customer_and_contact_once_and_wait_for_nobody_in_a_circle()
 {
    let world = World::create("everyone").await;
    let header = "opportunity_name,customer_name,contact_email\r\n";
    let file = |numbers: &mut dyn Iterator<Item = i32>| {
        let mut file = header.to_owned();
        for number in numbers {
            let other = number % 60;
            writeln!(file, "Deal,Customer {other},c{other}@example.com").unwrap();
        }
        file
    };
    let files = [file(&mut (0..480)), file(&mut (0..480).rev())];
    for file in &files {
        bring(&world, &admin(), file.as_bytes(), Options::default()).await.unwrap();
    }
    let (mut one, mut other) = (Worker::default(), Worker::default());
    let (one, other) = tokio::join!(one.step(&world.state, now()), other.step(&world.state, now()));
    assert!(one.unwrap() && other.unwrap());
    to_the_end(&world).await;
    assert_eq!(count(&world, "opportunities").await, 960);
    assert_eq!(count(&world, "customers").await, 60);
    assert_eq!(count(&world, "contacts").await, 60);
    world.everything_is_told().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_all_or_nothing_writes_nothing_where_a_row_is_bad() {
    let world = World::create("everyone").await;
    let good = format!("{HEADER}A,X,a,1,,\r\nB,Y,b,,,\r\n");
    let bad = format!("{good}C,Y,c,x,,\r\n");
    let dry = Options { dry_run: true, ..Options::default() };
    let (found, rows) = all(&world, &admin(), &bad, dry).await;
    assert_eq!((found.status, found.counts.created), (Status::Done, 2));
    assert_eq!(words(&rows)[2], "4 failed amount wrong_type");
    let whole = || Options { all_or_nothing: true, ..Options::default() };
    let (found, rows) = all(&world, &admin(), &bad, whole()).await;
    assert_eq!((found.status, found.counts.created, found.counts.failed), (Status::Failed, 0, 1));
    assert_eq!(words(&rows), ["4 failed amount wrong_type"]);
    let refused = import::undo(&world.state, &admin(), found.id, None, meta(ADMIN)).await;
    assert_eq!(refused.unwrap_err().reason(), "NOTHING_TO_UNDO");
    for table in ["opportunities", "customers", "import_pieces"] {
        assert_eq!(count(&world, table).await, 0, "{table}");
    }
    let (found, rows) = all(&world, &admin(), &good, whole()).await;
    assert_eq!(
        (found.status, words(&rows)),
        (Status::Done, vec!["2 created".into(), "3 created".into()])
    );
    assert_eq!(count(&world, "opportunities").await, 2);
}

#[tokio::test]
async fn a_long_file_goes_on_where_it_was_when_somebody_else_takes_over() {
    let world = World::create("everyone").await;
    let mut file = HEADER.to_owned();
    for number in 0..1_800 {
        let row = format!(
            "\"Deal {number}\n{}\",Customer {},n{number},{number},,\r\n",
            "系統".repeat(100),
            number % 50
        );
        file.push_str(&row);
    }
    let id = bring(&world, &admin(), file.as_bytes(), Options::default()).await.unwrap();
    assert!(Worker::default().step(&world.state, now()).await.unwrap());
    let found = import::get(&world.state, &admin(), id).await.unwrap();
    assert_eq!((found.status, found.counts.created), (Status::Running, 1_000));
    // Two at once do not do the same rows twice.
    let (mut one, mut other) = (Worker::default(), Worker::default());
    let (one, other) = tokio::join!(one.step(&world.state, now()), other.step(&world.state, now()));
    assert!(one.unwrap() || other.unwrap());
    to_the_end(&world).await;
    let found = import::get(&world.state, &admin(), id).await.unwrap();
    assert_eq!((found.status, found.counts.created), (Status::Done, 1_800));
    assert_eq!(count(&world, "opportunities").await, 1_800);
    assert_eq!(count(&world, "customers").await, 50);
    assert_eq!(count(&world, "import_pieces").await, 0);
    world.everything_is_told().await;
}

/// What is written of imports from now on, and whether its commit waits for the disk.
async fn watched(world: &mut World) {
    world
        .alter(
            "create table kept (n bigint generated always as identity, status text not null, waits text not null);
             grant select, insert on kept to public;
             create function keep() returns trigger language plpgsql as
               $$ begin insert into kept (status, waits) values (new.status, current_setting('synchronous_commit')); return new; end $$;
             create trigger keep after insert or update on imports for each row execute function keep()"
                .to_owned(),
        )
        .await;
    // Servers of tests wait for nothing.
    let options = world.state.writes.connect_options().as_ref().clone();
    let options = options.options([("synchronous_commit", "on")]);
    world.state.writes = PgPool::connect_with(options).await.unwrap();
}

#[tokio::test]
async fn what_is_acknowledged_waits_for_the_disk_and_what_is_done_again_after_a_crash_does_not() {
    let mut world = World::create("everyone").await;
    watched(&mut world).await;
    let file = format!("{HEADER}Deal,Customer,n1,1,,\r\n");
    let id = bring(&world, &admin(), file.as_bytes(), Options::default()).await.unwrap();
    to_the_end(&world).await;
    import::undo(&world.state, &admin(), id, None, meta(ADMIN)).await.unwrap();
    to_the_end(&world).await;
    let kept: Vec<(String, String)> = sqlx::query_as("select status, waits from kept order by n")
        .fetch_all(&world.state.writes)
        .await
        .unwrap();
    let kept: Vec<_> = kept.iter().map(|(status, waits)| format!("{status} {waits}")).collect();
    // Each turn takes the import and keeps how far it has come.
    let turns = ["running off", "running off", "done on"];
    let coming = ["receiving on", "receiving on", "queued on", "queued off"];
    let back = ["queued on", "queued off", "running off", "running off", "undone on"];
    assert_eq!(kept, [&coming[..], &turns[..], &back[..]].concat());
}

#[tokio::test]
async fn what_a_crash_takes_back_of_an_import_is_done_again() {
    let world = World::create("everyone").await;
    let mut file = HEADER.to_owned();
    for number in 0..2_200 {
        writeln!(file, "Deal {number},Customer {},n{number},{number},,", number % 7).unwrap();
    }
    let id = bring(&world, &admin(), file.as_bytes(), Options::default()).await.unwrap();
    let mut worker = Worker::default();
    assert!(worker.step(&world.state, now()).await.unwrap());
    // What the worker commits next is lost while it goes on in its memory: it decided by it, and has to find out.
    let before = import::get(&world.state, &admin(), id).await.unwrap();
    assert_eq!(before.counts.created, 1_000);
    world
        .alter(
            "create table lost as table imports;
             create function forget() returns trigger language plpgsql as
               $$ begin if new.last_row = 2001 then raise exception 'lost'; end if; return new; end $$;
             create trigger forget before update on imports for each row execute function forget()"
                .to_owned(),
        )
        .await;
    let lost = worker.step(&world.state, now()).await;
    assert!(lost.is_ok_and(|goes_on| goes_on));
    world.alter("drop trigger forget on imports".to_owned()).await;
    go_on(&world, &mut worker).await;
    let found = import::get(&world.state, &admin(), id).await.unwrap();
    assert_eq!((found.status, found.counts.created), (Status::Done, 2_200));
    assert_eq!(count(&world, "opportunities").await, 2_200);
    assert_eq!(count(&world, "stage_history").await, 2_200);
    assert_eq!(count(&world, "customers").await, 7);
    assert_eq!(count(&world, "import_rows").await, 2_200);
    world.everything_is_told().await;
}

#[tokio::test]
async fn what_was_taken_out_comes_in_as_it_was() {
    let (from, to) = (World::create("everyone").await, World::create("everyone").await);
    let odd = ["=1+1", "'=1+1", "@x", "a \"quoted\", one", "系統 👩‍👩‍👧", "-5", "line\r\nbreak"];
    for (number, text) in odd.iter().enumerate() {
        let text = (*text).to_owned();
        let sale = Wish {
            opportunity_name: text.clone(),
            customer_name: Some(format!("C{text}")),
            contact_name: Some(text.clone()),
            contact_email: Some("=a@example.com".to_owned()),
            amount: Some(Money::from_hundredths(1 + number as i128)),
            probability: Some(33),
            stage: Some("proposal".to_owned()),
            expected_close_date: chrono::NaiveDate::from_ymd_opt(2026, 12, 31),
            products: vec![text.clone(), "B; C".to_owned()],
            notes: Some(format!(" {text}\n")),
            source: Some(text.clone()),
            external_id: Some(format!("{number}{}", text.replace("\r\n", " "))),
            tags: vec![text],
            ..wish()
        };
        from.make(&admin(), sale).await.unwrap();
    }
    let first = exports::file(&from, &admin(), Filter::default(), Form::Csv).await;
    let text = String::from_utf8(first.clone()).unwrap();
    let (found, rows) = all(&to, &admin(), &text, Options::default()).await;
    assert_eq!(found.counts.created, 7, "{rows:?}");
    came_as_they_were(&from, &to).await;
    let contacts = "select name || email from contacts order by 1";
    let contacts = async |world: &World| -> Vec<String> {
        sqlx::query_scalar(contacts).fetch_all(&world.state.reads).await.unwrap()
    };
    assert_eq!(contacts(&to).await, contacts(&from).await);
    // And where it came from it changes nothing.
    let (found, _) = all(&from, &admin(), &text, Options::default()).await;
    assert_eq!(found.counts.skipped, 7);
}

#[tokio::test]
async fn a_hostile_file_is_refused_and_leaves_nothing() {
    let world = World::create("everyone").await;
    let fields = |error: Error| match error {
        Error::Invalid(fields) => {
            fields.into_iter().map(|it| it.code.to_string()).collect::<Vec<_>>()
        }
        error => panic!("{error}"),
    };
    let endless = [b"opportunity_name,customer_name\n\"".to_vec(), vec![b'x'; 3_000_000]].concat();
    for (file, code) in [
        (b"".to_vec(), "required"),
        (b"opportunity_name,customer_name\n".to_vec(), "no_rows"),
        (b"opportunity_name,customer_name\n\xff,x\n".to_vec(), "invalid_encoding"),
        ("a,".repeat(1_000_000).into_bytes(), "too_many_columns"),
        (b"PK\x03\x04".to_vec(), "broken_workbook"),
        (b"customer_name,customer_name\nx,y\n".to_vec(), "duplicate_header"),
        (b"colour\nred\n".to_vec(), "required"),
        (endless, "row_too_long"),
    ] {
        let refused = bring(&world, &admin(), &file, Options::default()).await.unwrap_err();
        assert_eq!(fields(refused)[0], code);
    }
    let viewer = caller(5, Role::Viewer, None);
    let refused = bring(&world, &viewer, b"x", Options::default()).await.unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }));
}

#[tokio::test]
async fn what_is_decided_ahead_holds_by_the_rules_and_rows_of_its_turn() {
    let world = World::create("everyone").await;
    let row = |number: usize, id: &str| format!("Deal {number},X,{id},{number},,\r\n");
    let mut file = HEADER.to_owned();
    for number in 0..1_000 {
        file += &row(number, &format!("n{number}"));
    }
    // The first of the second step is called like one of the first, the next stands in a stage that asks for more by then.
    file += &row(1_000, "n7");
    file += "Late,X,late,1,proposal,\r\n";
    let id = bring(&world, &admin(), file.as_bytes(), Options::default()).await.unwrap();
    let mut worker = Worker::default();
    assert!(worker.step(&world.state, now()).await.unwrap());
    let asks = "update stages set required_fields = '{contact_name}' where ordinal = $1";
    world.sql(asks, 3).await;
    go_on(&world, &mut worker).await;
    let found = import::get(&world.state, &admin(), id).await.unwrap();
    assert_eq!((found.counts.created, found.counts.failed), (1_000, 2));
    let failed = Some(RowStatus::Failed);
    let (rows, _) = import::rows(&world.state, &found, 0, failed, 200).await.unwrap();
    assert_eq!(
        words(&rows),
        ["1002 failed external_id duplicate", "1003 failed contact_name required_for_stage"]
    );
    world.everything_is_told().await;
}
