//! Files of opportunities.

use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};

use auth::{Caller, Role};
use chrono::NaiveDate;
use money::Money;
use opportunities::access::Asking;
use opportunities::export::{Form, Wanted, export, places};
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::list::{self, Filter};
use rpc::{Error, Invalid};

use crate::support::{ADMIN, World, caller, event, now, person, wish};

/// They are who they are, however long it takes.
fn always(caller: &Caller) -> Asking {
    let caller = caller.clone();
    Box::new(move || Box::pin(ready(Ok(caller.clone()))))
}

/// A whole file as somebody gets it, by amount.
pub(crate) async fn file(world: &World, caller: &Caller, filter: Filter, form: Form) -> Vec<u8> {
    let sort = list::sort(&mut Invalid::default(), Some("amount"), Some("asc"));
    let wanted = Wanted { filter, sort, now: now() };
    let places = places();
    let asking = always(caller);
    let mut pieces = export(&world.state, asking, wanted, form, &places).await.unwrap();
    let mut file = Vec::new();
    while let Some(piece) = pieces.recv().await {
        file.extend(piece.unwrap());
    }
    file
}

/// The cells of some columns, row by row.
fn columns(csv: &[u8], names: &[&str]) -> Vec<Vec<String>> {
    let text = String::from_utf8(csv.to_vec()).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap();
    let mut rows = text.split("\r\n").map(|row| row.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let places: Vec<_> =
        names.iter().map(|name| header.iter().position(|it| it == name).unwrap()).collect();
    rows.filter(|row| row.len() > 1)
        .map(|row| places.iter().map(|at| row[*at].to_owned()).collect())
        .collect()
}

#[tokio::test]
async fn a_file_has_all_that_the_list_has_and_nothing_out_of_sight() {
    let world = World::create("owner").await;
    world.tell(&[event(1, person(1, "rep", None)), event(1, person(2, "rep", None))]).await;
    let (amy, ben) = (caller(1, Role::Rep, None), caller(2, Role::Rep, None));
    // More than are read at once, some with the same amount and some with none.
    let mut expected = Vec::new();
    for number in 0..12_i64 {
        let amount = (number % 3 > 0).then(|| Money::from_hundredths(i128::from(number % 3) * 150));
        let made = world.make(&amy, Wish { amount, ..wish() }).await.unwrap();
        expected.push((amount.map_or("~".to_owned(), |it| it.to_string()), made.opportunity.id));
    }
    world
        .sql("insert into opportunities (id, opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, amount, currency, probability, owner_id, created_by, created_at, updated_at, stage_entered_at, version)
              select $1 + n, opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, 5, currency, probability, owner_id, created_by, created_at, updated_at, stage_entered_at, 1
              from generate_series(1, 2100) as n, (select * from opportunities order by id limit 1) as o", 1_000_000)
        .await;
    expected.extend((1..=2_100).map(|n| ("5".to_owned(), 1_000_000 + n)));
    expected.sort();
    let bens = world.sale(&ben).await.opportunity.id;

    let csv = file(&world, &amy, Filter::default(), Form::Csv).await;
    let cells = columns(&csv, &["amount", "id", "stage", "status", "weighted_value"]);
    let found: Vec<_> = cells
        .iter()
        .map(|row| {
            let amount = Some(&row[0]).filter(|it| !it.is_empty()).map_or("~", |it| &**it);
            (amount.to_owned(), row[1].parse::<i64>().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(cells[0][2..], ["潛在客戶", "open", "0.15"].map(str::to_owned));
    assert!(!found.iter().any(|(_, id)| *id == bens));

    let xlsx = file(&world, &amy, Filter::default(), Form::Xlsx).await;
    assert!(xlsx.starts_with(b"PK"));
    let filter = Filter { owner_id: Some(2), ..Filter::default() };
    let admin = caller(ADMIN, Role::Admin, None);
    let line = Box::new(|detail: opportunities::opportunity::Detail| {
        Ok(detail.opportunity.id.to_string().into_bytes())
    });
    let lines = file(&world, &admin, filter, Form::Lines(line)).await;
    assert_eq!(lines, format!("{bens}\n").into_bytes());
}

#[tokio::test]
async fn no_text_of_a_file_is_a_formula_and_lists_are_one_cell() {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    let sale = Wish {
        opportunity_name: "=HYPERLINK(1)".to_owned(),
        customer_name: Some("@SUM(1)".to_owned()),
        products: vec!["A".to_owned(), "B; C".to_owned()],
        expected_close_date: NaiveDate::from_ymd_opt(2026, 12, 31),
        source: Some("'=x".to_owned()),
        ..wish()
    };
    world.make(&admin, sale).await.unwrap();
    let csv = file(&world, &admin, Filter::default(), Form::Csv).await;
    let text = String::from_utf8(csv).unwrap();
    for cell in ["'=HYPERLINK(1)", "'@SUM(1)", "\"A; \"\"B; C\"\"\"", "2026-12-31", "''=x"] {
        assert!(text.contains(&format!(",{cell},")), "{cell}: {text}");
    }
}

#[tokio::test]
async fn only_so_many_files_are_written_at_once_and_whoever_leaves_makes_room() {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    world.sale(&admin).await;
    let places = places();
    let begin = async |user_id: i64| {
        let sort = list::sort(&mut Invalid::default(), None, None);
        let wanted = Wanted { filter: Filter::default(), sort, now: now() };
        // Each line is a piece of its own and more, so that none ends before it is read.
        let line = Box::new(|_| Ok(vec![b'x'; 2_000_000]));
        let asking = always(&caller(user_id, Role::Admin, None));
        export(&world.state, asking, wanted, Form::Lines(line), &places).await
    };
    let mut running = Vec::new();
    for number in 0..16 {
        running.push(begin(number / 2).await.unwrap());
    }
    assert_eq!(begin(0).await.unwrap_err().reason(), "TOO_MANY_FILES");
    assert_eq!(begin(ADMIN).await.unwrap_err().reason(), "OVERLOADED");
    drop(running.pop());
    // The place is given back by the task that wrote it.
    while begin(ADMIN).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_may_not_ask_any_more_gets_no_more_of_a_file() {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    world.sale(&admin).await;
    sqlx::raw_sql(
        "insert into opportunities (opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, currency, probability, owner_id,
           created_by, created_at, updated_at, stage_entered_at, version)
         select opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, currency, probability, owner_id,
           created_by, created_at, updated_at, stage_entered_at, version
         from opportunities, generate_series(1, 1100)",
    )
    .execute(&world.state.writes)
    .await
    .unwrap();
    let asked = AtomicBool::new(false);
    let asking: Asking = Box::new(move || {
        let refused = Error::unauthenticated("TOKEN_REVOKED", "the session has ended");
        let answer =
            if asked.swap(true, Ordering::Relaxed) { Err(refused) } else { Ok(admin.clone()) };
        Box::pin(ready(answer))
    });
    let sort = list::sort(&mut Invalid::default(), None, None);
    let wanted = Wanted { filter: Filter::default(), sort, now: now() };
    let places = places();
    let mut pieces = export(&world.state, asking, wanted, Form::Csv, &places).await.unwrap();
    let mut end = Ok(Vec::new());
    while let Some(piece) = pieces.recv().await {
        end = piece;
    }
    assert_eq!(end.unwrap_err().reason(), "TOKEN_REVOKED");
}
