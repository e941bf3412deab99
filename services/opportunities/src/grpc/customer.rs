//! CustomerService.

use idempotency::Once;
use prost::Message as _;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::customer_service_server::CustomerService;
use rpc::{Invalid, mask::Mask, span};
use tonic::{Request, Response, Status};

use super::caller_and_meta;
use crate::State;
use crate::customer;
use crate::customer::duplicates::{self, Group};
use crate::customer::list::{self, Ask, Filter};
use crate::customer::merge::{self, Left, Merged, Unmerged};
use crate::customer::model::{Customer, Draft, Edit, Likeness};
use crate::opportunity::search::Query;
use crate::page::limit;

/// Serves customers.
pub struct Customers(pub State);

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn list_customers(
        &self,
        request: Request<pb::ListCustomersRequest>,
    ) -> Result<Response<pb::ListCustomersResponse>, Status> {
        let caller = auth::caller(&request)?;
        let it = request.into_inner();
        let zone = self.0.settings.get()?.zone;
        let mut invalid = Invalid::default();
        let filter = Filter {
            text: Query::parse(&mut invalid, it.q.as_deref()),
            created: span(
                &mut invalid,
                ("created_from", it.created_from.as_deref()),
                ("created_to", it.created_to.as_deref()),
                zone,
            ),
        };
        let sort = list::sort(&mut invalid, it.sort_by.as_deref(), it.order.as_deref());
        let limit = limit(&mut invalid, it.limit);
        invalid.into_result()?;
        let ask = Ask { filter: &filter, sort, limit, cursor: it.cursor.as_deref() };
        let (customers, next_cursor) = list::page(&self.0, &caller, &ask).await?;
        let items = customers.into_iter().map(to_wire).collect();
        Ok(Response::new(pb::ListCustomersResponse { items, next_cursor }))
    }

    async fn create_customer(
        &self,
        request: Request<pb::CreateCustomerRequest>,
    ) -> Result<Response<pb::CreateCustomerResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let created = |it: Customer| pb::CreateCustomerResponse { customer: Some(to_wire(it)) };
        let once = Once::of(&request, move |it: &Customer| created(it.clone()).encode_to_vec())?;
        let pb::CreateCustomerRequest { name, company, industry, email, phone } =
            request.into_inner();
        let draft = Draft { name, company, industry, email, phone };
        let made = customer::create(&self.0, &caller, draft, once, meta).await?;
        Ok(Response::new(made.into_message(created)?))
    }

    async fn get_customer(
        &self,
        request: Request<pb::GetCustomerRequest>,
    ) -> Result<Response<pb::GetCustomerResponse>, Status> {
        let caller = auth::caller(&request)?;
        let customer = customer::get(&self.0, &caller, request.into_inner().id).await?;
        Ok(Response::new(pb::GetCustomerResponse { customer: Some(to_wire(customer)) }))
    }

    async fn update_customer(
        &self,
        request: Request<pb::UpdateCustomerRequest>,
    ) -> Result<Response<pb::UpdateCustomerResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let it = request.into_inner();
        let fields = ["name", "company", "industry", "email", "phone"];
        let mask = Mask::of(it.update_mask, &fields)?;
        let edit = Edit {
            name: mask.wish("name", it.name),
            company: mask.wish("company", it.company),
            industry: mask.wish("industry", it.industry),
            email: mask.wish("email", it.email),
            phone: mask.wish("phone", it.phone),
        };
        let (id, expected) = (it.id, it.expected_version);
        let customer = customer::update(&self.0, &caller, id, expected, edit, meta).await?;
        Ok(Response::new(pb::UpdateCustomerResponse { customer: Some(to_wire(customer)) }))
    }

    async fn delete_customer(
        &self,
        request: Request<pb::DeleteCustomerRequest>,
    ) -> Result<Response<pb::DeleteCustomerResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeleteCustomerRequest { id, expected_version } = request.into_inner();
        customer::delete(&self.0, &caller, id, expected_version, meta).await?;
        Ok(Response::new(pb::DeleteCustomerResponse {}))
    }

    async fn restore_customer(
        &self,
        request: Request<pb::RestoreCustomerRequest>,
    ) -> Result<Response<pb::RestoreCustomerResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let restored = |it: Customer| pb::RestoreCustomerResponse { customer: Some(to_wire(it)) };
        let once = Once::of(&request, move |it: &Customer| restored(it.clone()).encode_to_vec())?;
        let id = request.into_inner().id;
        let answer = customer::restore(&self.0, &caller, id, once, meta).await?;
        Ok(Response::new(answer.into_message(restored)?))
    }

    async fn list_duplicate_customers(
        &self,
        request: Request<pb::ListDuplicateCustomersRequest>,
    ) -> Result<Response<pb::ListDuplicateCustomersResponse>, Status> {
        let caller = auth::caller(&request)?;
        let pb::ListDuplicateCustomersRequest { limit: asked, cursor } = request.into_inner();
        let mut invalid = Invalid::default();
        let limit = limit(&mut invalid, asked);
        invalid.into_result()?;
        let page = duplicates::page(&self.0, &caller, limit, cursor.as_deref());
        let (groups, next_cursor) = page.await?;
        let items = groups.into_iter().map(group).collect();
        Ok(Response::new(pb::ListDuplicateCustomersResponse { items, next_cursor }))
    }

    async fn merge_customers(
        &self,
        request: Request<pb::MergeCustomersRequest>,
    ) -> Result<Response<pb::MergeCustomersResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |it: &Merged| merged(it.clone()).encode_to_vec())?;
        let pb::MergeCustomersRequest { id, from_id } = request.into_inner();
        let answer = merge::merge(&self.0, &caller, id, from_id, once, meta).await?;
        Ok(Response::new(answer.into_message(merged)?))
    }

    async fn unmerge_customers(
        &self,
        request: Request<pb::UnmergeCustomersRequest>,
    ) -> Result<Response<pb::UnmergeCustomersResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |it: &Unmerged| unmerged(it.clone()).encode_to_vec())?;
        let pb::UnmergeCustomersRequest { id, from_id } = request.into_inner();
        let answer = merge::unmerge(&self.0, &caller, id, from_id, once, meta).await?;
        Ok(Response::new(answer.into_message(unmerged)?))
    }
}

