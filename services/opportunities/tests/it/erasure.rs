//! Erasing a person: nothing of them is left in this service's database, and everything else is.

use auth::{Caller, Role};
use events::{Event, Record};
use opportunities::contact;
use opportunities::contact::erase::{self, Answer, Erased};
use opportunities::contact::model::{Draft, Edit};
use opportunities::grpc::redact;
use opportunities::opportunity::draft::Wish;
use prost::Message as _;
use proto::opportunities::v1 as pb;
use rpc::Error;
use sqlx::PgPool;

use crate::support::{ADMIN, World, caller, event, meta, person, wish};

const AMY: i64 = 1;
/// What is never to be seen again.
const SECRETS: [&str; 7] = [
    "Margarete Mustermann",
    "M. Mustermann",
    "margarete@example.com",
    "mm@example.com",
    "+49 30 123456",
    "Einkaufsleiterin",
    "Grete",
];

fn amy() -> Caller {
    caller(AMY, Role::Rep, None)
}

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

async fn erase(world: &World, who: &Caller, id: i64) -> Result<Erased, Error> {
    match erase::erase(&world.state, who, id, redact, None, meta(who.user_id)).await? {
        idempotency::Outcome::New(erased) => Ok(erased),
        idempotency::Outcome::Replay(_) => panic!("there was no key"),
    }
}

/// How often any of the texts is in any row of any table of this service, as text or as bytes.
async fn occurrences(pool: &PgPool, texts: &[&str]) -> i64 {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(tables.len() > 15);
    let mut found = 0;
    for table in tables {
        for text in texts {
            let folded = text.to_lowercase();
            let sql = format!(
                "select count(*) from {table} t where t::text like '%{text}%' or t::text like '%{folded}%' or t::text like '%' || encode(convert_to('{text}', 'UTF8'), 'hex') || '%'"
            );
            let sql = sqlx::AssertSqlSafe(sql);
            found += sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap();
        }
    }
    found
}

#[tokio::test]
async fn nothing_of_a_person_is_left_and_all_facts_are() {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", None))]).await;
    let with = Wish {
        contact_name: Some(SECRETS[0].to_owned()),
        contact_email: Some(SECRETS[2].to_owned()),
        amount: Some("12.5".parse().unwrap()),
        ..wish()
    };
    let sale = world.make(&amy(), with).await.unwrap().opportunity;
    let id = sale.contact_id.unwrap();
    let edit = Edit {
        name: Some(Some(SECRETS[1].to_owned())),
        email: Some(Some(SECRETS[3].to_owned())),
        phone: Some(Some(SECRETS[4].to_owned())),
        title: Some(Some(SECRETS[5].to_owned())),
    };
    contact::update(&world.state, &amy(), id, None, edit, meta(AMY)).await.unwrap();
    // The same person at a customer that was merged.
    let other = world.customer(opportunities::customer::model::Draft::of("other")).await.id;
    let draft = Draft {
        name: SECRETS[6].to_owned(),
        email: Some(SECRETS[3].to_owned()),
        ..Draft::default()
    };
    let meta_ = meta(ADMIN);
    contact::create(&world.state, &admin(), other, draft, None, meta_).await.unwrap();
    world.merge(sale.customer_id, other).await.unwrap();
    let answer = pb::CreateOpportunityResponse {
        opportunity: Some(pb::Opportunity {
            id: sale.id,
            contact_id: Some(id),
            contact_name: Some(SECRETS[0].to_owned()),
            contact_email: Some(SECRETS[2].to_owned()),
            ..pb::Opportunity::default()
        }),
    };
    for operation in ["CreateOpportunity", "WhatIsYetToCome"] {
        sqlx::query("insert into idempotency (user_id, operation, key, request_hash, response, created_at) values (1, $1, 'k', '', $2, now())")
            .bind(operation)
            .bind(answer.encode_to_vec())
            .execute(&world.state.writes)
            .await
            .unwrap();
    }
    assert!(occurrences(&world.state.reads, &SECRETS).await > 10);
    for who in [&amy(), &caller(2, Role::Manager, None), &caller(3, Role::Viewer, None)] {
        assert!(matches!(erase(&world, who, id).await, Err(Error::Denied { .. })));
    }
    assert!(matches!(erase(&world, &admin(), 999_999).await, Err(Error::NotFound { .. })));

    let erased = erase(&world, &admin(), id).await.unwrap();
    assert_eq!(erased.ids.len(), 2);
    assert_eq!(occurrences(&world.state.reads, &SECRETS).await, 0);
    let after = world.find(sale.id).await;
    assert_eq!((after.contact_id, after.amount), (None, sale.amount));
    world.everything_is_told().await;

    // Who erased it, and that fields were changed before, but not from what to what.
    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'contact' and aggregate_id = $1 order by version",
    )
    .bind(id)
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    let told: Vec<_> = payloads.iter().map(|it| Event::decode(&**it).unwrap()).collect();
    assert!(told[1].changes.iter().any(|it| it.field == "phone" && it.new == "\"\""));
    let last = told.last().unwrap();
    assert_eq!(
        (&*last.r#type, last.actor.as_ref().unwrap().user_id),
        ("contact.erased", Some(ADMIN))
    );
    let Some(Record::Contact(record)) = &last.record else { panic!("a contact") };
    assert!(record.erased_at.is_some() && record.name.is_empty());

    // The kept answer is there without the person; nobody knows what the other said.
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("select response from idempotency where key = 'k'")
        .fetch_all(&world.state.reads)
        .await
        .unwrap();
    let [kept] = &kept[..] else { panic!("one is kept") };
    let kept = pb::CreateOpportunityResponse::decode(&**kept).unwrap().opportunity.unwrap();
    assert_eq!((kept.id, kept.contact_name), (sale.id, None));

    // Once more changes nothing.
    assert_eq!(erase(&world, &admin(), id).await.unwrap(), erased);
    assert!(matches!(contact::get(&world.state, &admin(), id).await, Err(Error::NotFound { .. })));
    let unmerged = world.unmerge(sale.customer_id, other).await.unwrap();
    assert_eq!(unmerged.contacts, 0, "nobody comes back");
}

