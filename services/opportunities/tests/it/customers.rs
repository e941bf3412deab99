//! Whose customers one finds, sees and changes: the rule and the statements agree.

use auth::Role;
use opportunities::access::model::{Action, Owned, Sight};
use opportunities::customer;
use opportunities::customer::list::{self, Ask, Filter};
use opportunities::customer::model::{Edit, Ties};
use opportunities::directory::model::Visibility;
use opportunities::opportunity::draft::Wish;
use rand::Rng as _;
use rpc::{Error, Invalid};

use crate::company::{Company, signed_in};
use crate::support::{World, meta, wish};

/// A customer as the test knows it.
struct Customer {
    id: i64,
    created_by: i64,
    /// Whose its living opportunities are.
    opportunities: Vec<Owned>,
}

const NAME: &str = "XYZ 公司";

/// The rule: a customer is seen by who sees everything, who made it, and who sees one of its living opportunities.
fn is_seen(it: &Customer, by: i64, sight: &Sight) -> bool {
    *sight == Sight::All
        || it.created_by == by
        || it.opportunities.iter().any(|opportunity| sight.covers(*opportunity))
}

/// Ten customers of one name, made by whomever, with up to two opportunities of whomever each, some of them deleted.
async fn customers(world: &World, company: &mut Company) -> Vec<Customer> {
    let mut customers = Vec::new();
    for _ in 0..10 {
        let created_by = company.somebody();
        let insert =
            "insert into customers (name, folded_name, created_by, version, created_at, updated_at)
            values ('XYZ 公司', 'xyz 公司', $1, 1, now(), now()) returning id";
        let id: i64 = sqlx::query_scalar(insert)
            .bind(created_by)
            .fetch_one(&world.state.writes)
            .await
            .unwrap();
        let mut opportunities = Vec::new();
        for _ in 0..company.random.random_range(0..=2) {
            let owned = Owned { owner_id: company.somebody(), team_id: company.some_team() };
            let is_deleted = company.random.random_bool(0.3);
            let insert = "insert into opportunities (opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, currency, probability,
                    owner_id, team_id, created_by, created_at, updated_at, stage_entered_at, deleted_at, version)
                values ('x', $1, 'x', 1, 'lead', 'open', 'TWD', 10, $2, $3, 1, now(), now(), now(), case when $4 then now() end, 1)";
            sqlx::query(insert)
                .bind(id)
                .bind(owned.owner_id)
                .bind(owned.team_id)
                .bind(is_deleted)
                .execute(&world.state.writes)
                .await
                .unwrap();
            if !is_deleted {
                opportunities.push(owned);
            }
        }
        customers.push(Customer { id, created_by, opportunities });
    }
    customers
}

#[tokio::test]
async fn a_customer_is_found_by_who_made_it_or_sees_one_of_its_opportunities() {
    let (mut found, mut made, mut refused) = (0, 0, 0);
    for seed in 0..3 {
        let mut company = Company::found(seed);
        for (name, visibility) in [
            ("everyone", Visibility::Everyone),
            ("team", Visibility::Team),
            ("owner", Visibility::Owner),
        ] {
            let world = World::create(name).await;
            world.tell(&company.told()).await;
            let mut customers = customers(&world, &mut company).await;
            let people = company.people.clone();
            let sells = |role| matches!(role, Role::Admin | Role::Manager | Role::Rep);
            for who in people.iter().filter(|it| it.is_active && it.holds_write && sells(it.role)) {
                let told = format!("seed {seed}, {name}, {who:?}");
                let sight = Sight::of(&company.standing(who), visibility, Action::Read);
                let me = signed_in(who);
                let theirs = Owned { owner_id: who.id, team_id: who.team_id };
                let seen = |it: &Customer| is_seen(it, who.id, &sight);

                // By id first: what is found by name becomes theirs.
                let asked = company.random.random_range(0..customers.len());
                let by_id =
                    Wish { customer_name: None, customer_id: Some(customers[asked].id), ..wish() };
                let answer = world.make(&me, by_id).await;
                if seen(&customers[asked]) {
                    found += 1;
                    assert_eq!(answer.unwrap().opportunity.customer_id, customers[asked].id);
                    customers[asked].opportunities.push(theirs);
                } else {
                    refused += 1;
                    let Err(Error::Invalid(fields)) = answer else { panic!("{told}: {answer:?}") };
                    assert_eq!(fields[0].code, "unknown_customer", "{told}");
                }

                let by_name = Wish { customer_name: Some(NAME.to_owned()), ..wish() };
                let id = world.make(&me, by_name).await.unwrap().opportunity.customer_id;
                if let Some(oldest) = customers.iter_mut().find(|it| seen(it)) {
                    found += 1;
                    assert_eq!(id, oldest.id, "{told}");
                    oldest.opportunities.push(theirs);
                } else {
                    made += 1;
                    assert!(customers.iter().all(|it| it.id < id), "{told}: {id} is not new");
                    let opportunities = vec![theirs];
                    customers.push(Customer { id, created_by: who.id, opportunities });
                }
            }
        }
    }
    assert!(found > 10 && made > 3 && refused > 3, "{found} {made} {refused}");
}

