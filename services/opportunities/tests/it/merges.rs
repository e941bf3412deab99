//! Merging customers and undoing it: what goes where, what comes back, and what happens meanwhile.

use std::sync::Arc;

use auth::{Caller, Role};
use futures::future::join_all;
use idempotency::Outcome;
use opportunities::contact;
use opportunities::customer;
use opportunities::customer::merge::{self, Left};
use opportunities::customer::model::{Customer, Draft};
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::model::Opportunity;
use rpc::Error;

use crate::support::{ADMIN, World, caller, event, meta, person, wish};

const AMY: i64 = 1;
const BEN: i64 = 2;

fn amy() -> Caller {
    caller(AMY, Role::Rep, None)
}

fn ben() -> Caller {
    caller(BEN, Role::Rep, None)
}

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

async fn world() -> Arc<World> {
    let world = World::create("everyone").await;
    world.tell(&[AMY, BEN].map(|id| event(1, person(id, "rep", None)))).await;
    Arc::new(world)
}

/// Amy's opportunity with a customer of that name and a contact there.
async fn sale(world: &World, customer: &str, contact: (&str, Option<&str>)) -> Opportunity {
    let wish = Wish {
        customer_name: Some(customer.to_owned()),
        contact_name: Some(contact.0.to_owned()),
        contact_email: contact.1.map(str::to_owned),
        ..wish()
    };
    world.make(&amy(), wish).await.unwrap().opportunity
}

#[tokio::test]
async fn a_merge_is_undone_by_who_may_change_both_customers() {
    let world = world().await;
    // Amy's customer comes to an administrator's, and Ben owns something there.
    let into = world.customer(Draft { name: "Into".to_owned(), ..Draft::default() }).await;
    let from = sale(&world, "From", ("Chen", None)).await;
    world.make(&ben(), wish_of(into.id)).await.unwrap();
    world.merge(into.id, from.customer_id).await.unwrap();
    let undo = async |who: &Caller| {
        merge::unmerge(&world.state, who, into.id, from.customer_id, None, meta(who.user_id)).await
    };
    for unnamed in
        [world.merge(into.id, 0).await.map(|_| ()), world.unmerge(into.id, 0).await.map(|_| ())]
    {
        let Err(Error::Invalid(fields)) = unnamed else { panic!("{unnamed:?}") };
        assert_eq!((&*fields[0].field, &*fields[0].code), ("from_id", "required"));
    }
    let refused = undo(&ben()).await.err().unwrap();
    assert_eq!(refused.reason(), "NOT_YOURS");
    assert_eq!(world.find(from.id).await.customer_id, into.id, "nothing came of it");
    // Amy made the one, and by what came with it she may change the other.
    assert!(undo(&amy()).await.is_ok());
    assert_eq!(world.find(from.id).await.customer_id, from.customer_id);
    // Whose an opportunity is that came with a merge may do so, too, whoever made the customer.
    let theirs = world.customer(Draft { name: "Theirs".to_owned(), ..Draft::default() }).await;
    world.make(&ben(), wish_of(theirs.id)).await.unwrap();
    world.merge(into.id, theirs.id).await.unwrap();
    let undone = merge::unmerge(&world.state, &ben(), into.id, theirs.id, None, meta(BEN)).await;
    assert!(undone.is_ok(), "{:?}", undone.err());
    world.everything_is_told().await;
}

/// Something for a customer that is there.
fn wish_of(customer_id: i64) -> Wish {
    Wish { customer_id: Some(customer_id), customer_name: None, ..wish() }
}

fn notes(text: &str) -> EditWish {
    EditWish { notes: Some(Some(text.to_owned())), ..EditWish::default() }
}

/// A customer with an opportunity, and another with three, one of which is deleted, and a company.
struct Two {
    into: Opportunity,
    from: [Opportunity; 3],
}