#[tokio::test]
async fn the_service_cannot_alter_the_change_log_but_for_contacts_that_are_erased() {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", None))]).await;
    let with = Wish { contact_name: Some("Chen".to_owned()), ..wish() };
    let sale = world.make(&amy(), with).await.unwrap().opportunity;
    let id = sale.contact_id.unwrap();
    let pool = &world.state.writes;
    let denied = sqlx::query("update change set payload = ''").execute(pool).await.unwrap_err();
    assert!(denied.to_string().contains("permission denied"), "{denied}");
    let redact_all = async |contact_id: i64, payload: &str| -> i64 {
        sqlx::query_scalar(
            "select redact_contact_changes($1, array_agg(change_id), array_agg(convert_to($2, 'UTF8'))) from change",
        )
        .bind(contact_id)
        .bind(payload)
        .fetch_one(pool)
        .await
        .unwrap()
    };
    assert_eq!(redact_all(id, "").await, 0, "they are not erased");
    assert_eq!(redact_all(sale.id, "").await, 0);
    erase(&world, &admin(), id).await.unwrap();
    assert_eq!(redact_all(id, &"x".repeat(10_000)).await, 0, "nothing is added");
    assert_eq!(redact_all(id, "").await, 2, "the contact's two events alone");
}

#[test]
fn a_kept_answer_about_somebody_else_stays() {
    let opportunity =
        |contact_id| Some(pb::Opportunity { contact_id, ..pb::Opportunity::default() });
    let of = |contact_id| {
        pb::CreateOpportunityResponse { opportunity: opportunity(contact_id) }.encode_to_vec()
    };
    assert_eq!(redact("CreateOpportunity", &of(Some(8)), &[7]), Answer::Stays);
    assert_eq!(redact("RestoreOpportunity 5", &of(Some(7)), &[7]), Answer::Without(of(None)));
    let of_many = |contact_ids: [Option<i64>; 2]| {
        let results = contact_ids.map(|id| pb::OpportunityUpdateResult {
            opportunity: opportunity(id),
            ..pb::OpportunityUpdateResult::default()
        });
        pb::UpdateOpportunitiesResponse {
            results: results.into(),
            ..pb::UpdateOpportunitiesResponse::default()
        }
        .encode_to_vec()
    };
    let parted = Answer::Without(of_many([None, Some(8)]));
    assert_eq!(redact("UpdateOpportunities", &of_many([Some(7), Some(8)]), &[7]), parted);
    let contact = |name: &str| pb::CreateContactResponse {
        contact: Some(pb::Contact { id: 7, name: name.to_owned(), ..pb::Contact::default() }),
    };
    let answer = contact("Chen").encode_to_vec();
    let without = Answer::Without(contact("").encode_to_vec());
    assert_eq!(redact("CreateContact 3", &answer, &[7]), without);
    assert_eq!(redact("MergeCustomers 3", &answer, &[7]), Answer::Stays);
    assert_eq!(redact("WhatIsYetToCome", &answer, &[7]), Answer::Forgotten);
}
