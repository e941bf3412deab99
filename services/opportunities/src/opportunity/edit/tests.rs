//! What a change may say, and what it makes of an opportunity.

use proptest::prelude::*;

use super::*;
use crate::opportunity::event;
use crate::opportunity::line_item::tests::wish as wish_of_line;
use crate::opportunity::model::tests::{at, lead, pipeline};
use crate::pipeline::model::{Pipeline, default_stages};

/// The default pipeline, and one that begins elsewhere.
fn pipelines() -> Pipelines {
    let mut stages = default_stages();
    stages.remove(0);
    let renewals =
        Pipeline { id: 2, name: "Renewals".into(), is_default: false, stages, version: 1 };
    Pipelines::new(vec![pipeline(), renewals])
}

fn edit(wish: EditWish) -> Edit {
    Edit::parse(wish, "TWD").unwrap()
}

fn change(
    before: &Opportunity,
    wish: EditWish,
    day: u32,
) -> Result<(Opportunity, Option<Moved>), Vec<String>> {
    let changed = revise(before, &edit(wish), &Found::default(), &pipelines(), 9, &at(day));
    changed.map_err(faults)
}

fn faults(invalid: Invalid) -> Vec<String> {
    let rpc::Error::Invalid(fields) = invalid.into() else { panic!("it is invalid") };
    fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a wish is what a request says: this one says a value"
)]
fn some<T: Clone>(value: &T) -> Wish<T> {
    Some(Some(value.clone()))
}

fn to(stage: &str) -> EditWish {
    EditWish { stage: some(&stage.to_owned()), ..EditWish::default() }
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 10, day).unwrap()
}

/// One that was lost on the second day.
fn lost() -> Opportunity {
    let wish = EditWish { lost_reason: some(&"價格".to_owned()), ..to("lost") };
    change(&lead(Some("5")), wish, 2).unwrap().0
}

#[test]
fn what_is_not_named_stays_and_null_clears() {
    let before = Opportunity { notes: Some("x".into()), source: Some("fair".into()), ..lead(None) };
    let wish = EditWish {
        notes: Some(None),
        amount: some(&"12.5".parse().unwrap()),
        tags: some(&vec!["a".to_owned()]),
        ..EditWish::default()
    };
    let (after, moved) = change(&before, wish, 3).unwrap();
    assert_eq!(moved, None);
    let expected = Opportunity {
        notes: None,
        amount: Some("12.5".parse().unwrap()),
        tags: vec!["a".to_owned()],
        version: 2,
        updated_at: at(3).at,
        ..before
    };
    assert_eq!(after, expected, "and it is as stale as it was");
}

#[test]
fn to_name_what_is_so_already_changes_nothing() {
    let before = lead(Some("5"));
    let wish = EditWish { amount: some(&"5.00".parse().unwrap()), ..to("潛在客戶") };
    assert_eq!(change(&before, wish, 3).unwrap(), (before, None));
}

#[test]
fn lines_make_the_amount_until_one_is_named_and_again_when_they_are_others() {
    let lines = |price: &str| vec![wish_of_line("A", "2", price, "10")];
    let lined = |price: &str| EditWish { line_items: some(&lines(price)), ..EditWish::default() };
    let amount = |wish: Wish<money::Money>| EditWish { amount: wish, ..EditWish::default() };
    let five = || some(&"5".parse().unwrap());
    let is = |it: &Opportunity, text: &str| assert_eq!(it.amount, Some(text.parse().unwrap()));
    let (it, _) = change(&lead(Some("7")), lined("100"), 2).unwrap();
    is(&it, "180");
    let (it, _) = change(&it, amount(five()), 3).unwrap();
    is(&it, "5");
    // The same lines change nothing, so that whoever sends them every night does not undo it.
    assert_eq!(change(&it, lined("100.00"), 4).unwrap(), (it.clone(), None));
    let both = EditWish { amount: five(), ..lined("1") };
    is(&change(&it, both, 4).unwrap().0, "5");
    is(&change(&it, lined("1"), 4).unwrap().0, "1.8");
    is(&change(&it, amount(Some(None)), 4).unwrap().0, "180");
    let cleared = EditWish { line_items: Some(None), ..EditWish::default() };
    is(&change(&it, cleared.clone(), 4).unwrap().0, "5");
    let both = EditWish { amount: Some(None), ..cleared };
    assert_eq!(change(&it, both, 4).unwrap().0.amount, None);
    assert_eq!(change(&lead(Some("7")), amount(Some(None)), 4).unwrap().0.amount, None);
}

