//! Who may read and change what: the rule, the statements and what a caller is answered agree on whatever the company is.

use std::collections::{BTreeMap, BTreeSet};

use auth::{Caller, Role};
use opportunities::access::model::{Action, Ground, Owned, Standing, may, reasons};
use opportunities::access::{self, Access};
use opportunities::directory::model::Visibility;
use opportunities::opportunity;
use opportunities::opportunity::list::{self, Ask, Filter};
use rpc::{Error, Invalid};

use crate::company::{Company, Person, signed_in};
use crate::support::{ADMIN, World, caller};

const SETTINGS: [(&str, Visibility); 3] =
    [("everyone", Visibility::Everyone), ("team", Visibility::Team), ("owner", Visibility::Owner)];

/// A company with opportunities of whomever, in whatever team; one of them is deleted.
struct Book {
    world: World,
    company: Company,
    /// Those that live.
    records: BTreeMap<i64, Owned>,
    deleted: i64,
}

impl Book {
    async fn open(seed: u64) -> Self {
        let mut company = Company::found(seed);
        let world = World::create("everyone").await;
        world.tell(&company.told()).await;
        let admin = caller(ADMIN, Role::Admin, None);
        let mut records = BTreeMap::new();
        let mut deleted = 0;
        for number in 0..16 {
            let id = world.sale(&admin).await.opportunity.id;
            if number % 4 == 0 {
                world.advance(&admin, id, "lost").await.unwrap();
            }
            let owned = Owned { owner_id: company.somebody(), team_id: company.some_team() };
            sqlx::query("update opportunities set owner_id = $2, team_id = $3 where id = $1")
                .bind(id)
                .bind(owned.owner_id)
                .bind(owned.team_id)
                .execute(&world.state.writes)
                .await
                .unwrap();
            if number == 7 {
                world.sql("update opportunities set deleted_at = now() where id = $1", id).await;
                deleted = id;
            } else {
                records.insert(id, owned);
            }
        }
        Self { world, company, records, deleted }
    }

    /// The opportunities that somebody's list has.
    async fn listed(&self, caller: &Caller, filter: &Filter) -> BTreeSet<i64> {
        let sort = list::sort(&mut Invalid::default(), None, None);
        let ask = Ask { filter, sort, limit: 200, cursor: None, include_total: true };
        let page = opportunity::list(&self.world.state, caller, &ask).await.unwrap();
        let ids: BTreeSet<_> = page.items.iter().map(|it| it.opportunity.id).collect();
        assert_eq!(page.total, i64::try_from(ids.len()).ok());
        ids
    }

    /// What somebody is answered who wants to move an opportunity on.
    async fn tries(&self, caller: &Caller, id: i64) -> Result<(), Error> {
        let stage = match opportunity::get(&self.world.state, caller, id).await {
            Ok(it) if it.opportunity.stage_key == "lead" => "proposal",
            Ok(it) if it.opportunity.stage_key == "lost" => "lost",
            _ => "lead",
        };
        self.world.advance(caller, id, stage).await.map(drop)
    }
}

/// What the caller is told but for the id, which they know.
fn without(id: i64, error: &Error) -> String {
    format!("{error:?}").replace(&format!("\"{id}\""), "ID")
}

#[tokio::test]
async fn lists_single_reads_and_moves_are_what_the_rule_allows() {
    let (mut seen, mut hidden, mut changed, mut only_seen) = (0, 0, 0, 0);
    for seed in 0..3 {
        let book = Book::open(seed).await;
        let state = &book.world.state;
        for (version, (name, visibility)) in (2..).zip(SETTINGS) {
            book.world.set_visibility(name, version).await;
            for who in &book.company.people {
                let (rule, me) = (book.company.standing(who), signed_in(who));
                let told = format!("seed {seed}, {name}, {who:?}, {rule:?}");
                let reads = |it: &Owned| may(&rule, visibility, Action::Read, *it);
                let expected: BTreeSet<_> =
                    book.records.iter().filter(|(_, it)| reads(it)).map(|(id, _)| *id).collect();
                assert_eq!(book.listed(&me, &Filter::default()).await, expected, "{told}");
                let of_one = Filter { owner_id: Some(3), ..Filter::default() };
                let expected = expected.iter().filter(|id| book.records[*id].owner_id == 3);
                let expected = expected.copied().collect();
                assert_eq!(book.listed(&me, &of_one).await, expected, "{told}");

                let nothing = opportunity::get(state, &me, 1_000_000).await.unwrap_err();
                let nothing = without(1_000_000, &nothing);
                for (id, record) in &book.records {
                    let told = format!("{told}: {id} {record:?}");
                    let (found, history, moved) = (
                        opportunity::get(state, &me, *id).await,
                        opportunity::history(state, &me, *id, None, 50).await,
                        book.tries(&me, *id).await,
                    );
                    if !reads(record) {
                        hidden += 1;
                        assert_eq!(without(*id, &found.unwrap_err()), nothing, "{told}");
                        assert_eq!(without(*id, &history.unwrap_err()), nothing, "{told}");
                        assert_eq!(without(*id, &moved.unwrap_err()), nothing, "{told}");
                        continue;
                    }
                    seen += 1;
                    assert_eq!(found.unwrap().opportunity.owned(), *record, "{told}");
                    assert!(!history.unwrap().0.is_empty(), "{told}");
                    if may(&rule, visibility, Action::Write, *record) {
                        changed += 1;
                        assert!(moved.is_ok(), "{told}: {moved:?}");
                    } else {
                        only_seen += 1;
                        assert_eq!(moved.unwrap_err().reason(), "NOT_YOURS", "{told}");
                    }
                }
                let gone = book.tries(&me, book.deleted).await.unwrap_err();
                assert_eq!(without(book.deleted, &gone), nothing, "{told}");
            }
        }
    }
    // Each of the four was there to be looked at.
    assert!([seen, hidden, changed, only_seen].iter().all(|count| *count > 50));
}

