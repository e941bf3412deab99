//! The rules of administration, told as sentences.

use proptest::prelude::*;

use super::*;
use crate::custom_field::model::{CustomField, Type};
use crate::pipeline::model::default_stages;

fn named(name: &str) -> NewStage {
    NewStage { name: name.to_owned(), ..NewStage::default() }
}

/// The organisation's own fields: one that is there, and one that is gone.
fn own() -> CustomFields {
    let field = |key: &str, is_deleted| CustomField {
        key: key.to_owned(),
        name: key.to_owned(),
        kind: Type::Text,
        choices: Vec::new(),
        is_deleted,
    };
    CustomFields { items: vec![field("region", false), field("gone", true)], version: 1 }
}

/// The bad fields, with their codes.
fn told(invalid: Invalid) -> Vec<String> {
    match rpc::Error::from(invalid) {
        rpc::Error::Invalid(fields) => {
            fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect()
        }
        _ => Vec::new(),
    }
}

fn put(stages: &mut Vec<Stage>, new: NewStage) -> Result<String, Vec<String>> {
    let mut invalid = Invalid::default();
    let key = new_stage(stages, new, (&[], &own()), &mut invalid);
    if invalid.is_empty() { Ok(key.unwrap()) } else { Err(told(invalid)) }
}

fn change(stages: &mut Vec<Stage>, index: usize, edit: StageEdit) -> Result<(), Vec<String>> {
    let mut invalid = Invalid::default();
    edit_stage(stages, index, edit, &own(), &mut invalid);
    if invalid.is_empty() { Ok(()) } else { Err(told(invalid)) }
}

