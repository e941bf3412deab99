//! ContactService.

use chrono::DateTime;
use idempotency::Once;
use prost::Message as _;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::contact_service_server::ContactService;
use rpc::{Error, Invalid, mask::Mask};
use tonic::{Request, Response, Status};

use super::caller_and_meta;
use crate::State;
use crate::contact::erase::{self, Answer, Erased};
use crate::contact::model::{Contact, Draft, Edit};
use crate::contact::{self, Place};
use crate::cursor::{Cursor, wrong_cursor};
use crate::opportunity::{BEGINNING, END_OF_TIME};
use crate::page::limit;

/// Serves contacts.
pub struct Contacts(pub State);

#[tonic::async_trait]
impl ContactService for Contacts {
    async fn list_contacts(
        &self,
        request: Request<pb::ListContactsRequest>,
    ) -> Result<Response<pb::ListContactsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let pb::ListContactsRequest { customer_id, limit: asked, cursor } = request.into_inner();
        let mut invalid = Invalid::default();
        let limit = limit(&mut invalid, asked);
        invalid.into_result()?;
        let listing = format!("contacts {customer_id}");
        let before = cursor.as_deref().map(|text| Cursor::parse(text, &listing)).transpose()?;
        let before = before.map_or(Ok((END_OF_TIME, i64::MAX)), |cursor| place(&cursor))?;
        let (contacts, more) = contact::list(&self.0, &caller, customer_id, before, limit).await?;
        let next_cursor = contacts.last().filter(|_| more).map(|last| {
            let at = last.created_at.timestamp_micros().to_string();
            Cursor::new(&listing, Some(at), last.id).write()
        });
        let items = contacts.into_iter().map(to_wire).collect();
        Ok(Response::new(pb::ListContactsResponse { items, next_cursor }))
    }

    async fn create_contact(
        &self,
        request: Request<pb::CreateContactRequest>,
    ) -> Result<Response<pb::CreateContactResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let created = |it: Contact| pb::CreateContactResponse { contact: Some(to_wire(it)) };
        let once = Once::of(&request, move |it: &Contact| created(it.clone()).encode_to_vec())?;
        let pb::CreateContactRequest { customer_id, name, email, phone, title } =
            request.into_inner();
        let draft = Draft { name, email, phone, title };
        let made = contact::create(&self.0, &caller, customer_id, draft, once, meta).await?;
        Ok(Response::new(made.into_message(created)?))
    }

    async fn get_contact(
        &self,
        request: Request<pb::GetContactRequest>,
    ) -> Result<Response<pb::GetContactResponse>, Status> {
        let caller = auth::caller(&request)?;
        let contact = contact::get(&self.0, &caller, request.into_inner().id).await?;
        Ok(Response::new(pb::GetContactResponse { contact: Some(to_wire(contact)) }))
    }

    async fn update_contact(
        &self,
        request: Request<pb::UpdateContactRequest>,
    ) -> Result<Response<pb::UpdateContactResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let it = request.into_inner();
        let mask = Mask::of(it.update_mask, &["name", "email", "phone", "title"])?;
        let edit = Edit {
            name: mask.wish("name", it.name),
            email: mask.wish("email", it.email),
            phone: mask.wish("phone", it.phone),
            title: mask.wish("title", it.title),
        };
        let (id, expected) = (it.id, it.expected_version);
        let contact = contact::update(&self.0, &caller, id, expected, edit, meta).await?;
        Ok(Response::new(pb::UpdateContactResponse { contact: Some(to_wire(contact)) }))
    }

    async fn delete_contact(
        &self,
        request: Request<pb::DeleteContactRequest>,
    ) -> Result<Response<pb::DeleteContactResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeleteContactRequest { id, expected_version } = request.into_inner();
        contact::delete(&self.0, &caller, id, expected_version, meta).await?;
        Ok(Response::new(pb::DeleteContactResponse {}))
    }

    async fn erase_contact(
        &self,
        request: Request<pb::EraseContactRequest>,
    ) -> Result<Response<pb::EraseContactResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |it: &Erased| erased(it.clone()).encode_to_vec())?;
        let id = request.into_inner().id;
        let answer = erase::erase(&self.0, &caller, id, redact, once, meta).await?;
        Ok(Response::new(answer.into_message(erased)?))
    }
}

fn erased(it: Erased) -> pb::EraseContactResponse {
    pb::EraseContactResponse { ids: it.ids, erased_at: Some(it.erased_at.into()) }
}

/// An answer that was kept, without people who are erased.
pub fn redact(operation: &str, response: &[u8], contact_ids: &[i64]) -> Answer {
    match operation.split(' ').next() {
        // Both have the opportunity in the same place.
        Some("CreateOpportunity" | "RestoreOpportunity") => {
            without(response, |answer: &mut pb::CreateOpportunityResponse| {
                answer.opportunity.as_mut().is_some_and(|it| part(it, contact_ids))
            })
        }
        Some("UpdateOpportunities") => {
            without(response, |answer: &mut pb::UpdateOpportunitiesResponse| {
                let shown = answer.results.iter_mut().filter_map(|it| it.opportunity.as_mut());
                // Each of them: there may be several of one contact.
                shown.filter_map(|it| part(it, contact_ids).then_some(())).count() > 0
            })
        }
        Some("CreateContact") => without(response, |answer: &mut pb::CreateContactResponse| {
            let meant = answer.contact.as_mut().filter(|it| contact_ids.contains(&it.id));
            let is_meant = meant.is_some();
            if let Some(it) = meant {
                it.name.clear();
                (it.email, it.phone, it.title) = (None, None, None);
            }
            is_meant
        }),
        // These say nothing of contacts but their ids.
        Some(
            "CreateCustomer" | "RestoreCustomer" | "MergeCustomers" | "UnmergeCustomers"
            | "EraseContact",
        ) => Answer::Stays,
        _ => Answer::Forgotten,
    }
}

/// An answer after something was removed from it, where that is so.
fn without<M: prost::Message + Default>(
    response: &[u8],
    remove: impl FnOnce(&mut M) -> bool,
) -> Answer {
    let Ok(mut answer) = M::decode(response) else { return Answer::Forgotten };
    if remove(&mut answer) { Answer::Without(answer.encode_to_vec()) } else { Answer::Stays }
}

/// Takes its contact from an opportunity, where it is one of these; whether it was.
fn part(it: &mut pb::Opportunity, contact_ids: &[i64]) -> bool {
    let is_meant = it.contact_id.is_some_and(|id| contact_ids.contains(&id));
    if is_meant {
        (it.contact_id, it.contact_name, it.contact_email) = (None, None, None);
    }
    is_meant
}

/// Where the page before ended.
fn place(cursor: &Cursor) -> Result<Place, Error> {
    let micros = cursor.key().and_then(|key| key.parse().ok());
    let at = micros.and_then(DateTime::from_timestamp_micros);
    let at = at.filter(|at| (BEGINNING..END_OF_TIME).contains(at));
    Ok((at.ok_or_else(wrong_cursor)?, cursor.id()))
}

pub(super) fn to_wire(it: Contact) -> pb::Contact {
    pb::Contact {
        id: it.id,
        customer_id: it.customer_id,
        name: it.name,
        email: it.email,
        phone: it.phone,
        title: it.title,
        created_at: Some(it.created_at.into()),
        updated_at: Some(it.updated_at.into()),
        version: it.version,
    }
}
