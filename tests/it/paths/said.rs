//! What somebody says of an opportunity, and the ways in which it can be said.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::{collection, option};
use serde_json::{Map, Value, json};

/// Nothing, that it be cleared, or a value.
pub(super) type Wish<T> = Option<Option<T>>;

/// Who there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Person {
    Admin,
    /// Leads the team of the north.
    Manager,
    /// A rep in the team of the north.
    North,
    /// A rep in the team of the south.
    South,
    Viewer,
    /// Somebody who is not there.
    Nobody,
}

/// A pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Funnel {
    Sales,
    Partners,
    /// One that is not there.
    Absent,
}

/// What a change is made conditional on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tag {
    #[default]
    None,
    Present,
    Other,
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Via {
    Rest,
    Grpc,
}

/// By what an opportunity is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Birth {
    Post(Via),
    Upsert(Via),
    Import(Via),
    /// With a past: ten days ago.
    History,
}

/// By what an opportunity is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    Patch,
    Move,
    Bulk,
    Upsert,
    Import,
}

/// What is said; days count from today.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) name: Option<&'static str>,
    pub(super) stage: Option<&'static str>,
    pub(super) funnel: Option<Funnel>,
    pub(super) probability: Wish<i32>,
    pub(super) lost_reason: Wish<&'static str>,
    pub(super) closed_on: Wish<i64>,
    /// In hundredths.
    pub(super) amount: Wish<i64>,
    pub(super) expected: Wish<i64>,
    pub(super) owner: Option<Person>,
    pub(super) currency: Option<&'static str>,
    pub(super) notes: Wish<&'static str>,
    pub(super) region: Wish<&'static str>,
    pub(super) tag: Tag,
}

/// One thing that somebody does.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Say(Path, Via, Said),
    Delete(Via, Tag),
    Restore(Via),
    /// One of the same external id is made.
    MakeAgain(Via),
}

/// How an opportunity begins and what becomes of it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) birth: (Birth, Person, Said),
    pub(super) deeds: Vec<(Person, Deed)>,
}

fn set<T>(wish: Wish<T>) -> Wish<T> {
    wish.filter(Option::is_some)
}

impl Said {
    /// As much of it as a new one can say.
    pub(super) fn at_birth(self, birth: Birth) -> Self {
        let by_hand = matches!(birth, Birth::Post(_) | Birth::History);
        let by_file = matches!(birth, Birth::Import(_));
        Self {
            name: Some("Sale"),
            probability: set(self.probability),
            lost_reason: set(self.lost_reason).filter(|_| !by_hand),
            closed_on: set(self.closed_on).filter(|_| !by_hand),
            amount: set(self.amount),
            expected: set(self.expected),
            notes: set(self.notes),
            region: set(self.region).filter(|_| !by_file),
            tag: Tag::None,
            ..self
        }
    }

    /// As much of it as a path can say.
    pub(super) fn on(self, path: Path) -> Self {
        match path {
            Path::Patch => self,
            Path::Upsert => Self { tag: Tag::None, ..self },
            Path::Move => Self {
                stage: self.stage.or(Some("proposal")),
                probability: set(self.probability),
                lost_reason: set(self.lost_reason),
                closed_on: set(self.closed_on),
                notes: set(self.notes),
                tag: self.tag,
                ..Self::default()
            },
            Path::Bulk => Self {
                stage: self.stage,
                probability: set(self.probability),
                lost_reason: set(self.lost_reason),
                expected: set(self.expected),
                owner: self.owner,
                notes: set(self.notes),
                tag: self.tag,
                ..Self::default()
            },
            // An empty cell says nothing.
            Path::Import => Self {
                name: self.name.filter(|it| !it.trim().is_empty()),
                probability: set(self.probability),
                lost_reason: set(self.lost_reason),
                closed_on: set(self.closed_on),
                amount: set(self.amount),
                expected: set(self.expected),
                notes: set(self.notes).filter(|it| it.is_some_and(|it| !it.trim().is_empty())),
                region: None,
                tag: Tag::None,
                ..self
            },
        }
    }

    /// Its fields as they are called in JSON.
    pub(super) fn json(
        &self,
        today: NaiveDate,
        people: &BTreeMap<Person, i64>,
        funnels: &[i64],
    ) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut say = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(field.to_owned(), value);
            }
        };
        let day = |offset: i64| (today + TimeDelta::days(offset)).to_string();
        say("opportunity_name", self.name.map(Value::from));
        say("stage", self.stage.map(Value::from));
        say(
            "pipeline_id",
            self.funnel.map(|it| match it {
                Funnel::Sales => json!(funnels[0]),
                Funnel::Partners => json!(funnels[1]),
                Funnel::Absent => json!(999_999),
            }),
        );
        say("probability", self.probability.map(Value::from));
        say("lost_reason", self.lost_reason.map(Value::from));
        say("actual_close_date", self.closed_on.map(|it| it.map(day).into()));
        say("amount", self.amount.map(|it| it.map_or(Value::Null, number)));
        say("expected_close_date", self.expected.map(|it| it.map(day).into()));
        say("owner_id", self.owner.map(|it| people.get(&it).copied().unwrap_or(999_999).into()));
        say("currency", self.currency.map(Value::from));
        say("notes", self.notes.map(Value::from));
        say("custom_fields", self.region.map(|it| json!({"region": it})));
        fields
    }
}