fn keys(stages: &[Stage]) -> String {
    stages.iter().map(|it| &*it.key).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_key_is_made_from_a_latin_name_and_otherwise_by_number() {
    let mut stages = default_stages();
    for (name, key) in [
        ("Demo & pilot", "demo_pilot"),
        ("Démo – pilot?", "demo_pilot_2"),
        ("ＰｏＣ １", "poc_1"),
        ("產品展示", "stage_11"),
        ("Демо", "stage_12"),
        ("🚀", "stage_13"),
        ("Order", "order_2"),
    ] {
        assert_eq!(put(&mut stages, named(name)).unwrap(), key, "{name}");
    }
    let long = put(&mut stages, named(&"x".repeat(255))).unwrap();
    assert!(long.len() <= LONGEST_KEY, "{long}");
}

#[test]
fn a_made_key_is_none_that_a_deleted_stage_had_and_a_named_one_of_the_same_kind_alone() {
    let retired = |is_used| [Retired { key: "demo".to_owned(), kind: Kind::Open, is_used }];
    let mut invalid = Invalid::default();
    let mut stages = default_stages();
    let made = new_stage(&mut stages, named("Demo"), (&retired(false), &own()), &mut invalid);
    assert_eq!(made.as_deref(), Some("demo_2"));
    let again = |kind, is_used| {
        let mut invalid = Invalid::default();
        let new =
            NewStage { key: Some("demo".to_owned()), kind: Some(kind), ..named("Demonstration") };
        new_stage(&mut default_stages(), new, (&retired(is_used), &own()), &mut invalid);
        told(invalid)
    };
    assert!(invalid.is_empty());
    assert_eq!(again(Kind::Lost, true), ["key other_kind"]);
    assert!(again(Kind::Open, true).is_empty());
    assert!(again(Kind::Lost, false).is_empty());
}

#[test]
fn no_name_or_key_means_another_stage_however_it_is_written() {
    for (key, name, wrong) in [
        (None, " 潛在客戶 ", "name taken"),
        (None, "ＬＥＡＤ", "name taken"),
        (None, "Won", "name taken"),
        (Some("lead"), "Other", "key taken"),
        (Some("Lead"), "Other", "key invalid_character"),
        (Some("a-b"), "Other", "key invalid_character"),
        (Some("order"), "Other", "key reserved"),
        (Some(""), "Other", "key required"),
        (None, "  ", "name required"),
        (None, "a\0", "name invalid_character"),
    ] {
        let new = NewStage { key: key.map(str::to_owned), ..named(name) };
        assert_eq!(put(&mut default_stages(), new), Err(vec![wrong.to_owned()]), "{key:?} {name}");
    }
    let mut stages = default_stages();
    put(&mut stages, NewStage { key: Some("x".to_owned()), ..named("Pilot") }).unwrap();
    let key = Some("pilot".to_owned());
    assert_eq!(put(&mut stages, NewStage { key, ..named("Y") }).unwrap_err(), ["key taken"]);
    let own = StageEdit { name: Some(Some("LEAD".to_owned())), ..StageEdit::default() };
    change(&mut stages, 0, own).unwrap();
}

#[test]
fn a_new_stage_comes_after_the_last_of_its_kind_halfway_between_its_neighbours() {
    let mut stages = default_stages();
    put(&mut stages, named("a")).unwrap();
    put(&mut stages, NewStage { kind: Some(Kind::Won), ..named("b") }).unwrap();
    put(&mut stages, NewStage { position: Some(1), ..named("c") }).unwrap();
    put(&mut stages, NewStage { position: Some(5), ..named("d") }).unwrap();
    assert_eq!(keys(&stages), "c lead qualification proposal d negotiation contract a won b lost");
    let of = |key: &str| stages.iter().find(|it| it.key == key).unwrap().default_probability;
    assert_eq!(["c", "d", "a", "b"].map(of), [5, 60, 95, 100]);
    for position in [0, -1, 13, i32::MAX] {
        let new = NewStage { position: Some(position), ..named("e") };
        assert_eq!(put(&mut stages.clone(), new).unwrap_err(), ["position out_of_range"]);
    }
}

#[test]
fn what_is_wrong_with_a_stage_is_told_at_once() {
    let new = NewStage {
        default_probability: Some(50),
        kind: Some(Kind::Won),
        rotting_days: Some(0),
        forecast_category: Some(Category::Commit),
        required_fields: [
            "amount",
            "colour",
            "lost_reason",
            "custom_fields.region",
            "custom_fields.gone",
            "custom_fields.",
            "region",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..named("")
    };
    assert_eq!(
        put(&mut default_stages(), new).unwrap_err(),
        [
            "name required",
            "default_probability fixed_by_kind",
            "rotting_days out_of_range",
            "forecast_category fixed_by_kind",
            "required_fields[1] unknown_value",
            "required_fields[2] not_lost",
            "required_fields[4] unknown_value",
            "required_fields[5] unknown_value",
            "required_fields[6] unknown_value",
        ]
    );
}

#[test]
fn a_stage_of_another_kind_has_the_probability_of_that_kind() {
    let mut stages = default_stages();
    let kind = |kind| StageEdit { kind: Some(Some(kind)), ..StageEdit::default() };
    change(&mut stages, 3, kind(Kind::Won)).unwrap();
    assert_eq!((stages[3].kind, stages[3].default_probability), (Kind::Won, 100));
    change(&mut stages, 3, kind(Kind::Open)).unwrap();
    assert_eq!((stages[3].kind, stages[3].default_probability), (Kind::Open, 70));
    assert_eq!(change(&mut stages, 6, kind(Kind::Won)).unwrap_err(), ["kind needs_each_kind"]);
    let mut stages = default_stages();
    assert_eq!(change(&mut stages, 0, kind(Kind::Lost)).unwrap_err(), ["kind first_not_open"]);
}

#[test]
fn what_has_to_be_there_cannot_be_cleared() {
    let edit = StageEdit {
        name: Some(None),
        kind: Some(None),
        position: Some(None),
        rotting_days: Some(None),
        required_fields: Some(None),
        default_probability: Some(None),
        forecast_category: Some(None),
    };
    let wrong = change(&mut default_stages(), 1, edit).unwrap_err();
    assert_eq!(wrong, ["name required", "kind required", "position required"]);
}

#[test]
fn an_order_names_every_stage_once_and_begins_with_an_open_one() {
    let order = |text: &str| {
        let (mut stages, mut invalid) = (default_stages(), Invalid::default());
        let keys: Vec<_> = text.split(' ').map(str::to_owned).collect();
        reorder(&mut stages, &keys, &mut invalid);
        if invalid.is_empty() { Ok(super::tests::keys(&stages)) } else { Err(told(invalid)) }
    };
    let sound = "qualification lead proposal won contract negotiation lost";
    assert_eq!(order(sound).unwrap(), sound);
    assert_eq!(
        order("lead lead x qualification proposal negotiation contract won").unwrap_err(),
        ["keys[1] duplicate", "keys[2] unknown_stage", "keys incomplete"]
    );
    assert_eq!(
        order("won lead qualification proposal negotiation contract lost").unwrap_err(),
        ["keys first_not_open"]
    );
}

#[test]
fn a_pipeline_of_ones_own_needs_each_kind_and_an_open_stage_first() {
    let lay = |stages: &[(&str, Kind)]| {
        let new = |(name, kind): &(&str, Kind)| NewStage { kind: Some(*kind), ..named(name) };
        let mut invalid = Invalid::default();
        let stages = lay_out(stages.iter().map(new).collect(), &own(), &mut invalid);
        if invalid.is_empty() { Ok(keys(&stages)) } else { Err(told(invalid)) }
    };
    let (open, won, lost) = (Kind::Open, Kind::Won, Kind::Lost);
    assert_eq!(lay(&[("New", open), ("Yes", won), ("No", lost)]).unwrap(), "new yes no");
    assert_eq!(lay(&[("New", open), ("Yes", won)]).unwrap_err(), ["stages needs_each_kind"]);
    let backwards = lay(&[("Yes", won), ("New", open), ("No", lost)]);
    assert_eq!(backwards.unwrap_err(), ["stages first_not_open"]);
    let doubled = lay(&[("New", open), ("NEW", open), ("Yes", won), ("No", lost)]);
    assert_eq!(doubled.unwrap_err(), ["stages[1].name taken"]);
}

proptest! {
    /// Whatever is asked, what comes of it without complaint is a pipeline whose stages are found by their name and key.
    #[test]
    fn what_is_let_through_is_a_pipeline_whose_stages_are_all_found(
        asked in proptest::collection::vec(
            ("[a-cA-C ｂ需]{0,3}", proptest::option::of("[ab]{1,2}"), 0_usize..3, -1_i32..10, 0_usize..9), 1..12
        )
    ) {
        let mut stages = default_stages();
        for (name, key, kind, position, index) in asked {
            let kind = [Kind::Open, Kind::Won, Kind::Lost][kind];
            let mut next = stages.clone();
            let is_sound = if index < stages.len() && position % 2 == 0 {
                let edit = StageEdit {
                    name: Some(Some(name)),
                    kind: Some(Some(kind)),
                    position: Some(Some(position)),
                    ..StageEdit::default()
                };
                change(&mut next, index, edit).is_ok()
            } else {
                let new = NewStage { key, kind: Some(kind), position: Some(position), ..named(&name) };
                put(&mut next, new).is_ok() && flaw(&next).is_none()
            };
            if is_sound {
                stages = next;
            }
        }
        prop_assert_eq!(flaw(&stages), None);
        let pipeline = Pipeline { id: 1, name: String::new(), is_default: true, stages, version: 1 };
        for stage in &pipeline.stages {
            for called in [stage.name.clone(), stage.name.to_uppercase(), stage.key.clone(), stage.key.to_uppercase()] {
                prop_assert_eq!(&pipeline.find(&called).unwrap().key, &stage.key, "{}", called);
            }
            let fixed = match stage.kind { Kind::Open => None, Kind::Won => Some(100), Kind::Lost => Some(0) };
            prop_assert!(fixed.is_none_or(|fixed| fixed == stage.default_probability));
        }
    }
}
