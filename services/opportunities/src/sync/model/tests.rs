use super::*;
use chrono::TimeZone as _;
use events::FieldChange;
use proto::events::v1::{ContactRecord, CustomerRecord, OpportunityRecord};

fn sees(owner_id: i64, team_ids: &[i64]) -> Eyes {
    Eyes { now: Sight::Of { owner_id, team_ids: team_ids.to_vec() }, former: Vec::new() }
}

fn change(field: &str, old: &str) -> FieldChange {
    FieldChange { field: field.to_owned(), old: old.to_owned(), new: String::new() }
}

/// Opportunity 7 of customer 3, owned by that person of team 1, after a change.
fn sale(version: i64, owner_id: i64, changes: Vec<FieldChange>) -> Event {
    let record = OpportunityRecord {
        id: 7,
        customer_id: 3,
        owner_id,
        team_id: Some(1),
        version,
        ..OpportunityRecord::default()
    };
    Event {
        aggregate_id: 7,
        version,
        position: version,
        record: Some(Record::Opportunity(record)),
        changes,
        ..Event::default()
    }
}

fn sold(had: Option<i64>) -> Task {
    Task::Record(Wanted { had, ..Wanted::new(Kind::Opportunity, 7) })
}

#[test]
fn what_comes_into_sight_brings_its_customer_and_what_goes_with_both() {
    let handed_over = sale(2, 10, vec![change("owner_id", "20")]);
    let customer = Task::Record(Wanted::new(Kind::Customer, 3));
    let told = tasks(&[handed_over], &sees(10, &[]));
    let along = [Task::Along(Kind::Contact, 3), Task::Along(Kind::Activity, 7)];
    assert_eq!(told, [customer, along[0], sold(None), along[1]]);
}

#[test]
fn what_goes_out_of_sight_is_taken_back_at_the_version_at_which_it_went() {
    let handed_over = sale(2, 20, vec![change("owner_id", "10")]);
    let told = tasks(&[handed_over], &sees(10, &[]));
    let customer = Task::Record(Wanted { had: Some(0), ..Wanted::new(Kind::Customer, 3) });
    assert_eq!(told, [customer, sold(Some(2))]);
}

#[test]
fn of_what_was_never_in_sight_nothing_is_told() {
    let made = sale(1, 20, vec![change("owner_id", "null")]);
    let changed = sale(2, 20, vec![change("amount", "1")]);
    assert_eq!(tasks(&[made, changed], &sees(10, &[])), []);
}

#[test]
fn a_record_is_told_once_and_as_late_as_it_changed() {
    let events = [
        sale(2, 10, vec![change("amount", "1")]),
        Event {
            aggregate_id: 3,
            record: Some(Record::Customer(CustomerRecord::default())),
            ..Event::default()
        },
        sale(3, 20, vec![change("owner_id", "10")]),
        sale(4, 20, vec![change("amount", "2")]),
    ];
    let eyes = Eyes { now: Sight::All, former: Vec::new() };
    let customer = Task::Record(Wanted::new(Kind::Customer, 3));
    assert_eq!(tasks(&events, &eyes), [customer, sold(Some(4))]);
}

#[test]
fn a_restored_opportunity_comes_with_its_activities_to_whoever_sees_it() {
    let restored = sale(3, 10, vec![change("deleted_at", "\"2026-01-01T00:00:00Z\"")]);
    let eyes = Eyes { now: Sight::All, former: Vec::new() };
    assert_eq!(tasks(&[restored], &eyes), [sold(None), Task::Along(Kind::Activity, 7)]);
}

#[test]
fn what_could_be_seen_before_counts_only_as_long_as_it_could() {
    let former = |until_position| Former {
        sight: Sight::Of { owner_id: 10, team_ids: vec![1] },
        until_position,
        until: Utc.timestamp_opt(0, 0).unwrap(),
    };
    let changed = sale(5, 20, vec![change("amount", "1")]);
    let eyes = |until| Eyes { former: vec![former(until)], ..sees(10, &[]) };
    let took_back = tasks(std::slice::from_ref(&changed), &eyes(5));
    assert_eq!(took_back.last(), Some(&sold(Some(5))));
    assert_eq!(tasks(&[changed], &eyes(4)), []);
}

#[test]
fn a_contact_that_went_elsewhere_is_taken_from_who_sees_where_it_was() {
    let moved = Event {
        aggregate_id: 9,
        version: 2,
        record: Some(Record::Contact(ContactRecord::default())),
        changes: vec![change("customer_id", "3")],
        ..Event::default()
    };
    let wanted = Wanted { through: Some(3), ..Wanted::new(Kind::Contact, 9) };
    assert_eq!(tasks(&[moved], &sees(10, &[])), [Task::Record(wanted)]);
}

#[test]
fn a_place_is_read_back_as_it_was_written_and_nothing_else_is_one() {
    let within = Some(Within { changes: 50, done: 3, after: 8 });
    let place = Place { former: vec![1, 2], within, ..Place::start(12, 3) };
    assert_eq!(Place::parse(&place.write()).unwrap(), place);
    for wrong in ["", "?", "e30", &cursor::write(&serde_json::json!({"p": -1, "s": 1}))] {
        assert_eq!(Place::parse(wrong).unwrap_err().reason(), "CURSOR_INVALID", "{wrong}");
    }
}

#[test]
fn who_sees_something_else_begins_once_more_and_knows_what_was_before() {
    let caught_up = Place { walk: None, ..Place::start(12, 3) };
    assert_eq!(caught_up.clone().seeing(3), caught_up);
    let other = caught_up.seeing(4);
    assert_eq!((other.position, other.sight_id, &*other.former), (12, 4, &[3][..]));
    assert_eq!(other.walk, Some((Kind::Pipeline, 0)));
}
