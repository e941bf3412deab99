//! Generates Rust from every `.proto` file under `salespipeline/`, and gives each message of the REST API its JSON form and its schema.
//!
//! Nothing about a message is written down twice: the attributes below are worked out from the descriptors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, OneofDescriptor, Value,
};
use tonic_prost_build::Builder;

#[path = "build/form.rs"]
mod form;

use form::{
    annotate_enum, camel, choice, derives, form, is_flat, map_value, oneofs, path, rust, scalar,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Messages that have a hand-written type with a JSON form of its own.
const SCALARS: [(&str, &str); 7] = [
    ("salespipeline.type.v1.Decimal", "crate::Decimal"),
    ("salespipeline.type.v1.Rate", "crate::Rate"),
    ("salespipeline.type.v1.Number", "crate::Number"),
    ("salespipeline.type.v1.CustomValues", "crate::CustomValues"),
    ("salespipeline.type.v1.Date", "crate::Date"),
    ("salespipeline.type.v1.JsonValue", "crate::JsonValue"),
    ("google.protobuf.Timestamp", "crate::Timestamp"),
];

/// Packages whose services are for services alone; their messages get a JSON form only where another package uses them.
const INTERNAL: [&str; 1] = ["salespipeline.events.v1"];

/// How the names of rpcs begin whose request may come in a query string.
const QUERY_VERBS: [&str; 6] = ["Get", "List", "Search", "Count", "Export", "Delete"];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script where to write in the environment"
)]
fn main() -> Outcome {
    println!("cargo:rerun-if-changed=salespipeline");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut sources = Vec::new();
    find(Path::new("salespipeline"), &mut sources)?;
    sources.sort();

    let mut files = protox::Compiler::new(["."])?;
    files.include_imports(true).include_source_info(true).open_files(&sources)?;
    // Encoded by the compiler itself: its `file_descriptor_set()` would drop our options.
    fs::write(out.join("descriptors.bin"), files.encode_file_descriptor_set())?;

    let pool = files.descriptor_pool();
    let rest = Rest::of(&pool)?;
    let mut build = tonic_prost_build::configure().btree_map(".");
    for (proto, rust) in SCALARS {
        build = build.extern_path(format!(".{proto}"), rust);
    }
    build = rest.annotate(build)?;
    build.compile_fds(files.file_descriptor_set())?;
    fs::write(out.join("modules.rs"), modules(&pool))?;
    fs::write(out.join("tables.rs"), rest.tables()?)?;
    Ok(())
}

fn find(folder: &Path, sources: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            sources.push(path);
        }
    }
    Ok(())
}

/// `pub mod identity { pub mod v1 { … } }` for every package but that of the scalars, which are written by hand.
fn modules(pool: &DescriptorPool) -> String {
    let packages: BTreeSet<String> = pool.files().map(|file| file.package_name().into()).collect();
    let mut text = String::new();
    for package in packages {
        let Some(path) = package.strip_prefix("salespipeline.") else { continue };
        if path.starts_with("type.") {
            continue;
        }
        let (open, close): (Vec<_>, Vec<_>) = path
            .split('.')
            .map(|name| (format!("/// `{package}`.\npub mod {name} {{\n"), "}\n"))
            .unzip();
        let include = format!("include!(concat!(env!(\"OUT_DIR\"), \"/{package}.rs\"));\n");
        text += &(open.concat() + &include + &close.concat());
    }
    text
}

/// What the REST API can reach.
struct Rest {
    pool: DescriptorPool,
    option: ExtensionDescriptor,
    choice: ExtensionDescriptor,
    methods: Vec<MethodDescriptor>,
    /// By full name, like the others: what a request is made of.
    requests: BTreeMap<String, MessageDescriptor>,
    /// What an answer is made of.
    answers: BTreeMap<String, MessageDescriptor>,
    /// Flat requests that a query string can hold.
    queries: BTreeMap<String, MessageDescriptor>,
    enums: BTreeMap<String, EnumDescriptor>,
}

