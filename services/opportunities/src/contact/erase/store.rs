//! All SQL about what is kept of a person.

use sqlx::PgConnection;

use crate::contact::model::Contact;

/// A contact and all with whom it is one, because they were merged, by id.
pub(super) async fn person(tx: &mut PgConnection, id: i64) -> sqlx::Result<Vec<Contact>> {
    sqlx::query_as!(
        Contact,
        r#"with recursive person as (
             select id, merged_into_id from contacts where id = $1
             union
             select c.id, c.merged_into_id from contacts c join person p on c.id = p.merged_into_id or c.merged_into_id = p.id
           )
           select id as "id!", customer_id as "customer_id!", name as "name!", email, phone, title, created_at as "created_at!", updated_at as "updated_at!",
             deleted_at, merged_into_id, erased_at, version as "version!"
           from contacts where id in (select id from person)
           order by id"#,
        id
    )
    .fetch_all(tx)
    .await
}

/// What was told of contacts: contact, entry of the change log, event.
pub(super) async fn told(
    tx: &mut PgConnection,
    contact_ids: &[i64],
) -> sqlx::Result<Vec<(i64, i64, Vec<u8>)>> {
    let rows = sqlx::query!(
        "select aggregate_id, change_id, payload from change where aggregate = 'contact' and aggregate_id = any($1) order by change_id",
        contact_ids
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.aggregate_id, row.change_id, row.payload)).collect())
}

/// Replaces events of a contact that is erased, which only a function of the schema's owner can; how many.
pub(super) async fn redact_changes(
    tx: &mut PgConnection,
    contact_id: i64,
    redacted: &[(i64, Vec<u8>)],
) -> sqlx::Result<i64> {
    let (change_ids, payloads): (Vec<i64>, Vec<Vec<u8>>) = redacted.iter().cloned().unzip();
    sqlx::query_scalar!(
        r#"select redact_contact_changes($1, $2, $3) as "written!""#,
        contact_id,
        &change_ids,
        &payloads
    )
    .fetch_one(tx)
    .await
}

/// An answer that is kept for an idempotency key.
pub(super) struct Kept {
    pub(super) user_id: i64,
    pub(super) operation: String,
    pub(super) key: String,
    pub(super) response: Vec<u8>,
}

/// The kept answers that have any of these texts in them.
pub(super) async fn answers(tx: &mut PgConnection, texts: &[String]) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as!(
        Kept,
        r#"select user_id, operation, key, response as "response!" from idempotency
           where response is not null
             and exists (select from unnest($1::text[]) as text where position(convert_to(text, 'UTF8') in response) > 0)"#,
        texts
    )
    .fetch_all(tx)
    .await
}

/// From now on this is the answer.
pub(super) async fn replace_answer(
    tx: &mut PgConnection,
    kept: &Kept,
    response: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update idempotency set response = $4 where user_id = $1 and operation = $2 and key = $3",
        kept.user_id,
        kept.operation,
        kept.key,
        response
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The key is as good as new.
pub(super) async fn forget_answer(tx: &mut PgConnection, kept: &Kept) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from idempotency where user_id = $1 and operation = $2 and key = $3",
        kept.user_id,
        kept.operation,
        kept.key
    )
    .execute(tx)
    .await?;
    Ok(())
}
