//! Customers: what they are, what one must satisfy, by what two are likely the same, and who may see and change one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rpc::{Invalid, mask::Wish};
use unicode_normalization::UnicodeNormalization as _;

use crate::access::model::{Owned, Sight};
use crate::opportunity::search::Indexed;
use crate::text::{self, fold};

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The company.
    pub company: Option<String>,
    /// The line of business.
    pub industry: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
    /// Who made it.
    pub created_by: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted; what was merged into another is deleted, too.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Into which it was merged.
    pub merged_into_id: Option<i64>,
    /// Rises by one with every change.
    pub version: i64,
}

/// A customer as somebody asks for it, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// The company.
    pub company: Option<String>,
    /// The line of business.
    pub industry: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
}

impl Draft {
    /// What a customer of that name has, and nothing else.
    pub fn of(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The same with texts that fit. Whatever is wrong is told at once.
    pub fn check(self) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let it = &mut invalid;
        let checked = Self {
            name: text::needed_name(it, "name", Some(&self.name)).unwrap_or_default(),
            company: text::name(it, "company", self.company.as_deref(), 255),
            industry: text::name(it, "industry", self.industry.as_deref(), 255),
            email: text::email(it, "email", self.email.as_deref()),
            phone: text::name(it, "phone", self.phone.as_deref(), 255),
        };
        if invalid.is_empty() { Ok(checked) } else { Err(invalid) }
    }
}

/// What is to be other about a customer, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Its name.
    pub name: Wish<String>,
    /// The company.
    pub company: Wish<String>,
    /// The line of business.
    pub industry: Wish<String>,
    /// E-mail address.
    pub email: Wish<String>,
    /// Telephone.
    pub phone: Wish<String>,
}

impl Edit {
    /// The customer as it is to be: the same where nothing is other. Whatever is wrong is told at once.
    pub fn apply(self, old: &Customer, at: DateTime<Utc>) -> Result<Customer, Invalid> {
        let mut invalid = Invalid::default();
        let it = &mut invalid;
        let mut new = old.clone();
        if let Some(name) = self.name
            && let Some(name) = text::needed_name(it, "name", name.as_deref())
        {
            new.name = name;
        }
        if let Some(company) = self.company {
            new.company = text::name(it, "company", company.as_deref(), 255);
        }
        if let Some(industry) = self.industry {
            new.industry = text::name(it, "industry", industry.as_deref(), 255);
        }
        if let Some(email) = self.email {
            new.email = text::email(it, "email", email.as_deref());
        }
        if let Some(phone) = self.phone {
            new.phone = text::name(it, "phone", phone.as_deref(), 255);
        }
        if invalid.is_empty() { Ok(new.after(old, at)) } else { Err(invalid) }
    }
}

impl Customer {
    /// It as the change that follows `old`: with its version, unless they are the same.
    pub(super) fn after(self, old: &Self, at: DateTime<Utc>) -> Self {
        if self == *old {
            return self;
        }
        Self { version: old.version + 1, updated_at: at.max(old.updated_at), ..self }
    }

    /// It is deleted, which can be undone.
    #[must_use]
    pub fn delete(&self, at: DateTime<Utc>) -> Self {
        Self { deleted_at: Some(at), ..self.clone() }.after(self, at)
    }

    /// It is there again as it was.
    #[must_use]
    pub fn restore(&self, at: DateTime<Utc>) -> Self {
        Self { deleted_at: None, merged_into_id: None, ..self.clone() }.after(self, at)
    }
}

/// Who has to do with a customer, which is all that the rule of who may see and change it looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ties {
    /// Who made it, with the team that they are in.
    pub maker: Owned,
    /// Its living opportunities.
    pub opportunities: Vec<Owned>,
    /// Their owners, with the teams that those are in.
    pub owners: Vec<Owned>,
}

impl Ties {
    /// Seen is a customer by who made it, and by who may see one of its opportunities.
    pub fn are_seen(&self, by: i64, read: &Sight) -> bool {
        *read == Sight::All
            || self.maker.owner_id == by
            || self.opportunities.iter().any(|opportunity| read.covers(*opportunity))
    }