#[test]
fn what_cannot_be_missing_cannot_be_cleared() {
    let wish = EditWish {
        opportunity_name: Some(Some("  ".to_owned())),
        customer_id: Some(None),
        owner_id: Some(None),
        stage: Some(None),
        pipeline_id: Some(None),
        probability: some(&101),
        currency: some(&"XTS".to_owned()),
        amount: some(&"-1".parse().unwrap()),
        ..EditWish::default()
    };
    let expected = [
        "opportunity_name required",
        "customer_id required",
        "probability out_of_range",
        "amount out_of_range",
        "currency unknown_currency",
        "owner_id required",
        "pipeline_id required",
        "stage required",
    ];
    assert_eq!(faults(Edit::parse(wish, "TWD").unwrap_err()), expected);
}

#[test]
fn a_named_stage_is_a_move_that_sees_what_is_changed_with_it() {
    let mut all = pipelines();
    let mut asking = pipeline();
    asking.stages[2].required_fields = vec!["amount".into(), "notes".into()];
    all = Pipelines::new(std::iter::once(asking).chain(all.iter().skip(1).cloned()).collect());
    let before = lead(None);
    let revised = |wish| revise(&before, &edit(wish), &Found::default(), &all, 9, &at(3));
    let wish = EditWish { notes: some(&"y".to_owned()), ..to("proposal") };
    assert_eq!(faults(revised(wish.clone()).unwrap_err()), ["amount required_for_stage"]);
    let wish = EditWish { amount: some(&"7".parse().unwrap()), ..wish };
    let (after, moved) = revised(wish).unwrap();
    let moved = moved.unwrap();
    assert_eq!((moved.to.0.as_str(), moved.notes, after.version), ("proposal", None, 2));
    assert_eq!((after.probability, after.notes.as_deref()), (50, Some("y")));
    assert_eq!(event::kind(Some(&before), &after), "opportunity.stage_changed");
}

#[test]
fn into_another_pipeline_it_comes_to_its_first_stage_or_the_one_that_is_named() {
    let before = lead(None);
    let elsewhere = EditWish { pipeline_id: some(&2), ..EditWish::default() };
    let (after, moved) = change(&before, elsewhere.clone(), 3).unwrap();
    assert_eq!((after.pipeline_id, after.stage_key.as_str()), (2, "qualification"));
    assert_eq!(moved.unwrap().from.unwrap().0, "lead");
    // A stage of the same key there is another stage.
    let (after, _) = change(&before, to("qualification"), 3).unwrap();
    let (after, moved) = change(&after, elsewhere.clone(), 4).unwrap();
    assert_eq!((after.pipeline_id, moved.is_some()), (2, true));
    let unknown = EditWish { pipeline_id: some(&3), ..EditWish::default() };
    assert_eq!(change(&before, unknown, 3).unwrap_err(), ["pipeline_id unknown_pipeline"]);
    let unknown = EditWish { stage: some(&"lead".to_owned()), ..elsewhere };
    assert_eq!(change(&before, unknown, 3).unwrap_err(), ["stage unknown_stage"]);
}

#[test]
fn the_day_a_closed_one_closed_can_be_corrected_within_its_life() {
    let closing =
        |wish: Wish<NaiveDate>| EditWish { actual_close_date: wish, ..EditWish::default() };
    let (after, moved) = change(&lost(), closing(some(&day(1))), 4).unwrap();
    assert_eq!((after.actual_close_date, moved), (Some(day(1)), None));
    assert_eq!(event::kind(Some(&lost()), &after), "opportunity.updated");
    for (before, wish, code) in [
        (lost(), some(&day(5)), "in_the_future"),
        (lost(), some(&NaiveDate::from_ymd_opt(2025, 9, 30).unwrap()), "before_creation"),
        (lost(), Some(None), "required"),
        (lead(None), some(&day(1)), "not_closed"),
    ] {
        let wrong = change(&before, closing(wish), 4).unwrap_err();
        assert_eq!(wrong, [format!("actual_close_date {code}")]);
    }
    assert_eq!(change(&lead(None), closing(Some(None)), 4).unwrap().0, lead(None));
}

#[test]
fn a_probability_stays_until_the_next_move_and_null_is_the_stages() {
    let percent = |wish: Wish<i32>| EditWish { probability: wish, ..EditWish::default() };
    let (after, _) = change(&lead(None), percent(some(&33)), 2).unwrap();
    assert_eq!(after.probability, 33);
    let (after, _) =
        change(&after, EditWish { source: some(&"x".into()), ..EditWish::default() }, 3).unwrap();
    assert_eq!(after.probability, 33);
    assert_eq!(change(&after, percent(Some(None)), 4).unwrap().0.probability, 10);
    assert_eq!(change(&lost(), percent(some(&0)), 4).unwrap().0, lost());
    assert_eq!(change(&lost(), percent(some(&1)), 4).unwrap_err(), ["probability fixed_by_stage"]);
}