async fn two(world: &World) -> Two {
    let into = sale(world, "XYZ 公司", ("Chen", None)).await;
    let from = [
        sale(world, "XYZ Ltd", ("陳", Some("chen@xyz.tw"))).await,
        sale(world, "XYZ Ltd", ("Chen", Some("chen@xyz.tw"))).await,
        sale(world, "XYZ Ltd", ("Lin", Some("lin@xyz.tw"))).await,
    ];
    let chen = contact::model::Edit {
        email: Some(Some("chen@xyz.tw".to_owned())),
        ..contact::model::Edit::default()
    };
    let id = into.contact_id.unwrap();
    contact::update(&world.state, &amy(), id, None, chen, meta(AMY)).await.unwrap();
    world.delete(&amy(), from[2].id).await.unwrap();
    let edit = customer::model::Edit {
        company: Some(Some("XYZ 股份有限公司".to_owned())),
        ..customer::model::Edit::default()
    };
    let from_id = from[0].customer_id;
    customer::update(&world.state, &amy(), from_id, None, edit, meta(AMY)).await.unwrap();
    Two { into, from }
}

async fn get(world: &World, id: i64) -> Customer {
    customer::get(&world.state, &admin(), id).await.unwrap()
}

#[tokio::test]
async fn everything_of_one_goes_to_the_other_and_comes_back_as_it_was() {
    let world = world().await;
    let Two { into, from } = two(&world).await;
    let (id, from_id) = (into.customer_id, from[0].customer_id);
    let before = get(&world, from_id).await;
    let merged = world.merge(id, from_id).await.unwrap();
    assert_eq!(merged.customer.company.as_deref(), Some("XYZ 股份有限公司"));
    assert_eq!((merged.opportunities, merged.contacts, merged.joined_contacts), (3, 1, 1));
    let moved = world.find(from[0].id).await;
    assert_eq!((moved.customer_id, moved.customer_name.as_str()), (id, "XYZ 公司"));
    assert_eq!((moved.contact_id, moved.version), (into.contact_id, 2));
    assert_eq!(get(&world, from_id).await.merged_into_id, Some(id));
    let joined = contact::get(&world.state, &amy(), from[0].contact_id.unwrap()).await;
    assert!(matches!(joined, Err(Error::NotFound { .. })));
    let lin = from[2].contact_id.unwrap();
    assert_eq!(contact::get(&world.state, &amy(), lin).await.unwrap().customer_id, id);
    // The name leads to where it went, and so does the pointer.
    assert_eq!(sale(&world, "ｘｙｚ ltd", ("Wu", None)).await.customer_id, id);
    let write = customer::delete(&world.state, &admin(), from_id, None, meta(ADMIN)).await;
    let Err(Error::Conflict { reason, details, .. }) = write else { panic!("{write:?}") };
    assert_eq!((&*reason, &*details["merged_into_id"]), ("CUSTOMER_MERGED", &*id.to_string()));
    world.everything_is_told().await;

    let unmerged = world.unmerge(id, from_id).await.unwrap();
    assert_eq!((unmerged.opportunities, unmerged.contacts, unmerged.left_count), (3, 2, 0));
    assert_eq!(unmerged.customer.company, None);
    let version = before.version + 2;
    let updated_at = unmerged.from.updated_at;
    assert_eq!(unmerged.from, Customer { version, updated_at, ..before });
    for it in &from[..2] {
        let now = world.find(it.id).await;
        let (version, updated_at) = (3, now.updated_at);
        assert_eq!(now, Opportunity { version, updated_at, ..it.clone() });
    }
    let deleted = world.restore(&amy(), from[2].id).await.unwrap().opportunity;
    assert_eq!((deleted.customer_id, deleted.contact_id), (from_id, from[2].contact_id));
    world.everything_is_told().await;
    let again = world.unmerge(id, from_id).await.unwrap_err();
    assert!(format!("{again:?}").contains("not_merged"));
    // It can be merged once more.
    assert_eq!(world.merge(id, from_id).await.unwrap().opportunities, 3);
}

