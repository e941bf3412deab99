//! What rows of a file speak of.

use std::collections::{BTreeSet, HashMap, HashSet};

use money::currency::is_known;
use rpc::{Error, Invalid};

use super::Who;
use crate::currency::{self, model::Exchange};
use crate::directory::{self, model::Person};
use crate::meta::Meta;
use crate::opportunity::{Detail, store};
use crate::sheet::column::Entry;
use crate::text::fold;
use crate::{State, customer};

/// What rows speak of, as it is at present.
pub(super) struct Known {
    pub(super) people: HashMap<i64, Person>,
    /// By folded address.
    ids: HashMap<String, i64>,
    pub(super) exchange: Exchange,
    pub(super) by_external_id: HashMap<String, Detail>,
    /// Which of those were deleted when an import was taken back.
    pub(super) taken_back: HashSet<i64>,
    /// Which customers of those are there.
    pub(super) customers: HashSet<i64>,
}

impl Known {
    /// By a few queries, whatever the number of rows.
    pub(super) async fn of(
        state: &State,
        who: &Who,
        entries: &[&Entry],
        meta: &Meta,
    ) -> Result<Self, Error> {
        let entries = || entries.iter().copied();
        let external: Vec<_> = entries().filter_map(|it| it.wish.external_id.clone()).collect();
        let found = store::of_external_ids(&state.reads, &external).await?;
        let deleted = found.iter().map(|it| &it.opportunity);
        let deleted: Vec<_> = deleted.filter(|it| it.deleted_at.is_some()).collect();
        let (ids, customer_ids): (Vec<_>, Vec<_>) =
            deleted.into_iter().map(|it| (it.id, it.customer_id)).unzip();
        let (mut taken_back, mut customers) = (Vec::new(), Vec::new());
        if !ids.is_empty() {
            taken_back = store::taken_back(&state.reads, &ids).await?;
            customers = customer::several::living(&state.reads, &customer_ids).await?;
        }
        let by_external_id = found
            .into_iter()
            .filter_map(|detail| Some((detail.opportunity.external_id.clone()?, detail)));
        let by_external_id: HashMap<_, _> = by_external_id.collect();
        let present = by_external_id.values().map(|it| &*it.opportunity.currency);
        // The others are the fault of their rows.
        let named = entries().filter_map(|it| it.wish.currency.as_deref());
        let named = named.filter(|code| is_known(code));
        let own = &state.settings.get()?.default_currency;
        let exchange = currency::exchange(&state.reads, own, present.chain(named)).await?;
        let emails: BTreeSet<_> =
            entries().filter_map(|it| it.owner_email.as_deref().map(fold)).collect();
        let emails: Vec<_> = emails.into_iter().collect();
        let mut people = HashMap::new();
        if !emails.is_empty() {
            people.extend(directory::store::of_addresses(&state.reads, &emails).await?);
        }
        let ids = people.values().map(|it: &Person| (fold(&it.email), it.user_id)).collect();
        let named = entries().filter_map(|it| it.wish.owner_id).chain([who.caller.user_id]);
        let named: BTreeSet<_> = named.filter(|id| !people.contains_key(id)).collect();
        people.extend(directory::people(state, &named, meta).await?);
        let (taken_back, customers) =
            (taken_back.into_iter().collect(), customers.into_iter().collect());
        Ok(Self { people, ids, exchange, by_external_id, taken_back, customers })
    }

    /// Whom a row names as owner.
    pub(super) fn owner(&self, entry: &Entry) -> Result<Option<&Person>, Invalid> {
        let (field, id) = match (&entry.owner_email, entry.wish.owner_id) {
            (Some(email), _) => ("owner_email", self.ids.get(&fold(email)).copied()),
            (None, Some(id)) => ("owner_id", Some(id)),
            (None, None) => return Ok(None),
        };
        let unknown = || Invalid::default().field(field, "unknown_user", "there is no such user");
        id.and_then(|id| self.people.get(&id)).map(Some).ok_or_else(unknown)
    }
}