    /// Changed is one by who made it, who owns an opportunity of theirs, and who is above such a person.
    pub fn are_changeable(&self, write: &Sight) -> bool {
        let mut people = std::iter::once(&self.maker).chain(&self.owners);
        *write == Sight::All || people.any(|person| write.covers(*person))
    }
}

/// What a customer is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The name as it is compared.
    pub folded_name: String,
    /// See [`name_key`].
    pub name_key: String,
    /// The address as it is compared.
    pub folded_email: Option<String>,
    /// The digits of the telephone number, if it is one.
    pub phone_digits: Option<String>,
    /// Name and company for text search.
    pub text: Indexed,
}

impl Keys {
    /// Of a customer with these.
    pub fn of(name: &str, company: Option<&str>, email: Option<&str>, phone: Option<&str>) -> Self {
        Self {
            folded_name: fold(name),
            name_key: name_key(name),
            folded_email: email.map(fold),
            phone_digits: phone.and_then(digits),
            text: Indexed::of_lines(&[name, company.unwrap_or_default()]),
        }
    }
}

/// What a telephone number has at least, in digits.
const SHORTEST_NUMBER: usize = 5;

/// The digits of a telephone number, however they are set apart; none of what is too short to be one.
pub fn digits(phone: &str) -> Option<String> {
    let digits: String = phone.nfkc().filter(char::is_ascii_digit).collect();
    (digits.len() >= SHORTEST_NUMBER).then_some(digits)
}

/// Words at the end of a name that say what kind of company it is.
const WORDS: [&str; 31] = [
    "ab",
    "ag",
    "as",
    "bhd",
    "bv",
    "co",
    "coltd",
    "company",
    "corp",
    "corporation",
    "gmbh",
    "inc",
    "incorporated",
    "kft",
    "kg",
    "kk",
    "limited",
    "llc",
    "llp",
    "ltd",
    "ltda",
    "nv",
    "oy",
    "plc",
    "pte",
    "pty",
    "sa",
    "sarl",
    "sas",
    "sdn",
    "srl",
];
/// The same where nothing sets words apart, the longer ones first.
const ENDINGS: [&str; 7] =
    ["股份有限公司", "有限責任公司", "有限责任公司", "有限公司", "株式会社", "주식회사", "公司"];
/// What may also stand before the name.
const BEGINNINGS: [&str; 2] = ["株式会社", "주식회사"];

/// A name without case, space, punctuation, and what says only that it is a company: `X.Y.Z. Co., Ltd.` and `XYZ`, `大同股份有限公司` and `大同公司` are alike.
/// A name of which nothing would be left keeps it all.
pub fn name_key(name: &str) -> String {
    let folded: String = fold(name).chars().filter(|it| !".'’".contains(*it)).collect();
    let mut words: Vec<&str> =
        folded.split(|it: char| !it.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    while words.len() > 1 && words.last().is_some_and(|word| WORDS.contains(word)) {
        words.pop();
    }
    let rest = words.concat();
    let mut rest = rest.as_str();
    let something = |text: &&str| !text.is_empty();
    if let Some(start) = ENDINGS.iter().find_map(|it| rest.strip_suffix(it).filter(something)) {
        rest = start;
    }
    if let Some(end) = BEGINNINGS.iter().find_map(|it| rest.strip_prefix(it).filter(something)) {
        rest = end;
    }
    if rest.is_empty() { fold(name) } else { rest.to_owned() }
}

/// Why customers are likely the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// They have one name, but for case, width and space.
    Name,
    /// They have one address.
    Email,
    /// They have one telephone number, however it is written.
    Phone,
    /// Their names differ by punctuation and by what says that it is a company.
    SimilarName,
}

impl Likeness {
    /// As the store calls it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "name" => Some(Self::Name),
            "email" => Some(Self::Email),
            "phone" => Some(Self::Phone),
            "similar" => Some(Self::SimilarName),
            _ => None,
        }
    }
}