#[tokio::test]
async fn what_was_changed_since_is_left_and_told_but_not_for_what_is_copied() {
    let world = world().await;
    let Two { into, from } = two(&world).await;
    let (id, from_id) = (into.customer_id, from[0].customer_id);
    world.merge(id, from_id).await.unwrap();
    world.rename(id, "XYZ").await.unwrap();
    world.tell(&[event(2, person(AMY, "rep", Some(7)))]).await;
    world.change(&amy(), (from[1].id, None), notes("changed")).await.unwrap();
    let unmerged = world.unmerge(id, from_id).await.unwrap();
    assert_eq!(unmerged.left, [Left::Opportunity(from[1].id)]);
    assert_eq!(unmerged.opportunities, 2);
    let back = world.find(from[0].id).await;
    assert_eq!((back.customer_id, back.customer_name.as_str()), (from_id, "XYZ Ltd"));
    assert_eq!(world.find(from[1].id).await.customer_id, id);
    world.everything_is_told().await;
}

#[tokio::test]
async fn merges_of_merges_are_undone_from_the_last_to_the_first() {
    let world = world().await;
    let Two { into, from } = two(&world).await;
    let (middle, first) = (into.customer_id, from[0].customer_id);
    let last = world.customer(Draft::of("XYZ Group")).await.id;
    world.merge(middle, first).await.unwrap();
    world.merge(last, middle).await.unwrap();
    assert_eq!(sale(&world, "XYZ Ltd", ("Wu", None)).await.customer_id, last);
    let refused = world.merge(first, last).await.unwrap_err();
    assert_eq!(refused.reason(), "CUSTOMER_MERGED", "there are no circles");
    assert_eq!(world.unmerge(middle, first).await.unwrap_err().reason(), "CUSTOMER_MERGED");
    assert_eq!(world.unmerge(last, middle).await.unwrap().left, []);
    let unmerged = world.unmerge(middle, first).await.unwrap();
    assert_eq!((unmerged.left, unmerged.opportunities), (Vec::new(), 3));
    for it in &from[..2] {
        let now = world.find(it.id).await;
        assert_eq!((now.customer_id, now.contact_id), (first, it.contact_id));
    }
    world.everything_is_told().await;
}

#[tokio::test]
async fn a_customer_is_merged_by_who_may_change_both_and_not_with_itself() {
    let world = world().await;
    let Two { into, from } = two(&world).await;
    let (id, from_id) = (into.customer_id, from[0].customer_id);
    let ask = async |who: &Caller, id, from_id| {
        merge::merge(&world.state, who, id, from_id, None, meta(who.user_id)).await.unwrap_err()
    };
    assert!(format!("{:?}", ask(&amy(), id, id).await).contains("same_customer"));
    assert!(format!("{:?}", ask(&amy(), id, 1_000_000).await).contains("unknown_customer"));
    assert!(matches!(ask(&amy(), 1_000_000, id).await, Error::NotFound { .. }));
    let theirs = Wish { customer_name: None, customer_id: Some(id), ..wish() };
    world.make(&ben(), theirs).await.unwrap();
    assert_eq!(ask(&ben(), id, from_id).await.reason(), "NOT_YOURS");
    assert_eq!(ask(&ben(), from_id, id).await.reason(), "NOT_YOURS");
}

#[tokio::test]
async fn nobody_is_told_of_opportunities_that_they_may_not_see() {
    let world = World::create("team").await;
    world.tell(&[AMY, BEN].map(|id| event(1, person(id, "rep", None)))).await;
    let into = sale(&world, "XYZ", ("Chen", None)).await;
    let from = [
        sale(&world, "XYZ Ltd", ("Lin", None)).await,
        sale(&world, "XYZ Ltd", ("Lin", None)).await,
    ];
    let (id, from_id) = (into.customer_id, from[0].customer_id);
    let of_ben = || Wish { owner_id: Some(BEN), ..wish_of(from_id) };
    let out_of_sight = [
        world.make(&admin(), of_ben()).await.unwrap().opportunity.id,
        world.make(&admin(), of_ben()).await.unwrap().opportunity.id,
    ];
    let merged = merge::merge(&world.state, &amy(), id, from_id, None, meta(AMY)).await.unwrap();
    let Outcome::New(merged) = merged else { panic!("{merged:?}") };
    assert_eq!(merged.opportunities, 2);
    assert_eq!(world.find(out_of_sight[0]).await.customer_id, id, "it went along all the same");
    for changed in [from[1].id, out_of_sight[1]] {
        world.change(&admin(), (changed, None), notes("changed")).await.unwrap();
    }
    let undone = merge::unmerge(&world.state, &amy(), id, from_id, None, meta(AMY)).await.unwrap();
    let Outcome::New(undone) = undone else { panic!("{undone:?}") };
    assert_eq!((undone.opportunities, undone.left_count), (1, 1));
    assert_eq!(undone.left, [Left::Opportunity(from[1].id)]);
    assert_eq!(world.find(out_of_sight[0]).await.customer_id, from_id);
    world.everything_is_told().await;
}

