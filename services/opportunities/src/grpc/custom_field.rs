//! CustomFieldService.

use idempotency::Once;
use prost::Message as _;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::custom_field_service_server::CustomFieldService;
use rpc::mask::Mask;
use tonic::{Request, Response, Status};

use super::caller_and_meta;
use crate::State;
use crate::custom_field::draft::{Edit, New};
use crate::custom_field::model::{CustomField, Type};
use crate::custom_field::{self, Listed};
use crate::page::{checked_limit, in_order};

/// Serves the fields of the organisation's own.
pub struct CustomFieldsGrpc(pub State);

#[tonic::async_trait]
impl CustomFieldService for CustomFieldsGrpc {
    async fn list_custom_fields(
        &self,
        request: Request<pb::ListCustomFieldsRequest>,
    ) -> Result<Response<pb::ListCustomFieldsResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let pb::ListCustomFieldsRequest { limit, cursor } = request.into_inner();
        let page = (checked_limit(limit)?, cursor.as_deref());
        let list = custom_field::all(&self.0.reads).await?;
        let all: Vec<_> = list.living().zip(1..).map(shown).collect();
        let (places, next_cursor) = in_order(&all, "custom_fields", page, |it| it.key.clone())?;
        let (items, version) = (all[places].to_vec(), list.version);
        Ok(Response::new(pb::ListCustomFieldsResponse { items, version, next_cursor }))
    }

    async fn create_custom_field(
        &self,
        request: Request<pb::CreateCustomFieldRequest>,
    ) -> Result<Response<pb::CreateCustomFieldResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |it: &Listed| created(it).encode_to_vec())?;
        let asked = request.into_inner();
        let new = New {
            kind: kind_of(asked.r#type()),
            key: asked.key,
            name: asked.name,
            choices: asked.choices,
            position: asked.position,
        };
        let state = self.0.clone();
        let made =
            rpc::write(async move { custom_field::create(&state, &caller, new, once, meta).await });
        Ok(Response::new(made.await?.into_message(|it| created(&it))?))
    }

    async fn update_custom_field(
        &self,
        request: Request<pb::UpdateCustomFieldRequest>,
    ) -> Result<Response<pb::UpdateCustomFieldResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let asked = request.into_inner();
        let mask = Mask::of(asked.update_mask, &["name", "choices", "position"])?;
        let choices = Some(asked.choices).filter(|choices| !choices.is_empty());
        let edit = Edit {
            name: mask.wish("name", asked.name),
            choices: mask.wish("choices", choices),
            position: mask.wish("position", asked.position),
        };
        let (state, which) = (self.0.clone(), (asked.key, asked.expected_version));
        let listed =
            rpc::write(
                async move { custom_field::update(&state, &caller, which, edit, meta).await },
            );
        let listed = listed.await?;
        let (custom_field, version) = (one(&listed), listed.list.version);
        Ok(Response::new(pb::UpdateCustomFieldResponse { custom_field, version }))
    }

    async fn delete_custom_field(
        &self,
        request: Request<pb::DeleteCustomFieldRequest>,
    ) -> Result<Response<pb::DeleteCustomFieldResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeleteCustomFieldRequest { key, expected_version } = request.into_inner();
        let (state, which) = (self.0.clone(), (key, expected_version));
        rpc::write(async move { custom_field::delete(&state, &caller, which, meta).await }).await?;
        Ok(Response::new(pb::DeleteCustomFieldResponse {}))
    }
}

fn created(it: &Listed) -> pb::CreateCustomFieldResponse {
    pb::CreateCustomFieldResponse { custom_field: one(it), version: it.list.version }
}

fn one(it: &Listed) -> Option<pb::CustomField> {
    it.list.living().zip(1..).find(|(field, _)| field.key == it.key).map(shown)
}

fn shown((it, position): (&CustomField, i32)) -> pb::CustomField {
    let kind = match it.kind {
        Type::Text => pb::CustomFieldType::Text,
        Type::Number => pb::CustomFieldType::Number,
        Type::Date => pb::CustomFieldType::Date,
        Type::Choice => pb::CustomFieldType::Choice,
    };
    pb::CustomField {
        key: it.key.clone(),
        name: it.name.clone(),
        r#type: kind.into(),
        choices: it.choices.clone(),
        position,
    }
}

fn kind_of(kind: pb::CustomFieldType) -> Option<Type> {
    match kind {
        pb::CustomFieldType::Text => Some(Type::Text),
        pb::CustomFieldType::Number => Some(Type::Number),
        pb::CustomFieldType::Date => Some(Type::Date),
        pb::CustomFieldType::Choice => Some(Type::Choice),
        pb::CustomFieldType::Unspecified => None,
    }
}
