//! Every operation with what it asks of its caller. One that is missing here, or is here and nowhere else, fails the build.
//!
//! What is sent passes authorisation and changes nothing: a version that the record does not have, a body that lacks what is required, a record
//! that is not there.

mod derived;

use prost::Message;
use proto::dead_letter::v1 as dead_letter;
use proto::identity::v1 as identity;
use proto::opportunities::v1 as opportunities;
use serde_json::{Value, json};

use super::policy::Policy;
use derived::{derived_rows, forecast_rows};

/// An id that nothing has.
pub(super) const ABSENT: i64 = 999_999_999;
/// A version that nothing has.
const NEVER: i64 = 999;

/// What one does with one's own second factor.
const OWN_FACTOR: [&str; 5] = [
    "get /users/me/second-factor",
    "post /users/me/second-factor",
    "post /users/me/second-factor/confirm",
    "post /users/me/second-factor/recovery-codes",
    "post /users/me/second-factor/disable",
];

/// What the requests are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The owner's opportunity.
    pub(super) opportunity: i64,
    /// What is to be done about it, which its owner made.
    pub(super) activity: i64,
    /// Its customer.
    pub(super) customer: i64,
    /// The person there.
    pub(super) contact: i64,
    /// The owner.
    pub(super) owner: i64,
}

/// An operation.
pub(super) struct Row {
    /// `package.Service/Method`, without `salespipeline.`; empty where another row of the same method says it.
    pub(super) rpc: &'static str,
    /// Method and path below the base, if it can be reached over REST.
    pub(super) rest: Option<&'static str>,
    pub(super) policy: Policy,
    /// What is sent over gRPC; nothing is an empty message.
    pub(super) message: Vec<u8>,
    /// What is sent over REST; null is nothing.
    pub(super) body: Value,
}

fn row(rpc: &'static str, rest: &'static str, policy: Policy) -> Row {
    let rest = Some(rest).filter(|rest| !rest.is_empty());
    Row { rpc, rest, policy, message: Vec::new(), body: Value::Null }
}

impl Row {
    fn saying(self, message: &impl Message) -> Self {
        Self { message: message.encode_to_vec(), ..self }
    }

    fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }
}

pub(super) fn table(record: Record) -> Vec<Row> {
    let mut rows = identity_rows(record);
    rows.extend(program_rows());
    rows.extend(pipeline_rows());
    rows.extend(currency_rows());
    rows.extend(lost_reason_rows());
    rows.extend(custom_field_rows());
    rows.extend(book_rows(record));
    rows.extend(event_rows());
    rows.extend(file_rows());
    rows.extend(activity_rows(record));
    rows.extend(customer_rows(record));
    rows.extend(derived_rows());
    rows.extend(forecast_rows());
    rows
}

