//! Events as they were published by every version so far: they are read for ever.
#![expect(
    clippy::needless_update,
    clippy::too_many_lines,
    reason = "fields will be added, and one of every kind is long"
)]

use events::{Event, Record, StageMove};
use prost::Message as _;
use proto::events::v1::{
    ActivityRecord, Actor, ContactRecord, CustomerRecord, EventBatch, FieldChange,
    OpportunityRecord, Origin, PipelineRecord, SettingsRecord, StageRecord, TeamRecord, UserRecord,
};
use proto::{Date, Decimal, Timestamp};

const AT: Timestamp = Timestamp { seconds: 1_764_000_000, nanos: 123_456_000 };

fn event(number: i64, aggregate: &str, record: Record) -> Event {
    Event {
        event_id: format!("0199d3a8-5f2e-7a54-9d1c-{number:012}"),
        r#type: format!("{aggregate}.created"),
        schema_version: 1,
        aggregate: aggregate.to_owned(),
        aggregate_id: 1_000 + number,
        version: 1,
        position: number,
        occurred_at: Some(AT),
        recorded_at: Some(AT),
        actor: Some(Actor { user_id: Some(7), service: String::new() }),
        origin: Origin::User.into(),
        cause_id: "cause".to_owned(),
        request_id: "request".to_owned(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        record: Some(record),
        changes: vec![FieldChange {
            field: "amount".to_owned(),
            old: "null".to_owned(),
            new: "0.1".to_owned(),
        }],
        stage_move: None,
        ..Event::default()
    }
}

/// One of every kind, as of the first version of the contract.
fn first_version() -> Vec<Event> {
    let stage = StageRecord {
        key: "lead".to_owned(),
        name: "潛在客戶".to_owned(),
        kind: "open".to_owned(),
        default_probability: 10,
        rotting_days: Some(30),
        required_fields: vec!["amount".to_owned()],
        ..StageRecord::default()
    };
    let opportunity = OpportunityRecord {
        id: 1_001,
        opportunity_name: "軟體授權採購".to_owned(),
        customer_id: 2,
        customer_name: "XYZ 公司".to_owned(),
        contact_id: Some(3),
        pipeline_id: 1,
        stage_key: "won".to_owned(),
        status: "won".to_owned(),
        amount: Some(Decimal::from_hundredths(999_999_999_999_999)),
        currency: "USD".to_owned(),
        closed_amount: Some(Decimal::from_hundredths(10)),
        probability: 100,
        expected_close_date: Some(Date { year: 2025, month: 12, day: 31 }),
        actual_close_date: Some(Date { year: 2025, month: 11, day: 24 }),
        lost_reason: Some("reason".to_owned()),
        owner_id: 7,
        team_id: Some(4),
        products: vec!["A".to_owned(), "B".to_owned()],
        source: Some("fair".to_owned()),
        external_id: Some("x-1".to_owned()),
        tags: vec!["key".to_owned()],
        waiting_until: Some(Date { year: 2026, month: 1, day: 1 }),
        created_at: Some(AT),
        updated_at: Some(AT),
        stage_entered_at: Some(AT),
        deleted_at: Some(AT),
        version: 1,
        notes: Some("notes".to_owned()),
        ..OpportunityRecord::default()
    };
    let stage_move = StageMove {
        history_id: 9,
        from_stage_key: Some("lead".to_owned()),
        from_stage: Some("潛在客戶".to_owned()),
        to_stage_key: "won".to_owned(),
        to_stage: "成交".to_owned(),
        probability: 100,
        changed_by: 7,
        changed_at: Some(AT),
        notes: Some("signed".to_owned()),
        ..StageMove::default()
    };
    let text = |text: &str| Some(text.to_owned());
    vec![
        Event {
            stage_move: Some(stage_move),
            ..event(1, "opportunity", Record::Opportunity(opportunity))
        },
        event(
            2,
            "customer",
            Record::Customer(CustomerRecord {
                id: 1_002,
                name: "XYZ 公司".to_owned(),
                company: text("XYZ"),
                industry: text("software"),
                email: text("a@example.com"),
                phone: text("02"),
                created_by: 7,
                created_at: Some(AT),
                updated_at: Some(AT),
                deleted_at: Some(AT),
                version: 1,
                ..CustomerRecord::default()
            }),
        ),
        event(
            3,
            "contact",
            Record::Contact(ContactRecord {
                id: 1_003,
                customer_id: 2,
                name: "陳經理".to_owned(),
                email: text("chen@example.com"),
                phone: text("09"),
                title: text("manager"),
                created_at: Some(AT),
                updated_at: Some(AT),
                version: 1,
                ..ContactRecord::default()
            }),
        ),
        event(
            4,
            "activity",
            Record::Activity(ActivityRecord {
                id: 1_004,
                opportunity_id: 1_001,
                activity_type: "call".to_owned(),
                subject: "first call".to_owned(),
                scheduled_at: Some(AT),
                completed_at: Some(AT),
                created_by: 7,
                created_at: Some(AT),
                deleted_at: Some(AT),
                version: 1,
                ..ActivityRecord::default()
            }),
        ),
        event(
            5,
            "pipeline",
            Record::Pipeline(PipelineRecord {
                id: 1_005,
                name: "銷售漏斗".to_owned(),
                is_default: true,
                stages: vec![stage],
                version: 1,
                deleted_at: Some(AT),
                ..PipelineRecord::default()
            }),
        ),
        event(
            6,
            "user",
            Record::User(UserRecord {
                id: 1_006,
                email: "wang@example.com".to_owned(),
                username: "王小明".to_owned(),
                role: "rep".to_owned(),
                team_id: Some(4),
                language: "zh-TW".to_owned(),
                time_zone: "Asia/Taipei".to_owned(),
                is_active: true,
                rights_version: 3,
                created_at: Some(AT),
                version: 1,
                ..UserRecord::default()
            }),
        ),
        event(
            7,
            "team",
            Record::Team(TeamRecord {
                id: 1_007,
                name: "北區業務".to_owned(),
                manager_id: Some(7),
                parent_id: Some(1),
                deleted_at: Some(AT),
                version: 1,
                ..TeamRecord::default()
            }),
        ),
        event(
            8,
            "settings",
            Record::Settings(SettingsRecord {
                time_zone: "Asia/Taipei".to_owned(),
                default_currency: "TWD".to_owned(),
                visibility: "everyone".to_owned(),
                fiscal_year_start: 1,
                version: 1,
                ..SettingsRecord::default()
            }),
        ),
    ]
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn events_of_the_first_version_are_read_as_they_were_written() {
    let batch = EventBatch::decode(&*bytes(include_str!("corpus/1.hex"))).unwrap();
    assert_eq!(batch.events, first_version());
}
