//! Several contacts at once, in the transaction that needs them.

mod store;

use std::collections::BTreeSet;

use events::Change;
use sqlx::PgConnection;

use super::event::{self, What};
use super::model::{Contact, ContactWish};
use crate::meta::Meta;
use crate::text::fold;

/// Who is meant at a customer's, as far as they are compared.
struct Wanted<'a> {
    customer_id: i64,
    wish: &'a ContactWish,
    name: String,
    email: Option<String>,
}

impl Wanted<'_> {
    /// Whether a contact that was made for another is the one.
    fn is(&self, other: &Wanted<'_>) -> bool {
        self.customer_id == other.customer_id
            && match &self.email {
                Some(_) => self.email == other.email,
                None => self.name == other.name,
            }
    }

    fn begun(&self, id: i64, meta: &Meta) -> Contact {
        Contact {
            id,
            customer_id: self.customer_id,
            name: self.wish.name.clone(),
            email: self.wish.email.clone(),
            phone: None,
            title: None,
            created_at: meta.recorded_at,
            updated_at: meta.recorded_at,
            deleted_at: None,
            merged_into_id: None,
            erased_at: None,
            version: 1,
        }
    }
}

/// The ids of who is meant at customers that are held, in the order asked, each found or made as one alone is; they stay as they are until this transaction ends. Nothing where one is gone
/// that was found.
pub(crate) async fn find_or_create(
    tx: &mut PgConnection,
    wishes: &[(i64, ContactWish)],
    meta: &Meta,
    changes: &mut Vec<Change>,
) -> sqlx::Result<Option<Vec<i64>>> {
    if wishes.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let wanted = wishes.iter().map(|(customer_id, wish)| Wanted {
        customer_id: *customer_id,
        wish,
        name: fold(&wish.name),
        email: wish.email.as_deref().map(fold),
    });
    let wanted: Vec<_> = wanted.collect();
    let customers: BTreeSet<_> = wanted.iter().map(|it| it.customer_id).collect();
    store::lock_customers(tx, &customers.into_iter().collect::<Vec<_>>()).await?;
    let found = store::find(tx, &wanted).await?;
    let ids: BTreeSet<i64> = found.iter().flatten().copied().collect();
    if !ids.is_empty()
        && store::hold(tx, &ids.iter().copied().collect::<Vec<_>>()).await? < ids.len()
    {
        return Ok(None);
    }
    // Who is not there yet, each once.
    let mut new: Vec<&Wanted<'_>> = Vec::new();
    let places: Vec<_> = wanted
        .iter()
        .zip(found)
        .map(|(it, found)| match (found, new.iter().position(|made| it.is(made))) {
            (Some(id), _) => Ok(id),
            (None, Some(place)) => Err(place),
            (None, None) => {
                new.push(it);
                Err(new.len() - 1)
            }
        })
        .collect();
    let ids = store::ids(tx, new.len()).await?;
    let made: Vec<_> = new.iter().zip(&ids).map(|(it, id)| it.begun(*id, meta)).collect();
    store::insert(tx, &made, &new).await?;
    changes.extend(made.iter().map(|it| event::change(What::Created, None, it, meta)));
    Ok(places.into_iter().map(|it| it.map_or_else(|place| ids.get(place).copied(), Some)).collect())
}
