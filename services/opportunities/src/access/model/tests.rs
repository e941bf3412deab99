//! The rule as a table, and that a set holds exactly what the rule allows.

use proptest::prelude::*;

use super::*;

const ME: i64 = 7;
const OTHER: i64 = 8;
/// The team I am in, one that I lead, one below that, and one that is neither.
const MINE: i64 = 1;
const LED: i64 = 2;
const BELOW: i64 = 3;
const FAR: i64 = 4;

const ROLES: [Role; 5] = [Role::Admin, Role::Manager, Role::Rep, Role::Viewer, Role::Service];
const VISIBILITIES: [Visibility; 3] = [Visibility::Everyone, Visibility::Team, Visibility::Owner];

fn me(role: Role) -> Standing {
    Standing {
        user_id: ME,
        role,
        team_id: Some(MINE),
        holds_write: true,
        leads: vec![LED],
        below: vec![BELOW],
    }
}

/// My own in a far team; others' in each of the teams; another's of no team.
const RECORDS: [Owned; 6] = [
    Owned { owner_id: ME, team_id: Some(FAR) },
    Owned { owner_id: OTHER, team_id: Some(MINE) },
    Owned { owner_id: OTHER, team_id: Some(LED) },
    Owned { owner_id: OTHER, team_id: Some(BELOW) },
    Owned { owner_id: OTHER, team_id: Some(FAR) },
    Owned { owner_id: OTHER, team_id: None },
];

/// Which of the records, one letter each: x for yes.
fn allowed(who: &Standing, visibility: Visibility, action: Action) -> String {
    let letter = |record| if may(who, visibility, action, record) { 'x' } else { '-' };
    RECORDS.into_iter().map(letter).collect()
}

#[test]
fn who_reads_what_by_role_and_setting() {
    for (role, everyone, team, owner) in [
        (Role::Admin, "xxxxxx", "xxxxxx", "xxxxxx"),
        (Role::Manager, "xxxxxx", "xxxx--", "x-xx--"),
        (Role::Rep, "xxxxxx", "xx----", "x-----"),
        (Role::Viewer, "xxxxxx", "xx----", "x-----"),
        (Role::Service, "xxxxxx", "xxxxxx", "xxxxxx"),
    ] {
        let seen = VISIBILITIES.map(|it| allowed(&me(role), it, Action::Read));
        assert_eq!(seen, [everyone, team, owner], "{role}");
    }
}

#[test]
fn who_changes_what_by_role_whatever_the_setting() {
    for (role, changed) in [
        (Role::Admin, "xxxxxx"),
        (Role::Manager, "x-xx--"),
        (Role::Rep, "x-----"),
        (Role::Viewer, "------"),
        (Role::Service, "------"),
    ] {
        for visibility in VISIBILITIES {
            assert_eq!(allowed(&me(role), visibility, Action::Write), changed, "{role}");
            let reads_only = Standing { holds_write: false, ..me(role) };
            assert_eq!(allowed(&reads_only, visibility, Action::Write), "------", "{role}");
        }
    }
}

#[test]
fn a_manager_who_leads_no_team_still_has_their_own() {
    let alone = Standing { leads: Vec::new(), below: Vec::new(), ..me(Role::Manager) };
    assert_eq!(allowed(&alone, Visibility::Owner, Action::Read), "x-----");
    assert_eq!(allowed(&alone, Visibility::Owner, Action::Write), "x-----");
}

#[test]
fn every_ground_is_named() {
    let [own, of_my_team, of_led, of_below, far, of_no_team] = RECORDS;
    let manager = me(Role::Manager);
    for (visibility, record, expected) in [
        (Visibility::Owner, own, &[Ground::Owner][..]),
        (Visibility::Team, of_my_team, &[Ground::TeamMember]),
        (Visibility::Owner, of_led, &[Ground::ManagerOfTeam]),
        (Visibility::Owner, of_below, &[Ground::ManagerOfTeamAbove]),
        (Visibility::Everyone, of_led, &[Ground::ManagerOfTeam, Ground::VisibilityEveryone]),
        (Visibility::Owner, far, &[]),
        (Visibility::Team, of_no_team, &[]),
    ] {
        assert_eq!(reasons(&manager, visibility, record), expected, "{record:?}");
    }
    let grounds = reasons(&me(Role::Admin), Visibility::Owner, own);
    assert_eq!(grounds, [Ground::Owner, Ground::Admin]);
}

fn standing() -> impl Strategy<Value = Standing> {
    let teams = || prop::collection::vec(0..5_i64, 0..3);
    (
        0..4_i64,
        prop::sample::select(&ROLES[..]),
        prop::option::of(0..5_i64),
        any::<bool>(),
        teams(),
        teams(),
    )
        .prop_map(|(user_id, role, team_id, holds_write, leads, below)| Standing {
            user_id,
            role,
            team_id,
            holds_write,
            leads,
            below,
        })
}

proptest! {
    #[test]
    fn a_set_holds_exactly_what_the_rule_allows_and_gives_a_reason_for_what_is_read(
        who in standing(),
        visibility in prop::sample::select(&VISIBILITIES[..]),
        record in (0..4_i64, prop::option::of(0..5_i64)),
    ) {
        let record = Owned { owner_id: record.0, team_id: record.1 };
        for action in [Action::Read, Action::Write] {
            let set = Sight::of(&who, visibility, action);
            prop_assert_eq!(set.covers(record), may(&who, visibility, action, record));
        }
        let reads = may(&who, visibility, Action::Read, record);
        prop_assert_eq!(!reasons(&who, visibility, record).is_empty(), reads);
        // Whoever may change it sees it.
        prop_assert!(reads || !may(&who, visibility, Action::Write, record));
    }
}