/// Hundredths as the number that they are.
pub(super) fn number(hundredths: i64) -> Value {
    let sign = if hundredths < 0 { "-" } else { "" };
    let (whole, rest) = (hundredths.abs() / 100, hundredths.abs() % 100);
    let text = format!("{sign}{whole}.{rest:02}");
    serde_json::from_str(text.trim_end_matches('0').trim_end_matches('.')).unwrap()
}

fn wish<T: Clone + std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Wish<T>> {
    prop_oneof![6 => Just(None), 4 => values.prop_map(|it| Some(Some(it))), 1 => Just(Some(None))]
        .boxed()
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(values: &'static [T]) -> BoxedStrategy<T> {
    proptest::sample::select(values).boxed()
}

fn via() -> BoxedStrategy<Via> {
    one_of(&[Via::Rest, Via::Grpc])
}

fn tag() -> BoxedStrategy<Tag> {
    prop_oneof![8 => Just(Tag::None), 3 => Just(Tag::Present), 1 => Just(Tag::Other)].boxed()
}

fn person() -> BoxedStrategy<Person> {
    use Person::{Admin, Manager, North, South, Viewer};
    prop_oneof![
        5 => Just(Admin), 3 => Just(Manager), 6 => Just(North), 3 => Just(South), 1 => Just(Viewer)
    ]
    .boxed()
}

fn owner() -> BoxedStrategy<Option<Person>> {
    use Person::{Admin, Manager, Nobody, North, South, Viewer};
    option::weighted(0.25, one_of(&[Admin, Manager, North, North, South, Viewer, Nobody])).boxed()
}

const STAGES: [&str; 18] = [
    "lead",
    "qualification",
    "QUALIFICATION",
    "需求確認",
    "proposal",
    "方案提案",
    "negotiation",
    "contract",
    "won",
    "成交",
    " Won ",
    "lost",
    "失敗",
    "signed_up",
    "trained",
    "gone",
    "Gone",
    "nowhere",
];

fn said() -> BoxedStrategy<Said> {
    let funnel = prop_oneof![
        30 => Just(None), 2 => Just(Some(Funnel::Sales)), 3 => Just(Some(Funnel::Partners)),
        1 => Just(Some(Funnel::Absent))
    ];
    let percent =
        prop_oneof![6 => 0..=100_i32, 2 => Just(0), 2 => Just(100), 1 => one_of(&[-1, 101])];
    let amount = prop_oneof![
        6 => 0..=12_345_678_901_i64, 1 => Just(0), 1 => Just(-1), 1 => Just(1_000_000_000_000_000)
    ];
    let stage = option::weighted(0.6, one_of(&STAGES));
    let name = option::weighted(0.1, one_of(&["Sale", "Renamed", " Renamed ", "  "]));
    let currency = option::weighted(0.15, one_of(&["TWD", "USD", "EUR", "XXZ"]));
    let first = (name, stage, funnel, wish(percent), wish(one_of(&["Price", "Timing", " Price "])));
    let second = (
        wish(one_of(&[0_i64, 0, -1, -4, -12, 1])),
        wish(amount),
        wish(-20..=60_i64),
        owner(),
        currency,
        wish(one_of(&["Called", "Met", " "])),
        wish(one_of(&["North", "south", "Mars"])),
        tag(),
    );
    (first, second, any::<bool>())
        .prop_map(|(first, second, is_short)| {
            let (name, stage, funnel, probability, lost_reason) = first;
            let (closed_on, amount, expected, owner, currency, notes, region, tag) = second;
            let said = Said {
                name,
                stage,
                funnel,
                probability,
                lost_reason,
                closed_on,
                amount,
                expected,
                owner,
                currency,
                notes,
                region,
                tag,
            };
            // Half of the time next to nothing but a stage, which is more often good.
            let short = Said { stage, lost_reason, amount, tag, ..Said::default() };
            if is_short { short } else { said }
        })
        .boxed()
}

fn deed() -> BoxedStrategy<Deed> {
    let path = prop_oneof![
        4 => Just(Path::Patch), 4 => Just(Path::Move), 3 => Just(Path::Bulk), 3 => Just(Path::Upsert),
        2 => Just(Path::Import)
    ];
    prop_oneof![
        16 => (path, via(), said()).prop_map(|(path, via, said)| Deed::Say(path, via, said.on(path))),
        2 => (via(), tag()).prop_map(|(via, tag)| Deed::Delete(via, tag)),
        3 => via().prop_map(Deed::Restore),
        1 => via().prop_map(Deed::MakeAgain),
    ]
    .boxed()
}

/// How one opportunity fares.
pub(super) fn case() -> BoxedStrategy<Case> {
    let birth = prop_oneof![
        4 => via().prop_map(Birth::Post), 2 => via().prop_map(Birth::Upsert),
        1 => via().prop_map(Birth::Import), 3 => Just(Birth::History)
    ];
    let birth =
        (birth, person(), said()).prop_map(|(birth, who, said)| (birth, who, said.at_birth(birth)));
    (birth, collection::vec((person(), deed()), 1..12))
        .prop_map(|(birth, deeds)| Case { birth, deeds })
        .boxed()
}
