-- Targets: what is to be won in a month, a quarter or a year by a person, by a team, or by the organisation. They are owned here: told by no event, so that nothing rebuilds them.

create table targets (
    target_id bigint generated always as identity primary key,
    -- month, quarter, year
    unit text collate "C" not null,
    -- The first day of the period, which it keeps whatever becomes of fiscal years.
    start_date date not null,
    -- Whose; 0 where it is no person's.
    owner_id bigint not null,
    -- Which team's; 0 where it is no team's. Without both it is the organisation's.
    team_id bigint not null,
    -- In the organisation's currency; null where it was taken away, so that versions go on.
    amount numeric(15, 2),
    version bigint not null,
    set_by bigint not null,
    set_at timestamptz not null,
    constraint targets_unit_check check (unit in ('month', 'quarter', 'year')),
    constraint targets_subject_check check (owner_id = 0 or team_id = 0),
    constraint targets_period_key unique (start_date, unit, owner_id, team_id)
);
