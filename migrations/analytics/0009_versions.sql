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
