//! Why something is refused.

use std::collections::BTreeSet;

/// Each status that fits, and the fields that are told with 422.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::paths) struct Refusal {
    pub(in crate::paths) statuses: BTreeSet<u16>,
    pub(in crate::paths) fields: BTreeSet<String>,
    /// Whether others may be told: what else is wrong is not known without a stage.
    pub(in crate::paths) is_vague: bool,
}

impl Refusal {
    pub(super) fn status(&mut self, status: u16) {
        self.statuses.insert(status);
    }

    pub(super) fn field(&mut self, field: &str) {
        self.status(422);
        self.fields.insert(field.to_owned());
    }

    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.statuses.is_empty() { Ok(()) } else { Err(self) }
    }
}
