//! Customers and their contacts: found again by name or e-mail, or made, in the transaction that needs them.

pub(crate) mod event;
pub mod model;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use events::Change;
use sqlx::PgConnection;

use crate::access::model::Sight;
use crate::meta::Meta;
use model::{Contact, ContactWish, Customer};

/// The customer of that name among those in sight, or a new one. Twenty at once make one: they wait for each other on the folded name.
pub(crate) async fn find_or_create(
    tx: &mut PgConnection,
    name: &str,
    sight: &Sight,
    by: i64,
    at: DateTime<Utc>,
    meta: &Meta,
    changes: &mut Vec<Change>,
) -> sqlx::Result<Customer> {
    let folded = crate::text::fold(name);
    store::lock(tx, &format!("customer {folded}")).await?;
    if let Some(customer) = store::find_by_name(tx, &folded, sight, by).await? {
        return Ok(customer);
    }
    let customer = store::insert(tx, name, &folded, by, at).await?;
    changes.push(meta.change(
        "customer",
        customer.id,
        1,
        "customer.created",
        at,
        event::customer(&customer),
        event::customer_changes(&customer),
    ));
    Ok(customer)
}

/// The customer's contact of that e-mail address (or of that name, where no address is given), or a new one.
pub(crate) async fn find_or_create_contact(
    tx: &mut PgConnection,
    customer_id: i64,
    wish: &ContactWish,
    at: DateTime<Utc>,
    meta: &Meta,
    changes: &mut Vec<Change>,
) -> sqlx::Result<Contact> {
    store::lock(tx, &format!("contacts {customer_id}")).await?;
    if let Some(contact) = store::find_contact(tx, customer_id, wish).await? {
        return Ok(contact);
    }
    let contact = store::insert_contact(tx, customer_id, wish, at).await?;
    changes.push(meta.change(
        "contact",
        contact.id,
        1,
        "contact.created",
        at,
        event::contact(&contact, customer_id, at),
        event::contact_changes(&contact, customer_id),
    ));
    Ok(contact)
}