impl Rest {
    fn of(pool: &DescriptorPool) -> Outcome<Self> {
        let option = pool.get_extension_by_name("salespipeline.type.v1.rest").ok_or("no option")?;
        let choice =
            pool.get_extension_by_name("salespipeline.type.v1.choice").ok_or("no option")?;
        let methods: Vec<_> = pool
            .services()
            .filter(|service| !INTERNAL.contains(&service.package_name()))
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .collect();
        let mut rest = Self {
            pool: pool.clone(),
            option,
            choice,
            methods,
            requests: BTreeMap::new(),
            answers: BTreeMap::new(),
            queries: BTreeMap::new(),
            enums: BTreeMap::new(),
        };
        for method in rest.methods.clone() {
            let query = QUERY_VERBS.iter().any(|verb| method.name().starts_with(verb))
                && !rest.visible(&method.input()).is_empty()
                && rest.visible(&method.input()).iter().all(is_flat);
            if query {
                rest.queries.insert(method.input().full_name().into(), method.input());
            }
            let (mut requests, mut answers) = (BTreeMap::new(), BTreeMap::new());
            rest.reach(&method.input(), &mut requests);
            rest.reach(&method.output(), &mut answers);
            rest.requests.extend(requests);
            rest.answers.extend(answers);
        }
        for message in rest.messages() {
            for field in rest.visible(&message) {
                if let Kind::Enum(kind) = field.kind() {
                    rest.enums.insert(kind.full_name().into(), kind);
                }
            }
        }
        rest.check_names()?;
        Ok(rest)
    }

    fn messages(&self) -> Vec<MessageDescriptor> {
        let all: BTreeMap<_, _> = self.requests.iter().chain(&self.answers).collect();
        all.into_values().cloned().collect()
    }

    fn reach(&self, message: &MessageDescriptor, found: &mut BTreeMap<String, MessageDescriptor>) {
        let name = message.full_name().to_owned();
        if scalar(message).is_some() || found.contains_key(&name) {
            return;
        }
        found.insert(name, message.clone());
        for field in self.visible(message) {
            let kind = if field.is_map() { map_value(&field) } else { field.kind() };
            if let Kind::Message(part) = kind {
                self.reach(&part, found);
            }
        }
    }

    /// Two schemas of one name would overwrite each other in the OpenAPI document.
    fn check_names(&self) -> Outcome {
        let mut seen = BTreeMap::new();
        let messages = self.messages();
        let names = messages.iter().map(MessageDescriptor::full_name);
        for full in names.chain(self.enums.keys().map(String::as_str)) {
            let short = full.rsplit('.').next().unwrap_or(full);
            if let Some(other) = seen.insert(short, full) {
                return Err(format!("{full} and {other} have one name in the REST API").into());
            }
        }
        Ok(())
    }

    fn option(&self, field: &FieldDescriptor, name: &str) -> Option<Value> {
        let options = field.options();
        let rest = options.get_extension(&self.option);
        let rest = rest.as_message()?;
        rest.has_field_by_name(name)
            .then(|| rest.get_field_by_name(name).map(std::borrow::Cow::into_owned))?
    }

    fn is(&self, field: &FieldDescriptor, name: &str) -> bool {
        self.option(field, name).and_then(|value| value.as_bool()).unwrap_or(false)
    }

    fn is_untagged(&self, oneof: &OneofDescriptor) -> bool {
        let options = oneof.options();
        let choice = options.get_extension(&self.choice);
        let untagged = choice.as_message().and_then(|it| it.get_field_by_name("untagged"));
        untagged.and_then(|value| value.as_bool()).unwrap_or(false)
    }

    fn visible(&self, message: &MessageDescriptor) -> Vec<FieldDescriptor> {
        message.fields().filter(|field| !self.is(field, "hidden")).collect()
    }

    fn annotate(&self, mut build: Builder) -> Outcome<Builder> {
        for kind in self.enums.values() {
            build = annotate_enum(build, kind);
        }
        for message in self.messages() {
            let name = message.full_name();
            let request = self.requests.contains_key(name);
            build =
                build.message_attribute(name, derives(request, self.answers.contains_key(name)));
            if request {
                build = build.message_attribute(name, "#[serde(deny_unknown_fields)]");
            }
            if self.queries.contains_key(name) {
                build = build
                    .message_attribute(name, "#[derive(utoipa::IntoParams)]")
                    .message_attribute(name, "#[into_params(parameter_in = Query)]");
            }
            for field in message.fields() {
                if field.containing_oneof().is_none_or(|oneof| oneof.is_synthetic()) {
                    build = build.field_attribute(path(&field), self.field(&field)?);
                }
            }
            for oneof in oneofs(&message) {
                build = self.annotate_oneof(build, &message, &oneof)?;
            }
        }
        Ok(build)
    }