fn identity_rows(Record { owner, .. }: Record) -> Vec<Row> {
    use Policy::{Admins, Oneself, Open, OwnSession, OwnThings, Readers, Services};
    let user = |id| identity::UpdateUserRequest {
        id,
        expected_version: Some(NEVER),
        username: Some("x".to_owned()),
        ..identity::UpdateUserRequest::default()
    };
    let short = identity::ChangePasswordRequest {
        current_password: "x".to_owned(),
        new_password: "x".to_owned(),
    };
    let member = (ABSENT, ABSENT);
    vec![
        row("identity.v1.TokenService/IssueToken", "post /auth/token", Open),
        row("identity.v1.TokenService/RefreshToken", "", Open),
        row("identity.v1.TokenService/RevokeToken", "post /auth/revoke", Open),
        row("identity.v1.TokenService/IssueServiceToken", "", Open),
        row("identity.v1.KeyService/ListKeys", "", Open),
        row("identity.v1.UserService/GetUser", "get /users/{id}", Readers),
        row("", "get /users/me", Readers),
        row("identity.v1.UserService/ListUsers", "get /users", Readers),
        row("identity.v1.UserService/CreateUser", "post /users", Admins).with(json!({})),
        row("identity.v1.UserService/UpdateUser", "patch /users/{id}", Oneself)
            .saying(&user(owner))
            .with(json!({"username": "x"})),
        // Over gRPC it is the same method with one's own id.
        row("", "patch /users/me", OwnThings).with(json!({"username": "x"})),
        row("identity.v1.UserService/ChangePassword", "post /users/me/password", OwnSession)
            .saying(&short)
            .with(json!({"current_password": "x", "new_password": "x"})),
        row("identity.v1.SessionService/ListSessions", "get /users/me/sessions", Readers),
        row("identity.v1.SessionService/EndSession", "delete /users/me/sessions/{id}", OwnSession)
            .saying(&identity::EndSessionRequest { id: ABSENT }),
        row("identity.v1.SessionService/EndUserSessions", "delete /users/{id}/sessions", Admins)
            .saying(&identity::EndUserSessionsRequest { user_id: ABSENT }),
        row("identity.v1.SessionService/ListRights", "", Services),
        row("identity.v1.ApiKeyService/ListApiKeys", "get /api-keys", Readers),
        row("identity.v1.ApiKeyService/CreateApiKey", "post /api-keys", OwnSession).with(json!({})),
        row("identity.v1.ApiKeyService/RevokeApiKey", "delete /api-keys/{id}", OwnSession)
            .saying(&identity::RevokeApiKeyRequest { id: ABSENT, expected_version: None }),
        row("identity.v1.ApiKeyService/ExchangeApiKey", "", Services),
        row(
            "identity.v1.PasswordLinkService/RequestPasswordReset",
            "post /auth/password-reset",
            Open,
        ),
        row("identity.v1.PasswordLinkService/SetPasswordByLink", "post /auth/set-password", Open),
        row("identity.v1.PasswordLinkService/InviteUser", "post /users/{id}/invitation", Admins)
            .saying(&identity::InviteUserRequest { user_id: ABSENT }),
        row("identity.v1.PasswordLinkService/RevealPasswordLink", "", Services),
        row("identity.v1.SecondFactorService/GetSecondFactor", OWN_FACTOR[0], OwnSession),
        row("identity.v1.SecondFactorService/BeginSecondFactor", OWN_FACTOR[1], OwnSession)
            .with(json!({})),
        row("identity.v1.SecondFactorService/ConfirmSecondFactor", OWN_FACTOR[2], OwnSession)
            .with(json!({})),
        row("identity.v1.SecondFactorService/ReplaceRecoveryCodes", OWN_FACTOR[3], OwnSession)
            .with(json!({})),
        row("identity.v1.SecondFactorService/DisableSecondFactor", OWN_FACTOR[4], OwnSession)
            .with(json!({})),
        row(
            "identity.v1.SecondFactorService/ResetSecondFactor",
            "delete /users/{id}/second-factor",
            Admins,
        )
        .saying(&identity::ResetSecondFactorRequest { user_id: ABSENT }),
        row("identity.v1.TeamService/GetTeam", "get /teams/{id}", Readers),
        row("identity.v1.TeamService/ListTeams", "get /teams", Readers),
        row("identity.v1.TeamService/CreateTeam", "post /teams", Admins).with(json!({})),
        row("identity.v1.TeamService/UpdateTeam", "patch /teams/{id}", Admins)
            .saying(&identity::UpdateTeamRequest { id: ABSENT, ..Default::default() })
            .with(json!({"name": "x"})),
        row("identity.v1.TeamService/DeleteTeam", "delete /teams/{id}", Admins)
            .saying(&identity::DeleteTeamRequest { id: ABSENT, expected_version: None }),
        row("identity.v1.TeamService/AddTeamMember", "put /teams/{id}/members/{user_id}", Admins)
            .saying(&identity::AddTeamMemberRequest { team_id: member.0, user_id: member.1 }),
        row(
            "identity.v1.TeamService/RemoveTeamMember",
            "delete /teams/{id}/members/{user_id}",
            Admins,
        )
        .saying(&identity::RemoveTeamMemberRequest { team_id: member.0, user_id: member.1 }),
        row("identity.v1.SettingsService/GetSettings", "get /settings", Readers),
        row("identity.v1.SettingsService/UpdateSettings", "patch /settings", Admins)
            .saying(&identity::UpdateSettingsRequest {
                expected_version: Some(NEVER),
                fiscal_year_start: Some(2),
                ..Default::default()
            })
            .with(json!({"fiscal_year_start": 2})),
        row("identity.v1.SettingsService/FixCurrency", "", Services),
    ]
}

