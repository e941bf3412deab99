//! What an administrator asks of the fields of an organisation's own, and the rules by which it becomes part of them.

use rpc::{Invalid, mask::Wish};

use super::model::{CustomField, Type};
use crate::page::place;
use crate::text;

/// How many fields there are at most.
pub const MOST: usize = 100;
/// How many choices a field has at most.
const MOST_CHOICES: usize = 200;
/// How long a key may be.
const LONGEST_KEY: usize = 64;

/// A new field as somebody asks for it.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// By which it is named.
    pub key: String,
    /// What it is called.
    pub name: String,
    /// What it holds.
    pub kind: Option<Type>,
    /// Of a choice: what there is to choose from.
    pub choices: Vec<String>,
    /// Where it comes, from 1; last where absent.
    pub position: Option<i32>,
}

/// What is to be other about a field.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// What it is called.
    pub name: Wish<String>,
    /// What there is to choose from.
    pub choices: Wish<Vec<String>>,
    /// Where it comes, from 1.
    pub position: Wish<i32>,
}

/// Puts a new field among the others; one of its key that is gone comes back. Whatever is wrong is noted.
pub fn add(items: &mut Vec<CustomField>, new: &New, invalid: &mut Invalid) {
    let most = living(items) + 1;
    let key = key(invalid, items, &new.key);
    let name = name(invalid, items, &new.name, None);
    let gone = items.iter().position(|it| it.is_deleted && Some(&it.key) == key.as_ref());
    if new.kind.is_none() {
        invalid.add("type", "required", "is required");
    }
    if let (Some(index), Some(kind)) = (gone, new.kind)
        && items[index].kind != kind
    {
        let kind = items[index].kind.as_str();
        let message = format!(
            "is of a deleted field of type {kind}, in which opportunities may say something"
        );
        invalid.add("key", "other_type", message);
    }
    let kind = new.kind.unwrap_or(Type::Text);
    let choices = choices(invalid, kind, &new.choices);
    let index = new.position.map_or(most - 1, |position| place(invalid, position, most));
    if !invalid.is_empty() {
        return;
    }
    if let Some(gone) = gone {
        items.remove(gone);
    }
    let (key, name) = (key.unwrap_or_default(), name.unwrap_or_default());
    items.insert(index, CustomField { key, name, kind, choices, is_deleted: false });
}

/// Changes the field at a place among the others. Whatever is wrong is noted.
pub fn edit(items: &mut Vec<CustomField>, index: usize, edit: Edit, invalid: &mut Invalid) {
    if let Some(wanted) = edit.name
        && let Some(name) = name(invalid, items, &wanted.unwrap_or_default(), Some(index))
    {
        items[index].name = name;
    }
    if let Some(wanted) = edit.choices {
        items[index].choices = choices(invalid, items[index].kind, &wanted.unwrap_or_default());
    }
    match edit.position {
        Some(Some(position)) => {
            let target = place(invalid, position, living(items));
            let field = items.remove(index);
            items.insert(target, field);
        }
        Some(None) => invalid.add("position", "required", "cannot be cleared"),
        None => {}
    }
}

/// The field at a place is gone: it comes after all others, and keeps its key and its type.
pub fn remove(items: &mut Vec<CustomField>, index: usize) {
    let field = items.remove(index);
    items.push(CustomField { is_deleted: true, ..field });
}

/// How many there are; they come before those that are gone.
fn living(items: &[CustomField]) -> usize {
    items.iter().filter(|it| !it.is_deleted).count()
}

fn key(invalid: &mut Invalid, items: &[CustomField], key: &str) -> Option<String> {
    let is_sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if key.is_empty() {
        invalid.add("key", "required", "is required");
    } else if !key.bytes().all(is_sound) {
        let message = "may hold lower-case letters a to z, digits and _ only";
        invalid.add("key", "invalid_character", message);
    } else if key.len() > LONGEST_KEY {
        invalid.add("key", "too_long", format!("is longer than {LONGEST_KEY} characters"));
    } else if items.iter().any(|it| !it.is_deleted && it.key == key) {
        invalid.add("key", "taken", "is the key of another field");
    } else {
        return Some(key.to_owned());
    }
    None
}