/// The reasons to tell: that names are similar goes without saying where they are the same.
pub fn reasons(found: impl IntoIterator<Item = Likeness>) -> Vec<Likeness> {
    let mut reasons: BTreeSet<_> = found.into_iter().collect();
    if reasons.contains(&Likeness::Name) {
        reasons.remove(&Likeness::SimilarName);
    }
    reasons.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        Customer {
            id: 1,
            name: "XYZ 公司".to_owned(),
            company: None,
            industry: Some("軟體".to_owned()),
            email: None,
            phone: None,
            created_by: 3,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
            merged_into_id: None,
            version: 4,
        }
    }

    fn faults(invalid: Invalid) -> Vec<String> {
        let rpc::Error::Invalid(fields) = invalid.into() else { panic!("it is invalid") };
        fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    #[test]
    fn every_bad_field_of_a_new_customer_is_told_at_once() {
        let draft = Draft {
            name: " ".to_owned(),
            company: Some("x".repeat(256)),
            industry: Some("a\0".to_owned()),
            email: Some("nobody".to_owned()),
            phone: None,
        };
        let expected = [
            "name required",
            "company too_long",
            "industry invalid_character",
            "email invalid_email",
        ];
        assert_eq!(faults(draft.check().unwrap_err()), expected);
        let draft = Draft { phone: Some("  ".to_owned()), ..Draft::of(" XYZ ") }.check().unwrap();
        assert_eq!((draft.name.as_str(), draft.phone), ("XYZ", None));
    }

    #[test]
    fn an_edit_changes_what_it_names_and_a_name_cannot_be_cleared() {
        let (old, at) = (customer(), DateTime::from_timestamp(9, 0).unwrap());
        assert_eq!(Edit::default().apply(&old, at).unwrap(), old);
        let same = Edit { name: Some(Some(" XYZ 公司".to_owned())), ..Edit::default() };
        assert_eq!(same.apply(&old, at).unwrap(), old);
        let edit = Edit {
            industry: Some(None),
            email: Some(Some("a@b.tw".to_owned())),
            ..Edit::default()
        };
        let email = Some("a@b.tw".to_owned());
        let expected =
            Customer { industry: None, email, version: 5, updated_at: at, ..old.clone() };
        assert_eq!(edit.apply(&old, at).unwrap(), expected);
        let edit = Edit { name: Some(None), ..Edit::default() };
        assert_eq!(faults(edit.apply(&old, at).unwrap_err()), ["name required"]);
    }

    #[test]
    fn names_that_differ_by_punctuation_and_by_kinds_of_company_are_alike() {
        for (one, other) in [
            ("XYZ 公司", "ＸＹＺ"),
            ("X.Y.Z. Co., Ltd.", "xyz inc"),
            ("大同股份有限公司", "大同公司"),
            ("株式会社日立", "日立"),
            ("O'Neill & Sons LLC", "ONeill Sons"),
            ("Straße GmbH", "STRASSE AG"),
        ] {
            assert_eq!(name_key(one), name_key(other), "{one} {other}");
        }
        for (one, other) in
            [("Company", "Limited"), ("公司", ""), ("XYZ North", "XYZ South"), ("!!!", "???")]
        {
            assert_ne!(name_key(one), name_key(other), "{one} {other}");
        }
        assert_eq!(name_key("Co Co"), "co", "something is left");
    }

    #[test]
    fn a_number_is_its_digits() {
        assert_eq!(digits("+886 (2) 2345-６７８９").unwrap(), "886223456789");
        assert_eq!(digits("ext. 123"), None);
    }

    #[test]
    fn of_the_same_name_it_is_not_said_that_it_is_similar() {
        use Likeness::{Email, Name, SimilarName};
        assert_eq!(reasons([SimilarName, Email, Name]), [Name, Email]);
        assert_eq!(reasons([SimilarName]), [SimilarName]);
    }
}