/// Of programs, and of people who sign in for them.
fn program_rows() -> Vec<Row> {
    use Policy::{Admins, Open};
    vec![
        row("identity.v1.TokenService/ExchangeCode", "", Open),
        row("identity.v1.TokenService/IssueClientToken", "", Open),
        row("identity.v1.AuthorizationService/CheckAuthorization", "", Open),
        row("identity.v1.AuthorizationService/Authorize", "", Open),
        row("identity.v1.AuthorizationService/AuthorizeWithSecondFactor", "", Open),
        row("identity.v1.AuthorizationService/ListGrantTypes", "", Open),
        row("identity.v1.ExternalSignInService/BeginExternalSignIn", "", Open),
        row("identity.v1.ExternalSignInService/FinishExternalSignIn", "", Open),
        row("identity.v1.ClientService/ListClients", "get /oauth-clients", Admins),
        row("identity.v1.ClientService/GetClient", "get /oauth-clients/{id}", Admins)
            .saying(&identity::GetClientRequest { id: ABSENT }),
        row("identity.v1.ClientService/CreateClient", "post /oauth-clients", Admins)
            .with(json!({})),
        row("identity.v1.ClientService/DeleteClient", "delete /oauth-clients/{id}", Admins)
            .saying(&identity::DeleteClientRequest { id: ABSENT, expected_version: None }),
    ]
}

fn pipeline_rows() -> Vec<Row> {
    use Policy::{Admins, Readers};
    let key = "none".to_owned();
    vec![
        row("opportunities.v1.PipelineService/ListPipelines", "get /pipelines", Readers),
        row("opportunities.v1.PipelineService/GetPipeline", "get /pipelines/{id}", Readers)
            .saying(&opportunities::GetPipelineRequest { id: ABSENT }),
        row("opportunities.v1.PipelineService/CreatePipeline", "post /pipelines", Admins)
            .with(json!({})),
        row("opportunities.v1.PipelineService/UpdatePipeline", "patch /pipelines/{id}", Admins)
            .saying(&opportunities::UpdatePipelineRequest { id: ABSENT, ..Default::default() })
            .with(json!({"name": "x"})),
        row("opportunities.v1.PipelineService/DeletePipeline", "delete /pipelines/{id}", Admins)
            .saying(&opportunities::DeletePipelineRequest { id: ABSENT, expected_version: None }),
        row("opportunities.v1.PipelineService/ListStages", "get /pipeline/stages", Readers),
        row("opportunities.v1.PipelineService/CreateStage", "post /pipeline/stages", Admins)
            .with(json!({})),
        row("opportunities.v1.PipelineService/UpdateStage", "patch /pipeline/stages/{key}", Admins)
            .saying(&opportunities::UpdateStageRequest { key: key.clone(), ..Default::default() })
            .with(json!({"name": "x"})),
        row("opportunities.v1.PipelineService/ReorderStages", "put /pipeline/stages/order", Admins)
            .with(json!({"keys": []})),
        row(
            "opportunities.v1.PipelineService/DeleteStage",
            "delete /pipeline/stages/{key}",
            Admins,
        )
        .saying(&opportunities::DeleteStageRequest { key, ..Default::default() }),
    ]
}

fn currency_rows() -> Vec<Row> {
    use Policy::{Admins, Readers};
    vec![
        row("opportunities.v1.CurrencyService/ListCurrencies", "get /currencies", Readers),
        row(
            "opportunities.v1.CurrencyService/ListExchangeRates",
            "get /currencies/{code}/rates",
            Readers,
        ),
        row(
            "opportunities.v1.CurrencyService/SetExchangeRate",
            "put /currencies/{code}/rates",
            Admins,
        )
        .with(json!({})),
        row(
            "opportunities.v1.CurrencyService/DeleteExchangeRate",
            "delete /currencies/{code}/rates/{valid_from}",
            Admins,
        ),
    ]
}

