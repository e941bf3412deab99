//! The audit: the change logs of all services that own data, as one list.

use std::cmp::Reverse;

use futures::future::try_join_all;
use proto::audit::v1::{
    AuditEntry, AuditSource, ListAuditEntriesRequest, ListAuditEntriesResponse,
};

use crate::call::Call;
use crate::http::{Answer, Json, Query};

/// The owners, in the order in which their entries of one moment stand.
const SOURCES: [AuditSource; 2] = [AuditSource::Identity, AuditSource::Opportunities];

/// Entries of a page where the caller does not say.
const USUAL: i32 = 50;

/// List what was changed
///
/// Every change of every record with who made it and what changed, newest first. For administrators. Nothing here is ever altered or
/// removed. Name `source` where it is known: otherwise all sources have to answer, and 503 says that one does not.
#[utoipa::path(get, path = "/audit", tag = "audit", params(ListAuditEntriesRequest))]
pub async fn list_audit_entries(
    call: Call,
    Query(request): Query<ListAuditEntriesRequest>,
) -> Answer<Json<ListAuditEntriesResponse>> {
    let limit = request.limit.unwrap_or(USUAL);
    let request = ListAuditEntriesRequest { limit: Some(limit), ..request };
    let asked = request.source();
    // One that is none is told by whoever is asked.
    let is_asked = |source: &AuditSource| asked == AuditSource::Unspecified || asked == *source;
    let pages = SOURCES.into_iter().filter(is_asked).map(|source| {
        call.read(call.audit(source), request.clone(), |mut it, request| async move {
            it.list_audit_entries(request).await
        })
    });
    let pages = try_join_all(pages).await?;
    Ok(Json(merge(pages, usize::try_from(limit).unwrap_or_default())))
}

/// The first entries of several sources' pages, which are given in the order of the sources and hold up to `limit` entries each, all of
/// them after the same place.
fn merge(pages: Vec<ListAuditEntriesResponse>, limit: usize) -> ListAuditEntriesResponse {
    let mut more = pages.iter().any(|page| page.next_cursor.is_some());
    let mut items: Vec<AuditEntry> = pages.into_iter().flat_map(|page| page.items).collect();
    // Stable: entries of one moment stay in the order of sources, and each source's in its own.
    items.sort_by_key(|entry| Reverse(entry.recorded_at));
    more |= items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|last| last.cursor.clone());
    ListAuditEntriesResponse { items, next_cursor }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proto::Timestamp;

    use super::*;

    /// Where an entry is: earlier places first.
    type Place = (Reverse<i64>, usize, Reverse<i64>);

    fn entry((Reverse(seconds), source, Reverse(id)): Place) -> AuditEntry {
        AuditEntry {
            source: SOURCES[source].into(),
            record_id: id,
            recorded_at: Some(Timestamp { seconds, nanos: 0 }),
            cursor: format!("{seconds} {source} {id}"),
            ..AuditEntry::default()
        }
    }

    fn place(cursor: &str) -> Place {
        let mut numbers = cursor.split(' ').map(|number| number.parse().unwrap());
        let (seconds, source, id) =
            (numbers.next().unwrap(), numbers.next().unwrap(), numbers.next().unwrap());
        (Reverse(seconds), usize::try_from(source).unwrap(), Reverse(id))
    }

    /// What a source answers that holds its part of those entries.
    fn page(
        all: &BTreeSet<Place>,
        source: usize,
        cursor: Option<&str>,
        limit: usize,
    ) -> ListAuditEntriesResponse {
        let after = cursor.map(place);
        let its = all.iter().filter(|it| it.1 == source && after.is_none_or(|after| **it > after));
        let mut items: Vec<_> = its.copied().map(entry).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|last| last.cursor.clone());
        ListAuditEntriesResponse { items, next_cursor }
    }

    /// Moments few enough that many entries share one.
    fn places(most: usize) -> impl Strategy<Value = BTreeSet<Place>> {
        let place = (0..8_i64, 0..2_usize, 0..50_i64);
        let place = place.prop_map(|(at, source, id)| (Reverse(at), source, Reverse(id)));
        proptest::collection::btree_set(place, 0..most)
    }

    proptest! {
        #[test]
        fn every_entry_comes_once_and_in_order_while_others_write(
            there in places(60),
            written in proptest::collection::vec(places(6), 0..20),
            limits in proptest::collection::vec(1..12_usize, 1..8),
        ) {
            let mut all = there.clone();
            let mut written = written.into_iter();
            let mut limits = limits.into_iter().cycle();
            let (mut seen, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let limit = limits.next().unwrap();
                let pages = [0, 1].map(|source| page(&all, source, cursor.as_deref(), limit));
                let merged = merge(pages.to_vec(), limit);
                prop_assert!(merged.items.len() <= limit);
                seen.extend(merged.items.iter().map(|it| place(&it.cursor)));
                cursor = merged.next_cursor;
                if cursor.is_none() {
                    break;
                }
                prop_assert_eq!(merged.items.len(), limit, "short, and not the last");
                all.extend(written.next().unwrap_or_default());
            }
            prop_assert!(seen.is_sorted_by(|one, next| one < next), "{:?}", seen);
            let seen: BTreeSet<_> = seen.into_iter().collect();
            prop_assert!(there.is_subset(&seen), "{:?} are missing", &there - &seen);
            prop_assert!(seen.is_subset(&all));
        }
    }

    #[test]
    fn the_last_page_says_so_though_it_is_full() {
        let all: BTreeSet<_> = (0..4).map(|id| (Reverse(id), 0, Reverse(id))).collect();
        let pages = |limit| [0, 1].map(|source| page(&all, source, None, limit)).to_vec();
        assert_eq!(merge(pages(4), 4).next_cursor, None);
        assert_eq!(merge(pages(3), 3).next_cursor.as_deref(), Some("1 0 1"));
        assert_eq!(merge(Vec::new(), 4), ListAuditEntriesResponse::default());
    }
}
