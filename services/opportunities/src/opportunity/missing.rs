//! What is only missing because what is there is not good: that is told, and nothing that follows from it.

use rpc::{FieldError, Invalid};

/// Codes of what is only missing, which it is too where it is there and not good.
const MISSING: [&str; 2] = ["required", "required_for_stage"];

/// Whether a fault is that something is missing.
pub(super) fn is_missing(fault: &FieldError) -> bool {
    MISSING.contains(&&*fault.code)
}

/// Whether a fault only follows from what is told already.
pub(super) fn follows(fault: &FieldError, told: &Invalid) -> bool {
    let is_missing = is_missing(fault);
    let causes: &[&str] = match &*fault.field {
        // Lines come to an amount, and are products.
        "amount" if is_missing => &["line_items"],
        "products" if is_missing || fault.code == "too_many" => &["line_items"],
        "contact_id" | "contact_name" if is_missing => &["contact_name", "contact_email"],
        _ => &[],
    };
    is_missing && told.names(&fault.field) || causes.iter().any(|cause| told.names(cause))
}

/// Adds all of it but what follows from what is told already.
pub(super) fn extend(told: &mut Invalid, wrong: Invalid) {
    let more: Invalid = wrong.into_iter().filter(|it| !follows(it, told)).collect();
    told.extend(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_not_good_is_not_missing_too() {
        let bad = Invalid::default()
            .field("amount", "out_of_range", "is negative")
            .field("custom_fields.tender", "unknown_choice", "is none of them")
            .field("contact_email", "bad_format", "is no address");
        let of = |code: &'static str, fields: &[&str]| -> Invalid {
            fields.iter().map(|it| FieldError::new(*it, code, "is needed in stage 提案")).collect()
        };
        let mut told = bad.clone();
        let asked = ["amount", "custom_fields.tender", "contact_id", "source", "products"];
        extend(&mut told, of("required_for_stage", &asked));
        extend(&mut told, of("out_of_range", &["amount"]));
        let more: Vec<_> = told.fields()[3..].iter().map(|it| (&*it.field, &*it.code)).collect();
        let expected = [
            ("source", "required_for_stage"),
            ("products", "required_for_stage"),
            ("amount", "out_of_range"),
        ];
        assert_eq!(more, expected);
    }
}