fn lost_reason_rows() -> Vec<Row> {
    use Policy::{Admins, Readers};
    vec![
        row("opportunities.v1.LostReasonService/ListLostReasons", "get /lost-reasons", Readers),
        row("opportunities.v1.LostReasonService/CreateLostReason", "post /lost-reasons", Admins)
            .with(json!({})),
        row(
            "opportunities.v1.LostReasonService/UpdateLostReason",
            "patch /lost-reasons/{id}",
            Admins,
        )
        .saying(&opportunities::UpdateLostReasonRequest { id: ABSENT, ..Default::default() })
        .with(json!({"name": "x"})),
        row(
            "opportunities.v1.LostReasonService/DeleteLostReason",
            "delete /lost-reasons/{id}",
            Admins,
        )
        .saying(&opportunities::DeleteLostReasonRequest { id: ABSENT, expected_version: None }),
    ]
}

fn custom_field_rows() -> Vec<Row> {
    use Policy::{Admins, Readers};
    let key = "none".to_owned();
    vec![
        row("opportunities.v1.CustomFieldService/ListCustomFields", "get /custom-fields", Readers),
        row("opportunities.v1.CustomFieldService/CreateCustomField", "post /custom-fields", Admins)
            .with(json!({})),
        row(
            "opportunities.v1.CustomFieldService/UpdateCustomField",
            "patch /custom-fields/{key}",
            Admins,
        )
        .saying(&opportunities::UpdateCustomFieldRequest { key: key.clone(), ..Default::default() })
        .with(json!({"name": "x"})),
        row(
            "opportunities.v1.CustomFieldService/DeleteCustomField",
            "delete /custom-fields/{key}",
            Admins,
        )
        .saying(&opportunities::DeleteCustomFieldRequest { key, expected_version: None }),
    ]
}

fn file_rows() -> Vec<Row> {
    use Policy::{Readers, Sellers};
    vec![
        row(
            "opportunities.v1.ExportService/ExportOpportunities",
            "get /opportunities/export",
            Readers,
        ),
        row("opportunities.v1.ImportService/CreateImport", "post /imports", Sellers)
            .with(json!({})),
        row("opportunities.v1.ImportService/GetImport", "get /imports/{id}", Readers)
            .saying(&opportunities::GetImportRequest { id: ABSENT, ..Default::default() }),
        row("opportunities.v1.ImportService/WatchImport", "get /imports/{id}/stream", Readers)
            .saying(&opportunities::WatchImportRequest { id: ABSENT }),
        row("opportunities.v1.ImportService/UndoImport", "post /imports/{id}/undo", Sellers)
            .saying(&opportunities::UndoImportRequest { id: ABSENT }),
    ]
}

