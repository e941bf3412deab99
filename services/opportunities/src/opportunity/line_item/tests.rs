//! What lines come to, and what they may say.

use proptest::prelude::*;

use super::*;

/// A line as somebody asks for it.
pub(crate) fn wish(name: &str, quantity: &str, unit_price: &str, discount: &str) -> LineWish {
    LineWish {
        name: name.to_owned(),
        quantity: Some(quantity.parse().unwrap()),
        unit_price: Some(unit_price.parse().unwrap()),
        discount: Some(discount.parse().unwrap()),
    }
}

fn read(wishes: &[LineWish]) -> Result<Vec<LineItem>, Vec<String>> {
    let mut invalid = Invalid::default();
    let lines = parse(&mut invalid, wishes);
    match invalid.into_result() {
        Ok(()) => Ok(lines),
        Err(rpc::Error::Invalid(fields)) => {
            Err(fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect())
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_line_is_rounded_half_up_to_the_cent_once_and_lines_are_added_up() {
    for (quantity, unit_price, discount, total) in [
        ("3", "19.99", "0", "59.97"),
        ("0.5", "0.01", "0", "0.01"),
        ("0.4999", "0.01", "0", "0"),
        ("1.5", "0.01", "33.33", "0.01"),
        ("1", "100", "12.55", "87.45"),
        ("7", "3.33", "100", "0"),
        ("1", "9999999999999.99", "0", "9999999999999.99"),
        ("999999999.9999", "9999.99", "50.01", "4998995000999.5"),
    ] {
        let lines = read(&[wish("A", quantity, unit_price, discount)]).unwrap();
        let case = format!("{quantity} {unit_price} {discount}");
        assert_eq!(lines[0].total().to_string(), total, "{case}");
    }
    let pennies = read(&[wish("A", "0.5", "0.01", "0"), wish("B", "0.5", "0.01", "0")]).unwrap();
    assert_eq!(sum(&pennies), Some("0.02".parse().unwrap()));
    assert_eq!(sum(&[]), None);
}

#[test]
fn one_is_meant_and_the_whole_price_where_nothing_else_is_said() {
    let wish = LineWish {
        name: " A ".to_owned(),
        unit_price: Some("5".parse().unwrap()),
        ..LineWish::default()
    };
    let lines = read(&[wish]).unwrap();
    let written = r#"[{"name":"A","quantity":1,"unit_price":5,"discount":0}]"#;
    assert_eq!(json(&lines).as_deref(), Some(written));
}

#[test]
fn every_bad_field_of_every_line_is_told_by_its_place() {
    let wrong = [
        wish("A", "1", "1", "0"),
        wish(" ", "0", "-1", "100.01"),
        wish(&"x".repeat(256), "1.00001", "1", "0.001"),
        LineWish { name: "a\0".to_owned(), ..LineWish::default() },
    ];
    let expected = [
        "line_items[1].name required",
        "line_items[1].quantity out_of_range",
        "line_items[1].unit_price out_of_range",
        "line_items[1].discount out_of_range",
        "line_items[2].name too_long",
        "line_items[2].quantity too_many_decimals",
        "line_items[2].discount too_many_decimals",
        "line_items[3].name invalid_character",
        "line_items[3].unit_price required",
    ];
    assert_eq!(read(&wrong).unwrap_err(), expected);
    let many = vec![wish("A", "1", "1", "0"); MOST + 1];
    assert_eq!(read(&many).unwrap_err(), ["line_items too_many"]);
    let dear = vec![wish("A", "999999999.9999", "9999999999999.99", "0"); MOST];
    assert_eq!(read(&dear).unwrap_err(), ["line_items out_of_range"]);
}

#[test]
fn products_are_those_that_are_named_and_the_lines_which_take_theirs_along() {
    let lines = |names: &[&str]| -> Vec<_> {
        read(&names.iter().map(|name| wish(name, "1", "1", "0")).collect::<Vec<_>>()).unwrap()
    };
    let texts = |names: &[&str]| -> Vec<_> { names.iter().map(|it| (*it).to_owned()).collect() };
    let had = lines(&["L", "M"]);
    let so_far = texts(&["A", "L", "M"]);
    let now = |named: Option<&[&str]>, after: &[&str]| {
        let mut invalid = Invalid::default();
        let named = named.map(texts);
        let names = products(&mut invalid, named, (&so_far, &had), &lines(after));
        invalid.into_result().unwrap();
        names
    };
    assert_eq!(now(None, &["L", "M"]), so_far);
    assert_eq!(now(None, &["M", "N", "N"]), texts(&["A", "M", "N"]));
    assert_eq!(now(None, &[]), texts(&["A"]));
    assert_eq!(now(Some(&["B", "M"]), &["L", "M"]), texts(&["B", "M", "L"]));
    assert_eq!(now(Some(&[]), &[]), texts(&[]));
    let many: Vec<_> = (0..51).map(|number| number.to_string()).collect();
    for (lines, is_bad) in [(lines(&["0"]), false), (lines(&["x"]), true)] {
        let mut invalid = Invalid::default();
        let _ = products(&mut invalid, Some(many.clone()), (&[], &[]), &lines);
        assert_eq!(!invalid.is_empty(), is_bad);
    }
}

proptest! {
    #[test]
    fn a_line_comes_to_what_it_comes_to_by_long_division(
        quantity in 1..=MOST_QUANTITY, price in 0..10_i128.pow(15), discount in 0..=10_000_i128
    ) {
        let line = LineItem {
            name: "A".to_owned(),
            quantity: Number::from_billionths(quantity * 100_000),
            unit_price: Money::from_hundredths(price),
            discount: Number::from_billionths(discount * 10_000_000),
        };
        let exact = quantity * price * (10_000 - discount);
        let (whole, rest) = (exact / 100_000_000, exact % 100_000_000);
        prop_assert_eq!(line.total().hundredths(), whole + i128::from(rest >= 50_000_000));
    }
}
