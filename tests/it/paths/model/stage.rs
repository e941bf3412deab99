//! The stages, what an opportunity says, and what becomes of that by the stage that it comes into or stands in.

use chrono::{NaiveDate, TimeDelta};

use super::Refusal;
use crate::paths::said::{Funnel, Person, Said};

/// What being in a stage means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::paths) enum Kind {
    Open,
    Won,
    Lost,
}

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::paths) struct Stage {
    pub(in crate::paths) key: &'static str,
    pub(in crate::paths) name: &'static str,
    pub(super) kind: Kind,
    pub(super) percent: i32,
    pub(super) asks: &'static [&'static str],
}

const fn stage(key: &'static str, name: &'static str, kind: Kind, percent: i32) -> Stage {
    Stage { key, name, kind, percent, asks: &[] }
}

const fn asking(stage: Stage, asks: &'static [&'static str]) -> Stage {
    Stage { asks, ..stage }
}

/// What `contract` asks for, too.
pub(in crate::paths) const REGION: &str = "custom_fields.region";

/// The stages of the two pipelines.
pub(super) static SALES: [Stage; 7] = [
    stage("lead", "潛在客戶", Kind::Open, 10),
    stage("qualification", "需求確認", Kind::Open, 30),
    asking(stage("proposal", "方案提案", Kind::Open, 50), &["amount"]),
    stage("negotiation", "商務談判", Kind::Open, 70),
    asking(stage("contract", "合約簽訂", Kind::Open, 90), &["expected_close_date", REGION]),
    stage("won", "成交", Kind::Won, 100),
    asking(stage("lost", "失敗", Kind::Lost, 0), &["lost_reason"]),
];
pub(super) static PARTNERS: [Stage; 4] = [
    stage("signed_up", "Signed up", Kind::Open, 20),
    asking(stage("trained", "Trained", Kind::Open, 60), &["notes"]),
    stage("closed_won", "成交", Kind::Won, 100),
    stage("gone", "Gone", Kind::Lost, 0),
];

/// An opportunity.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) funnel: Funnel,
    pub(super) stage: &'static Stage,
    pub(super) probability: i32,
    pub(super) amount: Option<i64>,
    pub(super) currency: &'static str,
    pub(super) expected: Option<NaiveDate>,
    pub(super) closed_on: Option<NaiveDate>,
    pub(super) lost_reason: Option<String>,
    pub(super) owner: Person,
    pub(super) notes: Option<String>,
    pub(super) region: Option<&'static str>,
    pub(super) is_deleted: bool,
}

impl Record {
    pub(super) fn has(&self, field: &str) -> bool {
        match field {
            "amount" => self.amount.is_some(),
            "expected_close_date" => self.expected.is_some(),
            "lost_reason" => self.lost_reason.is_some(),
            "notes" => self.notes.is_some(),
            REGION => self.region.is_some(),
            other => panic!("no stage asks for {other}"),
        }
    }
}

/// What no stage decides.
pub(super) fn plain(
    next: &mut Record,
    said: &Said,
    keeps_notes: bool,
    today: NaiveDate,
    refusal: &mut Refusal,
) {
    if let Some(name) = said.name {
        name.trim().clone_into(&mut next.name);
        if next.name.is_empty() {
            refusal.field("opportunity_name");
        }
    }
    if let Some(amount) = said.amount {
        if amount.is_some_and(|it| !(0..=999_999_999_999_999).contains(&it)) {
            refusal.field("amount");
        }
        next.amount = amount;
    }
    if said.probability.flatten().is_some_and(|it| !(0..=100).contains(&it)) {
        refusal.field("probability");
    }
    if let Some(currency) = said.currency {
        if currency == "XXZ" {
            refusal.field("currency");
        }
        next.currency = currency;
    }
    if let Some(expected) = said.expected {
        next.expected = expected.map(|offset| today + TimeDelta::days(offset));
    }
    if let Some(owner) = said.owner {
        if owner == Person::Nobody {
            refusal.field("owner_id");
        }
        next.owner = owner;
    }
    if let Some(notes) = said.notes.filter(|_| keeps_notes) {
        next.notes = notes.filter(|it| !it.trim().is_empty()).map(str::to_owned);
    }
    match said.region {
        Some(Some("Mars")) => refusal.field(REGION),
        Some(Some("south")) => next.region = Some("South"),
        Some(region) => next.region = region,
        None => {}
    }
}

/// Where it is to stand: by name, or by key without regard to case, in its own pipeline or the one that is named.
pub(super) fn target(
    before: Option<&Record>,
    said: &Said,
    refusal: &mut Refusal,
) -> Option<(Funnel, &'static Stage)> {
    let present = before.map_or(Funnel::Sales, |it| it.funnel);
    let funnel = said.funnel.unwrap_or(present);
    let stages: &'static [Stage] = match funnel {
        Funnel::Sales => &SALES,
        Funnel::Partners => &PARTNERS,
        Funnel::Absent => {
            refusal.field("pipeline_id");
            return None;
        }
    };
    let Some(called) = said.stage.map(str::trim) else {
        let stays = before.filter(|it| it.funnel == funnel);
        return Some((funnel, stays.map_or(&stages[0], |it| it.stage)));
    };
    let is_it = |it: &&Stage| it.name == called || it.key.eq_ignore_ascii_case(called);
    let found = stages.iter().find(is_it);
    if found.is_none() {
        refusal.field("stage");
    }
    Some((funnel, found?))
}

/// Comes into a stage.
pub(super) fn enter(
    before: Option<&Record>,
    next: &mut Record,
    (funnel, stage): (Funnel, &'static Stage),
    said: &Said,
    today: NaiveDate,
) {
    // Of a closed one that stays won, or lost, in another stage it stays when, and why.
    let stays = before.filter(|it| it.stage.kind == stage.kind);
    (next.funnel, next.stage) = (funnel, stage);
    next.probability = match stage.kind {
        Kind::Open => said.probability.flatten().unwrap_or(stage.percent),
        Kind::Won => 100,
        Kind::Lost => 0,
    };
    let named = said.closed_on.flatten().map(|offset| today + TimeDelta::days(offset));
    next.closed_on = match stage.kind {
        Kind::Open => None,
        _ => named.or(stays.and_then(|it| it.closed_on)).or(Some(today)),
    };
    let named = said.lost_reason.flatten().map(|it| it.trim().to_owned());
    next.lost_reason = match stage.kind {
        Kind::Lost => named.or_else(|| stays.and_then(|it| it.lost_reason.clone())),
        _ => None,
    };
}

/// Is changed in the stage in which it stands.
pub(super) fn stay(
    next: &mut Record,
    stage: &Stage,
    said: &Said,
    today: NaiveDate,
    refusal: &mut Refusal,
) {
    match said.probability {
        Some(Some(percent)) => next.probability = percent,
        Some(None) if stage.kind == Kind::Open => next.probability = stage.percent,
        _ => {}
    }
    if let (Some(reason), Kind::Lost) = (said.lost_reason, stage.kind) {
        next.lost_reason = reason.map(|it| it.trim().to_owned());
    }
    match said.closed_on {
        Some(Some(offset)) => next.closed_on = Some(today + TimeDelta::days(offset)),
        Some(None) if stage.kind != Kind::Open => refusal.field("actual_close_date"),
        _ => {}
    }
}
