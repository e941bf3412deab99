//! What is wrong with a row: all that can be told at once, and nothing that only follows from what is told already.

use rpc::{Error, FieldError, Invalid};

use super::Plan;
use crate::opportunity::missing;

/// What was found to be wrong with a row so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// What of it cannot be read.
    unread: Invalid,
    /// All of it, what cannot be read first.
    told: Invalid,
    opportunity_id: Option<i64>,
}

impl Faults {
    /// Of a row of which that cannot be read.
    pub(super) fn of(unread: Invalid) -> Self {
        Self { told: unread.clone(), unread, opportunity_id: None }
    }

    /// All that is wrong.
    pub(crate) fn told(&self) -> &Invalid {
        &self.told
    }

    /// The same in another order.
    pub(crate) fn reordered(self, order: impl FnOnce(Invalid) -> Invalid) -> Self {
        Self { told: order(self.told), ..self }
    }

    /// The opportunity that stands in the row's way, where the caller may know of it.
    pub(crate) fn opportunity_id(&self) -> Option<i64> {
        self.opportunity_id
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether anything is wrong with one of these fields.
    pub(super) fn are_about(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| self.told.names(field))
    }

    /// Notes more of it, but for what only follows from what was noted before.
    pub(super) fn add(&mut self, wrong: Invalid) {
        let more: Invalid = wrong.into_iter().filter(|it| !self.explain(it)).collect();
        self.told.extend(more);
    }

    /// The value, or nothing after noting why there is none, by the field that it is about. What is no fault of the row is given back.
    pub(super) fn check<T, E: Into<Error>>(
        &mut self,
        read: Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let error = match read {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error.into(),
        };
        match &error {
            Error::Internal(_) | Error::Unavailable { .. } => return Err(error),
            Error::Invalid(fields) => {
                self.add(fields.iter().cloned().collect());
                return Ok(None);
            }
            Error::Conflict { details, .. } => {
                let id = details.get("opportunity_id").and_then(|id| id.parse().ok());
                self.opportunity_id = self.opportunity_id.or(id);
            }
            _ => {}
        }
        let reason = error.reason().to_lowercase();
        let field = match &*reason {
            "owner_not_self" | "owner_out_of_reach" => "owner_id",
            "external_id_taken" | "opportunity_deleted" => "external_id",
            "customer_deleted" => "customer_name",
            _ => "",
        };
        self.add(Invalid::default().field(field, reason, error.to_string()));
        Ok(None)
    }

    /// What is to become of the row, if nothing is wrong with it.
    pub(super) fn or(self, plan: impl FnOnce() -> Plan) -> Plan {
        if self.is_empty() { plan() } else { Plan::Fail(self) }
    }

    /// Whether a fault is told already, or only follows from what is.
    fn explain(&self, fault: &FieldError) -> bool {
        // A change of one that is there need not name them.
        let is_name = matches!(&*fault.field, "opportunity_name" | "customer_name");
        self.told.fields().contains(fault)
            || self.unread.names(&fault.field)
            || is_name && missing::is_missing(fault) && self.are_about(&["external_id"])
            || missing::follows(fault, &self.told)
    }
}

impl From<Invalid> for Faults {
    fn from(told: Invalid) -> Self {
        Self { told, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(faults: &[&str]) -> Invalid {
        let fault = |it: &&str| {
            let (field, code) = it.split_once(' ').unwrap();
            FieldError::new(field, code.to_owned(), "is not good")
        };
        faults.iter().map(fault).collect()
    }

    fn told(faults: &Faults) -> Vec<String> {
        faults.told().fields().iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    /// What is told of a row of which the first cannot be read, and the others are found after that.
    fn of(unread: &str, others: &[&str]) -> Vec<String> {
        let mut faults = Faults::of(wrong(&[unread]));
        faults.add(wrong(others));
        told(&faults).split_off(1)
    }

    #[test]
    fn nothing_more_is_told_of_what_cannot_be_read_and_all_of_the_rest() {
        let others = ["amount required_for_stage", "amount out_of_range", "stage unknown_stage"];
        assert_eq!(of("amount wrong_type", &others), ["stage unknown_stage"]);
        let lines = [
            "line_items[0].unit_price required",
            "line_items[1].name required",
            "line_items out_of_range",
            "amount out_of_range",
            "amount required_for_stage",
            "products too_many",
        ];
        let expected = ["line_items[1].name required", "amount out_of_range"];
        assert_eq!(of("line_items[0].unit_price wrong_type", &lines), expected);
        let names =
            ["opportunity_name required", "customer_name too_long", "customer_name required"];
        assert_eq!(of("external_id too_long", &names), ["customer_name too_long"]);
        let contact = ["contact_id required_for_stage", "contact_name too_long"];
        assert_eq!(of("contact_email formula_error", &contact), ["contact_name too_long"]);
    }

    #[test]
    fn what_is_there_and_not_good_is_not_missing_too_and_nothing_is_told_twice() {
        let mut faults = Faults::default();
        assert!(faults.is_empty());
        faults.add(wrong(&["products too_many", "tags[1] too_long", "tags[2] too_long"]));
        faults.add(wrong(&["products required_for_stage", "tags required_for_stage"]));
        faults.add(wrong(&["owner_id owner_not_self"]));
        faults.add(wrong(&["owner_id owner_not_self", "owner_id frozen_when_closed"]));
        let expected = [
            "products too_many",
            "tags[1] too_long",
            "tags[2] too_long",
            "owner_id owner_not_self",
            "owner_id frozen_when_closed",
        ];
        assert_eq!(told(&faults), expected);
    }

    #[test]
    fn a_refusal_is_the_fault_of_its_field_and_what_is_nobodys_fault_is_given_back() {
        let mut faults = Faults::default();
        let deleted = Error::conflict("OPPORTUNITY_DELETED", "it was deleted");
        let gone = Error::conflict("CUSTOMER_DELETED", "its customer is deleted");
        for error in [deleted.about("opportunity_id", 7), gone, wrong(&["stage unknown"]).into()] {
            assert_eq!(faults.check::<(), _>(Err(error)).unwrap(), None);
        }
        assert_eq!(faults.opportunity_id(), Some(7));
        let expected =
            ["external_id opportunity_deleted", "customer_name customer_deleted", "stage unknown"];
        assert_eq!(told(&faults), expected);
        assert!(faults.check::<(), _>(Err(Error::internal("a defect"))).is_err());
        assert_eq!(faults.check(Ok::<_, Error>(3)).unwrap(), Some(3));
        assert_eq!(told(&faults).len(), 3);
    }
}
