//! The rules of an opportunity as the contract has them, once more and apart from the product: small, slow, and without a database.

mod refusal;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::said::{Birth, Funnel, Path, Person, Said, Tag, number};
use stage::{Kind, Record, SALES, enter, plain, stay, target};

pub(super) use refusal::Refusal;
pub(super) use stage::{REGION, Stage};

/// A row of the history.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) from: Option<&'static Stage>,
    pub(super) to: &'static Stage,
    pub(super) probability: i32,
    pub(super) notes: Option<String>,
    pub(super) by: Person,
}

/// What others learn of a change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) origin: &'static str,
    pub(super) by: Person,
    pub(super) changes: BTreeMap<&'static str, (Value, Value)>,
}

/// What is so in the world.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) people: BTreeMap<Person, i64>,
    pub(super) teams: BTreeMap<Person, i64>,
    pub(super) funnels: [i64; 2],
    pub(super) customer_id: i64,
    pub(super) today: NaiveDate,
}

/// The customer of all.
pub(super) const CUSTOMER: &str = "Every path";

/// An opportunity with all that is known of it.
#[derive(Clone, Debug)]
pub(super) struct Model<'a> {
    facts: &'a Facts,
    external_id: String,
    created_on: NaiveDate,
    now: Record,
    pub(super) version: usize,
    pub(super) history: Vec<Row>,
    pub(super) events: Vec<Event>,
}

/// Who acts, and what is written of that.
#[derive(Clone, Copy)]
struct Act {
    by: Person,
    origin: &'static str,
}

impl<'a> Model<'a> {
    /// One that is made, or why it is not.
    pub(super) fn make(
        facts: &'a Facts,
        external_id: &str,
        (birth, who, said): &(Birth, Person, Said),
    ) -> Result<Self, Refusal> {
        let who = *who;
        let owner = said.owner.unwrap_or(who);
        let mut refusal = Refusal::default();
        let stranger = || facts.teams.get(&owner) != facts.teams.get(&Person::Manager);
        match who {
            _ if *birth == Birth::History => {}
            Person::Viewer => refusal.status(403),
            Person::North | Person::South if owner != who => refusal.status(403),
            Person::Manager if owner != Person::Nobody && owner != who && stranger() => {
                refusal.status(403);
            }
            _ => {}
        }
        let (created_on, by) = match birth {
            Birth::History => (facts.today - TimeDelta::days(10), owner),
            _ => (facts.today, who),
        };
        let origin = match birth {
            Birth::History | Birth::Import(_) => "import",
            _ => "user",
        };
        let blank = Record {
            name: String::new(),
            funnel: Funnel::Sales,
            stage: &SALES[0],
            probability: 0,
            amount: None,
            currency: "TWD",
            expected: None,
            closed_on: None,
            lost_reason: None,
            owner: who,
            notes: None,
            region: None,
            is_deleted: false,
        };
        let mut model = Self {
            facts,
            external_id: external_id.to_owned(),
            created_on,
            now: blank,
            version: 1,
            history: Vec::new(),
            events: Vec::new(),
        };
        let now = model.settle(None, said, &mut refusal);
        refusal.into_result()?;
        model.now = now;
        let to = model.now.stage;
        let probability = model.now.probability;
        model.history.push(Row { from: None, to, probability, notes: None, by });
        let by = if *birth == Birth::History { Person::Admin } else { who };
        model.tell(&BTreeMap::new(), "opportunity.created", Act { by, origin });
        Ok(model)
    }

    /// What becomes of it when that is said.
    pub(super) fn say(&mut self, path: Path, who: Person, said: &Said) -> Result<(), Refusal> {
        let mut refusal = self.access(who, said.tag);
        if self.now.is_deleted && matches!(path, Path::Upsert | Path::Import) {
            refusal.statuses.remove(&404);
            refusal.status(409);
        }
        if let (Path::Import, Some(owner)) = (path, said.owner)
            && owner != Person::Nobody
            && owner != self.now.owner
            && !self.may_give(who, owner)
        {
            refusal.status(403);
        }
        let before = self.now.clone();
        let next = self.settle(Some(path), said, &mut refusal);
        refusal.into_result()?;
        let notes = said.notes.flatten().filter(|it| !it.trim().is_empty()).map(str::to_owned);
        let notes = notes.filter(|_| is_note_of_a_move(path, said));
        let origin = match path {
            Path::Bulk => "bulk",
            Path::Import => "import",
            _ => "user",
        };
        self.become_so(&before, next, notes, Act { by: who, origin });
        Ok(())
    }