    fn annotate_oneof(
        &self,
        mut build: Builder,
        message: &MessageDescriptor,
        oneof: &OneofDescriptor,
    ) -> Outcome<Builder> {
        let path = format!("{}.{}", message.full_name(), oneof.name());
        let title = format!("{}{}", message.name(), camel(oneof.name()));
        let request = self.requests.contains_key(message.full_name());
        build = build
            .type_attribute(&path, derives(request, self.answers.contains_key(message.full_name())))
            .type_attribute(&path, format!("#[schema(as = {title})]"));
        let untagged = self.is_untagged(oneof);
        if untagged && request {
            return Err(format!("{path}: what is read has to say what it is").into());
        }
        if untagged {
            build = build.type_attribute(&path, "#[serde(untagged)]");
        }
        for field in oneof.fields() {
            if matches!(field.kind(), Kind::Enum(_) | Kind::Bytes) {
                return Err(format!("{}: wrap it in a message", field.full_name()).into());
            }
            let check = match field.kind() {
                Kind::String if request => ", deserialize_with = \"crate::field::text\"",
                _ => "",
            };
            if untagged {
                continue;
            }
            let attribute = format!("#[serde(rename = {:?}{check})]", field.name());
            build = build.field_attribute(format!("{path}.{}", field.name()), attribute);
        }
        Ok(build)
    }

    /// The attributes of one field.
    fn field(&self, field: &FieldDescriptor) -> Outcome<String> {
        if self.is(field, "hidden") {
            return Ok("#[serde(skip)]".into());
        }
        let parent = field.parent_message().full_name().to_owned();
        let request = self.requests.contains_key(&parent);
        let nullable = field.field_descriptor_proto().proto3_optional();
        let (read, value_type) = form(field)?;

        let mut text = String::new();
        let not_empty = request && self.is(field, "not_empty");
        // In a patch null clears, a list too.
        let clears = request
            && field.is_list()
            && field.parent_message().get_field_by_name("update_mask").is_some();
        if let Kind::Enum(kind) = field.kind() {
            let (how, of) = match (not_empty, clears) {
                (true, _) => ("deserialize_with", "::some"),
                (false, true) => ("deserialize_with", "::list_or_null"),
                (false, false) => ("with", ""),
            };
            let name = rust(kind.full_name());
            write!(text, "#[serde({how} = \"crate::field::Enum::<{name}>{of}\")]")?;
        } else if not_empty {
            return Err(format!("{}: only enums are checked to be there", field.full_name()).into());
        } else if clears && matches!(field.kind(), Kind::String) {
            text += "#[serde(deserialize_with = \"crate::field::texts_or_null\")]";
        } else if clears && read == Some("objects") {
            text += "#[serde(deserialize_with = \"crate::field::objects_or_null\")]";
        } else if clears {
            return Err(format!("{}: null does not clear such a list", field.full_name()).into());
        } else if let Some(read) = read.filter(|_| request) {
            write!(text, "#[serde(deserialize_with = \"crate::field::{read}\")]")?;
        }
        if request {
            text += "#[serde(default)]";
        }
        if self.is(field, "sparse") {
            text += "#[serde(skip_serializing_if = \"Option::is_none\")]";
        }

        let mut schema = Vec::new();
        let required = if request { self.is(field, "required") } else { !self.is(field, "sparse") };
        schema.push(format!("required = {required}"));
        if let Some(example) = self.option(field, "example") {
            schema.push(format!("example = json!({})", example.as_str().unwrap_or("null")));
        }
        if let Some(length) = self.option(field, "max_length").and_then(|value| value.as_u32()) {
            schema.push(format!("max_length = {length}"));
        }
        for bound in ["minimum", "maximum"] {
            if let Some(value) = self.option(field, bound).and_then(|value| value.as_i64()) {
                schema.push(format!("{bound} = {value}"));
            }
        }
        if not_empty {
            schema.push("min_items = 1".to_owned());
        }
        let query = self.queries.contains_key(&parent).then(|| {
            // A parameter is left out, never null.
            let mut param = schema.clone();
            param.push(format!("value_type = {value_type}"));
            param
        });
        if nullable || clears {
            schema.push(format!("value_type = Option<{value_type}>"));
        } else if read.is_some() || matches!(field.kind(), Kind::Enum(_) | Kind::Message(_)) {
            schema.push(format!("value_type = {value_type}"));
        }
        write!(text, "#[schema({})]", schema.join(", "))?;
        if let Some(param) = query {
            write!(text, "#[param({})]", param.join(", "))?;
        }
        Ok(text)
    }

