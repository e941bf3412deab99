//! What an administrator asks of the list of reasons, and the rules by which it becomes part of it.

use rpc::{Invalid, mask::Wish};

use super::model::LostReason;
use crate::page::place;
use crate::text;

/// How many reasons there are at most.
pub const MOST: usize = 200;
/// What a reason is called by until it has its id.
const UNNUMBERED: i64 = 0;

/// A new reason as somebody asks for it.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// Its name.
    pub name: String,
    /// Where it comes, from 1; last where absent.
    pub position: Option<i32>,
    /// Whether it may be named; yes where absent.
    pub is_active: Option<bool>,
}

/// What is to be other about a reason.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Its name.
    pub name: Wish<String>,
    /// Where it comes, from 1.
    pub position: Wish<i32>,
    /// Whether it may be named.
    pub is_active: Wish<bool>,
}

/// Puts a new reason, which has no id yet, among the others. Whatever is wrong is noted.
pub fn add(items: &mut Vec<LostReason>, new: &New, invalid: &mut Invalid) {
    let name = name(invalid, items, &new.name, None);
    let most = items.len() + 1;
    let index = new.position.map_or(items.len(), |position| place(invalid, position, most));
    let is_active = new.is_active.unwrap_or(true);
    items.insert(index, LostReason { id: UNNUMBERED, name: name.unwrap_or_default(), is_active });
}

/// The new reason has this id from now on.
pub fn number(items: &mut [LostReason], id: i64) {
    for it in items.iter_mut().filter(|it| it.id == UNNUMBERED) {
        it.id = id;
    }
}

/// Changes the reason at a place among the others. Whatever is wrong is noted.
pub fn edit(items: &mut Vec<LostReason>, index: usize, edit: Edit, invalid: &mut Invalid) {
    if let Some(wanted) = edit.name
        && let Some(name) = name(invalid, items, &wanted.unwrap_or_default(), Some(index))
    {
        items[index].name = name;
    }
    match edit.is_active {
        Some(Some(is_active)) => items[index].is_active = is_active,
        Some(None) => invalid.add("is_active", "required", "cannot be cleared"),
        None => {}
    }
    match edit.position {
        Some(Some(position)) => {
            let target = place(invalid, position, items.len());
            let reason = items.remove(index);
            items.insert(target, reason);
        }
        Some(None) => invalid.add("position", "required", "cannot be cleared"),
        None => {}
    }
}

fn name(
    invalid: &mut Invalid,
    items: &[LostReason],
    value: &str,
    own: Option<usize>,
) -> Option<String> {
    let name = text::needed_name(invalid, "name", Some(value))?;
    let folded = text::fold(&name);
    let mut others = items.iter().enumerate().filter(|(index, _)| Some(*index) != own);
    if others.any(|(_, it)| text::fold(&it.name) == folded) {
        invalid.add("name", "taken", "is the name of another reason");
        return None;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<LostReason> {
        let reason =
            |(id, name): (i64, &str)| LostReason { id, name: name.into(), is_active: true };
        [(1, "Price"), (2, "Timing"), (3, "Rival")].map(reason).to_vec()
    }

    fn names(items: &[LostReason]) -> String {
        items.iter().map(|it| &*it.name).collect::<Vec<_>>().join(" ")
    }

    fn codes(invalid: Invalid) -> Vec<String> {
        match invalid.into_result() {
            Err(rpc::Error::Invalid(fields)) => {
                fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reason_comes_last_or_where_it_is_put_and_others_make_room() {
        let mut invalid = Invalid::default();
        let mut items = list();
        add(
            &mut items,
            &New { name: " Fit ".into(), position: Some(2), ..New::default() },
            &mut invalid,
        );
        add(&mut items, &New { name: "Other".into(), ..New::default() }, &mut invalid);
        assert_eq!(names(&items), "Price Fit Timing Rival Other");
        let last =
            Edit { position: Some(Some(5)), is_active: Some(Some(false)), ..Edit::default() };
        edit(&mut items, 0, last, &mut invalid);
        assert_eq!(names(&items), "Fit Timing Rival Other Price");
        assert!(!items[4].is_active && invalid.is_empty());
    }

    #[test]
    fn two_reasons_do_not_differ_by_case_or_width_alone_and_every_bad_field_is_told() {
        let mut invalid = Invalid::default();
        let taken = New { name: "ｐrice".into(), position: Some(5), ..New::default() };
        add(&mut list(), &taken, &mut invalid);
        assert_eq!(codes(invalid), ["name taken", "position out_of_range"]);
        let mut invalid = Invalid::default();
        let cleared = Edit { name: Some(None), position: Some(None), is_active: Some(None) };
        edit(&mut list(), 0, cleared, &mut invalid);
        assert_eq!(codes(invalid), ["name required", "is_active required", "position required"]);
        let mut invalid = Invalid::default();
        let own = Edit { name: Some(Some("PRICE".into())), ..Edit::default() };
        edit(&mut list(), 0, own, &mut invalid);
        assert!(invalid.is_empty());
    }
}
