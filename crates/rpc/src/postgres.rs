//! What an error of PostgreSQL means to a caller.

use sqlx::error::DatabaseError;

use crate::{Error, reason};

/// The database not answering, or asking for another attempt, is [`Error::Unavailable`]; anything else is a defect of ours.
///
/// A violated constraint is turned into its answer at the query, with [`OnConstraint`].
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(it) = &error
            && it.code().is_some_and(|code| UNSTORABLE.contains(&code.as_ref()))
        {
            return Self::malformed("the text holds a character that cannot be stored");
        }
        if is_passing(&error) {
            Self::Unavailable {
                reason: reason::UNAVAILABLE.into(),
                source: anyhow::Error::new(error).context("ask the database"),
            }
        } else {
            Self::Internal(anyhow::Error::new(error).context("ask the database"))
        }
    }
}

/// A text that no column of PostgreSQL takes (with a zero byte): `character_not_in_repertoire`, `untranslatable_character`.
const UNSTORABLE: [&str; 2] = ["22021", "22P05"];

/// What passes by itself. Classes: 08 connection, 40 rolled back to be tried again (serialization, deadlock), 53 out of resources, 57
/// told to stop (shutdown, starting up, statement timeout). Codes: 25006 a standby that was just demoted, 25P03 idle in
/// a transaction for too long, 55P03 a lock that was not free in time.
const PASSING: [&str; 7] = ["08", "40", "53", "57", "25006", "25P03", "55P03"];

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(it) => {
            it.code().is_some_and(|code| PASSING.iter().any(|it| code.starts_with(it)))
        }
        _ => false,
    }
}

/// Turns a violated constraint into the answer it stands for, by the constraint's name, at the query that can violate it.
///
/// ```
/// # use rpc::{Error, OnConstraint as _};
/// # fn insert() -> Result<u64, sqlx::Error> { Ok(1) }
/// # fn run() -> Result<(), Error> {
/// insert().on_constraint("opportunity_external_id_key", || {
///     Error::conflict("EXTERNAL_ID_TAKEN", "another opportunity has this external id")
/// })?;
/// # Ok(())
/// # }
/// ```
pub trait OnConstraint<T> {
    /// `answer` if the constraint of this name was violated, any other error as usual.
    fn on_constraint(self, name: &str, answer: impl FnOnce() -> Error) -> Result<T, Error>;

    /// The same for several constraints: what `answer` makes of a name, and any other error as usual.
    fn on_constraints(self, answer: impl FnOnce(&str) -> Option<Error>) -> Result<T, Error>;
}

impl<T> OnConstraint<T> for Result<T, sqlx::Error> {
    fn on_constraint(self, name: &str, answer: impl FnOnce() -> Error) -> Result<T, Error> {
        self.on_constraints(|violated| (violated == name).then(answer))
    }

    fn on_constraints(self, answer: impl FnOnce(&str) -> Option<Error>) -> Result<T, Error> {
        self.map_err(|error| {
            let violated = error.as_database_error().and_then(DatabaseError::constraint);
            violated.and_then(answer).unwrap_or_else(|| error.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{borrow::Cow, error::Error as StdError, fmt};

    /// An error as the server would report it.
    #[derive(Debug)]
    struct Reported {
        code: &'static str,
        constraint: Option<&'static str>,
    }

    impl fmt::Display for Reported {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.code)
        }
    }

    impl StdError for Reported {}

    impl DatabaseError for Reported {
        fn message(&self) -> &str {
            self.code
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.code.into())
        }

        fn constraint(&self) -> Option<&str> {
            self.constraint
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }
    }

    fn reported(code: &'static str, constraint: Option<&'static str>) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Reported { code, constraint }))
    }

    #[test]
    fn a_violated_constraint_becomes_the_answer_it_stands_for() {
        let violated = || Err::<(), _>(reported("23505", Some("account_email_key")));
        let taken = || Error::conflict("EMAIL_TAKEN", "this email is already registered");
        assert_eq!(
            violated().on_constraint("account_email_key", taken).unwrap_err().reason(),
            "EMAIL_TAKEN"
        );
        let other = violated().on_constraint("account_name_key", taken).unwrap_err();
        assert!(matches!(other, Error::Internal(_)));
        assert_eq!(Ok::<_, sqlx::Error>(3).on_constraint("account_email_key", taken).unwrap(), 3);
    }

    #[test]
    fn what_passes_by_itself_is_unavailable_and_what_is_our_defect_is_internal() {
        for code in ["40001", "40P01", "53300", "57P01", "57014", "55P03", "08006"] {
            assert!(
                matches!(Error::from(reported(code, None)), Error::Unavailable { .. }),
                "{code}"
            );
        }
        assert!(matches!(Error::from(sqlx::Error::PoolTimedOut), Error::Unavailable { .. }));
        for code in ["42P01", "23505", "22003"] {
            assert!(matches!(Error::from(reported(code, None)), Error::Internal(_)), "{code}");
        }
        assert!(matches!(Error::from(sqlx::Error::RowNotFound), Error::Internal(_)));
    }

    #[test]
    fn a_text_that_cannot_be_stored_is_the_callers_to_mend() {
        assert!(matches!(Error::from(reported("22021", None)), Error::Malformed { .. }));
    }
}
