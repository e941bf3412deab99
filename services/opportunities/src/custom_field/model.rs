//! Fields of an organisation's own: what there are, and what an opportunity may say in them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use money::Number;
use rpc::Invalid;

use crate::text;

/// How long a text may be.
const LONGEST_TEXT: usize = 2_000;
/// How long all texts of an opportunity may be together.
const LONGEST_TEXTS: usize = 20_000;
/// The largest number, either way.
const LARGEST: Number = Number::from_billionths(999_999_999_999_999_999_999_999);

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// An exact number.
    Number,
    /// A day.
    Date,
    /// One of the field's choices.
    Choice,
}

impl Type {
    const ALL: [Self; 4] = [Self::Text, Self::Number, Self::Date, Self::Choice];

    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
            Self::Choice => "choice",
        }
    }

    /// The type of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomField {
    /// By which it is named; it never changes.
    pub key: String,
    /// What it is called.
    pub name: String,
    /// What it holds; it never changes.
    pub kind: Type,
    /// Of a choice: what there is to choose from.
    pub choices: Vec<String>,
    /// Whether it is gone; what opportunities say in it is hidden then.
    pub is_deleted: bool,
}

/// What an opportunity says in a field. Days and choices are texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
}

/// What an opportunity says in its fields, by key.
pub type Values = BTreeMap<String, Value>;

/// What somebody wants to be said in fields, by key: nothing, or a value.
pub type ValueWishes = BTreeMap<String, Option<Value>>;

/// All fields in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomFields {
    /// In their order, those that are gone too.
    pub items: Vec<CustomField>,
    /// Rises by one with every change of any of them; 0 before the first.
    pub version: i64,
}

impl CustomFields {
    /// Those that are there, in their order.
    pub fn living(&self) -> impl Iterator<Item = &CustomField> {
        self.items.iter().filter(|it| !it.is_deleted)
    }

    /// The field of that key, if it is there.
    pub fn get(&self, key: &str) -> Option<&CustomField> {
        self.living().find(|it| it.key == key)
    }

    /// What an opportunity says that said `before`, when these are changed; nothing for all of them. What fields that are gone hold stays. Whatever is wrong is noted.
    pub fn merge(
        &self,
        invalid: &mut Invalid,
        before: &Values,
        wishes: Option<&ValueWishes>,
    ) -> Values {
        let mut values = before.clone();
        let Some(wishes) = wishes else {
            values.retain(|key, _| self.get(key).is_none());
            return values;
        };
        for (key, wish) in wishes {
            let Some(field) = self.get(key) else {
                invalid.add(path(key), "unknown_custom_field", "there is no such custom field");
                continue;
            };
            match wish.clone().and_then(|value| read(invalid, field, value)) {
                Some(value) => values.insert(key.clone(), value),
                None => values.remove(key),
            };
        }
        let length = |value: &Value| match value {
            Value::Text(text) => text.chars().count(),
            Value::Number(_) => 0,
        };
        if values.values().map(length).sum::<usize>() > LONGEST_TEXTS {
            let message = format!("are longer than {LONGEST_TEXTS} characters together");
            invalid.add("custom_fields", "too_long", message);
        }
        values
    }

    /// What `key:value` asks of a list, as JSON that a row's fields contain. Whatever is wrong is noted.
    pub fn asked(&self, invalid: &mut Invalid, asked: &str) -> Option<String> {
        const FIELD: &str = "custom_field";
        let Some((key, value)) = asked.split_once(':') else {
            invalid.add(FIELD, "wrong_type", "is not of the form key:value");
            return None;
        };
        let Some(field) = self.get(key) else {
            invalid.add(FIELD, "unknown_custom_field", "names a custom field that there is not");
            return None;
        };
        let value = match field.kind {
            Type::Number => Number::parse(value).ok().map(Value::Number),
            _ => Some(Value::Text(value.to_owned())),
        };
        let mut wrong = Invalid::default();
        let value = value.and_then(|value| read(&mut wrong, field, value));
        if value.is_none() {
            let message = format!("is no value of the custom field {key}");
            invalid.add(FIELD, "unknown_value", message);
        }
        json(&BTreeMap::from([(key.to_owned(), value?)]))
    }
}

/// By what a field of an opportunity is named where something is wrong with it.
fn path(key: &str) -> String {
    format!("custom_fields.{}", key.chars().take(64).collect::<String>())
}

/// A value as its field keeps it; a blank text is none.
fn read(invalid: &mut Invalid, field: &CustomField, value: Value) -> Option<Value> {
    let path = path(&field.key);
    match (field.kind, value) {
        (Type::Number, Value::Number(number)) => {
            if number > LARGEST || number.billionths() < -LARGEST.billionths() {
                let message =
                    "is not between -999999999999999.999999999 and 999999999999999.999999999";
                invalid.add(path, "out_of_range", message);
                return None;
            }
            Some(Value::Number(number))
        }
        (Type::Number, Value::Text(_)) => {
            invalid.add(path, "wrong_type", "must be a number, not a text");
            None
        }
        (_, Value::Number(_)) => {
            invalid.add(path, "wrong_type", "must be a text, not a number");
            None
        }
        (Type::Text, Value::Text(text)) => {
            text::free(invalid, &path, Some(&text), LONGEST_TEXT).map(Value::Text)
        }
        (Type::Date, Value::Text(text)) => {
            let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
            if day.is_none_or(|day| day.to_string() != text || text.len() != 10) {
                invalid.add(path, "invalid_date", "is not a day as YYYY-MM-DD");
                return None;
            }
            Some(Value::Text(text))
        }
        (Type::Choice, Value::Text(text)) => {
            let folded = text::fold(&text);
            let found = field.choices.iter().find(|choice| text::fold(choice) == folded);
            if found.is_none() {
                invalid.add(path, "unknown_choice", "is none of the choices of the field");
            }
            found.cloned().map(Value::Text)
        }
    }
}

