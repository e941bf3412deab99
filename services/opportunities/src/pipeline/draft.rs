//! What an administrator asks of pipelines and stages, and the rules by which it becomes part of them.

use rpc::{Invalid, mask::Wish};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::category::Category;
use super::model::{Kind, Pipeline, REQUIRABLE, Stage, own_field};
use crate::custom_field::model::CustomFields;
use crate::page::place;
use crate::text;

/// How many stages a pipeline has at most.
pub const MOST_STAGES: usize = 50;
/// How many pipelines there are at most.
pub const MOST_PIPELINES: usize = 100;
/// How long a key may be.
const LONGEST_KEY: usize = 64;
/// A number of days after which nothing would ever be stale.
const MOST_DAYS: i32 = 3_650;
/// What a key cannot be, because a path says something else by it.
const RESERVED: [&str; 1] = ["order"];

/// The key of a stage that was deleted, and the kind that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// The key.
    pub key: String,
    /// The kind.
    pub kind: Kind,
    /// Whether the history of an opportunity names it.
    pub is_used: bool,
}

/// A new stage as somebody asks for it.
#[derive(Clone, Debug, Default)]
pub struct NewStage {
    /// Its key; made from its name where absent.
    pub key: Option<String>,
    /// Its name.
    pub name: String,
    /// What being in it means; open where absent.
    pub kind: Option<Kind>,
    /// Percent; of an open one halfway between its neighbours where absent.
    pub default_probability: Option<i32>,
    /// Days after which an opportunity in it is stale.
    pub rotting_days: Option<i32>,
    /// How sure a forecast may be of what stands in it; by its probability where absent.
    pub forecast_category: Option<Category>,
    /// Fields that a move into it needs.
    pub required_fields: Vec<String>,
    /// Where it comes, from 1; after the last of its kind where absent.
    pub position: Option<i32>,
}

/// What is to be other about a stage.
#[derive(Clone, Debug, Default)]
pub struct StageEdit {
    /// Its name.
    pub name: Wish<String>,
    /// What being in it means.
    pub kind: Wish<Kind>,
    /// Percent.
    pub default_probability: Wish<i32>,
    /// Days after which an opportunity in it is stale.
    pub rotting_days: Wish<i32>,
    /// How sure a forecast may be of what stands in it.
    pub forecast_category: Wish<Category>,
    /// Fields that a move into it needs.
    pub required_fields: Wish<Vec<String>>,
    /// Where it comes, from 1.
    pub position: Wish<i32>,
}

/// The stages of a new pipeline, in order. Whatever is wrong is noted by its place.
pub fn lay_out(
    asked: Vec<NewStage>,
    custom_fields: &CustomFields,
    invalid: &mut Invalid,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    if asked.len() > MOST_STAGES {
        invalid.add("stages", "too_many", format!("are more than {MOST_STAGES}"));
        return stages;
    }
    for (index, new) in asked.into_iter().enumerate() {
        let mut wrong = Invalid::default();
        let position = i32::try_from(stages.len() + 1).ok();
        let new = NewStage { position, ..new };
        let _ = new_stage(&mut stages, new, (&[], custom_fields), &mut wrong);
        invalid.extend(wrong.within(&format!("stages[{index}]")));
    }
    if let Some((code, message)) = flaw(&stages).filter(|_| invalid.is_empty()) {
        invalid.add("stages", code, message);
    }
    stages
}

