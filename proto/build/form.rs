//! Forms and names: how a field looks in JSON and in Rust, worked out from its descriptor alone.

use protox::prost_reflect::{
    EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor,
};
use tonic_prost_build::Builder;

use crate::{Outcome, SCALARS};

pub(crate) fn derives(request: bool, answer: bool) -> String {
    let serialize = if answer { "serde::Serialize, " } else { "" };
    let deserialize = if request { "serde::Deserialize, " } else { "" };
    format!("#[derive({serialize}{deserialize}utoipa::ToSchema)]")
}

pub(crate) fn annotate_enum(mut build: Builder, kind: &EnumDescriptor) -> Builder {
    build = build.enum_attribute(
        kind.full_name(),
        "#[derive(serde::Serialize, serde::Deserialize, utoipa::ToSchema)]",
    );
    let prefix = snake(kind.name()) + "_";
    for value in kind.values() {
        let name = value.name().to_lowercase();
        let name = name.strip_prefix(&prefix).unwrap_or(&name);
        // Value 0 says that nothing was said: no text stands for it.
        let attribute = match value.number() {
            0 => "#[serde(skip)]".into(),
            _ => format!("#[serde(rename = {name:?})]"),
        };
        build = build.field_attribute(format!("{}.{}", kind.full_name(), value.name()), attribute);
    }
    build
}

/// The function of `field` that reads a field, where serde's own does not do, and the type its schema is made from.
pub(crate) fn form(field: &FieldDescriptor) -> Outcome<(Option<&'static str>, String)> {
    let nullable = field.field_descriptor_proto().proto3_optional();
    let kind = if field.is_map() { map_value(field) } else { field.kind() };
    let pick = |one, optional, list| match (nullable, field.is_list()) {
        (true, _) => optional,
        (_, true) => list,
        _ => one,
    };
    let (read, part) = match &kind {
        Kind::String if field.is_map() => (None, "String".to_owned()),
        Kind::String => (Some(pick("text", "optional_text", "texts")), "String".into()),
        Kind::Enum(kind) => (None, rust(kind.full_name())),
        Kind::Message(message) => match scalar(message) {
            Some(rust) if field.is_map() => (None, rust.into()),
            Some(rust) if nullable || field.is_list() => (None, rust.into()),
            Some(rust) => (Some("present"), rust.into()),
            None if field.is_map() => {
                return Err(format!("{}: no maps of messages", field.full_name()).into());
            }
            None => (Some(pick("object", "optional_object", "objects")), rust(message.full_name())),
        },
        Kind::Bytes => return Err(format!("{}: bytes have no JSON", field.full_name()).into()),
        Kind::Bool => (None, "bool".into()),
        Kind::Double => (None, "f64".into()),
        Kind::Float => (None, "f32".into()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (None, "i32".into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => (None, "i64".into()),
        Kind::Uint32 | Kind::Fixed32 => (None, "u32".into()),
        Kind::Uint64 | Kind::Fixed64 => (None, "u64".into()),
    };
    let whole = if field.is_map() {
        format!("std::collections::BTreeMap<String, {part}>")
    } else if field.is_list() {
        format!("Vec<{part}>")
    } else {
        part
    };
    Ok((read, whole))
}

pub(crate) fn is_flat(field: &FieldDescriptor) -> bool {
    let plain = match field.kind() {
        Kind::Message(message) => scalar(&message).is_some(),
        Kind::Bytes => false,
        _ => true,
    };
    plain && !field.is_map() && field.containing_oneof().is_none_or(|oneof| oneof.is_synthetic())
}

pub(crate) fn scalar(message: &MessageDescriptor) -> Option<&'static str> {
    SCALARS.iter().find(|(proto, _)| *proto == message.full_name()).map(|(_, rust)| *rust)
}

pub(crate) fn map_value(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

/// The path by which attributes are given to a field. Without a leading dot it is exact.
pub(crate) fn path(field: &FieldDescriptor) -> String {
    format!("{}.{}", field.parent_message().full_name(), field.name())
}

/// `salespipeline.identity.v1.User` → `crate::identity::v1::User`.
pub(crate) fn rust(name: &str) -> String {
    let path = name.strip_prefix("salespipeline.").unwrap_or(name);
    format!("crate::{}", path.replace('.', "::"))
}

/// `OpportunityStatus` → `opportunity_status`.
pub(crate) fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// The choices of a message; a field that is only optional is none.
pub(crate) fn oneofs(message: &MessageDescriptor) -> Vec<OneofDescriptor> {
    message.oneofs().filter(|oneof| !oneof.is_synthetic()).collect()
}

/// `salespipeline.identity.v1.AuthorizeResponse.outcome` → `salespipeline.identity.v1.authorize_response.Outcome`, as the generated type is called.
pub(crate) fn choice(oneof: &OneofDescriptor) -> String {
    let parent = oneof.parent_message();
    format!("{}.{}.{}", parent.package_name(), snake(parent.name()), camel(oneof.name()))
}

/// `contact_person` → `ContactPerson`.
pub(crate) fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(word).collect()
}
