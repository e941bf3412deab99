//! What is to be sold, line by line: what a line may say, and what lines come to.

pub(super) mod store;

use money::{Money, Number};
use rpc::Invalid;

use super::draft;
use crate::text;

/// The most lines of an opportunity.
pub const MOST: usize = 100;
/// The most names of products beside those of the lines.
const MOST_PRODUCTS: usize = 50;
/// The most names of products of a request: those of an answer, which has the lines' among them, can be sent back.
pub(super) const MOST_NAMED: usize = MOST_PRODUCTS + MOST;
/// The largest quantity, in ten-thousandths: 999,999,999.9999.
const MOST_QUANTITY: i128 = 9_999_999_999_999;

/// A line as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineWish {
    /// What it is.
    pub name: String,
    /// How many; one where absent.
    pub quantity: Option<Number>,
    /// What one costs.
    pub unit_price: Option<Money>,
    /// Percent off; none where absent.
    pub discount: Option<Number>,
}

/// A line: a quantity with up to four decimals, a price, a discount of 0 to 100 percent with up to two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineItem {
    /// What it is.
    pub name: String,
    /// How many.
    pub quantity: Number,
    /// What one costs.
    pub unit_price: Money,
    /// Percent off.
    pub discount: Number,
}

impl LineItem {
    /// What it comes to, rounded half up to the hundredth once.
    pub fn total(&self) -> Money {
        let quantity = self.quantity.parts(4).unwrap_or_default();
        let discount = self.discount.parts(2).unwrap_or_default();
        self.unit_price.times(quantity * (10_000 - discount), 10_000 * 10_000)
    }
}

/// What lines come to; nothing where there are none.
pub fn sum(lines: &[LineItem]) -> Option<Money> {
    (!lines.is_empty()).then(|| lines.iter().map(LineItem::total).sum())
}

/// Reads lines. Whatever is wrong is noted by its place.
pub(super) fn parse(invalid: &mut Invalid, wishes: &[LineWish]) -> Vec<LineItem> {
    if wishes.len() > MOST {
        invalid.add("line_items", "too_many", format!("has more than {MOST} entries"));
        return Vec::new();
    }
    let lines: Vec<_> = wishes
        .iter()
        .enumerate()
        .filter_map(|(index, wish)| {
            let mut wrong = Invalid::default();
            let line = line(&mut wrong, wish);
            invalid.extend(wrong.within(&format!("line_items[{index}]")));
            line
        })
        .collect();
    if sum(&lines).is_some_and(|sum| sum > Money::MAX_AMOUNT) {
        invalid.add("line_items", "out_of_range", "come to more than 9999999999999.99");
    }
    lines
}

fn line(invalid: &mut Invalid, wish: &LineWish) -> Option<LineItem> {
    let name = if wish.name.trim().is_empty() {
        invalid.add("name", "required", "is required");
        None
    } else {
        text::name(invalid, "name", Some(&wish.name), 255)
    };
    let quantity = wish.quantity.unwrap_or(Number::ONE);
    if within(invalid, "quantity", quantity, 4).is_some_and(|it| !(1..=MOST_QUANTITY).contains(&it))
    {
        invalid.add("quantity", "out_of_range", "is not between 0.0001 and 999999999.9999");
    }
    if wish.unit_price.is_none() {
        invalid.add("unit_price", "required", "is required");
    }
    draft::amount(invalid, "unit_price", wish.unit_price);
    let discount = wish.discount.unwrap_or(Number::ZERO);
    if within(invalid, "discount", discount, 2).is_some_and(|it| !(0..=10_000).contains(&it)) {
        invalid.add("discount", "out_of_range", "is not between 0 and 100");
    }
    let unit_price = wish.unit_price?;
    invalid.is_empty().then_some(LineItem { name: name?, quantity, unit_price, discount })
}

/// A number in parts of its last decimal; one with more decimals is noted.
fn within(invalid: &mut Invalid, field: &str, number: Number, decimals: u32) -> Option<i128> {
    let parts = number.parts(decimals);
    if parts.is_none() {
        let message = format!("has more than {decimals} decimals");
        invalid.add(field, "too_many_decimals", message);
    }
    parts
}

/// The names of an opportunity's products: those that are named, or those so far but for the lines' that it had, and those of its lines. Too many beside the lines'
/// are noted.
pub(super) fn products(
    invalid: &mut Invalid,
    named: Option<Vec<String>>,
    (so_far, had): (&[String], &[LineItem]),
    lines: &[LineItem],
) -> Vec<String> {
    let is_in = |lines: &[LineItem], name: &String| lines.iter().any(|line| line.name == *name);
    let is_named = named.is_some();
    let mut products = named.unwrap_or_else(|| {
        let stays = |name: &&String| !is_in(had, name) || is_in(lines, name);
        so_far.iter().filter(stays).cloned().collect()
    });
    if is_named && products.iter().filter(|name| !is_in(lines, name)).count() > MOST_PRODUCTS {
        invalid.add("products", "too_many", format!("has more than {MOST_PRODUCTS} entries"));
    }
    for line in lines {
        if !products.contains(&line.name) {
            products.push(line.name.clone());
        }
    }
    products
}

/// Lines as JSON, every number exact; nothing where there are none.
pub fn json(lines: &[LineItem]) -> Option<String> {
    let line = |it: &LineItem| {
        let name = serde_json::Value::from(it.name.as_str());
        let LineItem { quantity, unit_price, discount, .. } = it;
        format!(
            r#"{{"name":{name},"quantity":{quantity},"unit_price":{unit_price},"discount":{discount}}}"#
        )
    };
    let lines: Vec<_> = lines.iter().map(line).collect();
    (!lines.is_empty()).then(|| format!("[{}]", lines.join(",")))
}

#[cfg(test)]
pub(super) mod tests;
