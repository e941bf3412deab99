//! What managers expect beside the model: who sets and sees it, its history, and where the forecast shows it.

use analytics::adjustment::model::Adjustment;
use analytics::adjustment::{self, Wish};
use analytics::ask::Ask;
use analytics::period::Asked;
use analytics::plan::Listing;
use analytics::state::Known;
use analytics::{State, forecast};
use money::Money;
use rpc::Error;

use crate::support::{AMY, BOB, Deal, MEI, TEAM, World, at, caller, everything, money, now};

/// An administrator.
const ADA: i64 = 10;

fn quarter(owner_id: Option<i64>, team_id: Option<i64>, units: i128) -> Wish {
    Wish {
        period: Some("quarter".to_owned()),
        year: Some(2025),
        quarter: Some(4),
        owner_id,
        team_id,
        amount: Some(money(units)),
        note: Some("budget is late".to_owned()),
        ..Wish::default()
    }
}

async fn set(world: &World, by: i64, wish: Wish) -> Result<Adjustment, Error> {
    adjustment::set(&world.state, &caller(by), wish, now()).await
}

/// What the forecast of the present quarter says beside the model.
async fn adjusted(world: &World, by: i64, ask: &Ask) -> Option<(Money, Option<Money>)> {
    let asked = Asked::default();
    let it = forecast::forecast(&world.state, &caller(by), ask, &asked, now()).await.unwrap();
    let adjusted = it.adjusted_expected();
    it.adjustment.map(|it| (it.amount, adjusted))
}

#[tokio::test]
async fn a_forecast_shows_what_is_expected_beside_an_unchanged_model() {
    let mut world = World::create("everyone").await;
    let (mut deal, mut events) = Deal::begin(1, AMY, Some(1000), "2025-07-01T01:00:00Z");
    events.push(deal.move_to("won", at("2025-10-05T01:00:00Z")));
    world.tell(events).await;
    let of_amy = Ask { owner_id: Some(AMY), ..Ask::default() };
    assert_eq!(adjusted(&world, MEI, &of_amy).await, None);
    let set = set(&world, MEI, quarter(Some(AMY), None, -300)).await.unwrap();
    assert_eq!((set.version, set.set_by, set.note.as_deref()), (1, MEI, Some("budget is late")));
    let shown = Some((money(-300), Some(money(700))));
    assert_eq!(adjusted(&world, MEI, &of_amy).await, shown);
    assert_eq!(adjusted(&world, ADA, &of_amy).await, shown);
    assert_eq!(adjusted(&world, ADA, &everything()).await, None, "it is of her alone");
    let in_pipeline = Ask { pipeline_id: Some(1), ..of_amy.clone() };
    assert_eq!(adjusted(&world, ADA, &in_pipeline).await, None);
    let in_team = Ask { team_id: Some(TEAM), ..of_amy.clone() };
    assert_eq!(adjusted(&world, ADA, &in_team).await, None, "it is of all she has");
    for by in [AMY, BOB] {
        assert_eq!(adjusted(&world, by, &of_amy).await, None, "{by}");
    }
    let asked = Asked::default();
    let it = forecast::forecast(&world.state, &caller(MEI), &of_amy, &asked, now()).await.unwrap();
    assert_eq!((it.whole.expected(), it.whole.range[1]), (money(1000), money(1000)));
    let later = at("2026-01-20T12:00:00Z");
    let asked = Asked { period: Some("quarter"), year: Some(2025), quarter: Some(4), month: None };
    let it = forecast::forecast(&world.state, &caller(MEI), &of_amy, &asked, later).await.unwrap();
    assert_eq!(it.adjusted_expected(), None, "nothing is expected of what is over");
    assert_eq!(it.adjustment.map(|it| it.amount), Some(money(-300)));
}

#[tokio::test]
async fn who_sets_adjustments_sees_them_and_nobody_else() {
    let world = World::create("everyone").await;
    for (by, owner_id, team_id, may) in [
        (ADA, None, None, true),
        (ADA, Some(BOB), None, true),
        (MEI, Some(AMY), None, true),
        (MEI, None, Some(TEAM), true),
        (MEI, Some(BOB), None, false),
        (MEI, None, None, false),
        (AMY, Some(AMY), None, false),
    ] {
        let answer = set(&world, by, quarter(owner_id, team_id, 5)).await;
        let told = format!("{by} {owner_id:?} {team_id:?} {answer:?}");
        if may {
            assert!(answer.is_ok(), "{told}");
        } else {
            assert!(matches!(answer, Err(Error::Denied { .. })), "{told}");
        }
    }
    let seen = async |by| {
        let listing = Listing::default();
        let it = adjustment::list(&world.state, &caller(by), &listing, now()).await;
        it.map(|(items, _)| items.iter().map(|it| it.subject.ids()).collect::<Vec<_>>())
    };
    assert_eq!(seen(MEI).await.unwrap(), [(0, TEAM), (AMY, 0)]);
    assert_eq!(seen(ADA).await.unwrap(), [(0, TEAM), (AMY, 0), (BOB, 0), (0, 0)]);
    assert!(matches!(seen(AMY).await, Err(Error::Denied { .. })));
    let bobs = set(&world, ADA, quarter(Some(BOB), None, 5)).await.unwrap();
    let hidden = |answer: Result<(), Error>| matches!(answer, Err(Error::NotFound { .. }));
    let mei = caller(MEI);
    assert!(hidden(adjustment::get(&world.state, &mei, bobs.id, now()).await.map(drop)));
    assert!(hidden(adjustment::remove(&world.state, &mei, bobs.id, None, now()).await));
    let changes = adjustment::changes(&world.state, &mei, bobs.id, (None, None)).await;
    assert!(hidden(changes.map(drop)));
}

