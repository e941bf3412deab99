//! What is wrong with rows of a file: all that can be told at once, in the order of their columns, and nothing that only follows from what is told.

use auth::Role;
use opportunities::import::model::Row;
use opportunities::import::{self, Options};

use crate::imports::{admin, all, bring, count, history, work_off};
use crate::support::{World, caller, event, person};
use crate::workbooks::table;

const HEADER: &str = "opportunity_name,customer_name,external_id,amount,stage,owner_email,expected_close_date,lost_reason,probability,pipeline_id";

/// The rows in words: number, what became of it, and all that is not good.
fn told(rows: &[Row]) -> Vec<String> {
    let faults = |it: &Row| {
        let faults = it.outcome.errors.iter().map(|it| format!("{} {}", it.field, it.code));
        faults.collect::<Vec<_>>().join(", ")
    };
    let word = |it: &Row| format!("{} {}: {}", it.row, it.outcome.status.as_str(), faults(it));
    rows.iter().map(word).collect()
}

/// Where a proposal asks for its amount and its day, and a loss for its reason.
async fn asking() -> World {
    let world = World::create("everyone").await;
    let asks =
        "update stages set required_fields = '{amount,expected_close_date}' where ordinal = $1";
    world.sql(asks, 3).await;
    world.sql("update stages set required_fields = '{lost_reason}' where ordinal = $1", 7).await;
    world
}

#[tokio::test]
async fn a_row_is_told_all_that_is_wrong_with_it_at_once() {
    let world = asking().await;
    let long = format!(",,{},-1,proposal,,soon,,,", "x".repeat(256));
    let (rows, expected): (Vec<_>, Vec<_>) = [
        (
            ",,x,twelve,nowhere,nobody@example.com,31/12/2026,,101,",
            "opportunity_name required, customer_name required, amount wrong_type, stage unknown_stage, owner_email unknown_user, expected_close_date invalid_date, probability out_of_range",
        ),
        // What cannot be read is not missing.
        ("A,X,,twelve,proposal,,soon,,,", "amount wrong_type, expected_close_date invalid_date"),
        (
            "A,X,,twelve,lost,,,,5,",
            "amount wrong_type, lost_reason required_for_stage, probability fixed_by_stage",
        ),
        ("A,X,,-1,lead,,,Price,,", "amount out_of_range, lost_reason not_lost"),
        // What a stage asks for is not known without it, and which stages there are not without their pipeline.
        ("A,X,,,#N/A,,soon,Price,50,", "stage formula_error, expected_close_date invalid_date"),
        ("A,X,,twelve,proposal,,,,,x", "amount wrong_type, pipeline_id wrong_type"),
        (
            "A,X,,twelve,nowhere,,,,,x",
            "amount wrong_type, stage unknown_stage, pipeline_id wrong_type",
        ),
        // Cells may be under the headers of others.
        (",X,,twelve,nowhere,,,,,,extra", " too_many_cells, amount wrong_type"),
        // What is there already need not be named.
        (
            &*long,
            "external_id too_long, amount out_of_range, expected_close_date invalid_date",
        ),
        ("G,X,g,5,,,,,,", ""),
        (
            ",,g,twelve,nowhere,,,,,",
            "external_id duplicate, amount wrong_type, stage unknown_stage",
        ),
    ]
    .into_iter()
    .unzip();
    let lines: Vec<_> = std::iter::once(HEADER).chain(rows).collect();
    let file = lines.join("\r\n");
    let expected: Vec<_> = expected
        .iter()
        .enumerate()
        .map(|(index, faults)| {
            let became = if faults.is_empty() { "created" } else { "failed" };
            format!("{} {became}: {faults}", index + 2)
        })
        .collect();
    let look = Options { dry_run: true, ..Options::default() };
    let (_, found) = all(&world, &admin(), &file, look).await;
    assert_eq!(told(&found), expected);
    assert_eq!(count(&world, "opportunities").await, 0);
    let whole = Options { all_or_nothing: true, ..Options::default() };
    let (_, found) = all(&world, &admin(), &file, whole).await;
    let bad: Vec<_> = expected.iter().filter(|it| it.contains("failed")).cloned().collect();
    assert_eq!(told(&found), bad);
    let (_, found) = all(&world, &admin(), &file, Options::default()).await;
    assert_eq!(told(&found), expected);
    let elsewhere = asking().await;
    let cells: Vec<Vec<_>> = lines.iter().map(|line| line.split(',').collect()).collect();
    let id = bring(&elsewhere, &admin(), &table(&cells), Options::default()).await.unwrap();
    assert_eq!(told(&work_off(&elsewhere, &admin(), id).await.1), expected, "of a workbook");
}