    /// What becomes of it when it is deleted.
    pub(super) fn delete(&mut self, who: Person, tag: Tag) -> Result<(), Refusal> {
        self.access(who, tag).into_result()?;
        let before = self.now.clone();
        let next = Record { is_deleted: true, ..before.clone() };
        self.become_so(&before, next, None, Act { by: who, origin: "user" });
        Ok(())
    }

    /// What becomes of it when it is brought back.
    pub(super) fn restore(&mut self, who: Person) -> Result<(), Refusal> {
        if !self.may_write(who) {
            let mut refusal = Refusal::default();
            refusal.status(403);
            return Err(refusal);
        }
        let before = self.now.clone();
        let next = Record { is_deleted: false, ..before.clone() };
        self.become_so(&before, next, None, Act { by: who, origin: "user" });
        Ok(())
    }

    /// Why another of the same external id is not made.
    pub(super) fn make_again(who: Person) -> Refusal {
        let mut refusal = Refusal::default();
        refusal.status(if who == Person::Viewer { 403 } else { 409 });
        refusal
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.now.is_deleted
    }

    fn access(&self, who: Person, tag: Tag) -> Refusal {
        let mut refusal = Refusal::default();
        if self.now.is_deleted {
            refusal.status(404);
        }
        if !self.may_write(who) {
            refusal.status(403);
        }
        if tag == Tag::Other {
            refusal.status(412);
        }
        refusal
    }

    fn may_write(&self, who: Person) -> bool {
        match who {
            Person::Admin => true,
            Person::Manager => {
                let teams = &self.facts.teams;
                self.now.owner == who || teams.get(&self.now.owner) == teams.get(&who)
            }
            Person::North | Person::South => self.now.owner == who,
            Person::Viewer | Person::Nobody => false,
        }
    }

    /// Whether a file may name that person as owner.
    fn may_give(&self, who: Person, owner: Person) -> bool {
        let teams = &self.facts.teams;
        match who {
            Person::Admin => true,
            Person::Manager => owner == who || teams.get(&owner) == teams.get(&who),
            _ => owner == who,
        }
    }

    /// It as it is to be; whatever is wrong is noted. No path: it is made.
    fn settle(&self, path: Option<Path>, said: &Said, refusal: &mut Refusal) -> Record {
        let before = path.map(|_| &self.now);
        let mut next = self.now.clone();
        let keeps_notes = path.is_none_or(|path| !is_note_of_a_move(path, said));
        plain(&mut next, said, keeps_notes, self.facts.today, refusal);
        let Some((funnel, stage)) = target(before, said, refusal) else {
            refusal.is_vague = true;
            return next;
        };
        let moves = before.is_none_or(|it| (it.funnel, it.stage) != (funnel, stage));
        self.check(stage, said, refusal);
        if path == Some(Path::Move) && !moves {
            // Nothing but a named probability.
            let probability = said.probability.flatten().unwrap_or(self.now.probability);
            return Record { probability, ..self.now.clone() };
        }
        if moves {
            let today = if before.is_none() { self.created_on } else { self.facts.today };
            enter(before, &mut next, (funnel, stage), said, today);
        } else {
            stay(&mut next, stage, said, self.facts.today, refusal);
        }
        for field in stage.asks {
            if !next.has(field) && (moves || self.now.has(field)) {
                refusal.field(field);
            }
        }
        let is_closed = |it: &Record| it.stage.kind != Kind::Open;
        if before.is_some_and(|it| is_closed(it) && it.owner != next.owner) && is_closed(&next) {
            refusal.field("owner_id");
        }
        next
    }

    /// What may be said of one that is, or comes to be, in a stage.
    fn check(&self, stage: &Stage, said: &Said, refusal: &mut Refusal) {
        let is_good = |percent: i32| match stage.kind {
            Kind::Open => true,
            Kind::Won => percent == 100,
            Kind::Lost => percent == 0,
        };
        if said.probability.flatten().is_some_and(|percent| !is_good(percent)) {
            refusal.field("probability");
        }
        if stage.kind != Kind::Lost && said.lost_reason.flatten().is_some() {
            refusal.field("lost_reason");
        }
        if let Some(offset) = said.closed_on.flatten() {
            let on = self.facts.today + TimeDelta::days(offset);
            if stage.kind == Kind::Open || on > self.facts.today || on < self.created_on {
                refusal.field("actual_close_date");
            }
        }
    }