#[test]
fn whose_a_closed_one_is_stays_and_an_open_one_counts_for_its_new_owners_team() {
    let handed = EditWish { owner_id: some(&4), ..EditWish::default() };
    let found = || Found { team_id: Some(8), ..Found::default() };
    let revised = |before: &Opportunity, wish| {
        revise(before, &edit(wish), &found(), &pipelines(), 9, &at(4)).map_err(faults)
    };
    let (after, _) = revised(&lead(None), handed.clone()).unwrap();
    assert_eq!((after.owner_id, after.team_id), (4, Some(8)));
    assert_eq!(event::kind(Some(&lead(None)), &after), "opportunity.assigned");
    assert_eq!(revised(&lost(), handed.clone()).unwrap_err(), ["owner_id frozen_when_closed"]);
    let reopened = EditWish { owner_id: some(&4), ..to("proposal") };
    // Where it is not opened for another reason, whose it is is none.
    let wrong = EditWish { actual_close_date: some(&day(2)), ..reopened.clone() };
    assert_eq!(revised(&lost(), wrong).unwrap_err(), ["actual_close_date not_closed"]);
    let (after, _) = revised(&lost(), reopened).unwrap();
    assert_eq!((after.owner_id, after.team_id), (4, Some(8)));
    let (after, _) = revised(&lost(), to("proposal")).unwrap();
    assert_eq!((after.owner_id, after.team_id), (3, Some(8)));
    let (after, _) = revised(&lead(None), EditWish { owner_id: some(&4), ..to("won") }).unwrap();
    assert_eq!((after.owner_id, after.team_id), (4, Some(8)));
}

#[test]
fn the_frozen_amount_of_a_closed_one_follows_a_correction_of_its_amount() {
    let amount =
        |text: &str| EditWish { amount: some(&text.parse().unwrap()), ..EditWish::default() };
    let (after, _) = change(&lost(), amount("6.01"), 4).unwrap();
    assert_eq!(after.closed_amount, after.amount);
    let euros = EditWish { currency: some(&"EUR".to_owned()), ..EditWish::default() };
    assert_eq!(change(&lost(), euros, 4).unwrap().0.closed_amount, None);
    assert_eq!(change(&lead(Some("5")), amount("6"), 4).unwrap().0.closed_amount, None);
}

#[test]
fn a_correction_of_a_closed_one_freezes_it_by_the_rate_that_is_known_for_its_day() {
    let amount =
        |text: &str| EditWish { amount: some(&text.parse().unwrap()), ..EditWish::default() };
    let dollars = EditWish { currency: some(&"USD".to_owned()), ..EditWish::default() };
    let frozen = |it: &Opportunity| it.closed_amount.map(|amount| amount.to_string());
    let before = change(&lost(), dollars, 9).unwrap().0;
    assert_eq!(frozen(&before).as_deref(), Some("162.5"));
    let on = |day| EditWish {
        actual_close_date: some(&model::tests::noon(day).date_naive()),
        ..EditWish::default()
    };
    let (after, _) = change(&before, on(5), 9).unwrap();
    assert_eq!(frozen(&after).as_deref(), Some("150"));
    assert_eq!(after.version, before.version + 1);
    let (after, _) = change(&before, on(1), 9).unwrap();
    assert_eq!((frozen(&after), after.closed_rate), (None, None));
    // Another amount is worth what it was worth then, whatever has become of the rate.
    let rated = Opportunity { closed_rate: Some("40".parse().unwrap()), ..before.clone() };
    let (after, _) = change(&rated, amount("6"), 9).unwrap();
    assert_eq!((frozen(&after).as_deref(), after.closed_rate), (Some("240"), rated.closed_rate));
    // A correction on the way into another stage of the kind is one, too.
    let both = EditWish { pipeline_id: some(&2), stage: some(&"lost".to_owned()), ..amount("6") };
    let (after, moved) = change(&before, both, 9).unwrap();
    assert_eq!((frozen(&after).as_deref(), moved.is_some()), (Some("195"), true));
}

#[test]
fn one_that_closed_without_a_rate_takes_one_that_is_known_by_now_when_it_is_said_again_and_not_before()
 {
    let mut before = lost();
    before.currency = "USD".to_owned();
    (before.closed_amount, before.closed_rate) = (None, None);
    let (after, _) = change(&before, notes(), 9).unwrap();
    assert_eq!(after.closed_amount, None);
    let again = EditWish { amount: Some(before.amount), ..EditWish::default() };
    let (after, _) = change(&before, again.clone(), 9).unwrap();
    assert_eq!(after.closed_amount, Some("162.5".parse().unwrap()));
    assert_eq!(after.version, before.version + 1);
    // One that has a value keeps it: whatever rates have become since.
    let kept = Opportunity { closed_amount: Some("1".parse().unwrap()), ..after };
    assert_eq!(change(&kept, again, 9).unwrap().0, kept);
}