#[tokio::test]
async fn a_service_reads_everything_and_changes_nothing() {
    let book = Book::open(0).await;
    book.world.set_visibility("owner", 2).await;
    let service = Caller::service("analytics");
    let all: BTreeSet<_> = book.records.keys().copied().collect();
    assert_eq!(book.listed(&service, &Filter::default()).await, all);
    for id in all {
        assert_eq!(book.tries(&service, id).await.unwrap_err().reason(), "NOT_YOURS");
    }
}

#[tokio::test]
async fn an_administrator_is_told_of_all_active_people_what_the_rule_says_of_them() {
    let admin = caller(ADMIN, Role::Admin, None);
    for seed in 0..3 {
        let book = Book::open(seed).await;
        for (version, (name, visibility)) in (2..).zip(SETTINGS) {
            book.world.set_visibility(name, version).await;
            for (id, record) in &book.records {
                let expected = |who: &Person| {
                    let rule = Standing { holds_write: true, ..book.company.standing(who) };
                    Access {
                        user_id: who.id,
                        username: format!("user {}", who.id),
                        role: who.role,
                        can_write: may(&rule, visibility, Action::Write, *record),
                        reasons: reasons(&rule, visibility, *record),
                    }
                };
                let people = book.company.people.iter().filter(|who| who.is_active);
                let mut told = access_to(&book.world, &admin, *id).await;
                let themselves = told.pop().unwrap();
                assert_eq!((themselves.user_id, themselves.can_write), (ADMIN, true));
                assert!(themselves.reasons.contains(&Ground::Admin));
                let expected: Vec<_> = people.map(expected).collect();
                assert_eq!(told, expected, "seed {seed}, {name}, {id} {record:?}");
            }
        }
    }
}

/// Everybody's access, two a page.
async fn access_to(world: &World, caller: &Caller, id: i64) -> Vec<Access> {
    let (mut all, mut after_id) = (Vec::new(), 0);
    loop {
        let (page, more) = access::list(&world.state, caller, id, after_id, 2).await.unwrap();
        assert!(page.len() == 2 || !more);
        all.extend(page);
        if !more {
            return all;
        }
        after_id = all.last().unwrap().user_id;
    }
}

#[tokio::test]
async fn only_an_administrator_is_told_who_may_what() {
    let world = World::create("owner").await;
    let amy = caller(1, Role::Rep, None);
    let bob = caller(2, Role::Rep, None);
    world
        .tell(&[1, 2].map(|id| crate::support::event(1, crate::support::person(id, "rep", None))))
        .await;
    let id = world.sale(&amy).await.opportunity.id;
    let ask = async |caller: &Caller| access::list(&world.state, caller, id, 0, 50).await;
    for who in [&amy, &Caller::service("analytics")] {
        assert!(matches!(ask(who).await.unwrap_err(), Error::Denied { .. }));
    }
    assert!(matches!(ask(&bob).await.unwrap_err(), Error::NotFound { .. }));
    let admin = caller(ADMIN, Role::Admin, None);
    let reads = |it: &&Access| !it.reasons.is_empty();
    let told = ask(&admin).await.unwrap().0;
    let told: Vec<_> = told.iter().filter(reads).map(|it| (it.user_id, it.can_write)).collect();
    assert_eq!(told, [(1, true), (ADMIN, true)]);
}