fn book_rows(Record { opportunity: id, .. }: Record) -> Vec<Row> {
    use Policy::{AdminOfRecord, Admins, ChangesRecord, Readers, SeesRecord, Sellers};
    let step = opportunities::ChangeOpportunityStageRequest {
        id,
        expected_version: Some(NEVER),
        stage: "won".to_owned(),
        ..Default::default()
    };
    let sale = opportunities::CreateOpportunityRequest {
        customer_name: Some("Customer".to_owned()),
        opportunity_name: "Sale".to_owned(),
        ..Default::default()
    };
    vec![
        row("opportunities.v1.OpportunityService/ListOpportunities", "get /opportunities", Readers),
        row(
            "opportunities.v1.OpportunityService/CreateOpportunity",
            "post /opportunities",
            Sellers,
        )
        .saying(&sale)
        .with(json!({"customer_name": "Customer", "opportunity_name": "Sale"})),
        row(
            "opportunities.v1.OpportunityService/GetOpportunity",
            "get /opportunities/{id}",
            SeesRecord,
        )
        .saying(&opportunities::GetOpportunityRequest { id }),
        row(
            "opportunities.v1.OpportunityService/UpdateOpportunity",
            "patch /opportunities/{id}",
            ChangesRecord,
        )
        .saying(&opportunities::UpdateOpportunityRequest {
            id,
            expected_version: Some(NEVER),
            ..Default::default()
        })
        .with(json!({"notes": "x"})),
        row(
            "opportunities.v1.OpportunityService/UpsertOpportunity",
            "put /opportunities/by-external-id/{external_id}",
            Sellers,
        )
        .with(json!({"amount": -1})),
        row(
            "opportunities.v1.BulkService/UpdateOpportunities",
            "post /opportunities/bulk",
            Sellers,
        )
        .with(json!({"updates": []})),
        row(
            "opportunities.v1.OpportunityService/DeleteOpportunity",
            "delete /opportunities/{id}",
            ChangesRecord,
        )
        .saying(&opportunities::DeleteOpportunityRequest { id, expected_version: Some(NEVER) }),
        row(
            "opportunities.v1.OpportunityService/RestoreOpportunity",
            "post /opportunities/{id}/restore",
            ChangesRecord,
        )
        .saying(&opportunities::RestoreOpportunityRequest { id }),
        row(
            "opportunities.v1.OpportunityService/ChangeOpportunityStage",
            "patch /opportunities/{id}/stage",
            ChangesRecord,
        )
        .saying(&step)
        .with(json!({"stage": "won"})),
        row(
            "opportunities.v1.OpportunityService/ListStageHistory",
            "get /opportunities/{id}/history",
            SeesRecord,
        )
        .saying(&opportunities::ListStageHistoryRequest { id, ..Default::default() }),
        row(
            "opportunities.v1.OpportunityService/GetOpportunityAccess",
            "get /opportunities/{id}/access",
            AdminOfRecord,
        )
        .saying(&opportunities::GetOpportunityAccessRequest { id, ..Default::default() }),
        row("opportunities.v1.OpportunityService/ImportHistory", "", Admins),
    ]
}

fn event_rows() -> Vec<Row> {
    use Policy::Admins;
    vec![
        row("events.v1.ChangeService/ListChanges", "", Policy::Services),
        row("events.v1.ChangeService/GetDigest", "", Policy::Services),
        row("events.v1.ChangeService/StreamRecords", "", Policy::Services),
        row("audit.v1.AuditService/ListAuditEntries", "get /audit", Admins),
        row(
            "dead_letter.v1.DeadLetterService/ListDeadLetters",
            "get /dead-letters/{service}",
            Admins,
        ),
        row(
            "dead_letter.v1.DeadLetterService/GetDeadLetter",
            "get /dead-letters/{service}/{id}",
            Admins,
        )
        .saying(&dead_letter::GetDeadLetterRequest { id: ABSENT }),
        row(
            "dead_letter.v1.DeadLetterService/ReplayDeadLetters",
            "put /dead-letters/{service}/{id}/replay",
            Admins,
        )
        .saying(&dead_letter::ReplayDeadLettersRequest { id: Some(ABSENT) }),
        row("", "put /dead-letters/{service}/replay", Admins),
    ]
}

fn activity_rows(Record { opportunity: opportunity_id, activity: id, .. }: Record) -> Vec<Row> {
    use Policy::{ChangesRecord, Readers, SeesRecord};
    vec![
        row("opportunities.v1.ActivityService/ListActivities", "get /activities", Readers),
        row(
            "opportunities.v1.ActivityService/ListOpportunityActivities",
            "get /opportunities/{id}/activities",
            SeesRecord,
        )
        .saying(&opportunities::ListOpportunityActivitiesRequest {
            opportunity_id,
            ..Default::default()
        }),
        row(
            "opportunities.v1.ActivityService/CreateActivity",
            "post /opportunities/{id}/activities",
            ChangesRecord,
        )
        .saying(&opportunities::CreateActivityRequest { opportunity_id, ..Default::default() })
        .with(json!({})),
        row("opportunities.v1.ActivityService/GetActivity", "get /activities/{id}", SeesRecord)
            .saying(&opportunities::GetActivityRequest { id }),
        row(
            "opportunities.v1.ActivityService/UpdateActivity",
            "patch /activities/{id}",
            ChangesRecord,
        )
        .saying(&opportunities::UpdateActivityRequest {
            id,
            expected_version: Some(NEVER),
            ..Default::default()
        })
        .with(json!({"subject": "x"})),
        row(
            "opportunities.v1.ActivityService/DeleteActivity",
            "delete /activities/{id}",
            ChangesRecord,
        )
        .saying(&opportunities::DeleteActivityRequest { id, expected_version: Some(NEVER) }),
        row(
            "opportunities.v1.ActivityService/RestoreActivity",
            "post /activities/{id}/restore",
            ChangesRecord,
        )
        .saying(&opportunities::RestoreActivityRequest { id }),
    ]
}

