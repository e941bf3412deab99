//! What somebody expects beside the model, and every change of it.

use chrono::{DateTime, Utc};
use money::Money;
use rpc::Invalid;

use crate::plan::model::{Name, Slot, Subject};

/// The longest note, in characters.
const LONGEST_NOTE: usize = 20_000;

/// An amount more or less than the model expects, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Its id.
    pub id: i64,
    /// For which period.
    pub slot: Slot,
    /// What that is called now.
    pub name: Name,
    /// For whom.
    pub subject: Subject,
    /// The name of the person or the team.
    pub subject_name: Option<String>,
    /// How much; below 0 where less is expected.
    pub amount: Money,
    /// Why.
    pub note: Option<String>,
    /// Who set it.
    pub set_by: i64,
    /// Their name.
    pub set_by_name: String,
    /// When.
    pub set_at: DateTime<Utc>,
    /// Rises by one with every change.
    pub version: i64,
}

/// One version of an adjustment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub version: i64,
    /// How much; nothing where it was taken away.
    pub amount: Option<Money>,
    /// Why.
    pub note: Option<String>,
    /// Who did it.
    pub changed_by: i64,
    /// Their name.
    pub changed_by_name: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// An amount that may be set; another is noted.
pub(super) fn amount(amount: Option<Money>, invalid: &mut Invalid) {
    let most = Money::MAX_AMOUNT;
    match amount {
        None => invalid.add("amount", "required", "is missing"),
        Some(amount) if amount < -most || amount > most => {
            let message = "is not between -9999999999999.99 and 9999999999999.99";
            invalid.add("amount", "out_of_range", message);
        }
        Some(_) => {}
    }
}

/// A note as it is kept: none where it is blank. What cannot be kept is noted.
pub(super) fn note(note: Option<String>, invalid: &mut Invalid) -> Option<String> {
    let note = note.filter(|note| !note.trim().is_empty())?;
    if note.contains('\0') {
        invalid.add("note", "invalid_character", "contains a NUL");
    }
    if note.chars().count() > LONGEST_NOTE {
        invalid.add("note", "too_long", format!("is longer than {LONGEST_NOTE} characters"));
    }
    Some(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_signed_and_a_note_has_a_length() {
        let codes = |it: Option<Money>, text: &str| {
            let mut invalid = Invalid::default();
            amount(it, &mut invalid);
            note(Some(text.to_owned()), &mut invalid);
            match invalid.into_result() {
                Err(rpc::Error::Invalid(fields)) => {
                    fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
                }
                _ => Vec::new(),
            }
        };
        assert!(codes(Some(-Money::MAX_AMOUNT), &"字".repeat(LONGEST_NOTE)).is_empty());
        let beyond = Money::MAX_AMOUNT + Money::from_hundredths(1);
        assert_eq!(codes(Some(-beyond), "\0"), ["amount out_of_range", "note invalid_character"]);
        let long = "字".repeat(LONGEST_NOTE + 1);
        assert_eq!(codes(None, &long), ["amount required", "note too_long"]);
        assert_eq!(note(Some("  ".to_owned()), &mut Invalid::default()), None);
    }
}
