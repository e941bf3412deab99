//! Which field each column of a file is, and what a row says by that.

use std::collections::BTreeMap;

use rpc::Invalid;

use super::model::Kind;
use crate::sheet::cell::unguard;
use crate::sheet::column::{Column, Entry, named, propose};

/// The field that each column is, by place; none of what is left out.
#[derive(Clone, Debug, Default)]
pub struct Mapping(Vec<Option<&'static Column>>);

impl Mapping {
    /// As it was asked for, by header, or as it is proposed where nothing was. Every row needs a name and a customer, or an `external_id` by which it is known.
    pub fn of(
        headers: &[String],
        asked: &BTreeMap<String, String>,
        kind: Kind,
    ) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let headers: Vec<_> = headers.iter().map(|header| header.trim().to_owned()).collect();
        for (index, header) in headers.iter().enumerate() {
            if !header.is_empty() && headers[..index].contains(header) {
                let message = format!("has two columns of the name {}", short(header));
                invalid.add("file", "duplicate_header", message);
            }
        }
        let columns = if asked.is_empty() {
            propose(&headers, kind)
        } else {
            read(&mut invalid, &headers, asked, kind)
        };
        let has = |name: &str| columns.iter().flatten().any(|column| column.name == name);
        if has("owner_id") && has("owner_email") {
            invalid.add("mapping", "ambiguous", "owner_id cannot be given beside owner_email");
        }
        for needed in ["opportunity_name", "customer_name"] {
            if !has(needed) && !has("external_id") {
                let message = format!("no column is {needed}");
                invalid.add("mapping", "required", message);
            }
        }
        if invalid.is_empty() { Ok(Self(columns)) } else { Err(invalid) }
    }

    /// As it was kept.
    pub fn of_fields(fields: &[String], kind: Kind) -> Self {
        Self(fields.iter().map(|field| named(field, kind)).collect())
    }

    /// To be kept: the name of each field, empty where a column is left out.
    pub fn fields(&self) -> Vec<String> {
        self.0.iter().map(|it| it.map_or(String::new(), |it| it.name.to_owned())).collect()
    }

    /// What a row says.
    pub fn entry(&self, cells: &[String]) -> Result<Entry, Invalid> {
        let (mut entry, mut invalid) = (Entry::default(), Invalid::default());
        if cells.iter().skip(self.0.len()).any(|cell| !cell.is_empty()) {
            invalid.add("", "too_many_cells", "the row has more cells than the header");
        }
        for (column, cell) in self.0.iter().zip(cells) {
            let Some(write) = column.and_then(|column| column.write) else { continue };
            if !cell.trim().is_empty() {
                write(&mut entry, &mut invalid, unguard(cell));
            }
        }
        if invalid.is_empty() { Ok(entry) } else { Err(invalid) }
    }
}

fn read(
    invalid: &mut Invalid,
    headers: &[String],
    asked: &BTreeMap<String, String>,
    kind: Kind,
) -> Vec<Option<&'static Column>> {
    let mut columns: Vec<Option<&'static Column>> = vec![None; headers.len()];
    for (header, field) in asked {
        let column = named(field, kind);
        let at = format!("mapping.{}", short(header));
        match (headers.iter().position(|it| it == header.trim()), column) {
            (None, _) => invalid.add(at, "unknown_column", "the file has no such column"),
            (_, None) => invalid.add(at, "unknown_field", "is no field that can be brought in"),
            (Some(_), Some(column))
                if columns.iter().flatten().any(|it| it.name == column.name) =>
            {
                invalid.add(at, "duplicate_field", "another column is this field");
            }
            (Some(index), Some(column)) => columns[index] = Some(column),
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

    fn asked(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(header, field)| ((*header).to_owned(), (*field).to_owned())).collect()
    }

    fn codes(headers: &[&str], pairs: &[(&str, &str)]) -> Vec<String> {
        let refused = Mapping::of(&texts(headers), &asked(pairs), Kind::Sales).unwrap_err();
        let rpc::Error::Invalid(fields) = refused.into() else { panic!("not about fields") };
        fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    #[test]
    fn columns_are_what_was_asked_for_or_what_their_headers_say() {
        let headers = texts(&["商機名稱", "客戶", "Colour"]);
        let mapping = Mapping::of(&headers, &BTreeMap::new(), Kind::Sales).unwrap();
        assert_eq!(mapping.fields(), ["opportunity_name", "customer_name", ""]);
        let pairs = [("Colour", "customer_name"), ("客戶", "opportunity_name")];
        let mapping = Mapping::of(&headers, &asked(&pairs), Kind::Sales).unwrap();
        assert_eq!(mapping.fields(), ["", "opportunity_name", "customer_name"]);
        assert_eq!(Mapping::of_fields(&mapping.fields(), Kind::Sales).fields(), mapping.fields());
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
        let mapping = Mapping::of_fields(&fields, Kind::Sales);
        let entry = mapping.entry(&texts(&["'=1+1", "x", "", "12"])).unwrap();
        assert_eq!((&*entry.wish.opportunity_name, entry.wish.notes), ("=1+1", None));
        assert!(mapping.entry(&texts(&["a", "", "", "", ""])).is_ok());
        assert!(mapping.entry(&texts(&["a", "", "", "", "b"])).is_err());
        assert!(mapping.entry(&texts(&["a", "", "", "twelve"])).is_err());
    }
}
