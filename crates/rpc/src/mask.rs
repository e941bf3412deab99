//! Which fields of a record a request names, and what it wants of them.

use prost_types::FieldMask;

use crate::{Error, Invalid};

/// What a request wants of a field: nothing, that it be cleared, or a value.
pub type Wish<T> = Option<Option<T>>;

/// The fields that a request names: those of its mask, or without one those that have a value.
#[derive(Clone, Debug)]
pub struct Mask(Option<Vec<String>>);

impl Mask {
    /// The mask of a request whose record has these fields. `INVALID_ARGUMENT` where it names another.
    pub fn of(mask: Option<FieldMask>, fields: &[&str]) -> Result<Self, Error> {
        let mut invalid = Invalid::default();
        for path in mask.iter().flat_map(|mask| &mask.paths) {
            if !fields.contains(&path.as_str()) {
                invalid.add(path.as_str(), "unknown_field", "cannot be changed");
            }
        }
        invalid.into_result()?;
        Ok(Self(mask.map(|mask| mask.paths)))
    }

    /// What the request wants of a field.
    pub fn wish<T>(&self, field: &str, value: Option<T>) -> Wish<T> {
        match (&self.0, value) {
            (Some(named), value) if named.iter().any(|name| name == field) => Some(value),
            (None, Some(value)) => Some(Some(value)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
    }

    #[test]
    fn a_mask_says_what_is_named_and_without_one_the_values_do() {
        let named = Mask::of(Some(mask(&["a"])), &["a", "b"]).unwrap();
        assert_eq!(named.wish("a", None::<i64>), Some(None));
        assert_eq!(named.wish("b", Some(1)), None);
        let none = Mask::of(None, &["a", "b"]).unwrap();
        assert_eq!((none.wish("a", None::<i64>), none.wish("b", Some(1))), (None, Some(Some(1))));
    }

    #[test]
    fn what_the_record_has_not_cannot_be_named() {
        assert!(matches!(Mask::of(Some(mask(&["a", "id"])), &["a"]), Err(Error::Invalid(_))));
    }
}
