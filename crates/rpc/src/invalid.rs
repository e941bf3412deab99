//! Collecting everything that is wrong with a request before saying so.

use std::borrow::Cow;

use crate::{Error, FieldError};

/// The bad fields found so far.
///
/// ```
/// # fn check(name: &str, amount: i64) -> Result<(), rpc::Error> {
/// let mut invalid = rpc::Invalid::default();
/// if name.trim().is_empty() {
///     invalid.add("name", "required", "must not be blank");
/// }
/// if amount < 0 {
///     invalid.add("amount", "too_small", "must be 0 or more");
/// }
/// invalid.into_result()
/// # }
/// # assert!(check("", -1).is_err());
/// ```
#[derive(Debug, Default, Clone)]
#[must_use = "`into_result` says whether anything is wrong"]
pub struct Invalid(Vec<FieldError>);

impl Invalid {
    /// One more bad field.
    pub fn field(
        mut self,
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        self.add(field, code, message);
        self
    }

    /// One more bad field, where the collection is borrowed.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) {
        self.0.push(FieldError::new(field, code, message));
    }

    /// The value, or `None` after noting what is wrong with it. Errors other than [`Error::Invalid`] are not about fields, and are
    /// given back.
    pub fn check<T>(&mut self, parsed: Result<T, Error>) -> Result<Option<T>, Error> {
        match parsed {
            Ok(value) => Ok(Some(value)),
            Err(Error::Invalid(fields)) => {
                self.0.extend(fields);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// All that is wrong elsewhere, too.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The same, as found inside of something: its path goes before every field.
    pub fn within(mut self, path: &str) -> Self {
        for it in &mut self.0 {
            it.field = format!("{path}.{}", it.field);
        }
        self
    }

    /// Whether anything is wrong with a field, or with a part of it.
    pub fn names(&self, field: &str) -> bool {
        self.0.iter().any(|it| {
            let rest = it.field.strip_prefix(field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// The bad fields, in the order in which they were found.
    pub fn fields(&self) -> &[FieldError] {
        &self.0
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error that names every bad field, if there is one.
    pub fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

impl IntoIterator for Invalid {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<FieldError> for Invalid {
    fn from_iter<T: IntoIterator<Item = FieldError>>(fields: T) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// Made of at least one bad field; of none it would be a defect.
impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        if invalid.0.is_empty() {
            Self::internal("invalid without a bad field")
        } else {
            Self::Invalid(invalid.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_named_at_once() {
        let mut invalid = Invalid::default().field("amount", "too_large", "must be at most 10");
        let name: Option<String> =
            invalid.check(Err(Error::invalid("name", "required", "must not be blank"))).unwrap();
        assert_eq!(name, None);
        let Err(Error::Invalid(fields)) = invalid.into_result() else { panic!("it is invalid") };
        assert_eq!(
            fields.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(),
            ["amount", "name"]
        );
        assert!(Invalid::default().into_result().is_ok());
    }

    #[test]
    fn a_field_is_named_by_what_is_wrong_with_it_or_with_a_part_of_it() {
        let invalid = Invalid::default().field("lines[2].price", "required", "is required");
        let invalid = invalid.field("", "too_many_cells", "has too many cells");
        for named in ["lines", "lines[2]", "lines[2].price", ""] {
            assert!(invalid.names(named), "{named}");
        }
        for other in ["line", "lines[2].p", "lines[1]", "price"] {
            assert!(!invalid.names(other), "{other}");
        }
        assert!(!Invalid::default().names(""));
    }
}
