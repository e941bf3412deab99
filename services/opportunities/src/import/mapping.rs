//! Which field each column of a file is, and what a row says by that.

use std::collections::BTreeMap;

use rpc::{FieldError, Invalid};

use super::model::Kind;
use crate::custom_field::model::{CustomField, CustomFields, Type};
use crate::sheet::cell::{is_error, unguard};
use crate::sheet::column::{Column, Entry, Write, named, propose};
use crate::sheet::own;

/// The longest header.
const LONGEST_HEADER: usize = 1_000;

/// What a column is.
#[derive(Clone, Debug)]
enum Field {
    /// A field of every opportunity.
    Column(&'static Column, Write),
    /// The organisation's own field of that key, and what it holds; one that is gone holds nothing.
    Own(String, Option<Type>),
}

impl Field {
    fn of_own(field: &CustomField) -> Self {
        Self::Own(field.key.clone(), Some(field.kind))
    }

    /// The one of that name that can be brought in with rows of a kind.
    fn named(name: &str, kind: Kind) -> Option<Self> {
        named(name, kind).and_then(|column| Some(Self::Column(column, column.write?)))
    }

    fn name(&self) -> String {
        match self {
            Self::Column(column, _) => column.name.to_owned(),
            Self::Own(key, _) => own::header(key),
        }
    }
}

/// The field that each column is, by place; none of what is left out.
#[derive(Clone, Debug, Default)]
pub struct Mapping(Vec<Option<Field>>);

impl Mapping {
    /// As it was asked for, by header, or as it is proposed where nothing was. Every row needs a name and a customer, or an `external_id` by which it is known.
    pub fn of(
        headers: &[String],
        asked: &BTreeMap<String, String>,
        (kind, own): (Kind, &CustomFields),
    ) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let headers: Vec<_> = headers.iter().map(|header| header.trim().to_owned()).collect();
        for (index, header) in headers.iter().enumerate() {
            if header.chars().count() > LONGEST_HEADER {
                let message = format!("has a header of more than {LONGEST_HEADER} characters");
                invalid.add("file", "header_too_long", message);
            }
            if !header.is_empty() && headers[..index].contains(header) {
                let message = format!("has two columns of the name {}", short(header));
                invalid.add("file", "duplicate_header", message);
            }
        }
        let mapping = Self(if asked.is_empty() {
            proposed(&headers, kind, own)
        } else {
            read(&mut invalid, &headers, asked, (kind, own))
        });
        let fields = mapping.fields();
        let has = |name: &str| fields.iter().any(|field| field == name);
        if has("owner_id") && has("owner_email") {
            invalid.add("mapping", "ambiguous", "owner_id cannot be given beside owner_email");
        }
        for needed in ["opportunity_name", "customer_name"] {
            if !has(needed) && !has("external_id") {
                let message = format!("no column is {needed}");
                invalid.add("mapping", "required", message);
            }
        }
        if invalid.is_empty() { Ok(mapping) } else { Err(invalid) }
    }

    /// As it was kept, with the organisation's own fields as they are now.
    pub fn of_fields(fields: &[String], kind: Kind, own: &CustomFields) -> Self {
        let field = |name: &String| match own::key(name) {
            Some(key) => Some(Field::Own(key.to_owned(), own.get(key).map(|it| it.kind))),
            None => Field::named(name, kind),
        };
        Self(fields.iter().map(field).collect())
    }

    /// To be kept: the name of each field, empty where a column is left out.
    pub fn fields(&self) -> Vec<String> {
        self.0.iter().map(|it| it.as_ref().map_or(String::new(), Field::name)).collect()
    }

