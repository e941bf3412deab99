//! The audit: the change log as administrators read it, newest first.
//!
//! The entries of all owners are in one order: by the time of recording, latest first; then by source; then by change id, last first.
//! A cursor is a place in that order, so that the same one continues the list of every owner, and their merged list.

use auth::{Caller, Role};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use prost::Message as _;
use proto::JsonValue;
use proto::audit::v1::{
    AuditChange, AuditEntry, AuditSource, ListAuditEntriesRequest, ListAuditEntriesResponse,
};
use rpc::{Error, Invalid, Span, span};
use sqlx::{PgPool, Postgres, QueryBuilder};

use crate::change::origin_name;
use crate::{Event, FieldChange, Origin};

/// Entries of a page where the caller does not say.
const USUAL: i32 = 50;
/// Entries of a page at most.
const MOST: i32 = 200;

/// A page of an owner's entries, for an administrator with a token that may read. Days are those of the zone.
///
/// Fails with the bad fields, or as malformed with reason `CURSOR_INVALID`.
pub async fn list(
    pool: &PgPool,
    source: AuditSource,
    caller: &Caller,
    zone: Tz,
    asked: ListAuditEntriesRequest,
) -> Result<ListAuditEntriesResponse, Error> {
    caller.require_read()?;
    caller.require_role(&[Role::Admin])?;
    let mut invalid = Invalid::default();
    let limit = limit(&mut invalid, asked.limit);
    let filter = Filter::of(&mut invalid, &asked, zone);
    if asked.source.is_some() && asked.source() == AuditSource::Unspecified {
        invalid.add("source", "unknown_value", "is no source");
    }
    invalid.into_result()?;
    let place = asked.cursor.as_deref().map(Place::parse).transpose()?;
    if asked.source.is_some() && asked.source() != source {
        return Ok(ListAuditEntriesResponse::default());
    }
    let mut rows = read(pool, source, &filter, place, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let items = rows.into_iter().map(|row| entry(source, row)).collect::<sqlx::Result<Vec<_>>>()?;
    let next_cursor = items.last().filter(|_| more).map(|last| last.cursor.clone());
    Ok(ListAuditEntriesResponse { items, next_cursor })
}

fn limit(invalid: &mut Invalid, asked: Option<i32>) -> usize {
    let limit = asked.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        invalid.add("limit", "out_of_range", format!("is not from 1 to {MOST}"));
    }
    usize::try_from(limit).unwrap_or_default()
}

/// What a list is narrowed to. All that is given must hold.
#[derive(Debug)]
struct Filter {
    actor_user_id: Option<i64>,
    aggregate: Option<String>,
    aggregate_id: Option<i64>,
    event_type: Option<String>,
    origin: Option<&'static str>,
    request_id: Option<String>,
    recorded: Span,
}

impl Filter {
    fn of(invalid: &mut Invalid, asked: &ListAuditEntriesRequest, zone: Tz) -> Self {
        let texts = [
            ("record_type", &asked.record_type),
            ("type", &asked.r#type),
            ("request_id", &asked.request_id),
        ];
        for (field, text) in texts {
            if text.as_ref().is_some_and(|text| text.contains('\0')) {
                invalid.add(field, "invalid_character", "contains a NUL character");
            }
        }
        if asked.record_id.is_some() && asked.record_type.is_none() {
            invalid.add("record_type", "required", "is needed to know which record is meant");
        }
        let origin = asked.origin.map(|number| Origin::try_from(number).unwrap_or_default());
        if origin == Some(Origin::Unspecified) {
            invalid.add("origin", "unknown_value", "is no origin");
        }
        let (from, to) = (("from", asked.from.as_deref()), ("to", asked.to.as_deref()));
        Self {
            actor_user_id: asked.actor_user_id,
            aggregate: asked.record_type.clone(),
            aggregate_id: asked.record_id,
            event_type: asked.r#type.clone(),
            origin: origin.map(origin_name),
            request_id: asked.request_id.clone(),
            recorded: span(invalid, from, to, zone),
        }
    }
}

/// An entry's place in the order of all entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    recorded_at: DateTime<Utc>,
    source: AuditSource,
    change_id: i64,
}

impl Place {
    fn cursor(self) -> String {
        let source = u8::try_from(i32::from(self.source)).unwrap_or_default();
        let recorded_at = self.recorded_at.timestamp_micros().to_be_bytes();
        let place = [&recorded_at[..], &[source], &self.change_id.to_be_bytes()].concat();
        URL_SAFE_NO_PAD.encode(place)
    }