#[tokio::test]
async fn who_may_see_and_change_a_customer_is_what_the_rule_says() {
    let (mut hidden, mut only_seen, mut changed) = (0, 0, 0);
    for seed in 0..3 {
        let mut company = Company::found(seed);
        let world = World::create("everyone").await;
        world.tell(&company.told()).await;
        let customers = customers(&world, &mut company).await;
        let people = company.people.clone();
        let with_team = |id: i64| Owned {
            owner_id: id,
            team_id: people.iter().find(|it| it.id == id).and_then(|it| it.team_id),
        };
        for (version, (name, visibility)) in (2..).zip([
            ("everyone", Visibility::Everyone),
            ("team", Visibility::Team),
            ("owner", Visibility::Owner),
        ]) {
            world.set_visibility(name, version).await;
            for who in &people {
                let (standing, me) = (company.standing(who), signed_in(who));
                let [read, write] = [Action::Read, Action::Write]
                    .map(|action| Sight::of(&standing, visibility, action));
                let mut seen = std::collections::BTreeSet::new();
                for it in &customers {
                    let told = format!("seed {seed}, {name}, {who:?}: {}", it.id);
                    let ties = Ties {
                        maker: with_team(it.created_by),
                        opportunities: it.opportunities.clone(),
                        owners: it.opportunities.iter().map(|it| with_team(it.owner_id)).collect(),
                    };
                    let found = customer::get(&world.state, &me, it.id).await;
                    let stale = Some(999);
                    let (state, meta) = (&world.state, meta(who.id));
                    let edit = Edit::default();
                    let tried = customer::update(state, &me, it.id, stale, edit, meta).await;
                    match (ties.are_seen(who.id, &read), ties.are_changeable(&write)) {
                        (false, _) => {
                            hidden += 1;
                            assert!(matches!(found, Err(Error::NotFound { .. })), "{told}");
                            assert!(matches!(tried, Err(Error::NotFound { .. })), "{told}");
                        }
                        (true, may_change) => {
                            seen.insert(it.id);
                            assert_eq!(found.unwrap().id, it.id, "{told}");
                            let reason = tried.unwrap_err().reason().to_owned();
                            if may_change {
                                changed += 1;
                                assert_eq!(reason, "STALE", "{told}");
                            } else {
                                only_seen += 1;
                                assert_eq!(reason, "NOT_YOURS", "{told}");
                            }
                        }
                    }
                }
                let sort = list::sort(&mut Invalid::default(), Some("name"), None);
                let filter = Filter::default();
                let ask = Ask { filter: &filter, sort, limit: 200, cursor: None };
                let (listed, _) = list::page(&world.state, &me, &ask).await.unwrap();
                let listed = listed.into_iter().map(|it| it.id).collect();
                assert_eq!(seen, listed, "seed {seed}, {name}, {who:?}");
            }
        }
    }
    assert!(
        [hidden, only_seen, changed].iter().all(|count| *count > 50),
        "{hidden} {only_seen} {changed}"
    );
}