    /// The constants and functions that cannot be attributes.
    fn tables(&self) -> Outcome<String> {
        let mut text = String::new();
        writeln!(text, "/// The path of every rpc.\npub const METHODS: &[&str] = &[")?;
        for service in self.pool.services() {
            for method in service.methods() {
                writeln!(text, "    \"/{}/{}\",", service.full_name(), method.name())?;
            }
        }
        writeln!(
            text,
            "];\n\n/// The rpcs whose request a query string can hold: path of the rpc,"
        )?;
        writeln!(text, "/// name of the request, names of its parameters.")?;
        writeln!(text, "pub const QUERIES: &[(&str, &str, &[&str])] = &[")?;
        for method in &self.methods {
            let Some(query) = self.queries.get(method.input().full_name()) else { continue };
            let names: Vec<_> =
                self.visible(query).iter().map(|field| field.name().to_owned()).collect();
            let service = method.parent_service();
            let rpc = format!("/{}/{}", service.full_name(), method.name());
            writeln!(text, "    (\"{rpc}\", \"{}\", &{names:?}),", query.name())?;
        }
        writeln!(text, "];\n\n/// The schema of every type in the REST API, with its name.")?;
        writeln!(text, "pub fn schemas() -> Vec<(String, RefOr<Schema>)> {{\n    vec![")?;
        let messages = self.messages();
        let names = messages.iter().map(|message| rust(message.full_name()));
        let enums = self.enums.keys().map(|name| rust(name));
        let oneofs = messages.iter().flat_map(oneofs).map(|oneof| rust(&choice(&oneof)));
        for name in names.chain(enums).chain(oneofs).chain(SCALARS.map(|(_, rust)| rust.to_owned()))
        {
            writeln!(text, "        schema::<{name}>(),")?;
        }
        writeln!(text, "    ]\n}}\n")?;
        for (name, request) in &self.requests {
            let Some(mask) = request.get_field_by_name("update_mask") else { continue };
            if !self.is(&mask, "hidden") {
                return Err(format!("{name}.update_mask has to be hidden").into());
            }
            writeln!(text, "impl mask::Masked for {} {{", rust(name))?;
            writeln!(text, "    fn set_mask(&mut self, paths: Vec<String>) {{")?;
            writeln!(
                text,
                "        self.update_mask = Some(FieldMask {{ paths }});\n    }}\n}}\n"
            )?;
        }
        for (name, query) in &self.queries {
            writeln!(text, "impl query::Query for {} {{", rust(name))?;
            writeln!(text, "    const FIELDS: &'static [query::Parameter] = &[")?;
            for field in self.visible(query) {
                let form = match field.kind() {
                    Kind::String | Kind::Enum(_) => "Text",
                    Kind::Message(message) if !["Decimal", "Number"].contains(&message.name()) => {
                        "Text"
                    }
                    Kind::Bool => "Bool",
                    _ => "Number",
                };
                let (name, repeated) = (field.name(), field.is_list());
                writeln!(
                    text,
                    "        query::Parameter {{ name: {name:?}, repeated: {repeated}, form: query::Form::{form} }},"
                )?;
            }
            writeln!(text, "    ];\n}}\n")?;
        }
        Ok(text)
    }
}