fn customer_rows(Record { customer, contact, .. }: Record) -> Vec<Row> {
    use Policy::{
        Admins, ChangesContact, ChangesCustomer, Readers, SeesContact, SeesCustomer, Sellers,
    };
    let expected_version = Some(NEVER);
    vec![
        row("opportunities.v1.SyncService/ListSyncItems", "get /sync", Readers),
        row("opportunities.v1.SyncService/StreamSyncItems", "", Readers),
        row("opportunities.v1.CustomerService/ListCustomers", "get /customers", Readers),
        row("opportunities.v1.CustomerService/CreateCustomer", "post /customers", Sellers)
            .with(json!({})),
        row("opportunities.v1.CustomerService/GetCustomer", "get /customers/{id}", SeesCustomer)
            .saying(&opportunities::GetCustomerRequest { id: customer }),
        row(
            "opportunities.v1.CustomerService/UpdateCustomer",
            "patch /customers/{id}",
            ChangesCustomer,
        )
        .saying(&opportunities::UpdateCustomerRequest {
            id: customer,
            expected_version,
            ..Default::default()
        })
        .with(json!({"industry": "x"})),
        row(
            "opportunities.v1.CustomerService/DeleteCustomer",
            "delete /customers/{id}",
            ChangesCustomer,
        )
        .saying(&opportunities::DeleteCustomerRequest { id: customer, expected_version }),
        row(
            "opportunities.v1.CustomerService/RestoreCustomer",
            "post /customers/{id}/restore",
            ChangesCustomer,
        )
        .saying(&opportunities::RestoreCustomerRequest { id: customer }),
        row(
            "opportunities.v1.CustomerService/ListDuplicateCustomers",
            "get /customers/duplicates",
            Readers,
        ),
        row(
            "opportunities.v1.CustomerService/MergeCustomers",
            "post /customers/{id}/merge",
            ChangesCustomer,
        )
        .saying(&opportunities::MergeCustomersRequest { id: customer, from_id: customer })
        .with(json!({"from_id": customer})),
        row(
            "opportunities.v1.CustomerService/UnmergeCustomers",
            "post /customers/{id}/unmerge",
            ChangesCustomer,
        )
        .saying(&opportunities::UnmergeCustomersRequest { id: customer, from_id: customer })
        .with(json!({"from_id": customer})),
        row(
            "opportunities.v1.ContactService/ListContacts",
            "get /customers/{id}/contacts",
            SeesCustomer,
        )
        .saying(&opportunities::ListContactsRequest {
            customer_id: customer,
            ..Default::default()
        }),
        row(
            "opportunities.v1.ContactService/CreateContact",
            "post /customers/{id}/contacts",
            ChangesCustomer,
        )
        .saying(&opportunities::CreateContactRequest {
            customer_id: customer,
            ..Default::default()
        })
        .with(json!({})),
        row("opportunities.v1.ContactService/GetContact", "get /contacts/{id}", SeesContact)
            .saying(&opportunities::GetContactRequest { id: contact }),
        row(
            "opportunities.v1.ContactService/UpdateContact",
            "patch /contacts/{id}",
            ChangesContact,
        )
        .saying(&opportunities::UpdateContactRequest {
            id: contact,
            expected_version,
            ..Default::default()
        })
        .with(json!({"title": "x"})),
        row(
            "opportunities.v1.ContactService/DeleteContact",
            "delete /contacts/{id}",
            ChangesContact,
        )
        .saying(&opportunities::DeleteContactRequest { id: contact, expected_version }),
        row("opportunities.v1.ContactService/EraseContact", "post /contacts/{id}/erase", Admins)
            .saying(&opportunities::EraseContactRequest { id: ABSENT }),
    ]
}
