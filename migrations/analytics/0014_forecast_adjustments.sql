-- What managers and administrators expect beside the model: an amount more or less for a period, and why. Owned here, as targets are.

create table forecast_adjustments (
    adjustment_id bigint generated always as identity primary key,
    -- month, quarter, year
    unit text collate "C" not null,
    -- The first day of the period, which it keeps whatever becomes of fiscal years.
    start_date date not null,
    -- Whose; 0 where it is no person's.
    owner_id bigint not null,
    -- Which team's; 0 where it is no team's. Without both it is the organisation's.
    team_id bigint not null,
    -- In the organisation's currency, below 0 where less is expected; null where it was taken away, so that versions go on.
    amount numeric(15, 2),
    note text,
    version bigint not null,
    set_by bigint not null,
    set_at timestamptz not null,
    constraint forecast_adjustments_unit_check check (unit in ('month', 'quarter', 'year')),
    constraint forecast_adjustments_subject_check check (owner_id = 0 or team_id = 0),
    constraint forecast_adjustments_period_key unique (start_date, unit, owner_id, team_id)
);

-- Every version of each, written with it and never altered.
create table forecast_adjustment_changes (
    adjustment_id bigint not null,
    version bigint not null,
    amount numeric(15, 2),
    note text,
    changed_by bigint not null,
    changed_at timestamptz not null,
    primary key (adjustment_id, version)
);
do $$
begin
    execute format('revoke update, delete, truncate on forecast_adjustment_changes from %I', current_database() || '_analytics');
end
$$;