    fn parse(cursor: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        bytes.as_deref().and_then(Self::decode).ok_or_else(|| Error::Malformed {
            reason: "CURSOR_INVALID".into(),
            message: "the cursor is not one of this list".to_owned(),
        })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (recorded_at, rest) = bytes.split_first_chunk()?;
        let (source, change_id) = rest.split_first()?;
        let recorded_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*recorded_at))?;
        let source = AuditSource::try_from(i32::from(*source)).ok()?;
        let change_id = i64::from_be_bytes(change_id.try_into().ok()?);
        // Times that PostgreSQL knows, too.
        let year_10000 = DateTime::from_timestamp(253_402_300_800, 0)?;
        let is_good = source != AuditSource::Unspecified
            && (DateTime::UNIX_EPOCH..year_10000).contains(&recorded_at);
        is_good.then_some(Self { recorded_at, source, change_id })
    }
}

type Row = (i64, DateTime<Utc>, Vec<u8>);

/// The first rows after a place.
async fn read(
    pool: &PgPool,
    source: AuditSource,
    filter: &Filter,
    place: Option<Place>,
    limit: usize,
) -> sqlx::Result<Vec<Row>> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select change_id, recorded_at, payload from change where true",
    );
    narrow(&mut sql, " and actor_user_id = ", filter.actor_user_id);
    narrow(&mut sql, " and aggregate = ", filter.aggregate.clone());
    narrow(&mut sql, " and aggregate_id = ", filter.aggregate_id);
    narrow(&mut sql, " and type = ", filter.event_type.clone());
    narrow(&mut sql, " and origin = ", filter.origin);
    narrow(&mut sql, " and request_id = ", filter.request_id.clone());
    narrow(&mut sql, " and recorded_at >= ", filter.recorded.0);
    narrow(&mut sql, " and recorded_at < ", filter.recorded.1);
    if let Some(place) = place {
        if place.source == source {
            sql.push(" and (recorded_at, change_id) < (").push_bind(place.recorded_at);
            sql.push(", ").push_bind(place.change_id).push(")");
        } else {
            // Of the entries of that very moment this source's come before or after the place all together.
            let are_after = if place.source < source { "<=" } else { "<" };
            sql.push(format!(" and recorded_at {are_after} ")).push_bind(place.recorded_at);
        }
    }
    sql.push(format!(" order by recorded_at desc, change_id desc limit {limit}"));
    // Planned for these very values: which index is the best depends on how rare they are.
    sql.build_query_as().persistent(false).fetch_all(pool).await
}

fn narrow<T>(sql: &mut QueryBuilder<Postgres>, condition: &str, value: Option<T>)
where
    T: 'static + Send + sqlx::Encode<'static, Postgres> + sqlx::Type<Postgres>,
{
    if let Some(value) = value {
        sql.push(condition).push_bind(value);
    }
}

fn entry(source: AuditSource, (change_id, recorded_at, payload): Row) -> sqlx::Result<AuditEntry> {
    let event = Event::decode(&*payload).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let origin = match event.origin() {
        Origin::Unspecified => Origin::System,
        known => known,
    };
    let actor = event.actor.unwrap_or_default();
    Ok(AuditEntry {
        id: event.event_id,
        source: source.into(),
        r#type: event.r#type,
        record_type: event.aggregate,
        record_id: event.aggregate_id,
        version: event.version,
        occurred_at: event.occurred_at,
        recorded_at: Some(recorded_at.into()),
        actor_user_id: actor.user_id,
        actor_service: Some(actor.service).filter(|name| !name.is_empty()),
        origin: origin.into(),
        request_id: Some(event.request_id).filter(|id| !id.is_empty()),
        changes: event.changes.into_iter().map(change).collect(),
        cursor: Place { recorded_at, source, change_id }.cursor(),
    })
}

fn change(FieldChange { field, old, new }: FieldChange) -> AuditChange {
    AuditChange { field, old: Some(JsonValue { text: old }), new: Some(JsonValue { text: new }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_the_place_it_is() {
        for (micros, change_id) in [(0, 1), (1_761_903_000_123_456, i64::MAX)] {
            let recorded_at = DateTime::from_timestamp_micros(micros).unwrap();
            let place = Place { recorded_at, source: AuditSource::Opportunities, change_id };
            assert_eq!(Place::parse(&place.cursor()).unwrap(), place);
        }
    }

    #[test]
    fn a_cursor_that_is_no_place_is_refused() {
        let long = URL_SAFE_NO_PAD.encode([0; 18]);
        let nowhere = URL_SAFE_NO_PAD.encode([0; 17]);
        let never = Place {
            recorded_at: DateTime::<Utc>::MAX_UTC,
            source: AuditSource::Identity,
            change_id: 1,
        };
        for cursor in ["", "x", "AAAA", "!", &long, &nowhere, &never.cursor()] {
            assert_eq!(Place::parse(cursor).unwrap_err().reason(), "CURSOR_INVALID", "{cursor}");
        }
    }
}