/// Puts a new stage among others; its key. Whatever is wrong is noted.
pub fn new_stage(
    stages: &mut Vec<Stage>,
    new: NewStage,
    (retired, custom_fields): (&[Retired], &CustomFields),
    invalid: &mut Invalid,
) -> Option<String> {
    let name = name(invalid, stages, &new.name, None);
    let kind = new.kind.unwrap_or(Kind::Open);
    let key = match &new.key {
        Some(key) => own_key(invalid, stages, key),
        None => name.as_ref().map(|name| made_key(stages, retired, name)),
    };
    let before =
        key.as_ref().and_then(|key| retired.iter().find(|it| it.is_used && it.key == *key));
    if before.is_some_and(|before| before.kind != kind) {
        let message = "is of a deleted stage of another kind, which the history names";
        invalid.add("key", "other_kind", message);
    }
    let place = match new.position {
        Some(position) => place(invalid, position, stages.len() + 1),
        None => usual_place(stages, kind),
    };
    let stage = Stage {
        key: key.unwrap_or_default(),
        name: name.unwrap_or_default(),
        kind,
        default_probability: match new.default_probability {
            Some(percent) => percent,
            None => usual_probability(stages, place, kind),
        },
        rotting_days: new.rotting_days,
        forecast_category: new.forecast_category,
        required_fields: distinct(invalid, new.required_fields),
        moving_to: None,
        version: 0,
    };
    check(invalid, &stage, custom_fields);
    let key = stage.key.clone();
    stages.insert(place.min(stages.len()), stage);
    (!key.is_empty()).then_some(key)
}

/// Changes the stage at a place among others. Whether its kind may change, who knows whether it was used has asked before. Whatever is wrong is noted.
pub fn edit_stage(
    stages: &mut Vec<Stage>,
    index: usize,
    edit: StageEdit,
    custom_fields: &CustomFields,
    invalid: &mut Invalid,
) {
    let cleared = |invalid: &mut Invalid, field: &str| {
        invalid.add(field, "required", "cannot be cleared");
    };
    let mut stage = stages[index].clone();
    if let Some(wanted) = edit.name
        && let Some(name) = name(invalid, stages, &wanted.unwrap_or_default(), Some(index))
    {
        stage.name = name;
    }
    let was = stage.kind;
    match edit.kind {
        Some(Some(kind)) => stage.kind = kind,
        Some(None) => cleared(invalid, "kind"),
        None => {}
    }
    match edit.default_probability {
        Some(Some(percent)) => stage.default_probability = percent,
        // Null, and of another kind absence, mean what a new one would have.
        Some(None) => {
            stage.default_probability = usual_probability_of(stages, index, stage.kind);
        }
        None if stage.kind != was => {
            stage.default_probability = usual_probability_of(stages, index, stage.kind);
        }
        None => {}
    }
    if let Some(days) = edit.rotting_days {
        stage.rotting_days = days;
    }
    match edit.forecast_category {
        Some(category) => stage.forecast_category = category,
        // One that closes says nothing of what is open.
        None if stage.kind != Kind::Open => stage.forecast_category = None,
        None => {}
    }
    if let Some(fields) = edit.required_fields {
        stage.required_fields = distinct(invalid, fields.unwrap_or_default());
    }
    check(invalid, &stage, custom_fields);
    let mut target = index;
    match edit.position {
        Some(Some(position)) => target = place(invalid, position, stages.len()),
        Some(None) => cleared(invalid, "position"),
        None => {}
    }
    stages.remove(index);
    stages.insert(target.min(stages.len()), stage);
    if let Some((code, message)) = flaw(stages).filter(|_| invalid.is_empty()) {
        let field = if stages[target].kind == was { "position" } else { "kind" };
        invalid.add(field, code, message);
    }
}