/// Values as JSON, every number exact; nothing where there are none.
pub fn json(values: &Values) -> Option<String> {
    let member = |(key, value): (&String, &Value)| {
        let key = serde_json::Value::from(key.as_str());
        match value {
            Value::Text(text) => format!("{key}:{}", serde_json::Value::from(text.as_str())),
            Value::Number(number) => format!("{key}:{number}"),
        }
    };
    let members: Vec<_> = values.iter().map(member).collect();
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> CustomFields {
        let field = |key: &str, kind, choices: &[&str]| CustomField {
            key: key.into(),
            name: key.into(),
            kind,
            choices: choices.iter().map(|it| (*it).to_owned()).collect(),
            is_deleted: key == "gone",
        };
        let items = vec![
            field("memo", Type::Text, &[]),
            field("seats", Type::Number, &[]),
            field("renewal", Type::Date, &[]),
            field("region", Type::Choice, &["North", "南區"]),
            field("gone", Type::Text, &[]),
        ];
        CustomFields { items, version: 1 }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a wish is a value or nothing")]
    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.to_owned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "a wish is a value or nothing")]
    fn number(text: &str) -> Option<Value> {
        Some(Value::Number(text.parse().unwrap()))
    }

    fn merged(
        before: &Values,
        wishes: Option<&[(&str, Option<Value>)]>,
    ) -> Result<Values, Vec<String>> {
        let wishes = wishes.map(|it| {
            it.iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect::<ValueWishes>()
        });
        let mut invalid = Invalid::default();
        let values = fields().merge(&mut invalid, before, wishes.as_ref());
        match invalid.into_result() {
            Ok(()) => Ok(values),
            Err(rpc::Error::Invalid(fields)) => {
                Err(fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect())
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_named_is_merged_null_removes_and_null_for_all_clears_but_what_is_hidden() {
        let hidden = Values::from([("gone".to_owned(), Value::Text("x".to_owned()))]);
        let said = [
            ("memo", text(" a ")),
            ("seats", number("12.500")),
            ("renewal", text("2026-02-28")),
            ("region", text("ｎorth")),
        ];
        let first = merged(&hidden, Some(&said)).unwrap();
        let written =
            r#"{"gone":"x","memo":" a ","region":"North","renewal":"2026-02-28","seats":12.5}"#;
        assert_eq!(json(&first).as_deref(), Some(written));
        let second = merged(&first, Some(&[("memo", None), ("region", text("南區"))])).unwrap();
        let written = r#"{"gone":"x","region":"南區","renewal":"2026-02-28","seats":12.5}"#;
        assert_eq!(json(&second).as_deref(), Some(written));
        assert_eq!(merged(&second, Some(&[])).unwrap(), second);
        assert_eq!(
            merged(&second, Some(&[("renewal", None), ("memo", text("  "))])).unwrap().len(),
            3
        );
        assert_eq!(merged(&second, None).unwrap(), hidden);
    }

    #[test]
    fn every_value_that_its_field_does_not_hold_is_told_by_its_key() {
        for (key, value, code) in [
            ("nothing", text("x"), "unknown_custom_field"),
            ("gone", None, "unknown_custom_field"),
            ("memo", number("1"), "wrong_type"),
            ("memo", text(&"x".repeat(2_001)), "too_long"),
            ("memo", text("a\0"), "invalid_character"),
            ("seats", text("1"), "wrong_type"),
            ("seats", number("1e15"), "out_of_range"),
            ("seats", number("-1000000000000000"), "out_of_range"),
            ("renewal", text("2026-02-30"), "invalid_date"),
            ("renewal", text("2026-2-03"), "invalid_date"),
            ("renewal", number("20260203"), "wrong_type"),
            ("region", text("East"), "unknown_choice"),
        ] {
            let wrong = merged(&Values::new(), Some(&[(key, value)])).unwrap_err();
            assert_eq!(wrong, [format!("custom_fields.{key} {code}")]);
        }
        let both = [("seats", text("1")), ("memo", number("1"))];
        assert_eq!(merged(&Values::new(), Some(&both)).unwrap_err().len(), 2);
    }

    #[test]
    fn a_list_is_asked_by_key_and_value_as_the_field_keeps_it() {
        let asked = |text: &str| {
            let mut invalid = Invalid::default();
            fields().asked(&mut invalid, text).ok_or(invalid.is_empty())
        };
        for (text, json) in [
            ("seats:12.50", r#"{"seats":12.5}"#),
            ("region:NORTH", r#"{"region":"North"}"#),
            ("memo:a:b", r#"{"memo":"a:b"}"#),
            ("renewal:2026-01-01", r#"{"renewal":"2026-01-01"}"#),
        ] {
            assert_eq!(asked(text).as_deref(), Ok(json), "{text}");
        }
        for text in
            ["seats", "seats:many", "region:East", "gone:x", "colour:red", "renewal:soon", "memo:"]
        {
            assert_eq!(asked(text), Err(false), "{text}");
        }
    }
}