#[tokio::test]
async fn every_change_is_kept_and_its_removal_too() {
    let world = World::create("everyone").await;
    let first = set(&world, MEI, quarter(Some(AMY), None, 5)).await.unwrap();
    let same = set(&world, ADA, quarter(Some(AMY), None, 5)).await.unwrap();
    assert_eq!(same, first, "to set what is so already changes nothing");
    let noted = Wish { note: Some(" ".to_owned()), ..quarter(Some(AMY), None, 5) };
    let noted = set(&world, ADA, noted).await.unwrap();
    assert_eq!((noted.version, noted.note.as_deref()), (2, None));
    for absent in [Some(1), Some(0)] {
        let absent = Wish { expected_version: absent, ..quarter(None, Some(TEAM), 6) };
        assert!(matches!(set(&world, MEI, absent).await, Err(Error::Stale { current: None })));
    }
    let stale = Wish { expected_version: Some(1), ..quarter(Some(AMY), None, 6) };
    assert!(matches!(set(&world, MEI, stale).await, Err(Error::Stale { current: Some(2) })));
    adjustment::remove(&world.state, &caller(MEI), first.id, Some(2), now()).await.unwrap();
    let again = adjustment::remove(&world.state, &caller(MEI), first.id, None, now()).await;
    assert!(matches!(again, Err(Error::NotFound { .. })));
    let page = async |cursor: Option<&str>| {
        let (rows, next) =
            adjustment::changes(&world.state, &caller(MEI), first.id, (Some(2), cursor))
                .await
                .unwrap();
        let rows: Vec<_> = rows
            .into_iter()
            .map(|it| (it.version, it.amount, it.note, it.changed_by, it.changed_by_name))
            .collect();
        (rows, next)
    };
    let (latest, next) = page(None).await;
    let (earliest, end) = page(next.as_deref()).await;
    let five = Some(money(5));
    assert_eq!(
        latest,
        [(3, None, None, MEI, "Mei".to_owned()), (2, five, None, ADA, String::new()),]
    );
    let note = Some("budget is late".to_owned());
    assert_eq!(earliest, [(1, five, note, MEI, "Mei".to_owned())]);
    assert_eq!(end, None);
    let sets = sqlx::query("update forecast_adjustment_changes set note = 'x'");
    let refused = sets.execute(&world.state.writes).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}

#[tokio::test]
async fn no_amount_is_kept_before_identity_keeps_the_currency_as_it_is() {
    let world = World::create("everyone").await;
    let state = State { currency_fixed: Known::default(), ..world.state.clone() };
    let refused = adjustment::set(&state, &caller(ADA), quarter(None, None, 1), now()).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    let listing = Listing::default();
    let kept = adjustment::list(&world.state, &caller(ADA), &listing, now()).await.unwrap();
    assert!(kept.0.is_empty());
}

#[tokio::test]
async fn what_is_answered_is_what_was_set_and_not_what_somebody_set_after_it() {
    let world = World::create("everyone").await;
    let mut all = tokio::task::JoinSet::new();
    for units in 1..=40 {
        let state = world.state.clone();
        all.spawn(async move {
            let wish = quarter(Some(AMY), None, units);
            let it = adjustment::set(&state, &caller(ADA), wish, now()).await.unwrap();
            (money(units), it.amount)
        });
    }
    for (asked, answered) in all.join_all().await {
        assert_eq!(asked, answered);
    }
}

#[tokio::test]
async fn nobody_and_no_team_has_no_adjustment() {
    let world = World::create("everyone").await;
    set(&world, ADA, quarter(None, None, 1)).await.unwrap();
    for (owner_id, team_id) in [(Some(0), None), (None, Some(0)), (Some(-3), None)] {
        let listing = Listing { owner_id, team_id, ..Listing::default() };
        let it = adjustment::list(&world.state, &caller(ADA), &listing, now()).await.unwrap();
        assert!(it.0.is_empty(), "{owner_id:?} {team_id:?}");
    }
}
