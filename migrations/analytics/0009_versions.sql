-- What was known when: a row for every version of an opportunity that changed something a view of the past needs. Rows are inserted once, whatever
-- comes first; what was known at an instant is the version with `at` <= instant < `until`. Derived from events: `analytics rebuild` fills it for
-- opportunities that were there before.
create table opportunity_versions (
    opportunity_id bigint not null,
    version bigint not null,
    -- When it happened.
    at timestamptz not null,
    -- When the first of the later versions happened; 'infinity' while there is none. A version that ends when it begins was never seen.
    until timestamptz not null,
    pipeline_id bigint not null,
    owner_id bigint not null,
    team_id bigint,
    expected_close_date date,
    probability smallint not null,
    is_deleted boolean not null,
    status text collate "C" not null,
    stage_key text collate "C" not null,
    currency text collate "C" not null,
    amount numeric(15, 2),
    closed_amount numeric(15, 2),
    primary key (opportunity_id, version)
);
-- What was open at an instant: of one that is not long ago few versions have ended before it, of one that is long ago few had begun.
create index opportunity_versions_open_idx on opportunity_versions (until, at) where status = 'open' and not is_deleted;

-- The open pipeline at the end of every day, as sums that are kept; 0, '-infinity' and '' as in the rollups. Derived from versions and rates: a day
-- that learns of something later is made anew.
create table pipeline_snapshots (
    taken_on date not null,
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    owner_id bigint not null,
    team_id bigint not null,
    currency text collate "C" not null,
    -- First day of the month of expected_close_date; '-infinity' without one.
    close_month date not null,
    count bigint not null,
    -- How many of them have a value, and how many an amount and no rate.
    value_count bigint not null,
    rate_missing bigint not null,
    -- In the organisation's currency by the rates of that day, each rounded to the hundredth one by one.
    total_value numeric not null,
    weighted_value numeric not null,
    primary key (taken_on, pipeline_id, stage_key, owner_id, team_id, currency, close_month)
);
-- The days that are kept, those on which nothing was open too.
create table snapshot_days (
    taken_on date primary key
);
-- From which days on something was learnt of later.
create table snapshot_late (
    day date primary key
);
-- One row: the first day of which anything is known, and the last one that may be kept; what happens up to that is learnt of late.
create table snapshot_state (
    id integer primary key default 1,
    first_day date,
    taking_until date,
    constraint snapshot_state_id_check check (id = 1)
);
insert into snapshot_state default values;