fn group(it: Group) -> pb::DuplicateCustomers {
    let reasons = it.reasons.into_iter().map(|likeness| match likeness {
        Likeness::Name => pb::DuplicateReason::SameName,
        Likeness::Email => pb::DuplicateReason::SameEmail,
        Likeness::Phone => pb::DuplicateReason::SamePhone,
        Likeness::SimilarName => pb::DuplicateReason::SimilarName,
    });
    pb::DuplicateCustomers {
        reasons: reasons.map(Into::into).collect(),
        customers: it.customers.into_iter().map(to_wire).collect(),
        customer_count: it.count,
    }
}

fn merged(it: Merged) -> pb::MergeCustomersResponse {
    pb::MergeCustomersResponse {
        customer: Some(to_wire(it.customer)),
        moved_opportunities: it.opportunities,
        moved_contacts: it.contacts,
        joined_contacts: it.joined_contacts,
    }
}

fn unmerged(it: Unmerged) -> pb::UnmergeCustomersResponse {
    let customer_id = it.customer.id;
    let left = it.left.into_iter().map(|left| {
        let (record_type, record_id, field) = match left {
            Left::Opportunity(id) => ("opportunity", id, None),
            Left::Contact(id) => ("contact", id, None),
            Left::Field(field) => ("customer", customer_id, Some(field)),
        };
        pb::LeftBehind { record_type: record_type.to_owned(), record_id, field }
    });
    pb::UnmergeCustomersResponse {
        left: left.collect(),
        left_count: it.left_count,
        customer: Some(to_wire(it.customer)),
        from: Some(to_wire(it.from)),
        restored_opportunities: it.opportunities,
        restored_contacts: it.contacts,
    }
}

pub(super) fn to_wire(it: Customer) -> pb::Customer {
    pb::Customer {
        id: it.id,
        name: it.name,
        company: it.company,
        industry: it.industry,
        email: it.email,
        phone: it.phone,
        created_by: it.created_by,
        created_at: Some(it.created_at.into()),
        updated_at: Some(it.updated_at.into()),
        merged_into_id: it.merged_into_id,
        version: it.version,
    }
}