/// Brings stages into the order of these keys: every one of them, each once. Those that are being deleted may be left out. Whatever is wrong is noted.
pub fn reorder(stages: &mut Vec<Stage>, keys: &[String], invalid: &mut Invalid) {
    if keys.len() > 2 * MOST_STAGES {
        invalid.add("keys", "too_many", format!("are more than {MOST_STAGES}"));
        return;
    }
    let mut rest = std::mem::take(stages);
    for (index, key) in keys.iter().enumerate() {
        let is_it = |stage: &Stage| stage.key.eq_ignore_ascii_case(key.trim());
        match rest.iter().position(is_it) {
            Some(found) => stages.push(rest.remove(found)),
            None if stages.iter().any(is_it) => {
                invalid.add(format!("keys[{index}]"), "duplicate", "is named twice");
            }
            None => {
                let message = "there is no such stage in the pipeline";
                invalid.add(format!("keys[{index}]"), "unknown_stage", message);
            }
        }
    }
    let missing: Vec<_> =
        rest.iter().filter(|it| it.moving_to.is_none()).map(|it| &*it.key).collect();
    if !missing.is_empty() {
        let message = format!("has to name every stage; missing: {}", missing.join(", "));
        invalid.add("keys", "incomplete", message);
    }
    stages.append(&mut rest);
    if let Some((code, message)) = flaw(stages).filter(|_| invalid.is_empty()) {
        invalid.add("keys", code, message);
    }
}

/// What keeps stages from being those of a pipeline, as a code and for people. Those that are being deleted do not count.
pub fn flaw(stages: &[Stage]) -> Option<(&'static str, &'static str)> {
    let mut staying = stages.iter().filter(|stage| stage.moving_to.is_none());
    let has = |kind| stages.iter().any(|it| it.moving_to.is_none() && it.kind == kind);
    if ![Kind::Open, Kind::Won, Kind::Lost].into_iter().all(has) {
        return Some((
            "needs_each_kind",
            "a pipeline needs an open, a won and a lost stage at least",
        ));
    }
    if staying.next().is_some_and(|first| first.kind != Kind::Open) {
        return Some(("first_not_open", "the first stage has to be an open one"));
    }
    None
}

/// A name for a pipeline, which no other has.
pub fn pipeline_name<'a>(
    invalid: &mut Invalid,
    value: &str,
    mut others: impl Iterator<Item = &'a Pipeline>,
) -> Option<String> {
    let name = text::needed_name(invalid, "name", Some(value))?;
    let folded = text::fold(&name);
    if others.any(|other| text::fold(&other.name) == folded) {
        invalid.add("name", "taken", "is the name of another pipeline");
        return None;
    }
    Some(name)
}

/// A name that means no other stage, however a move may write it.
fn name(
    invalid: &mut Invalid,
    stages: &[Stage],
    value: &str,
    own: Option<usize>,
) -> Option<String> {
    let name = text::needed_name(invalid, "name", Some(value))?;
    let folded = text::fold(&name);
    let mut others = stages.iter().enumerate().filter(|(index, _)| Some(*index) != own);
    if others.any(|(_, it)| it.key == folded || text::fold(&it.name) == folded) {
        invalid.add("name", "taken", "is the name or the key of another stage");
        return None;
    }
    Some(name)
}

fn own_key(invalid: &mut Invalid, stages: &[Stage], key: &str) -> Option<String> {
    let is_sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if key.is_empty() {
        invalid.add("key", "required", "is blank");
    } else if !key.bytes().all(is_sound) {
        let message = "may hold lower-case letters a to z, digits and _ only";
        invalid.add("key", "invalid_character", message);
    } else if key.len() > LONGEST_KEY {
        invalid.add("key", "too_long", format!("is longer than {LONGEST_KEY} characters"));
    } else if RESERVED.contains(&key) {
        invalid.add("key", "reserved", "means something else in a path");
    } else if is_taken(stages, key) {
        invalid.add("key", "taken", "is the key or the name of another stage");
    } else {
        return Some(key.to_owned());
    }
    None
}

fn is_taken(stages: &[Stage], key: &str) -> bool {
    stages.iter().any(|it| it.key == key || text::fold(&it.name) == key)
}