#[tokio::test]
async fn of_merges_into_each_other_at_once_one_is_made() {
    let world = world().await;
    for number in 0..10 {
        let [one, other] = [format!("a {number}"), format!("b {number}")];
        let (one, other) =
            (world.customer(Draft::of(&one)).await.id, world.customer(Draft::of(&other)).await.id);
        let answers = tokio::join!(world.merge(one, other), world.merge(other, one));
        let refused = match answers {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            both => panic!("{both:?}"),
        };
        assert_eq!(refused.reason(), "CUSTOMER_MERGED");
    }
}

#[tokio::test]
async fn whoever_names_either_customer_while_they_are_merged_comes_to_the_one_that_stays() {
    let world = world().await;
    for round in 0..4 {
        let names = [format!("XYZ {round}"), format!("XYZ Ltd {round}")];
        let into = sale(&world, &names[0], ("Chen", None)).await.customer_id;
        let from = sale(&world, &names[1], ("Chen", None)).await.customer_id;
        let creations = (0..20).map(|number| {
            let (world, name) = (Arc::clone(&world), names[number % 2].clone());
            async move { sale(&world, &name, ("Chen", None)).await }
        });
        let by_id = (0..5).map(|_| {
            let world = Arc::clone(&world);
            async move {
                let wish = Wish { customer_name: None, customer_id: Some(from), ..wish() };
                // Afterwards it is no customer to sell to.
                world.make(&amy(), wish).await.ok();
            }
        });
        let (_, _, merged) =
            tokio::join!(join_all(creations), join_all(by_id), world.merge(into, from));
        merged.unwrap();
        let left: (i64, i64) = sqlx::query_as(
            "select (select count(*) from opportunities where customer_id = $2),
                    (select count(*) from customers where id > $2 and folded_name in ($3, $4))
             where $1 > 0",
        )
        .bind(into)
        .bind(from)
        .bind(names[0].to_lowercase())
        .bind(names[1].to_lowercase())
        .fetch_one(&world.state.reads)
        .await
        .unwrap();
        assert_eq!(left, (0, 0), "nothing stayed behind, and nobody made another");
        let elsewhere: i64 = sqlx::query_scalar(
            "select count(*) from opportunities o join contacts c on c.id = o.contact_id where c.customer_id <> o.customer_id or c.deleted_at is not null",
        )
        .fetch_one(&world.state.reads)
        .await
        .unwrap();
        assert_eq!(elsewhere, 0);
    }
    world.everything_is_told().await;
}

#[tokio::test]
async fn twenty_at_once_of_a_name_that_is_given_up_make_one_customer() {
    let world = world().await;
    let old = sale(&world, "XYZ", ("Chen", None)).await.customer_id;
    let creations = (0..20).map(|_| {
        let world = Arc::clone(&world);
        async move { sale(&world, "XYZ", ("Chen", None)).await.customer_id }
    });
    let (ids, renamed) = tokio::join!(join_all(creations), world.rename(old, "ABC"));
    renamed.unwrap();
    let new: std::collections::BTreeSet<_> = ids.into_iter().filter(|id| *id != old).collect();
    assert!(new.len() <= 1, "{new:?}");
    world.everything_is_told().await;
}