fn notes() -> EditWish {
    EditWish { notes: some(&"x".to_owned()), ..EditWish::default() }
}

#[test]
fn why_it_was_lost_is_for_a_lost_one() {
    let reason = |wish: Wish<String>| EditWish { lost_reason: wish, ..EditWish::default() };
    let (after, _) = change(&lost(), reason(some(&"時機".to_owned())), 4).unwrap();
    assert_eq!(after.lost_reason.as_deref(), Some("時機"));
    assert_eq!(change(&lost(), reason(Some(None)), 4).unwrap().0.lost_reason, None);
    let wrong = change(&lead(None), reason(some(&"x".to_owned())), 4).unwrap_err();
    assert_eq!(wrong, ["lost_reason not_lost"]);
}

#[test]
fn what_its_stage_asks_for_cannot_be_taken_away_again() {
    let mut asking = pipeline();
    asking.stages[0].required_fields = vec!["source".into(), "amount".into()];
    let all = Pipelines::new(vec![asking]);
    let before = Opportunity { source: Some("fair".into()), ..lead(None) };
    let revised = |wish| revise(&before, &edit(wish), &Found::default(), &all, 9, &at(2));
    let cleared = EditWish { source: Some(None), ..EditWish::default() };
    assert_eq!(faults(revised(cleared).unwrap_err()), ["source required_for_stage"]);
    // What was missing before does not stand in the way of anything else.
    let noted = EditWish { notes: some(&"x".to_owned()), ..EditWish::default() };
    assert_eq!(revised(noted).unwrap().0.version, 2);
}

#[test]
fn a_contact_is_named_by_name_or_address_and_cleared_by_null() {
    let parsed = |name: Wish<&str>, email: Wish<&str>| {
        let owned = |wish: Wish<&str>| wish.map(|it| it.map(str::to_owned));
        let wish = EditWish {
            contact_name: owned(name),
            contact_email: owned(email),
            ..EditWish::default()
        };
        edit(wish).contact
    };
    let of = |name: Option<&str>, email: Option<&str>| ContactEdit::Of {
        name: name.map(str::to_owned),
        email: email.map(str::to_owned),
    };
    assert_eq!(parsed(None, None), ContactEdit::Keep);
    assert_eq!(parsed(Some(None), None), ContactEdit::Clear);
    assert_eq!(parsed(None, Some(None)), ContactEdit::Clear);
    assert_eq!(parsed(Some(Some("Chen")), Some(None)), of(Some("Chen"), None));
    let by_address = parsed(None, Some(Some("a@b.c")));
    assert_eq!(by_address, of(None, Some("a@b.c")));
    assert_eq!(by_address.wish(Some("Chen")).unwrap().name, "Chen");
    assert_eq!(by_address.wish(None).unwrap().name, "a@b.c");
}

proptest! {
    /// A change that names a stage comes to the same as a move to it.
    #[test]
    fn a_change_and_a_move_follow_the_same_rules(
        steps in prop::collection::vec((0..7_usize, prop::option::of(-1..102_i32), any::<bool>()), 0..20)
    ) {
        let (pipeline, all) = (pipeline(), pipelines());
        let (mut moved, mut changed) = (lead(Some("1234.56")), lead(Some("1234.56")));
        for (index, (stage, probability, has_reason)) in steps.into_iter().enumerate() {
            let moment = at(2 + u32::try_from(index).unwrap());
            let stage = &pipeline.stages[stage];
            let lost_reason = has_reason.then(|| "價格".to_owned());
            let is_elsewhere = stage.key != moved.stage_key;
            let step = Step { probability, lost_reason: lost_reason.clone(), ..Step::default() };
            let by_move = model::advance(&mut moved, &pipeline, stage, step, 9, &moment);
            let wish = EditWish {
                probability: probability.map(Some),
                lost_reason: lost_reason.filter(|_| is_elsewhere).map(Some),
                ..to(&stage.name)
            };
            let by_change = Edit::parse(wish, "TWD")
                .and_then(|edit| revise(&changed, &edit, &Found::default(), &all, 9, &moment));
            prop_assert_eq!(by_move.is_ok(), by_change.is_ok() && (is_elsewhere || stage.kind == Kind::Lost || !has_reason));
            match by_change {
                Ok((after, _)) if by_move.is_ok() => changed = after,
                _ => {}
            }
            prop_assert_eq!(&changed, &moved);
        }
    }
}