/// A key that no stage has or had: of the letters of a name where they are Latin, otherwise by number.
fn made_key(stages: &[Stage], retired: &[Retired], name: &str) -> String {
    let free = |key: &str| {
        !is_taken(stages, key)
            && !retired.iter().any(|it| it.key == key)
            && !RESERVED.contains(&key)
    };
    let bare: String =
        text::fold(name).nfkd().filter(|letter| !is_combining_mark(*letter)).collect();
    let is_latin = bare.chars().all(|letter| letter.is_ascii() || !letter.is_alphanumeric());
    let words: Vec<_> = bare
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|it| !it.is_empty())
        .collect();
    let mut slug = words.join("_");
    // Room for a number.
    slug.truncate(LONGEST_KEY - 4);
    if is_latin && !slug.is_empty() {
        let numbered = (2..).map(|number| format!("{slug}_{number}"));
        let mut all = std::iter::once(slug.clone()).chain(numbered);
        return all.find(|key| free(key)).unwrap_or_default();
    }
    let mut all = (stages.len() + 1..).map(|number| format!("stage_{number}"));
    all.find(|key| free(key)).unwrap_or_default()
}

/// What of a stage can be wrong by itself.
fn check(invalid: &mut Invalid, stage: &Stage, custom_fields: &CustomFields) {
    let percent = stage.default_probability;
    let fixed = match stage.kind {
        Kind::Open => None,
        Kind::Won => Some(100),
        Kind::Lost => Some(0),
    };
    match fixed {
        None if !(0..=100).contains(&percent) => {
            invalid.add("default_probability", "out_of_range", "is not between 0 and 100");
        }
        Some(fixed) if percent != fixed => {
            let message = format!("is {fixed} of a {} stage", stage.kind.as_str());
            invalid.add("default_probability", "fixed_by_kind", message);
        }
        _ => {}
    }
    if stage.rotting_days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        let message = format!("is not between 1 and {MOST_DAYS}");
        invalid.add("rotting_days", "out_of_range", message);
    }
    if stage.forecast_category.is_some() && stage.kind != Kind::Open {
        let message = format!("is closed of a {} stage", stage.kind.as_str());
        invalid.add("forecast_category", "fixed_by_kind", message);
    }
    for (index, field) in stage.required_fields.iter().enumerate() {
        let is_known = match own_field(field) {
            Some(key) => custom_fields.get(key).is_some(),
            None => REQUIRABLE.contains(&&**field),
        };
        if !is_known {
            let known = REQUIRABLE.join(", ");
            let message = format!("is none of {known}, and no custom_fields.<key> that there is");
            invalid.add(format!("required_fields[{index}]"), "unknown_value", message);
        } else if field == "lost_reason" && stage.kind != Kind::Lost {
            let message = "can be asked for by a lost stage only";
            invalid.add(format!("required_fields[{index}]"), "not_lost", message);
        }
    }
}

/// After the last stage of that kind, or at the end.
fn usual_place(stages: &[Stage], kind: Kind) -> usize {
    stages.iter().rposition(|it| it.kind == kind).map_or(stages.len(), |last| last + 1)
}

/// Percent of a stage that would come to a place: of an open one halfway between its open neighbours.
fn usual_probability(stages: &[Stage], place: usize, kind: Kind) -> i32 {
    let open = |stage: &&Stage| stage.kind == Kind::Open;
    let place = place.min(stages.len());
    match kind {
        Kind::Open => {
            let before = stages[..place].iter().rfind(open).map_or(0, |it| it.default_probability);
            let after = stages[place..].iter().find(open).map_or(100, |it| it.default_probability);
            i32::midpoint(before, after)
        }
        Kind::Won => 100,
        Kind::Lost => 0,
    }
}

/// The same of the stage that stands there.
fn usual_probability_of(stages: &[Stage], index: usize, kind: Kind) -> i32 {
    let mut others = stages.to_vec();
    others.remove(index);
    usual_probability(&others, index, kind)
}

fn distinct(invalid: &mut Invalid, fields: Vec<String>) -> Vec<String> {
    if fields.len() > 50 {
        invalid.add("required_fields", "too_many", "has more than 50 entries");
        return Vec::new();
    }
    let mut distinct: Vec<String> = Vec::with_capacity(fields.len());
    for field in fields {
        if !distinct.contains(&field) {
            distinct.push(field);
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
