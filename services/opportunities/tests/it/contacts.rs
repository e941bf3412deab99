//! Contacts go with their customer.

use auth::{Caller, Role};
use opportunities::contact;
use opportunities::contact::model::{Contact, Draft, Edit};
use opportunities::opportunity::draft::Wish;
use rpc::Error;

use crate::support::{World, caller, event, meta, person, wish};

const AMY: i64 = 1;
const BEN: i64 = 2;

fn amy() -> Caller {
    caller(AMY, Role::Rep, None)
}

fn ben() -> Caller {
    caller(BEN, Role::Rep, None)
}

async fn world(visibility: &str) -> World {
    let world = World::create(visibility).await;
    world.tell(&[AMY, BEN].map(|id| event(1, person(id, "rep", None)))).await;
    world
}

fn draft(name: &str, email: &str) -> Draft {
    Draft { name: name.to_owned(), email: Some(email.to_owned()), ..Draft::default() }
}

async fn make(
    world: &World,
    who: &Caller,
    customer_id: i64,
    draft: Draft,
) -> Result<Contact, Error> {
    let meta = meta(who.user_id);
    match contact::create(&world.state, who, customer_id, draft, None, meta).await? {
        idempotency::Outcome::New(contact) => Ok(contact),
        idempotency::Outcome::Replay(_) => panic!("there was no key"),
    }
}

#[tokio::test]
async fn who_may_change_the_customer_may_change_its_contacts_and_to_others_they_are_not_there() {
    let world = world("everyone").await;
    let customer = world.sale(&amy()).await.opportunity.customer_id;
    let chen = make(&world, &amy(), customer, draft("Chen", "chen@xyz.tw")).await.unwrap();
    let rename = |who: Caller, version| {
        let edit = Edit { name: Some(Some("陳".to_owned())), ..Edit::default() };
        let (state, id) = (&world.state, chen.id);
        async move { contact::update(state, &who, id, version, edit, meta(who.user_id)).await }
    };
    assert_eq!(contact::get(&world.state, &ben(), chen.id).await.unwrap(), chen);
    assert_eq!(rename(ben(), None).await.unwrap_err().reason(), "NOT_YOURS");
    let refused = make(&world, &ben(), customer, draft("Ben's", "b@xyz.tw")).await;
    assert_eq!(refused.unwrap_err().reason(), "NOT_YOURS");
    assert_eq!(rename(amy(), Some(7)).await.unwrap_err().reason(), "STALE");
    let renamed = rename(amy(), Some(1)).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.version), ("陳", 2));

    world.set_visibility("owner", 2).await;
    for hidden in [
        contact::get(&world.state, &ben(), chen.id).await.map(drop),
        rename(ben(), None).await.map(drop),
        contact::delete(&world.state, &ben(), chen.id, None, meta(BEN)).await,
        make(&world, &ben(), customer, draft("x", "x@xyz.tw")).await.map(drop),
    ] {
        assert!(matches!(hidden, Err(Error::NotFound { .. })));
    }
}

#[tokio::test]
async fn an_address_is_one_person_s_within_a_customer() {
    let world = world("everyone").await;
    let sale = world.sale(&amy()).await.opportunity;
    let chen = make(&world, &amy(), sale.customer_id, draft("Chen", "chen@xyz.tw")).await.unwrap();
    let again = make(&world, &amy(), sale.customer_id, draft("C", "CHEN@xyz.tw")).await;
    let Err(Error::Conflict { reason, details, .. }) = again else { panic!("{again:?}") };
    assert_eq!((&*reason, &*details["contact_id"]), ("CONTACT_EXISTS", &*chen.id.to_string()));
    let lin = make(&world, &amy(), sale.customer_id, draft("Lin", "lin@xyz.tw")).await.unwrap();
    let edit = Edit { email: Some(Some("chen@xyz.tw".to_owned())), ..Edit::default() };
    let taken = contact::update(&world.state, &amy(), lin.id, None, edit, meta(AMY)).await;
    assert_eq!(taken.unwrap_err().reason(), "CONTACT_EXISTS");
    // An opportunity finds the person by it.
    let by_address = Wish { contact_email: Some("Chen@XYZ.tw".to_owned()), ..wish() };
    let found = world.make(&amy(), by_address).await.unwrap();
    assert_eq!(found.opportunity.contact_id, Some(chen.id));
}

#[tokio::test]
async fn opportunities_have_no_contact_when_it_is_deleted_and_each_tells_of_it() {
    let world = world("everyone").await;
    let with = Wish { contact_name: Some("Chen".to_owned()), ..wish() };
    let first = world.make(&amy(), with.clone()).await.unwrap().opportunity;
    let second = world.make(&ben(), with).await.unwrap().opportunity;
    let id = first.contact_id.unwrap();
    assert_eq!(second.contact_id, Some(id));
    contact::delete(&world.state, &amy(), id, Some(1), meta(AMY)).await.unwrap();
    for it in [&first, &second] {
        let after = world.find(it.id).await;
        assert_eq!((after.contact_id, after.version), (None, 2));
    }
    assert!(matches!(contact::get(&world.state, &amy(), id).await, Err(Error::NotFound { .. })));
    world.everything_is_told().await;
    // A person of that name is another.
    let with = Wish { contact_name: Some("Chen".to_owned()), ..wish() };
    assert_ne!(world.make(&amy(), with).await.unwrap().opportunity.contact_id, Some(id));
}
