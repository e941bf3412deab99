//! What is to be sold line by line, as one cell: the JSON of the API.

use money::{Money, Number};
use rpc::Invalid;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::opportunity::line_item::{self, LineWish};

/// The field.
const FIELD: &str = "line_items";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    name: String,
    #[serde(borrow)]
    quantity: Option<&'a RawValue>,
    #[serde(borrow)]
    unit_price: Option<&'a RawValue>,
    #[serde(borrow)]
    discount: Option<&'a RawValue>,
}

/// The lines in a cell; every number exact. Whatever is wrong is noted.
pub fn read(invalid: &mut Invalid, text: &str) -> Vec<LineWish> {
    let Ok(lines) = serde_json::from_str::<Vec<Line<'_>>>(text) else {
        let message =
            r#"is not JSON such as [{"name":"A","quantity":2,"unit_price":9.5,"discount":0}]"#;
        invalid.add(FIELD, "wrong_type", message);
        return Vec::new();
    };
    if lines.len() > line_item::MOST {
        // What else is wrong with so many is not told one by one.
        invalid.add(FIELD, "too_many", format!("has more than {} entries", line_item::MOST));
        return Vec::new();
    }
    let lines = lines.into_iter().enumerate().map(|(index, line)| {
        let number = |invalid: &mut Invalid, name: &str, raw: Option<&RawValue>| {
            let number = Number::parse(raw?.get()).ok();
            if number.is_none() {
                invalid.add(format!("{FIELD}[{index}].{name}"), "wrong_type", "is not a number");
            }
            number
        };
        let quantity = number(invalid, "quantity", line.quantity);
        let discount = number(invalid, "discount", line.discount);
        let unit_price = line.unit_price.and_then(|raw| {
            let price = Money::parse(raw.get()).ok();
            if price.is_none() {
                let message = "is not an amount with at most two decimals";
                invalid.add(format!("{FIELD}[{index}].unit_price"), "wrong_type", message);
            }
            price
        });
        LineWish { name: line.name, quantity, unit_price, discount }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_exactly_and_what_is_wrong_is_told_by_its_place() {
        let mut invalid = Invalid::default();
        let text = r#"[{"name":"授權","quantity":12.3456,"unit_price":99.99,"discount":12.25},{"name":"B","unit_price":0.1}]"#;
        let lines = read(&mut invalid, text);
        assert!(invalid.is_empty());
        assert_eq!(lines[0].quantity, Some(Number::parse("12.3456").unwrap()));
        assert_eq!(lines[1].unit_price, Some(Money::from_hundredths(10)));
        assert_eq!((lines[1].quantity, lines[1].discount), (None, None));
        for text in ["授權", "{}", r#"[{"unit_price":1}]"#, r#"[{"name":"A","price":1}]"#] {
            let mut invalid = Invalid::default();
            assert!(read(&mut invalid, text).is_empty(), "{text}");
            assert!(!invalid.is_empty(), "{text}");
        }
        let mut invalid = Invalid::default();
        let many = format!("[{}]", vec![r#"{"name":"","quantity":""}"#; 101].join(","));
        read(&mut invalid, &many);
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { panic!("no fault") };
        assert_eq!((fields.len(), &*fields[0].code), (1, "too_many"));
        let mut invalid = Invalid::default();
        read(&mut invalid, r#"[{"name":"A","quantity":"1","unit_price":1.005}]"#);
        let rpc::Error::Invalid(fields) = invalid.into() else { panic!("not about fields") };
        let fields: Vec<_> = fields.into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["line_items[0].quantity", "line_items[0].unit_price"]);
    }
}
