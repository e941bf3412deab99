//! The rules of an activity, as examples.

use chrono_tz::Asia::Taipei;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn noon() -> DateTime<Utc> {
    at("2026-03-04T04:00:00Z")
}

fn call(subject: &str) -> Edit {
    let activity_type = Some(Some(ActivityType::Call));
    Edit { activity_type, subject: Some(Some(subject.to_owned())), ..Edit::default() }
}

fn codes(result: Result<Activity, Invalid>) -> Vec<(String, String)> {
    let Err(rpc::Error::Invalid(fields)) = result.unwrap_err().into_result() else {
        panic!("it is invalid")
    };
    fields.into_iter().map(|it| (it.field, it.code.into_owned())).collect()
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let wish = Edit {
        description: Some(Some("x\0".to_owned())),
        completed_at: Some(Some(noon() + TimeDelta::hours(1))),
        ..Edit::default()
    };
    let told = codes(wish.begin(1, 2, 3, noon()));
    let expected = [
        ("activity_type", "required"),
        ("subject", "required"),
        ("description", "invalid_character"),
        ("completed_at", "in_the_future"),
    ];
    assert_eq!(told, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
    let told = codes(call(&"x".repeat(256)).begin(1, 2, 3, noon()));
    assert_eq!(told, [("subject".to_owned(), "too_long".to_owned())]);
    let crowd: Vec<_> = (1..=21).map(|id| format!("@[{id}]")).collect();
    let told = codes(call(&crowd.concat()).begin(1, 2, 3, noon()));
    assert_eq!(told, [("description".to_owned(), "too_many".to_owned())]);
}

#[test]
fn what_was_done_long_ago_can_be_written_down_and_it_is_its_makers() {
    let done = at("2020-01-01T00:00:00Z");
    let wish = Edit { completed_at: Some(Some(done)), ..call(" call ") };
    let made = wish.begin(1, 2, 3, noon()).unwrap();
    assert_eq!((made.completed_at, made.owner_id, &*made.subject), (Some(done), 3, "call"));
    // A clock may be ahead by a little.
    let soon = noon() + TimeDelta::seconds(59);
    let wish = Edit { completed_at: Some(Some(soon)), ..call("call") };
    assert_eq!(wish.begin(1, 2, 3, noon()).unwrap().completed_at, Some(soon));
}

#[test]
fn an_edit_changes_what_it_names_and_null_opens_it_again() {
    let wish = Edit { completed_at: Some(Some(noon())), owner_id: Some(Some(9)), ..call("a") };
    let made = wish.begin(1, 2, 3, noon()).unwrap();
    let later = noon() + TimeDelta::hours(1);
    assert_eq!(Edit::default().apply(&made, later).unwrap(), made);
    let same = Edit { completed_at: Some(Some(noon())), ..Edit::default() };
    assert_eq!(same.apply(&made, later).unwrap().version, 1);
    let edit = Edit { completed_at: Some(None), owner_id: Some(None), ..Edit::default() };
    let open = edit.apply(&made, later).unwrap();
    let expected =
        Activity { completed_at: None, owner_id: 3, version: 2, updated_at: later, ..made.clone() };
    assert_eq!(open, expected);
    let cleared = Edit { subject: Some(None), activity_type: Some(None), ..Edit::default() };
    assert_eq!(codes(cleared.apply(&made, later)).len(), 2);
    // The database keeps no nanoseconds, so they are no change.
    let finer =
        Edit { completed_at: Some(Some(noon() + TimeDelta::nanoseconds(1))), ..Edit::default() };
    assert_eq!(finer.apply(&made, later).unwrap(), made);
}

#[test]
fn nobody_is_mentioned_by_what_they_are_called() {
    assert_eq!(mentioned("@[3] and @[12], @[3] again"), [3, 12]);
    for plain in
        ["@3", "@[王小明]", "@[ 3]", "@[+3]", "@[-3]", "@[0]", "@[]", "@[3", "[3]", "@ [3]"]
    {
        assert!(mentioned(plain).is_empty(), "{plain}");
    }
    assert!(mentioned("@[99999999999999999999]").is_empty());
    assert_eq!(mentioned("@[@[3]"), [3]);
    let wish = Edit { description: Some(Some("@[4] @[5]".to_owned())), ..call("for @[5]") };
    let made = wish.begin(1, 2, 3, noon()).unwrap();
    assert_eq!((&*made.mentions, made.newly_named(None)), (&[5, 4][..], vec![5, 4, 3]));
    let edit = Edit { description: Some(Some("@[6]".to_owned())), ..Edit::default() };
    let now = edit.apply(&made, noon()).unwrap();
    assert_eq!((&*now.mentions, now.newly_named(Some(&made))), (&[5, 6][..], vec![6]));
}

proptest! {
    #[test]
    fn any_text_mentions_whom_it_was_written_to_mention(
        before in "[^@]{0,20}", id in 1_i64..i64::MAX, after in "[^@]{0,20}"
    ) {
        prop_assert_eq!(mentioned(&format!("{before}@[{id}]{after}")), [id]);
        prop_assert!(mentioned(&before).is_empty());
    }
}

#[test]
fn days_and_weeks_are_those_of_the_organisation() {
    // A Wednesday.
    let today: NaiveDate = "2026-03-04".parse().unwrap();
    let span = |due: Due| {
        let (from, until) = due.span(today, Taipei);
        (from.map(|at| at.to_rfc3339()), until.unwrap().to_rfc3339())
    };
    let some = |text: &str| Some(text.to_owned());
    let midnight = "2026-03-03T16:00:00+00:00";
    assert_eq!(span(Due::Overdue), (None, midnight.to_owned()));
    assert_eq!(span(Due::Today), (some(midnight), "2026-03-04T16:00:00+00:00".to_owned()));
    let monday = some("2026-03-01T16:00:00+00:00");
    assert_eq!(span(Due::Week), (monday, "2026-03-08T16:00:00+00:00".to_owned()));
    // A Sunday belongs to the week before it, and the last day there is has an end that is none.
    let sunday = Due::Week.span("2026-03-08".parse().unwrap(), Taipei);
    assert_eq!(sunday, Due::Week.span(today, Taipei));
    assert_eq!(Due::Today.span(NaiveDate::MAX, chrono_tz::UTC).1, None);
}

#[test]
fn its_maker_and_its_owner_change_it_as_long_as_they_change_anything() {
    let wish = Edit { owner_id: Some(Some(2)), ..call("a") };
    let made = wish.begin(1, 2, 1, noon()).unwrap();
    let of = Owned { owner_id: 7, team_id: Some(5) };
    let may = |write: Sight, by| may_change(&Rights { read: Sight::All, write }, by, &made, of);
    let own = |owner_id| Sight::Of { owner_id, team_ids: Vec::new() };
    assert!(may(own(1), 1) && may(own(2), 2) && may(own(7), 7) && may(Sight::All, 9));
    assert!(may(Sight::Of { owner_id: 3, team_ids: vec![5] }, 3), "who leads the team");
    assert!(!may(own(3), 3));
    assert!(!may(Sight::Nothing, 1), "a viewer, or a token that only reads");
}