    /// From now on it is so, and whatever is other is told.
    fn become_so(&mut self, before: &Record, next: Record, notes: Option<String>, act: Act) {
        if *before == next {
            return;
        }
        let old = self.fields();
        self.now = next;
        self.version += 1;
        let moves = (before.funnel, before.stage) != (self.now.funnel, self.now.stage);
        if moves {
            self.history.push(Row {
                from: Some(before.stage),
                to: self.now.stage,
                probability: self.now.probability,
                notes,
                by: act.by,
            });
        }
        let kind = match (before.stage.kind, self.now.stage.kind) {
            _ if self.now.is_deleted => "opportunity.deleted",
            _ if before.is_deleted => "opportunity.restored",
            (from, to) if moves && from == to => "opportunity.stage_changed",
            (_, Kind::Won) if moves => "opportunity.won",
            (_, Kind::Lost) if moves => "opportunity.lost",
            (_, Kind::Open) if moves => "opportunity.reopened",
            _ if before.owner != self.now.owner => "opportunity.assigned",
            _ => "opportunity.updated",
        };
        self.tell(&old, kind, act);
    }

    fn tell(&mut self, old: &BTreeMap<&'static str, Value>, kind: &'static str, act: Act) {
        let new = self.fields();
        let names: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
        let of = |fields: &BTreeMap<&'static str, Value>, name| {
            fields.get(name).cloned().unwrap_or(Value::Null)
        };
        let changes = names.into_iter().map(|name| (name, (of(old, name), of(&new, name))));
        let changes = changes.filter(|(_, (old, new))| old != new).collect();
        self.events.push(Event { kind, origin: act.origin, by: act.by, changes });
    }

    /// The amount in the organisation's currency, and the rate by which that is.
    fn closed_worth(&self) -> (Value, Value) {
        let (Some(amount), Some(on)) = (self.now.amount, self.now.closed_on) else {
            return (Value::Null, Value::Null);
        };
        // A dollar is worth 30 until four days ago, and 32.5 since.
        let tenths = if on < self.facts.today - TimeDelta::days(3) { 300 } else { 325 };
        match self.now.currency {
            "TWD" => (number(amount), Value::Null),
            "USD" => (number((amount * tenths + 5) / 10), number(tenths * 10)),
            _ => (Value::Null, Value::Null),
        }
    }

    /// Its fields with a value, as a change tells them.
    fn fields(&self) -> BTreeMap<&'static str, Value> {
        let (facts, it) = (self.facts, &self.now);
        let (closed_amount, closed_rate) = self.closed_worth();
        let day = |day: Option<NaiveDate>| Value::from(day.map(|day| day.to_string()));
        let region = it.region.map_or(Value::Null, |region| json!({"region": region}));
        let fields = [
            ("opportunity_name", json!(it.name)),
            ("customer_id", json!(facts.customer_id)),
            ("customer_name", json!(CUSTOMER)),
            ("pipeline_id", json!(facts.funnels[usize::from(it.funnel == Funnel::Partners)])),
            ("stage_key", json!(it.stage.key)),
            ("status", json!(status(it.stage.kind))),
            ("amount", it.amount.map_or(Value::Null, number)),
            ("currency", json!(it.currency)),
            ("closed_amount", closed_amount),
            ("closed_rate", closed_rate),
            ("probability", json!(it.probability)),
            ("expected_close_date", day(it.expected)),
            ("actual_close_date", day(it.closed_on)),
            ("lost_reason", json!(it.lost_reason)),
            ("owner_id", json!(facts.people[&it.owner])),
            ("team_id", json!(facts.teams.get(&it.owner))),
            ("notes", json!(it.notes)),
            ("external_id", json!(self.external_id)),
            ("custom_fields", region),
            ("deleted_at", if it.is_deleted { json!("some time") } else { Value::Null }),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    /// What an answer says of it.
    pub(super) fn answer(&self) -> BTreeMap<&'static str, Value> {
        let mut fields = self.fields();
        fields.remove("deleted_at");
        let optional = [
            "amount",
            "closed_amount",
            "closed_rate",
            "expected_close_date",
            "actual_close_date",
            "lost_reason",
            "team_id",
            "notes",
        ];
        for field in optional {
            fields.entry(field).or_insert(Value::Null);
        }
        fields.entry("custom_fields").or_insert_with(|| json!({}));
        let weighted = |amount: i64| number((amount * i64::from(self.now.probability) + 50) / 100);
        fields.insert("weighted_value", self.now.amount.map_or(Value::Null, weighted));
        fields.insert("stage", json!(self.now.stage.name));
        fields.insert("version", json!(self.version));
        fields
    }
}

fn status(kind: Kind) -> &'static str {
    match kind {
        Kind::Open => "open",
        Kind::Won => "won",
        Kind::Lost => "lost",
    }
}

/// `notes` of a move belong to its history row alone.
fn is_note_of_a_move(path: Path, said: &Said) -> bool {
    path == Path::Move || path == Path::Bulk && said.stage.is_some()
}