    /// What a row says as far as it can be read, and what of it cannot.
    pub fn entry(&self, cells: &[String]) -> (Entry, Invalid) {
        let (mut entry, mut invalid) = (Entry::default(), Invalid::default());
        if cells.iter().skip(self.0.len()).any(|cell| !cell.is_empty()) {
            invalid.add("", "too_many_cells", "the row has more cells than the header");
        }
        for (field, cell) in self.0.iter().zip(cells) {
            let Some(field) = field.as_ref().filter(|_| !cell.trim().is_empty()) else { continue };
            if is_error(cell) {
                let message = "is a formula without a value";
                invalid.add(field.name(), "formula_error", message);
                continue;
            }
            let text = unguard(cell);
            match field {
                Field::Column(_, write) => write(&mut entry, &mut invalid, text),
                Field::Own(key, kind) => own::write(&mut entry, &mut invalid, key, *kind, text),
            }
        }
        (entry, invalid)
    }

    /// What is wrong with a row in the order of its columns: first what is wrong with the row, last what no column says.
    pub fn in_order(&self, faults: Invalid) -> Invalid {
        let fields = self.fields();
        let place = |fault: &FieldError| {
            let whole = fault.field.split('[').next().unwrap_or_default();
            // What is wrong with whom a column names is told by what is made of that.
            let column = match whole {
                "" => return 0,
                "owner_id" if !fields.iter().any(|it| it == whole) => "owner_email",
                "contact_id" => "contact_name",
                other => other,
            };
            fields.iter().position(|it| it == column).map_or(usize::MAX, |place| place + 1)
        };
        let mut faults: Vec<_> = faults.into_iter().collect();
        faults.sort_by_cached_key(place);
        faults.into_iter().collect()
    }
}

/// Those that the headers say: fields that every opportunity has first, then the organisation's own.
fn proposed(headers: &[String], kind: Kind, own: &CustomFields) -> Vec<Option<Field>> {
    let mut taken = Vec::new();
    let columns = propose(headers, kind).into_iter();
    let mut columns: Vec<_> = columns
        .map(|column| column.and_then(|column| Some(Field::Column(column, column.write?))))
        .collect();
    // A header that is a field's own comes before one that is called like it.
    for meant in [own::keyed, own::called] {
        for (column, header) in columns.iter_mut().zip(headers).filter(|(it, _)| it.is_none()) {
            if let Some(field) = meant(header, own).filter(|it| !taken.contains(&it.key)) {
                taken.push(field.key.clone());
                *column = Some(Field::of_own(field));
            }
        }
    }
    columns
}

fn read(
    invalid: &mut Invalid,
    headers: &[String],
    asked: &BTreeMap<String, String>,
    (kind, own): (Kind, &CustomFields),
) -> Vec<Option<Field>> {
    let mut columns: Vec<Option<Field>> = vec![None; headers.len()];
    for (header, name) in asked {
        let field = match own::key(name) {
            Some(key) => own.get(key).map(Field::of_own),
            None => Field::named(name, kind),
        };
        let at = format!("mapping.{}", short(header));
        match (headers.iter().position(|it| it == header.trim()), field) {
            (None, _) => invalid.add(at, "unknown_column", "the file has no such column"),
            (_, None) => invalid.add(at, "unknown_field", "is no field that can be brought in"),
            (Some(_), Some(_)) if columns.iter().flatten().any(|it| it.name() == *name) => {
                invalid.add(at, "duplicate_field", "another column is this field");
            }
            (Some(index), Some(_)) if columns[index].is_some() => {
                invalid.add(at, "duplicate_column", "the column is another field already");
            }
            (Some(index), Some(field)) => columns[index] = Some(field),
        }
    }
    columns
}