#[tokio::test]
async fn a_change_is_told_all_that_is_wrong_with_it_at_once() {
    let world = asking().await;
    let file = format!("{HEADER}\r\nG,X,g,,,,,,,\r\n");
    let (_, made) = all(&world, &admin(), &file, Options::default()).await;
    let rows = [
        ",,g,twelve,lost,nobody@example.com,soon,,50,",
        ",,g,twelve,proposal,,soon,,,",
        ",,g,,#N/A,,,Price,101,",
        ",,g,twelve,lost,,,,,x",
        ",,g,,nowhere,,,Price,,",
    ];
    let file = format!("{HEADER}\r\n{}\r\n", rows.join("\r\n"));
    let (_, found) = all(&world, &admin(), &file, Options::default()).await;
    let expected = [
        "2 failed: amount wrong_type, owner_email unknown_user, expected_close_date invalid_date, lost_reason required_for_stage, probability fixed_by_stage",
        "3 failed: amount wrong_type, expected_close_date invalid_date",
        "4 failed: stage formula_error, probability out_of_range",
        "5 failed: amount wrong_type, pipeline_id wrong_type",
        "6 failed: stage unknown_stage",
    ];
    assert_eq!(told(&found), expected);
    let id = made[0].outcome.opportunity_id.unwrap();
    assert_eq!(world.find(id).await.version, 1);
    world.delete(&admin(), id).await.unwrap();
    let file = format!("{HEADER}\r\n,,g,twelve,lost,,,,101,\r\n");
    let (_, found) = all(&world, &admin(), &file, Options::default()).await;
    let expected =
        ["2 failed: external_id opportunity_deleted, amount wrong_type, probability out_of_range"];
    assert_eq!(told(&found), expected);
    assert_eq!(found[0].outcome.opportunity_id, Some(id), "it is named");
}

#[tokio::test]
async fn what_is_not_allowed_is_told_beside_what_is_not_good() {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(1, "rep", Some(7))), event(1, person(2, "rep", Some(8)))]).await;
    let (amy, ben) = (caller(1, Role::Rep, Some(7)), caller(2, Role::Rep, Some(8)));
    let header = "opportunity_name,customer_name,external_id,amount,stage,owner_id";
    let file = format!("{header}\r\nB,X,b,1,,\r\n");
    all(&world, &ben, &file, Options::default()).await;
    let file = format!("{header}\r\nA,X,a,twelve,nowhere,2\r\n,,b,twelve,nowhere,\r\n");
    let (_, found) = all(&world, &amy, &file, Options::default()).await;
    let expected = [
        "2 failed: amount wrong_type, stage unknown_stage, owner_id owner_not_self",
        "3 failed:  not_yours, amount wrong_type, stage unknown_stage",
    ];
    assert_eq!(told(&found), expected);
    world.set_visibility("owner", 2).await;
    let (found, rows) = all(&world, &amy, &file, Options::default()).await;
    let expected =
        "3 failed: external_id external_id_taken, amount wrong_type, stage unknown_stage";
    assert_eq!((&*told(&rows)[1], rows[1].outcome.opportunity_id), (expected, None));
    assert_eq!(import::rows(&world.state, &found, 0, None, 1).await.unwrap().0.len(), 1);
}

#[tokio::test]
async fn a_past_is_told_all_that_is_wrong_with_it_at_once() {
    let world = asking().await;
    let header = "opportunity_name,customer_name,amount,stage,actual_close_date,created_at,stage_history,lost_reason";
    let rows = [
        ",X,twelve,nowhere,,soon,nowhere@2025-01-01,",
        "A,X,twelve,won,soon,2025-01-01,,",
        "A,X,twelve,lost,,2025-01-01,,",
        "A,X,twelve,won,,2025-01-01,lead 2025-01-02;lost@2025-01-03,",
        "A,X,twelve,won,,2025-01-02,lead@2025-01-01,",
    ];
    let file = format!("{header}\r\n{}\r\n", rows.join("\r\n"));
    let (_, found) = all(&world, &admin(), &file, history()).await;
    let expected = [
        "2 failed: opportunity_name required, amount wrong_type, stage unknown_stage, created_at invalid_time, stage_history unknown_stage",
        "3 failed: amount wrong_type, actual_close_date invalid_date",
        "4 failed: amount wrong_type, actual_close_date required, lost_reason required_for_stage",
        "5 failed: amount wrong_type, stage_history invalid_time",
        "6 failed: amount wrong_type, stage differs_from_history, stage_history before_creation",
    ];
    assert_eq!(told(&found), expected);
}