fn name(
    invalid: &mut Invalid,
    items: &[CustomField],
    value: &str,
    own: Option<usize>,
) -> Option<String> {
    let name = text::needed_name(invalid, "name", Some(value))?;
    let folded = text::fold(&name);
    let others = items.iter().enumerate().filter(|(index, _)| Some(*index) != own);
    if others.filter(|(_, it)| !it.is_deleted).any(|(_, it)| text::fold(&it.name) == folded) {
        invalid.add("name", "taken", "is the name of another field");
        return None;
    }
    Some(name)
}

/// Choices, of which no two are the same without regard to case and width; some of a choice, none of anything else.
fn choices(invalid: &mut Invalid, kind: Type, values: &[String]) -> Vec<String> {
    if kind != Type::Choice && !values.is_empty() {
        invalid.add("choices", "not_a_choice", "are for a field of type choice only");
    } else if kind == Type::Choice && values.is_empty() {
        invalid.add("choices", "required", "a field of type choice needs one at least");
    }
    let choices = text::names(invalid, "choices", values, MOST_CHOICES);
    let folded: Vec<_> = choices.iter().map(|it| text::fold(it)).collect();
    for (index, choice) in folded.iter().enumerate() {
        if folded[..index].contains(choice) {
            invalid.add(format!("choices[{index}]"), "duplicate", "is named twice");
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(key: &str, kind: Type, choices: &[&str]) -> New {
        let choices = choices.iter().map(|it| (*it).to_owned()).collect();
        New { key: key.into(), name: key.into(), kind: Some(kind), choices, position: None }
    }

    fn told(make: impl FnOnce(&mut Invalid)) -> Vec<String> {
        let mut invalid = Invalid::default();
        make(&mut invalid);
        match invalid.into_result() {
            Ok(()) => Vec::new(),
            Err(rpc::Error::Invalid(fields)) => {
                fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn keys(items: &[CustomField]) -> String {
        let key = |it: &CustomField| format!("{}{}", it.key, if it.is_deleted { "!" } else { "" });
        items.iter().map(key).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_key_that_is_gone_is_taken_again_by_a_field_of_the_same_type_alone() {
        let mut items = Vec::new();
        for key in ["a", "b", "c"] {
            assert!(told(|it| add(&mut items, &new(key, Type::Text, &[]), it)).is_empty());
        }
        remove(&mut items, 0);
        assert_eq!(keys(&items), "b c a!");
        let other = told(|it| add(&mut items, &new("a", Type::Number, &[]), it));
        assert_eq!(
            (other.as_slice(), keys(&items).as_str()),
            (&["key other_type".to_owned()][..], "b c a!")
        );
        let first = New { position: Some(1), ..new("a", Type::Text, &[]) };
        assert!(told(|it| add(&mut items, &first, it)).is_empty());
        assert_eq!(keys(&items), "a b c");
    }

    #[test]
    fn what_a_field_cannot_be_is_told_with_every_bad_field() {
        let mut items = Vec::new();
        let choice = new("size", Type::Choice, &["S", "M"]);
        assert!(told(|it| add(&mut items, &choice, it)).is_empty());
        let none = New { position: Some(9), ..New::default() };
        let expected = ["key required", "name required", "type required", "position out_of_range"];
        assert_eq!(told(|it| add(&mut items, &none, it)), expected);
        let wrong = New { key: "Größe".into(), ..new("size", Type::Text, &["x"]) };
        let expected = ["key invalid_character", "name taken", "choices not_a_choice"];
        assert_eq!(told(|it| add(&mut items, &wrong, it)), expected);
        let twice = Edit { choices: Some(Some(vec!["S".into(), "ｓ".into()])), ..Edit::default() };
        assert_eq!(told(|it| edit(&mut items.clone(), 0, twice, it)), ["choices[1] duplicate"]);
        let cleared = Edit { choices: Some(None), position: Some(None), name: Some(None) };
        let expected = ["name required", "choices required", "position required"];
        assert_eq!(told(|it| edit(&mut items, 0, cleared, it)), expected);
    }
}