/// As much of a header as is repeated to who sent it.
fn short(header: &str) -> String {
    header.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|it| (*it).to_owned()).collect()
    }

    fn own() -> CustomFields {
        let field = |key: &str, name: &str, kind| CustomField {
            key: key.to_owned(),
            name: name.to_owned(),
            kind,
            choices: Vec::new(),
            is_deleted: key == "gone",
        };
        let items = vec![
            field("seats", "席次", Type::Number),
            field("renewal", "Renewal", Type::Date),
            field("gone", "Gone", Type::Text),
            field("state", "Status", Type::Text),
        ];
        CustomFields { items, version: 1 }
    }

    fn asked(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(header, field)| ((*header).to_owned(), (*field).to_owned())).collect()
    }

    fn codes(headers: &[&str], pairs: &[(&str, &str)]) -> Vec<String> {
        let refused =
            Mapping::of(&texts(headers), &asked(pairs), (Kind::Sales, &own())).unwrap_err();
        let rpc::Error::Invalid(fields) = refused.into() else { panic!("not about fields") };
        fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    /// What of a row cannot be read.
    fn unread(mapping: &Mapping, cells: &[&str]) -> Vec<String> {
        let (_, unread) = mapping.entry(&texts(cells));
        unread.fields().iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    #[test]
    fn columns_are_what_was_asked_for_or_what_their_headers_say() {
        let headers = texts(&["商機名稱", "客戶", "Colour"]);
        let mapping = Mapping::of(&headers, &BTreeMap::new(), (Kind::Sales, &own())).unwrap();
        assert_eq!(mapping.fields(), ["opportunity_name", "customer_name", ""]);
        let pairs = [("Colour", "customer_name"), ("客戶", "opportunity_name")];
        let mapping = Mapping::of(&headers, &asked(&pairs), (Kind::Sales, &own())).unwrap();
        assert_eq!(mapping.fields(), ["", "opportunity_name", "customer_name"]);
        assert_eq!(
            Mapping::of_fields(&mapping.fields(), Kind::Sales, &own()).fields(),
            mapping.fields()
        );
    }

    #[test]
    fn cells_filled_up_with_space_say_what_stands_in_them() {
        let names =
            ["opportunity_name", "customer_name", "contact_name", "stage", "source", "notes"];
        let mapping = Mapping::of(&texts(&names), &BTreeMap::new(), (Kind::Sales, &own())).unwrap();
        let (entry, _) = mapping.entry(&names.map(|it| format!(" {it:300}")));
        assert_eq!(entry.wish.opportunity_name, "opportunity_name");
        assert_eq!(entry.wish.customer_name.as_deref(), Some("customer_name"));
        assert_eq!(entry.wish.contact_name.as_deref(), Some("contact_name"));
        assert_eq!(entry.wish.stage.as_deref(), Some("stage"));
        assert_eq!(entry.wish.source.as_deref(), Some("source"));
        assert_eq!(entry.wish.notes.map(|it| it.len()), Some(301));
    }

    #[test]
    fn own_fields_are_known_by_key_and_by_name_and_hold_what_they_hold() {
        let headers = texts(&[
            "external_id",
            "custom_fields.seats",
            "席次",
            "renewal",
            "Gone",
            "custom_fields.gone",
        ]);
        let mapping = Mapping::of(&headers, &BTreeMap::new(), (Kind::Sales, &own())).unwrap();
        let expected = ["external_id", "custom_fields.seats", "", "custom_fields.renewal", "", ""];
        assert_eq!(mapping.fields(), expected);
        let (entry, _) = mapping.entry(&texts(&["a", "1,234.5", "", "2026/1/5"]));
        let said = crate::custom_field::model::json(
            &entry
                .wish
                .custom_fields
                .into_iter()
                .filter_map(|(key, it)| Some((key, it?)))
                .collect(),
        );
        assert_eq!(said.as_deref(), Some(r#"{"renewal":"2026-01-05","seats":1234.5}"#));
        assert_eq!(unread(&mapping, &["a", "many"]), ["custom_fields.seats wrong_type"]);
        // What every file has is not the field of that name, and the field's own header comes first.
        let headers =
            texts(&["external_id", "status", "席次", "custom_fields.state", "custom_fields.seats"]);
        let mapping = Mapping::of(&headers, &BTreeMap::new(), (Kind::Sales, &own())).unwrap();
        let expected = ["external_id", "", "", "custom_fields.state", "custom_fields.seats"];
        assert_eq!(mapping.fields(), expected);
        let long = texts(&["external_id", &"x".repeat(1_001)]);
        assert!(Mapping::of(&long, &BTreeMap::new(), (Kind::Sales, &own())).is_err());
        let pairs =
            [("a", "external_id"), ("b", "custom_fields.gone"), ("c", "custom_fields.seats")];
        assert_eq!(codes(&["a", "b", "c"], &pairs), ["mapping.b unknown_field"]);
        // One that was deleted since is the fault of each row that names it.
        let kept =
            Mapping::of_fields(&texts(&["external_id", "custom_fields.gone"]), Kind::Sales, &own());
        assert!(kept.entry(&texts(&["a", "x"])).0.wish.custom_fields.contains_key("gone"));
    }

    #[test]
    fn a_mapping_that_does_not_fit_is_refused_with_all_that_is_wrong() {
        let found = codes(&["a", "b", "b"], &[("c", "amount"), ("a", "id"), ("b", "colour")]);
        let expected = [
            "file duplicate_header",
            "mapping.a unknown_field",
            "mapping.b unknown_field",
            "mapping.c unknown_column",
            "mapping required",
            "mapping required",
        ];
        assert_eq!(found, expected);
        let pairs = [("a", "customer_name"), ("b", "customer_name")];
        assert_eq!(codes(&["a", "b"], &pairs), ["mapping.b duplicate_field", "mapping required"]);
    }

    #[test]
    fn an_empty_cell_says_nothing_and_a_guarded_one_what_it_was() {
        let fields = texts(&["opportunity_name", "", "notes", "amount"]);
        let mapping = Mapping::of_fields(&fields, Kind::Sales, &own());
        let (entry, _) = mapping.entry(&texts(&["'=1+1", "x", "", "12"]));
        assert_eq!((&*entry.wish.opportunity_name, entry.wish.notes), ("=1+1", None));
        assert_eq!(unread(&mapping, &["a", "", "", "", ""]), [""; 0]);
        assert_eq!(unread(&mapping, &["a", "", "", "", "b"]), [" too_many_cells"]);
        // A formula without a value is not passed over, nor taken for a text; a text is one.
        assert_eq!(unread(&mapping, &["#N/A", "", "", "1"]), ["opportunity_name formula_error"]);
        assert_eq!(unread(&mapping, &["a", "#N/A", "'#N/A", "1"]), [""; 0]);
    }

    #[test]
    fn of_a_row_that_cannot_be_read_the_rest_is() {
        let fields = texts(&["opportunity_name", "amount", "notes", "waiting_until"]);
        let mapping = Mapping::of_fields(&fields, Kind::Sales, &own());
        let cells = ["a", "twelve", "b", "soon"];
        let expected = ["amount wrong_type", "waiting_until invalid_date"];
        assert_eq!(unread(&mapping, &cells), expected);
        let (entry, _) = mapping.entry(&texts(&cells));
        assert_eq!((&*entry.wish.opportunity_name, entry.wish.amount), ("a", None));
        assert_eq!(entry.wish.notes.as_deref(), Some("b"));
    }

    #[test]
    fn faults_are_told_in_the_order_of_the_columns_that_they_are_about() {
        let fields = ["stage", "owner_email", "line_items", "custom_fields.seats", "contact_name"];
        let mapping = Mapping::of_fields(&texts(&fields), Kind::Sales, &own());
        let found = [
            "customer_name",
            "contact_id",
            "line_items[1].name",
            "custom_fields.seats",
            "opportunity_name",
            "line_items[0].name",
            "owner_id",
            "stage",
            "",
        ];
        let faults: Invalid =
            found.iter().map(|it| FieldError::new(*it, "code", "is not good")).collect();
        let told = mapping.in_order(faults);
        let told: Vec<_> = told.fields().iter().map(|it| &*it.field).collect();
        let expected = [
            "",
            "stage",
            "owner_id",
            "line_items[1].name",
            "line_items[0].name",
            "custom_fields.seats",
            "contact_id",
            "customer_name",
            "opportunity_name",
        ];
        assert_eq!(told, expected);
    }
}
